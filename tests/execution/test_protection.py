"""Stop, target, exit: placed at least once, confirmed, or the position is closed."""

from decimal import Decimal

import pytest

from core import messages as m
from core.execution.order_life import OrderState
from core.messages import Failure, Purpose, Side
from tests.builders import NOON_NS, a_mark, an_instrument
from tests.execution.desk import (
    ENTRY,
    EXIT,
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
    is_free,
    name_of,
    one,
    opened,
    protected,
    sent,
    some,
)


def exits(out: tuple[object, ...]) -> list[m.PlaceOrder]:
    return [o for o in some(m.PlaceOrder, out) if o.purpose is Purpose.EXIT]


def legs(out: tuple[object, ...]) -> list[str]:
    return [o.client_id for o in some(m.PlaceAlgoOrder, out)]


def the_exit(out: tuple[object, ...]) -> m.PlaceOrder:
    (order,) = exits(out)
    assert order.reduce_only
    return order


# ---------------------------------------- the bracket
@pytest.mark.parametrize(
    ("side", "stop", "target"), [(Side.BUY, "98", "104"), (Side.SELL, "102", "96")]
)
def test_the_first_fill_places_stop_and_target_on_the_right_side(side, stop, target):
    desk = sent(side)
    out = desk.tell(an_order_event(ENTRY, side, trade_id=1, fills="10"))
    placed = some(m.PlaceAlgoOrder, out)
    assert [(o.client_id, o.purpose) for o in placed] == [
        (STOP, Purpose.STOP),
        (TARGET, Purpose.TARGET),
    ]
    assert [o.trigger_price for o in placed] == [Decimal(stop), Decimal(target)]
    assert {o.side for o in placed} == {side.opposite}


def test_protection_does_not_wait_for_the_journal():
    desk = sent()
    out = desk.tell(an_order_event(ENTRY, trade_id=1, fills="10"))
    placed = out.index(some(m.PlaceAlgoOrder, out)[0])
    recorded = some(m.RecordIntent, out)
    assert placed < out.index(recorded[0])
    assert not any(r.awaited for r in recorded)


def test_a_partial_fill_is_protected_at_once_and_only_once():
    desk = sent()
    part = {"status": "PARTIALLY_FILLED", "fills": "5"}
    assert legs(desk.tell(an_order_event(ENTRY, trade_id=1, **part))) == [STOP, TARGET]
    assert legs(desk.tell(an_order_event(ENTRY, trade_id=2, fills="5", executed="10"))) == []
    assert legs(desk.tell(an_answer(ENTRY, Purpose.ENTRY, "FILLED", "10"))) == []
    assert desk.machine.brackets[SYMBOL].quantity == 10


def test_stop_and_target_are_told_once_the_venue_holds_them():
    desk = opened()
    assert desk.heard(m.PositionChanged)[-1].stop_price is None
    out = desk.tell(an_answer(STOP, Purpose.STOP))
    assert one(m.PositionChanged, out).stop_price == 98
    out = desk.tell(an_algo_event(TARGET, "NEW"))
    told = one(m.PositionChanged, out)
    assert (told.quantity, told.stop_price, told.target_price, told.busy) == (10, 98, 104, True)


def test_answer_and_event_of_a_leg_are_one_confirmation():
    desk = opened()
    desk.tell(an_algo_event(STOP, "NEW"))
    assert desk.tell(an_answer(STOP, Purpose.STOP)) == ()


def closing_events(side: Side, closer: str, sibling: str) -> list[object]:
    return [
        an_algo_event(closer, "TRIGGERED", side),
        an_order_event(closer, side, trade_id=2, fills="10", price="98"),
        an_algo_event(closer, "FINISHED", side),
        an_algo_event(sibling, "EXPIRED", side),
    ]


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize(("closer", "sibling"), [(STOP, TARGET), (TARGET, STOP)])
def test_when_one_fills_its_sibling_is_gone_and_the_symbol_is_free(side, closer, sibling):
    desk = protected(side)
    for event in closing_events(side.opposite, closer, sibling):
        desk.tell(event, 0.01)
    assert is_free(desk)
    fills = desk.heard(m.FillBooked)
    assert [f.trade_id for f in fills] == [1, 2]
    assert exits(tuple(desk.said)) == []


def test_a_sibling_that_the_venue_leaves_is_cancelled_until_it_is_gone():
    desk = protected()
    for event in closing_events(Side.SELL, TARGET, STOP)[:3]:
        desk.tell(event, 0.01)
    assert not is_free(desk)
    assert some(m.CancelAlgoOrder, desk.wait(0.8)) == []
    (cancel,) = some(m.CancelAlgoOrder, desk.wait(1))
    assert cancel.client_id == STOP
    desk.tell(a_failure(STOP, Purpose.STOP, Failure.UNKNOWN, -1007))
    assert legs(tuple(desk.said)).count(STOP) == 1
    assert [c.client_id for c in some(m.CancelAlgoOrder, desk.wait(2.5))] == [STOP]
    desk.tell(m.AlgoGone(client_id=STOP, symbol=SYMBOL, detail="cancelled"))
    assert is_free(desk)


# ---------------------------------------- refused or lost protection
def test_a_stop_that_is_beyond_the_price_flattens():
    desk = opened()
    order = the_exit(desk.tell(a_failure(STOP, Purpose.STOP, code=-2021)))
    assert (order.client_id, order.side, order.quantity) == (EXIT, Side.SELL, 10)


def test_a_target_that_is_beyond_the_price_flattens():
    desk = opened()
    assert the_exit(desk.tell(a_failure(TARGET, Purpose.TARGET, code=-2021)))


def test_a_stop_refused_otherwise_is_tried_once_more_then_the_position_is_closed():
    desk = opened()
    again = name_of(Purpose.STOP, 1)
    assert legs(desk.tell(a_failure(STOP, Purpose.STOP, code=-1111))) == [again]
    assert the_exit(desk.tell(a_failure(again, Purpose.STOP, code=-1111)))


def test_a_refused_target_leaves_the_stop_standing():
    desk = opened()
    desk.tell(an_answer(STOP, Purpose.STOP))
    again = name_of(Purpose.TARGET, 1)
    assert legs(desk.tell(a_failure(TARGET, Purpose.TARGET, code=-1111))) == [again]
    out = desk.tell(a_failure(again, Purpose.TARGET, code=-1111))
    assert exits(out) == []
    assert exits(desk.wait(10)) == []


def test_a_lost_stop_is_sent_again_under_the_same_id():
    desk = opened()
    unknown = a_failure(STOP, Purpose.STOP, Failure.UNKNOWN, -1007)
    assert legs(desk.tell(unknown)) == [STOP]
    desk.tell(an_answer(STOP, Purpose.STOP))
    assert desk.heard(m.PositionChanged)[-1].stop_price == 98


def test_a_stop_lost_twice_closes_the_position_and_is_cancelled_in_case_it_exists():
    desk = opened()
    unknown = a_failure(STOP, Purpose.STOP, Failure.UNKNOWN, -1007)
    desk.tell(unknown)
    assert the_exit(desk.tell(unknown))
    desk.tell(an_answer(TARGET, Purpose.TARGET))
    desk.tell(an_order_event(EXIT, Side.SELL, trade_id=2, fills="10"))
    assert not is_free(desk)
    asked = some(m.CancelAlgoOrder, desk.wait(2))
    assert {c.client_id for c in asked} == {STOP, TARGET}
    for cancel in asked:
        desk.tell(m.AlgoGone(client_id=cancel.client_id, symbol=SYMBOL, detail=""))
    assert is_free(desk)


def test_a_position_without_a_confirmed_stop_is_closed_after_five_seconds():
    desk = opened()
    assert exits(desk.wait(4.9)) == []
    assert the_exit(desk.wait(0.3))


def test_a_stop_that_cannot_be_priced_closes_the_position():
    desk = sent()
    desk.machine._protection._instruments[SYMBOL] = an_instrument(price_min=Decimal(100))
    assert the_exit(desk.tell(an_order_event(ENTRY, trade_id=1, fills="10")))


def test_a_target_that_cannot_be_priced_costs_only_the_target():
    desk = sent()
    desk.machine._protection._instruments[SYMBOL] = an_instrument(price_max=Decimal(100))
    out = desk.tell(an_order_event(ENTRY, trade_id=1, fills="10"))
    assert legs(out) == [STOP]
    assert exits(out) == []


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED"])
def test_a_stop_that_ends_unasked_is_placed_again(status):
    desk = protected()
    out = desk.tell(an_algo_event(STOP, status))
    assert legs(out) == [name_of(Purpose.STOP, 1)]
    assert one(m.PositionChanged, out).stop_price is None
    assert the_exit(desk.wait(5.2))


def test_a_stop_that_ended_before_a_late_fill_was_heard_of_is_placed_again():
    """Found by permuting events: protected by word, and no stop anywhere."""
    desk = sent()
    part = {"status": "PARTIALLY_FILLED", "fills": "4"}
    desk.tell(an_order_event(ENTRY, trade_id=1, **part))
    desk.tell(an_answer(STOP, Purpose.STOP))
    desk.tell(an_order_event("web_1", Side.SELL, trade_id=3, fills="4"))
    desk.tell(an_algo_event(STOP, "EXPIRED"))
    desk.tell(an_order_event(ENTRY, trade_id=2, fills="6", executed="10"))
    assert name_of(Purpose.STOP, 1) in legs(desk.tick())
    assert the_exit(desk.wait(5.2))


def test_a_stop_rejected_at_its_trigger_closes_the_position():
    desk = protected()
    desk.tell(an_algo_event(STOP, "TRIGGERED"))
    assert the_exit(desk.tell(an_algo_event(STOP, "REJECTED", reason="margin")))


@pytest.mark.parametrize("status", ["REJECTED", "CANCELED"])
def test_a_stop_that_ends_before_the_fill_was_heard_of_still_leaves_a_position(status):
    desk = sent()
    desk.tell(an_answer(ENTRY, Purpose.ENTRY, "FILLED", "10"), 0.01)  # the stream lost the fill
    desk.tell(a_mark("100"), 0.01)
    assert STOP in legs(desk.wait(1.5))
    desk.tell(an_answer(STOP, Purpose.STOP), 0.01)
    out = desk.tell(an_algo_event(STOP, status, reason="margin"))
    if status == "REJECTED":
        assert the_exit(out).quantity == 10
    else:
        assert name_of(Purpose.STOP, 1) in legs(out)


def test_placing_again_has_an_end():
    """A venue that drops each stop at once is no protection, and each round costs requests."""
    desk = protected()
    for attempt in range(40):
        out = desk.tell(an_algo_event(name_of(Purpose.STOP, attempt), "EXPIRED"))
        if exits(out):
            break
        desk.tell(an_answer(name_of(Purpose.STOP, attempt + 1), Purpose.STOP))
    assert exits(out)
    assert attempt < 20


def test_a_stop_that_fired_without_its_fill_is_looked_into():
    desk = protected()
    desk.tell(an_algo_event(STOP, "FINISHED"))
    assert some(m.FetchSnapshot, desk.wait(3)) != []


# ---------------------------------------- exits
def flattening() -> Desk:
    desk = protected()
    leave = m.ExitApproval(symbol=SYMBOL, proposal_id="close-1", reason="CLOSE")
    assert the_exit(desk.tell(leave)).client_id == EXIT
    assert desk.tell(leave) == ()
    return desk


def test_an_exit_closes_the_position_and_frees_the_symbol():
    desk = flattening()
    desk.tell(an_answer(EXIT, Purpose.EXIT, "FILLED", "10"))
    desk.tell(an_order_event(EXIT, Side.SELL, trade_id=2, fills="10"))
    for name in (STOP, TARGET):
        desk.tell(an_algo_event(name, "EXPIRED"))
    assert is_free(desk)


def test_an_exit_of_a_flat_symbol_is_nothing():
    desk = sent()
    desk.tell(a_failure(ENTRY, Purpose.ENTRY))
    leave = m.ExitApproval(symbol=SYMBOL, proposal_id="close-1", reason="CLOSE")
    assert desk.tell(leave) == ()


def test_a_failed_exit_is_repeated_with_growing_pauses_until_the_position_is_flat():
    desk = flattening()
    waits, name, since = [], EXIT, desk.at_s
    for _ in range(6):
        desk.tell(a_failure(name, Purpose.EXIT, Failure.UNKNOWN, -1007))
        since = desk.at_s
        while not (found := exits(desk.tick())):
            assert desk.at_s - since < 2
        waits.append(round(desk.at_s - since, 1))
        name = found[0].client_id
    assert waits == sorted(waits)
    assert waits[-1] <= 1.1
    assert name == name_of(Purpose.EXIT, 6)
    desk.tell(an_order_event(name, Side.SELL, trade_id=2, fills="10"))
    assert exits(desk.wait(3)) == []


def test_an_exit_that_cannot_reduce_asks_what_is_true():
    desk = flattening()
    out = desk.tell(a_failure(EXIT, Purpose.EXIT, code=-2022))
    assert one(m.FetchSnapshot, out)
    desk.tell(a_snapshot(desk, trades=(a_trade(2, "by hand", Side.SELL),)), 0.1)
    desk.wait(1.2)
    for name in (STOP, TARGET):
        desk.tell(m.AlgoGone(client_id=name, symbol=SYMBOL, detail=""))
    assert is_free(desk)


def test_an_exit_filled_while_the_stream_was_mute_frees_the_symbol():
    desk = flattening()
    desk.tell(an_answer(EXIT, Purpose.EXIT, "FILLED", "10"))
    for name in (STOP, TARGET):
        desk.tell(an_algo_event(name, "EXPIRED"))
    assert some(m.FetchSnapshot, desk.wait(3)) != []
    desk.tell(a_snapshot(desk, trades=(a_trade(2, EXIT, Side.SELL),)), 0.1)
    desk.wait(1)
    assert is_free(desk)


def test_a_leg_refused_after_the_position_was_closed_frees_the_symbol():
    desk = opened()
    desk.tell(an_answer(TARGET, Purpose.TARGET))
    desk.tell(an_order_event(TARGET, Side.SELL, trade_id=2, fills="10"))
    desk.tell(an_algo_event(TARGET, "FINISHED"))
    assert not is_free(desk)
    desk.tell(a_failure(STOP, Purpose.STOP, code=-4509))
    assert is_free(desk)
    assert exits(tuple(desk.said)) == []


def test_nothing_is_sold_twice_when_stop_and_exit_race():
    desk = flattening()
    for event in closing_events(Side.SELL, STOP, TARGET):
        desk.tell(event, 0.01)
    assert is_free(desk)
    desk.tell(a_failure(EXIT, Purpose.EXIT, code=-2022))
    assert exits(desk.wait(5)) == []
    assert is_free(desk)


# ---------------------------------------- others on the account
def test_a_position_closed_by_hand_is_booked_as_an_exit():
    desk = protected()
    out = desk.tell(an_order_event("web_1", Side.SELL, trade_id=2, fills="10"))
    assert one(m.FillBooked, out).purpose is Purpose.EXIT
    for name in (STOP, TARGET):
        desk.tell(an_algo_event(name, "EXPIRED"))
    assert is_free(desk)


def test_a_hand_that_closes_more_than_ours_leaves_the_rest_to_itself():
    desk = protected()
    out = desk.tell(an_order_event("web_1", Side.SELL, trade_id=2, fills="15"))
    assert one(m.FillBooked, out).purpose is None
    assert desk.machine.holdings.of(SYMBOL).quantity == 0
    assert exits(desk.wait(1)) == []


def test_a_foreign_fill_of_another_symbol_is_booked_as_foreign():
    desk = protected()
    out = desk.tell(
        an_order_event("web_1", trade_id=5, fills="3", symbol="ETHUSDT", event_ns=NOON_NS)
    )
    assert one(m.FillBooked, out).purpose is None
    assert "ETHUSDT" not in desk.machine.brackets


def test_a_liquidation_is_booked_as_an_exit():
    desk = protected()
    update = an_order_event(
        "autoclose-1", Side.SELL, trade_id=2, fills="10", execution="CALCULATED"
    )
    assert one(m.FillBooked, desk.tell(update)).purpose is Purpose.EXIT


@pytest.mark.parametrize("executed", ["0", "4"])
def test_what_an_expired_exit_left_is_closed_at_once_and_then_with_pauses(executed):
    desk = flattening()
    trade = {"trade_id": 2, "fills": executed} if executed != "0" else {}
    event = an_order_event(EXIT, Side.SELL, status="EXPIRED", **trade)
    assert the_exit(desk.tell(event)).quantity == 10 - int(executed)
    assert exits(desk.tell(an_answer(EXIT, Purpose.EXIT, "EXPIRED", executed))) == []
    again = an_order_event(name_of(Purpose.EXIT, 1), Side.SELL, status="EXPIRED")
    assert exits(desk.tell(again)) == []
    assert exits(desk.wait(0.5)) == []
    assert len(exits(desk.wait(0.7))) == 1


def test_the_answer_alone_tells_that_an_exit_left_a_remainder():
    desk = flattening()
    assert exits(desk.tell(an_answer(EXIT, Purpose.EXIT, "FILLED", "10"))) == []
    assert exits(flattening().tell(an_answer(EXIT, Purpose.EXIT, "EXPIRED", "4")))


@pytest.mark.parametrize("finished_first", [True, False])
def test_what_a_fired_stop_left_is_closed_at_once_and_only_once(finished_first):
    desk = protected()
    fill = an_order_event(STOP, Side.SELL, trade_id=2, fills="4", status="EXPIRED")
    events = [an_algo_event(STOP, "FINISHED"), fill]
    out = [x for e in (events if finished_first else events[::-1]) for x in desk.tell(e, 0.01)]
    assert the_exit(tuple(out)).quantity == 6
    assert exits(desk.tell(fill)) == []


def test_a_stop_that_is_still_filling_is_left_to_itself():
    desk = protected()
    fill = an_order_event(STOP, Side.SELL, trade_id=2, fills="4", status="PARTIALLY_FILLED")
    assert exits(desk.tell(fill)) == []


def test_what_is_held_of_a_symbol_listed_no_more_is_protected_and_closed():
    desk = sent()
    desk.tell(m.InstrumentChanged(symbol=SYMBOL, instrument=None))
    out = desk.tell(an_order_event(ENTRY, trade_id=1, fills="10"))
    assert [x.purpose for x in some(m.PlaceAlgoOrder, out)] == [Purpose.STOP, Purpose.TARGET]
    leave = m.ExitApproval(symbol=SYMBOL, proposal_id="close-1", reason="CLOSE")
    assert the_exit(desk.tell(leave)).quantity == 10


def test_the_journal_learns_the_end_of_an_exit_that_a_later_one_overtook():
    desk = flattening()
    desk.tell(an_order_event(EXIT, Side.SELL, trade_id=2, fills="10"))
    for name in (STOP, TARGET):
        desk.tell(an_algo_event(name, "EXPIRED"))
    assert is_free(desk)
    out = desk.tell(an_answer(EXIT, Purpose.EXIT, "FILLED", "10"))
    assert one(m.IntentMoved, out).state == OrderState.FILLED
