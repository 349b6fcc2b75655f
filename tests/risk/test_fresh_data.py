"""No entry on old, frozen, future or contradicting data."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core import messages as m
from core.risk.machine import RiskMachine
from tests.builders import (
    MINUTE_NS,
    NOON_NS,
    WALL_NS,
    a_candle,
    a_mark,
    a_moment,
    a_proposal,
    an_account,
    an_account_update,
    an_instrument,
)
from tests.risk.rooms import decide, ready, refusal


def marked(risk: RiskMachine, after_s: float, price: str = "100", symbol: str = "BTCUSDT") -> None:
    moment = a_moment(after_s)
    risk.handle(a_mark(price, symbol, moment.venue_ns), moment)


# ---------------------------------------- account
@pytest.mark.parametrize("heard", ["event", "snapshot"])
def test_refuses_on_an_account_state_older_than_its_limit(heard):
    risk = ready(MARK_MAX_AGE_S=100.0)
    assert decide(risk, a_proposal(symbol="ETHUSDT"), 29)[0].approved
    late = a_proposal(kline_close_ns=a_moment(30).venue_ns)
    assert refusal(risk, late, 30.1) == "stale_account"
    moment = a_moment(29)
    told = (
        an_account(at_ns=moment.venue_ns)
        if heard == "snapshot"
        else an_account_update("10000", event_ns=moment.venue_ns)
    )
    risk.handle(told, moment)
    wish = a_proposal(2, kline_close_ns=a_moment(59).venue_ns)
    assert decide(risk, wish, 59)[0].approved


def test_a_snapshots_age_counts_from_when_it_was_taken():
    risk = ready(MARK_MAX_AGE_S=100.0)
    risk.handle(an_account(at_ns=NOON_NS), a_moment(29))
    assert refusal(risk, a_proposal(kline_close_ns=a_moment(31).venue_ns), 31) == "stale_account"


# ---------------------------------------- streams and clock
def a_health(**changes: Any) -> m.VenueHealth:
    health = m.VenueHealth(
        clock_error_ms=5, market_silent_s=0.2, weight_used=0.1, orders_used=0.0, quiet_s=0.0,
        at_wall_ns=WALL_NS,
    )  # fmt: skip
    return replace(health, **changes)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"market_silent_s": 10.1}, "silence"),
        ({"clock_error_ms": 1001}, "clock_error"),
        ({"clock_error_ms": -1001}, "clock_error"),
    ],
)
def test_refuses_when_the_stream_is_silent_or_the_clock_is_off(changes, code):
    risk = ready()
    risk.handle(a_health(**changes), a_moment())
    assert refusal(risk, a_proposal()) == code
    risk.handle(a_health(), a_moment())
    assert decide(risk, a_proposal(2))[0].approved


def test_health_once_heard_of_must_go_on_being_told():
    risk = ready(MARK_MAX_AGE_S=100.0)
    risk.handle(a_health(), a_moment())
    assert decide(risk, a_proposal(symbol="ETHUSDT"), 5)[0].approved
    assert refusal(risk, a_proposal(), 5.1) == "stale_health"


# ---------------------------------------- marks
def test_refuses_a_mark_from_the_future():
    risk = ready()
    risk.handle(a_mark(event_ns=a_moment(1.1).venue_ns), a_moment())
    assert refusal(risk, a_proposal()) == "future_mark"


def test_refuses_a_mark_that_stands_still_while_others_move():
    risk = ready()
    for second in range(1, 32):
        marked(risk, second)
        marked(risk, second, str(100 + second / 100), "ETHUSDT")
    wish = a_proposal(kline_close_ns=a_moment(31).venue_ns)
    assert refusal(risk, wish, 31) == "frozen_mark"
    marked(risk, 31, "100.1")
    again = a_proposal(2, kline_close_ns=a_moment(31).venue_ns)
    risk.handle(an_account(at_ns=a_moment(31).venue_ns), a_moment(31))
    assert decide(risk, again, 31)[0].approved


def test_a_market_in_which_nothing_moves_is_calm_not_frozen():
    risk = ready()
    for second in range(1, 65):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            marked(risk, second, symbol=symbol)
    risk.handle(an_account(at_ns=a_moment(64).venue_ns), a_moment(64))
    assert decide(risk, a_proposal(kline_close_ns=a_moment(64).venue_ns), 64)[0].approved


@pytest.mark.parametrize(
    ("last", "approved"), [("101", True), ("101.1", False), ("98.9", False), (None, True)]
)
def test_refuses_when_the_last_trade_is_far_from_mark(last, approved):
    risk = ready()
    mark = replace(a_mark(), last_price=Decimal(last) if last else None)
    risk.handle(mark, a_moment())
    decision, _ = decide(risk, a_proposal())
    assert decision.approved == approved
    assert approved or decision.reason_code == "last_price"


# ---------------------------------------- spikes
def closed(risk: RiskMachine, minute: int, close: float) -> None:
    candle = a_candle(minute, close)
    at = a_moment(minute * 60)
    risk.handle(m.ClosedKline(symbol="BTCUSDT", candle=candle, event_ns=at.venue_ns), at)


@pytest.mark.parametrize("heard", [True, False])
def test_a_bar_out_of_all_proportion_needs_a_mark_of_after_its_close(heard):
    """The candle itself may reach risk after the wish that it caused."""
    risk = ready(MAX_BAR_RET=0.2)
    closed(risk, -2, 75.0)
    if heard:
        closed(risk, -1, 100.0)
    risk.handle(a_mark(event_ns=NOON_NS - 1), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert decision.reason_code == "spike"
    assert "+0.3333" in decision.reason
    risk.handle(a_mark(event_ns=NOON_NS), a_moment())
    assert decide(risk, a_proposal(2))[0].approved


def test_a_wild_symbol_is_measured_by_its_own_deviations():
    risk = ready(MAX_BAR_RET=0.01)
    price = 100.0
    for minute in range(-60, -1):
        price *= 1.01 if minute % 2 else 0.991
        closed(risk, minute, price)
    wish = a_proposal(price=f"{price * 1.05:.1f}")
    risk.handle(a_mark(str(wish.price), event_ns=NOON_NS - 1), a_moment())
    assert decide(risk, wish)[0].approved  # 5 % are less than 12 of its deviations


# ---------------------------------------- the listing
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": "SETTLING"}, "not_trading"),
        ({"contract_type": "CURRENT_QUARTER"}, "contract"),
        ({"quote_asset": "USDC"}, "contract"),
        ({"delivery_ms": (NOON_NS + 47 * 60 * MINUTE_NS) // 10**6}, "delisting"),
    ],
)
def test_refuses_a_symbol_that_the_venue_lists_otherwise(changes, code):
    risk = ready()
    changed = m.InstrumentChanged(symbol="BTCUSDT", instrument=an_instrument(**changes))
    risk.handle(changed, a_moment())
    assert refusal(risk, a_proposal()) == code
    healed = m.InstrumentChanged(symbol="BTCUSDT", instrument=an_instrument())
    risk.handle(healed, a_moment())
    assert decide(risk, a_proposal(2))[0].approved


def test_refuses_a_symbol_that_is_listed_no_more():
    risk = ready()
    risk.handle(m.InstrumentChanged(symbol="BTCUSDT", instrument=None), a_moment())
    assert refusal(risk, a_proposal()) == "not_listed"
    assert decide(risk, a_proposal(symbol="ETHUSDT"))[0].approved


def test_a_delivery_far_away_is_no_obstacle():
    risk = ready()
    far = an_instrument(delivery_ms=(NOON_NS + 49 * 60 * MINUTE_NS) // 10**6)
    risk.handle(m.InstrumentChanged(symbol="BTCUSDT", instrument=far), a_moment())
    assert decide(risk, a_proposal())[0].approved
