"""What moves together, what the venue allows, and where it would liquidate."""

from decimal import Decimal

import numpy as np
import pytest

from core import messages as m
from core.clock import NS_PER_DAY
from core.risk.correlation import Returns
from core.risk.liquidation import largest_notional, liquidation_distance
from core.risk.machine import RiskMachine
from core.venue.instrument import MarginBracket
from tests.builders import (
    MINUTE_NS,
    a_candle,
    a_moment,
    a_position,
    a_proposal,
    an_instrument,
)
from tests.risk.rooms import cap, decide, ready, refusal

BRACKETS = (
    MarginBracket(
        notional_floor=Decimal(0), notional_cap=Decimal(1_000), leverage_max=20,
        maintenance_rate=Decimal("0.004"), maintenance_cum=Decimal(0),
    ),
    MarginBracket(
        notional_floor=Decimal(1_000), notional_cap=Decimal(3_000), leverage_max=5,
        maintenance_rate=Decimal("0.1"), maintenance_cum=Decimal(96),
    ),
)  # fmt: skip
DAILY = 0.001 * np.sqrt(NS_PER_DAY / MINUTE_NS)  # of one part in a thousand a minute


def walk(steps: list[float]) -> list[float]:
    return [float(100 * np.exp(total)) for total in np.cumsum([0.0, *steps])]


def tell(risk: RiskMachine, symbol: str, steps: list[float]) -> None:
    """Tell the history of a symbol whose bars returned these, the last one closing at noon."""
    closes = walk(steps)
    candles = tuple(a_candle(number - len(closes), close) for number, close in enumerate(closes))
    risk.handle(m.KlineHistory(symbol=symbol, candles=candles), a_moment(-1))


UP_DOWN = [0.001, -0.001] * 60  # volatility: one part in a thousand a minute
SLOW = [0.001, 0.001, -0.001, -0.001] * 30  # as volatile, and unrelated to the other


# ---------------------------------------- moving together
def test_an_entry_alone_may_be_as_large_as_its_own_shock_allows():
    risk = ready(MAX_CORRELATED_X=0.01, MAX_SYMBOL_NOTIONAL_X=9.0)
    tell(risk, "BTCUSDT", UP_DOWN)
    decision, _ = decide(risk, a_proposal())
    assert float(cap(decision, "correlated")) == pytest.approx(100 / (3 * DAILY) / 100, rel=1e-6)
    assert min(decision.caps, key=lambda c: c[1])[0] == "correlated"
    listed = an_instrument()
    assert decision.approved
    assert decision.quantity == listed.round_quantity_down(cap(decision, "correlated"))


def test_bars_older_than_those_that_count_are_forgotten():
    wild_then_quiet = [0.05, -0.05] * 60 + UP_DOWN
    risk = ready(MAX_CORRELATED_X=0.01, MAX_SYMBOL_NOTIONAL_X=9.0, CORRELATION_BARS=len(UP_DOWN))
    tell(risk, "BTCUSDT", wild_then_quiet)
    decision, _ = decide(risk, a_proposal())
    assert float(cap(decision, "correlated")) == pytest.approx(100 / (3 * DAILY) / 100, rel=1e-6)


@pytest.mark.parametrize(
    ("other", "side", "room"),
    [
        (UP_DOWN, m.Side.BUY, "none"),  # the same again: nothing is left
        (UP_DOWN, m.Side.SELL, "double"),  # against it: what is held is given back first
        (SLOW, m.Side.BUY, "none"),  # unrelated, but what is held fills the limit
    ],
)
def test_what_is_held_takes_room_by_how_it_moves(other, side, room):
    limit = 0.01
    risk = ready(MAX_CORRELATED_X=limit, MAX_OPEN_POSITIONS=9, MAX_SYMBOL_NOTIONAL_X=9.0)
    tell(risk, "BTCUSDT", other)
    tell(risk, "ETHUSDT", UP_DOWN)
    full = Decimal(str(limit * 10_000 / (3 * DAILY) / 100)).quantize(Decimal("1e-12"))
    risk.handle(a_position(str(full), "ETHUSDT", stop_price=Decimal(100)), a_moment())
    shock = risk._account.returns.shock(
        {"ETHUSDT": float(full * 100)}, "BTCUSDT", side.sign, size=3.0, limit=limit * 10_000
    )
    assert shock.loss == pytest.approx(100)
    expected = {"none": 0.0, "double": float(2 * full * 100)}[room]
    assert shock.room == pytest.approx(expected, abs=0.1)


def test_unrelated_positions_add_up_as_a_root_related_ones_as_a_sum():
    returns = Returns(bars=120, interval_ns=MINUTE_NS)
    for symbol, steps in (("A", UP_DOWN), ("B", UP_DOWN), ("C", SLOW)):
        closes = enumerate(walk(steps))
        returns.take_history(symbol, [a_candle(n, close) for n, close in closes])
    one = returns.shock({"A": 1_000.0}, "B", 1, size=3.0, limit=1.0).loss
    same = returns.shock({"A": 1_000.0, "B": 1_000.0}, "C", 1, size=3.0, limit=1.0)
    other = returns.shock({"A": 1_000.0, "C": 1_000.0}, "B", 1, size=3.0, limit=1.0)
    assert one == pytest.approx(3_000 * DAILY, rel=1e-3)
    assert same.loss == pytest.approx(2 * one, rel=1e-6)
    assert other.loss == pytest.approx(one * 2**0.5, rel=0.02)
    assert dict(other.partners)["A"] == pytest.approx(1.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_unknown_correlation_counts_as_one_in_the_direction_that_hurts(sign):
    returns = Returns(bars=120, interval_ns=MINUTE_NS)
    returns.take_history("A", [a_candle(n, close) for n, close in enumerate(walk(UP_DOWN))])
    before = returns.shock({"A": 1_000.0}, "B", sign, size=1.0, limit=1_000.0)
    assert before.partners == (("A", None),)
    # B may be anything, so it is taken for as volatile as 5 % a day, and for A's twin or opposite
    assert before.room == pytest.approx((1_000 - before.loss) / 0.05)


def test_bars_are_compared_by_their_time():
    """A gap in one symbol must not shift it against the other."""
    returns = Returns(bars=120, interval_ns=MINUTE_NS)
    closes = list(enumerate(walk(UP_DOWN)))
    returns.take_history("A", [a_candle(n, close) for n, close in closes])
    returns.take_history("B", [a_candle(n, close) for n, close in closes if n != 60])
    held = returns.shock({"A": 1.0}, "B", 1, size=1.0, limit=1.0)
    assert dict(held.partners)["A"] == pytest.approx(1.0)


def test_a_refusal_names_symbols_correlations_and_numbers():
    risk = ready(MAX_CORRELATED_X=0.01, MAX_OPEN_POSITIONS=9)
    tell(risk, "BTCUSDT", UP_DOWN)
    tell(risk, "ETHUSDT", UP_DOWN)
    held = str(Decimal(str(100 / (3 * DAILY) / 100)).quantize(Decimal("0.001")))
    risk.handle(a_position(held, "ETHUSDT", stop_price=Decimal(100)), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert decision.reason_code == "correlated_exposure"
    for part in ("ETHUSDT +1.00", "BTCUSDT BUY", "0.01 x equity = 100.00", "3.0 deviations"):
        assert part in decision.reason


def test_closed_klines_keep_the_returns_up_to_date():
    risk = ready()
    for number, close in enumerate(walk(UP_DOWN)):
        kline = m.ClosedKline(symbol="BTCUSDT", candle=a_candle(number - 121, close), event_ns=0)
        risk.handle(kline, a_moment(-1))
    decision, _ = decide(risk, a_proposal())
    assert float(cap(decision, "correlated")) == pytest.approx(
        0.25 * 10_000 / (3 * DAILY) / 100, rel=1e-3
    )


# ---------------------------------------- order size, brackets, liquidation
def test_an_order_above_its_limit_is_refused_even_if_sizing_is_wrong(monkeypatch):
    """The second line: the final order is held against the limits again."""
    monkeypatch.setattr(
        "core.risk.machine.binding", lambda found, mode: ("raw", Decimal(1_000) * found[0][1])
    )
    risk = ready(MAX_CORRELATED_X=1e9)
    assert refusal(risk, a_proposal()) == "order_size"


def test_the_brackets_cap_the_notional_at_the_leverage():
    risk = ready()
    risk._instruments["BTCUSDT"] = an_instrument(brackets=BRACKETS)
    decision, _ = decide(risk, a_proposal())
    assert cap(decision, "bracket") == 30
    risk = ready(LEVERAGE=10)
    risk._instruments["BTCUSDT"] = an_instrument(brackets=BRACKETS)
    decision, _ = decide(risk, a_proposal())
    assert cap(decision, "bracket") == 10
    assert decision.quantity == 10


def test_a_leverage_no_bracket_allows_opens_nothing():
    assert largest_notional(an_instrument(brackets=BRACKETS), 21) == 0
    risk = ready(LEVERAGE=21)
    risk._instruments["BTCUSDT"] = an_instrument(brackets=BRACKETS)
    assert refusal(risk, a_proposal()) == "below_minimum"


def test_the_liquidation_price_is_the_venues():
    """Isolated long 1 at 100, wallet 10, rate 0.4 %: 90.36 (venue reference, section 11)."""
    listed = an_instrument(brackets=BRACKETS)
    long = liquidation_distance(listed, m.Side.BUY, Decimal(1), Decimal(100), Decimal(10))
    assert round(100 - long, 2) == Decimal("90.36")
    short = liquidation_distance(listed, m.Side.SELL, Decimal(1), Decimal(100), Decimal(10))
    assert round(100 + short, 2) == Decimal("109.56")


def test_the_bracket_is_the_one_at_the_liquidation_price():
    """30 at 100 and 5x: LP = (600 + 96 - 3000) / (30 x 0.1 - 30), still in the second bracket."""
    listed = an_instrument(brackets=BRACKETS)
    distance = liquidation_distance(listed, m.Side.BUY, Decimal(30), Decimal(100), Decimal(5))
    assert round(100 - distance, 4) == round(Decimal(2_304) / 27, 4)


def test_a_stop_too_near_to_liquidation_is_refused():
    """C22: at 20x liquidation is 2.5 % away without brackets, the stop 2 %, and 4 % are asked."""
    decision, _ = decide(ready(LEVERAGE=20), a_proposal())
    assert decision.reason_code == "liquidation_distance"
    assert "1.25 stop distances" in decision.reason
    assert decide(ready(LEVERAGE=12), a_proposal())[0].approved
    assert decide(ready(LEVERAGE=20, LIQ_DISTANCE_MIN=1.2), a_proposal())[0].approved


# ---------------------------------------- foreign positions
@pytest.mark.parametrize(("counted", "approved"), [(True, False), (False, True)])
def test_foreign_exposure_binds_where_it_is_counted(counted, approved):
    risk = ready(COUNT_FOREIGN=counted, MAX_GROSS_X=0.5)
    foreign = a_position("50", "XRPUSDT", foreign=True, stop_price=None)
    risk.handle(foreign, a_moment())
    assert decide(risk, a_proposal())[0].approved == approved


def test_what_the_venue_has_available_binds_margin():
    risk = ready()
    told = m.AccountSnapshot(
        wallet_balance=Decimal(10_000), available_balance=Decimal(500),
        unrealized_pnl=Decimal(0), margin=Decimal(9_500), at_ns=a_moment(1).venue_ns,
    )  # fmt: skip
    risk.handle(told, a_moment(1))
    decision, _ = decide(risk, a_proposal(), 1)
    assert cap(decision, "margin") == 400 / (100 * Decimal("0.2005"))
