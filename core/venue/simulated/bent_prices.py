"""Prices with faults: jumps and freezes laid over a price source, as a pure function of both.

A jump multiplies the price from a time on, for good or until another time; a freeze holds it where
it is.  Both bend trades and candles alike, so that streams and `klines` go on agreeing; minutes
before the first bend are the source's own.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.market import MINUTE_MS, Bar, Bars, Floats, Minute, PriceSource

_NEVER = 1 << 62
_COLUMNS = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "quote_volume": "quote_volume",
    "trades": "trades",
    "taker_buy_volume": "taker_volume",
    "taker_buy_quote": "taker_quote",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bend:
    """One jump (`pinned` None) or freeze in [from, to); `to_ms` None lasts for ever.

    `factor` multiplies the price; `pinned` is the price it stands still at, quote per base.
    """

    symbol: str
    from_ms: int
    to_ms: int | None
    factor: Decimal = Decimal(1)
    pinned: Decimal | None = None

    def holds(self, time_ms: int) -> bool:
        """Tell whether it is in force at a time."""
        return self.from_ms <= time_ms and (self.to_ms is None or time_ms < self.to_ms)


class BentPrices:
    """A price source over another one."""

    def __init__(self, base: PriceSource) -> None:
        self.base = base
        self._bends: dict[str, list[Bend]] = {}
        self._made: dict[tuple[str, int], Bar] = {}
        self._changed: dict[str, ListedInstrument] = {}
        self._extra: dict[str, dict[int, int]] = {}  # points more than the base has, by minute

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the base's symbols."""
        return self.base.symbols

    @property
    def instruments(self) -> Mapping[str, ListedInstrument]:
        """Return the base's rules, with the changed ones in place."""
        return {**self.base.instruments, **self._changed}

    @property
    def first_open_ms(self) -> int:
        """Return the open time of minute 0."""
        return self.base.first_open_ms

    @property
    def history_minutes(self) -> int:
        """Return how many minutes there are before minute 0."""
        return self.base.history_minutes

    def plays(self, index: int) -> bool:
        """Tell whether the base has minute `index`."""
        return self.base.plays(index)

    def funding_rate(self, symbol: str, time_ms: int) -> Decimal | None:
        """Return the base's recorded rate."""
        return self.base.funding_rate(symbol, time_ms)

    def premium(self, symbol: str, index: int) -> Decimal:
        """Return the base's premium."""
        return self.base.premium(symbol, index)

    # ------------------------------------------------------------------ bending
    def bend(self, bend: Bend) -> None:
        """Add a bend; later ones lie over earlier ones."""
        symbol = bend.symbol
        self._bends.setdefault(symbol, []).append(bend)
        first = self._index(bend.from_ms)
        for key in [key for key in self._made if key[0] == symbol and key[1] >= first]:
            del self._made[key]
        extra = self._extra.setdefault(symbol, {})
        for edge in (bend.from_ms, bend.to_ms):
            if edge is not None and self.base.plays(self._index(edge)):
                index = self._index(edge)
                base = self.base.minute(symbol, index)
                extra[index] = len(self.minute(symbol, index).prices) - len(base.prices)

    def change(self, rules: ListedInstrument, from_ms: int) -> None:
        """List an instrument by other rules; its prices keep to the new tick from then on."""
        self._changed[rules.symbol] = rules
        self.bend(Bend(symbol=rules.symbol, from_ms=from_ms, to_ms=None))

    # ------------------------------------------------------------------ minutes and candles
    def points_before(self, symbol: str, index: int) -> int:
        """Return how many path points lie between the start of the history and minute `index`."""
        return self.base.points_before(symbol, index) + self._more(symbol, index)

    def prints_before(self, symbol: str, index: int) -> int:
        """Return at how many of those points something was traded."""
        return self.base.prints_before(symbol, index) + self._more(symbol, index)

    def trades_before(self, symbol: str, index: int) -> int:
        """Return how many trades lie between the start of the history and minute `index`."""
        return self.base.trades_before(symbol, index) + self._more(symbol, index)

    def _more(self, symbol: str, index: int) -> int:
        """Return how many points, each one trade, the bends have added before a minute."""
        return sum(count for at, count in self._extra.get(symbol, {}).items() if at < index)

    def minute(self, symbol: str, index: int) -> Minute:
        """Return the path of minute `index`."""
        return self._bent(self.base.minute(symbol, index))

    def bar(self, symbol: str, index: int) -> Bar:
        """Return the closed candle of minute `index`."""
        if index < self._first_bent(symbol):
            return self.base.bar(symbol, index)
        key = (symbol, index)
        if key not in self._made:
            first_trade = 1 + self.trades_before(symbol, index)
            self._made[key] = self.minute(symbol, index).bar(first_trade)
        return self._made[key]

    def bars(self, symbol: str, first_index: int, count: int) -> Bars:
        """Return up to `count` klines from `first_index` on, clipped to what exists."""
        bars = self.base.bars(symbol, first_index, count)
        columns: dict[str, Any] = {name: getattr(bars, name).copy() for name in _COLUMNS}
        for row, bent in self._rows(symbol, first_index, len(bars)):
            for name, field in _COLUMNS.items():
                columns[name][row] = float(getattr(bent, field))
        return replace(bars, **columns)

    def extremes(self, symbol: str, first_index: int, count: int) -> tuple[Floats, Floats]:
        """Return lows and highs of those klines."""
        lows, highs = (side.copy() for side in self.base.extremes(symbol, first_index, count))
        for row, bent in self._rows(symbol, first_index, len(lows)):
            lows[row], highs[row] = float(bent.low), float(bent.high)
        return lows, highs

    def _rows(self, symbol: str, first_index: int, count: int) -> list[tuple[int, Bar]]:
        """Return the bent candles among so many, each with its row."""
        first = max(first_index, self._first_bent(symbol))
        stop = first_index + count
        return [(index - first_index, self.bar(symbol, index)) for index in range(first, stop)]

    def _index(self, time_ms: int) -> int:
        return (time_ms - self.base.first_open_ms) // MINUTE_MS

    def _first_bent(self, symbol: str) -> int:
        bends = self._bends.get(symbol)
        return self._index(min(bend.from_ms for bend in bends)) if bends else _NEVER

    def _bent(self, minute: Minute) -> Minute:
        bends = self._bends.get(minute.symbol)
        end_ms = minute.open_ms + MINUTE_MS
        if not bends or all(bend.from_ms >= end_ms for bend in bends):
            return minute
        rules = self.instruments[minute.symbol]
        edges = [edge for bend in bends for edge in (bend.from_ms, bend.to_ms) if edge is not None]
        stamps = [minute.open_ms + offset for offset in minute.offsets_ms]
        times = sorted({*stamps, *(edge for edge in edges if minute.open_ms < edge < end_ms)})
        points = []
        for time_ms in times:
            at = bisect_right(stamps, time_ms) - 1
            own = stamps[at] == time_ms
            price = self._price(bends, rules.tick_size, time_ms, minute.prices[at])
            quantity = minute.quantities[at] if own else rules.step_size
            count = minute.counts[at] if own else 1
            points.append((time_ms - minute.open_ms, price, quantity, minute.taker_buy[at], count))
        offsets, prices, quantities, taken, counts = zip(*points, strict=True)
        return replace(
            minute,
            offsets_ms=offsets,
            prices=prices,
            quantities=quantities,
            taker_buy=taken,
            counts=counts,
        )

    @staticmethod
    def _price(bends: list[Bend], tick: Decimal, time_ms: int, price: Decimal) -> Decimal:
        held = [bend for bend in bends if bend.holds(time_ms)]
        pinned = [bend.pinned for bend in held if bend.pinned is not None]
        if pinned:
            return pinned[-1]
        if not held:
            return price
        for bend in held:
            price *= bend.factor
        return max(tick, (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick)
