"""The path inside a minute: from integer grids to `Minute` and `Bars`.

Prices are kept as integer ticks and quantities as integer steps, so that sums, extremes and the
conversion to Decimal are exact and cheap.  Everything here works on a block of minutes at once
(rows) with `POINTS` points in each (columns).  How much is traded at which is told by `tape.py`.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np

from core.venue.simulated.market import MINUTE_MS, Bar, Bars, Flags, Floats, Ints, Minute
from core.venue.simulated.tape import (
    POINTS,
    drawn_sides,
    drawn_taker_share,
    spread_trades,
    spread_volume,
)

_SLOT_MS = MINUTE_MS // POINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prints:
    """What is traded at each point of a block."""

    offsets_ms: Ints
    steps: Ints
    taker_buy: Flags


class Block:
    """Consecutive minutes of one symbol; rows are minutes, columns the `POINTS` of their paths.

    `ticks` (minutes, POINTS) count `price_unit`, `volume` (minutes,) counts `quantity_unit`; both
    units are powers of ten.  `bought` is the part of the volume that buyers took, -1 where it is to
    be drawn.  Each minute has at least a trade for each taker's side with volume and at most one
    for each step of it.  Prints are drawn from `rng` when they are first looked at.
    """

    def __init__(
        self,
        *,
        symbol: str,
        price_unit: Decimal,
        quantity_unit: Decimal,
        rng: np.random.Generator,
        ticks: Ints,
        volume: Ints,
        bought: Ints,
        trades: Ints,
    ) -> None:
        self._symbol = symbol
        self._price_unit = price_unit
        self._quantity_unit = quantity_unit
        self._rng = rng
        self._ticks = _narrow(ticks)
        self._volume = volume
        self._bought = bought
        self._trades = trades

    @cached_property
    def _prints(self) -> _Prints:
        rng, ticks = self._rng, self._ticks
        volume, trades = self._volume, self._trades
        made = np.rint(drawn_taker_share(rng, ticks) * volume).astype(np.int64)
        made = np.where(trades == 1, np.where(2 * made < volume, 0, volume), made)
        bought = np.where(self._bought < 0, made, self._bought)
        sides = drawn_sides(rng, ticks)
        weights = rng.standard_exponential(sides.shape)
        taken = (bought, volume - bought)
        steps, sides = spread_volume(weights, ticks, sides, taken, trades)
        offsets = _narrow(drawn_offsets(rng, len(ticks)))
        return _Prints(offsets_ms=offsets, steps=_narrow(steps), taker_buy=sides)

    @cached_property
    def _counts(self) -> Ints:
        return _narrow(spread_trades(self._prints.steps, self._trades))

    def minute(self, row: int, open_ms: int) -> Minute:
        """Return row `row` as exact decimals."""
        tick, step, prints = self._price_unit, self._quantity_unit, self._prints
        return Minute(
            symbol=self._symbol,
            open_ms=open_ms,
            offsets_ms=tuple(prints.offsets_ms[row].tolist()),
            prices=tuple([Decimal(number) * tick for number in self._ticks[row].tolist()]),
            quantities=tuple([Decimal(number) * step for number in prints.steps[row].tolist()]),
            taker_buy=tuple(prints.taker_buy[row].tolist()),
            counts=tuple(self._counts[row].tolist()),
        )

    def extremes(self) -> tuple[Floats, Floats]:
        """Return the lows and highs of all rows."""
        low, high = self._ticks.min(axis=1), self._ticks.max(axis=1)
        return as_doubles(low, self._price_unit), as_doubles(high, self._price_unit)

    def klines(self) -> "WholeKlines":
        """Return the klines of all rows."""
        ticks, prints = self._ticks, self._prints
        steps = prints.steps
        bought = np.where(prints.taker_buy, steps, 0)
        # Products of fine units may pass 63 bits; Python's integers then take over.
        widest = int(ticks.max()) * int(steps.max(initial=1)) * POINTS
        prices = ticks.astype(np.int64 if widest < 2**63 else object)
        whole = [
            ticks[:, 0],
            ticks.max(axis=1),
            ticks.min(axis=1),
            ticks[:, -1],
            steps.sum(axis=1),
            (prices * steps).sum(axis=1),
            self._trades,
            bought.sum(axis=1),
            (prices * bought).sum(axis=1),
        ]
        return WholeKlines(self._price_unit, self._quantity_unit, np.stack(whole))


class WholeKlines:
    """The klines of a block as whole numbers: exact for one, quick for many.

    Rows of `whole` are open, high, low, close (ticks), volume (steps), quote volume (ticks times
    steps), trades, and the volume and quote volume that buyers took.
    """

    def __init__(self, price_unit: Decimal, quantity_unit: Decimal, whole: Ints) -> None:
        price, quantity, quote = price_unit, quantity_unit, price_unit * quantity_unit
        one = Decimal(1)
        self._units = (price, price, price, price, quantity, quote, one, quantity, quote)
        self._whole = whole

    def bar(self, row: int, open_ms: int, first_trade: int) -> Bar:
        """Return one kline as exact decimals."""
        numbers = self._whole[:, row].tolist()
        open_, high, low, close, volume, quote, _, taken, taken_quote = [
            Decimal(number) * unit for number, unit in zip(numbers, self._units, strict=True)
        ]
        return Bar(
            open_ms,
            open_,
            high,
            low,
            close,
            volume,
            quote,
            numbers[6],
            taken,
            taken_quote,
            first_trade,
        )

    def bars(self, rows: slice, open_ms: Ints) -> Bars:
        """Return the klines of `rows` as doubles; `open_ms` are their open times."""
        parts = [
            as_doubles(numbers[rows], unit)
            for numbers, unit in zip(self._whole, self._units, strict=True)
        ]
        open_, high, low, close, volume, quote, _, taken, taken_quote = parts
        return Bars(
            open_ms=open_ms,
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=volume,
            quote_volume=quote,
            trades=self._whole[6, rows].astype(np.int64),
            taker_buy_volume=taken,
            taker_buy_quote=taken_quote,
        )


def drawn_offsets(rng: np.random.Generator, minutes: int) -> Ints:
    """Return ascending trade times: 0, then one somewhere in each following slot of the minute."""
    offsets = np.arange(POINTS, dtype=np.int64) * _SLOT_MS + rng.integers(
        0, _SLOT_MS, size=(minutes, POINTS)
    )
    offsets[:, 0] = 0
    return offsets


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


def _narrow(numbers: Ints) -> Ints:
    """Return the numbers in half the memory where they fit."""
    return numbers.astype(np.int32) if int(numbers.max(initial=0)) < 2**31 else numbers


def as_doubles(numbers: Ints, unit: Decimal) -> Floats:
    """Return numbers times unit, correctly rounded: one exact product, one division."""
    mantissa, scale = _fraction(unit)
    return np.asarray(numbers * mantissa / scale, dtype=np.float64)


def _fraction(unit: Decimal) -> tuple[int, float]:
    """Return (m, s) with unit = m / s, s a power of ten."""
    places = max(0, -int(unit.normalize().as_tuple().exponent))
    return int(unit.scaleb(places)), float(10**places)
