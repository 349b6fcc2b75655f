"""How often: entries per symbol and day, the same order again, and signals against their norm."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from core.clock import NS_PER_DAY, NS_PER_S, Moment, day_of
from core.messages import Side

_HOUR_NS = 3_600 * NS_PER_S
RECENT_BARS = 60  # the window a signal rate is measured in
NORM_BARS_MIN = 240  # what a norm must rest on
NORM_NS = 30 * NS_PER_DAY


@dataclass(slots=True)
class Entries:
    """Approved entries of the last venue hour and day.  Each counts, whatever became of it."""

    _times: dict[str, deque[int]] = field(default_factory=dict)  # by symbol, ascending
    _days: dict[int, int] = field(default_factory=dict)
    _latest: dict[str, tuple[Side, Decimal, int]] = field(default_factory=dict)

    def restore(self, entries: tuple[tuple[str, int], ...]) -> None:
        """Start from what the journal holds, ascending."""
        for symbol, at_ns in entries:
            self._count(symbol, at_ns)

    def note(self, symbol: str, side: Side, quantity: Decimal, now: Moment) -> None:
        """Count an approval."""
        self._count(symbol, now.venue_ns)
        self._latest[symbol] = (side, quantity, now.wall_ns)

    def count_anew(self, symbol: str) -> None:
        """Leave out of the hour what was counted so far: a person has seen it."""
        self._times.pop(symbol, None)

    def within_hour(self, symbol: str, now: Moment) -> int:
        """Count a symbol's entries of the last venue hour."""
        times = self._times.get(symbol, ())
        return sum(1 for at_ns in times if at_ns > now.venue_ns - _HOUR_NS)

    def of_day(self, now: Moment) -> int:
        """Count all symbols' entries of this venue day."""
        return self._days.get(day_of(now.venue_ns), 0)

    def _count(self, symbol: str, at_ns: int) -> None:
        times = self._times.setdefault(symbol, deque())
        times.append(at_ns)
        while times[0] <= at_ns - _HOUR_NS:
            times.popleft()
        day = day_of(at_ns)
        self._days = {d: n for d, n in self._days.items() if d >= day - 1}
        self._days[day] = self._days.get(day, 0) + 1

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

    def restore(self, wishes: tuple[tuple[str, int, int, tuple[int, ...]], ...]) -> None:
        """Start from what was decided before: a restart would be hours without a norm."""
        for symbol, first_ns, count, latest_ns in wishes:
            bars = [at_ns // self.interval_ns for at_ns in latest_ns]
            recent = deque(bar for bar in bars if bar > bars[-1] - RECENT_BARS)
            first_bar, older = first_ns // self.interval_ns, float(count - len(recent))
            self._rhythms[symbol] = _Rhythm(first_bar=first_bar, recent=recent, older=older)

    def note(self, symbol: str, kline_close_ns: int) -> None:
        """Count a wish."""
        bar = kline_close_ns // self.interval_ns
        rhythm = self._rhythms.setdefault(symbol, _Rhythm(first_bar=bar))
        rhythm.recent.append(bar)
        while rhythm.recent and rhythm.recent[0] <= bar - RECENT_BARS:
            rhythm.recent.popleft()
            rhythm.older += 1
        span, most = bar - rhythm.first_bar, NORM_NS // self.interval_ns
        if span > most:  # the far past fades: half of it, and half of its time
            rhythm.older /= 2
            rhythm.first_bar += span // 2

    def resume(self, symbol: str, *, first_bar: int, recent: Iterable[int], older: float) -> None:
        """Go on from a rhythm that was followed elsewhere, by the rules of `note`."""
        self._rhythms[symbol] = _Rhythm(first_bar=first_bar, recent=deque(recent), older=older)

    def ratio(self, symbol: str) -> float | None:
        """Return wishes of the last 60 bars over the norm, at least one; None without a norm."""
        rhythm = self._rhythms.get(symbol)
        if rhythm is None or not rhythm.recent:
            return None
        bars = rhythm.recent[-1] - RECENT_BARS - rhythm.first_bar
        if bars < NORM_BARS_MIN:
            return None
        norm = max(1.0, rhythm.older / bars * RECENT_BARS)
        return len(rhythm.recent) / norm

    def forget(self, symbol: str) -> None:
        """Learn the norm anew: a person has seen it."""
        self._rhythms.pop(symbol, None)
