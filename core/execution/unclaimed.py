"""Entries whose outcome the journal does not know and that no bracket follows.

A process may die after an entry filled and before its row was moved on, and its stop may fire
before the next start: then nothing is held, so nothing is adopted, and yet the row and its
reservation wait.  The same holds for an entry whose end was never told and whose position is gone.
They are asked for until the venue has told how they ended.
"""

from core import messages as m
from core.clock import NS_PER_S, Moment
from core.execution.bracket import ZERO, Bracket
from core.execution.late import LateEntries
from core.execution.order_life import ENDED, OrderState, from_venue
from core.execution.protection import Protection

Out = tuple[object, ...]

_DENIALS_MIN = 3  # a second apart; by a start the deadline of an entry has long passed
_DENIAL_AGAIN_NS = NS_PER_S
# Queries may forget for half an hour what events have told, and for good an order that ended three
# days ago without a fill.  What is denied for longer has ended, and its trades are listed.
FORGOTTEN_NS = 3_600 * NS_PER_S
_ASK_AGAIN_MIN_NS = NS_PER_S
_ASK_AGAIN_MAX_NS = 60 * NS_PER_S
_DOUBLINGS_AFTER = 6  # questions a second apart, then each pause is twice the one before


class Unclaimed:
    """Open entries of the journal by client id, with what the venue has said of them."""

    def __init__(self, protection: Protection, late: LateEntries) -> None:
        self._protection = protection
        self._late = late
        self._entries: dict[str, tuple[m.Intent, str]] = {}
        # How often, when first and when last, wall.
        self._denied: dict[str, tuple[int, int, int]] = {}
        self._asked: dict[str, tuple[int, int]] = {}  # how often, and when to ask again, wall

    def begin(self, entries: dict[str, tuple[m.Intent, str]]) -> None:
        """Start from the open entries (intent and journal state) that got no bracket."""
        self._entries, self._denied, self._asked = entries, {}, {}

    def has(self, client_id: str) -> bool:
        """Tell whether an entry is followed here."""
        return client_id in self._entries

    def names(self) -> tuple[tuple[str, str], ...]:
        """Return symbol and client id of each, to be asked for."""
        return tuple((intent.symbol, name) for name, (intent, _) in self._entries.items())

    def take_over(self, bracket: Bracket) -> None:
        """Follow the entry of a bracket whose position is gone; the bracket waits no longer.

        What it executed beyond the fills that are booked nobody will tell, nor need: it is gone.
        """
        if bracket.entry is not None and not bracket.entry_over:
            state = OrderState.ACKED if bracket.entry_seen else OrderState.UNKNOWN
            self._entries[bracket.entry.client_id] = (bracket.entry, state)
            bracket.entry = None
        bracket.entry_over, bracket.executed = True, bracket.filled

    def tick(self, now: Moment) -> Out:
        """Ask for each by itself: a drop copy may be a minute away."""
        out: list[object] = []
        for name, (intent, _) in self._entries.items():
            times, due_ns = self._asked.get(name, (0, 0))
            if now.wall_ns < due_ns:
                continue
            doublings = max(0, times - _DOUBLINGS_AFTER)
            wait_ns = min(_ASK_AGAIN_MAX_NS, _ASK_AGAIN_MIN_NS << min(doublings, 6))
            self._asked[name] = times + 1, now.wall_ns + wait_ns
            out.append(m.QueryOrder(client_id=name, symbol=intent.symbol))
        return tuple(out)

    def claim(self, client_id: str) -> None:
        """Leave an entry to the bracket that was made of it."""
        self._entries.pop(client_id, None)

    def found(self, found: m.OrderFound, now: Moment) -> Out:
        """Close the row and release the reservation once the venue says how the entry ended.

        An entry the venue once took and does not know any more has ended long ago without a fill
        that counts: what it filled was booked by its trades.
        """
        intent, journal = self._entries.get(found.client_id, (None, ""))
        if intent is None:
            return ()
        state = from_venue(found.status) if found.found else self._denial(found, journal, now)
        if state not in ENDED:
            return ()
        del self._entries[found.client_id]
        if not found.found:
            self._late.watch(intent, now)
        moved = self._protection.moved(
            found.client_id,
            state,
            now,
            venue_id=found.venue_id,
            executed=found.executed,
            average_price=found.average_price,
        )
        filled = found.executed > ZERO
        ended = m.EntryEnded(
            proposal_id=intent.proposal_id,
            symbol=intent.symbol,
            outcome="filled" if filled else str(state).lower(),
            detail="found after a restart",
        )
        return (moved, ended)

    def _denial(self, found: m.OrderFound, journal: str, now: Moment) -> OrderState:
        """Count a denial; believe it when it came often enough."""
        times, first_ns, last_ns = self._denied.get(found.client_id, (0, now.wall_ns, 0))
        if times and now.wall_ns - last_ns < _DENIAL_AGAIN_NS:
            return OrderState.UNKNOWN
        self._denied[found.client_id] = (times + 1, first_ns, now.wall_ns)
        if times + 1 < _DENIALS_MIN:
            return OrderState.UNKNOWN
        if journal != OrderState.ACKED:
            return OrderState.ABSENT
        long = now.wall_ns - first_ns > FORGOTTEN_NS
        return OrderState.EXPIRED if long else OrderState.UNKNOWN
