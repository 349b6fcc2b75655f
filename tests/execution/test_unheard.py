"""Orders that began or ended while nobody listened: their rows say what the venue says."""

from dataclasses import replace
from decimal import Decimal

import pytest

from core import messages as m
from core.execution.order_life import OrderState, may_become
from core.messages import Failure, Purpose, Side
from tests.builders import an_intent
from tests.execution.desk import (
    STOP,
    SYMBOL,
    TARGET,
    Desk,
    a_desk,
    a_failure,
    a_snapshot,
    a_trade,
    a_venue_order,
    an_algo_event,
    an_order_event,
    name_of,
    opened,
    protected,
    some,
)

EXIT = name_of(Purpose.EXIT)
SEEN = m.OrderSeen(
    venue_id=f"{SYMBOL}:algo:9",
    symbol=SYMBOL,
    side=Side.SELL,
    order_type="STOP_MARKET",
    quantity=Decimal(0),
    price=Decimal(98),
    status="FINISHED",
    at_ns=1,
)


def restarted(state: str, name: str = STOP, purpose: Purpose = Purpose.STOP) -> Desk:
    """A process whose journal holds one order open, and whose account is empty."""
    row = an_intent(client_id=name, purpose=purpose, side=Side.SELL)
    return a_desk(intents=((row, state),))


def asked(desk: Desk) -> list[str]:
    """Compare with a flat venue a minute later; return the orders that are asked for."""
    out = desk.tell(a_snapshot(desk), 60)
    return [query.client_id for query in some(m.QueryOrder, out)]


def answer(name: str, status: str = "", **more: object) -> m.OrderFound:
    return m.OrderFound(client_id=name, symbol=SYMBOL, found=bool(status), status=status, **more)


def states(desk: Desk, name: str) -> list[str]:
    return [move.state for move in desk.heard(m.IntentMoved) if move.client_id == name]


@pytest.mark.parametrize(
    ("status", "state"), [("FINISHED", "FILLED"), ("EXPIRED", "EXPIRED"), ("CANCELED", "CANCELED")]
)
def test_a_stop_that_ended_while_the_process_was_dead_is_closed_as_the_venue_says(status, state):
    desk = restarted("ACKED")
    assert asked(desk) == [STOP]
    out = desk.tell(answer(STOP, status, seen=(SEEN,)))
    assert some(m.OrderSeen, out) == [SEEN]
    assert states(desk, STOP) == [state]
    assert asked(desk) == []


@pytest.mark.parametrize(("before", "after"), [("SENDING", "ABSENT"), ("ACKED", "EXPIRED")])
def test_what_the_venue_denies_three_times_never_was_or_is_forgotten(before, after):
    desk = restarted(before, EXIT, Purpose.EXIT)
    for _ in range(3):
        assert states(desk, EXIT) == []
        assert asked(desk) == [EXIT]
        desk.tell(answer(EXIT))
    assert states(desk, EXIT) == [after]
    assert asked(desk) == []


def test_a_fired_stop_is_asked_for_until_the_order_that_it_became_is_known_too():
    desk = restarted("ACKED")
    assert asked(desk) == [STOP]
    fired = {"venue_id": SEEN.venue_id}
    desk.tell(answer(STOP, "FINISHED", seen=(SEEN,), **fired))
    assert asked(desk) == [STOP]
    child = replace(SEEN, venue_id=f"{SYMBOL}:12", status="FILLED")
    desk.tell(answer(STOP, "FINISHED", seen=(SEEN, child), executed=Decimal(10), **fired))
    assert states(desk, STOP) == ["FILLED"]
    assert asked(desk) == []


def test_a_fill_that_a_snapshot_brings_is_followed_however_often_its_stop_was_said_to_be_over():
    desk = protected()
    for _ in range(2):  # a frame may come twice
        desk.tell(an_algo_event(STOP, "FINISHED"))
    desk.tell(an_order_event(STOP, Side.SELL, status="NEW"))
    trade = a_trade(2, STOP, Side.SELL)
    out = desk.tell(a_snapshot(desk, trades=(trade,)), 60)
    assert STOP in [query.client_id for query in some(m.QueryOrder, out)]
    desk.tell(answer(STOP, "FINISHED", venue_id=SEEN.venue_id, seen=(SEEN,)))
    assert STOP in asked(desk)


def test_denials_within_seconds_are_a_venue_that_lags():
    desk = restarted("ACKED")
    for _ in range(9):
        desk.tell(a_snapshot(desk), 1)
        desk.tell(answer(STOP))
    assert states(desk, STOP) == []
    desk.tell(a_snapshot(desk), 1)
    desk.tell(answer(STOP), 1)
    assert states(desk, STOP) == ["EXPIRED"]


def test_what_the_venue_still_lists_is_open_and_not_asked_for():
    desk = restarted("SENDING")
    out = desk.tell(a_snapshot(desk, orders=(a_venue_order(Purpose.STOP, STOP),)), 0.1)
    assert STOP not in [query.client_id for query in some(m.QueryOrder, out)]
    assert states(desk, STOP)[0] == OrderState.ACKED
    assert [seen.status for seen in some(m.OrderSeen, out)] == ["NEW"]


def test_a_stop_that_only_a_dead_process_knew_of_gets_its_row_at_the_first_look():
    """It was on its way when the process died, before its rows were written."""
    desk = a_desk()
    listed = (a_venue_order(Purpose.STOP, STOP), a_venue_order(Purpose.STOP, "by-hand"))
    out = desk.tell(a_snapshot(desk, orders=listed), 0.1)
    assert [(seen.venue_id, seen.status) for seen in some(m.OrderSeen, out)] == [
        (f"{SYMBOL}:algo:9", "NEW")
    ]
    assert some(m.OrderSeen, desk.tell(a_snapshot(desk, orders=listed), 60)) == []


def test_a_row_that_a_dead_process_left_open_is_asked_for_by_its_number():
    """Its intent died with the process, or another order has its name."""
    gone, there = f"{SYMBOL}:algo:5", f"{SYMBOL}:algo:9"
    desk = a_desk(open_rows=((SYMBOL, gone), (SYMBOL, there)))
    listed = (a_venue_order(Purpose.STOP, STOP),)
    out = desk.tell(a_snapshot(desk, orders=listed), 0.1)
    assert [(q.client_id, q.venue_id) for q in some(m.QueryOrder, out)] == [("", gone)]
    ended = replace(SEEN, venue_id=gone, status="EXPIRED")
    out = desk.tell(answer("", "EXPIRED", venue_id=gone, seen=(ended,)))
    assert some(m.OrderSeen, out) == [ended]
    assert "" not in asked(desk)


def test_a_target_that_a_list_lacks_without_a_word_is_asked_for_and_one_that_was_told_is_not():
    desk = protected()
    desk.tell(an_algo_event(STOP, "NEW"))
    desk.tell(an_algo_event(TARGET, "NEW"))
    desk.tell(an_algo_event(STOP, "EXPIRED"))
    assert asked(desk) == [TARGET]


def test_a_refused_repeat_of_what_a_dead_process_sent_does_not_hide_how_that_one_ended():
    """Its stop had fired before the next process sent it again, by the same name."""
    desk = opened()
    desk.tell(a_failure(STOP, Purpose.STOP, Failure.REFUSED, -4509))
    desk.tell(an_algo_event(STOP, "TRIGGERED"))
    desk.tell(an_algo_event(STOP, "FINISHED"))
    said = states(desk, STOP)
    assert said.index(OrderState.REJECTED) < said.index(OrderState.FILLED)
    assert may_become(OrderState.REJECTED, OrderState.FILLED)


def test_what_a_dead_process_had_by_the_name_of_a_refused_target_is_asked_for():
    """Its row died with the process; its end is why there is no position to protect."""
    desk = opened()
    desk.tell(a_failure(TARGET, Purpose.TARGET, Failure.REFUSED, -4509))
    assert TARGET in asked(desk)
    desk.tell(answer(TARGET, "EXPIRED", seen=(SEEN,)))
    said = states(desk, TARGET)
    assert said.index(OrderState.REJECTED) < said.index(OrderState.EXPIRED)
    assert may_become(OrderState.REJECTED, OrderState.EXPIRED)


def test_a_stop_that_our_cancel_found_firing_is_closed_as_the_event_says():
    desk = protected()
    desk.tell(m.AlgoGone(client_id=STOP, symbol=SYMBOL, detail="was not open any more"))
    desk.tell(an_algo_event(STOP, "TRIGGERING"))
    desk.tell(an_algo_event(STOP, "REJECTED"))
    assert states(desk, STOP)[-1] == OrderState.REJECTED


def test_what_a_fired_stop_became_is_asked_for_until_its_end_is_told():
    desk = protected()
    desk.tell(an_order_event(STOP, Side.SELL, status="PARTIALLY_FILLED"))
    desk.tell(an_algo_event(STOP, "FINISHED"))
    assert STOP in asked(desk)
    desk.tell(answer(STOP, "EXPIRED", seen=(SEEN,)))
    assert STOP not in asked(desk)


def test_a_second_order_of_a_name_is_followed_though_the_first_has_ended():
    desk = protected()
    for status in ("CANCELED", "NEW"):
        desk.tell(an_algo_event(TARGET, status))
    desk.tell(m.AlgoGone(client_id=TARGET, symbol=SYMBOL, detail="was not open any more"))
    assert TARGET in asked(desk)


def test_a_question_that_failed_says_nothing_of_the_order():
    desk = protected()
    before = desk.machine.brackets[SYMBOL].legs[Purpose.STOP].state
    failed = a_failure(STOP, Purpose.STOP, Failure.REFUSED, -1008)
    assert desk.tell(m.OrderFailed(**{**_fields(failed), "of_query": True})) == ()
    assert desk.machine.brackets[SYMBOL].legs[Purpose.STOP].state is before


def test_the_refusal_of_a_repeat_does_not_speak_of_the_attempt_before_it():
    desk = protected()
    leg = desk.machine.brackets[SYMBOL].legs[Purpose.TARGET]
    desk.tell(a_failure(TARGET, Purpose.TARGET, Failure.UNKNOWN))
    assert leg.repeated
    desk.tell(a_failure(TARGET, Purpose.TARGET, Failure.REFUSED, -4509))
    assert OrderState.REJECTED not in states(desk, TARGET)


def _fields(failure: m.OrderFailed) -> dict[str, object]:
    return {name: getattr(failure, name) for name in failure.__dataclass_fields__}
