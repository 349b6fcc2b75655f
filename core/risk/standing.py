"""What stands in the way besides latches: obstacles, fences, pauses after trouble, the venue."""

from dataclasses import dataclass, field

from core import messages as m
from core.clock import NS_PER_S, Moment

Note = (
    m.Reconciled
    | m.ReconcilePending
    | m.StreamUp
    | m.StreamDown
    | m.StorageFailed
    | m.StorageHealed
    | m.ActorStarted
    | m.SymbolQuarantined
    | m.VenueHealth
)


@dataclass(slots=True)
class Standing:
    """Facts that forbid entries while they last; none of them is latched."""

    obstacles: dict[str, str] = field(default_factory=lambda: {"reconciling": "start-up"})
    generations: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, str] = field(default_factory=dict)
    pauses: dict[str, tuple[int, str]] = field(default_factory=dict)  # until wall, why
    health: m.VenueHealth | None = None
    reconciled_once: bool = False

    def note(self, message: Note) -> None:
        """Keep what forbids entries, and what no longer does."""
        match message:
            case m.ReconcilePending():
                self.obstacles["reconciling"] = message.reason
            case m.Reconciled():
                self.obstacles.pop("reconciling", None)
                self.reconciled_once = True
            case m.StreamDown():
                self.obstacles[f"stream_{message.stream}"] = message.reason
            case m.StreamUp():
                self.obstacles.pop(f"stream_{message.stream}", None)
            case m.StorageFailed():
                self.obstacles["storage"] = message.reason
            case m.StorageHealed():
                self.obstacles.pop("storage", None)
            case m.ActorStarted():
                self.generations[message.symbol] = message.generation
                self.quarantined.pop(message.symbol, None)
            case m.SymbolQuarantined():
                self.quarantined[message.symbol] = message.reason
            case m.VenueHealth():
                self.health = message

    def pause(self, symbol: str, seconds: float, reason: str, now: Moment) -> None:
        """Let nothing open on a symbol for a while; a longer pause stays."""
        until_ns = now.wall_ns + round(seconds * NS_PER_S)
        if until_ns > self.pauses.get(symbol, (0, ""))[0]:
            self.pauses[symbol] = (until_ns, reason)

    def pause_left(self, symbol: str, now: Moment) -> tuple[float, str]:
        """Return the wall seconds a symbol still has to wait, 0 for none, and why."""
        until_ns, reason = self.pauses.get(symbol, (0, ""))
        return max(0.0, (until_ns - now.wall_ns) / NS_PER_S), reason
