"""Who trades how much at which point of a minute: volume and trade counts over the path.

Everything is whole numbers (steps, trades) for a block of minutes at once: rows are minutes,
columns the `POINTS` of their paths.  A point at which something is traded is a print, an aggregated
trade: at least one trade of at least one step, all by the same taker at the same price.  A minute
with fewer trades or steps than points prints at some of them only: at open and close first, then
where high and low are, so that its candle is made of trades.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from core.venue.simulated.market import Flags, Floats, Ints

POINTS = 20
_ENDS, _EXTREME = 2_000.0, 1_000.0  # above any drawn weight


def drawn_sides(rng: np.random.Generator, ticks: Ints) -> Flags:
    """Return who took at each point: buyers in 3 of 4 rising moves, sellers in 3 of 4 falling.

    Two points of each minute are fixed, one of each kind, so that most splits of a volume between
    takers fit.
    """
    move = np.sign(np.diff(ticks, axis=1, prepend=ticks[:, :1]))
    sides = rng.random(ticks.shape) < 0.5 + 0.25 * move
    sides[:, POINTS // 3] = True
    sides[:, 2 * POINTS // 3] = False
    return sides


def drawn_taker_share(rng: np.random.Generator, ticks: Ints) -> Floats:
    """Return the share of volume that buyers took, 0.1 to 0.9: above a half in rising minutes."""
    spread = np.maximum(ticks.max(axis=1) - ticks.min(axis=1), 1)
    lean = (ticks[:, -1] - ticks[:, 0]) / spread
    noise = 0.1 * rng.standard_normal(len(ticks))
    return np.asarray(np.clip(0.5 + 0.15 * lean + noise, 0.1, 0.9), dtype=np.float64)


def print_counts(volume: Ints, trades: Ints) -> Ints:
    """Return at how many points of each minute something is traded."""
    return np.asarray(np.minimum(np.minimum(volume, trades), POINTS), dtype=np.int64)


def spread_volume(
    weights: Floats, ticks: Ints, sides: Flags, taken: tuple[Ints, Ints], trades: Ints
) -> tuple[Ints, Flags]:
    """Split each minute's steps over its prints; `taken` are those that buyers and sellers took.

    Returns the steps at each point, 0 where there is no print, and who took; `sides` holds where it
    can.  `trades` (minutes,) is at least the number of sides with volume and at most the steps.
    """
    bought, sold = taken
    buys = sides.sum(axis=1)
    buying, selling = sides, ~sides
    tight = (trades < POINTS) | (bought < buys) | (sold < POINTS - buys)
    if tight.any():
        buying, selling = buying.copy(), selling.copy()
        buying[tight], selling[tight] = _fitted(
            weights[tight], sides[tight], ticks[tight], (bought[tight], sold[tight]), trades[tight]
        )
    bought_at = _apportioned(weights, buying, bought)
    sold_at = _apportioned(weights, selling, sold)
    return bought_at + sold_at, np.where(buying | selling, buying, sides)


def spread_trades(steps: Ints, trades: Ints) -> Ints:
    """Split each minute's trades over its prints: one each, the rest by size, no more than steps.

    Rounding down what is reached so far keeps a point's trades within its steps: there are at least
    as many steps left over as trades.
    """
    down = np.ascontiguousarray(steps.T, dtype=np.int64)  # numpy adds up columns faster than rows
    prints = (down > 0).astype(np.int64)
    reached = np.cumsum(down - prints, axis=0)
    spare = trades - prints.sum(axis=0)
    # Products of fine steps may pass 63 bits; Python's integers then take over.
    widest = int(reached[-1].max(initial=0)) * int(spare.max(initial=0))
    exact = reached.astype(np.int64 if widest < 2**63 else object)
    given = exact * spare // np.maximum(reached[-1], 1)
    prints[0] += given[0].astype(np.int64)
    prints[1:] += (given[1:] - given[:-1]).astype(np.int64)
    return np.asarray(prints.T, dtype=np.int64)


def _fitted(
    weights: Floats, sides: Flags, ticks: Ints, taken: tuple[Ints, Ints], trades: Ints
) -> tuple[Flags, Flags]:
    """Return at which points buyers and sellers took, where not every point can have a print."""
    bought, sold = taken
    number = print_counts(bought + sold, trades)
    urgency = weights.copy()
    urgency[:, [0, -1]] += _ENDS
    rows = np.arange(len(ticks))
    for at in (ticks.argmax(axis=1), ticks.argmin(axis=1)):
        apart = (ticks[rows, at] != ticks[:, 0]) & (ticks[rows, at] != ticks[:, -1])
        urgency[rows[apart], at[apart]] += _EXTREME
    prints = _rank(urgency) < number[:, None]
    least = np.maximum(number - sold, bought > 0)
    most = np.minimum(bought, number - (sold > 0))
    wanted = np.clip((prints & sides).sum(axis=1), least, most)
    buying = prints & (_rank(2.0 * prints + sides) < wanted[:, None])
    return buying, prints & ~buying


def _rank(urgency: npt.NDArray[np.floating[Any]]) -> Ints:
    """Return each point's place in its row, the most urgent one 0."""
    order = np.argsort(-urgency, axis=1, kind="stable")
    return np.asarray(np.argsort(order, axis=1, kind="stable"), dtype=np.int64)


def _apportioned(weights: Floats, where: Flags, total: Ints) -> Ints:
    """Split whole numbers by weight over the points of each row: one to each, then the rest."""
    points = np.ascontiguousarray(where.T)  # numpy adds up columns faster than rows
    share = np.cumsum(weights.T * points, axis=0)
    share /= np.maximum(share[-1], np.finfo(np.float64).tiny)  # a side may take at no point
    rest = total - points.sum(axis=0)
    # The last point's share is exactly 1, but points of weight zero behind it repeat it.
    reached = np.floor(share * rest).astype(np.int64)
    given = points.astype(np.int64)
    given[0] += reached[0]
    given[1:] += reached[1:] - reached[:-1]
    return given.T
