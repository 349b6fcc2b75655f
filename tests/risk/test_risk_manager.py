"""The specification's risk rules: parity with its formulas, bounds, failing closed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.risk.risk_manager import RiskManager
from tests.builders import Policy

NAN, INF = float("nan"), float("inf")


class Stored:
    """A database manager that only remembers the bot's state."""

    def __init__(self, **state: Any) -> None:
        self._state = state

    def get_bot_state(self) -> dict[str, Any]:
        return self._state


def a_manager(stored: Stored | None = None, **settings: Any) -> RiskManager:
    return RiskManager(Policy(**settings), stored)


# ---------------------------------------- size
@pytest.mark.parametrize(
    ("balance", "risk", "price", "size"),
    [
        (10_000, 0.10, 50_000, 1.0),
        (10_000, 0.01, 50_000, 0.1),
        (1_000, 0.02, 0.5, 2_000.0),
        (250.5, 0.05, 117_400.1, 250.5 * 0.05 / (117_400.1 * 0.02)),
    ],
)
def test_size_is_the_specified_formula(balance, risk, price, size):
    assert a_manager().calculate_position_size(balance, risk, price, 0.0) == pytest.approx(size)


@given(
    balance=st.floats(1, 1e7),
    risk=st.floats(0.0001, 1),
    price=st.floats(1e-6, 1e6),
    stop=st.floats(0.001, 0.5),
)
def test_the_stop_loses_the_risked_part_of_the_balance(balance, risk, price, stop):
    size = a_manager(STOPLOSS_PCT=stop).calculate_position_size(balance, risk, price, 0.0)
    assert size * price * stop == pytest.approx(balance * risk)


def test_size_is_zero_below_the_least_quantity():
    assert a_manager().calculate_position_size(10_000, 0.1, 50_000, 1.0) == 1.0
    assert a_manager().calculate_position_size(10_000, 0.1, 50_000, 1.001) == 0.0


@pytest.mark.parametrize("wrong", [0.0, -1.0, NAN, INF, -INF])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_size_is_zero_for_what_is_no_amount(wrong, position):
    values = [10_000.0, 0.1, 50_000.0]
    values[position] = wrong
    assert a_manager().calculate_position_size(*values, 0.0) == 0.0


def test_size_is_zero_while_the_least_quantity_is_unknown():
    assert a_manager().calculate_position_size(10_000, 0.1, 50_000, NAN) == 0.0


# ---------------------------------------- the day
def test_the_day_may_lose_up_to_its_limit():
    manager = a_manager()
    manager.day_start_equity = 10_000.0
    assert manager.daily_loss_limit() == 300
    assert manager.check_daily_loss_limit(0.0)
    assert manager.check_daily_loss_limit(-299.99)
    assert not manager.check_daily_loss_limit(-300.0)
    assert not manager.check_daily_loss_limit(-10_000.0)


def test_standing_alone_it_reads_the_days_start_from_the_database():
    manager = a_manager(Stored(day_start_equity="1000"))
    assert manager.check_daily_loss_limit(-29.9)
    assert not manager.check_daily_loss_limit(-30.0)


@pytest.mark.parametrize("stored", [None, Stored(), Stored(day_start_equity="nan")])
def test_without_a_days_start_no_loss_is_allowed(stored):
    manager = a_manager(stored)
    assert manager.daily_loss_limit() is None
    assert manager.check_daily_loss_limit(0.0)
    assert not manager.check_daily_loss_limit(-0.01)


def test_a_stored_start_that_is_no_number_allows_no_loss():
    manager = a_manager(Stored(day_start_equity="corrupt"))
    assert not manager.check_daily_loss_limit(-0.01)


@pytest.mark.parametrize("unknown", [NAN, INF, -INF])
def test_an_unknown_profit_forbids_trading(unknown):
    manager = a_manager()
    manager.day_start_equity = 10_000.0
    assert not manager.check_daily_loss_limit(unknown)


# ---------------------------------------- balance, slots, signal
def test_the_balance_must_reach_its_threshold():
    manager = a_manager()
    assert manager.check_balance_threshold(10.0)
    assert not manager.check_balance_threshold(9.99)
    assert not manager.check_balance_threshold(NAN)
    assert not manager.check_balance_threshold(INF)


def test_positions_are_counted_against_the_slots():
    manager = a_manager(MAX_OPEN_POSITIONS=3)
    assert [manager.check_open_positions_limit(n) for n in range(5)] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("signal", ["BUY", "SELL"])
def test_a_side_strong_and_confident_enough_may_trade(signal):
    manager = a_manager()
    assert manager.validate_trade_parameters(signal, 0.3, 0.5)
    assert manager.validate_trade_parameters(signal, 1.0, None)
    assert not manager.validate_trade_parameters(signal, 0.29, 0.9)
    assert not manager.validate_trade_parameters(signal, 0.9, 0.49)


@pytest.mark.parametrize("signal", ["HOLD", "CLOSE", "buy", "", None])
def test_what_is_no_side_may_not_trade(signal):
    assert not a_manager().validate_trade_parameters(signal, 1.0, 1.0)


@pytest.mark.parametrize("unknown", [NAN, INF, -INF])
def test_unknown_numbers_may_not_trade(unknown):
    manager = a_manager()
    assert not manager.validate_trade_parameters("BUY", unknown, 0.9)
    assert not manager.validate_trade_parameters("BUY", 0.9, unknown)
