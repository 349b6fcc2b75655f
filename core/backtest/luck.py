"""How much of a result may be luck: the order of its trades, and the number of tries.

**Monte Carlo.**  The same trades in another order have the same sum and another drawdown:
`reordered` shuffles them.  `resampled` draws them with replacement, which says how far the sum
itself could have been from the one that came.  Both treat trades as independent of each other,
which trades that are open together are not: the true spread is wider.

**Deflated Sharpe ratio.**  The best of N tries has a high Sharpe ratio even if none has skill.
Bailey and López de Prado, "The Deflated Sharpe Ratio" (Journal of Portfolio Management 40(5),
2014): the probability that the true ratio is above what the best of N skill-less tries is
expected to show.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RUNS = 2_000
PERCENTILES = (5, 25, 50, 75, 95)
_EULER_GAMMA = 0.5772156649015329
_NORMAL = NormalDist()
_PERIODS_MIN = 3
_BLOCK_ROWS = 250  # runs drawn at once: bounds the memory at 10^5 trades


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spread:
    """What the runs of a Monte Carlo ended with."""

    final_equity: Floats  # (runs,) quote
    max_drawdown: Floats  # (runs,) share of the highest equity before, 0..

    def percentiles(self) -> dict[str, dict[int, float]]:
        """Return `PERCENTILES` of both, by name."""
        return {
            name: dict(zip(PERCENTILES, np.percentile(values, PERCENTILES).tolist(), strict=True))
            for name, values in (
                ("final_equity", self.final_equity),
                ("max_drawdown", self.max_drawdown),
            )
        }


def reordered(pnl: Sequence[float], start_equity: float, *, seed: int, runs: int = RUNS) -> Spread:
    """Return the spread over shuffled orders of the trades.

    `pnl`: net result of each trade, quote; `start_equity` > 0, quote.
    """
    return _drawn(pnl, start_equity, seed=seed, runs=runs, replace=False)


def resampled(pnl: Sequence[float], start_equity: float, *, seed: int, runs: int = RUNS) -> Spread:
    """Return the spread over as many trades drawn with replacement; parameters as `reordered`."""
    return _drawn(pnl, start_equity, seed=seed, runs=runs, replace=True)


def drawdowns(equity: Floats) -> Floats:
    """Return the share lost since the highest value so far, along the last axis.

    >>> drawdowns(np.array([100.0, 110.0, 99.0, 120.0])).tolist()
    [0.0, 0.0, 0.1, 0.0]
    """
    peak = np.maximum.accumulate(equity, axis=-1)
    share: Floats = (peak - equity) / peak
    return share


def expected_best(tries: int, deviation: float) -> float:
    """Return the highest Sharpe ratio to expect of `tries` without skill.

    `deviation`: standard deviation of the ratios over the tries, same unit (per period).  Expected
    maximum of N normal draws, equation 6 of the paper.

    >>> expected_best(1, 0.1)
    0.0
    >>> round(expected_best(100, 1.0), 3)
    2.531
    """
    if tries <= 1:
        return 0.0
    first = _NORMAL.inv_cdf(1 - 1 / tries)
    second = _NORMAL.inv_cdf(1 - 1 / (tries * math.e))
    return deviation * ((1 - _EULER_GAMMA) * first + _EULER_GAMMA * second)


def deflated_sharpe(
    returns: Sequence[float] | Floats, *, tries: int, deviation: float
) -> float | None:
    """Return the probability (0..1) that the Sharpe ratio is more than the luck of many tries.

    `returns`: of the chosen try, one a period; `tries`: how many were made in all; `deviation`: of
    the per-period ratios over them.  Skew and fat tails widen the error (equation 9).  None where
    there is nothing to judge: fewer than three periods, or returns that never differ.
    """
    values = np.asarray(returns, dtype=np.float64)
    if len(values) < _PERIODS_MIN:
        return None
    spread = float(values.std(ddof=1))
    if spread <= 0.0 or not math.isfinite(spread):
        return None
    ratio = float(values.mean()) / spread
    scaled = (values - values.mean()) / float(values.std())
    skew, kurtosis = float((scaled**3).mean()), float((scaled**4).mean())
    variance = 1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2
    if variance <= 0.0:
        return None
    above = ratio - expected_best(tries, deviation)
    return _NORMAL.cdf(above * math.sqrt(len(values) - 1) / math.sqrt(variance))


def _drawn(
    pnl: Sequence[float], start_equity: float, *, seed: int, runs: int, replace: bool
) -> Spread:
    results = np.asarray(pnl, dtype=np.float64)
    generator = np.random.default_rng(seed)
    final, deepest = np.full(runs, start_equity), np.zeros(runs)
    if not len(results):
        return Spread(final_equity=final, max_drawdown=deepest)
    for start in range(0, runs, _BLOCK_ROWS):
        rows = min(_BLOCK_ROWS, runs - start)
        if replace:
            drawn = results[generator.integers(0, len(results), (rows, len(results)))]
        else:
            drawn = generator.permuted(np.tile(results, (rows, 1)), axis=1)
        equity = np.empty((rows, len(results) + 1))
        equity[:, 0] = start_equity
        np.cumsum(drawn, axis=1, out=equity[:, 1:])
        equity[:, 1:] += start_equity
        final[start : start + rows] = equity[:, -1]
        deepest[start : start + rows] = drawdowns(equity).max(axis=1)
    return Spread(final_equity=final, max_drawdown=deepest)
