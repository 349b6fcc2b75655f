"""A result's long arrays made short enough to draw, and cut by the calendar (UTC)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from actors.reporting.content import Prices
from core.backtest.result import BacktestResult, Trade
from core.symbol.indicators import FloatArray, IntArray
from core.words import Side

POINTS_MAX = 3_000  # of a line: more than a wide screen has columns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Periods:
    """Months, weeks or days of a result; the first and last may be parts of one."""

    start_ms: IntArray  # UTC
    profit: FloatArray  # quote
    returns: FloatArray  # share of the equity before


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """Notional held in each bar, as a multiple of equity: long, short (both 0..) and how many."""

    long: FloatArray
    short: FloatArray
    positions: IntArray

    @property
    def gross(self) -> FloatArray:
        """Return long and short together."""
        total: FloatArray = self.long + self.short
        return total


def thinned(values: FloatArray, points_max: int = POINTS_MAX) -> IntArray:
    """Return the places to draw of a long line: of every stretch its lowest and highest value.

    So no high and no low is lost.  First and last are among them.

    >>> thinned(np.array([5.0, 9.0, 1.0, 4.0, 4.0, 4.0, 8.0, 7.0]), 4).tolist()
    [0, 1, 2, 3, 6, 7]
    """
    if len(values) <= points_max:
        return np.arange(len(values), dtype=np.int64)
    edges = np.linspace(0, len(values), max(1, points_max // 2) + 1).astype(np.int64)
    picked = [0, len(values) - 1]
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        stretch = values[start:end]
        picked += [start + int(stretch.argmin()), start + int(stretch.argmax())]
    return np.unique(np.array(picked, dtype=np.int64))


def periods(result: BacktestResult, unit: str) -> Periods:
    """Cut a result by calendar unit, UTC: "M" month, "W" week from Monday, "D" day, "h" hour."""
    stamps = result.open_ms.astype("datetime64[ms]")
    if unit == "W":  # numpy counts weeks from a Thursday
        days = stamps.astype("datetime64[D]")
        keys = days - (days.astype(np.int64) + 3) % 7
    else:
        keys = stamps.astype(f"datetime64[{unit}]")
    last = np.append(np.flatnonzero(keys[1:] != keys[:-1]), len(keys) - 1)
    ends = result.equity[last]
    before = np.concatenate([[float(result.start_equity)], ends[:-1]])
    return Periods(
        start_ms=keys[last].astype("datetime64[ms]").astype(np.int64),
        profit=ends - before,
        returns=ends / before - 1.0,
    )


def exposure_of(result: BacktestResult) -> Exposure:
    """Return what was held in each bar, at entry prices, over that bar's equity.

    A position counts in the bar of its entry and in that of its exit, unless it was closed at the
    open.
    """
    steps = {side: np.zeros(len(result.open_ms) + 1) for side in Side}
    counts = np.zeros(len(result.open_ms) + 1, dtype=np.int64)
    for trade in result.trades:
        first, end = _bars(result, trade)
        notional = float(trade.quantity * trade.entry_price)
        steps[trade.side][first] += notional
        steps[trade.side][end] -= notional
        counts[first] += 1
        counts[end] -= 1
    equity = np.where(result.equity > 0.0, result.equity, np.nan)
    held = {side: np.maximum(0.0, np.cumsum(step)[:-1]) / equity for side, step in steps.items()}
    for values in held.values():
        values[np.cumsum(counts)[:-1] == 0] = 0.0  # sums of floats leave dust
    return Exposure(long=held[Side.BUY], short=held[Side.SELL], positions=np.cumsum(counts)[:-1])


def held_equally(result: BacktestResult, prices: Mapping[str, Prices]) -> FloatArray | None:
    """Return equity had it bought all symbols in equal parts and held them, without any cost.

    (n,) at each close; None where the prices do not cover all bars.
    """
    if not result.symbols or len(result.open_ms) == 0:
        return None
    total = np.zeros(len(result.open_ms))
    for symbol in result.symbols:
        found = prices.get(symbol)
        if found is None or not np.array_equal(found.open_ms, result.open_ms):
            return None
        start = float(found.ohlc[0][0])
        total += found.closes / start
    grown: FloatArray = float(result.start_equity) * total / len(result.symbols)
    return grown


def trade_returns(trades: Sequence[Trade]) -> FloatArray:
    """Return each trade's net result as a share of its notional at entry."""
    return np.array(
        [float(trade.pnl / (trade.quantity * trade.entry_price)) for trade in trades],
        dtype=np.float64,
    )


def _bars(result: BacktestResult, trade: Trade) -> tuple[int, int]:
    """Return the first bar that holds a trade, and the one after the last."""
    bars = result.open_ms.searchsorted([trade.entry_ms, trade.exit_ms - 1], side="right") - 1
    first, last = (int(np.clip(bar, 0, len(result.open_ms) - 1)) for bar in bars)
    return first, max(first, last) + 1
