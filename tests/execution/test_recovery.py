"""One reconciliation for start, gap and drop copy: the venue is right, ours is protected."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from core import messages as m
from core.clock import NS_PER_DAY
from core.execution import reconcile
from core.execution.income import LAG_NS
from core.execution.order_life import OrderState
from core.messages import Purpose, Side
from tests.builders import SYMBOL, a_book, a_moment, a_proposal, an_intent
from tests.execution.desk import (
    ENTRY,
    EXIT,
    STOP,
    SYMBOLS,
    TAG,
    TARGET,
    Desk,
    a_desk,
    a_failure,
    a_snapshot,
    a_trade,
    a_venue_order,
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
    protected,
    ready,
    sent,
    some,
)

STOP_ORDER = a_venue_order(Purpose.STOP, STOP)
TARGET_ORDER = a_venue_order(Purpose.TARGET, TARGET)
HELD = {
    "positions": ((SYMBOL, Decimal(10)),),
    "entry_prices": ((SYMBOL, Decimal(100)),),
    "last_trade_ids": ((SYMBOL, 1),),
}
JOURNAL = tuple(
    (an_intent(client_id=name, purpose=purpose, side=side), state)
    for name, purpose, side, state in (
        (ENTRY, Purpose.ENTRY, Side.BUY, "FILLED"),
        (STOP, Purpose.STOP, Side.SELL, "ACKED"),
        (TARGET, Purpose.TARGET, Side.SELL, "ACKED"),
    )
)


def legs(out: tuple[object, ...]) -> list[str]:
    return [o.client_id for o in some(m.PlaceAlgoOrder, out)]


# ---------------------------------------- the plan
def plan(desk: Desk, held: dict[str, str], settled=SYMBOLS, **venue) -> reconcile.Plan:
    ours = {s: Decimal(q) for s, q in held.items()}
    return reconcile.plan(a_snapshot(desk, **venue), ours, TAG, frozenset(settled))


def test_equal_books_need_nothing():
    assert plan(Desk(), {SYMBOL: "0"}) == reconcile.Plan(actions=(), foreign_orders=0)


def test_an_own_position_is_adopted_with_the_orders_found():
    position = a_venue_position()
    found = plan(Desk(), {SYMBOL: "10"}, positions=(position,), orders=(STOP_ORDER,))
    assert found.actions == (reconcile.Adopt(position=position, stop=STOP_ORDER, target=None),)


def test_orders_on_the_wrong_side_or_of_others_protect_nothing():
    wrong = a_venue_order(Purpose.STOP, STOP, side=Side.BUY)
    foreign = a_venue_order(Purpose.STOP, "web_1")
    found = plan(Desk(), {SYMBOL: "10"}, positions=(a_venue_position(),), orders=(wrong, foreign))
    assert found.actions[0].stop is None
    assert [a.order for a in found.actions[1:]] == [wrong]
    assert found.foreign_orders == 1


def test_a_second_stop_is_removed():
    second = a_venue_order(Purpose.STOP, name_of(Purpose.STOP, 1))
    found = plan(
        Desk(), {SYMBOL: "10"}, positions=(a_venue_position(),), orders=(STOP_ORDER, second)
    )
    assert found.actions[1] == reconcile.Remove(order=second, why="no position to protect")


def test_a_vanished_position_is_forgotten_and_its_orders_removed():
    found = plan(Desk(), {SYMBOL: "10"}, orders=(STOP_ORDER,))
    assert [type(a) for a in found.actions] == [reconcile.Forget, reconcile.Remove]


def test_a_position_on_the_other_side_is_foreign_and_ours_is_gone():
    found = plan(Desk(), {SYMBOL: "10"}, positions=(a_venue_position("-5"),))
    assert [type(a) for a in found.actions] == [reconcile.Forget, reconcile.Foreign]


def test_unsettled_symbols_are_left_alone():
    found = plan(Desk(), {SYMBOL: "10"}, settled=("ETHUSDT",), orders=(STOP_ORDER,))
    assert found.actions == ()


# ---------------------------------------- start
def test_entries_wait_until_an_own_position_without_a_stop_is_protected():
    desk = a_desk(**HELD, intents=JOURNAL)
    assert desk.heard(m.ReconcilePending)
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),)), 0.1)
    again = [name_of(Purpose.STOP, 1), name_of(Purpose.TARGET, 1)]  # used ids stay used
    assert legs(out) == again
    assert some(m.Reconciled, out) == []
    assert one(m.EntryEnded, approved(desk, proposal=a_proposal(2))).outcome == "refused"
    desk.tell(an_answer(again[0], Purpose.STOP))
    assert one(m.Reconciled, desk.tick())


def test_an_own_position_is_adopted_with_its_live_orders():
    desk = a_desk(**HELD, intents=JOURNAL)
    out = desk.tell(
        a_snapshot(desk, positions=(a_venue_position(),), orders=(STOP_ORDER, TARGET_ORDER)),
        0.1,
    )
    assert legs(out) == []
    told = next(p for p in some(m.PositionChanged, out) if p.symbol == SYMBOL)
    assert (told.quantity, told.stop_price, told.target_price) == (10, 98, 104)
    assert "protected" in one(m.Reconciled, out).report[0]
    for event in (
        an_order_event(STOP, Side.SELL, trade_id=2, fills="10"),
        an_algo_event(STOP, "FINISHED"),
        an_algo_event(TARGET, "EXPIRED"),
    ):
        desk.tell(event)
    assert is_free(desk)


def test_a_position_without_a_journal_gets_the_symbols_own_distances():
    desk = a_desk(**HELD)
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),)), 0.1)
    assert [o.trigger_price for o in some(m.PlaceAlgoOrder, out)] == [98, 104]


def test_an_entry_filled_while_we_were_down_is_booked_and_protected():
    desk = a_desk(intents=((an_intent(client_id=ENTRY), "SENDING"),))
    assert desk.heard(m.FetchSnapshot)[0].unresolved == ((SYMBOL, ENTRY),)
    out = desk.tell(
        a_snapshot(desk, trades=(a_trade(1, ENTRY, Side.BUY),), positions=(a_venue_position(),)),
        0.1,
    )
    assert one(m.FillBooked, out).purpose is Purpose.ENTRY
    assert legs(out) == [STOP, TARGET]
    assert one(m.EntryEnded, out).outcome == "filled"
    assert some(m.PlaceOrder, tuple(desk.said)) == []


def test_a_position_closed_while_we_were_down_is_booked_from_its_trades():
    desk = a_desk(**HELD, intents=JOURNAL)
    assert dict(desk.heard(m.FetchSnapshot)[0].trades_after)[SYMBOL] == 1
    out = desk.tell(a_snapshot(desk, trades=(a_trade(2, STOP, Side.SELL, price="98"),)), 0.1)
    fill = one(m.FillBooked, out)
    assert (fill.purpose, fill.price) == (Purpose.STOP, 98)
    assert one(m.Reconciled, out)
    assert is_free(desk)


def test_risk_is_told_of_every_symbol_that_is_flat_at_a_start():
    """Risk outlives execution: what it believes of a symbol may have died with the old one."""
    desk = a_desk()
    out = desk.tell(a_snapshot(desk), 0.1)
    told = {p.symbol: (p.quantity, p.busy) for p in some(m.PositionChanged, out)}
    assert told == dict.fromkeys(SYMBOLS, (0, False))


def test_exit_ids_of_an_earlier_life_are_not_used_again():
    exit_row = (an_intent(client_id=EXIT, purpose=Purpose.EXIT, side=Side.SELL), "UNKNOWN")
    desk = a_desk(**HELD, intents=(*JOURNAL, exit_row))
    desk.tell(a_snapshot(desk, positions=(a_venue_position(),)), 0.1)
    (order,) = some(m.PlaceOrder, desk.wait(5.5))
    assert order.client_id == name_of(Purpose.EXIT, 1)


def test_a_held_symbol_that_is_not_configured_any_more_is_closed_when_unprotected():
    desk = a_desk(
        positions=(("DOGEUSDT", Decimal(10)),), entry_prices=(("DOGEUSDT", Decimal(100)),)
    )
    assert "DOGEUSDT" in desk.heard(m.FetchSnapshot)[0].symbols
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position("10", "DOGEUSDT"),)), 0.1)
    (order,) = some(m.PlaceOrder, out)
    assert (order.symbol, order.purpose, order.reduce_only) == ("DOGEUSDT", Purpose.EXIT, True)


def test_foreign_positions_are_counted_and_not_touched():
    desk = a_desk()
    foreign = a_venue_position("-3", "XRPUSDT")
    order = a_venue_order(Purpose.STOP, "web_1", symbol="XRPUSDT")
    out = desk.tell(a_snapshot(desk, positions=(foreign,), orders=(order,)), 0.1)
    told = next(p for p in some(m.PositionChanged, out) if p.symbol == "XRPUSDT")
    assert (told.quantity, told.foreign) == (-3, True)
    done = one(m.Reconciled, out)
    assert (done.foreign_positions, done.foreign_orders) == (1, 1)
    assert some(m.CancelAlgoOrder, out) == some(m.PlaceOrder, out) == []
    out = desk.tell(a_snapshot(desk), 60)
    assert [p.symbol for p in some(m.PositionChanged, out) if p.symbol == "XRPUSDT"]


# ---------------------------------------- gaps, drop copies, lost snapshots
def test_a_gap_in_the_user_stream_stops_entries_until_compared():
    desk = ready()
    out = desk.tell(m.StreamUp(stream="private", connection=2))
    assert one(m.ReconcilePending, out)
    assert one(m.FetchSnapshot, out)
    assert one(m.EntryEnded, approved(desk)).outcome == "refused"
    assert one(m.Reconciled, desk.tell(a_snapshot(desk), 0.1))


def test_a_snapshot_from_before_the_gap_does_not_close_it():
    desk = ready()
    old = a_snapshot(desk)
    desk.tell(m.StreamUp(stream="private", connection=2), 1)
    assert some(m.Reconciled, desk.tell(old, 0.1)) == []
    assert one(m.Reconciled, desk.tell(a_snapshot(desk), 0.1))


def test_the_first_connection_and_the_market_stream_need_no_comparison():
    desk = ready()
    assert desk.tell(m.StreamUp(stream="private", connection=1)) == ()
    assert desk.tell(m.StreamUp(stream="market", connection=3)) == ()


def test_a_failed_snapshot_is_asked_for_again():
    desk = a_desk()
    desk.tell(m.SnapshotFailed(reason="timeout"), 1)
    assert some(m.FetchSnapshot, desk.wait(1.8)) == []
    assert len(some(m.FetchSnapshot, desk.wait(0.5))) == 1


def test_a_snapshot_that_never_comes_is_asked_for_again():
    desk = a_desk()
    assert some(m.FetchSnapshot, desk.wait(14)) == []
    assert len(some(m.FetchSnapshot, desk.wait(2))) == 1


def test_every_minute_the_venue_is_compared_with():
    desk = ready()
    assert some(m.FetchSnapshot, desk.wait(59.5)) == []
    assert len(some(m.FetchSnapshot, desk.wait(1))) == 1


def test_a_second_round_finds_nothing_to_do():
    desk = a_desk(**HELD, intents=JOURNAL)
    venue = {"positions": (a_venue_position(),), "orders": (STOP_ORDER, TARGET_ORDER)}
    desk.tell(a_snapshot(desk, **venue), 0.1)
    snapshot = a_snapshot(desk, **venue)
    assert desk.tell(snapshot, 60) == (snapshot.account,)


@settings(max_examples=60, deadline=None)
@given(
    held=st.sampled_from(["0", "10", "-10"]),
    there=st.sampled_from(["0", "10", "5", "-10"]),
    orders=st.sets(st.sampled_from(["stop", "target", "second", "foreign"])),
)
def test_any_second_round_asks_nothing_of_the_venue(held, there, orders):
    closing = Side.SELL if Decimal(there or 0) > 0 else Side.BUY
    rows = {
        "stop": a_venue_order(Purpose.STOP, STOP, closing),
        "target": a_venue_order(Purpose.TARGET, TARGET, closing),
        "second": a_venue_order(Purpose.STOP, name_of(Purpose.STOP, 3), closing),
        "foreign": a_venue_order(Purpose.STOP, "web_1", closing),
    }
    listed = [rows[o] for o in sorted(orders)]
    positions = (a_venue_position(there),) if there != "0" else ()
    desk = a_desk(positions=((SYMBOL, Decimal(held)),), entry_prices=((SYMBOL, Decimal(100)),))
    for _ in range(2):
        out = desk.tell(a_snapshot(desk, positions=positions, orders=tuple(listed)), 1)
        for placed in some(m.PlaceAlgoOrder, out):
            desk.tell(an_answer(placed.client_id, placed.purpose))
            listed.append(a_venue_order(placed.purpose, placed.client_id, placed.side))
        for gone in some(m.CancelAlgoOrder, out):
            desk.tell(m.AlgoGone(client_id=gone.client_id, symbol=SYMBOL, detail=""))
            listed = [o for o in listed if o.client_id != gone.client_id]
    out = desk.tell(a_snapshot(desk, positions=positions, orders=tuple(listed)), 1)
    assert not some(m.PlaceAlgoOrder, out) + some(m.CancelAlgoOrder, out)
    assert not some(m.PlaceOrder, tuple(desk.said))
    assert any(o.client_id == "web_1" for o in listed) == ("foreign" in orders)


def test_a_drop_copy_leaves_symbols_alone_whose_orders_are_in_flight():
    for desk in (sent(), opened()):
        before = desk.machine.brackets[SYMBOL].phase
        out = desk.tell(a_snapshot(desk), 0.01)
        assert not some(m.CancelAlgoOrder, out) + some(m.PlaceAlgoOrder, out)
        assert desk.machine.brackets[SYMBOL].phase is before


def test_a_drop_copy_older_than_the_last_fill_changes_nothing():
    desk = protected()
    old = a_snapshot(desk, taken_at_wall_ns=desk.wall_ns - 10**9)
    out = desk.tell(old, 0.01)
    assert some(m.PositionChanged, out) == []
    assert desk.machine.brackets[SYMBOL].quantity == 10


def test_a_drop_copy_that_met_a_change_is_repeated_soon():
    desk = protected()
    desk.tell(a_snapshot(desk, taken_at_wall_ns=desk.wall_ns - 10**9), 0.01)
    assert len(some(m.FetchSnapshot, desk.wait(2.5))) == 1


def test_a_drop_copy_places_a_stop_that_is_missing():
    desk = protected()
    desk.tick(1)
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),), orders=(TARGET_ORDER,)), 0.1)
    assert legs(out) == [name_of(Purpose.STOP, 1)]
    assert one(m.PositionChanged, out).stop_price is None


def test_a_target_whose_answer_never_comes_is_placed_again():
    """Until then its symbol was left out of every comparison, for ever."""
    desk = opened()
    desk.tell(an_answer(STOP, Purpose.STOP))
    for _ in range(40):
        desk.tick(1)
        venue = {"positions": (a_venue_position(),), "orders": (STOP_ORDER,)}
        desk.tell(a_snapshot(desk, **venue), 0.01)
    placed = [o.client_id for o in desk.heard(m.PlaceAlgoOrder) if o.purpose is Purpose.TARGET]
    assert placed == [TARGET, name_of(Purpose.TARGET, 1)]


def test_a_position_that_vanished_frees_the_symbol_once_its_orders_are_gone():
    desk = protected()
    desk.tick(11)
    out = desk.tell(a_snapshot(desk), 0.1)
    asked = {c.client_id for c in some(m.CancelAlgoOrder, out + desk.wait(1.5))}
    assert asked == {STOP, TARGET}
    assert not is_free(desk)
    for name in sorted(asked):
        desk.tell(m.AlgoGone(client_id=name, symbol=SYMBOL, detail=""))
    assert is_free(desk)


def test_a_trade_that_the_stream_lost_is_booked_once():
    desk = protected()
    trade = a_trade(2, STOP, Side.SELL, price="98")
    out = desk.tell(a_snapshot(desk, trades=(trade,)), 0.1)
    assert one(m.FillBooked, out).trade_id == 2
    assert one(m.PositionChanged, out).quantity == 0
    assert some(m.FillBooked, desk.tell(an_order_event(STOP, trade_id=2, fills="10"))) == []


def test_an_orphan_is_cancelled_and_its_journal_row_closed():
    desk = ready()
    out = desk.tell(a_snapshot(desk, orders=(STOP_ORDER,)), 1)
    assert one(m.CancelAlgoOrder, out).client_id == STOP
    out = desk.tell(m.AlgoGone(client_id=STOP, symbol=SYMBOL, detail="cancelled"))
    assert one(m.IntentMoved, out).state == OrderState.CANCELED


def test_a_trade_the_stream_lost_is_fetched_even_if_later_ones_were_heard():
    desk = opened()  # trade 1
    desk.tell(an_order_event(ENTRY, trade_id=3, fills="1"))
    desk.tick(60)
    assert dict(desk.heard(m.FetchSnapshot)[-1].trades_after)[SYMBOL] == 0
    trades = tuple(a_trade(n, ENTRY, Side.BUY, "1") for n in (1, 2, 3))
    out = desk.tell(a_snapshot(desk, trades=trades), 0.1)
    assert one(m.FillBooked, out).trade_id == 2
    desk.tick(61)
    assert dict(desk.heard(m.FetchSnapshot)[-1].trades_after)[SYMBOL] == 3


def test_a_position_that_no_exit_can_reduce_and_no_snapshot_shows_is_forgotten():
    desk = protected()
    desk.tell(m.ExitApproval(symbol=SYMBOL, proposal_id="close-1", reason="CLOSE"))
    desk.tell(a_failure(EXIT, Purpose.EXIT, code=-2022), 0.1)
    desk.tell(a_snapshot(desk), 0.1)
    for name in (STOP, TARGET):
        desk.tell(m.AlgoGone(client_id=name, symbol=SYMBOL, detail=""))
    assert is_free(desk)


def test_an_entry_that_never_was_a_position_is_never_told_as_one():
    """Risk would wait for ever for the word that such a symbol is free again."""
    desk = sent()
    told = len(desk.heard(m.PositionChanged))
    desk.tell(an_order_event(ENTRY))
    desk.tell(an_order_event("web_1", trade_id=9, fills="1"))
    desk.tell(a_failure(ENTRY, Purpose.ENTRY))
    assert len(desk.heard(m.PositionChanged)) == told
    assert is_free(desk)


def test_an_entry_that_filled_in_part_and_was_closed_is_only_asked_how_it_ended():
    """The process died before the word that it fills no further; its fills were booked."""
    row = (an_intent(client_id=ENTRY), OrderState.ACKED)
    desk = a_desk(intents=(row,), booked=(ENTRY,))
    desk.tell(a_snapshot(desk), 0.1)
    assert ENTRY in [asked.client_id for asked in some(m.QueryOrder, desk.wait(2))]
    out = desk.tell(found(ENTRY, status="EXPIRED", executed=Decimal(5), average_price=Decimal(100)))
    assert one(m.IntentMoved, out).state == OrderState.EXPIRED
    assert one(m.EntryEnded, out).outcome == "filled"
    desk.wait(70)
    assert desk.heard(m.PlaceAlgoOrder) == desk.heard(m.PlaceOrder) == []
    assert is_free(desk)


def test_a_snapshot_that_still_shows_what_was_just_closed_makes_nothing_foreign():
    desk = protected()
    old = a_snapshot(desk, positions=(a_venue_position(),), orders=(STOP_ORDER,))
    for event in (
        an_order_event(STOP, Side.SELL, trade_id=2, fills="10"),
        an_algo_event(STOP, "FINISHED"),
        an_algo_event(TARGET, "EXPIRED"),
    ):
        desk.tell(event, 0.1)
    out = desk.tell(old, 0.1)
    assert {type(said) for said in out} == {m.AccountSnapshot, m.OrderSeen}
    assert is_free(desk)


def test_a_snapshot_that_a_predecessor_asked_for_takes_no_stop_away():
    """It tells no trade that the predecessor knew, and the journal had not heard of it yet."""
    desk = a_desk()
    legs = (a_venue_order(Purpose.STOP, STOP), a_venue_order(Purpose.TARGET, TARGET))
    asked_wall_ns = one(m.FetchSnapshot, tuple(desk.said)).asked_wall_ns
    late = a_snapshot(
        desk, positions=(a_venue_position(),), orders=legs, asked_wall_ns=asked_wall_ns - 1
    )
    assert some(m.CancelAlgoOrder, desk.tell(late, 0.1)) == []
    assert desk.heard(m.Reconciled) == []
    trades = (a_trade(1, ENTRY, Side.BUY),)
    own = a_snapshot(
        desk,
        positions=(a_venue_position(),),
        orders=legs,
        trades=trades,
        asked_wall_ns=asked_wall_ns,
    )
    out = desk.tell(own, 0.1)
    assert some(m.CancelAlgoOrder, out) == []
    assert one(m.Reconciled, out).foreign_positions == 0


def test_an_entry_without_an_outcome_whose_position_is_gone_ends_by_what_the_venue_says():
    """It filled, the process died before the row moved on, and its stop fired before the start."""
    held = {"positions": ((SYMBOL, Decimal(10)),), "entry_prices": ((SYMBOL, Decimal(100)),)}
    desk = a_desk(intents=((an_intent(client_id=ENTRY), "SENDING"),), **held)
    asked = desk.heard(m.FetchSnapshot)[0]
    assert asked.unresolved == ((SYMBOL, ENTRY),)
    found = m.OrderFound(
        client_id=ENTRY, symbol=SYMBOL, found=True, status="FILLED", executed=Decimal(10)
    )
    out = desk.tell(a_snapshot(desk, found=(found,)), 0.1)
    assert one(m.EntryEnded, out).outcome == "filled"
    assert [x.state for x in some(m.IntentMoved, out) if x.client_id == ENTRY] == ["FILLED"]
    desk.wait(61)
    assert desk.heard(m.FetchSnapshot)[-1].unresolved == ()


def test_an_entry_that_nothing_follows_is_believed_absent_after_three_denials():
    held = {"positions": ((SYMBOL, Decimal(10)),), "entry_prices": ((SYMBOL, Decimal(100)),)}
    desk = a_desk(intents=((an_intent(client_id=ENTRY), "SENDING"),), **held)
    denied = m.OrderFound(client_id=ENTRY, symbol=SYMBOL, found=False)
    desk.tell(a_snapshot(desk), 0.1)
    for _ in range(5):  # it may still begin to exist
        desk.tell(denied, 1)
    for _ in range(3):
        desk.tell(denied, 1)
        desk.tell(denied, 0.1)
    assert desk.heard(m.EntryEnded) == []  # no snapshot since then shows that it has no trade
    assert some(m.FetchSnapshot, desk.tick())
    desk.tell(a_snapshot(desk), 0.1)
    desk.tell(denied, 0.1)
    assert desk.heard(m.EntryEnded)[0].outcome == "absent"


def test_an_entry_that_nothing_follows_and_the_venue_denies_for_an_hour_has_ended():
    held = {"positions": ((SYMBOL, Decimal(10)),), "entry_prices": ((SYMBOL, Decimal(100)),)}
    desk = a_desk(intents=((an_intent(client_id=ENTRY), "ACKED"),), **held)
    for wait_s in (60, 3500):
        for _ in range(10):
            desk.tell(m.OrderFound(client_id=ENTRY, symbol=SYMBOL, found=False), 1)
        assert desk.heard(m.EntryEnded) == []
        desk.tell(a_snapshot(desk), wait_s)
    desk.tell(m.OrderFound(client_id=ENTRY, symbol=SYMBOL, found=False), 60)
    assert [e.outcome for e in desk.heard(m.EntryEnded)] == ["expired"]
    assert desk.heard(m.IntentMoved)[-1].state == OrderState.EXPIRED


def test_an_entry_that_nothing_follows_is_asked_for_without_waiting_for_a_drop_copy():
    held = {"positions": ((SYMBOL, Decimal(10)),), "entry_prices": ((SYMBOL, Decimal(100)),)}
    desk = a_desk(intents=((an_intent(client_id=ENTRY), "SENDING"),), **held)
    desk.wait(5)
    assert 4 <= len(desk.heard(m.QueryOrder)) <= 6
    assert {asked.client_id for asked in desk.heard(m.QueryOrder)} == {ENTRY}
    asked = len(desk.heard(m.QueryOrder))
    desk.wait(600)
    assert len(desk.heard(m.QueryOrder)) - asked < 30


def test_a_list_that_lags_behind_a_fill_makes_no_position_vanish():
    """Its symbol would be free for another entry, which would add to it or turn it."""
    desk = protected()
    desk.tell(a_snapshot(desk), 0.02)
    assert desk.machine.holdings.of(SYMBOL).quantity == 10
    assert one(m.EntryEnded, approved(desk, proposal=a_proposal(2))).outcome == "refused"
    assert some(m.FetchSnapshot, desk.wait(2.5)) != []
    desk.tick(11)
    desk.tell(a_snapshot(desk), 0.1)
    assert desk.machine.holdings.of(SYMBOL).quantity == 0


def test_a_vanished_position_leaves_no_entry_without_an_end():
    """The venue shows neither it nor more of its trades; how its entry ended is still asked for."""
    desk = sent()
    part = {"trade_id": 1, "fills": "4", "status": "PARTIALLY_FILLED"}
    desk.tell(an_order_event(ENTRY, **part))
    for name, purpose in ((STOP, Purpose.STOP), (TARGET, Purpose.TARGET)):
        desk.tell(an_answer(name, purpose), 0.01)
    desk.tick(11)
    desk.tell(a_snapshot(desk), 0.1)
    for name in (STOP, TARGET):
        desk.tell(m.AlgoGone(client_id=name, symbol=SYMBOL, detail=""))
    assert is_free(desk)
    assert desk.heard(m.EntryEnded) == []
    assert ENTRY in [asked.client_id for asked in some(m.QueryOrder, desk.wait(2))]
    ended = m.OrderFound(
        client_id=ENTRY, symbol=SYMBOL, found=True, status="EXPIRED", executed=Decimal(6)
    )
    out = desk.tell(ended)
    assert one(m.IntentMoved, out).state == OrderState.EXPIRED
    assert one(m.EntryEnded, out).outcome == "filled"
    assert is_free(desk)
    assert some(m.QueryOrder, desk.wait(70)) == []


def test_an_entry_the_venue_once_took_is_never_believed_absent_when_it_forgot_the_order():
    desk = a_desk(intents=((an_intent(client_id=ENTRY), "ACKED"),))
    for _ in range(20):
        desk.wait(1)
        desk.tell(m.OrderFound(client_id=ENTRY, symbol=SYMBOL, found=False))
        desk.tell(a_snapshot(desk), 0.01)
    assert desk.heard(m.EntryEnded) == []
    assert [x for x in desk.heard(m.IntentMoved) if x.state == OrderState.ABSENT] == []


# ---------------------------------------- income
def an_income(at_ns: int, number: int = 1) -> m.VenueIncome:
    return m.VenueIncome(
        kind="FUNDING_FEE",
        transaction_id=number,
        symbol=SYMBOL,
        asset="USDT",
        amount=Decimal("-0.1"),
        at_ns=at_ns,
    )


def asked_income_after(desk: Desk) -> int:
    desk.wait(61)
    return desk.heard(m.FetchSnapshot)[-1].income_after_ns


def test_funding_paid_while_the_process_was_dead_is_booked_once():
    known_ns = a_moment(0).venue_ns - 30 * NS_PER_DAY
    desk = a_desk(income_up_to_ns=known_ns)
    assert desk.heard(m.FetchSnapshot)[0].income_after_ns == known_ns
    missed = tuple(an_income(known_ns + n * LAG_NS, n) for n in (1, 2, 3))
    out = desk.tell(a_snapshot(desk, income=missed), 0.1)
    assert [booked.income for booked in some(m.IncomeBooked, out)] == list(missed)
    assert asked_income_after(desk) == missed[1].at_ns  # what may appear late is asked for again
    late = an_income(missed[2].at_ns - 1, 4)
    out = desk.tell(a_snapshot(desk, income=(late, missed[2])))
    assert [booked.income for booked in some(m.IncomeBooked, out)] == [late]
    desk.tell(a_snapshot(desk))  # the list could not be had
    assert asked_income_after(desk) == missed[1].at_ns


def test_a_new_database_begins_its_income_with_the_day_and_goes_back_90_days_at_most():
    now_ns = a_moment(0).venue_ns
    desk = a_desk()
    assert desk.heard(m.FetchSnapshot)[0].income_after_ns == now_ns // NS_PER_DAY * NS_PER_DAY - 1
    desk = a_desk(income_up_to_ns=now_ns - 200 * NS_PER_DAY)
    first = desk.heard(m.FetchSnapshot)[0].income_after_ns
    assert now_ns - 90 * NS_PER_DAY <= first < now_ns - 89 * NS_PER_DAY


def test_the_same_book_told_twice_is_one_question_to_the_venue():
    desk = a_desk(**HELD)
    again = desk.tell(a_book(**HELD))
    assert again == (m.ReconcilePending(reason="start-up"),)
    assert len(desk.heard(m.FetchSnapshot)) == 1
    told_once = a_desk(**HELD)
    expected = told_once.tell(a_snapshot(told_once, positions=(a_venue_position(),)), 0.1)
    answered = desk.tell(a_snapshot(desk, positions=(a_venue_position(),)), 0.1)
    assert answered == expected
    assert len(legs(answered)) == 2  # its position follows when the stop is live


def test_another_book_begins_anew():
    desk = a_desk()
    assert one(m.FetchSnapshot, desk.tell(a_book(**HELD)))


def test_the_same_book_begins_anew_once_something_followed_from_the_first():
    desk = a_desk(**HELD)
    desk.tell(a_snapshot(desk, positions=(a_venue_position(),)), 0.1)
    assert one(m.FetchSnapshot, desk.tell(a_book(**HELD)))
