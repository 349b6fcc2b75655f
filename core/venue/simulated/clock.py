"""The venue's affine clock: venue time is a straight line of wall time, cut where the pace changes.

venue = anchor_venue + (wall − anchor_wall) · speed, all in milliseconds since 1970.  The reading of
the wall is handed in; nothing here looks at a clock.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AffineClock:
    """One segment of the line; a change of pace makes a new one from the point reached."""

    anchor_venue_ms: int
    anchor_wall_ms: int
    speed: float

    def venue_ms(self, wall_ms: int) -> int:
        """Return the venue time at a wall time; never before the anchor."""
        elapsed = max(0, wall_ms - self.anchor_wall_ms)
        return self.anchor_venue_ms + int(elapsed * self.speed)

    def repaced(self, wall_ms: int, speed: float) -> "AffineClock":
        """Return the line that goes on from here at another speed."""
        return AffineClock(
            anchor_venue_ms=self.venue_ms(wall_ms), anchor_wall_ms=wall_ms, speed=speed
        )

    def moved_to(self, wall_ms: int, venue_ms: int) -> "AffineClock":
        """Return the line through the given pair at the same speed."""
        return AffineClock(anchor_venue_ms=venue_ms, anchor_wall_ms=wall_ms, speed=self.speed)

    def not_past(self, wall_ms: int, limit_ms: int) -> "AffineClock":
        """Return the line, from here on through `limit_ms` if it is past that by now."""
        return self if self.venue_ms(wall_ms) <= limit_ms else self.moved_to(wall_ms, limit_ms)


def stamp_is_acceptable(
    stamp_ms: int, recv_window_ms: int, wall_ms: int, venue_ms: int
) -> str | None:
    """Return why a signed stamp is refused, or None when it is accepted.

    Accepted is [min(wall, venue) − recvWindow, max(wall, venue) + 1 s]: clients
    which follow the venue's clock and clients which follow their own both get in.
    """
    if stamp_ms > max(wall_ms, venue_ms) + 1000:
        return "Timestamp for this request was 1000ms ahead of the server's time."
    if stamp_ms < min(wall_ms, venue_ms) - recv_window_ms:
        return "Timestamp for this request is outside of the recvWindow."
    return None
