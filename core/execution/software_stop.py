"""The stop behind the stop: closes a position that the mark left behind and the venue did not.

It reads mark events alone.  A mark that is frozen, late or told twice says nothing new, so a feed
that has stopped closes nothing; the stop on the venue stands.
"""

from decimal import Decimal

from core import messages as m
from core.clock import Moment
from core.execution.bracket import ZERO, Bracket, Phase
from core.execution.protection import Protection
from core.execution.settings import ExecutionSettings
from core.messages import Purpose

REASON = "software_stop"


class SoftwareStop:
    """Remembers the newest mark of each symbol; shares brackets with the machine."""

    def __init__(
        self, settings: ExecutionSettings, protection: Protection, brackets: dict[str, Bracket]
    ) -> None:
        self.marks: dict[str, Decimal] = {}
        self._settings = settings
        self._protection = protection
        self._brackets = brackets
        self._event_ns: dict[str, int] = {}

    def heard(self, mark: m.MarkPrice, now: Moment) -> tuple[object, ...]:
        """Note a mark; close what has been beyond its stop for too long."""
        if mark.event_ns <= self._event_ns.get(mark.symbol, -1):
            return ()
        self._event_ns[mark.symbol], self.marks[mark.symbol] = mark.event_ns, mark.price
        bracket = self._brackets.get(mark.symbol)
        if bracket is None:
            return ()
        if not self._beyond(bracket, mark.price):
            bracket.beyond_since_wall_ns = 0
            return ()
        bracket.beyond_since_wall_ns = bracket.beyond_since_wall_ns or now.wall_ns
        if now.wall_ns - bracket.beyond_since_wall_ns <= self._settings.software_stop_ns:
            return ()
        bracket.beyond_since_wall_ns = 0
        return self._protection.flatten(bracket, REASON, now)

    def _beyond(self, bracket: Bracket, mark: Decimal) -> bool:
        """Tell whether the mark is further beyond the stop than a trigger may lag."""
        held = bracket.quantity != ZERO and bracket.entry_price > ZERO
        if not held or bracket.phase not in (Phase.OPEN, Phase.PROTECTED):
            return False
        sign = 1 if bracket.quantity > ZERO else -1
        leg = bracket.legs.get(Purpose.STOP)
        level = bracket.entry_price * (1 - sign * bracket.stop_pct)
        if leg is not None and leg.trigger_price > ZERO:
            level = leg.trigger_price
        return (level - mark) * sign > level * self._settings.software_stop_pct
