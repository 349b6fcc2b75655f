"""Entries that were believed absent, watched for a day: one that executes late is taken in.

Their reservation was released, so a late one is told as a position at once and risk counts it
again.  It may meet another entry of the symbol; nobody approved both, so what it brought is closed.
"""

from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_S, Moment
from core.execution.adoption import Adoption
from core.execution.alerts import alert
from core.execution.bracket import ZERO, Bracket, Phase
from core.execution.holdings import Holdings
from core.execution.order_life import OrderState
from core.execution.protection import Protection

Out = tuple[object, ...]

_WATCHED_MAX = 1_000
_STRAY_AGAIN_NS = NS_PER_S
IN_FLIGHT = (Phase.SENT, Phase.UNKNOWN)


class LateEntries:
    """Shares brackets and holdings with the machine, the watched intents with adoption."""

    def __init__(
        self,
        adoption: Adoption,
        protection: Protection,
        brackets: dict[str, Bracket],
        holdings: Holdings,
    ) -> None:
        self._adoption = adoption
        self._protection = protection
        self._brackets = brackets
        self._holdings = holdings
        self._until_wall_ns: dict[str, int] = {}
        self._told: set[str] = set()

    def begin(self, book: m.RecoveredBook, now: Moment) -> None:
        """Watch what the journal believes absent; when it came to believe so is not known here."""
        for intent in book.absent:
            self.watch(intent, now)

    def watch(self, intent: m.Intent, now: Moment) -> None:
        """Watch an entry for a day from now."""
        watched = self._adoption.absent
        watched[intent.client_id] = intent
        self._until_wall_ns[intent.client_id] = now.wall_ns + NS_PER_DAY
        if len(watched) > _WATCHED_MAX:
            self._forget(next(iter(watched)))

    def expire(self, now: Moment) -> None:
        """Let go of what was watched long enough; the oldest come first."""
        while self._until_wall_ns:
            name = next(iter(self._until_wall_ns))
            if self._until_wall_ns[name] > now.wall_ns:
                return
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._adoption.absent.pop(name, None)
        self._until_wall_ns.pop(name, None)
        self._told.discard(name)

    def heard(self, client_id: str, now: Moment) -> Out:
        """Tell a person, once, that an entry lives that was believed absent."""
        intent = self._adoption.absent.get(client_id)
        if intent is None or client_id in self._told:
            return ()
        self._told.add(client_id)
        words = f"{intent.symbol}: {client_id} executed after it was believed absent"
        return (alert("late_execution", words, now),)

    def filled(self, symbol: str, client_id: str, now: Moment) -> Out:
        """Take in a fill of an entry that no bracket waits for."""
        holding, bracket = self._holdings.of(symbol), self._brackets.get(symbol)
        if holding.quantity == ZERO:
            return ()
        if bracket is None or bracket.phase is Phase.RECORDING:
            withdrawn = self._withdraw(bracket, now) if bracket is not None else ()
            adopted, orders = self._adoption.adopt_late(symbol, client_id, holding.entry_price, now)
            return (*withdrawn, *orders, *self._protection.tell(adopted, now))
        if bracket.phase in IN_FLIGHT:
            return self.close_stray(bracket, now)
        if bracket.turned() and bracket.phase is not Phase.CLOSING:
            return self._protection.flatten(bracket, "a late execution turned the side", now)
        return ()  # the stop closes whatever is held

    def _withdraw(self, bracket: Bracket, now: Moment) -> Out:
        """Take back an entry that has not been sent: its symbol is not free any more."""
        assert bracket.entry is not None
        del self._brackets[bracket.symbol]
        why = "a late execution took the symbol"
        moved = self._protection.moved(
            bracket.entry.client_id, OrderState.NOT_SENT, now, reason=why
        )
        ended = m.EntryEnded(
            proposal_id=bracket.proposal_id, symbol=bracket.symbol, outcome="not_sent", detail=why
        )
        return (moved, ended)

    def close_stray(self, bracket: Bracket, now: Moment) -> Out:
        """Close what came beside an entry that is still on its way, until it is closed."""
        if bracket.quantity == ZERO or now.wall_ns < bracket.stray_due_wall_ns:
            return ()
        bracket.stray_due_wall_ns = now.wall_ns + _STRAY_AGAIN_NS
        return self._protection.exit(bracket, "a late execution beside another entry", now)
