"""Scores with an interval that knows how alike neighbours are.

Symbols move together and bars follow one another, so rows are no independent throws.  They are
gathered in blocks of time with all symbols in them, and the blocks are what is drawn again (block
bootstrap, Kuensch 1989): the interval is that of the share right over blocks drawn with
replacement.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.symbol.indicators import FloatArray

BLOCK_BARS = 240
DRAWS = 10_000
ACTED_MIN = 200
_BLOCKS_MIN = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What was said of which bars, and what came: arrays (s, rows) of a stretch of time."""

    scores: FloatArray  # sign: direction; NaN where nothing was said
    labels: FloatArray  # NaN where not known
    acted: NDArray[np.bool_]
    last_returns: FloatArray

    @property
    def directed(self) -> NDArray[np.bool_]:
        """Bars on which a direction was said and one came."""
        told = np.sign(self.scores) * np.sign(self.labels)
        found: NDArray[np.bool_] = np.isfinite(told) & (told != 0.0)
        return found

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the direction was right; read it on `directed` bars."""
        found: NDArray[np.bool_] = np.sign(self.scores) == np.sign(self.labels)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The share right on the bars acted on, with the interval asked for."""

    accuracy: float
    low: float
    high: float
    acted: int  # bars with a move among those acted on
    coverage: float  # share of all bars that could be scored on which it acts
    rival: float  # the best of one half, always up and last direction on the same bars
    gain_bp: float  # mean return in the direction said, on these bars, before any fee; 0.01 %


def score_of(told: Told, *, horizon: int, level: float = 0.95, seed: int = 0) -> Score | None:
    """Score the bars acted on; None if they are too few to say anything.

    `level` is that of the two-sided interval; blocks are `BLOCK_BARS` bars, or ten horizons.
    """
    chosen = told.directed & told.acted
    count = int(chosen.sum())
    block = max(BLOCK_BARS, 10 * horizon)
    blocks = -(-chosen.shape[1] // block)
    if count < ACTED_MIN or blocks < _BLOCKS_MIN:
        return None
    edges = np.arange(0, chosen.shape[1], block)
    rows = np.add.reduceat(chosen.sum(axis=0), edges)
    hits = np.add.reduceat((chosen & told.right).sum(axis=0), edges)
    drawn = np.random.default_rng(seed).integers(0, len(edges), size=(DRAWS, len(edges)))
    drawn_rows = rows[drawn].sum(axis=1)
    shares = hits[drawn].sum(axis=1)[drawn_rows > 0] / drawn_rows[drawn_rows > 0]
    low, high = np.quantile(shares, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    follows = np.sign(told.last_returns) == np.sign(told.labels)
    known = np.isfinite(told.scores) & np.isfinite(told.labels)
    gains = np.sign(told.scores[chosen]) * told.labels[chosen]
    return Score(
        accuracy=float(hits.sum() / rows.sum()),
        low=float(low),
        high=float(high),
        acted=count,
        coverage=float((told.acted & known).sum() / max(int(known.sum()), 1)),
        gain_bp=float(gains.mean()) * 1e4,
        rival=max(0.5, float((told.labels[chosen] > 0.0).mean()), float(follows[chosen].mean())),
    )


def deviations(gains: FloatArray, *, horizon: int) -> float:
    """Return how many deviations the mean of `gains` (s, rows; NaN is nothing) is from 0.

    The deviation is that of the sums of blocks around their mean.  0 for a single block.
    """
    block = max(BLOCK_BARS, 10 * horizon)
    edges = np.arange(0, gains.shape[1], block)
    sums = np.add.reduceat(np.nan_to_num(gains).sum(axis=0), edges)
    if len(sums) < 2:  # noqa: PLR2004 - one block has no spread
        return 0.0
    spread = float(sums.std(ddof=1)) / np.sqrt(len(sums))
    return float(sums.mean()) / max(spread, 1e-12)
