"""From an approval to a sent entry: at most once for ever, journal first."""

from decimal import Decimal

import pytest

from core import messages as m
from core.execution.order_life import OrderState
from core.messages import Failure, Purpose, Side
from tests.builders import a_proposal, an_intent
from tests.execution.desk import (
    ENTRY,
    SYMBOL,
    Desk,
    a_desk,
    a_failure,
    a_snapshot,
    a_trade,
    a_venue_position,
    an_algo_event,
    an_answer,
    an_order_event,
    approved,
    found,
    is_free,
    name_of,
    one,
    opened,
    ready,
    sent,
    some,
)

RECORDED = m.IntentRecorded(client_id=ENTRY, epoch=7)


def entries(desk: Desk) -> list[m.PlaceOrder]:
    return [o for o in desk.heard(m.PlaceOrder) if o.purpose is Purpose.ENTRY]


def ended(out: tuple[object, ...]) -> str:
    return one(m.EntryEnded, out).outcome


def test_nothing_is_sent_before_the_journal_row_is_on_disk():
    desk = ready()
    out = approved(desk)
    record = one(m.RecordIntent, out)
    assert record.awaited is True
    assert (record.intent.client_id, record.intent.purpose) == (ENTRY, Purpose.ENTRY)
    assert record.intent.reservation is not None
    assert record.intent.decision is not None
    desk.wait(0.4)
    assert entries(desk) == []


def test_the_entry_is_sent_once_when_its_row_is_on_disk():
    desk = ready()
    approved(desk)
    (order,) = desk.tell(RECORDED, 0.001)
    assert order == m.PlaceOrder(
        client_id=ENTRY,
        symbol=SYMBOL,
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        quantity=Decimal(10),
        reduce_only=False,
    )
    assert desk.tell(RECORDED, 0.001) == ()
    assert entries(desk) == [order]


def test_an_approval_told_twice_is_one_entry_and_keeps_its_reservation():
    desk = ready()
    approved(desk)
    assert approved(desk) == ()
    desk.tell(RECORDED)
    assert approved(desk) == ()
    assert len(entries(desk)) == 1
    assert desk.heard(m.EntryEnded) == []


def test_a_proposal_that_was_entered_is_never_entered_again():
    desk = sent()
    desk.tell(a_failure(ENTRY, Purpose.ENTRY))
    assert is_free(desk)
    assert ended(approved(desk)) == "refused"
    desk.tell(RECORDED)
    assert len(entries(desk)) == 1


def test_a_proposal_of_the_journal_is_never_entered_again():
    desk = a_desk(intents=((an_intent(client_id=ENTRY), "FILLED"),))
    desk.tell(a_snapshot(desk), 0.1)
    assert ended(approved(desk)) == "refused"


def test_refuses_before_the_first_reconciliation():
    assert ended(approved(a_desk())) == "refused"


def test_refuses_a_busy_symbol():
    desk = ready()
    approved(desk)
    assert ended(approved(desk, proposal=a_proposal(2))) == "refused"


def test_refuses_the_wish_of_an_older_generation():
    desk = ready()
    desk.tell(m.ActorStarted(name="symbol/BTCUSDT", symbol=SYMBOL, generation=2))
    assert ended(approved(desk)) == "refused"


def test_refuses_an_approval_that_waited_too_long():
    desk = ready()
    assert ended(approved(desk, approved_at_wall_ns=desk.wall_ns - 500_000_001)) == "refused"


@pytest.mark.parametrize("why", ["generation", "epoch", "late"])
def test_a_fenced_or_late_row_is_not_sent(why):
    desk = ready()
    approved(desk)
    if why == "generation":
        desk.tell(m.ActorStarted(name="symbol/BTCUSDT", symbol=SYMBOL, generation=2))
    epoch = 6 if why == "epoch" else 7
    recorded = m.IntentRecorded(client_id=ENTRY, epoch=epoch)
    out = desk.tell(recorded, 0.6 if why == "late" else 0.0)
    assert one(m.IntentMoved, out).state == OrderState.NOT_SENT
    assert ended(out) == "not_sent"
    assert entries(desk) == []
    assert is_free(desk)


def test_a_journal_that_never_answers_costs_the_entry():
    desk = ready()
    approved(desk)
    out = desk.wait(2)
    assert one(m.IntentMoved, out).state == OrderState.NOT_SENT
    assert ended(out) == "not_sent"
    assert desk.tell(RECORDED) == ()
    assert entries(desk) == []


@pytest.mark.parametrize(
    ("failure", "state", "outcome"),
    [
        (Failure.REFUSED, OrderState.REJECTED, "refused"),
        (Failure.NOT_SENT, OrderState.NOT_SENT, "not_sent"),
    ],
)
def test_a_refused_entry_frees_the_symbol(failure, state, outcome):
    desk = sent()
    out = desk.tell(a_failure(ENTRY, Purpose.ENTRY, failure, -2019))
    assert one(m.IntentMoved, out).state == state
    assert ended(out) == outcome
    assert is_free(desk)


@pytest.mark.parametrize("purpose", [Purpose.STOP, Purpose.TARGET])
@pytest.mark.parametrize("failure", [Failure.REFUSED, Failure.UNKNOWN])
def test_a_late_failure_of_an_earlier_trade_s_order_says_nothing_of_the_entry(purpose, failure):
    desk = sent()
    earlier = name_of(purpose, 0, a_proposal(proposal_id="another trade"))
    assert desk.tell(a_failure(earlier, purpose, failure), 0.01) == ()
    desk.tell(an_order_event(ENTRY, Side.BUY, trade_id=1, fills="10"), 0.01)
    assert one(m.EntryEnded, tuple(desk.said)).outcome == "filled"


def test_an_entry_that_expires_without_a_fill_frees_the_symbol():
    desk = sent()
    assert ended(desk.tell(an_answer(ENTRY, Purpose.ENTRY, "EXPIRED"))) == "expired"
    assert is_free(desk)


# ---------------------------------------- the reservation's end
def test_the_reservation_is_released_only_once_the_whole_entry_is_known():
    desk = sent()
    first = an_order_event(ENTRY, trade_id=1, fills="4", status="PARTIALLY_FILLED", executed="4")
    out = desk.tell(first)
    assert one(m.PositionChanged, out).quantity == 4
    assert some(m.EntryEnded, out) == []
    out = desk.tell(an_order_event(ENTRY, trade_id=2, fills="6", executed="10"))
    kinds = [type(x) for x in out]
    assert one(m.PositionChanged, out).quantity == 10
    assert ended(out) == "filled"
    assert kinds.index(m.PositionChanged) < kinds.index(m.EntryEnded)


def test_the_answer_alone_releases_nothing():
    desk = sent()
    out = desk.tell(an_answer(ENTRY, Purpose.ENTRY, "FILLED", "10"))
    assert some(m.EntryEnded, out) == []


def test_an_entry_filled_in_part_and_expired_is_over():
    desk = sent()
    desk.tell(an_order_event(ENTRY, trade_id=1, fills="4", status="PARTIALLY_FILLED"))
    out = desk.tell(an_order_event(ENTRY, status="EXPIRED", executed="4", execution="EXPIRED"))
    assert ended(out) == "filled"


def test_the_reservation_is_released_once():
    desk = opened()
    desk.tell(an_order_event(ENTRY, trade_id=1, fills="10"))
    desk.tell(found())
    assert len(desk.heard(m.EntryEnded)) == 1


# ---------------------------------------- unknown outcomes
def unknown() -> Desk:
    desk = sent()
    out = desk.tell(a_failure(ENTRY, Purpose.ENTRY, Failure.UNKNOWN, -1007))
    assert one(m.IntentMoved, out).state == OrderState.UNKNOWN
    return desk


def test_an_unknown_entry_is_looked_for():
    desk = unknown()
    assert one(m.QueryOrder, desk.tick()).client_id == ENTRY
    assert desk.heard(m.FetchSnapshot)[-1].unresolved == ((SYMBOL, ENTRY),)


def test_an_answer_that_never_comes_is_an_unknown_outcome():
    desk = sent()
    assert some(m.QueryOrder, desk.wait(4.8)) == []
    assert some(m.QueryOrder, desk.wait(1)) != []


def test_an_unknown_entry_that_is_found_is_protected():
    desk = unknown()
    out = desk.tell(found())
    assert {o.purpose for o in some(m.PlaceAlgoOrder, out)} == {Purpose.STOP, Purpose.TARGET}


def test_an_unknown_entry_is_protected_by_its_fill():
    desk = unknown()
    out = desk.tell(an_order_event(ENTRY, trade_id=1, fills="10"))
    assert len(some(m.PlaceAlgoOrder, out)) == 2
    assert ended(out) == "filled"


def test_an_unknown_entry_is_protected_by_its_trade_in_a_snapshot():
    desk = unknown()
    out = desk.tell(
        a_snapshot(desk, trades=(a_trade(1, ENTRY, Side.BUY),), positions=(a_venue_position(),))
    )
    assert len(some(m.PlaceAlgoOrder, out)) == 2
    assert ended(out) == "filled"


def denied(desk: Desk, seconds: float) -> None:
    """The venue answers every question: never heard of it, and flat."""
    for _ in range(round(seconds * 10)):
        out = desk.tick()
        for query in some(m.QueryOrder, out):
            desk.tell(found(query.client_id, there=False))
        if some(m.FetchSnapshot, out):
            desk.tell(a_snapshot(desk, found=(found(there=False),)))


def test_absence_is_believed_after_the_deadline_and_three_denials():
    desk = unknown()
    denied(desk, 5)
    assert desk.heard(m.EntryEnded) == []
    assert SYMBOL in desk.machine.brackets
    denied(desk, 8)
    assert [e.outcome for e in desk.heard(m.EntryEnded)] == ["absent"]
    assert desk.heard(m.IntentMoved)[-1].state == OrderState.ABSENT
    assert is_free(desk)
    assert len(entries(desk)) == 1


def test_denials_before_the_deadline_prove_nothing():
    desk = unknown()
    denied(desk, 4.5)
    desk.wait(1)
    assert desk.heard(m.EntryEnded) == []


def test_an_entry_that_the_venue_spoke_of_is_never_believed_absent():
    """Queries forget for half an hour what events have told."""
    desk = unknown()
    desk.tell(an_order_event(ENTRY))
    denied(desk, 60)
    assert desk.heard(m.EntryEnded) == []
    assert SYMBOL in desk.machine.brackets


def test_an_entry_that_the_venue_took_and_denies_for_an_hour_has_ended_without_a_fill():
    """Ended orders without a fill are forgotten after three days; their symbol must not wait."""
    desk = unknown()
    desk.tell(an_order_event(ENTRY))
    for _ in range(3600):
        desk.tick(1)
        desk.tell(found(there=False))
        if desk.heard(m.FetchSnapshot)[-1].asked_wall_ns == desk.wall_ns:
            desk.tell(a_snapshot(desk))
    assert desk.heard(m.EntryEnded) == []
    denied(desk, 10)
    assert [e.outcome for e in desk.heard(m.EntryEnded)] == ["expired"]
    assert desk.heard(m.IntentMoved)[-1].state == OrderState.EXPIRED
    assert is_free(desk)


def test_an_unknown_entry_costs_few_snapshots():
    """Each is worth a hundred queries: they would use up the weight that its resolution needs."""
    desk = unknown()
    before = len(desk.heard(m.FetchSnapshot))
    denied(desk, 12)
    assert [e.outcome for e in desk.heard(m.EntryEnded)] == ["absent"]
    assert len(desk.heard(m.FetchSnapshot)) - before <= 5
    assert len(desk.heard(m.QueryOrder)) >= 6


def test_a_row_that_was_being_written_when_its_approval_was_forgotten_is_closed():
    """Execution died and its successor's book was read before the row was committed."""
    desk = ready()
    out = desk.tell(m.IntentRecorded(client_id=ENTRY, epoch=7))
    assert one(m.IntentMoved, out).state == OrderState.NOT_SENT
    assert entries(desk) == []


def test_a_row_of_unknown_outcome_that_is_told_again_stays_open():
    held = {"positions": ((SYMBOL, Decimal(10)),), "entry_prices": ((SYMBOL, Decimal(100)),)}
    desk = a_desk(intents=((an_intent(client_id=ENTRY), "SENDING"),), **held)
    assert desk.tell(m.IntentRecorded(client_id=ENTRY, epoch=7)) == ()


def test_a_venue_that_cannot_be_asked_keeps_the_reservation_for_ever():
    desk = unknown()
    for _ in range(300):
        out = desk.tick(1)
        for query in some(m.QueryOrder, out):
            desk.tell(a_failure(query.client_id, Purpose.ENTRY, Failure.UNKNOWN))
        if some(m.FetchSnapshot, out):
            desk.tell(m.SnapshotFailed(reason="timeout"))
    assert desk.heard(m.EntryEnded) == []
    assert len(entries(desk)) == 1


def test_an_id_that_exists_already_is_looked_for_not_believed_refused():
    desk = sent()
    out = desk.tell(a_failure(ENTRY, Purpose.ENTRY, Failure.REFUSED, -4116))
    assert some(m.EntryEnded, out) == []
    assert one(m.QueryOrder, desk.tick()).client_id == ENTRY


def test_an_execution_after_a_verdict_of_absence_is_found_and_protected():
    desk = unknown()
    denied(desk, 15)
    assert is_free(desk)
    out = desk.tell(an_order_event(ENTRY, trade_id=1, fills="10"), 30)
    assert one(m.FetchSnapshot, out)
    assert len(some(m.PlaceAlgoOrder, out)) == 2


# ---------------------------------------- the price of a fill
def test_the_stop_waits_for_a_price_asks_for_it_and_takes_the_decided_one_after_a_second():
    """Not the mark, which may have run through the stop by then."""
    desk = sent()
    desk.tell(m.MarkPrice(symbol=SYMBOL, price=Decimal(101), event_ns=0))
    desk.tell(an_answer(ENTRY, Purpose.ENTRY, "FILLED", "10"))
    assert some(m.QueryOrder, desk.wait(0.2)) == []
    assert [q.client_id for q in some(m.QueryOrder, desk.wait(0.7))] == [ENTRY]
    stop, target = some(m.PlaceAlgoOrder, desk.wait(0.3))
    assert stop.trigger_price == Decimal("98.0")  # two percent from 100
    assert target.trigger_price == Decimal("104.0")


@pytest.mark.parametrize("first", ["event", "query"])
def test_the_price_comes_from_event_or_query_whichever_is_first(first):
    desk = sent()
    desk.tell(an_answer(ENTRY, Purpose.ENTRY, "FILLED", "10"))
    event = an_order_event(ENTRY, trade_id=1, fills="10", price="100")
    answers = [event, found()] if first == "event" else [found(), event]
    assert len(some(m.PlaceAlgoOrder, desk.tell(answers[0]))) == 2
    assert some(m.PlaceAlgoOrder, desk.tell(answers[1])) == []
    assert desk.machine.brackets[SYMBOL].quantity == 10


def test_a_fill_that_the_stream_never_tells_is_fetched():
    desk = sent()
    desk.tell(an_answer(ENTRY, Purpose.ENTRY, "FILLED", "10"))
    desk.tell(found())
    out = desk.wait(3)
    assert some(m.FetchSnapshot, out) != []
    out = desk.tell(
        a_snapshot(desk, trades=(a_trade(1, ENTRY, Side.BUY),), positions=(a_venue_position(),))
    )
    assert some(m.PositionChanged, out)[-1].quantity == 10
    assert ended(out) == "filled"


def test_denials_without_a_snapshot_do_not_prove_absence():
    desk = unknown()
    for _ in range(300):
        for query in some(m.QueryOrder, desk.tick()):
            desk.tell(found(query.client_id, there=False))
    assert desk.heard(m.EntryEnded) == []


def test_an_entry_filled_in_part_and_stopped_out_is_asked_for_until_its_end_is_known():
    """The word that it fills no further was lost: its row and its reservation must not wait."""
    desk = sent()
    desk.tell(an_order_event(ENTRY, trade_id=1, fills="5", executed="5", status="PARTIALLY_FILLED"))
    desk.tell(an_answer(name_of(Purpose.STOP), Purpose.STOP))
    desk.tell(an_algo_event(name_of(Purpose.STOP), "FINISHED"), 1)
    desk.tell(an_order_event(name_of(Purpose.STOP), Side.SELL, trade_id=2, fills="5"), 0.1)
    desk.wait(5)
    assert ENTRY in [asked.client_id for asked in desk.heard(m.QueryOrder)]
    assert desk.heard(m.EntryEnded) == []
    desk.tell(found(status="EXPIRED", executed=Decimal(5)))
    assert [ended.outcome for ended in desk.heard(m.EntryEnded)] == ["filled"]
    moves = [x.state for x in desk.heard(m.IntentMoved) if x.client_id == ENTRY]
    assert moves[-1] == OrderState.EXPIRED
