"""What equity latches: the day's loss, until the venue's next day; the drawdown, until a person."""

from dataclasses import replace
from decimal import Decimal

from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_S, Moment
from core.risk.book import Book
from core.risk.latches import (
    CORRELATED_FAILURE,
    DAY_LOSS,
    DAY_LOSS_SOFT,
    DRAWDOWN,
    Latches,
    causes,
)
from core.risk.policy import RiskPolicy

Told = tuple[m.DayLedger | m.StateChanged, ...]
_WORTH_A_ROW = Decimal("0.001")  # of equity: smaller moves of its peak and low are not stored


class Breaker:
    """Compares equity with the day's limit and with its peak, and latches what they ask for."""

    def __init__(self, policy: RiskPolicy, latches: Latches) -> None:
        self._latches = latches
        self._limit_pct = Decimal(str(policy.DAILY_MAX_LOSS_PCT))
        self._soft_at = Decimal(str(policy.SOFT_LOSS_AT))
        self._halt_at = Decimal(str(policy.HALT_AT))
        self._drawdown_max = Decimal(str(policy.MAX_DRAWDOWN))

    def day_limit(self, book: Book) -> Decimal:
        """Return the loss that ends the day, quote units; 0 while the day is unknown."""
        return book.day.equity_start * self._limit_pct if book.day is not None else Decimal(0)

    def judge(self, book: Book, now: Moment) -> Told:
        """Roll the day over if it is time, then latch what loss and drawdown ask for."""
        before = book.day
        states: tuple[m.StateChanged, ...] = ()
        if book.roll_day(now) and book.day is not None:
            states = self._latches.release_day(book.day.day, now)
        states = (*states, *self._judge_day(book, now), *self._judge_peak(book, now))
        changed = book.day is not None and book.day is not before
        return (*((book.day,) if changed and book.day is not None else ()), *states)

    def _judge_day(self, book: Book, now: Moment) -> tuple[m.StateChanged, ...]:
        day = book.day
        if day is None:
            return ()
        loss, limit = -book.day_pnl(), self.day_limit(book)
        # A day marked as halted stays so, even if its latch did not reach the database.
        if day.halted or loss >= limit * self._halt_at:
            if self._latches.holds(DAY_LOSS):
                return ()
            book.day = replace(day, halted=True)
            return self._latch_day(DAY_LOSS, book, now)
        if loss >= limit * self._soft_at and not self._latches.holds(DAY_LOSS):
            return self._latch_day(DAY_LOSS_SOFT, book, now)
        return ()

    def _latch_day(self, code: str, book: Book, now: Moment) -> tuple[m.StateChanged, ...]:
        assert book.day is not None
        tomorrow = book.day.day + 1
        wait_s = (tomorrow * NS_PER_DAY - now.venue_ns) / NS_PER_S / (now.speed or 1.0)
        loss = f"day loss {-book.day_pnl():.2f} of {self.day_limit(book):.2f} USDT"
        reason = f"{loss}, next venue day in {wait_s:.0f} s"
        if code == DAY_LOSS:  # what is softer says nothing more
            self._latches.drop(DAY_LOSS_SOFT)
        return self._latches.latch(code, reason, now, until_day=tomorrow)

    def _judge_peak(self, book: Book, now: Moment) -> tuple[m.StateChanged, ...]:
        equity = book.equity()
        if equity is None or book.day is None:
            return ()
        book.note_extremes(equity, _WORTH_A_ROW)
        if book.peak <= 0 or equity > book.peak * (1 - self._drawdown_max):
            return ()
        reason = f"equity {equity:.2f} is {1 - equity / book.peak:.1%} below its peak"
        reason = f"{reason} {book.peak:.2f}, limit {self._drawdown_max:.1%}"
        return self._latches.latch(DRAWDOWN, reason, now)


def awaits_revival(state: m.StateChanged | None) -> bool:
    """Tell whether this state is latched until a person revives the symbols."""
    return CORRELATED_FAILURE in causes(state)
