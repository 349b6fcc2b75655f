"""What each fact becomes, without a database."""

import json
from decimal import Decimal
from typing import get_args

import pytest

from core import messages as m
from core.persistence.facts import statuses_beyond
from core.persistence.machine import PersistenceInput, PersistenceMachine
from core.persistence.rows import Operation, intent_from_row
from core.routes import ROUTES, Room
from tests.persistence.builders import (
    T0,
    a_day,
    a_decision,
    a_fill,
    a_mark,
    a_moment,
    a_move,
    a_position,
    a_record,
    a_row,
    a_signal,
    a_state,
    an_account,
    an_income,
    an_intent,
    an_order,
)

NAN = float("nan")


def _machine() -> PersistenceMachine:
    return PersistenceMachine(epoch=4)


def test_takes_every_message_that_the_routes_send_here_except_the_fetching_of_the_book():
    routed = {kind for kind, rooms in ROUTES.items() if Room.PERSISTENCE in rooms}
    assert set(get_args(PersistenceInput)) == routed - {m.FetchBook}


def test_refuses_a_message_that_is_not_for_this_room():
    with pytest.raises(AssertionError):
        _machine().handle(m.Tick(), a_moment())


def test_journals_an_intent_with_its_decision_and_reservation_and_both_clocks():
    (write,) = _machine().handle(a_record(), a_moment(1))
    row = a_row(write)
    assert (write.table, write.operation) == ("order_intent", Operation.INSERT_NEW)
    assert intent_from_row(row) == an_intent()
    assert row["state"] == "SENDING"
    assert row["epoch"] == 4
    assert row["recorded_at_venue_ns"] == a_moment(1).venue_ns
    assert row["recorded_at_wall_ns"] == a_moment(1).wall_ns


def test_journals_a_stop_that_has_neither_reservation_nor_decision():
    stop = an_intent(purpose=m.Purpose.STOP, reservation=None, decision=None)
    (write,) = _machine().handle(a_record(stop, awaited=False), a_moment())
    assert intent_from_row(a_row(write)) == stop


def test_moves_an_intent_and_keeps_a_known_venue_id_when_the_move_has_none():
    (write,) = _machine().handle(a_move("UNKNOWN", venue_id=""), a_moment())
    assert write.operation is Operation.UPDATE
    assert write.key == ("client_id",)
    assert "venue_id" not in a_row(write)
    assert a_row(write)["executed"] == "0.015"


def test_protects_an_ended_intent_from_a_late_acknowledgement_but_not_one_held_absent():
    (write,) = _machine().handle(a_move("ACKED"), a_moment())
    column, protected = write.unless
    assert column == "state"
    assert {"FILLED", "CANCELED", "EXPIRED", "TRIGGERED"} <= set(protected)
    assert not {"SENDING", "UNKNOWN", "ABSENT", "ACKED"} & set(protected)


def test_refuses_a_state_that_no_order_has():
    with pytest.raises(ValueError, match="LOST"):
        _machine().handle(a_move("LOST"), a_moment())


def test_stores_a_refusal_with_every_rule_and_cap():
    refusal = a_decision(approved=False, reason_code="SLOTS_FULL", confidence=0.7)
    (write,) = _machine().handle(refusal, a_moment())
    row = a_row(write)
    assert (row["approved"], row["reason_code"], row["confidence"]) == (0, "SLOTS_FULL", 0.7)
    assert json.loads(row["checks"]) == [["slots", "1", "3", True]]
    assert json.loads(row["caps"]) == [["day", "0.0150"], ["margin", "0.0000001"]]


def test_stores_a_signal_with_the_reason_why_nothing_came_of_it():
    (write,) = _machine().handle(a_signal(), a_moment())
    row = a_row(write)
    assert (row["reason"], row["strength"], row["price"]) == (
        "strength 0.22 < 0.30",
        0.22,
        "117400.1",
    )
    assert json.loads(row["technical"]) == {"ema_signal": 1.0, "rsi_signal": 0.0}


def test_books_our_fill_exactly_and_once_more_as_a_trade_of_the_specification():
    exit_fill = a_fill(purpose=m.Purpose.STOP, side=m.Side.SELL, realized_pnl=Decimal("-35.22"))
    fill, trade = _machine().handle(exit_fill, a_moment())
    assert a_row(fill)["commission"] == "0.88050900"
    assert a_row(trade) == {
        "trade_id": "BTCUSDT:501",
        "order_id": "BTCUSDT:77",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": 0.015,
        "price": 117401.2,
        "commission": 0.880509,
        "pnl": -35.22,
        "timestamp": "2025-08-15 12:55:47.000015",
    }


def test_keeps_a_foreign_fill_out_of_the_trades():
    writes = _machine().handle(a_fill(purpose=None, client_id="web_1"), a_moment())
    assert [write.table for write in writes] == ["fills"]


def test_an_order_row_never_returns_from_an_end_or_to_an_earlier_status():
    (write,) = _machine().handle(an_order("PARTIALLY_FILLED"), a_moment())
    assert write.unless[0] == "status"
    assert "FILLED" in write.unless[1]
    assert "NEW" not in write.unless[1]
    assert set(statuses_beyond("FILLED")) & {"CANCELED", "EXPIRED"}
    assert "PARTIALLY_FILLED" in statuses_beyond("NEW")


def test_an_open_position_has_a_row_and_a_flat_one_none():
    machine = _machine()
    (opened,) = machine.handle(a_position("-0.015"), a_moment())
    (closed,) = machine.handle(a_position("0"), a_moment())
    assert opened.operation is Operation.UPSERT
    assert (a_row(opened)["side"], a_row(opened)["quantity"]) == ("SELL", 0.015)
    assert a_row(opened)["current_price"] is None
    assert (closed.operation, a_row(closed)) == (Operation.DELETE, {"symbol": "BTCUSDT"})


def test_a_new_position_is_valued_at_the_newest_mark():
    machine = _machine()
    machine.handle(a_mark("117300"), a_moment())
    (opened,) = machine.handle(a_position("-0.015"), a_moment())
    assert a_row(opened)["current_price"] == 117300.0
    assert a_row(opened)["unrealized_pnl"] == 1.5


def test_marks_reach_only_open_positions_and_at_most_every_two_wall_seconds():
    machine = _machine()
    assert machine.handle(a_mark("117300"), a_moment()) == ()
    machine.handle(a_position("0.015"), a_moment(0))
    assert machine.handle(a_mark("117500"), a_moment(1.9)) == ()
    (refreshed,) = machine.handle(a_mark("117500"), a_moment(2.0))
    assert a_row(refreshed)["unrealized_pnl"] == 1.5
    assert machine.handle(a_mark("117600"), a_moment(3.9)) == ()
    machine.handle(a_position("0"), a_moment(4))
    assert machine.handle(a_mark("117600"), a_moment(9)) == ()


def test_income_is_booked_with_the_number_that_the_venue_knows_it_by():
    (write,) = _machine().handle(an_income(), a_moment())
    assert (write.table, write.operation) == ("income", Operation.INSERT_NEW)
    assert a_row(write) == {
        "kind": "FUNDING_FEE",
        "transaction_id": 1,
        "symbol": "BTCUSDT",
        "asset": "USDT",
        "amount": "-1.23",
        "at_ns": T0,
    }


def test_the_account_is_stored_each_time_and_a_new_peak_of_equity_with_it():
    machine = _machine()
    row, peak = machine.handle(an_account("10000", "5.5"), a_moment())
    assert a_row(row)["total_balance"] == 10000.0
    assert a_row(row)["total_pnl"] == 5.5
    assert a_row(peak) == {"epoch": 4, "peak_equity": "10005.5"}
    assert len(machine.handle(an_account("10000", "5.4"), a_moment())) == 1


def test_a_trading_state_is_kept_for_the_next_start_and_in_the_history():
    latch, _, event = _machine().handle(a_state(), a_moment())
    assert (latch.table, a_row(latch)["key"]) == ("bot_state", "trading_state")
    assert json.loads(a_row(latch)["value"])["latched_until_day"] == 20_316
    assert (a_row(event)["name"], a_row(event)["event"]) == ("risk", "HALTED")


def test_a_reconciliation_leaves_its_report_a_line_each():
    done = m.Reconciled(
        reason="start", report=("adopted ETHUSDT", "ok"), foreign_positions=1, foreign_orders=2
    )
    summary, event = _machine().handle(done, a_moment())
    assert json.loads(a_row(summary)["value"])["foreign_orders"] == 2
    assert a_row(event)["detail"] == "start\nadopted ETHUSDT\nok"


def test_the_day_ledger_is_one_exact_row_a_day():
    (write,) = _machine().handle(a_day(halted=True), a_moment())
    assert (write.operation, write.key) == (Operation.UPSERT, ("day",))
    assert (a_row(write)["realized"], a_row(write)["halted"]) == ("-12.34", 1)


def test_an_actor_event_without_a_time_gets_the_present():
    event = m.ActorEvent(name="symbol/BTCUSDT", generation=2, event="crashed", detail="boom")
    (write,) = _machine().handle(event, a_moment(1))
    assert a_row(write)["at_ns"] == a_moment(1).venue_ns
    assert a_row(write)["epoch"] == 4


def test_a_number_that_is_none_does_not_stop_the_storing():
    signal = a_signal(strength=NAN, prediction=float("inf"), technical=(("x", NAN),))
    (write,) = _machine().handle(signal, a_moment())
    assert (a_row(write)["strength"], a_row(write)["prediction"]) == (None, None)
    assert json.loads(a_row(write)["technical"]) == {"x": None}
    (write,) = _machine().handle(a_decision(strength=NAN, confidence=NAN), a_moment())
    assert (a_row(write)["strength"], a_row(write)["confidence"]) == (None, None)
