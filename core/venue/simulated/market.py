"""What a market is to the exchange: minutes of trades, in lock-step for all listed symbols.

Minute `index` opens at `first_open_ms + index * 60_000`; index 0 is the first one played, negative
ones are history.  A minute is a short path of trades, so that stops and targets fire inside it.

Every question names one symbol and is answered from the index alone, so a minute that nobody looks
at costs nothing: its extremes tell whether anything can happen in it, and only then is its path
made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from core.venue.simulated.instruments import ListedInstrument

MINUTE_MS = 60_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Bar(NamedTuple):
    """One candle as the venue reports it; volumes in base and quote, exact."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int
    taker_volume: Decimal
    taker_quote: Decimal
    first_trade: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """One symbol's trades of one minute; at least 12 points, the first is the open.

    `offsets_ms` ascend from 0 to at most 59,999; `prices` lie on the tick grid, `quantities` (base
    asset traded at each point) on the step grid; `taker_buy` tells who took, `counts` how many
    trades that were: 0 where nothing was traded, which quiet minutes have, else at most one for
    each step.  Open, high and low of a recorded minute may be stray trades off the tick grid, as on
    the venue itself.  The properties are computed at each access.
    """

    symbol: str
    open_ms: int
    offsets_ms: tuple[int, ...]
    prices: tuple[Decimal, ...]
    quantities: tuple[Decimal, ...]
    taker_buy: tuple[bool, ...]
    counts: tuple[int, ...]

    @property
    def trades(self) -> int:
        """Return the number of trades."""
        return sum(self.counts)

    @property
    def open(self) -> Decimal:
        """Return the first price, quote per base."""
        return self.prices[0]

    @property
    def high(self) -> Decimal:
        """Return the highest price."""
        return max(self.prices)

    @property
    def low(self) -> Decimal:
        """Return the lowest price."""
        return min(self.prices)

    @property
    def close(self) -> Decimal:
        """Return the last price."""
        return self.prices[-1]

    @property
    def volume(self) -> Decimal:
        """Return the base volume."""
        return sum(self.quantities, start=Decimal(0))

    @property
    def quote_volume(self) -> Decimal:
        """Return the quote volume: every trade's price times its quantity."""
        pairs = zip(self.prices, self.quantities, strict=True)
        return sum((price * quantity for price, quantity in pairs), start=Decimal(0))

    @property
    def taker_buy_volume(self) -> Decimal:
        """Return the base volume that buyers took."""
        pairs = zip(self.quantities, self.taker_buy, strict=True)
        return sum((quantity for quantity, bought in pairs if bought), start=Decimal(0))

    @property
    def taker_buy_quote(self) -> Decimal:
        """Return the quote volume that buyers took."""
        rows = zip(self.prices, self.quantities, self.taker_buy, strict=True)
        return sum((price * quantity for price, quantity, bought in rows if bought), Decimal(0))

    def bar(self, first_trade: int) -> Bar:
        """Return its candle; `first_trade` is the id of its first trade."""
        return Bar(
            open_ms=self.open_ms,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=self.volume,
            quote_volume=self.quote_volume,
            trades=self.trades,
            taker_volume=self.taker_buy_volume,
            taker_quote=self.taker_buy_quote,
            first_trade=first_trade,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Whole one-minute klines as arrays of equal length, ascending, without gaps.

    Each float is the double nearest to the exact decimal of the matching `Minute`, so formatting
    it with the instrument's decimals gives the same digits.
    """

    open_ms: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    quote_volume: Floats
    trades: Ints
    taker_buy_volume: Floats
    taker_buy_quote: Floats

    def __len__(self) -> int:
        return len(self.open_ms)


class PriceSource(Protocol):
    """Where the exchange's prices come from; a pure function of what it was built with."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the listed symbols, in the order they were given."""
        ...

    @property
    def instruments(self) -> Mapping[str, ListedInstrument]:
        """Return the rules of each listed symbol."""
        ...

    @property
    def first_open_ms(self) -> int:
        """Return the open time of minute 0, UTC ms, a whole minute."""
        ...

    @property
    def history_minutes(self) -> int:
        """Return how many minutes before minute 0 can be asked for."""
        ...

    def points_before(self, symbol: str, index: int) -> int:
        """Return how many path points lie between the start of the history and minute `index`."""
        ...

    def prints_before(self, symbol: str, index: int) -> int:
        """Return at how many of those points something was traded."""
        ...

    def trades_before(self, symbol: str, index: int) -> int:
        """Return how many trades lie between the start of the history and minute `index`."""
        ...

    def plays(self, index: int) -> bool:
        """Tell whether minute `index`, not before the history, is there: data may end."""
        ...

    def minute(self, symbol: str, index: int) -> Minute:
        """Return the path of minute `index`.

        Any order of indices gives the same answers.  Raises IndexError where there is no minute.
        """
        ...

    def bar(self, symbol: str, index: int) -> Bar:
        """Return the closed candle of minute `index`."""
        ...

    def bars(self, symbol: str, first_index: int, count: int) -> Bars:
        """Return up to `count` klines from `first_index` on, clipped to what exists."""
        ...

    def extremes(self, symbol: str, first_index: int, count: int) -> tuple[Floats, Floats]:
        """Return lows and highs of those klines, without making the rest of them."""
        ...

    def funding_rate(self, symbol: str, time_ms: int) -> Decimal | None:
        """Return the recorded rate settled at `time_ms`; None: make it from the premium."""
        ...

    def premium(self, symbol: str, index: int) -> Decimal:
        """Return mark price over index price, minus 1, at minute `index`."""
        ...
