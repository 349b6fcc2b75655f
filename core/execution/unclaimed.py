"""Entries whose outcome the journal does not know and that no bracket follows.

A process may die after an entry filled and before its row was moved on, and its stop may fire
before the next start: then nothing is held, so nothing is adopted, and yet the row and its
reservation wait.  The same holds for an entry whose end was never told and whose position is gone.
They are asked for until the venue has told how they ended.
"""

from dataclasses import dataclass

from core import messages as m
from core.clock import NS_PER_S, Moment
from core.execution.bracket import ZERO, Bracket
from core.execution.late import LateEntries
from core.execution.order_life import ENDED, OrderState, from_venue
from core.execution.protection import Protection

Out = tuple[object, ...]

_DENIALS_MIN = 3  # a second apart, all after the deadline
_DENIAL_AGAIN_NS = NS_PER_S
# Queries may forget for half an hour what events have told, and for good an order that ended three
# days ago without a fill.  What is denied for longer has ended, and its trades are listed.
FORGOTTEN_NS = 3_600 * NS_PER_S
_ASK_AGAIN_MIN_NS = NS_PER_S
_ASK_AGAIN_MAX_NS = 60 * NS_PER_S
_DOUBLINGS_AFTER = 12  # questions a second apart, then each pause is twice the one before
_DOUBLINGS_MAX = 6


@dataclass(slots=True)
class _Open:
    """An entry, its journal state, and what was asked and heard of it; times are wall."""

    intent: m.Intent
    journal: str
    deadline_wall_ns: int  # a denial before proves nothing
    asked: int = 0
    due_wall_ns: int = 0  # when to ask again
    denials: int = 0
    denied_since_wall_ns: int = 0
    denied_wall_ns: int = 0


class Unclaimed:
    """Open entries of the journal by client id, with what the venue has said of them."""

    def __init__(self, protection: Protection, late: LateEntries, outcome_ns: int) -> None:
        self._protection = protection
        self._late = late
        self._outcome_ns = outcome_ns
        self._entries: dict[str, _Open] = {}

    def begin(self, entries: dict[str, tuple[m.Intent, str]], now: Moment) -> None:
        """Start from the open entries (intent and journal state) that got no bracket."""
        self._entries.clear()
        for intent, journal in entries.values():
            self._follow(intent, journal, now)

    def _follow(self, intent: m.Intent, journal: str, now: Moment) -> None:
        deadline_wall_ns = now.wall_ns + self._outcome_ns
        self._entries[intent.client_id] = _Open(intent, journal, deadline_wall_ns)

    def has(self, client_id: str) -> bool:
        """Tell whether an entry is followed here."""
        return client_id in self._entries

    def names(self) -> tuple[tuple[str, str], ...]:
        """Return symbol and client id of each, to be asked for."""
        return tuple((entry.intent.symbol, name) for name, entry in self._entries.items())

    def take_over(self, bracket: Bracket, now: Moment) -> None:
        """Follow the entry of a bracket whose position is gone; the bracket waits no longer.

        What it executed beyond the fills that are booked nobody will tell, nor need: it is gone.
        """
        if bracket.entry is not None and not bracket.entry_over:
            state = OrderState.ACKED if bracket.entry_seen else OrderState.UNKNOWN
            self._follow(bracket.entry, state, now)
            bracket.entry = None
        bracket.entry_over, bracket.executed = True, bracket.filled

    def claim(self, client_id: str) -> None:
        """Leave an entry to the bracket that was made of it."""
        self._entries.pop(client_id, None)

    def tick(self, now: Moment) -> Out:
        """Ask for each by itself: a drop copy may be a minute away."""
        out: list[object] = []
        for name, entry in self._entries.items():
            if now.wall_ns < entry.due_wall_ns:
                continue
            doublings = min(_DOUBLINGS_MAX, max(0, entry.asked - _DOUBLINGS_AFTER))
            wait_ns = min(_ASK_AGAIN_MAX_NS, _ASK_AGAIN_MIN_NS << doublings)
            entry.asked, entry.due_wall_ns = entry.asked + 1, now.wall_ns + wait_ns
            out.append(m.QueryOrder(client_id=name, symbol=entry.intent.symbol))
        return tuple(out)

    def denied(self, compared_wall_ns: int) -> bool:
        """Tell whether only a snapshot is missing to believe one absent.

        `compared_wall_ns` is when the newest one that was worked off was taken.
        """
        return any(
            entry.denials >= _DENIALS_MIN and compared_wall_ns <= entry.deadline_wall_ns
            for entry in self._entries.values()
        )

    def found(self, found: m.OrderFound, compared_wall_ns: int, now: Moment) -> Out:
        """Close the row and release the reservation once the venue says how the entry ended.

        An entry the venue once took and has not known for long has ended without a fill that
        counts: what it filled was booked by its trades.
        """
        entry = self._entries.get(found.client_id)
        if entry is None:
            return ()
        if found.found:
            state, entry.denials = from_venue(found.status), 0
        else:
            state = self._denial(entry, compared_wall_ns, now)
        if state not in ENDED:
            return ()
        del self._entries[found.client_id]
        if not found.found:
            self._late.watch(entry.intent, now)
        moved = self._protection.moved(
            found.client_id,
            state,
            now,
            venue_id=found.venue_id,
            executed=found.executed,
            average_price=found.average_price,
        )
        ended = m.EntryEnded(
            proposal_id=entry.intent.proposal_id,
            symbol=entry.intent.symbol,
            outcome="filled" if found.executed > ZERO else str(state).lower(),
            detail="its end was found out later",
        )
        return (moved, ended)

    @staticmethod
    def _denial(entry: _Open, compared_wall_ns: int, now: Moment) -> OrderState:
        """Count a denial; believe it as an entry with a bracket is believed absent."""
        if now.wall_ns <= entry.deadline_wall_ns:
            return OrderState.UNKNOWN
        if not entry.denials or now.wall_ns - entry.denied_wall_ns >= _DENIAL_AGAIN_NS:
            entry.denials += 1
            entry.denied_wall_ns = now.wall_ns
        if entry.denials == 1:
            entry.denied_since_wall_ns = now.wall_ns
        if entry.denials < _DENIALS_MIN or compared_wall_ns <= entry.deadline_wall_ns:
            return OrderState.UNKNOWN
        if entry.journal != OrderState.ACKED:
            return OrderState.ABSENT
        long = now.wall_ns - entry.denied_since_wall_ns > FORGOTTEN_NS
        return OrderState.EXPIRED if long else OrderState.UNKNOWN
