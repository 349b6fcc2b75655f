"""What is latched: the day's loss, until the venue's next day; correlated failure, until a person.

A day that halts while a person's word is still awaited does not release by itself.
"""

from dataclasses import replace
from decimal import Decimal

from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_S, Moment, day_of
from core.messages import TradingState
from core.risk.book import Book
from core.risk.policy import RiskPolicy

CORRELATED_FAILURE = "correlated_failure"

Latches = tuple[m.DayLedger | m.StateChanged, ...]


class Breaker:
    """Holds the latched state; None is ACTIVE.  What a person latched only a person clears."""

    def __init__(self, policy: RiskPolicy) -> None:
        self.state: m.StateChanged | None = None
        self._limit_pct = Decimal(str(policy.DAILY_MAX_LOSS_PCT))
        self._soft_at = Decimal(str(policy.SOFT_LOSS_AT))
        self._halt_at = Decimal(str(policy.HALT_AT))

    @property
    def trading_state(self) -> TradingState:
        """Return what is latched, ACTIVE if nothing is."""
        return self.state.state if self.state is not None else TradingState.ACTIVE

    def restore(self, stored: m.StateChanged | None) -> None:
        """Take over what was latched before a restart."""
        latched = stored is not None and stored.state is not TradingState.ACTIVE
        self.state = stored if latched else None

    def day_limit(self, book: Book) -> Decimal:
        """Return the loss that ends the day, quote units; 0 while the day is unknown."""
        return book.day.equity_start * self._limit_pct if book.day is not None else Decimal(0)

    def judge(self, book: Book, now: Moment) -> Latches:
        """Roll the day over if it is time, then latch what its loss asks for."""
        out: Latches = ()
        if book.roll_day(now) and book.day is not None:
            out = (book.day, *self._release(book.day, now))
        day = book.day
        if day is None:
            return out
        loss, limit = -book.day_pnl(), self.day_limit(book)
        # A day marked as halted stays so, even if its latch did not reach the database.
        halt = day.halted or loss >= limit * self._halt_at
        if halt and self.trading_state is not TradingState.HALTED:
            book.day = replace(day, halted=True)
            halted = self._latch(TradingState.HALTED, "day_loss", book, now)
            out = (*out, book.day, halted)
        elif loss >= limit * self._soft_at and self.trading_state is TradingState.ACTIVE:
            out = (*out, self._latch(TradingState.REDUCING, "day_loss_soft", book, now))
        return out

    def reduce(self, reason: str, now: Moment) -> Latches:
        """Latch REDUCING, or keep what is stricter, until a person clears it."""
        if self.awaits_revival():
            return ()
        stricter = self.state if self.trading_state is TradingState.HALTED else None
        self.state = m.StateChanged(
            state=TradingState.HALTED if stricter is not None else TradingState.REDUCING,
            reason_code=CORRELATED_FAILURE,
            reason=reason if stricter is None else f"{reason}; {stricter.reason}",
            latched_until_day=None,
            at_ns=now.venue_ns,
        )
        return (self.state,)

    def clear_reduce(self, reason: str, now: Moment) -> Latches:
        """Release what correlated failure latched; the day's loss, if any, latches again."""
        if not self.awaits_revival():
            return ()
        self.state = None
        return (_active("revived", reason, now),)

    def awaits_revival(self) -> bool:
        """Tell whether a person has to revive the symbols before anything opens."""
        return awaits_revival(self.state)

    def _latch(self, state: TradingState, code: str, book: Book, now: Moment) -> m.StateChanged:
        tomorrow = day_of(now.venue_ns) + 1 if book.day is None else book.day.day + 1
        wait_s = (tomorrow * NS_PER_DAY - now.venue_ns) / NS_PER_S / (now.speed or 1.0)
        loss = f"day loss {-book.day_pnl():.2f} of {self.day_limit(book):.2f} USDT"
        awaited = self.awaits_revival()
        self.state = m.StateChanged(
            state=state,
            reason_code=f"{CORRELATED_FAILURE},{code}" if awaited else code,
            reason=f"{loss}; next venue day in {wait_s:.0f} s",
            latched_until_day=None if awaited else tomorrow,
            at_ns=now.venue_ns,
        )
        return self.state

    def _release(self, day: m.DayLedger, now: Moment) -> Latches:
        """Clear what the old day latched; a new day has a budget of its own."""
        until = self.state.latched_until_day if self.state is not None else None
        if until is None or day.day < until:
            return ()
        self.state = None
        return (_active("new_day", "a new venue day has begun", now),)


def awaits_revival(state: m.StateChanged | None) -> bool:
    """Tell whether this state is latched until a person revives the symbols."""
    return state is not None and state.reason_code.startswith(CORRELATED_FAILURE)


def _active(code: str, reason: str, now: Moment) -> m.StateChanged:
    return m.StateChanged(
        state=TradingState.ACTIVE,
        reason_code=code,
        reason=reason,
        latched_until_day=None,
        at_ns=now.venue_ns,
    )
