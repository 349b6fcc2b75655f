"""The second line: what risk let through is judged once more before it leaves."""

from decimal import Decimal

import pytest

from core import messages as m
from core.execution.entry import Entries
from core.execution.orders_out import OrdersOut
from core.messages import Purpose, Side, TradingState
from tests.builders import NOON_NS, SYMBOL, a_book, a_mark, a_proposal, an_account, an_approval
from tests.execution.desk import (
    ENTRY,
    TAG,
    Desk,
    a_desk,
    a_snapshot,
    a_venue_order,
    a_venue_position,
    an_answer,
    an_order_event,
    approved,
    is_free,
    name_of,
    one,
    opened,
    protected,
    ready,
    sent,
    some,
)

RECORDED = m.IntentRecorded(client_id=ENTRY, epoch=7)
CLOSED = [state for state in TradingState if state is not TradingState.ACTIVE]


def a_state(state: TradingState, symbol: str = "", at_ns: int = NOON_NS) -> m.StateChanged:
    return m.StateChanged(
        state=state,
        reason_code="kill",
        reason="a person said so",
        latched_until_day=None,
        at_ns=at_ns,
        symbol=symbol,
    )


def entries(desk: Desk) -> list[m.PlaceOrder]:
    return [o for o in desk.heard(m.PlaceOrder) if o.purpose is Purpose.ENTRY]


# ---------------------------------------- state
@pytest.mark.parametrize("state", CLOSED)
@pytest.mark.parametrize("symbol", ["", SYMBOL])
def test_a_state_that_closed_while_the_row_was_written_sends_nothing(state, symbol):
    desk = ready()
    approved(desk)
    desk.tell(a_state(state, symbol))
    out = desk.tell(RECORDED, 0.001)
    assert one(m.EntryEnded, out).outcome == "not_sent"
    assert state in one(m.EntryEnded, out).detail
    assert entries(desk) == []
    assert is_free(desk)


def test_an_approval_under_a_closed_state_is_refused():
    desk = ready()
    desk.tell(a_state(TradingState.HALTED))
    assert one(m.EntryEnded, approved(desk)).outcome == "refused"


def test_another_symbols_state_closes_nothing():
    desk = ready()
    desk.tell(a_state(TradingState.HALTED, "ETHUSDT"))
    approved(desk)
    desk.tell(RECORDED, 0.001)
    assert len(entries(desk)) == 1


def test_a_later_state_releases():
    desk = ready()
    desk.tell(a_state(TradingState.HALTED))
    desk.tell(a_state(TradingState.ACTIVE, at_ns=NOON_NS + 1))
    approved(desk)
    desk.tell(RECORDED, 0.001)
    assert len(entries(desk)) == 1


def test_a_stored_state_holds_from_the_start():
    desk = a_desk(state=a_state(TradingState.HALTED))
    desk.tell(a_snapshot(desk), 0.1)
    assert one(m.EntryEnded, approved(desk)).outcome == "refused"
    desk = a_desk(symbol_states=(a_state(TradingState.REDUCING, SYMBOL),))
    desk.tell(a_snapshot(desk), 0.1)
    assert one(m.EntryEnded, approved(desk)).outcome == "refused"


def test_a_stored_state_does_not_overrule_a_newer_word():
    desk = Desk()
    desk.tell(m.ActorStarted(name="s", symbol=SYMBOL, generation=1))
    desk.tell(a_state(TradingState.ACTIVE, at_ns=NOON_NS + 5))
    desk.tell(a_book(state=a_state(TradingState.HALTED)))
    desk.tell(a_snapshot(desk), 0.1)
    approved(desk)
    desk.tell(RECORDED, 0.001)
    assert len(entries(desk)) == 1


# ---------------------------------------- what an earlier trade left
def test_a_stop_of_the_trade_before_keeps_the_next_entry_out_until_it_is_gone():
    old = a_venue_order(
        Purpose.STOP, name_of(Purpose.STOP, 0, a_proposal(proposal_id="a")), Side.BUY
    )
    desk = a_desk()
    desk.tell(a_snapshot(desk, orders=(old,)), 0.1)
    ended = one(m.EntryEnded, approved(desk))
    assert (ended.outcome, ended.detail) == (
        "refused",
        f"{old.client_id} of an earlier trade is still open",
    )
    desk.wait(12)
    desk.tell(a_snapshot(desk, orders=(old,)))
    assert {order.client_id for order in desk.heard(m.CancelAlgoOrder)} == {old.client_id}
    desk.tell(m.AlgoGone(client_id=old.client_id, symbol=SYMBOL, detail="canceled"))
    assert one(m.RecordIntent, approved(desk)).intent.purpose is Purpose.ENTRY


def test_a_foreign_stop_keeps_nobody_out():
    desk = a_desk()
    desk.tell(a_snapshot(desk, orders=(a_venue_order(Purpose.STOP, "web_1", Side.BUY),)), 0.1)
    assert one(m.RecordIntent, approved(desk)).intent.purpose is Purpose.ENTRY


# ---------------------------------------- size
@pytest.mark.parametrize(
    ("quantity", "why"),
    [
        ("501", "venue's most"),  # MARKET_LOT_SIZE
        ("10000", "venue's most"),  # the usual size, a thousand times
        ("200", "MAX_ORDER_NOTIONAL_X"),  # 20,000 on an equity of 10,000
        ("0", "no order"),
        ("-10", "no order"),
        ("NaN", "no order"),
        ("Infinity", "no order"),
    ],
)
def test_a_corrupted_size_sends_nothing(quantity, why):
    desk = ready()
    out = approved(desk, quantity=Decimal(quantity))
    assert why in one(m.EntryEnded, out).detail
    desk.tell(RECORDED)
    assert entries(desk) == []
    assert some(m.RecordIntent, tuple(desk.said)) == []


def test_a_quantity_above_its_own_setting_is_refused():
    desk = ready()
    object.__setattr__(desk.machine._gate._settings, "order_quantity_max", lambda _: Decimal(9))
    assert "MAX_ORDER_QTY" in one(m.EntryEnded, approved(desk)).detail


def test_the_equity_of_the_last_snapshot_bounds_the_size():
    desk = ready()
    desk.tell(a_snapshot(desk, account=an_account("600")), 1)
    assert "MAX_ORDER_NOTIONAL_X" in one(m.EntryEnded, approved(desk)).detail
    desk.tell(a_snapshot(desk, account=an_account("700")), 1)
    assert some(m.EntryEnded, approved(desk, proposal=a_proposal(2))) == []


def test_equity_that_fell_while_the_row_was_written_stops_the_entry():
    desk = ready()
    approved(desk)
    desk.tell(a_snapshot(desk, account=an_account("600")), 0.1)
    assert one(m.EntryEnded, desk.tell(RECORDED)).outcome == "not_sent"
    assert entries(desk) == []


def test_no_entry_where_its_stop_would_find_no_room():
    desk = ready()
    others = tuple(a_venue_order(Purpose.STOP, f"web_{n}", symbol="XRPUSDT") for n in range(199))
    out = desk.tell(a_snapshot(desk, orders=others), 1)
    assert one(m.ActorEvent, out).event == "conditional_orders"
    assert "199 conditional orders" in one(m.EntryEnded, approved(desk)).detail


# ---------------------------------------- orders out against approvals in
def test_a_second_entry_of_a_proposal_does_not_leave_and_trading_halts(monkeypatch):
    """The room's own logic gone wrong: it sends again whatever it hears."""
    desk = sent()
    order = entries(desk)[0]
    monkeypatch.setattr(Entries, "failed", lambda *_: (order,))
    out = desk.tell(
        m.OrderFailed(
            client_id=ENTRY,
            symbol=SYMBOL,
            purpose=Purpose.ENTRY,
            failure=m.Failure.UNKNOWN,
            code=-1007,
            detail="",
        )
    )
    assert some(m.PlaceOrder, out) == []
    assert one(m.Halt, out).source == "execution"


def test_an_entry_that_nobody_approved_does_not_leave(monkeypatch):
    desk = ready()
    order = m.PlaceOrder(
        client_id=name_of(Purpose.ENTRY, 0, a_proposal(9)),
        symbol=SYMBOL,
        purpose=Purpose.ENTRY,
        side=m.Side.BUY,
        quantity=Decimal(1),
        reduce_only=False,
    )
    monkeypatch.setattr(Entries, "watch", lambda *_: (order,))
    approved(desk)
    out = desk.tick()
    assert some(m.PlaceOrder, out) == []
    assert "1 approved" in one(m.Halt, out).reason


def test_the_counter_lets_each_approved_proposal_out_once():
    door = OrdersOut(TAG)
    for number in (1, 1, 2):
        door.note(an_approval(a_proposal(number)))
    assert door.approved == 2
    orders = [
        m.PlaceOrder(
            client_id=name_of(Purpose.ENTRY, 0, a_proposal(number)),
            symbol=SYMBOL,
            purpose=Purpose.ENTRY,
            side=m.Side.BUY,
            quantity=Decimal(1),
            reduce_only=False,
        )
        for number in (1, 2, 1, 2, 3)
    ]
    passed = door.passed(tuple(orders))
    assert passed[:2] == tuple(orders[:2])
    assert [type(x) for x in passed[2:]] == [m.Halt] * 3
    assert door.sent == 2


def test_what_reduces_is_never_counted():
    desk = protected()
    out = desk.tell(m.ExitApproval(symbol=SYMBOL, proposal_id="close", reason="CLOSE"))
    assert one(m.PlaceOrder, out).reduce_only


# ---------------------------------------- FLATTEN
def flat_events(desk: Desk, name: str, trade_id: int = 2) -> None:
    desk.tell(an_order_event(name, m.Side.SELL, trade_id=trade_id, fills="10"))


def test_flatten_closes_and_keeps_the_stop_until_it_is_flat():
    desk = protected()
    desk.tell(a_state(TradingState.FLATTEN))
    (order,) = some(m.PlaceOrder, desk.tick())
    assert (order.purpose, order.reduce_only, order.quantity) == (Purpose.EXIT, True, 10)
    assert some(m.CancelAlgoOrder, desk.wait(1.5)) == []
    flat_events(desk, order.client_id)
    cancelled = {c.client_id for c in some(m.CancelAlgoOrder, desk.wait(1.5))}
    assert cancelled == {name_of(Purpose.STOP), name_of(Purpose.TARGET)}


def test_flatten_is_over_only_when_the_venue_shows_nothing_either():
    desk = protected()
    desk.tell(a_state(TradingState.FLATTEN))
    (order,) = some(m.PlaceOrder, desk.tick())
    flat_events(desk, order.client_id)
    for purpose in (Purpose.STOP, Purpose.TARGET):
        desk.tell(m.AlgoGone(client_id=name_of(purpose), symbol=SYMBOL, detail=""))
    assert [e for e in desk.heard(m.ActorEvent) if e.event == "flat"] == []
    assert some(m.FetchSnapshot, desk.wait(0.3)) != []
    desk.tell(a_snapshot(desk), 0.1)
    desk.wait(5)
    assert [e.event for e in desk.heard(m.ActorEvent)] == ["flat"]


def test_flatten_closes_what_fills_while_it_holds():
    desk = sent()
    desk.tell(a_state(TradingState.FLATTEN))
    assert some(m.PlaceOrder, desk.tick()) == []
    desk.tell(an_order_event(ENTRY, trade_id=1, fills="10"))
    (order,) = some(m.PlaceOrder, desk.tick())
    assert order.reduce_only


def test_flatten_found_in_the_database_closes_what_is_adopted():
    desk = a_desk(
        state=a_state(TradingState.FLATTEN),
        positions=((SYMBOL, Decimal(10)),),
        entry_prices=((SYMBOL, Decimal(100)),),
    )
    desk.tell(a_snapshot(desk, positions=(a_venue_position(),)), 0.1)
    (order,) = some(m.PlaceOrder, desk.tick())
    assert order.reduce_only


def test_flatten_of_one_symbol_leaves_the_others_alone():
    desk = protected()
    desk.tell(a_state(TradingState.FLATTEN, "ETHUSDT"))
    assert some(m.PlaceOrder, desk.wait(1)) == []
    desk.tell(a_state(TradingState.FLATTEN, SYMBOL))
    assert len(some(m.PlaceOrder, desk.tick())) == 1


def test_flatten_repeats_until_it_is_flat():
    desk = protected()
    desk.tell(a_state(TradingState.FLATTEN))
    (order,) = some(m.PlaceOrder, desk.tick())
    part = {"status": "EXPIRED", "executed": "4"}
    desk.tell(an_order_event(order.client_id, m.Side.SELL, trade_id=2, fills="4", **part))
    assert [o.quantity for o in some(m.PlaceOrder, desk.wait(2.5))] == [6]


def test_a_halt_keeps_positions_and_stops():
    desk = opened()
    desk.tell(an_order_event(ENTRY, trade_id=1, fills="10"))
    desk.tell(a_state(TradingState.HALTED))
    assert [o for o in some(m.PlaceOrder, desk.wait(1)) if o.reduce_only] == []


def test_flatten_closes_what_was_executed_though_its_fill_was_not_heard_of():
    desk = sent()
    desk.tell(an_answer(ENTRY, Purpose.ENTRY, "FILLED", "10"), 0.01)  # the stream lost the fill
    desk.tell(a_mark("100"), 0.01)
    assert some(m.PlaceAlgoOrder, desk.wait(1.5))
    desk.tell(a_state(TradingState.FLATTEN))
    exits = [o for o in some(m.PlaceOrder, desk.wait(0.3)) if o.reduce_only]
    assert [o.quantity for o in exits] == [10]
