"""The path inside a minute: from integer grids to `Minute` and `Bars`.

Prices are kept as integer ticks and quantities as integer steps, so that sums, extremes and the
conversion to Decimal are exact and cheap.  Everything here works on a block of minutes at once
(rows) with `POINTS` trades in each (columns).
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from core.venue.simulated.market import MINUTE_MS, Bars, Floats, Ints, Minute

POINTS = 20
_SLOT_MS = MINUTE_MS // POINTS

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Consecutive minutes of one symbol: arrays of shape (minutes, POINTS), `trades` (minutes,).

    `ticks` count `price_unit`, `steps` count `quantity_unit`; both units are powers of ten.
    """

    symbol: str
    price_unit: Decimal
    quantity_unit: Decimal
    offsets_ms: Ints
    ticks: Ints
    steps: Ints
    taker_buy: Flags
    trades: Ints

    def minute(self, row: int, open_ms: int) -> Minute:
        """Return row `row` as exact decimals."""
        tick, step = self.price_unit, self.quantity_unit
        return Minute(
            symbol=self.symbol,
            open_ms=open_ms,
            offsets_ms=tuple(self.offsets_ms[row].tolist()),
            prices=tuple([Decimal(number) * tick for number in self.ticks[row].tolist()]),
            quantities=tuple([Decimal(number) * step for number in self.steps[row].tolist()]),
            taker_buy=tuple(self.taker_buy[row].tolist()),
            trades=int(self.trades[row]),
        )

    def bars(self, rows: slice, open_ms: Ints) -> Bars:
        """Return the klines of `rows`; `open_ms` are their open times."""
        ticks, steps, bought = self.ticks[rows], self.steps[rows], self.taker_buy[rows]
        bought_steps = np.where(bought, steps, 0)
        prices = ticks.astype(np.float64)
        return Bars(
            open_ms=open_ms,
            open=_exact(ticks[:, 0], self.price_unit),
            high=_exact(ticks.max(axis=1), self.price_unit),
            low=_exact(ticks.min(axis=1), self.price_unit),
            close=_exact(ticks[:, -1], self.price_unit),
            volume=_exact(steps.sum(axis=1), self.quantity_unit),
            quote_volume=self._quote(prices, steps),
            trades=self.trades[rows],
            taker_buy_volume=_exact(bought_steps.sum(axis=1), self.quantity_unit),
            taker_buy_quote=self._quote(prices, bought_steps),
        )

    def _quote(self, prices: Floats, steps: Ints) -> Floats:
        mantissa, scale = _fraction(self.price_unit * self.quantity_unit)
        return np.asarray((prices * steps).sum(axis=1) * mantissa / scale, dtype=np.float64)


def drawn_offsets(rng: np.random.Generator, minutes: int) -> Ints:
    """Return ascending trade times: 0, then one somewhere in each following slot of the minute."""
    offsets = np.arange(POINTS, dtype=np.int64) * _SLOT_MS + rng.integers(
        0, _SLOT_MS, size=(minutes, POINTS)
    )
    offsets[:, 0] = 0
    return offsets


def drawn_sides(rng: np.random.Generator, ticks: Ints) -> Flags:
    """Return who took at each point: buyers in 3 of 4 rising moves, sellers in 3 of 4 falling.

    Two points of each minute are fixed, one of each kind, so that any split of a volume between
    takers fits.
    """
    move = np.sign(np.diff(ticks, axis=1, prepend=ticks[:, :1]))
    sides = rng.random(ticks.shape) < 0.5 + 0.25 * move
    sides[:, POINTS // 3] = True
    sides[:, 2 * POINTS // 3] = False
    return sides


def spread_volume(rng: np.random.Generator, sides: Flags, total: Ints, bought: Ints) -> Ints:
    """Split each minute's `total` steps over its points so that buyers took exactly `bought`."""
    weights = rng.standard_exponential(sides.shape)
    on_buys = _apportioned(np.where(sides, weights, 0.0), bought)
    on_sells = _apportioned(np.where(sides, 0.0, weights), total - bought)
    return on_buys + on_sells


def drawn_taker_share(rng: np.random.Generator, ticks: Ints) -> Floats:
    """Return the share of volume that buyers took, 0.1 to 0.9: above a half in rising minutes."""
    spread = np.maximum(ticks.max(axis=1) - ticks.min(axis=1), 1)
    lean = (ticks[:, -1] - ticks[:, 0]) / spread
    noise = 0.1 * rng.standard_normal(len(ticks))
    return np.asarray(np.clip(0.5 + 0.15 * lean + noise, 0.1, 0.9), dtype=np.float64)


def trade_counts(quote_volume: Floats) -> Ints:
    """Return how many trades a turnover stands for: 0.65 per square root of a quote unit.

    Fits the venue's own minutes: about 820 trades for 1.6 million USDT of BTCUSDT.
    """
    return np.asarray(np.ceil(0.65 * np.sqrt(quote_volume)), dtype=np.int64)


def through_extremes(
    rng: np.random.Generator, open_: Ints, high: Ints, low: Ints, close: Ints, *, tick: int
) -> Ints:
    """Return paths that start, end, peak and bottom exactly as the klines say; `tick` in units.

    Each path runs open, one extreme, the other extreme, close, in straight lines with noise that
    vanishes at those four and is clipped to [low, high].  Between the four it keeps to multiples of
    `tick`.  The extreme against the kline's direction comes first in 3 of 4.
    """
    minutes = len(open_)
    low_first = rng.random(minutes) < 0.5 + 0.25 * np.sign(close - open_)
    knots = np.zeros((minutes, 4), dtype=np.int64)
    knots[:, 1] = rng.integers(2, POINTS // 2 - 1, size=minutes)
    knots[:, 2] = rng.integers(POINTS // 2, POINTS - 2, size=minutes)
    knots[:, 3] = POINTS - 1
    first, second = np.where(low_first, low, high), np.where(low_first, high, low)
    values = np.stack([open_, first, second, close], axis=1).astype(np.float64)

    at = np.arange(POINTS)
    part = (at >= knots[:, 1:2]).astype(np.int64) + (at >= knots[:, 2:3])
    left, right = (np.take_along_axis(knots, part + side, axis=1) for side in (0, 1))
    start, end = (np.take_along_axis(values, part + side, axis=1) for side in (0, 1))
    done = (at - left) / (right - left)
    noise = 0.6 * done * (1 - done) * rng.standard_normal((minutes, POINTS))
    path = start + (end - start) * done + noise * (high - low)[:, None]
    on_ticks = np.rint(path / tick).astype(np.int64) * tick
    ticks = np.clip(on_ticks, low[:, None], high[:, None])
    np.put_along_axis(ticks, knots, values.astype(np.int64), axis=1)
    return np.asarray(ticks, dtype=np.int64)


def _apportioned(weights: Floats, total: Ints) -> Ints:
    """Split whole numbers by weight; each row of the answer adds up to its total."""
    share = np.cumsum(weights, axis=1)
    share /= share[:, -1:]
    reached = np.floor(share * total[:, None]).astype(np.int64)
    # The last point's share is exactly 1, but points of weight zero behind it repeat it.
    return np.asarray(np.diff(reached, axis=1, prepend=0), dtype=np.int64)


def _exact(numbers: Ints, unit: Decimal) -> Floats:
    """Return numbers times unit, correctly rounded: one exact product, one division."""
    mantissa, scale = _fraction(unit)
    return np.asarray(numbers * mantissa / scale, dtype=np.float64)


def _fraction(unit: Decimal) -> tuple[int, float]:
    """Return (m, s) with unit = m / s, s a power of ten."""
    places = max(0, -int(unit.normalize().as_tuple().exponent))
    return int(unit.scaleb(places)), float(10**places)
