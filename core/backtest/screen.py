"""The compiled step: from one event of a portfolio to the next, over prepared arrays.

It decides nothing.  It stops at the first bar in which a position's stop, target or liquidation is
reached, at whose close equity has fallen to a level that risk wants to look at, at whose close time
itself brings something (a day, a settlement), or at whose close a symbol signals that may be asked
about; what follows is decided elsewhere (`run.py`).
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.backtest.tape import CLOSE, HIGH, LOW, Tape
from core.symbol.indicators import FloatArray
from core.symbol.strategy import CLOSE_ROW

NOTHING, EXIT, LOW_EQUITY, BOUNDARY, ASK = range(5)


# Rows of `Watch.orders`: what the day's budget leaves, and the smallest order that the venue takes.
BUDGET, EXIT_COST, LOSS, STEP, LEAST_QUANTITY, LEAST_NOTIONAL = range(6)
_NEARLY = 1e-9  # what floats may be off, as part of the whole; risk decides exactly


@dataclass(slots=True, eq=False)
class Watch:
    """What is held and who may be asked, one place a symbol; written by the caller.

    `orders` (6, symbols) is the day's budget as the cap of that name reckons it
    (`core/risk/sizing.py`): what may still be lost today if nothing is held, exit costs and loss
    per notional of an entry, and the venue's step and least sizes.
    """

    held: FloatArray  # signed quantity, 0 where flat
    entry: FloatArray
    stop: FloatArray
    target: FloatArray
    liquidation: FloatArray
    at_stop: FloatArray  # part of a position in the day's loss at its stop, without exit costs
    orders: FloatArray
    may_ask: NDArray[np.bool_]  # a signal of a flat symbol is worth asking about
    at_stop_min: float = 0.0  # -inf where gains behind a stop count
    wallet: float = 0.0
    low_equity: float = -np.inf  # at a close
    peak: float = 0.0  # of equity so far
    kept: float = 0.0  # part of the highest equity below which risk wants to look, too

    @classmethod
    def of(cls, symbols: int) -> "Watch":
        """Return a watch over so many flat symbols."""
        held, entry, stop, target, liquidation, at_stop = np.zeros((6, symbols))
        return cls(
            held=held,
            entry=entry,
            stop=stop,
            target=target,
            liquidation=liquidation,
            at_stop=at_stop,
            orders=np.zeros((6, symbols)),
            may_ask=np.zeros(symbols, dtype=np.bool_),
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Where a search ended, and the highest equity at a close that it passed by."""

    kind: int
    bar: int
    peak: float
    peak_bar: int  # -1: no close was passed by


class Screen:
    """Searches one tape."""

    def __init__(self, tape: Tape, sides: NDArray[np.int8], always: NDArray[np.bool_]) -> None:
        """`sides`: (symbols, n) of `DecidedRows`; `always`: signals to ask about in any case."""
        self._high, self._low, self._close = (
            np.stack([tape.bars[symbol][row] for symbol in tape.symbols])
            for row in (HIGH, LOW, CLOSE)
        )
        self._sides, self._always = sides, always

    def find(self, watch: Watch, bar: int, boundary: int, *, at_close: bool) -> Found:
        """Search from `bar` (from its signals on if `at_close`) up to the close of `boundary`.

        Kinds: EXIT (in the bar found), LOW_EQUITY, BOUNDARY and ASK (at its close, in this order).
        """
        kind, found, peak, peak_bar = _find(
            self._high,
            self._low,
            self._close,
            self._sides,
            self._always,
            watch.held,
            watch.entry,
            watch.stop,
            watch.target,
            watch.liquidation,
            watch.at_stop,
            watch.at_stop_min,
            watch.orders,
            watch.may_ask,
            watch.wallet,
            watch.low_equity,
            watch.peak,
            watch.kept,
            bar,
            boundary,
            at_close,
        )
        return Found(kind, found, peak, peak_bar)

    def asked(self, watch: Watch, place: int, bar: int) -> int:
        """Return a symbol's side at a bar's close if it is worth asking about, else 0."""
        asked = _asks(
            self._sides[:, bar],
            self._always[:, bar],
            self._close[:, bar],
            watch.held,
            watch.at_stop,
            watch.at_stop_min,
            watch.orders,
            watch.may_ask,
            place,
        )
        return int(self._sides[place, bar]) if asked else 0


@njit(cache=True)
def _hit(  # noqa: PLR0917 -- compiled code takes plain arrays
    held: float,
    stop: float,
    target: float,
    liquidation: float,
    high: float,
    low: float,
) -> bool:
    if held > 0.0:
        return low <= stop or high >= target or low <= liquidation
    return high >= stop or low <= target or high >= liquidation


@njit(cache=True)
def _asks(  # noqa: PLR0917
    sides: NDArray[np.int8],
    always: NDArray[np.bool_],
    close: FloatArray,
    held: FloatArray,
    at_stop: FloatArray,
    at_stop_min: float,
    orders: FloatArray,
    may_ask: NDArray[np.bool_],
    s: int,
) -> bool:
    """Tell whether risk is to be asked about a signal at a close; arrays are (symbols,)."""
    if sides[s] == 0:
        return False
    if sides[s] == CLOSE_ROW:
        return bool(held[s] != 0.0)
    if always[s]:
        return True
    if held[s] != 0.0 or not may_ask[s]:
        return False
    left = orders[BUDGET, s]
    for other in range(held.shape[0]):
        cost = abs(held[other]) * close[other] * orders[EXIT_COST, s]
        if cost:
            left -= max(at_stop_min, at_stop[other] + cost)
    left += _NEARLY * abs(orders[BUDGET, s])
    least, step = orders[LEAST_QUANTITY, s], orders[STEP, s]
    steps = np.floor((left / (close[s] * orders[LOSS, s]) - least) / step + _NEARLY)
    notional = (least + steps * step) * close[s] * (1 + _NEARLY)
    return bool(steps >= 0.0 and notional >= orders[LEAST_NOTIONAL, s])


@njit(cache=True)
def _find(  # noqa: PLR0917
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    sides: NDArray[np.int8],
    always: NDArray[np.bool_],
    held: FloatArray,
    entry: FloatArray,
    stop: FloatArray,
    target: FloatArray,
    liquidation: FloatArray,
    at_stop: FloatArray,
    at_stop_min: float,
    orders: FloatArray,
    may_ask: NDArray[np.bool_],
    wallet: float,
    low_equity: float,
    peak_before: float,
    kept: float,
    start: int,
    boundary: int,
    at_close: bool,
) -> tuple[int, int, float, int]:
    symbols = held.shape[0]
    open_places = np.flatnonzero(held)
    peak, peak_bar = peak_before, -1
    for bar in range(start, boundary + 1):
        if bar > start or not at_close:
            for at in open_places:
                s = int(at)
                if _hit(held[s], stop[s], target[s], liquidation[s], high[s, bar], low[s, bar]):
                    return EXIT, bar, peak, peak_bar
            equity = wallet
            for at in open_places:
                s = int(at)
                equity += held[s] * (close[s, bar] - entry[s])
            if equity > peak:
                peak, peak_bar = equity, bar
            if equity <= low_equity or equity <= peak * kept:
                return LOW_EQUITY, bar, peak, peak_bar
            if bar == boundary:
                return BOUNDARY, bar, peak, peak_bar
        for s in range(symbols):
            if sides[s, bar] and _asks(
                sides[:, bar],
                always[:, bar],
                close[:, bar],
                held,
                at_stop,
                at_stop_min,
                orders,
                may_ask,
                s,
            ):
                return ASK, bar, peak, peak_bar
    return NOTHING, boundary + 1, peak, peak_bar
