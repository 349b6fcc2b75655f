"""How often: entries per symbol and day, the same order again, and signals against their norm."""

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from core.clock import NS_PER_DAY, NS_PER_S, Moment, day_of
from core.messages import Side

_HOUR_NS = 3_600 * NS_PER_S
_ENTRIES_KEPT = 10_000
_RECENT_BARS = 60  # the window a signal rate is measured in
_NORM_BARS_MIN = 240  # what a norm must rest on
_NORM_NS = 30 * NS_PER_DAY


@dataclass(slots=True)
class Entries:
    """Approved entries of the last venue day.  Every one counts, whatever became of it."""

    _times: deque[tuple[str, int]] = field(default_factory=deque)
    _anew_ns: dict[str, int] = field(default_factory=dict)  # a person released the throttle
    _latest: dict[str, tuple[Side, Decimal, int]] = field(default_factory=dict)

    def restore(self, entries: tuple[tuple[str, int], ...]) -> None:
        """Start from what the journal holds, ascending."""
        self._times = deque(entries, _ENTRIES_KEPT)

    def note(self, symbol: str, side: Side, quantity: Decimal, now: Moment) -> None:
        """Count an approval."""
        self._times.append((symbol, now.venue_ns))
        while self._times[0][1] <= now.venue_ns - NS_PER_DAY or len(self._times) > _ENTRIES_KEPT:
            self._times.popleft()
        self._latest[symbol] = (side, quantity, now.wall_ns)

    def count_anew(self, symbol: str, now: Moment) -> None:
        """Leave out what was counted so far: a person has seen it."""
        self._anew_ns[symbol] = now.venue_ns

    def within_hour(self, symbol: str, now: Moment) -> int:
        """Count a symbol's entries of the last venue hour."""
        since_ns = max(now.venue_ns - _HOUR_NS, self._anew_ns.get(symbol, 0))
        return sum(1 for name, at_ns in self._times if name == symbol and at_ns > since_ns)

    def of_day(self, now: Moment) -> int:
        """Count all symbols' entries of this venue day."""
        today = day_of(now.venue_ns)
        return sum(1 for _, at_ns in self._times if day_of(at_ns) == today)

    def same_again_s(self, symbol: str, side: Side, quantity: Decimal, now: Moment) -> float | None:
        """Return how many wall seconds ago the same order was approved; None if it was not."""
        side_then, quantity_then, wall_ns = self._latest.get(symbol, (None, None, 0))
        if (side_then, quantity_then) != (side, quantity):
            return None
        return (now.wall_ns - wall_ns) / NS_PER_S


@dataclass(slots=True)
class _Rhythm:
    """One symbol's signals: the recent ones by bar, the older ones as a sum."""

    first_bar: int
    recent: deque[int] = field(default_factory=deque)
    older: float = 0.0


@dataclass(slots=True)
class Signals:
    """How often each symbol wishes to trade, against its own norm of up to 30 days."""

    interval_ns: int
    _rhythms: dict[str, _Rhythm] = field(default_factory=dict)

    def note(self, symbol: str, kline_close_ns: int) -> None:
        """Count a wish."""
        bar = kline_close_ns // self.interval_ns
        rhythm = self._rhythms.setdefault(symbol, _Rhythm(first_bar=bar))
        rhythm.recent.append(bar)
        while rhythm.recent and rhythm.recent[0] <= bar - _RECENT_BARS:
            rhythm.recent.popleft()
            rhythm.older += 1
        span, most = bar - rhythm.first_bar, _NORM_NS // self.interval_ns
        if span > most:  # the far past fades: half of it, and half of its time
            rhythm.older /= 2
            rhythm.first_bar += span // 2

    def ratio(self, symbol: str) -> float | None:
        """Return wishes of the last 60 bars over the norm, at least one; None without a norm."""
        rhythm = self._rhythms.get(symbol)
        if rhythm is None or not rhythm.recent:
            return None
        bars = rhythm.recent[-1] - _RECENT_BARS - rhythm.first_bar
        if bars < _NORM_BARS_MIN:
            return None
        norm = max(1.0, rhythm.older / bars * _RECENT_BARS)
        return len(rhythm.recent) / norm

    def forget(self, symbol: str) -> None:
        """Learn the norm anew: a person has seen it."""
        self._rhythms.pop(symbol, None)
