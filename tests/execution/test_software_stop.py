"""The stop behind the stop: by marks alone, beyond by more than a tenth of a per cent, for long."""

from decimal import Decimal

import pytest

from core import messages as m
from core.messages import Purpose, Side
from tests.builders import SYMBOL
from tests.execution.desk import STOP, Desk, an_algo_event, opened, protected, sent, some

BEYOND = {Side.BUY: "97.9", Side.SELL: "102.2"}  # stops at 98 and 102
JUST = {Side.BUY: "97.91", Side.SELL: "102.1"}


def mark(desk: Desk, price: str, after_s: float = 0.6, event_ns: int | None = None):
    """A mark `after_s` later, and the exits that follow."""
    at_ns = round((desk.at_s + after_s) * 1e9) + 1 if event_ns is None else event_ns
    out = desk.tell(m.MarkPrice(symbol=SYMBOL, price=Decimal(price), event_ns=at_ns), after_s)
    return [o for o in some(m.PlaceOrder, out) if o.reduce_only]


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_a_mark_that_stays_beyond_the_stop_closes_the_position(side):
    desk = protected(side)
    assert mark(desk, BEYOND[side]) == mark(desk, BEYOND[side]) == []
    (order,) = mark(desk, BEYOND[side])
    assert (order.side, order.quantity) == (side.opposite, 10)
    reasons = [i.reason for i in desk.heard(m.IntentMoved)]
    assert "software_stop" in reasons
    assert desk.heard(m.ProtectionFailed) == []


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_a_mark_barely_beyond_is_left_to_the_venue(side):
    desk = protected(side)
    assert [mark(desk, JUST[side]) for _ in range(5)] == [[]] * 5


def test_a_mark_that_comes_back_starts_the_count_anew():
    desk = protected()
    mark(desk, "97.5", 1.0)
    mark(desk, "98.5", 0.9)
    assert mark(desk, "97.5") == mark(desk, "97.5", 0.9) == []
    assert mark(desk, "97.5", 0.2) != []


def test_a_feed_that_stopped_closes_nothing():
    desk = protected()
    mark(desk, "97.5")
    assert [o for o in some(m.PlaceOrder, desk.wait(30)) if o.reduce_only] == []


def test_a_frozen_mark_told_again_and_an_older_one_say_nothing():
    desk = protected()
    mark(desk, "97.5", 1.0, event_ns=1_000)
    assert mark(desk, "97.5", 3.0, event_ns=1_000) == []
    assert mark(desk, "97.5", 3.0, event_ns=999) == []


def test_it_works_where_the_venue_has_no_stop_yet():
    desk = opened()
    mark(desk, "97.5", 0.1)
    assert mark(desk, "97.5", 1.1) != []


def test_a_stop_that_hangs_in_its_trigger_does_not_hold_it_back():
    """TRIGGERING for hours with no order created was seen (venue reference, section 5)."""
    desk = protected()
    desk.tell(an_algo_event(STOP, "TRIGGERING"))
    mark(desk, "97.5", 0.1)
    assert mark(desk, "97.5", 1.1) != []


def test_nothing_held_is_nothing_to_close():
    desk = sent()
    assert [mark(desk, "50") for _ in range(4)] == [[]] * 4
    desk = protected()
    desk.machine.brackets[SYMBOL].legs.pop(Purpose.STOP)
    assert mark(desk, "99", 2) == []
