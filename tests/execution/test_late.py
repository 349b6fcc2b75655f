"""An entry believed absent that executes after all: held, protected and told, whatever it meets."""

from decimal import Decimal

import pytest

from core import messages as m
from core.execution.bracket import Phase
from core.execution.order_life import OrderState
from core.messages import Failure, Purpose, Side
from tests.builders import SYMBOL, a_proposal, an_intent
from tests.execution.desk import (
    ENTRY,
    Desk,
    a_desk,
    a_failure,
    a_snapshot,
    a_trade,
    a_venue_position,
    an_answer,
    an_order_event,
    approved,
    found,
    name_of,
    one,
    some,
)

DAY_S = 86_400
SECOND = a_proposal(2)
SECOND_ENTRY = name_of(Purpose.ENTRY, 0, SECOND)


def absent(**book: object) -> Desk:
    """A machine that reads from the database that an entry is believed absent."""
    desk = a_desk(absent=(an_intent(client_id=ENTRY),), **book)
    desk.tell(a_snapshot(desk), 0.1)
    return desk


def late(side: Side = Side.BUY, trade_id: int = 1) -> m.OrderUpdate:
    return an_order_event(ENTRY, side, trade_id=trade_id, fills="10")


def alerts(desk: Desk) -> list[str]:
    return [e.event for e in desk.heard(m.ActorEvent)]


def reducing(out: tuple[object, ...]) -> list[m.PlaceOrder]:
    return [o for o in some(m.PlaceOrder, out) if o.reduce_only]


def test_a_late_execution_is_protected_told_and_counted_at_once():
    desk = absent()
    out = desk.tell(late(), 60)
    assert [o.purpose for o in some(m.PlaceAlgoOrder, out)] == [Purpose.STOP, Purpose.TARGET]
    assert one(m.PositionChanged, out).quantity == 10
    assert one(m.ActorEvent, out).event == "late_execution"
    assert OrderState.FILLED in [move.state for move in some(m.IntentMoved, out)]


def test_it_is_told_once_however_many_fills_it_has():
    desk = absent()
    part = {"status": "PARTIALLY_FILLED", "executed": "4", "fills": "4"}
    desk.tell(an_order_event(ENTRY, trade_id=1, **part))
    desk.tell(an_order_event(ENTRY, trade_id=2, fills="6", executed="10"))
    assert alerts(desk) == ["late_execution"]
    assert desk.machine.brackets[SYMBOL].quantity == 10
    assert len(desk.heard(m.PlaceAlgoOrder)) == 2


def test_one_believed_absent_in_this_life_is_watched_as_well():
    desk = a_desk()
    desk.tell(m.ActorStarted(name="s", symbol=SYMBOL, generation=1))
    desk.tell(a_snapshot(desk), 0.1)
    approved(desk)
    desk.tell(m.IntentRecorded(client_id=ENTRY, epoch=7))
    desk.tell(a_failure(ENTRY, Purpose.ENTRY, Failure.UNKNOWN, -1007))
    for _ in range(150):
        out = desk.tick()
        for query in some(m.QueryOrder, out):
            desk.tell(found(query.client_id, there=False))
        if some(m.FetchSnapshot, out):
            desk.tell(a_snapshot(desk, found=(found(there=False),)))
    assert [e.outcome for e in desk.heard(m.EntryEnded)] == ["absent"]
    desk.tell(late(), 3600)
    assert alerts(desk) == ["late_execution"]


def test_a_trade_in_a_snapshot_is_a_late_execution_too():
    desk = absent()
    trade = a_trade(1, ENTRY, Side.BUY)
    out = desk.tell(a_snapshot(desk, trades=(trade,), positions=(a_venue_position(),)), 60)
    assert alerts(desk) == ["late_execution"]
    assert len(some(m.PlaceAlgoOrder, out)) == 2
    assert OrderState.FILLED in [move.state for move in some(m.IntentMoved, out)]


def test_after_a_day_it_is_held_and_protected_still_but_no_longer_watched():
    desk = absent()
    desk.tick(DAY_S + 1)
    out = desk.tell(late())
    assert alerts(desk) == []
    assert len(some(m.PlaceAlgoOrder, out)) == 2


def test_an_entry_that_has_not_left_yet_gives_way():
    desk = absent()
    approved(desk, proposal=SECOND)
    out = desk.tell(late())
    assert one(m.EntryEnded, out).outcome == "not_sent"
    assert len(some(m.PlaceAlgoOrder, out)) == 2
    assert some(m.PlaceOrder, desk.tell(m.IntentRecorded(client_id=SECOND_ENTRY, epoch=7))) == []


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_beside_an_entry_on_its_way_what_came_late_is_closed(side):
    desk = absent()
    approved(desk, proposal=SECOND)
    desk.tell(m.IntentRecorded(client_id=SECOND_ENTRY, epoch=7))
    (order,) = reducing(desk.tell(late(side)))
    assert (order.side, order.quantity) == (side.opposite, 10)
    desk.tell(an_order_event(order.client_id, order.side, trade_id=2, fills="10"))
    assert reducing(desk.wait(3)) == []
    # The entry itself goes its way.
    out = desk.tell(an_order_event(SECOND_ENTRY, trade_id=3, fills="10"))
    assert len(some(m.PlaceAlgoOrder, out)) == 2
    assert one(m.EntryEnded, out).proposal_id == SECOND.proposal_id
    assert desk.machine.brackets[SYMBOL].phase is Phase.OPEN


def test_what_came_late_is_closed_again_and_again_while_the_entry_is_on_its_way():
    desk = absent()
    approved(desk, proposal=SECOND)
    desk.tell(m.IntentRecorded(client_id=SECOND_ENTRY, epoch=7))
    desk.tell(late())
    for order in reducing(tuple(desk.said)):
        desk.tell(a_failure(order.client_id, Purpose.EXIT, Failure.UNKNOWN, -1007))
    assert len({o.client_id for o in reducing(desk.wait(2.5))}) == 2


def test_an_entry_that_ends_beside_a_late_one_leaves_nothing_unguarded():
    desk = absent()
    approved(desk, proposal=SECOND)
    desk.tell(m.IntentRecorded(client_id=SECOND_ENTRY, epoch=7))
    desk.tell(late())
    desk.tell(a_failure(SECOND_ENTRY, Purpose.ENTRY))
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),)), 2.1)
    assert SYMBOL in desk.machine.brackets
    assert len(some(m.PlaceAlgoOrder, out)) == 2


def second_position(desk: Desk) -> None:
    approved(desk, proposal=SECOND)
    desk.tell(m.IntentRecorded(client_id=SECOND_ENTRY, epoch=7))
    desk.tell(an_order_event(SECOND_ENTRY, trade_id=5, fills="10"))
    desk.tell(an_answer(name_of(Purpose.STOP, 0, SECOND), Purpose.STOP))


def test_beside_a_position_of_the_same_side_the_one_stop_covers_both():
    desk = absent()
    second_position(desk)
    out = desk.tell(late(trade_id=6))
    assert one(m.PositionChanged, out).quantity == 20
    assert reducing(desk.wait(1)) == []
    assert desk.machine.brackets[SYMBOL].live_price(Purpose.STOP) == Decimal(98)


def test_a_late_one_that_turns_the_position_is_closed():
    desk = absent()
    second_position(desk)
    big = an_order_event(ENTRY, Side.SELL, trade_id=6, fills="15", executed="15")
    (order,) = reducing(desk.tell(big))
    assert (order.side, order.quantity) == (Side.BUY, 5)
