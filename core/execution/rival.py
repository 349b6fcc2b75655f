"""Another bot on the account under our tag, told by an entry that is none of ours.

Each would take the other's positions for its own, and spend the account's limits a second time.
Two that share a state directory or a database never get so far: the second one is refused.  These
two share neither, so the first entry of one halts the other.
"""

from core import messages as m
from core.clock import NS_PER_S, Moment
from core.execution.alerts import halt
from core.execution.client_id import purpose_of
from core.messages import Purpose

Out = tuple[object, ...]

# By then nothing of a process before ours is still on its way to the venue, or from it.
_SETTLED_NS = 60 * NS_PER_S
_NAMES_KEPT = 4_096


class Rival:
    """The entries that are ours, by client id; all others under our tag are another's."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._ours: dict[str, None] = {}  # oldest first
        self._began_wall_ns = 0
        self._told = False

    def begin(self, book: m.RecoveredBook, now: Moment) -> None:
        """Take over what the journal holds open or watches."""
        self._began_wall_ns = now.wall_ns
        for intent in (*(intent for intent, _ in book.intents), *book.absent):
            self._remember(intent.client_id)

    def journalled(self, out: Out) -> Out:
        """Remember the entries whose rows are asked for; returns what was given."""
        for message in out:
            if isinstance(message, m.RecordIntent):
                self._remember(message.intent.client_id)
        return out

    def heard(self, update: m.OrderUpdate, now: Moment) -> Out:
        """Halt, once, at an entry that nobody here asked for."""
        ours = update.client_id in self._ours
        entry = purpose_of(self._tag, update.client_id) is Purpose.ENTRY
        if ours or not entry or self._told or now.wall_ns - self._began_wall_ns < _SETTLED_NS:
            return ()
        self._told = True
        return (
            halt(
                f"{update.symbol}: {update.client_id} is the entry of another bot on this account."
                " Fix: stop one of them, or give them CLIENT_ID_TAGs and symbols of their own"
            ),
        )

    def _remember(self, name: str) -> None:
        self._ours[name] = None
        if len(self._ours) > _NAMES_KEPT:
            del self._ours[next(iter(self._ours))]
