"""Where a day begins when nobody watched, what was carried over midnight, and what came late."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_S
from core.risk.machine import RiskMachine
from tests.builders import (
    DAY,
    NOON_NS,
    a_book,
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
from tests.risk.rooms import a_risk, cap, decide, make_ready, ready, refusal

HALF_DAY_S = 43_200
RECONCILED = m.Reconciled(reason="", report=(), foreign_positions=0, foreign_orders=0)


def ledgers(out: tuple[object, ...]) -> list[m.DayLedger]:
    return [x for x in out if isinstance(x, m.DayLedger)]


def account(wallet: str, *, after_s: float = -1.0, **income: Any) -> m.AccountSnapshot:
    told = {name: Decimal(value) for name, value in income.items()}
    return replace(an_account(wallet, at_ns=a_moment(after_s).venue_ns), **told)


def started(snapshot: m.AccountSnapshot, *positions: m.PositionChanged, **book: Any) -> RiskMachine:
    """A bot that starts at noon and was not there at midnight."""
    risk, early = a_risk(), a_moment(-1)
    risk.handle(a_book(**book), early)
    for position in positions:
        risk.handle(a_mark("101", position.symbol), early)
        risk.handle(position, early)
    risk.handle(snapshot, early)
    risk.handle(RECONCILED, early)
    risk.handle(m.Tick(), a_moment())
    return risk


# ---------------------------------------- down at midnight
def test_a_missed_midnight_is_reckoned_from_the_venues_income():
    told = account("9900", earned_today="-150", transfers_today="50")
    risk = started(told, day=a_day("10000", DAY - 1))
    day = risk.book.day
    assert (day.equity_start, day.wallet_start, day.transfers) == (10_000, 10_000, 50)
    assert risk.book.day_pnl() == -150
    assert risk.book.lost_today() == 150


def test_open_gains_of_a_missed_midnight_are_yesterdays_and_open_losses_todays():
    gain = a_position("10")  # from 100, mark 101
    loss = a_position("-10", "ETHUSDT", stop_price=Decimal(102))
    risk = started(account("10000", earned_today="0", transfers_today="0"), gain, loss)
    assert risk.book.day.equity_start == 10_010
    assert dict(risk.book.day.bases)["BTCUSDT"] == 101
    assert risk.book.day_pnl() == -10
    assert risk.book.lost_today() == 0


def test_without_income_the_limit_is_of_the_lowest_equity_known_and_loss_counts_from_now():
    before = a_day("12000", DAY - 3, equity_min=Decimal(8_000))
    risk = started(account("10000"), day=before)
    assert risk.book.day.day == DAY
    assert risk.day_limit() == 240
    assert risk.book.day_pnl() == 0
    risk.handle(an_account_update("9759", event_ns=NOON_NS + 1), a_moment(1))
    (state,) = [
        x for x in risk.handle(m.Tick(), a_moment(2)) if isinstance(x, m.StateChanged)
    ]  # fmt: skip
    assert state.reason_code == "day_loss"


def test_a_guess_is_replaced_once_the_income_is_known():
    risk = started(account("9900"), day=a_day("9000", DAY - 1))
    assert risk.day_limit() == 270
    told = account("9900", after_s=10, earned_today="-200", transfers_today="0")
    (day,) = ledgers(risk.handle(told, a_moment(10)))
    assert (day.equity_start, day.wallet_start) == (10_100, 10_100)
    assert risk.book.day_pnl() == -200
    assert ledgers(risk.handle(replace(told, at_ns=a_moment(20).venue_ns), a_moment(20))) == []


def test_nothing_opens_on_a_guess_that_may_hide_a_loss_until_the_income_is_known():
    """Less is there than ever was yesterday: withdrawn, or lost since midnight."""
    risk = make_ready(a_risk(), wallet="9900", day=a_day("10000", DAY - 1))
    assert refusal(risk, a_proposal()) == "day_loss"
    told = account("9900", after_s=10, earned_today="0", transfers_today="-100")
    risk.handle(told, a_moment(10))
    moment = a_moment(10)
    risk.handle(a_mark(event_ns=moment.venue_ns), moment)
    wish = a_proposal(proposal_id="another", kline_close_ns=moment.venue_ns)
    assert decide(risk, wish, 10)[0].approved


def test_a_guess_at_no_less_than_was_there_before_opens():
    risk = make_ready(a_risk(), wallet="9900", day=a_day("9000", DAY - 1))
    assert decide(risk, a_proposal())[0].approved


def test_nothing_is_reckoned_before_the_first_reconciliation():
    """Positions not told yet would be missing from equity."""
    risk = a_risk()
    risk.handle(an_account(), a_moment(-1))
    assert risk.handle(m.Tick(), a_moment()) == ()
    risk.handle(RECONCILED, a_moment(1))
    assert len(ledgers(risk.handle(m.Tick(), a_moment(1)))) == 1


def test_a_wish_of_a_day_that_is_not_reckoned_yet_is_refused():
    risk = ready()
    moment = a_moment(1, venue_s=HALF_DAY_S)
    risk.handle(a_mark(event_ns=moment.venue_ns), moment)
    late = a_proposal(kline_close_ns=moment.venue_ns)
    decision = risk.handle(late, moment)[0]
    assert decision.reason_code == "day_loss"
    assert "not reckoned yet" in decision.reason


@pytest.mark.parametrize(("venue_s", "days"), [(HALF_DAY_S - 0.001, 0), (HALF_DAY_S, 1)])
def test_the_last_millisecond_belongs_to_its_day(venue_s, days):
    risk = ready()
    risk.handle(m.Tick(), a_moment(1, venue_s=venue_s))
    assert risk.book.day.day == DAY + days


# ---------------------------------------- carried over midnight
def carried(midnight_mark: str) -> RiskMachine:
    """A long of 10 from 100 that stands at `midnight_mark` when the day changes."""
    risk = ready()
    risk.handle(a_position("10", "ETHUSDT"), a_moment())
    risk.handle(a_mark(midnight_mark, "ETHUSDT"), a_moment())
    risk.handle(m.Tick(), a_moment(1))
    risk.handle(m.Tick(), a_moment(2, venue_s=HALF_DAY_S))
    return risk


def test_what_was_carried_over_risks_the_way_from_its_mark_at_midnight():
    """Its gain of yesterday is in E0: giving it back is today's loss."""
    risk = carried("104")
    assert dict(risk.book.day.bases)["ETHUSDT"] == 104
    position = risk.book.positions["ETHUSDT"]
    at_stop = 10 * (Decimal(98) - 104) - 1_040 * Decimal("0.0035")
    assert risk.book.day_if_stopped(position, Decimal(5), Decimal("0.0035")) == at_stop


def test_closing_what_was_carried_over_realises_only_todays_part():
    risk = carried("104")
    noon = NOON_NS + HALF_DAY_S * NS_PER_S
    fill = a_fill("30", "1", symbol="ETHUSDT", at_ns=noon + 1)  # sold at 103, 30 from the entry
    (day,) = ledgers(risk.handle(fill, a_moment(3, venue_s=HALF_DAY_S + 1)))
    assert (day.realized, day.fees) == (-10, 1)
    moment = a_moment(3, venue_s=HALF_DAY_S + 1)
    (flat,) = ledgers(risk.handle(a_flat("ETHUSDT"), moment))
    assert "ETHUSDT" not in dict(flat.bases)
    risk.handle(an_account_update("10029", event_ns=noon + 1), moment)
    assert risk.book.day_pnl() == risk.book.realized_today() == -11


def test_a_position_of_today_counts_from_its_entry():
    risk = carried("104")
    moment = a_moment(3, venue_s=HALF_DAY_S + 1)
    risk.handle(a_flat("ETHUSDT"), moment)
    risk.handle(a_position("10", "ETHUSDT", entry_price=Decimal(110)), moment)
    position = risk.book.positions["ETHUSDT"]
    assert risk.book.day_if_stopped(position, Decimal(5), Decimal(0)) == -120


def test_the_bases_survive_a_restart():
    day = a_day(bases=(("ETHUSDT", Decimal(104)),), wallet_start=Decimal(9_960))
    risk = make_ready(a_risk(), wallet="9960", day=day)
    risk.handle(a_position("10", "ETHUSDT"), a_moment())
    risk.handle(a_mark("104", "ETHUSDT"), a_moment())
    assert risk.book.day_pnl() == 0
    assert risk.book.lost_today() == 0


# ---------------------------------------- late, and moved
def test_a_late_fill_of_yesterday_corrects_yesterdays_row_not_todays():
    risk = ready()
    risk.handle(m.Tick(), a_moment(2, venue_s=HALF_DAY_S))
    today = risk.book.day
    moment = a_moment(3, venue_s=HALF_DAY_S + 1)
    (row,) = ledgers(risk.handle(a_fill("-200", "1", at_ns=NOON_NS), moment))
    assert (row.day, row.realized, row.fees) == (DAY, -200, 1)
    assert risk.book.day is today
    older = a_fill("-5", trade_id=3, at_ns=NOON_NS - 3 * NS_PER_DAY)
    assert ledgers(risk.handle(older, moment)) == []


def test_after_a_restart_a_late_fill_of_yesterday_still_corrects_yesterdays_row():
    yesterday = replace(a_day("10000", DAY - 1), realized=Decimal(7))
    risk = make_ready(a_risk(), day=a_day("9900", DAY), day_before=yesterday)
    today = risk.book.day
    late = a_fill("-200", "1", at_ns=NOON_NS - NS_PER_DAY)
    (row,) = ledgers(risk.handle(late, a_moment(1)))
    assert (row.day, row.realized, row.fees) == (DAY - 1, -193, 1)
    assert risk.book.day is today


@pytest.mark.parametrize("part", ["0.5", "-0.5"])
def test_a_transfer_moves_neither_the_loss_nor_the_limit(part):
    """T-D7, told by the stream and then, absolute, by the venue's list."""
    risk = ready()
    risk.book.day = replace(risk.book.day, wallet_start=Decimal(10_000))
    change = Decimal(10_000) * Decimal(part)
    wallet = str(10_000 + change)
    update = an_account_update(wallet, "DEPOSIT", str(change), event_ns=NOON_NS + 1)
    risk.handle(update, a_moment(1))
    assert (risk.book.day_pnl(), risk.book.lost_today(), risk.day_limit()) == (0, 0, 300)
    behind = account(wallet, after_s=10, earned_today="0", transfers_today="0")
    assert ledgers(risk.handle(behind, a_moment(10))) == []  # its list lags behind
    told = account(wallet, after_s=100, earned_today="0", transfers_today=str(change))
    assert ledgers(risk.handle(told, a_moment(100))) == []
    assert risk.book.day_pnl() == 0


def test_a_transfer_that_the_stream_lost_is_found_in_the_venues_list():
    risk = ready()
    risk.book.day = replace(risk.book.day, wallet_start=Decimal(10_000))
    told = account("4000", after_s=100, earned_today="0", transfers_today="-6000")
    (day,) = ledgers(risk.handle(told, a_moment(100)))
    assert day.transfers == -6_000
    assert risk.book.day_pnl() == 0


@pytest.mark.parametrize("unheard", [-150, 150])
def test_what_moved_unheard_before_midnight_is_yesterdays_once_the_income_is_known(unheard):
    """Its stream was down: at 00:00 the wallet was not what the bot believed."""
    risk = ready()
    risk.handle(m.Tick(), a_moment(1))
    risk.handle(m.Tick(), a_moment(2, venue_s=HALF_DAY_S))
    assert risk.book.day.wallet_start == 10_000
    moment = a_moment(10, venue_s=HALF_DAY_S + 8)
    told = replace(
        an_account(str(10_000 + unheard), at_ns=moment.venue_ns),
        earned_today=Decimal(0),
        transfers_today=Decimal(0),
    )
    (day,) = ledgers(risk.handle(told, moment))
    assert (day.wallet_start, day.equity_start) == (10_000 + unheard, 10_000 + unheard)
    assert risk.book.day_pnl() == risk.book.realized_today() == 0


def test_while_money_moves_the_days_start_stays():
    """The list of income may lag behind the wallet by a fill."""
    risk = ready()
    risk.handle(m.Tick(), a_moment(1))
    risk.handle(m.Tick(), a_moment(2, venue_s=HALF_DAY_S))
    moment = a_moment(10, venue_s=HALF_DAY_S + 8)
    loss = a_fill("-50", "0", at_ns=moment.venue_ns)
    risk.handle(loss, moment)
    told = replace(
        an_account("9950", at_ns=moment.venue_ns),
        earned_today=Decimal(0),
        transfers_today=Decimal(0),
    )
    assert ledgers(risk.handle(told, moment)) == []
    assert risk.book.day.wallet_start == 10_000
    assert risk.book.lost_today() == 50


# ---------------------------------------- the rest of T-D
def test_gains_enlarge_the_budget_only_where_that_is_chosen():
    for uses, budget in ((False, 300), (True, 800)):
        risk = ready(BUDGET_USES_GAINS=uses)
        risk.handle(a_fill("500"), a_moment())
        risk.handle(an_account_update("10500"), a_moment())
        decision, _ = decide(risk, a_proposal())
        assert cap(decision, "day_budget") == budget / (100 * Decimal("0.024"))


def test_a_gap_through_the_stop_halts_and_opens_nothing_more():
    """T-D8: 5 % through a stop of 2 %: more than was reckoned with is lost, and that is said."""
    risk = ready()
    risk.handle(a_position("60"), a_moment())
    risk.handle(a_fill("-420", "3", quantity=Decimal(60), price=Decimal(93)), a_moment(1))
    risk.handle(an_account_update("9577", event_ns=NOON_NS + 1), a_moment(1))
    risk.handle(a_flat(), a_moment(1))
    (state,) = [x for x in risk.handle(m.Tick(), a_moment(2)) if isinstance(x, m.StateChanged)]
    assert state.reason_code == "day_loss"
    assert "423.00 of 300.00" in state.reason
    assert decide(risk, a_proposal(), 2)[1] is None


def test_an_unknown_outcome_keeps_its_budget_for_ever():
    """T-D4."""
    risk = ready(MAX_OPEN_POSITIONS=9, ACCOUNT_MAX_AGE_S=1e9)
    _, approval = decide(risk, a_proposal())
    for hours in range(1, 40):
        moment = a_moment(hours * 3_600)
        risk.handle(m.Tick(), moment)
    moment = a_moment(40 * 3_600)
    risk.handle(a_mark(symbol="ETHUSDT", event_ns=moment.venue_ns), moment)
    late = a_proposal(2, symbol="ETHUSDT", kline_close_ns=moment.venue_ns)
    decision = risk.handle(late, moment)[0]
    assert cap(decision, "day_budget") == (300 - approval.reservation.risk) / (
        100 * Decimal("0.024")
    )


def test_money_is_decimal_and_quantities_lie_on_the_step():
    """T-D9."""
    decision, approval = decide(ready(), a_proposal(price="99.7"))
    amounts = (
        *(quantity for _, quantity in decision.caps),
        *(approval.quantity, approval.reservation.notional),
        *(approval.reservation.margin, approval.reservation.risk),
    )
    assert all(type(amount) is Decimal for amount in amounts)
    assert approval.quantity % Decimal("0.001") == 0
