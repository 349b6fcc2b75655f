"""The market at the venue's present: last, mark and index price, book, candles, funding.

Prices come from a `PriceSource`, all symbols in lock-step.  Between its points a price stands
still, so the price now is found by bisection, and a minute's path is made only for symbols that
somebody asks about.  All derived figures (mark, spread, depth) are functions of symbol and time
alone: the same seed shows the same market to whoever looks, however often.
"""

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import islice
from typing import TypeVar

from core.venue.simulated.book import Level, Wear, seeded_levels
from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.market import MINUTE_MS, Bar, Minute, PriceSource

FUNDING_MS = 8 * 3_600_000
INTEREST_RATE = Decimal("0.00010000")
MARK_WIGGLE = Decimal("0.0001")  # the mark price is never further than this from the last price
RATES_CACHED_MAX = 2_000

_E8 = Decimal("0.00000001")
_WAVE_MS = 420_000
_WAVE = Decimal("0.00005") / (_WAVE_MS // 4)  # amplitude 0.5 bp over one quarter of the wave
_CLAMP = Decimal("0.0005")


_Made = TypeVar("_Made")


class _Lazily(dict[str, _Made]):
    """What is made by symbol when it is first asked for."""

    def __init__(self, make: Callable[[str], _Made]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, symbol: str) -> _Made:
        made = self[symbol] = self._make(symbol)
        return made


class ClosedBars(Mapping[str, Bar]):
    """The candles of a minute that has closed, each made when it is first looked at."""

    __slots__ = ("_bars", "_index", "_source")

    def __init__(self, source: PriceSource, index: int) -> None:
        self._source = source
        self._index = index
        self._bars: dict[str, Bar] = {}

    def __getitem__(self, symbol: str) -> Bar:
        if symbol not in self._bars:
            self._bars[symbol] = self._source.bar(symbol, self._index)
        return self._bars[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.symbols)

    def __len__(self) -> int:
        return len(self._source.symbols)


class Quotes:
    """The market at `now_ms`; `enter` begins the next minute, the exchange moves the time."""

    def __init__(self, source: PriceSource, now_ms: int) -> None:
        self.source = source
        self.instruments: Mapping[str, ListedInstrument] = source.instruments
        self.now_ms = now_ms
        self.ended = False
        self.wear = Wear()
        self.resting: Callable[[str, str], Mapping[Decimal, Decimal]] = lambda _symbol, _side: {}
        self.statuses: dict[str, str] = {}  # of symbols that are not TRADING
        self.stilled: dict[str, tuple[int, int]] = {}  # when a symbol's marks stand still
        self.hidden: dict[str, None] = {}  # symbols that exchangeInfo leaves out
        self.symbols = source.symbols
        self.rank = {symbol: rank for rank, symbol in enumerate(self.symbols)}
        self._salt = {symbol: zlib.crc32(symbol.encode()) for symbol in self.symbols}
        self.minute_index = -1
        self.open_ms = 0
        self.minutes = _Lazily(self._minute)
        self._rates: dict[tuple[str, int], Decimal] = {}
        self._premiums: dict[tuple[str, int], Decimal] = {}
        if not self.enter():
            raise ValueError("the price source has no minute at all")

    # ------------------------------------------------------------------ time
    def enter(self) -> bool:
        """Begin the next minute of all symbols; False when the source has no more."""
        if not self.source.plays(self.minute_index + 1):
            self.ended = True
            return False
        self.minute_index += 1
        self.open_ms = self.source.first_open_ms + self.minute_index * MINUTE_MS
        self.minutes.clear()
        return True

    def look_again(self, source: PriceSource) -> None:
        """Take prices and rules from a source that has been changed from now on."""
        self.source = source
        self.instruments = source.instruments
        self.minutes.clear()

    def _minute(self, symbol: str) -> Minute:
        return self.source.minute(symbol, self.minute_index)

    # ------------------------------------------------------------------ prices
    def point(self, symbol: str) -> int:
        """Return the number of the price point that is valid now, within its minute."""
        offsets = self.minutes[symbol].offsets_ms
        return max(0, bisect_right(offsets, self.now_ms - self.open_ms) - 1)

    def last(self, symbol: str) -> Decimal:
        """Return the last traded price."""
        return self.minutes[symbol].prices[self.point(symbol)]

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price: within half a basis point of the last price, on a slow wave."""
        minute = self.minutes[symbol]
        at = self.point(symbol)
        return self.mark_of(symbol, minute.prices[at], self.open_ms + minute.offsets_ms[at])

    def mark_of(self, symbol: str, price: Decimal, time_ms: int) -> Decimal:
        """Return the mark price that goes with a trade price of a time."""
        begins, ends = self.stilled.get(symbol, (0, 0))
        if begins <= time_ms < ends:
            time_ms = begins
        phase = (time_ms + self._salt[symbol]) % _WAVE_MS
        wave = abs(phase - _WAVE_MS // 2) - _WAVE_MS // 4
        return (price + price * wave * _WAVE).quantize(_E8, ROUND_HALF_EVEN)

    def index(self, symbol: str) -> Decimal:
        """Return the index price: the mark less the premium of this funding period."""
        mark = self.mark(symbol)
        return (mark / (1 + self._premium(symbol))).quantize(_E8, ROUND_HALF_EVEN)

    def update_id(self, symbol: str) -> int:
        """Return the book's update number: it grows with time, and when own orders take from it.

        Not with price points alone: a client that joins a snapshot and the diff stream needs pushes
        on both sides of the snapshot's number, also while the book stands still (`depth.py`).
        """
        return self.now_ms + self.wear.takes(symbol)

    def point_number(self, symbol: str) -> int:
        """Return the number of the present price point, counted from the start of the history."""
        return 1 + self.source.points_before(symbol, self.minute_index) + self.point(symbol)

    def points_after(self, symbol: str, number: int) -> list[tuple[Decimal, bool]]:
        """Return price and whether a buyer took, of the points after a number and up to now."""
        source, index = self.source, self.minute_index
        while index > -source.history_minutes and source.points_before(symbol, index) > number:
            index -= 1
        found: list[tuple[Decimal, bool]] = []
        told = number - source.points_before(symbol, index)
        for at in range(index, self.minute_index):
            minute = source.minute(symbol, at)
            found += zip(minute.prices, minute.taker_buy, strict=True)
        minute, count = self.minutes[symbol], self.point(symbol) + 1
        found += zip(minute.prices[:count], minute.taker_buy[:count], strict=True)
        return found[max(0, told) :]

    # ------------------------------------------------------------------ funding
    @property
    def next_funding_ms(self) -> int:
        """Return the next settlement: 00, 08 and 16 UTC."""
        return (self.now_ms // FUNDING_MS + 1) * FUNDING_MS

    def funding_rate(self, symbol: str, settlement_ms: int) -> Decimal:
        """Return the rate of a settlement, from the source where it has one, else from the premium.

        The venue's rule: premium + clamp(interest − premium, −0.05 %, +0.05 %).
        """
        key = (symbol, settlement_ms)
        if key not in self._rates:
            if len(self._rates) > RATES_CACHED_MAX:
                self._rates.clear()
            self._rates[key] = self._settled_rate(symbol, settlement_ms)
        return self._rates[key]

    def _settled_rate(self, symbol: str, settlement_ms: int) -> Decimal:
        given = self.source.funding_rate(symbol, settlement_ms)
        if given is not None:
            return given
        last = (settlement_ms - self.source.first_open_ms) // MINUTE_MS
        sampled = [self.source.premium(symbol, last - 60 * hour) for hour in range(8)]
        premium = sum(sampled, Decimal(0)) / len(sampled)
        pull = min(max(INTEREST_RATE - premium, -_CLAMP), _CLAMP)
        return (premium + pull).quantize(_E8, ROUND_HALF_EVEN)

    def _premium(self, symbol: str) -> Decimal:
        key = (symbol, self.minute_index)
        if key not in self._premiums:
            if len(self._premiums) > RATES_CACHED_MAX:
                self._premiums.clear()
            self._premiums[key] = self.source.premium(symbol, self.minute_index)
        return self._premiums[key]

    # ------------------------------------------------------------------ book
    def touch(self, symbol: str) -> tuple[Level, Level]:
        """Return best bid and best ask; the last price is one of the two."""
        return self.shown(symbol, "SELL", 1)[0], self.shown(symbol, "BUY", 1)[0]

    def shown(self, symbol: str, taker_side: str, depth: int) -> list[Level]:
        """Return the levels that everybody sees, best first: the book with own orders in it."""
        levels = self.book(symbol, taker_side, depth)
        sign = 1 if taker_side == "BUY" else -1
        own = self.resting(symbol, "SELL" if sign > 0 else "BUY")
        if not own:
            return levels
        other = self.book(symbol, "SELL" if sign > 0 else "BUY", 1)
        seen = dict(levels)
        for price, quantity in own.items():
            # One that meets the other side is about to be filled: no book is shown crossed.
            if not other or (price - other[0].price) * sign > 0:
                seen[price] = seen.get(price, Decimal(0)) + quantity
        return [Level(price, seen[price]) for price in sorted(seen, reverse=sign < 0)][:depth]

    def book(self, symbol: str, taker_side: str, depth: int) -> list[Level]:
        """Return the levels a taker of that side would meet, best first (`book.py`)."""
        instrument, minute = self.instruments[symbol], self.minutes[symbol]
        at = self.point(symbol)
        price, tick = minute.prices[at], instrument.tick_size
        last_is_bid = 1 - minute.taker_buy[at]  # a buyer takes at the ask
        up = taker_side == "BUY"
        moment = self.moment(symbol)
        levels = seeded_levels(
            best=price + tick * last_is_bid if up else price - tick * (1 - last_is_bid),
            up=up,
            tick=tick,
            step=instrument.step_size,
            salt=self._salt[symbol],
            moment=moment,
            taken=self.wear.taken(symbol, taker_side, moment),
        )
        return list(islice(levels, depth))

    def moment(self, symbol: str) -> int:
        """Return the time in ms of the price point that is valid now."""
        return self.open_ms + self.minutes[symbol].offsets_ms[self.point(symbol)]

    def previous(self, symbol: str) -> Decimal:
        """Return the price of the point before the present one; the present one at the start."""
        at = self.point(symbol)
        if at:
            return self.minutes[symbol].prices[at - 1]
        if self.minute_index <= -self.source.history_minutes:
            return self.last(symbol)
        return self.source.bar(symbol, self.minute_index - 1).close

    # ------------------------------------------------------------------ candles
    def forming(self, symbol: str) -> Bar:
        """Return the open minute's candle as far as it has gone."""
        minute = self.minutes[symbol]
        count = self.point(symbol) + 1
        prices = minute.prices[:count]
        volume = taker = quote = taker_quote = Decimal(0)
        rows = zip(prices, minute.quantities, minute.taker_buy, strict=False)
        for price, quantity, bought in rows:
            value = price * quantity
            volume += quantity
            quote += value
            if bought:
                taker += quantity
                taker_quote += value
        return Bar(
            open_ms=minute.open_ms,
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=volume,
            quote_volume=quote,
            trades=sum(minute.counts[:count]),
            taker_volume=taker,
            taker_quote=taker_quote,
            first_trade=1 + self.source.trades_before(symbol, self.minute_index),
        )

    def closed_bars(self) -> ClosedBars:
        """Return the candles of the present minute, which is over."""
        return ClosedBars(self.source, self.minute_index)
