"""Events in any order, late, twice or never: the same book at the end, and the symbol free."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core import messages as m
from core.messages import Failure, Purpose, Side
from tests.execution.desk import (
    ENTRY,
    STOP,
    SYMBOL,
    TARGET,
    Desk,
    a_failure,
    a_snapshot,
    a_trade,
    an_algo_event,
    an_answer,
    an_order_event,
    approved,
    found,
    is_free,
    ready,
    sent,
)

PART = {"status": "PARTIALLY_FILLED", "fills": "4", "executed": "4"}
# A whole trade as the venue tells it: two fills in, the stop fires, its sibling expires.
EVENTS: tuple[Any, ...] = (
    an_answer(ENTRY, Purpose.ENTRY, "FILLED", "10"),
    an_order_event(ENTRY),
    an_order_event(ENTRY, trade_id=1, **PART),
    an_order_event(ENTRY, trade_id=2, fills="6", executed="10"),
    an_answer(STOP, Purpose.STOP),
    an_algo_event(STOP, "NEW"),
    an_answer(TARGET, Purpose.TARGET),
    an_algo_event(TARGET, "NEW"),
    an_algo_event(STOP, "TRIGGERED"),
    an_order_event(STOP, Side.SELL, trade_id=3, fills="10", price="98"),
    an_algo_event(STOP, "FINISHED"),
    an_algo_event(TARGET, "EXPIRED"),
)
TRADES = (
    a_trade(1, ENTRY, Side.BUY, "4"),
    a_trade(2, ENTRY, Side.BUY, "6"),
    a_trade(3, STOP, Side.SELL, "10", "98"),
)


def heal(desk: Desk, seconds: float = 12, trades: tuple[m.VenueTrade, ...] = TRADES) -> None:
    """A venue on which the trade is over answers whatever it is asked."""
    for _ in range(round(seconds * 5)):
        todo = list(desk.tick(0.2))
        while todo:
            answer = reply(desk, todo.pop(0), trades)
            todo += desk.tell(answer) if answer else ()


def reply(desk: Desk, asked: object, trades: tuple[m.VenueTrade, ...]) -> Any:
    match asked:
        case m.CancelAlgoOrder(client_id=name):
            return m.AlgoGone(client_id=name, symbol=SYMBOL, detail="")
        case m.PlaceAlgoOrder(client_id=name, purpose=purpose):
            return a_failure(name, purpose, Failure.REFUSED, -4509)
        case m.PlaceOrder(client_id=name, purpose=Purpose.EXIT):
            return a_failure(name, Purpose.EXIT, Failure.REFUSED, -2022)
        case m.QueryOrder(client_id=name):
            return found(name)
        case m.FetchSnapshot():
            return a_snapshot(desk, trades=trades, found=(found(),) if asked.unresolved else ())
        case _:
            return None


def check_the_end(desk: Desk) -> None:
    assert is_free(desk)
    fills = desk.heard(m.FillBooked)
    assert sorted(f.trade_id for f in fills) == [1, 2, 3]
    assert len([o for o in desk.heard(m.PlaceOrder) if o.purpose is Purpose.ENTRY]) == 1
    assert len(desk.heard(m.EntryEnded)) == 1


@settings(max_examples=150, deadline=None)
@given(order=st.permutations(range(len(EVENTS))), again=st.lists(st.integers(0, 11), max_size=4))
def test_any_order_and_any_repetition_lead_to_the_same_book(order, again):
    desk = sent()
    for number in (*order, *again):
        desk.tell(EVENTS[number], 0.01)
    heal(desk)
    check_the_end(desk)


@settings(max_examples=150, deadline=None)
@given(
    closer=st.sampled_from(["autoclose-1", "adl_autoclose", "web_1", TARGET]),
    execution=st.sampled_from(["TRADE", "CALCULATED"]),
    order=st.permutations(range(11)),
    again=st.lists(st.integers(0, 10), max_size=4),
    pause=st.sampled_from([0.01, 0.2]),
)
def test_whoever_closes_the_position_any_order_leads_to_the_same_book(
    closer, execution, order, again, pause
):
    """Liquidation, deleveraging, a hand or the target, told in any order and twice."""
    closing = an_order_event(
        closer, Side.SELL, trade_id=3, fills="10", price="98", execution=execution
    )
    ends = tuple(an_algo_event(name, "EXPIRED") for name in (STOP, TARGET))
    events = (*EVENTS[:8], closing, *ends)
    desk = sent()
    for number in (*order, *again):
        desk.tell(events[number], pause)
    heal(desk, 75, trades=(*TRADES[:2], a_trade(3, closer, Side.SELL, "10", "98")))
    check_the_end(desk)


@settings(max_examples=150, deadline=None)
@given(
    heard=st.lists(st.integers(0, len(EVENTS) - 1), max_size=14),
    pauses=st.lists(st.sampled_from([0.0, 0.01, 0.3, 2.5, 6.0]), min_size=14, max_size=14),
)
def test_any_part_of_the_events_with_any_pauses_leads_to_the_same_book(heard, pauses):
    """What the stream swallowed is fetched; nothing leaves the symbol busy for ever."""
    desk = sent()
    for number, pause in zip(heard, pauses, strict=False):
        desk.tell(EVENTS[number], 0.01)
        if pause:
            desk.tick(pause)
    heal(desk, 75)
    check_the_end(desk)


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(
        st.sampled_from(
            [
                *("approve", "recorded", "old epoch", "refused", "unknown", "denied", "found"),
                *("gap", "tick", "second", "snapshot", "restarted symbol"),
            ]
        ),
        max_size=25,
    )
)
def test_a_proposal_is_sent_at_most_once_whatever_happens(steps):
    desk = ready()
    told: dict[str, Any] = {
        "recorded": m.IntentRecorded(client_id=ENTRY, epoch=7),
        "old epoch": m.IntentRecorded(client_id=ENTRY, epoch=6),
        "refused": a_failure(ENTRY, Purpose.ENTRY, Failure.REFUSED, -2019),
        "unknown": a_failure(ENTRY, Purpose.ENTRY, Failure.UNKNOWN, -1007),
        "denied": found(there=False),
        "found": found(),
        "gap": m.StreamUp(stream="private", connection=2),
        "restarted symbol": m.ActorStarted(name="s", symbol=SYMBOL, generation=1),
        "tick": m.Tick(),
    }
    for step in steps:
        if step == "approve":
            approved(desk)
        elif step == "second":
            desk.tick(1)
        elif step == "snapshot":
            desk.tell(a_snapshot(desk), 0.01)
        else:
            desk.tell(told[step], 0.01)
    sends = [o for o in desk.heard(m.PlaceOrder) if o.purpose is Purpose.ENTRY]
    recorded = {r.intent.client_id for r in desk.heard(m.RecordIntent)}
    assert len(sends) <= 1
    assert all(o.client_id in recorded for o in sends)
    assert all(o.quantity == Decimal(10) for o in sends)
