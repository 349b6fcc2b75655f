"""An acknowledged stop is watched until another source shows it; one more at most is placed."""

from decimal import Decimal

import pytest

from core import messages as m
from core.execution.bracket import Phase
from core.messages import Failure, Purpose
from tests.builders import SYMBOL, an_intent
from tests.execution.desk import (
    ENTRY,
    STOP,
    TARGET,
    Desk,
    a_desk,
    a_failure,
    a_snapshot,
    a_venue_order,
    a_venue_position,
    an_algo_event,
    an_answer,
    name_of,
    one,
    opened,
    protected,
    some,
)

EXTRA = name_of(Purpose.STOP, 1)
TARGET_ORDER = a_venue_order(Purpose.TARGET, TARGET)


def stops(out: tuple[object, ...]) -> list[str]:
    return [o.client_id for o in some(m.PlaceAlgoOrder, out) if o.purpose is Purpose.STOP]


def a_list(desk: Desk, *names: str, price: str = "100") -> m.VenueSnapshot:
    """The position, its target, and these stops."""
    listed = tuple(a_venue_order(Purpose.STOP, name) for name in names)
    position = a_venue_position(price="100")
    return a_snapshot(desk, positions=(position,), orders=(TARGET_ORDER, *listed))


def exits(desk: Desk) -> list[m.PlaceOrder]:
    return [o for o in desk.heard(m.PlaceOrder) if o.reduce_only]


def doubted() -> Desk:
    """Acknowledged, shown by no event, and a list was asked for."""
    desk = protected()
    assert some(m.FetchSnapshot, desk.wait(2.9)) == []
    assert some(m.FetchSnapshot, desk.wait(0.3)) != []
    return desk


def test_an_event_of_the_stop_is_the_second_source():
    desk = protected()
    desk.tell(an_algo_event(STOP, "NEW"))
    assert some(m.FetchSnapshot, desk.wait(20)) == []


def test_an_event_that_comes_before_the_answer_is_one_as_well():
    desk = opened()
    desk.tell(an_algo_event(STOP, "NEW"))
    desk.tell(an_answer(STOP, Purpose.STOP))
    assert some(m.FetchSnapshot, desk.wait(20)) == []


def test_an_acknowledged_stop_counts_as_protection_while_it_is_watched():
    desk = doubted()
    assert desk.machine.brackets[SYMBOL].phase is Phase.PROTECTED
    assert desk.machine.brackets[SYMBOL].live_price(Purpose.STOP) == 98


def test_a_list_that_shows_the_stop_ends_the_doubt():
    desk = doubted()
    assert stops(desk.tell(a_list(desk, STOP), 0.1)) == []
    assert some(m.FetchSnapshot, desk.wait(30)) == []


def test_a_stop_that_no_list_shows_is_placed_once_more_under_a_fresh_id():
    desk = doubted()
    assert stops(desk.tell(a_list(desk), 0.1)) == [EXTRA]


def test_no_third_stop_follows_a_second_that_no_list_shows():
    desk = doubted()
    desk.tell(a_list(desk), 0.1)
    desk.tell(an_answer(EXTRA, Purpose.STOP))
    placed = len(stops(tuple(desk.said)))
    for _ in range(20):
        desk.wait(3.5)
        desk.tell(a_list(desk), 0.1)
    assert len(stops(tuple(desk.said))) == placed == 2
    assert desk.heard(m.CancelAlgoOrder) == []
    assert exits(desk) == []
    told = [e for e in desk.heard(m.ActorEvent) if e.event == "stop_unseen"]
    assert len(told) == 1
    assert EXTRA in told[0].detail


def test_the_software_stop_stands_behind_a_stop_that_no_list_shows():
    desk = doubted()
    desk.tell(a_list(desk), 0.1)
    desk.tell(an_answer(EXTRA, Purpose.STOP))
    for second in range(1, 4):
        desk.tell(m.MarkPrice(symbol=SYMBOL, price=Decimal(97), event_ns=second), 0.7)
    assert one(m.PlaceOrder, tuple(exits(desk))).quantity == 10


def test_a_refusal_beside_another_stop_proves_that_the_first_one_is_there():
    """Lists forget for half an hour (freqtrade 12681): no loop of placing, and no exit."""
    desk = doubted()
    for _ in range(5):
        out = desk.tell(a_list(desk), 0.1)
        for name in stops(out):
            desk.tell(a_failure(name, Purpose.STOP, code=-4130))
        desk.wait(65)
    assert stops(tuple(desk.said)) == [STOP, EXTRA]
    assert exits(desk) == []
    assert desk.machine.brackets[SYMBOL].live_price(Purpose.STOP) == 98


@pytest.mark.parametrize("by", ["event", "query", "cancel"])
def test_a_doubted_stop_that_has_ended_is_not_believed_in_when_the_next_one_is_refused(by):
    """It was in the way when the next one was sent, and had gone when the refusal came."""
    desk = doubted()
    desk.tell(a_list(desk), 0.1)
    desk.tell(
        {
            "event": an_algo_event(STOP, "CANCELED"),
            "query": m.OrderFound(client_id=STOP, symbol=SYMBOL, found=True, status="CANCELED"),
            "cancel": m.AlgoGone(client_id=STOP, symbol=SYMBOL, detail="cancelled"),
        }[by]
    )
    out = desk.tell(a_failure(EXTRA, Purpose.STOP, code=-4130))
    assert desk.machine.brackets[SYMBOL].live_price(Purpose.STOP) is None
    assert stops((*out, *desk.wait(2))) == [name_of(Purpose.STOP, 2)]


def test_a_stop_shown_again_may_be_doubted_again():
    desk = doubted()
    desk.tell(a_list(desk), 0.1)
    desk.tell(an_answer(EXTRA, Purpose.STOP))
    desk.tell(an_algo_event(EXTRA, "NEW"))
    desk.tick(60)
    assert stops(desk.tell(a_list(desk), 0.1)) == [name_of(Purpose.STOP, 2)]


def test_both_stops_listed_leave_one():
    desk = doubted()
    desk.tell(a_list(desk), 0.1)
    desk.tell(an_answer(EXTRA, Purpose.STOP))
    desk.tick(1)
    out = desk.tell(a_list(desk, STOP, EXTRA), 0.1)
    assert one(m.CancelAlgoOrder, out).client_id == EXTRA
    assert stops(out) == []
    assert desk.machine.brackets[SYMBOL].live_price(Purpose.STOP) == 98


def test_after_a_restart_a_journalled_stop_that_is_in_the_way_is_believed_in():
    rows = (
        (an_intent(client_id=ENTRY), "FILLED"),
        (an_intent(client_id=STOP, purpose=Purpose.STOP, stop_price=Decimal(98)), "ACKED"),
    )
    desk = a_desk(
        intents=rows,
        positions=((SYMBOL, Decimal(10)),),
        entry_prices=((SYMBOL, Decimal(100)),),
    )
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),)), 0.1)
    assert stops(out) == [EXTRA]
    desk.tell(a_failure(EXTRA, Purpose.STOP, code=-4130))
    assert desk.machine.brackets[SYMBOL].live_price(Purpose.STOP) == 98
    assert exits(desk) == []


def test_another_ones_stop_in_the_way_of_ours_closes_the_position():
    desk = opened()
    out = desk.tell(a_failure(STOP, Purpose.STOP, code=-4130))
    assert one(m.FetchSnapshot, out)
    for order in some(m.PlaceAlgoOrder, desk.wait(1.2)):
        desk.tell(a_failure(order.client_id, Purpose.STOP, code=-4130))
    assert one(m.PlaceOrder, tuple(exits(desk))).quantity == 10
    assert one(m.ProtectionFailed, tuple(desk.said)).symbol == SYMBOL


def test_a_lost_answer_of_a_stop_that_was_taken_is_settled_by_its_event():
    desk = opened()
    desk.tell(a_failure(STOP, Purpose.STOP, Failure.UNKNOWN, -1007))
    desk.tell(an_algo_event(STOP, "NEW"))
    desk.wait(8)
    assert exits(desk) == []
