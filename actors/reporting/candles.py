"""Candles and trades of one symbol as the page's script takes them: several levels of detail.

Half a million candles are neither drawn nor read at once.  The page holds a coarse level of the
whole range, a finer one, and the true bars around the trades that mattered most; its script shows
the finest level that the view has room for.
"""

import base64
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actors.reporting.content import Prices
from core.backtest.result import Trade
from core.symbol.indicators import FloatArray, IntArray

COARSE_MAX: Final = 1_200  # candles of the whole range: as many as a wide screen tells apart
FINE_MAX: Final = 10_000
NEAR_MAX: Final = 20_000  # true bars around trades: 0.5 MB a symbol
TRADES_MAX: Final = 20_000  # rows of the list: 2 MB a symbol
_AROUND: Final = 60  # bars before an entry and after an exit
_WHOLE: Final = 1_000  # longer trades keep the true bars of their ends only
_MINUTE: Final = 60_000
_STEPS: Final = tuple(
    minutes * _MINUTE
    for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720, 1440, 4320, 10_080, 43_200)
)


def chart_of(prices: Prices | None, trades: Sequence[Trade]) -> dict[str, Any]:
    """Return candles by level, coarsest first, and trades; numbers as base64 of little endian."""
    shown = trades[-TRADES_MAX:]
    return {
        "levels": [] if prices is None or not len(prices.open_ms) else _levels(prices, trades),
        "trades": [_row(trade) for trade in shown],
        "left_out": len(trades) - len(shown),
    }


def _levels(prices: Prices, trades: Sequence[Trade]) -> list[dict[str, Any]]:
    levels, before = [], 0
    for most in (COARSE_MAX, FINE_MAX):
        step_ms = step_for(prices, most)
        if step_ms != before:
            levels.append(_level(grouped(prices, step_ms), whole=True))
        before = step_ms
    if before != prices.step_ms:
        near = near_trades(prices.open_ms, trades)
        if near.any():
            kept = Prices(
                step_ms=prices.step_ms, open_ms=prices.open_ms[near], ohlc=prices.ohlc[:, near]
            )
            levels.append(_level(kept, whole=False))
    return levels


def step_for(prices: Prices, most: int) -> int:
    """Return the shortest candle, ms, of which the range holds at most so many."""
    if len(prices.open_ms) <= most:
        return prices.step_ms
    span = int(prices.open_ms[-1] - prices.open_ms[0]) + prices.step_ms
    longer = [s for s in _STEPS if s > prices.step_ms and s % prices.step_ms == 0]
    return next((step for step in longer if span / step <= most), -(-span // most))


def grouped(prices: Prices, step_ms: int) -> Prices:
    """Merge bars into candles of `step_ms`, on the clock's round times."""
    if step_ms <= prices.step_ms:
        return prices
    keys = prices.open_ms // step_ms
    first = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
    last = np.append(first[1:], len(keys)) - 1
    table = prices.ohlc
    merged = (
        np.stack(
            [
                table[0][first],
                np.maximum.reduceat(table[1], first),
                np.minimum.reduceat(table[2], first),
                table[3][last],
            ]
        )
        if len(table) > 1
        else table[:, last]
    )
    return Prices(step_ms=step_ms, open_ms=keys[first] * step_ms, ohlc=merged)


def near_trades(open_ms: IntArray, trades: Sequence[Trade]) -> NDArray[np.bool_]:
    """Tell which bars lie around trades, those with the largest results first, within bounds."""
    near = np.zeros(len(open_ms), dtype=bool)
    held = 0
    for trade in sorted(trades, key=lambda one: abs(one.pnl), reverse=True):
        entry, left = open_ms.searchsorted([trade.entry_ms, trade.exit_ms])
        spans = [(entry - _AROUND, left + _AROUND)]
        if left - entry > _WHOLE:
            spans = [(entry - _AROUND, entry + _AROUND), (left - _AROUND, left + _AROUND)]
        for start, end in spans:
            part = near[max(0, start) : end]
            held += len(part) - int(np.count_nonzero(part))
            part[:] = True
        if held >= NEAR_MAX:
            break
    return near


def _level(prices: Prices, *, whole: bool) -> dict[str, Any]:
    start = int(prices.open_ms[0])
    return {
        "step": prices.step_ms,
        "start": start,
        "whole": whole,
        "at": _packed((prices.open_ms - start) // prices.step_ms, "<u4"),
        "ohlc": [_packed(row, "<f4") for row in prices.ohlc],
    }


def _packed(values: FloatArray | IntArray, kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _row(trade: Trade) -> list[Any]:
    return [
        trade.side.value,
        float(trade.quantity),
        trade.entry_ms,
        float(trade.entry_price),
        trade.exit_ms,
        float(trade.exit_price),
        round(float(trade.pnl), 4),
        trade.exit_reason.value,
        float(trade.stop_price),
        float(trade.target_price),
    ]
