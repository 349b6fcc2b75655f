"""Two clocks, handed in together.

Market facts run on venue time, protocol and operations on the wall clock (design: Clock).  Both are
UTC nanoseconds since 1970.  Only `actors/edges/system_clock.py` reads a real clock.
"""

from dataclasses import dataclass

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S

_MINUTES = {"m": 1, "h": 60, "d": 1_440, "w": 10_080}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One instant on both clocks, and how fast venue time runs against the wall."""

    venue_ns: int
    wall_ns: int
    speed: float = 1.0

    def wall_age_ns(self, event_venue_ns: int) -> int:
        """Return the wall-clock age of a venue-stamped event; 0 while the venue is frozen."""
        if self.speed <= 0:
            return 0
        return int((self.venue_ns - event_venue_ns) / self.speed)


def day_of(venue_ns: int) -> int:
    """Return the venue's UTC day as days since 1970: the trading day's key."""
    return venue_ns // NS_PER_DAY


def interval_ns(interval: str) -> int:
    """Return a kline interval such as `1m` or `4h` in nanoseconds.

    Raises KeyError or ValueError for anything that has no fixed length.
    """
    return int(interval[:-1]) * _MINUTES[interval[-1]] * 60 * NS_PER_S
