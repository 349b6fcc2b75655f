"""What is found on the venue against what we hold: every case, protection first; then orphans."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from actors.narration import narrate
from core import messages as m
from core.execution.bracket import Phase
from core.execution.machine import protect_first
from core.messages import Failure, Purpose, Side
from tests.builders import SYMBOL, a_book, a_proposal, an_intent
from tests.execution.desk import (
    ENTRY,
    STOP,
    TARGET,
    Desk,
    a_desk,
    a_failure,
    a_snapshot,
    a_stored_book,
    a_trade,
    a_venue_order,
    a_venue_position,
    an_algo_event,
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

STOP_ORDER = a_venue_order(Purpose.STOP, STOP)
TARGET_ORDER = a_venue_order(Purpose.TARGET, TARGET)
HELD: dict[str, Any] = {
    "positions": ((SYMBOL, Decimal(10)),),
    "entry_prices": ((SYMBOL, Decimal(100)),),
    "last_trade_ids": ((SYMBOL, 1),),
}


def stops(out: tuple[object, ...]) -> list[m.PlaceAlgoOrder]:
    return [o for o in some(m.PlaceAlgoOrder, out) if o.purpose is Purpose.STOP]


def exits(out: tuple[object, ...]) -> list[m.PlaceOrder]:
    return [o for o in some(m.PlaceOrder, out) if o.reduce_only]


def lines(out: tuple[object, ...]) -> str:
    return "\n".join(line for done in some(m.Reconciled, out) for line in done.report)


# ---------------------------------------- the table of adoption
def test_a_position_that_is_not_ours_is_counted_and_gets_no_stop_of_ours():
    """The design leaves foreign positions alone, where the reference would adopt them."""
    desk = a_desk()
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),)), 0.1)
    told = next(p for p in some(m.PositionChanged, out) if p.symbol == SYMBOL)
    assert told.foreign
    assert stops(out) == exits(out) == []
    assert one(m.EntryEnded, approved(desk)).outcome == "refused"


def test_a_position_whose_trades_carry_our_ids_is_ours():
    desk = a_desk()
    trade = a_trade(1, ENTRY, Side.BUY)
    out = desk.tell(a_snapshot(desk, trades=(trade,), positions=(a_venue_position(),)), 0.1)
    assert [o.trigger_price for o in stops(out)] == [98]


OTHER = an_intent(client_id=name_of(Purpose.ENTRY, 0, a_proposal(2)), proposal_id="other")


def entries_moved(out: tuple[object, ...]) -> list[str]:
    return [x.client_id for x in some(m.IntentMoved, out) if "-E-" in x.client_id]


def test_a_position_belongs_to_the_entry_of_its_trade_not_to_one_believed_absent():
    """The row of its entry ended before the process died; its fill was not booked."""
    desk = a_desk(intents=((an_intent(client_id=ENTRY), "EXPIRED"),), absent=(OTHER,))
    trade = a_trade(1, ENTRY, Side.BUY)
    out = desk.tell(a_snapshot(desk, trades=(trade,), positions=(a_venue_position(),)), 0.1)
    assert [o.client_id for o in stops(out)] == [STOP]
    assert entries_moved(out) == []
    assert some(m.EntryEnded, out) == []


def test_a_position_whose_trades_are_not_listed_belongs_to_the_entry_of_its_stop():
    desk = a_desk(absent=(OTHER, an_intent(client_id=ENTRY)))
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),), orders=(STOP_ORDER,)), 0.1)
    assert entries_moved(out) == [ENTRY]


def test_a_trade_of_a_position_long_closed_names_no_other_position():
    desk = a_desk(absent=(an_intent(client_id=ENTRY),))
    trades = (a_trade(1, ENTRY, Side.BUY), a_trade(2, STOP, Side.SELL))
    desk.tell(a_snapshot(desk, trades=trades), 0.1)
    assert is_free(desk)
    stop = replace(STOP_ORDER, client_id=name_of(Purpose.STOP, 0, a_proposal(2)))
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),), orders=(stop,)), 10)
    assert desk.machine.brackets[SYMBOL].entry is None
    assert entries_moved(out) == []


def test_an_entry_believed_absent_explains_no_position_without_a_word_of_it():
    desk = a_desk(absent=(OTHER,))
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),), orders=(STOP_ORDER,)), 0.1)
    assert entries_moved(out) == []


def test_a_position_that_an_open_stop_of_ours_guards_is_ours():
    """Our book was lost: taking its stop for an orphan would strip it."""
    desk = a_desk()
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(),), orders=(STOP_ORDER,)), 0.1)
    assert some(m.CancelAlgoOrder, out) == []
    told = next(p for p in some(m.PositionChanged, out) if p.symbol == SYMBOL)
    assert (told.foreign, told.stop_price) == (False, 98)


@pytest.mark.parametrize("trigger_on", [Side.BUY, Side.SELL])
def test_a_stop_of_ours_on_the_wrong_side_makes_nothing_ours(trigger_on):
    desk = a_desk()
    short = a_venue_position("-10")
    stop = replace(STOP_ORDER, side=trigger_on)
    out = desk.tell(a_snapshot(desk, positions=(short,), orders=(stop,)), 0.1)
    told = next(p for p in some(m.PositionChanged, out) if p.symbol == SYMBOL)
    assert told.foreign is (trigger_on is Side.SELL)


def test_a_position_of_the_book_that_the_venue_closed_is_booked_by_the_trades_that_closed_it():
    desk = a_desk(**HELD)
    trade = a_trade(2, "autoclose-1", Side.SELL, price="90")
    out = desk.tell(a_snapshot(desk, trades=(trade,)), 0.1)
    assert (one(m.FillBooked, out).purpose, one(m.FillBooked, out).price) == (Purpose.EXIT, 90)
    assert desk.machine.holdings.of(SYMBOL).quantity == 0


def test_a_position_that_vanished_without_a_trade_is_flagged():
    desk = a_desk(**HELD)
    out = desk.tell(a_snapshot(desk), 0.1)
    assert "the venue says we do not" in lines(out)


@pytest.mark.parametrize("there", ["4", "25"])
def test_a_quantity_that_differs_is_the_venues(there):
    desk = a_desk(**HELD)
    position = a_venue_position(there)
    out = desk.tell(a_snapshot(desk, positions=(position,), orders=(STOP_ORDER,)), 0.1)
    told = next(p for p in some(m.PositionChanged, out) if p.symbol == SYMBOL)
    assert told.quantity == Decimal(there)


def test_a_side_that_differs_is_the_end_of_ours_and_another_ones_beginning():
    desk = a_desk(**HELD)
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position("-10"),)), 0.1)
    told = [p for p in some(m.PositionChanged, out) if p.symbol == SYMBOL]
    assert told[-1].foreign
    assert stops(out) == exits(out) == []


@pytest.mark.parametrize(
    ("quantity", "triggers", "kept"), [("10", ("97", "98"), 98), ("-10", ("103", "102"), 102)]
)
def test_of_two_stops_the_tighter_one_stays(quantity, triggers, kept):
    held = {**HELD, "positions": ((SYMBOL, Decimal(quantity)),)}
    desk = a_desk(**held)
    closing = Side.SELL if Decimal(quantity) > 0 else Side.BUY
    orders = tuple(
        a_venue_order(
            Purpose.STOP, name_of(Purpose.STOP, n), closing, trigger_price=Decimal(trigger)
        )
        for n, trigger in enumerate(triggers)
    )
    out = desk.tell(a_snapshot(desk, positions=(a_venue_position(quantity),), orders=orders), 0.1)
    told = next(p for p in some(m.PositionChanged, out) if p.symbol == SYMBOL)
    assert told.stop_price == kept
    assert one(m.CancelAlgoOrder, out).client_id == name_of(Purpose.STOP, 0)
    assert stops(out) == []


def test_a_position_already_beyond_its_stop_is_closed_not_given_one():
    """It would have been stopped out, and the venue refuses such a stop (-2021)."""
    desk = a_desk(**HELD)
    position = replace(a_venue_position(), mark_price=Decimal(97))
    out = desk.tell(a_snapshot(desk, positions=(position,)), 0.1)
    assert [(o.side, o.quantity) for o in exits(out)] == [(Side.SELL, 10)]


def differences(out: tuple[object, ...]) -> list[str]:
    return [e.detail for e in some(m.ActorEvent, out) if e.event == "book_differs"]


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ((), "we held 10, the venue says we do not"),
        ((a_venue_position("4"),), "we held 10, the venue says 4"),
        ((a_venue_position("-10"),), "we held 10, the venue says we do not"),
    ],
)
def test_a_position_that_differs_without_a_trade_is_a_person_s_to_hear_of_once(positions, words):
    desk = a_desk(**HELD)
    orders = (STOP_ORDER, TARGET_ORDER)
    (said,) = differences(desk.tell(a_snapshot(desk, positions=positions, orders=orders), 0.1))
    assert words in said
    told = next(e for e in desk.heard(m.ActorEvent) if e.event == "book_differs")
    assert next(narrate(told))[0] == "ERROR"
    desk.tick(12)
    assert differences(desk.tell(a_snapshot(desk, positions=positions, orders=orders), 0.1)) == []


def test_a_difference_that_trades_explain_is_none():
    desk = a_desk(**HELD)
    trade = a_trade(2, "web_1", Side.SELL, price="90")
    assert differences(desk.tell(a_snapshot(desk, trades=(trade,)), 0.1)) == []


def test_a_difference_of_a_position_that_was_touched_just_now_is_left_to_a_second_look():
    """Lists lag: only what still differs later is a difference."""
    desk = protected()
    assert differences(desk.tell(a_snapshot(desk), 0.02)) == []
    desk.tick(11)
    assert differences(desk.tell(a_snapshot(desk), 0.1)) != []


# ---------------------------------------- protect first
def test_twenty_positions_without_stops_get_them_before_anything_else():
    symbols = tuple(f"S{n:02}USDT" for n in range(20))
    desk = Desk(symbols)
    book = {
        "positions": tuple((s, Decimal(10)) for s in symbols),
        "entry_prices": tuple((s, Decimal(100)) for s in symbols),
    }
    desk.tell(a_book(**book))
    foreign = a_venue_order(Purpose.STOP, "web_1", symbol="XRPUSDT")
    orphan = a_venue_order(Purpose.STOP, STOP, symbol="ETHUSDT")
    out = desk.tell(
        a_snapshot(
            desk,
            positions=tuple(a_venue_position("10", s) for s in symbols),
            orders=(foreign, orphan),
        ),
        0.1,
    )
    first = out[:20]
    assert [o.symbol for o in first] == list(symbols)
    assert {(type(o), o.purpose) for o in first} == {(m.PlaceAlgoOrder, Purpose.STOP)}
    assert {o.purpose for o in out[20:40]} == {Purpose.TARGET}
    assert some(m.PlaceAlgoOrder, out[40:]) == []


def test_the_order_of_the_rest_is_kept():
    told = (m.Tick(), m.ReconcilePending(reason="a"), m.ReconcilePending(reason="b"))
    assert protect_first(told) == told


# ---------------------------------------- orphans
def test_orders_of_a_symbol_that_was_closed_just_now_are_given_time():
    desk = protected()
    for event in (
        an_order_event(STOP, Side.SELL, trade_id=2, fills="10"),
        an_algo_event(STOP, "FINISHED"),
        an_algo_event(TARGET, "EXPIRED"),
    ):
        desk.tell(event, 0.1)
    assert is_free(desk)
    out = desk.tell(a_snapshot(desk, orders=(TARGET_ORDER,)), 2)
    assert some(m.CancelAlgoOrder, out) == []
    assert some(m.FetchSnapshot, desk.wait(1.2)) != []  # looked at again soon
    desk.tick(4)
    out = desk.tell(a_snapshot(desk, orders=(TARGET_ORDER,)), 0.1)
    assert one(m.CancelAlgoOrder, out).client_id == TARGET


def test_an_order_that_appears_without_a_position_is_looked_into_within_half_a_minute():
    desk = ready()
    desk.tick(1)
    desk.tell(an_algo_event(STOP, "NEW"))
    assert some(m.FetchSnapshot, desk.wait(31)) != []
    out = desk.tell(a_snapshot(desk, orders=(STOP_ORDER,)), 0.1)
    assert one(m.CancelAlgoOrder, out).client_id == STOP


def test_no_orphans_no_questions():
    desk = ready()
    desk.tell(an_algo_event(STOP, "NEW"))
    desk.tell(an_algo_event(STOP, "CANCELED"))
    assert some(m.FetchSnapshot, desk.wait(58)) == []


def test_another_ones_orders_are_no_orphans():
    desk = ready()
    desk.tell(an_algo_event("web_1", "NEW"))
    assert some(m.FetchSnapshot, desk.wait(58)) == []


# ---------------------------------------- others, and the venue itself (F37, F40, F41)
@pytest.mark.parametrize("name", ["autoclose-1", "adl_autoclose", "web_1"])
@pytest.mark.parametrize("execution", ["CALCULATED", "TRADE"])
def test_whoever_closes_our_position_frees_the_symbol(name, execution):
    desk = protected()
    event = an_order_event(name, Side.SELL, trade_id=2, fills="10", execution=execution)
    assert one(m.FillBooked, desk.tell(event)).purpose is Purpose.EXIT
    for purpose in (STOP, TARGET):
        desk.tell(an_algo_event(purpose, "EXPIRED"))
    assert is_free(desk)
    assert exits(tuple(desk.said)) == []


def test_a_partial_deleveraging_keeps_the_rest_protected():
    desk = protected()
    event = an_order_event("adl_autoclose", Side.SELL, trade_id=2, fills="4", executed="4")
    out = desk.tell(event)
    assert one(m.PositionChanged, out).quantity == 6
    assert desk.machine.brackets[SYMBOL].phase is Phase.PROTECTED


def test_a_liquidation_without_a_trade_number_is_fetched_and_counted_once():
    desk = protected()
    event = an_order_event("autoclose-1", Side.SELL, fills="10", execution="CALCULATED")
    out = desk.tell(event)
    assert some(m.FillBooked, out) == []
    assert one(m.FetchSnapshot, out)
    out = desk.tell(a_snapshot(desk, trades=(a_trade(2, "autoclose-1", Side.SELL),)), 0.1)
    assert one(m.FillBooked, out).quantity == 10
    assert desk.machine.holdings.of(SYMBOL).quantity == 0


def test_a_position_doubled_by_hand_is_held_as_the_venue_says_and_stays_protected():
    desk = protected()
    desk.tell(an_order_event("web_1", trade_id=2, fills="10"))
    desk.tick(1)
    doubled = a_venue_position("20")
    out = desk.tell(a_snapshot(desk, positions=(doubled,), orders=(STOP_ORDER, TARGET_ORDER)), 0.1)
    assert one(m.PositionChanged, out).quantity == 20
    assert stops(out) == exits(out) == []
    closing = desk.tell(m.ExitApproval(symbol=SYMBOL, proposal_id="x", reason="CLOSE"))
    assert [o.quantity for o in exits(closing)] == [20]


def by_hand(trade_id: int, side: Side, quantity: str) -> m.OrderUpdate:
    return an_order_event(f"web_{trade_id}", side, trade_id=trade_id, fills=quantity)


def test_what_a_hand_adds_and_takes_away_again_leaves_ours_alone():
    """Taken for the end of ours, it would have cost our position its stop."""
    desk = protected()
    desk.tell(by_hand(2, Side.BUY, "20"))
    desk.tell(by_hand(3, Side.SELL, "20"))
    assert desk.machine.holdings.of(SYMBOL).quantity == 10
    assert desk.machine.brackets[SYMBOL].phase is Phase.PROTECTED
    assert desk.heard(m.CancelAlgoOrder) == []
    out = desk.tell(by_hand(4, Side.SELL, "10"))
    assert one(m.FillBooked, out).purpose is Purpose.EXIT
    assert desk.machine.holdings.of(SYMBOL).quantity == 0


def test_a_hand_that_reduces_a_doubled_position_leaves_the_database_with_ours():
    """The comparison made all of it ours; by the fills 20 of it are still another's."""
    desk = protected()
    desk.tell(by_hand(2, Side.BUY, "20"))
    desk.tick(1)
    orders = (STOP_ORDER, TARGET_ORDER)
    desk.tell(a_snapshot(desk, positions=(a_venue_position("30"),), orders=orders), 0.1)
    out = desk.tell(by_hand(3, Side.SELL, "20"))
    assert one(m.FillBooked, out).purpose is None
    assert desk.machine.holdings.of(SYMBOL).quantity == 10
    assert dict(a_stored_book(desk.said).positions) == {SYMBOL: 10}


def test_a_stop_that_closes_ours_and_what_a_hand_added_leaves_nothing():
    desk = protected()
    desk.tell(by_hand(2, Side.BUY, "4"))
    desk.tell(an_order_event(STOP, Side.SELL, trade_id=3, fills="14"))
    assert desk.machine.holdings.of(SYMBOL).quantity == 0
    assert a_stored_book(desk.said).positions == ()


def test_hedge_mode_refuses_the_entry_and_halts():
    desk = sent()
    out = desk.tell(a_failure(ENTRY, Purpose.ENTRY, Failure.REFUSED, -4061))
    assert one(m.EntryEnded, out).outcome == "refused"
    assert one(m.Halt, out).source == "execution"


def test_two_positions_of_one_symbol_are_hedge_mode_and_halt():
    desk = opened()
    desk.tick(1)
    both = (a_venue_position("10"), a_venue_position("-3"))
    out = desk.tell(a_snapshot(desk, positions=both, orders=(STOP_ORDER,)), 0.1)
    assert "hedge mode" in one(m.Halt, out).reason
    assert some(m.CancelAlgoOrder, out) == exits(out) == []
    assert desk.machine.holdings.of(SYMBOL).quantity == 10


def test_margin_that_a_hand_on_the_leverage_took_away_is_read_again():
    desk = sent()
    out = desk.tell(a_failure(ENTRY, Purpose.ENTRY, Failure.REFUSED, -2019))
    assert one(m.FetchSnapshot, out)
    assert is_free(desk)


def test_every_action_of_a_reconciliation_is_a_line_of_its_report():
    desk = a_desk(**HELD, intents=((an_intent(client_id=ENTRY), "FILLED"),))
    orphan = a_venue_order(Purpose.STOP, name_of(Purpose.STOP, 7), symbol="ETHUSDT")
    foreign = a_venue_position("3", "XRPUSDT")
    desk.tell(
        a_snapshot(
            desk,
            positions=(a_venue_position(), foreign),
            orders=(STOP_ORDER, TARGET_ORDER, orphan),
        ),
        0.1,
    )
    report = one(m.Reconciled, tuple(desk.said)).report
    assert len(report) == 3
    assert [line.split(":")[0] for line in report] == [SYMBOL, "XRPUSDT", "ETHUSDT"]
