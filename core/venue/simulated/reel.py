"""Minutes by index out of daily blocks, each drawn when it is first needed and kept for a while."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

import numpy as np

from core.venue.simulated.intrabar import Block
from core.venue.simulated.market import MINUTE_MS, Bars, Minute

BLOCK_MINUTES = 1_440
_CACHED_BLOCKS = 2  # a symbol's: minutes are asked near each other


class Reel:
    """The blocks of all symbols and where minute 0 lies in them.

    `drawn(symbol, number)` makes a block, the same whenever it is asked; `zero_row` is the row of
    minute 0 counted from the start of block 0, and `first_open_ms` its open time.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        drawn: Callable[[str, int], Block],
        *,
        first_open_ms: int,
        zero_row: int = 0,
    ) -> None:
        self._symbols = tuple(symbols)
        self._drawn = drawn
        self._first_open_ms = first_open_ms
        self._zero_row = zero_row
        self._blocks: OrderedDict[tuple[str, int], Block] = OrderedDict()

    def minute(self, index: int) -> tuple[Minute, ...]:
        """Return minute `index` of all symbols, in their order."""
        number, row = divmod(self._zero_row + index, BLOCK_MINUTES)
        open_ms = self._first_open_ms + index * MINUTE_MS
        return tuple(self._block(symbol, number).minute(row, open_ms) for symbol in self._symbols)

    def bars(self, symbol: str, index: int, stop: int) -> Bars:
        """Return the klines of minutes `index` to `stop`, exclusive."""
        parts: list[Bars] = []
        while index < stop:
            number, row = divmod(self._zero_row + index, BLOCK_MINUTES)
            count = min(BLOCK_MINUTES - row, stop - index)
            reached = np.arange(index, index + count, dtype=np.int64)
            open_ms = self._first_open_ms + reached * MINUTE_MS
            parts.append(self._block(symbol, number).bars(slice(row, row + count), open_ms))
            index += count
        return _joined(parts)

    def _block(self, symbol: str, number: int) -> Block:
        key = (symbol, number)
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key]
        block = self._blocks[key] = self._drawn(symbol, number)
        while len(self._blocks) > _CACHED_BLOCKS * len(self._symbols):
            self._blocks.popitem(last=False)
        return block


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
