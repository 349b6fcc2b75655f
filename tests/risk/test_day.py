"""The trading day by venue time: equity, its limits, its latches, and what is no gain or loss."""

from dataclasses import replace
from decimal import Decimal

import pytest

from core import messages as m
from core.clock import NS_PER_S
from core.messages import TradingState
from core.risk.day import PEAK
from tests.builders import (
    DAY,
    NOON_NS,
    a_day,
    a_fill,
    a_flat,
    a_mark,
    a_moment,
    a_position,
    a_proposal,
    an_account,
    an_account_update,
)
from tests.risk.rooms import a_risk, make_ready, ready, refusal

HALF_DAY_S = 43_200


def ledgers(out: tuple[object, ...]) -> list[m.DayLedger]:
    return [x for x in out if isinstance(x, m.DayLedger)]


def states(out: tuple[object, ...]) -> list[TradingState]:
    return [x.state for x in out if isinstance(x, m.StateChanged)]


# ---------------------------------------- rollover
def test_the_first_day_begins_with_the_first_wallet():
    risk = make_ready(a_risk())
    day = a_day("10000", equity_min=Decimal(10_000), bases=((PEAK, Decimal(10_000)),))
    assert risk.book.day == day


def test_nothing_begins_while_the_wallet_is_unknown():
    risk = a_risk()
    assert risk.handle(m.Tick(), a_moment()) == ()
    assert risk.book.day is None


def test_a_day_of_the_database_is_carried_on():
    risk = make_ready(a_risk(), day=a_day("10050", entries=4))
    assert (risk.book.day.equity_start, risk.book.day.entries) == (10_050, 4)
    assert risk.book.day_pnl() == -50


def test_the_day_rolls_over_at_the_venues_midnight_and_only_once():
    risk = ready()
    risk.handle(an_account_update("9900", event_ns=NOON_NS + 1), a_moment())
    before = a_moment(1, venue_s=HALF_DAY_S - 0.001)
    assert [d.day for d in ledgers(risk.handle(m.Tick(), before))] == [DAY]
    (day,) = ledgers(risk.handle(m.Tick(), a_moment(2, venue_s=HALF_DAY_S)))
    assert (day.day, day.equity_start, day.wallet_start) == (DAY + 1, 9_900, 9_900)
    assert risk.handle(m.Tick(), a_moment(3, venue_s=HALF_DAY_S + 1)) == ()


def test_missed_days_are_skipped_and_days_never_go_back():
    risk = ready()
    (day,) = ledgers(risk.handle(m.Tick(), a_moment(1, venue_s=7 * HALF_DAY_S)))
    assert day.day == DAY + 4
    assert risk.handle(m.Tick(), a_moment(2, venue_s=0)) == ()
    assert risk.book.day.day == DAY + 4


def test_a_new_day_starts_from_equity_so_that_yesterdays_open_loss_stays_yesterdays():
    risk = ready()
    risk.handle(a_position("10"), a_moment())
    risk.handle(a_mark("99"), a_moment())
    (day,) = ledgers(risk.handle(m.Tick(), a_moment(1, venue_s=HALF_DAY_S)))
    assert day.equity_start == 9_990
    assert risk.book.day_pnl() == 0


def test_fills_count_on_the_day_they_happened():
    risk = ready()
    (day,) = ledgers(risk.handle(a_fill("-12", "0.5"), a_moment()))
    assert (day.realized, day.fees) == (-12, Decimal("0.5"))
    yesterday = a_fill("-50", trade_id=2, at_ns=NOON_NS - 86_400 * NS_PER_S)
    assert ledgers(risk.handle(yesterday, a_moment())) == []


def test_a_fill_told_twice_counts_once():
    risk = ready()
    risk.handle(a_fill("-12"), a_moment())
    assert risk.handle(a_fill("-12"), a_moment()) == ()
    assert risk.book.day.realized == -12


# ---------------------------------------- wallet and equity
def test_equity_is_wallet_and_open_profit_of_longs_and_shorts():
    risk = ready()
    risk.handle(a_position("10"), a_moment())
    risk.handle(a_position("-4", "ETHUSDT"), a_moment())
    risk.handle(a_mark("101"), a_moment())
    risk.handle(a_mark("103", "ETHUSDT"), a_moment())
    assert risk.book.equity() == 10_000 + 10 - 12


def test_a_position_without_a_mark_stands_at_its_entry():
    risk = ready()
    risk.handle(a_position("10", "XRPUSDT", foreign=True), a_moment())
    assert risk.book.equity() == 10_000


def test_an_older_account_event_does_not_undo_a_newer():
    risk = ready()
    risk.handle(an_account_update("9900", event_ns=NOON_NS + 2), a_moment())
    risk.handle(an_account_update("9950", event_ns=NOON_NS + 1), a_moment())
    assert risk.book.wallet == 9_900


def test_a_snapshot_asked_for_before_an_event_does_not_undo_it():
    """The requests of a snapshot take a while; the stream is ahead of their answers."""
    risk = ready()
    moment = a_moment(10)
    risk.handle(an_account_update("9900", event_ns=moment.venue_ns), moment)
    risk.handle(an_account("10000", at_ns=moment.venue_ns - NS_PER_S), a_moment(10.1))
    assert risk.book.wallet == 9_900
    risk.handle(an_account("9890", at_ns=a_moment(60).venue_ns), a_moment(60))
    assert risk.book.wallet == 9_890


def test_an_event_is_heard_even_if_our_clock_stamped_a_snapshot_later():
    """At speed 60 five milliseconds of clock error are a third of a venue second."""
    risk = ready()
    risk.handle(an_account("10000", at_ns=a_moment(10.3).venue_ns), a_moment(10))
    risk.handle(an_account_update("9900", event_ns=a_moment(10.1).venue_ns), a_moment(10.1))
    assert risk.book.wallet == 9_900


@pytest.mark.parametrize("reason", ["DEPOSIT", "WITHDRAW", "ADMIN_WITHDRAW", "ASSET_TRANSFER"])
@pytest.mark.parametrize("change", ["-5000", "5000"])
def test_a_transfer_is_no_gain_or_loss(reason, change):
    risk = ready()
    wallet = str(10_000 + int(change))
    update = an_account_update(wallet, reason, change, event_ns=NOON_NS + 1)
    (day,) = ledgers(risk.handle(update, a_moment()))
    assert (day.equity_start, day.transfers) == (10_000, Decimal(change))
    assert risk.day_limit() == 300
    assert risk.book.day_pnl() == 0
    assert states(risk.handle(m.Tick(), a_moment(1))) == []


def test_a_transfer_told_twice_moves_the_day_once():
    risk = ready()
    update = an_account_update("5000", "WITHDRAW", "-5000", event_ns=NOON_NS + 1)
    risk.handle(update, a_moment())
    assert risk.handle(update, a_moment()) == ()
    assert risk.book.day_pnl() == 0


def test_funding_is_a_cost_of_the_day():
    risk = ready()
    update = an_account_update("9999", "FUNDING_FEE", "-1", event_ns=NOON_NS + 1)
    (day,) = ledgers(risk.handle(update, a_moment()))
    assert (day.funding, day.equity_start) == (-1, 10_000)
    assert risk.book.day_pnl() == -1


def test_a_fills_account_event_moves_no_ledger():
    risk = ready()
    assert risk.handle(an_account_update("9990", event_ns=NOON_NS + 1), a_moment()) == ()


# ---------------------------------------- limits
def lose(risk, wallet: str, after_s: float = 1.0) -> tuple[object, ...]:
    moment = a_moment(after_s)
    risk.handle(an_account_update(wallet, event_ns=moment.venue_ns), moment)
    return risk.handle(m.Tick(), a_moment(after_s + 1))


def test_trading_halts_at_the_limit():
    risk = ready()
    out = lose(risk, "9700")
    assert states(out) == [TradingState.HALTED]
    assert ledgers(out)[0].halted
    assert risk.trading_state is TradingState.HALTED
    latch = next(x for x in out if isinstance(x, m.StateChanged))
    assert (latch.reason_code, latch.latched_until_day) == ("day_loss", DAY + 1)
    assert "300.00 of 300.00" in latch.reason


def test_a_halt_counts_open_losses_too():
    risk = ready()
    risk.handle(a_position("100"), a_moment())
    risk.handle(a_mark("97"), a_moment())
    assert states(risk.handle(m.Tick(), a_moment(1))) == [TradingState.HALTED]


def test_positions_may_only_shrink_from_the_soft_limit_on():
    risk = ready()
    assert states(lose(risk, "9761")) == []
    assert states(lose(risk, "9760", 3)) == [TradingState.REDUCING]
    assert refusal(risk, a_proposal(kline_close_ns=a_moment(5).venue_ns), 5) == "state"
    assert states(lose(risk, "9700", 6)) == [TradingState.HALTED]


def test_a_halt_stays_when_the_loss_is_won_back():
    risk = ready()
    lose(risk, "9700")
    assert states(lose(risk, "10500", 4)) == []
    assert risk.trading_state is TradingState.HALTED


def test_a_halt_survives_a_restart():
    risk = ready()
    out = lose(risk, "9700")
    day = ledgers(out)[-1]
    latch = next(x for x in out if isinstance(x, m.StateChanged))
    successor = make_ready(a_risk(), wallet="10500", day=day, state=latch)
    assert successor.trading_state is TradingState.HALTED
    assert refusal(successor, a_proposal()) == "state"


def test_a_halt_of_the_ledger_latches_again_if_the_state_was_not_stored():
    risk = make_ready(a_risk(), wallet="10500", day=a_day(halted=True))
    assert risk.trading_state is TradingState.HALTED


def test_a_halt_clears_on_the_venues_next_day():
    risk = ready()
    lose(risk, "9700")
    out = risk.handle(m.Tick(), a_moment(10, venue_s=HALF_DAY_S))
    assert states(out) == [TradingState.ACTIVE]
    (day,) = ledgers(out)
    assert (day.equity_start, day.halted) == (9_700, False)
    proposal = a_proposal(kline_close_ns=NOON_NS + HALF_DAY_S * NS_PER_S)
    moment = a_moment(10, venue_s=HALF_DAY_S)
    risk.handle(a_mark(event_ns=moment.venue_ns), moment)
    assert risk.handle(proposal, moment)[0].approved


def test_what_a_person_latched_is_not_cleared_by_a_new_day():
    latched = m.StateChanged(
        state=TradingState.HALTED, reason_code="operator", reason="", latched_until_day=None,
        at_ns=0,
    )  # fmt: skip
    risk = make_ready(a_risk(), state=latched)
    out = risk.handle(m.Tick(), a_moment(1, venue_s=3 * HALF_DAY_S))
    assert states(out) == []
    assert risk.trading_state is TradingState.HALTED


def test_an_active_state_of_the_database_latches_nothing():
    active = m.StateChanged(
        state=TradingState.ACTIVE, reason_code="new_day", reason="", latched_until_day=None,
        at_ns=0,
    )  # fmt: skip
    assert make_ready(a_risk(), state=active).trading_state is TradingState.ACTIVE


def test_equity_is_judged_only_when_wallet_and_positions_speak_of_the_same_moment():
    """A stop fills: the wallet has the loss already, the position still shows it as well."""
    risk = ready()
    risk.handle(a_position("100"), a_moment(1))
    risk.handle(a_mark("98.2"), a_moment(1))
    risk.handle(an_account_update("9820", event_ns=a_moment(2).venue_ns), a_moment(2))
    assert risk.book.day_pnl() == -360
    assert risk.handle(m.Tick(), a_moment(2.1)) == ()
    risk.handle(a_flat(), a_moment(2.2))
    assert states(risk.handle(m.Tick(), a_moment(3))) == []
    assert risk.trading_state is TradingState.ACTIVE


def test_a_snapshot_that_says_nothing_new_does_not_delay_the_judgement():
    risk = ready()
    risk.handle(a_position("100"), a_moment(1))
    risk.handle(a_mark("96"), a_moment(1))
    risk.handle(an_account("10000", at_ns=a_moment(5).venue_ns), a_moment(5))
    assert states(risk.handle(m.Tick(), a_moment(5.1))) == [TradingState.HALTED]


def test_an_approval_after_the_reset_budget_uses_the_new_days_limit():
    risk = ready()
    risk.handle(an_account_update("20000", event_ns=NOON_NS + 1), a_moment())
    risk.handle(m.Tick(), a_moment(1, venue_s=HALF_DAY_S))
    assert risk.day_limit() == 600
    moment = a_moment(1, venue_s=HALF_DAY_S)
    risk.handle(a_mark(event_ns=moment.venue_ns), moment)
    out = risk.handle(a_proposal(kline_close_ns=moment.venue_ns), moment)
    assert out[0].approved


def test_the_limit_is_unknown_until_the_day_has_begun():
    assert a_risk().day_limit() == 0


def test_what_was_paid_in_before_the_first_start_is_where_its_day_begins():
    """An account funded today had nothing at midnight; its budget is of what it has."""

    def told(wallet: str, paid_in: int, after_s: float) -> m.AccountSnapshot:
        account = an_account(wallet, at_ns=a_moment(after_s).venue_ns)
        return replace(account, earned_today=Decimal(0), transfers_today=Decimal(paid_in))

    risk = a_risk()
    risk.handle(told("10000", 10_000, -2), a_moment(-2))
    make_ready(risk, wallet="10000")
    assert risk.day_limit() == 300
    risk.handle(told("15000", 15_000, 200), a_moment(200))
    assert risk.day_limit() == 300  # a deposit refills nothing
    assert risk.book.day_pnl() == 0
