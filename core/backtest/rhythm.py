"""How often each symbol has signalled so far, for every signal at once.

The same rules as `core.risk.tempo.Signals.note`, which counts every wish, also those that a
backtest need not ask about.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.risk.tempo import NORM_BARS_MIN, NORM_NS, RECENT_BARS
from core.symbol.indicators import FloatArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rhythm:
    """State before each of a symbol's signals; `bars` are numbers since 1970, ascending."""

    bars: Ints  # (k,)
    first: Ints  # first bar of the norm
    older: FloatArray  # signals in the norm
    oldest: Ints  # place of the oldest recent signal
    ratio: FloatArray  # with the signal itself; NaN without a norm

    @classmethod
    def of(cls, bars: Ints, interval_ns: int) -> "Rhythm":
        """Follow signals at the closes of these bars."""
        return cls(bars, *_follow(bars, NORM_NS // interval_ns))

    def before(self, place: int) -> tuple[int, list[int], float]:
        """Return (first bar, recent bars, older signals) as they are before signal `place`."""
        recent = self.bars[self.oldest[place] : place].tolist()
        return int(self.first[place]), recent, float(self.older[place])


@njit(cache=True)
def _follow(bars: Ints, most: int) -> tuple[Ints, FloatArray, Ints, FloatArray]:
    count = len(bars)
    firsts, olders = np.empty(count, np.int64), np.empty(count)
    oldests, ratios = np.empty(count, np.int64), np.full(count, np.nan)
    first, older, oldest = (bars[0] if count else 0), 0.0, 0
    for i in range(count):
        firsts[i], olders[i], oldests[i] = first, older, oldest
        bar = bars[i]
        while bars[oldest] <= bar - RECENT_BARS:
            oldest += 1
            older += 1.0
        span = bar - first
        if span > most:
            older /= 2.0
            first += span // 2
        norm_bars = bar - RECENT_BARS - first
        if norm_bars >= NORM_BARS_MIN:
            ratios[i] = (i - oldest + 1) / max(1.0, older / norm_bars * RECENT_BARS)
    return firsts, olders, oldests, ratios
