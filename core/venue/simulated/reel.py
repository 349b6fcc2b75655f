"""Minutes by index out of blocks, each drawn when it is first needed and kept for a while.

A block is short, so that the first look at many symbols, or all of them passing a block's edge, is
no pause.  Paths are larger than klines and are asked near each other: fewer are kept.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from core.venue.simulated.intrabar import Block, WholeKlines
from core.venue.simulated.market import MINUTE_MS, Bar, Bars, Floats, Minute

BLOCK_MINUTES = 240
_PATHS_KEPT = 2  # a symbol's
_KLINES_KEPT = 8  # a symbol's: more than a day


class Reel:
    """The blocks of so many symbols and where minute 0 lies in them.

    `drawn(symbol, number)` makes a block, the same whenever it is asked; `zero_row` is the row of
    minute 0 counted from the start of block 0, and `first_open_ms` its open time.
    """

    def __init__(
        self,
        symbols: int,
        drawn: Callable[[str, int], Block],
        *,
        first_open_ms: int,
        zero_row: int = 0,
    ) -> None:
        self._first_open_ms = first_open_ms
        self._zero_row = zero_row
        self._block = lru_cache(_PATHS_KEPT * symbols)(drawn)
        self._klines = lru_cache(_KLINES_KEPT * symbols)(self._klines_of)
        self._extremes = lru_cache(_PATHS_KEPT * symbols)(self._extremes_of)

    def minute(self, symbol: str, index: int) -> Minute:
        """Return the path of minute `index`."""
        number, row = divmod(self._zero_row + index, BLOCK_MINUTES)
        return self._block(symbol, number).minute(row, self._first_open_ms + index * MINUTE_MS)

    def bar(self, symbol: str, index: int, first_trade: int) -> Bar:
        """Return the kline of minute `index`, exact."""
        number, row = divmod(self._zero_row + index, BLOCK_MINUTES)
        open_ms = self._first_open_ms + index * MINUTE_MS
        return self._klines(symbol, number).bar(row, open_ms, first_trade)

    def bars(self, symbol: str, index: int, stop: int) -> Bars:
        """Return the klines of minutes `index` to `stop`, exclusive."""
        parts: list[Bars] = []
        for number, rows in self._spans(index, stop):
            at = index + sum(map(len, parts))
            reached = np.arange(at, at + rows.stop - rows.start, dtype=np.int64)
            open_ms = self._first_open_ms + reached * MINUTE_MS
            parts.append(self._klines(symbol, number).bars(rows, open_ms))
        return _joined(parts)

    def extremes(self, symbol: str, index: int, stop: int) -> tuple[Floats, Floats]:
        """Return lows and highs of minutes `index` to `stop`, exclusive, not empty."""
        parts = [
            [side[rows] for side in self._extremes(symbol, number)]
            for number, rows in self._spans(index, stop)
        ]
        lows, highs = zip(*parts, strict=True)
        return np.concatenate(lows), np.concatenate(highs)

    def _spans(self, index: int, stop: int) -> Iterator[tuple[int, slice]]:
        """Yield the blocks that hold the minutes, each with its rows."""
        while index < stop:
            number, row = divmod(self._zero_row + index, BLOCK_MINUTES)
            count = min(BLOCK_MINUTES - row, stop - index)
            yield number, slice(row, row + count)
            index += count

    def _klines_of(self, symbol: str, number: int) -> WholeKlines:
        return self._block(symbol, number).klines()

    def _extremes_of(self, symbol: str, number: int) -> tuple[Floats, Floats]:
        return self._block(symbol, number).extremes()


def _joined(parts: list[Bars]) -> Bars:
    """Return consecutive runs of klines as one; no parts give no klines."""
    if len(parts) == 1:
        return parts[0]
    names = Bars.__slots__
    none = {name: np.int64 if name in {"open_ms", "trades"} else np.float64 for name in names}
    return Bars(
        **{
            name: np.concatenate([np.empty(0, none[name]), *(getattr(p, name) for p in parts)])
            for name in names
        }
    )
