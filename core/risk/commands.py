"""Who may latch and release: a person, the venue's refusals, execution's failures, the breaker."""

from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_S, Moment
from core.execution.classify import Action, classify
from core.messages import Failure, Purpose
from core.risk.book import Book
from core.risk.latches import (
    CORRELATED_FAILURE,
    ENTRY_RATE,
    FLATTEN,
    HALT,
    LOSS_STREAK,
    PAUSE,
    PROTECTION_FAILED,
    VENUE_ACCESS,
    VENUE_CLOSE_ONLY,
    VENUE_REDUCE_ONLY,
    Latches,
)
from core.risk.policy import Policies
from core.risk.rules_of_tempo import LATCHING
from core.risk.standing import Standing
from core.risk.tempo import Entries, Signals
from core.risk.trips import Trips

Told = tuple[m.StateChanged | m.LossStreak | m.SymbolRest | m.DayLedger, ...]


class Commands:
    """Turns what others say into latches and pauses, and a person's word into their release."""

    def __init__(
        self,
        *,
        policies: Policies,
        latches: Latches,
        standing: Standing,
        book: Book,
        entries: Entries,
        signals: Signals,
        trips: Trips,
    ) -> None:
        self._policies = policies
        self._latches = latches
        self._standing = standing
        self._book = book
        self._entries = entries
        self._signals = signals
        self._trips = trips
        self._unprotected: dict[str, tuple[int, ...]] = {}  # venue times of failed protections

    # ------------------------------------------------------------------ a person
    def halt(self, wish: m.Halt, now: Moment) -> Told:
        """Open nothing more until a person resumes."""
        return self._latches.latch(HALT, f"{wish.source}: {wish.reason}", now)

    def flatten(self, wish: m.Flatten, now: Moment) -> Told:
        """Halt, and let execution close what is ours: it acts on the state."""
        return self._latches.latch(FLATTEN, f"{wish.source}: {wish.reason}", now)

    def pause(self, wish: m.Pause, now: Moment) -> Told:
        """Open nothing more on one symbol."""
        reason = f"{wish.source}: {wish.reason}"
        return self._latches.latch(PAUSE, reason, now, scope=wish.symbol)

    def resume(self, wish: m.Resume, now: Moment) -> Told:
        """Release what waits for a person; what the day caused stays, and what `revive` clears."""
        scopes = (wish.symbol,) if wish.symbol else tuple(self._latches.scopes)
        out: Told = ()
        for scope in scopes:
            waiting = self._latches.awaiting_person(scope)
            reason = f"{wish.source}: resumed"
            out += self._latches.release(waiting, "resumed", reason, now, scope)
        forgiven = (wish.symbol,) if wish.symbol else tuple(self._trips.losses)
        streaks = (self._trips.forgive(symbol, now.venue_ns) for symbol in forgiven)
        out += tuple(streak for streak in streaks if streak is not None)
        for symbol in dict.fromkeys((*scopes, *forgiven)):
            self._entries.count_anew(symbol)
            self._signals.forget(symbol)
            if self._unprotected.pop(symbol, None):
                out += (self._rest(symbol, now),)
        if not wish.symbol:
            self._book.forgive_drawdown()
            out += (self._book.day,) if self._book.day is not None else ()
        return out

    # ------------------------------------------------------------------ the supervisor
    def reduce(self, failure: m.CorrelatedFailure, now: Moment) -> Told:
        """Too many symbols failed at once."""
        return self._latches.latch(CORRELATED_FAILURE, failure.reason, now)

    def clear_reduce(self, cleared: m.CorrelatedFailureCleared, now: Moment) -> Told:
        """A person has revived the symbols."""
        return self._latches.release((CORRELATED_FAILURE,), "revived", cleared.reason, now)

    # ------------------------------------------------------------------ venue and execution
    def order_failed(self, failure: m.OrderFailed, now: Moment) -> Told:
        """React to what a refusal says of the account or the symbol, not of the one order."""
        action = failure.action
        if not action and failure.failure is Failure.REFUSED and failure.code:
            action = classify(status=400, code=failure.code).action
        reason = f"{failure.code} {failure.detail}".strip()
        match action:
            case Action.HALT:
                return self._latches.latch(VENUE_ACCESS, reason, now)
            case Action.REDUCE_ONLY:
                return self._latches.latch(VENUE_REDUCE_ONLY, reason, now)
            case Action.CLOSE_SYMBOL:
                return self._latches.latch(VENUE_CLOSE_ONLY, reason, now, scope=failure.symbol)
            case Action.REFRESH_ACCOUNT if failure.purpose is Purpose.ENTRY:
                wait_s = self._policies.for_symbol(failure.symbol).MARGIN_COOLDOWN_S
                self._standing.pause(failure.symbol, wait_s, reason, now)
                return (self._rest(failure.symbol, now),)
        return ()

    def protection_failed(self, failure: m.ProtectionFailed, now: Moment) -> Told:
        """Rest a symbol whose stop could not be had; latch it when that repeats."""
        policy = self._policies.for_symbol(failure.symbol)
        self._standing.pause(failure.symbol, policy.PROTECTION_COOLDOWN_S, failure.reason, now)
        known = self._unprotected.get(failure.symbol, ())
        recent = (*(at for at in known if at > failure.at_ns - NS_PER_DAY), failure.at_ns)
        self._unprotected[failure.symbol] = recent
        rest = self._rest(failure.symbol, now)
        if len(recent) < policy.PROTECTION_FAILURES_MAX:
            return (rest,)
        reason = f"{len(recent)} stops could not be had within a day, last: {failure.reason}"
        return (rest, *self._latches.latch(PROTECTION_FAILED, reason, now, scope=failure.symbol))

    def restore(self, rests: tuple[m.SymbolRest, ...], now: Moment) -> None:
        """Let symbols rest on as they were stored, and count on the stops they could not have.

        No rest is longer than one that begins now: the clock may have been set back.
        """
        for rest in rests:
            policy = self._policies.for_symbol(rest.symbol)
            most_s = max(policy.PROTECTION_COOLDOWN_S, policy.MARGIN_COOLDOWN_S)
            left_s = min(most_s, (rest.until_wall_ns - now.wall_ns) / NS_PER_S)
            if left_s > 0:
                self._standing.pause(rest.symbol, left_s, rest.reason, now)
            if rest.failures:
                self._unprotected[rest.symbol] = rest.failures

    def _rest(self, symbol: str, now: Moment) -> m.SymbolRest:
        until_ns, reason = self._standing.pauses.get(symbol, (0, ""))
        return m.SymbolRest(
            symbol=symbol,
            until_wall_ns=until_ns,
            reason=reason,
            failures=self._unprotected.get(symbol, ()),
            at_ns=now.venue_ns,
        )

    # ------------------------------------------------------------------ throttles
    def streak(self, streak: m.LossStreak | None, now: Moment) -> Told:
        """Tell a changed streak, and latch a symbol that has lost too often in a row."""
        if streak is None:
            return ()
        limit = self._policies.for_symbol(streak.symbol).LOSS_STREAK_LATCH
        if not limit or streak.losses < limit:
            return (streak,)
        reason = f"{streak.losses} losses in a row, limit {limit}"
        return (streak, *self._latches.latch(LOSS_STREAK, reason, now, scope=streak.symbol))

    def throttle(self, decision: m.Decision, now: Moment) -> Told:
        """Latch the throttles that refused a wish; the entry rate only if nothing else did."""
        failed = [check for check in decision.checks if not check.passed]
        out: Told = ()
        for check in failed:
            alone = len(failed) == 1
            if check.rule in LATCHING and (check.rule != ENTRY_RATE or alone):
                reason = f"{check.value}, limit {check.limit}"
                out += self._latches.latch(check.rule, reason, now, scope=decision.symbol)
        return out
