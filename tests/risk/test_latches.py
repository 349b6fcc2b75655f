"""What is latched, by whom, who releases it, and what a restart does to it: nothing."""

from decimal import Decimal
from typing import Any

import pytest

from core import messages as m
from core.messages import TradingState
from core.risk.machine import RiskMachine
from tests.builders import (
    DAY,
    NOON_NS,
    a_day,
    a_fill,
    a_mark,
    a_moment,
    a_position,
    a_proposal,
    an_account,
    an_account_update,
)
from tests.risk.rooms import a_risk, decide, make_ready, ready, refusal

HALF_DAY_S = 43_200
HALT = m.Halt(source="cli", reason="lunch")
FLATTEN = m.Flatten(source="dashboard", reason="enough")
PAUSE = m.Pause(symbol="BTCUSDT", source="cli", reason="news")


def states(out: tuple[object, ...]) -> list[m.StateChanged]:
    return [x for x in out if isinstance(x, m.StateChanged)]


def resume(risk: RiskMachine, symbol: str = "", after_s: float = 5) -> list[m.StateChanged]:
    return states(risk.handle(m.Resume(symbol=symbol, source="cli"), a_moment(after_s)))


def lose(risk: RiskMachine, wallet: str, after_s: float = 1.0) -> list[m.StateChanged]:
    moment = a_moment(after_s)
    risk.handle(an_account_update(wallet, event_ns=moment.venue_ns), moment)
    return states(risk.handle(m.Tick(), a_moment(after_s + 1)))


def restarted(told: list[m.StateChanged], **recovered: Any) -> RiskMachine:
    """A successor that reads what the database keeps: the newest state of each scope."""
    newest = {state.symbol: state for state in told}
    account = newest.pop("", None)
    symbols = tuple(s for s in newest.values() if s.state is not TradingState.ACTIVE)
    return make_ready(a_risk(), state=account, symbol_states=symbols, **recovered)


# ---------------------------------------- a person's word
@pytest.mark.parametrize(
    ("command", "state", "code", "reason"),
    [
        (HALT, TradingState.HALTED, "halt", "cli: lunch"),
        (FLATTEN, TradingState.FLATTEN, "flatten", "dashboard: enough"),
    ],
)
def test_a_command_blocks_at_once_and_until_a_person_resumes(command, state, code, reason):
    risk = ready()
    (told,) = states(risk.handle(command, a_moment()))
    assert (told.state, told.reason_code, told.reason) == (state, code, reason)
    assert (told.symbol, told.latched_until_day) == ("", None)
    decision, _ = decide(risk, a_proposal())
    assert decision.reason_code == "state"
    assert reason in decision.reason
    assert states(risk.handle(m.Tick(), a_moment(1, venue_s=4 * HALF_DAY_S))) == []
    (active,) = resume(risk)
    assert (active.state, active.reason_code) == (TradingState.ACTIVE, "resumed")
    assert risk.trading_state is TradingState.ACTIVE


def test_a_command_is_obeyed_in_every_state():
    for prepare in (a_risk, ready):
        risk = prepare()
        risk.handle(m.StorageFailed(reason="disk full"), a_moment())
        assert states(risk.handle(FLATTEN, a_moment()))[0].state is TradingState.FLATTEN
        assert risk.trading_state is TradingState.FLATTEN


def test_a_command_said_twice_is_told_once():
    risk = ready()
    assert len(risk.handle(HALT, a_moment())) == 1
    assert risk.handle(HALT, a_moment(1)) == ()


def test_resuming_what_is_not_latched_says_nothing_of_a_state():
    assert resume(ready()) == []


def test_a_halt_by_execution_works_as_one_by_a_person():
    """C11: it counted more entries than approvals."""
    risk = ready()
    risk.handle(m.Halt(source="execution", reason="2 entries of 1 approval"), a_moment())
    assert refusal(risk, a_proposal()) == "state"


def test_exits_pass_in_every_latched_state():
    risk = ready()
    risk.handle(a_position(), a_moment())
    risk.handle(FLATTEN, a_moment())
    leave = m.ExitProposal(
        proposal_id="x", symbol="BTCUSDT", price=Decimal(100), kline_close_ns=NOON_NS,
        decided_at_ns=NOON_NS, generation=1,
    )  # fmt: skip
    assert isinstance(risk.handle(leave, a_moment())[0], m.ExitApproval)


# ---------------------------------------- on disk
def test_a_command_is_acknowledged_only_once_its_state_is_on_disk():
    risk = ready()
    (halted,) = states(risk.handle(HALT, a_moment()))
    assert not risk.state_is_recorded()
    (flatten,) = states(risk.handle(FLATTEN, a_moment(1)))
    risk.handle(m.StateRecorded(state=halted), a_moment(2))
    assert not risk.state_is_recorded()
    risk.handle(m.StateRecorded(state=flatten), a_moment(2))
    assert risk.state_is_recorded()
    (paused,) = states(risk.handle(PAUSE, a_moment(3)))
    assert risk.state_is_recorded()
    assert not risk.state_is_recorded("BTCUSDT")
    risk.handle(m.StateRecorded(state=paused), a_moment(4))
    assert risk.state_is_recorded("BTCUSDT")


def test_what_a_restart_read_is_on_disk():
    risk = ready()
    again = restarted(states(risk.handle(HALT, a_moment())))
    assert again.state_is_recorded()
    assert again.trading_state is TradingState.HALTED


# ---------------------------------------- symbols
def test_a_pause_stops_one_symbol_alone():
    risk = ready()
    (told,) = states(risk.handle(PAUSE, a_moment()))
    assert (told.symbol, told.state, told.reason_code) == (
        "BTCUSDT", TradingState.REDUCING, "pause",
    )  # fmt: skip
    assert refusal(risk, a_proposal()) == "pause"
    assert risk.trading_state is TradingState.ACTIVE
    assert risk.trading_state_of("BTCUSDT") is TradingState.REDUCING
    assert decide(risk, a_proposal(symbol="ETHUSDT"))[0].approved
    assert resume(risk, "ETHUSDT") == []
    assert resume(risk, "BTCUSDT")[0].state is TradingState.ACTIVE
    assert decide(risk, a_proposal(2))[0].approved


def test_the_stricter_of_account_and_symbol_counts():
    risk = ready()
    risk.handle(PAUSE, a_moment())
    risk.handle(HALT, a_moment())
    assert risk.trading_state_of("BTCUSDT") is TradingState.HALTED
    resume(risk, "BTCUSDT")
    assert risk.trading_state_of("BTCUSDT") is TradingState.HALTED


def test_resuming_everything_releases_the_symbols_too():
    risk = ready()
    risk.handle(PAUSE, a_moment())
    risk.handle(HALT, a_moment())
    assert {s.symbol for s in resume(risk)} == {"", "BTCUSDT"}
    assert decide(risk, a_proposal())[0].approved


# ---------------------------------------- several causes
def test_a_cause_that_clears_takes_no_other_with_it():
    risk = ready()
    lose(risk, "9700")
    (both,) = states(risk.handle(HALT, a_moment(3)))
    assert both.reason_code == "day_loss,halt"
    assert both.latched_until_day is None
    (left,) = resume(risk)
    assert (left.state, left.reason_code) == (TradingState.HALTED, "day_loss")
    assert left.latched_until_day == DAY + 1
    (halted,) = states(risk.handle(HALT, a_moment(6)))
    assert halted.state is TradingState.HALTED
    (left,) = states(risk.handle(m.Tick(), a_moment(7, venue_s=HALF_DAY_S)))
    assert (left.state, left.reason_code) == (TradingState.HALTED, "halt")


def test_a_resume_never_releases_what_the_day_ledger_caused():
    risk = ready()
    lose(risk, "9700")
    assert resume(risk) == []
    assert risk.trading_state is TradingState.HALTED


def test_a_harder_day_loss_takes_the_place_of_the_softer():
    risk = ready()
    assert lose(risk, "9750")[0].reason_code == "day_loss_soft"
    assert lose(risk, "9700", 5)[0].reason_code == "day_loss"


def test_one_stored_row_brings_every_cause_back():
    risk = ready()
    told = lose(risk, "9700")
    told += states(risk.handle(HALT, a_moment(3)))
    told += states(risk.handle(m.CorrelatedFailure(reason="3 of 5"), a_moment(3)))
    again = restarted(told, day=a_day(halted=True))
    assert again.state.reason_code == "day_loss,halt,correlated_failure"
    (left,) = resume(again)
    assert left.reason_code == "day_loss,correlated_failure"
    (left,) = states(again.handle(m.Tick(), a_moment(7, venue_s=HALF_DAY_S)))
    assert left.reason_code == "correlated_failure"
    cleared = m.CorrelatedFailureCleared(reason="revived")
    assert states(again.handle(cleared, a_moment(8)))[0].state is TradingState.ACTIVE


def test_a_cause_of_an_unknown_name_waits_for_a_person():
    stored = m.StateChanged(
        state=TradingState.HALTED, reason_code="of_a_later_version", reason="?",
        latched_until_day=None, at_ns=NOON_NS,
    )  # fmt: skip
    risk = restarted([stored])
    assert refusal(risk, a_proposal()) == "state"
    assert resume(risk)[0].state is TradingState.ACTIVE


@pytest.mark.parametrize("command", [HALT, FLATTEN, PAUSE])
def test_no_restart_clears_a_command(command):
    risk = ready()
    again = restarted(states(risk.handle(command, a_moment())))
    decision, approval = decide(again, a_proposal())
    assert approval is None
    assert decision.reason_code in {"state", "pause"}


# ---------------------------------------- drawdown
def test_a_drawdown_from_the_peak_halts_until_a_person_resumes():
    """C15.  The day's limit is out of the way, so that it alone acts."""
    risk = ready(DAILY_MAX_LOSS_PCT=1.0)
    assert lose(risk, "8501") == []
    (told,) = lose(risk, "8500", 4)
    assert (told.state, told.reason_code) == (TradingState.HALTED, "drawdown")
    assert "15.0% below its peak 10000.00" in told.reason
    assert states(risk.handle(m.Tick(), a_moment(7, venue_s=4 * HALF_DAY_S))) == []
    assert resume(risk, after_s=8)[0].state is TradingState.ACTIVE
    assert lose(risk, "8400", 9) == []
    assert lose(risk, str(8_500 * 0.85), 12)[0].reason_code == "drawdown"


def test_the_peak_survives_a_restart_and_so_does_what_a_person_forgave():
    risk = make_ready(a_risk(DAILY_MAX_LOSS_PCT=1.0), wallet="9000", peak_equity=Decimal(11_000))
    assert risk.state is not None
    assert risk.state.reason_code == "drawdown"
    out = risk.handle(m.Resume(symbol="", source="cli"), a_moment(5))
    (day,) = [x for x in out if isinstance(x, m.DayLedger)]
    again = make_ready(
        a_risk(DAILY_MAX_LOSS_PCT=1.0), wallet="9000", peak_equity=Decimal(11_000), day=day
    )
    assert again.state is None


@pytest.mark.parametrize("seen", ["event", "snapshot"])
def test_a_withdrawal_is_no_drawdown(seen):
    risk = ready(DAILY_MAX_LOSS_PCT=1.0)
    if seen == "event":
        update = an_account_update("5000", "WITHDRAW", "-5000", event_ns=NOON_NS + 1)
        risk.handle(update, a_moment())
        assert states(risk.handle(m.Tick(), a_moment(1))) == []
    else:
        risk.book.day = a_day(wallet_start=Decimal(10_000))
        risk.handle(
            m.AccountSnapshot(
                wallet_balance=Decimal(5_000), available_balance=Decimal(5_000),
                unrealized_pnl=Decimal(0), margin=Decimal(0), at_ns=a_moment(100).venue_ns,
                earned_today=Decimal(0), transfers_today=Decimal(-5_000),
            ),
            a_moment(100),
        )  # fmt: skip
        assert states(risk.handle(m.Tick(), a_moment(101))) == []
    assert risk.book.day_pnl() == 0


# ---------------------------------------- the venue and execution
def failed(code: int = 0, action: str = "", purpose: m.Purpose = m.Purpose.ENTRY) -> m.OrderFailed:
    return m.OrderFailed(
        client_id="afb-E-a-0", symbol="BTCUSDT", purpose=purpose, failure=m.Failure.REFUSED,
        code=code, detail="said the venue", action=action,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "action", "state", "reason_code", "symbol"),
    [
        (-2015, "", TradingState.HALTED, "venue_access", ""),
        (0, "halt", TradingState.HALTED, "venue_access", ""),
        (-4400, "", TradingState.REDUCING, "venue_reduce_only", ""),
        (0, "reduce_only", TradingState.REDUCING, "venue_reduce_only", ""),
        (-4140, "", TradingState.REDUCING, "venue_close_only", "BTCUSDT"),
        (0, "close_symbol", TradingState.REDUCING, "venue_close_only", "BTCUSDT"),
    ],
)
def test_a_refusal_that_speaks_of_more_than_the_order_is_latched(
    code, action, state, reason_code, symbol
):
    risk = ready()
    (told,) = states(risk.handle(failed(code, action), a_moment()))
    assert (told.state, told.reason_code, told.symbol) == (state, reason_code, symbol)
    assert decide(risk, a_proposal(symbol="ETHUSDT"))[0].approved == bool(symbol)
    assert decide(risk, a_proposal())[1] is None
    assert resume(risk)[0].state is TradingState.ACTIVE


@pytest.mark.parametrize("action", ["reject", "retry", "refresh_filters", "cool_down"])
def test_a_refusal_of_one_order_latches_nothing(action):
    risk = ready()
    assert risk.handle(failed(-1000, action), a_moment()) == ()
    assert decide(risk, a_proposal())[0].approved


def rests(out: tuple[object, ...]) -> tuple[m.SymbolRest, ...]:
    return tuple(x for x in out if isinstance(x, m.SymbolRest))


def test_a_symbol_without_margin_rests_a_while():
    risk = ready()
    assert states(risk.handle(failed(-2019), a_moment())) == []
    decision, _ = decide(risk, a_proposal())
    assert decision.reason_code == "cooldown"
    assert "30 s left" in decision.reason
    assert decide(risk, a_proposal(symbol="ETHUSDT"))[0].approved
    risk.handle(a_mark(event_ns=a_moment(29).venue_ns), a_moment(29))
    assert decide(risk, a_proposal(2), 29.9)[0].reason_code == "cooldown"
    risk.handle(an_account(at_ns=a_moment(30).venue_ns), a_moment(30))
    assert decide(risk, a_proposal(3), 30)[0].approved


def unprotected(after_s: float) -> m.ProtectionFailed:
    at_ns = a_moment(after_s).venue_ns
    return m.ProtectionFailed(symbol="BTCUSDT", reason="-4045 too many", at_ns=at_ns)


def test_a_symbol_whose_stop_could_not_be_had_rests_and_then_is_latched():
    risk = ready()
    assert states(risk.handle(unprotected(0), a_moment())) == []
    decision, _ = decide(risk, a_proposal())
    assert decision.reason_code == "cooldown"
    assert "-4045 too many" in decision.reason
    assert states(risk.handle(unprotected(400), a_moment(400))) == []
    (told,) = states(risk.handle(unprotected(800), a_moment(800)))
    assert (told.symbol, told.reason_code) == ("BTCUSDT", "protection_failed")
    again = restarted([told])
    assert refusal(again, a_proposal()) == "protection_failed"


def test_failed_stops_of_different_days_do_not_add_up():
    risk = ready()
    for day in range(4):
        assert states(risk.handle(unprotected(day * 90_000), a_moment(day * 90_000))) == []


def test_a_symbol_rests_on_after_a_restart_and_no_longer_than_it_would_have():
    told = rests(ready().handle(unprotected(-10), a_moment(-10)))
    decision, _ = decide(make_ready(a_risk(), rests=told), a_proposal())
    assert decision.reason_code == "cooldown"
    assert "290 s left (-4045 too many)" in decision.reason
    again = make_ready(a_risk(), rests=rests(ready().handle(failed(-2019), a_moment())))
    assert decide(again, a_proposal(symbol="ETHUSDT"))[0].approved
    again.handle(a_mark(event_ns=a_moment(29).venue_ns), a_moment(29))
    assert decide(again, a_proposal(2), 29.9)[0].reason_code == "cooldown"
    again.handle(an_account(at_ns=a_moment(30).venue_ns), a_moment(30))
    assert decide(again, a_proposal(3), 30)[0].approved


def test_stops_that_could_not_be_had_before_a_restart_count_after_it():
    risk = ready()
    risk.handle(unprotected(0), a_moment())
    told = rests(risk.handle(unprotected(400), a_moment(400)))
    again = make_ready(a_risk(), rests=told)
    (state,) = states(again.handle(unprotected(800), a_moment(800)))
    assert (state.symbol, state.reason_code) == ("BTCUSDT", "protection_failed")


def test_stops_that_a_person_has_seen_do_not_count_after_a_restart():
    risk = ready()
    for after_s in (0, 400, 800):
        risk.handle(unprotected(after_s), a_moment(after_s))
    told = rests(risk.handle(m.Resume(symbol="BTCUSDT", source="cli"), a_moment(801)))
    again = make_ready(a_risk(), rests=told)
    assert states(again.handle(unprotected(1_200), a_moment(1_200))) == []


def test_a_rest_stored_by_a_clock_that_was_ahead_lasts_no_longer_than_a_new_one():
    (told,) = rests(ready().handle(unprotected(0), a_moment(86_400)))
    decision, _ = decide(make_ready(a_risk(), rests=(told,)), a_proposal())
    assert decision.reason_code == "cooldown"
    assert "299 s left" in decision.reason


# ---------------------------------------- loss streaks
def trip(risk: RiskMachine, number: int, pnl: str, symbol: str = "BTCUSDT") -> tuple[object, ...]:
    entry = a_fill(
        "0", "0.5", symbol=symbol, trade_id=2 * number, purpose=m.Purpose.ENTRY, side=m.Side.BUY
    )
    out = risk.handle(entry, a_moment())
    return (
        *out,
        *risk.handle(a_fill(pnl, "0.5", symbol=symbol, trade_id=2 * number + 1), a_moment()),
    )


def streaks(out: tuple[object, ...]) -> list[int]:
    return [x.losses for x in out if isinstance(x, m.LossStreak)]


def test_losing_round_trips_in_a_row_latch_a_symbol_off():
    risk = ready(LOSS_STREAK_LATCH=3)
    assert [streaks(trip(risk, n, "-1")) for n in (1, 2)] == [[1], [2]]
    out = trip(risk, 3, "-1")
    assert streaks(out) == [3]
    assert [(s.symbol, s.reason_code) for s in states(out)] == [("BTCUSDT", "loss_streak")]
    assert refusal(risk, a_proposal()) == "loss_streak"
    assert decide(risk, a_proposal(symbol="ETHUSDT"))[0].approved
    out = risk.handle(m.Resume(symbol="BTCUSDT", source="cli"), a_moment(5))
    assert streaks(out) == [0]
    assert decide(risk, a_proposal(2))[0].approved


def test_a_gain_ends_a_streak_and_a_gain_that_commission_eats_does_not():
    risk = ready()
    trip(risk, 1, "-1")
    assert streaks(trip(risk, 2, "0.9")) == [2]
    assert streaks(trip(risk, 3, "1.1")) == [0]
    assert streaks(trip(risk, 4, "2")) == []


def test_a_round_trip_ends_when_the_symbol_is_flat_not_before():
    risk = ready()
    risk.handle(a_fill(trade_id=1, purpose=m.Purpose.ENTRY, side=m.Side.BUY), a_moment())
    half = Decimal(5)
    assert streaks(risk.handle(a_fill("-3", trade_id=2, quantity=half), a_moment())) == []
    assert streaks(risk.handle(a_fill("4", trade_id=3, quantity=half), a_moment())) == []
    assert streaks(trip(risk, 4, "-2")) == [1]


def test_a_liquidation_counts_and_another_persons_trade_does_not():
    risk = ready()
    foreign = {"purpose": None, "client_id": "web_1"}
    assert streaks(risk.handle(a_fill("-9", trade_id=1, **foreign), a_moment())) == []
    risk.handle(a_fill(trade_id=2, purpose=m.Purpose.ENTRY, side=m.Side.BUY), a_moment())
    assert streaks(risk.handle(a_fill("-9", trade_id=3, **foreign), a_moment())) == [1]


def test_a_streak_survives_a_restart_even_if_its_latch_did_not():
    again = make_ready(a_risk(), loss_streaks=(("BTCUSDT", 6),))
    assert refusal(again, a_proposal()) == "loss_streak"
    assert decide(make_ready(a_risk(LOSS_STREAK_LATCH=0), loss_streaks=(("BTCUSDT", 99),)),
                  a_proposal())[0].approved  # fmt: skip


def test_a_position_held_over_a_restart_ends_its_trip_after_it():
    again = make_ready(a_risk(), positions=(("BTCUSDT", Decimal(10)),))
    assert streaks(again.handle(a_fill("-5", trade_id=9), a_moment())) == [1]
