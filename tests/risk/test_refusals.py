"""Every reason for a refusal, by its stable code and with its number."""

from dataclasses import replace
from decimal import Decimal

import pytest

from core import messages as m
from core.messages import TradingState
from tests.builders import (
    MINUTE_NS,
    NOON_NS,
    a_book,
    a_day,
    a_flat,
    a_mark,
    a_moment,
    a_position,
    a_proposal,
    an_account_update,
    an_exit_proposal,
    an_instrument,
    an_intent,
)
from tests.risk.rooms import a_risk, decide, make_ready, ready, refusal

RESERVED = m.Reservation(notional=Decimal(100), margin=Decimal(20), risk=Decimal(3))


def test_approves_a_strong_fresh_wish():
    decision, approval = decide(ready(), a_proposal())
    assert decision.approved
    assert (decision.reason_code, decision.reason) == ("approved", "")
    assert approval is not None
    assert approval.quantity == decision.quantity > 0
    assert (approval.stop_pct, approval.target_pct) == (Decimal("0.02"), Decimal("0.04"))


def test_refuses_before_the_first_reconciliation():
    risk = a_risk()
    assert refusal(risk, a_proposal()) == "reconciling"
    assert risk.trading_state is TradingState.RECONCILING


def test_refuses_while_a_later_reconciliation_runs():
    risk = ready()
    risk.handle(m.ReconcilePending(reason="the user stream was interrupted"), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert decision.reason_code == "reconciling"
    assert "the user stream was interrupted" in decision.reason
    risk.handle(
        m.Reconciled(reason="", report=(), foreign_positions=0, foreign_orders=0), a_moment()
    )
    assert decide(risk, a_proposal(2))[0].approved


@pytest.mark.parametrize("stream", ["market", "private"])
def test_refuses_while_a_stream_is_down(stream):
    risk = ready()
    risk.handle(m.StreamDown(stream=stream, reason="closed by peer"), a_moment())
    assert refusal(risk, a_proposal()) == f"stream_{stream}"
    risk.handle(m.StreamUp(stream=stream, connection=2), a_moment())
    assert decide(risk, a_proposal(2))[0].approved


def test_refuses_while_the_database_takes_no_writes():
    risk = ready()
    risk.handle(m.StorageFailed(reason="disk full"), a_moment())
    assert refusal(risk, a_proposal()) == "storage"
    risk.handle(m.StorageHealed(), a_moment())
    assert decide(risk, a_proposal(2))[0].approved


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_refuses_in_a_latched_state(state):
    latched = m.StateChanged(
        state=state, reason_code="operator", reason="", latched_until_day=None, at_ns=NOON_NS
    )
    assert refusal(make_ready(a_risk(), state=latched), a_proposal()) == "state"


@pytest.mark.parametrize("generation", [0, 2])
def test_refuses_the_wish_of_another_generation(generation):
    assert refusal(ready(), a_proposal(generation=generation)) == "fenced"


def test_a_restarted_symbol_fences_what_its_predecessor_wished():
    risk = ready()
    started = m.ActorStarted(name="symbol/BTCUSDT", symbol="BTCUSDT", generation=2)
    risk.handle(started, a_moment())
    assert refusal(risk, a_proposal(generation=1)) == "fenced"
    assert decide(risk, a_proposal(2, generation=2))[0].approved


def test_refuses_a_quarantined_symbol_until_it_starts_again():
    risk = ready()
    risk.handle(m.SymbolQuarantined(symbol="BTCUSDT", reason="6 crashes"), a_moment())
    assert refusal(risk, a_proposal()) == "quarantined"
    assert decide(risk, a_proposal(symbol="ETHUSDT"))[0].approved
    started = m.ActorStarted(name="symbol/BTCUSDT", symbol="BTCUSDT", generation=2)
    risk.handle(started, a_moment())
    assert decide(risk, a_proposal(2, generation=2))[0].approved


def test_refuses_a_symbol_that_is_not_configured():
    assert refusal(ready(), a_proposal(symbol="DOGEUSDT", generation=0)) == "symbol"


@pytest.mark.parametrize(
    "changes",
    [
        {"strength": 0.29},
        {"strength": float("nan")},
        {"confidence": 0.49},
        {"confidence": float("nan")},
    ],
)
def test_refuses_a_weak_signal(changes):
    assert refusal(ready(), a_proposal(**changes)) == "signal"


def test_accepts_a_technical_signal_without_confidence():
    assert decide(ready(), a_proposal(confidence=None))[0].approved


def test_refuses_a_proposal_it_has_decided_on():
    risk = ready()
    assert decide(risk, a_proposal())[0].approved
    risk.handle(
        m.EntryEnded(
            proposal_id=a_proposal().proposal_id, symbol="BTCUSDT", outcome="refused", detail=""
        ),
        a_moment(),
    )
    assert refusal(risk, a_proposal()) == "duplicate"


def test_refuses_after_a_restart_what_the_journal_holds():
    """An order id is unique only among open orders: a second send would fill twice."""
    risk = make_ready(a_risk(), intents=((an_intent(), "FILLED"),))
    assert refusal(risk, a_proposal()) == "duplicate"


@pytest.mark.parametrize(("age_s", "approved"), [(30, True), (31, False), (-2, False)])
def test_refuses_a_candle_older_than_half_its_interval_or_of_the_future(age_s, approved):
    risk = ready()
    proposal = a_proposal(kline_close_ns=NOON_NS - age_s * 10**9)
    decision, _ = decide(risk, proposal)
    assert decision.approved == approved
    assert approved or decision.reason_code == "stale_kline"


def test_measures_a_candles_age_in_venue_time():
    risk = ready()
    proposal = a_proposal(kline_close_ns=NOON_NS)
    out = risk.handle(proposal, a_moment(0.6, venue_s=36, speed=60))
    assert out[0].reason_code == "stale_kline"


def test_refuses_an_old_or_missing_mark():
    risk = ready()
    assert refusal(risk, a_proposal(), after_s=5.1) == "stale_mark"
    without = ready()
    without.book.marks.clear()
    assert refusal(without, a_proposal()) == "stale_mark"


def test_measures_a_marks_age_in_wall_time():
    risk = ready()
    moment = a_moment(0.4, venue_s=24, speed=60)  # 24 venue seconds, 0.4 wall seconds old
    assert risk.handle(a_proposal(), moment)[0].approved


@pytest.mark.parametrize(("mark", "approved"), [("100.5", True), ("100.6", False), ("99", False)])
def test_refuses_a_price_far_from_mark(mark, approved):
    risk = ready()
    risk.handle(a_mark(mark), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert decision.approved == approved
    assert approved or decision.reason_code == "collar"


@pytest.mark.parametrize("held", [a_position(), a_position(foreign=True), a_flat(busy=True)])
def test_refuses_a_symbol_that_is_held_or_busy(held):
    risk = ready()
    risk.handle(replace(held, busy=True), a_moment())
    assert refusal(risk, a_proposal()) == "position_open"
    risk.handle(a_flat(), a_moment())
    assert decide(risk, a_proposal(2))[0].approved


def test_refuses_a_symbol_whose_entry_is_in_flight():
    risk = ready()
    assert decide(risk, a_proposal())[0].approved
    assert refusal(risk, a_proposal(2)) == "position_open"


def test_refuses_a_symbol_whose_entry_was_in_flight_before_a_restart():
    risk = make_ready(a_risk(), intents=((an_intent(reservation=RESERVED), "UNKNOWN"),))
    assert refusal(risk, a_proposal(2)) == "position_open"


def test_refuses_when_all_slots_are_taken_foreign_positions_included():
    risk = ready()
    risk.handle(a_position("1", "ETHUSDT"), a_moment())
    risk.handle(a_position("1", "BNBUSDT"), a_moment())
    risk.handle(a_position("0.01", "XRPUSDT", foreign=True, stop_price=None), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert decision.reason_code == "slots_full"
    assert "3 of 3 slots" in decision.reason


def test_foreign_positions_take_no_slot_where_they_are_not_counted():
    risk = ready(COUNT_FOREIGN=False, MAX_OPEN_POSITIONS=1)
    risk.handle(a_position("0.01", "XRPUSDT", foreign=True, stop_price=None), a_moment())
    assert decide(risk, a_proposal())[0].approved


def test_refuses_a_low_balance():
    assert refusal(make_ready(a_risk(), wallet="9.99"), a_proposal()) == "low_balance"


def test_refuses_while_the_wallet_is_unknown():
    risk = ready()
    risk.book.wallet = None
    assert refusal(risk, a_proposal()) == "low_balance"


def test_refuses_once_the_days_loss_reaches_its_limit():
    risk = ready()
    risk.handle(an_account_update("9700"), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert decision.reason_code == "day_loss"
    assert "-300.00" in decision.reason


def test_refuses_before_the_day_has_begun():
    risk = ready()
    risk.book.day = None
    assert refusal(risk, a_proposal()) == "day_loss"


def test_refuses_what_is_too_small_for_the_venue():
    risk = make_ready(a_risk(), wallet="10")  # slot budget 4.17, least order 5 x 1.1
    decision, _ = decide(risk, a_proposal())
    assert decision.reason_code == "below_minimum"
    assert "slot_budget" in decision.reason


def test_refuses_below_the_least_quantity():
    risk = ready()
    risk._instruments["BTCUSDT"] = an_instrument(quantity_min=Decimal(100))
    assert refusal(risk, a_proposal()) == "below_minimum"


def test_the_first_failed_rule_names_the_refusal_and_all_are_kept():
    risk = ready()
    risk.handle(m.StorageFailed(reason="disk full"), a_moment())
    decision, _ = decide(risk, a_proposal(strength=0.1, kline_close_ns=NOON_NS - MINUTE_NS))
    failed = [check.rule for check in decision.checks if not check.passed]
    assert failed == ["storage", "signal", "stale_kline"]
    assert decision.reason_code == "storage"
    assert risk.last_decision["BTCUSDT"] is decision


def test_every_approval_passed_all_rules():
    decision, _ = decide(ready(), a_proposal())
    assert [check.rule for check in decision.checks] == [
        # state
        "state",
        "symbol_state",
        "fenced",
        "quarantined",
        "cooldown",
        # validity
        "symbol",
        "not_trading",
        "contract",
        "signal",
        # staleness
        "stale_kline",
        "stale_mark",
        "future_mark",
        "frozen_mark",
        "stale_account",
        # duplicates, rates
        "duplicate",
        "entry_rate",
        "entries_day",
        "loss_streak",
        "signal_rate",
        # slots
        "position_open",
        "slots_full",
        # price
        "collar",
        # money
        "low_balance",
        "day_loss",
        # of the sized entry
        "correlated_exposure",
        "below_minimum",
        "order_size",
        "liquidation_distance",
        "dup_window",
    ]


# ---------------------------------------- exits
def test_an_exit_passes_even_when_nothing_may_open():
    halted = m.StateChanged(
        state=TradingState.HALTED, reason_code="x", reason="", latched_until_day=None, at_ns=0
    )
    risk = make_ready(a_risk(), state=halted)
    risk.handle(m.StorageFailed(reason="disk full"), a_moment())
    risk.handle(a_position(), a_moment())
    (leave,) = risk.handle(an_exit_proposal(), a_moment())
    assert leave == m.ExitApproval(
        symbol="BTCUSDT", proposal_id="close-1", reason="the strategy said CLOSE"
    )


@pytest.mark.parametrize(
    ("held", "generation"),
    [(None, 1), (a_position(foreign=True), 1), (a_position(), 0)],
)
def test_an_exit_needs_an_own_position_and_the_current_generation(held, generation):
    risk = ready()
    if held is not None:
        risk.handle(held, a_moment())
    assert risk.handle(an_exit_proposal(generation=generation), a_moment()) == ()


# ---------------------------------------- reservations
def test_a_reservation_is_held_until_the_entry_has_ended():
    risk = ready()
    _, approval = decide(risk, a_proposal())
    risk.handle(a_position("5", proposal_id=a_proposal().proposal_id), a_moment(1))
    risk.handle(m.Tick(), a_moment(3_600))
    assert list(risk.book.reserved) == [a_proposal().proposal_id]
    assert risk.book.reserved[a_proposal().proposal_id].reservation == approval.reservation
    ended = m.EntryEnded(
        proposal_id=a_proposal().proposal_id, symbol="BTCUSDT", outcome="filled", detail=""
    )
    risk.handle(ended, a_moment(3_601))
    risk.handle(ended, a_moment(3_602))
    assert not risk.book.reserved


def test_fifty_wishes_of_one_moment_get_exactly_as_many_approvals_as_there_are_slots():
    symbols = tuple(f"S{n:02}USDT" for n in range(50))
    risk = ready(symbols)
    decided = [decide(risk, a_proposal(symbol=s))[0] for s in symbols]
    assert sum(d.approved for d in decided) == 3
    assert {d.reason_code for d in decided if not d.approved} == {"slots_full"}


def test_a_restart_of_execution_brings_reservations_back_to_what_the_journal_holds():
    """An approval that died with execution's inbox must not hold its slot for ever."""
    risk = ready()
    assert decide(risk, a_proposal())[0].approved
    risk.handle(a_book(), a_moment(1))
    assert not risk.book.reserved


def test_a_restart_of_execution_takes_no_latch_and_no_day_back():
    """The database may lag behind: its reader overtakes the writes still queued."""
    risk = ready()
    risk.handle(an_account_update("9600"), a_moment(1))
    risk.handle(m.Tick(), a_moment(2))
    assert risk.trading_state is TradingState.HALTED
    risk.handle(a_book(day=a_day("12345"), state=None), a_moment(3))
    assert risk.trading_state is TradingState.HALTED
    assert risk.book.day.equity_start == 10_000


def test_decisions_count_the_days_entries():
    risk = ready()
    out = risk.handle(a_proposal(), a_moment())
    assert [type(x) for x in out] == [m.Decision, m.Approval, m.DayLedger]
    assert out[2].entries == 1
