"""The only reader of a real clock, and the affine clock of the venue on top of it.

venue = anchor_venue + (wall − anchor_wall) · speed, in nanoseconds.  Speed is 1 except on the
embedded venue, whose `/sim/health` gives anchor and speed; elsewhere the anchor is one measurement
of the offset.  The gateway moves the anchor; every other thread only reads.
"""

import time

from core.clock import NS_PER_S, Moment

# A venue that answers with a time further away than this has jumped: the anchor must be re-read.
JUMP_NS = NS_PER_S


class SystemClock:
    """Tells the time on both clocks.  Safe to use from any thread."""

    def __init__(self) -> None:
        wall_ns = time.time_ns()
        # One tuple, replaced as a whole: a reader never sees half of a new anchor.
        self._line: tuple[int, int, float] = (wall_ns, wall_ns, 1.0)

    def now(self) -> Moment:
        """Return this instant on both clocks."""
        wall_ns = time.time_ns()
        return Moment(venue_ns=self._venue_ns(wall_ns), wall_ns=wall_ns, speed=self._line[2])

    def wall_ns(self) -> int:
        """Return wall time in UTC nanoseconds."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return a clock that never goes back, in nanoseconds from an arbitrary start."""
        return time.monotonic_ns()

    def anchor(self, *, venue_ns: int, wall_ns: int, speed: float = 1.0) -> None:
        """Draw the venue's line through this pair of times."""
        self._line = (venue_ns, wall_ns, speed)

    def _venue_ns(self, wall_ns: int) -> int:
        anchor_venue_ns, anchor_wall_ns, speed = self._line
        return anchor_venue_ns + int((wall_ns - anchor_wall_ns) * speed)
