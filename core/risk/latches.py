"""What is latched, for the account and for single symbols, each cause by itself.

A scope (the account is the empty symbol) holds an ordered set of causes.  Its state is the
strictest of them; a cause that clears takes only itself away.  One `StateChanged` per scope tells
all of them: the codes joined by commas, the reasons by semicolons.  Since the state of a cause is
known from the table below, that one row is enough to restore every latch after a restart.
"""

from dataclasses import dataclass

from core import messages as m
from core.clock import Moment, day_of
from core.messages import TradingState

ACCOUNT = ""
DAY_LOSS, DAY_LOSS_SOFT = "day_loss", "day_loss_soft"
CORRELATED_FAILURE = "correlated_failure"
HALT, FLATTEN, PAUSE = "halt", "flatten", "pause"
DRAWDOWN, LOSS_STREAK = "drawdown", "loss_streak"
ENTRY_RATE, SIGNAL_RATE = "entry_rate", "signal_rate"
PROTECTION_FAILED = "protection_failed"
VENUE_ACCESS, VENUE_REDUCE_ONLY, VENUE_CLOSE_ONLY = (
    "venue_access",
    "venue_reduce_only",
    "venue_close_only",
)

_STATES = {
    DAY_LOSS: TradingState.HALTED,
    DAY_LOSS_SOFT: TradingState.REDUCING,
    CORRELATED_FAILURE: TradingState.REDUCING,
    HALT: TradingState.HALTED,
    FLATTEN: TradingState.FLATTEN,
    PAUSE: TradingState.REDUCING,
    DRAWDOWN: TradingState.HALTED,
    LOSS_STREAK: TradingState.REDUCING,
    ENTRY_RATE: TradingState.REDUCING,
    SIGNAL_RATE: TradingState.REDUCING,
    PROTECTION_FAILED: TradingState.REDUCING,
    VENUE_ACCESS: TradingState.HALTED,
    VENUE_REDUCE_ONLY: TradingState.REDUCING,
    VENUE_CLOSE_ONLY: TradingState.REDUCING,
}
OF_THE_DAY = frozenset({DAY_LOSS, DAY_LOSS_SOFT})  # the venue's next day clears these
_OF_OTHERS = OF_THE_DAY | {CORRELATED_FAILURE}  # not a person's `resume`: the day, `revive`
_ORDER = tuple(TradingState)
_BETWEEN = "; "


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """One cause, what it allows, and until when: a venue day, or None for a person."""

    cause: str
    state: TradingState
    reason: str
    until_day: int | None = None


def stricter(one: TradingState, other: TradingState) -> TradingState:
    """Return the state that lets less through."""
    return max(one, other, key=_ORDER.index)


def causes(state: m.StateChanged | None) -> tuple[str, ...]:
    """Return what a state was caused by."""
    return tuple(state.reason_code.split(",")) if state is not None else ()


class Latches:
    """All latches.  A scope without any is ACTIVE; nothing but `release` takes one away."""

    def __init__(self) -> None:
        self.states: dict[str, m.StateChanged] = {}  # by scope, only what is latched
        self._held: dict[str, dict[str, Latch]] = {}
        self._told: dict[str, m.StateChanged] = {}
        self._recorded: dict[str, m.StateChanged] = {}

    def restore(self, stored: m.StateChanged) -> None:
        """Take over a scope's latches as they were stored; an unknown cause waits for a person."""
        self._recorded[stored.symbol] = stored
        if stored.state is TradingState.ACTIVE:
            return
        codes, reasons = causes(stored), stored.reason.split(_BETWEEN)
        tomorrow = stored.latched_until_day or day_of(stored.at_ns) + 1
        held = self._held.setdefault(stored.symbol, {})
        for place, cause in enumerate(codes):
            held[cause] = Latch(
                cause=cause,
                state=_STATES.get(cause, stored.state),
                reason=reasons[place] if len(reasons) == len(codes) else stored.reason,
                until_day=tomorrow if cause in OF_THE_DAY else None,
            )
        self.states[stored.symbol] = stored

    def holds(self, cause: str, scope: str = ACCOUNT) -> bool:
        """Tell whether a cause is latched."""
        return cause in self._held.get(scope, {})

    def state_of(self, scope: str = ACCOUNT) -> TradingState:
        """Return what a scope's own latches allow."""
        held = self._held.get(scope, {}).values()
        return max((x.state for x in held), key=_ORDER.index, default=TradingState.ACTIVE)

    def latch(
        self,
        cause: str,
        reason: str,
        now: Moment,
        *,
        scope: str = ACCOUNT,
        until_day: int | None = None,
    ) -> tuple[m.StateChanged, ...]:
        """Latch a cause; nothing to tell if it was latched."""
        if self.holds(cause, scope):
            return ()
        self._held.setdefault(scope, {})[cause] = Latch(
            cause=cause,
            state=_STATES[cause],
            reason=reason.replace(_BETWEEN, ", "),
            until_day=until_day,
        )
        return (self._tell(scope, "", "", now),)

    def drop(self, cause: str) -> None:
        """Take a cause away without a word: a stricter one that covers it is about to be told."""
        self._held.get(ACCOUNT, {}).pop(cause, None)

    def release(
        self, released: tuple[str, ...], code: str, reason: str, now: Moment, scope: str = ACCOUNT
    ) -> tuple[m.StateChanged, ...]:
        """Take causes away; the scope's state is what the others ask for."""
        held = self._held.get(scope, {})
        gone = [cause for cause in released if cause in held]
        if not gone:
            return ()
        for cause in gone:
            del held[cause]
        return (self._tell(scope, code, reason, now),)

    def release_day(self, day: int, now: Moment) -> tuple[m.StateChanged, ...]:
        """Take away what an older venue day latched."""
        over = tuple(
            latch.cause
            for latch in self._held.get(ACCOUNT, {}).values()
            if latch.until_day is not None and latch.until_day <= day
        )
        return self.release(over, "new_day", "a new venue day has begun", now)

    def awaiting_person(self, scope: str) -> tuple[str, ...]:
        """Return the causes that a person's `resume` releases."""
        return tuple(cause for cause in self._held.get(scope, {}) if cause not in _OF_OTHERS)

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes that hold a latch, in the order they first did."""
        return tuple(scope for scope, held in self._held.items() if held)

    # ------------------------------------------------------------------ on disk
    def note_recorded(self, state: m.StateChanged) -> None:
        """Remember that a state is on disk."""
        self._recorded[state.symbol] = state

    def is_recorded(self, scope: str = ACCOUNT) -> bool:
        """Tell whether what is latched now is on disk; true where nothing ever was."""
        return self._recorded.get(scope) == self.told(scope)

    def told(self, scope: str = ACCOUNT) -> m.StateChanged | None:
        """Return the newest state of a scope that was told, ACTIVE ones included."""
        return self._told.get(scope, self._recorded.get(scope))

    def _tell(self, scope: str, code: str, reason: str, now: Moment) -> m.StateChanged:
        held = tuple(self._held.get(scope, {}).values())
        days = [latch.until_day for latch in held]
        until = max((day for day in days if day is not None), default=None)
        state = m.StateChanged(
            state=self.state_of(scope),
            reason_code=",".join(latch.cause for latch in held) or code,
            reason=_BETWEEN.join(latch.reason for latch in held) or reason,
            latched_until_day=None if None in days else until,
            at_ns=now.venue_ns,
            symbol=scope,
        )
        self._told[scope] = state
        if held:
            self.states[scope] = state
        else:
            self.states.pop(scope, None)
        return state
