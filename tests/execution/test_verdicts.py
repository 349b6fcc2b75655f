"""Every action that a failure can ask for, and what becomes of entry, stop and exit then."""

from decimal import Decimal

import pytest

from core import messages as m
from core.execution.classify import Action, action_of
from core.execution.order_life import OrderState
from core.messages import Failure, Purpose, Side
from tests.builders import SYMBOL
from tests.execution.desk import (
    ENTRY,
    EXIT,
    STOP,
    a_desk,
    a_failure,
    a_snapshot,
    a_venue_order,
    a_venue_position,
    an_algo_event,
    an_answer,
    an_order_event,
    is_free,
    name_of,
    one,
    opened,
    protected,
    sent,
    some,
)

AGAIN = name_of(Purpose.STOP, 1)
AT_ONCE = "placed again at once, closed when refused twice"
LATER = "placed again after a pause, closed when refused twice"
ASKS = "asks what is true, placed again after a pause, closed when refused twice"
CLOSED = "closed at once"
# What a refused stop leads to, by what its refusal asks for.
STOP_TABLE = {
    Action.RETRY: LATER,
    Action.COOL_DOWN: LATER,
    Action.RESYNC_CLOCK: LATER,
    Action.FLATTEN: CLOSED,
    Action.RESYNC_POSITION: ASKS,
    Action.ADOPT: ASKS,
    Action.WAIT: ASKS,
    Action.REAP: ASKS,
    Action.REFRESH_ACCOUNT: AT_ONCE,
    Action.REDUCE_ONLY: AT_ONCE,
    Action.CLOSE_SYMBOL: AT_ONCE,
    Action.REFRESH_FILTERS: AT_ONCE,
    Action.GONE: AT_ONCE,
    Action.HALT: CLOSED,
    Action.REJECT: AT_ONCE,
}
REFUSED = [action for action in Action if action is not Action.RESOLVE]


def refused(name: str, purpose: Purpose, action: Action, code: int = -9999) -> m.OrderFailed:
    return m.OrderFailed(
        client_id=name,
        symbol=SYMBOL,
        purpose=purpose,
        failure=Failure.REFUSED,
        code=code,
        detail="no",
        action=action,
    )


def exits(out: tuple[object, ...]) -> list[m.PlaceOrder]:
    return [o for o in some(m.PlaceOrder, out) if o.reduce_only]


def stops(out: tuple[object, ...]) -> list[str]:
    return [o.client_id for o in some(m.PlaceAlgoOrder, out) if o.purpose is Purpose.STOP]


def test_the_table_names_every_action():
    assert set(STOP_TABLE) == set(REFUSED)


@pytest.mark.parametrize("action", REFUSED)
def test_a_refused_stop(action):
    desk, follows = opened(), STOP_TABLE[action]
    out = desk.tell(refused(STOP, Purpose.STOP, action))
    assert (stops(out) == [AGAIN]) == (follows == AT_ONCE)
    assert bool(exits(out)) == (follows == CLOSED)
    assert bool(some(m.FetchSnapshot, out)) == (follows == ASKS)
    if follows == CLOSED:
        return
    later = out if follows == AT_ONCE else desk.wait(1.2)
    assert stops(later) == [AGAIN]
    closed = desk.tell(refused(AGAIN, Purpose.STOP, action))
    assert len(exits(closed)) == 1
    assert one(m.ProtectionFailed, closed).symbol == SYMBOL


@pytest.mark.parametrize("action", REFUSED)
def test_a_refused_stop_never_leaves_the_position_naked_for_long(action):
    """Whatever the venue answers: within the limit there is a stop or an exit is on its way."""
    desk = opened()
    for _ in range(60):
        for name in stops(tuple(desk.said[-8:])):
            desk.tell(refused(name, Purpose.STOP, action))
        desk.tick()
    assert exits(tuple(desk.said))
    assert len(stops(tuple(desk.said))) <= 2


@pytest.mark.parametrize("action", [Action.FLATTEN])
def test_a_price_beyond_the_stop_is_no_failure_of_protection(action):
    desk = opened()
    assert some(m.ProtectionFailed, desk.tell(refused(STOP, Purpose.STOP, action))) == []


@pytest.mark.parametrize("action", REFUSED)
def test_a_refused_entry_frees_the_symbol_unless_it_may_exist(action):
    desk = sent()
    out = desk.tell(refused(ENTRY, Purpose.ENTRY, action))
    if action is Action.ADOPT:
        assert one(m.IntentMoved, out).state == OrderState.UNKNOWN
        assert one(m.QueryOrder, desk.tick()).client_id == ENTRY
        return
    assert one(m.EntryEnded, out).outcome == "refused"
    assert is_free(desk)
    assert len(some(m.Halt, out)) == (action is Action.HALT)
    assert len(some(m.Pause, out)) == (action in (Action.CLOSE_SYMBOL, Action.REDUCE_ONLY))
    assert len(some(m.FetchSnapshot, out)) == (action is Action.REFRESH_ACCOUNT)


@pytest.mark.parametrize("action", REFUSED)
def test_a_refused_exit_is_repeated_until_it_succeeds(action):
    desk = protected()
    desk.tell(m.ExitApproval(symbol=SYMBOL, proposal_id="close", reason="CLOSE"))
    out = desk.tell(refused(EXIT, Purpose.EXIT, action))
    assert len(some(m.Halt, out)) == (action is Action.HALT)
    assert [o.client_id for o in exits(desk.wait(1.2))] == [name_of(Purpose.EXIT, 1)]


@pytest.mark.parametrize(
    ("failure", "code", "action"),
    [
        (Failure.UNKNOWN, 0, Action.RESOLVE),
        (Failure.NOT_SENT, 0, Action.RETRY),
        (Failure.REFUSED, -2021, Action.FLATTEN),
        (Failure.REFUSED, -4045, Action.REAP),
        (Failure.REFUSED, -4117, Action.WAIT),
        (Failure.REFUSED, -12345, Action.REJECT),
    ],
)
def test_without_a_word_of_its_action_a_failure_is_judged_by_its_code(failure, code, action):
    assert action_of(a_failure(STOP, Purpose.STOP, failure, code)) is action


# ---------------------------------------- the remaining words of the table
def test_at_the_limit_of_conditional_orders_our_orphans_make_room():
    desk = opened()
    orphan = "afb-S-aaaaaaaaaaaaaaaa-0"
    desk.tell(an_algo_event(orphan, "NEW"))
    desk.machine._orphans.placed(orphan, "ETHUSDT")
    out = desk.tell(refused(STOP, Purpose.STOP, Action.REAP, -4045))
    assert one(m.CancelAlgoOrder, out).client_id == orphan
    assert stops(desk.wait(0.6)) == [AGAIN]


def test_a_stop_that_is_triggering_is_waited_for():
    """Its result comes by the user stream; the position it closed needs no other stop."""
    desk = opened()
    desk.tell(refused(STOP, Purpose.STOP, Action.WAIT, -4117))
    assert stops(desk.wait(0.8)) == []


def test_keys_that_are_refused_halt_and_close():
    desk = opened()
    out = desk.tell(refused(STOP, Purpose.STOP, Action.HALT, -2015))
    assert one(m.Halt, out).source == "execution"
    assert len(exits(out)) == 1


def test_a_cancel_that_meets_a_triggering_stop_is_asked_again():
    desk = protected()
    desk.tell(an_order_event("web_1", Side.SELL, trade_id=2, fills="10"))
    assert {c.client_id for c in some(m.CancelAlgoOrder, desk.wait(1.2))} >= {STOP}
    out = desk.tell(refused(STOP, Purpose.STOP, Action.WAIT, -4117))
    assert stops(out) == exits(out) == []
    assert STOP in {c.client_id for c in some(m.CancelAlgoOrder, desk.wait(2.2))}


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED"])
def test_a_stop_that_ended_with_the_price_beyond_it_is_not_placed_again(status):
    desk = protected()
    desk.tell(m.MarkPrice(symbol=SYMBOL, price=Decimal(98), event_ns=1))
    out = desk.tell(an_algo_event(STOP, status))
    assert stops(out) == []
    assert len(exits(out)) == 1


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED"])
def test_a_target_that_we_cancelled_ourselves_is_not_placed_again(status):
    desk = opened()
    unknown = a_failure(name_of(Purpose.TARGET), Purpose.TARGET, Failure.UNKNOWN, -1007)
    desk.tell(an_answer(STOP, Purpose.STOP))
    desk.tell(unknown)
    assert one(m.CancelAlgoOrder, desk.tell(unknown)).client_id == name_of(Purpose.TARGET)
    assert some(m.PlaceAlgoOrder, desk.tell(an_algo_event(name_of(Purpose.TARGET), status))) == []


def test_a_position_that_cannot_be_closed_for_long_is_told_once():
    desk = protected()
    desk.tell(m.ExitApproval(symbol=SYMBOL, proposal_id="close", reason="CLOSE"))
    for _ in range(200):
        for order in exits(desk.tick()):
            desk.tell(a_failure(order.client_id, Purpose.EXIT, Failure.UNKNOWN, -1007))
        if desk.at_s < 0.3:
            desk.tell(a_failure(EXIT, Purpose.EXIT, Failure.UNKNOWN, -1007))
    told = [e for e in desk.heard(m.ActorEvent) if e.event == "naked"]
    assert len(told) == len(desk.heard(m.ProtectionFailed)) == 1
    assert len(exits(tuple(desk.said))) > 10


def test_an_exit_is_no_larger_than_the_venue_takes_at_once():
    held = {"positions": ((SYMBOL, Decimal(1200)),), "entry_prices": ((SYMBOL, Decimal(100)),)}
    desk = a_desk(**held)
    stop = a_venue_order(Purpose.STOP, STOP)
    desk.tell(a_snapshot(desk, positions=(a_venue_position("1200"),), orders=(stop,)), 0.1)
    out = desk.tell(m.ExitApproval(symbol=SYMBOL, proposal_id="close", reason="CLOSE"))
    assert one(m.PlaceOrder, out).quantity == 500
