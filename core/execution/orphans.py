"""Own conditional orders that protect nothing: found every half minute, removed by two sources.

What is open is learned from events and answers and set right by every list.  An order whose symbol
our book holds nothing of is suspected; a snapshot that shows no position either removes it.  Until
it is gone its symbol takes no entry: the venue keeps one stop a side, so an old one would stand
where the new one belongs, at the wrong price.
"""

from core import messages as m
from core.clock import NS_PER_S, Moment
from core.execution.alerts import alert
from core.execution.bracket import ZERO, Bracket
from core.execution.client_id import is_ours
from core.execution.gate import CONDITIONALS_MAX
from core.execution.holdings import Holdings

_EVERY_NS = 30 * NS_PER_S
_AGAIN_NS = 6 * NS_PER_S  # while some are suspected: just longer than what makes them certain
_MANY = CONDITIONALS_MAX * 9 // 10
QUIET_NS = 5 * NS_PER_S  # a symbol flat for so long, by two sources, needs no stop


class Orphans:
    """Keeps the open conditionals of ours by client id; shares brackets and holdings."""

    def __init__(self, tag: str, brackets: dict[str, Bracket], holdings: Holdings) -> None:
        self.open: dict[str, str] = {}  # client id -> symbol
        self._tag = tag
        self._brackets = brackets
        self._holdings = holdings
        self._there: frozenset[str] = frozenset()  # where the venue showed a position last
        self._due_wall_ns = 0
        self._many_told = False

    def placed(self, client_id: str, symbol: str) -> None:
        """Note that the venue holds a conditional order."""
        if is_ours(self._tag, client_id):
            self.open[client_id] = symbol

    def gone(self, client_id: str) -> None:
        """Note that it does not any more."""
        self.open.pop(client_id, None)

    def listed(self, snapshot: m.VenueSnapshot, now: Moment) -> tuple[object, ...]:
        """Take the venue's list for the truth; say so when the account's limit is near."""
        self._there = frozenset(p.symbol for p in snapshot.positions)
        conditional = [o for o in snapshot.orders if o.algo]
        self.open = {o.client_id: o.symbol for o in conditional if is_ours(self._tag, o.client_id)}
        many, told = len(conditional) >= _MANY, self._many_told
        self._many_told = many
        if not many or told:
            return ()
        words = f"{len(conditional)} of {CONDITIONALS_MAX} conditional orders are open"
        return (alert("conditional_orders", f"{words}, {len(self.open)} of them ours", now),)

    def suspects(self) -> list[str]:
        """Return the open orders of symbols that neither book nor venue holds anything of."""
        return [
            name
            for name, symbol in self.open.items()
            if symbol not in self._brackets
            and symbol not in self._there
            and self._holdings.of(symbol).quantity == ZERO
        ]

    def left_over(self, symbol: str) -> str:
        """Say which order of an earlier trade keeps a symbol from entries; empty if none."""
        name = next((name for name, of in self.open.items() if of == symbol), "")
        return f"{name} of an earlier trade is still open" if name else ""

    def due(self, now: Moment) -> bool:
        """Tell, every half minute and sooner while there are some, whether a snapshot is wanted."""
        if now.wall_ns < self._due_wall_ns:
            return False
        found = bool(self.suspects())
        self._due_wall_ns = now.wall_ns + (_AGAIN_NS if found else _EVERY_NS)
        return found

    def reap(self) -> tuple[object, ...]:
        """Cancel all suspects at once: the venue takes no further conditional order."""
        return tuple(
            m.CancelAlgoOrder(client_id=name, symbol=self.open[name]) for name in self.suspects()
        )
