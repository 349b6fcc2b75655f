"""The market of a full backtest: a tape's bars as the simulated exchange takes its prices.

A bar is a short path: its open, the same again once the orders of the open are in, then the
triggers that lie within its range in the order that hurts (the stop first), its extremes, its
close.  So a stop or target is filled at its own price, or at the open where the bar opens beyond
it.  A taker meets one level of any depth, the slippage away from the price.  The mark is the last
close.  Semantics: docs/backtest.md.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np

from core.backtest.tape import CLOSE, HIGH, LOW, OPEN, TAKER, VOLUME, Tape
from core.errors import DataError
from core.venue.instrument import Instrument
from core.venue.simulated.book import Level
from core.venue.simulated.instruments import LISTED, ListedInstrument
from core.venue.simulated.ledger import AlgoOrder
from core.venue.simulated.market import MINUTE_MS, Bar, Bars, Floats, Ints, Minute
from core.venue.simulated.quotes import Quotes

OPENED_MS = 1  # after the bar's open: by then the orders of the open are in
_MIDDLE_MS = MINUTE_MS // 2
_CLOSING_MS = 59_000
_POINTS_MAX = 7
_ANY_DEPTH = Decimal(10) ** 12
_ANY_PRICE = Decimal(10) ** 6  # of the mark: no market order is too far away
ZERO = Decimal(0)


class BarPrices:
    """A `PriceSource` over a tape; minute 0 opens with bar `first`, the bars before are history.

    `fees` are the taker's, by symbol, parts of the notional.  A bar longer than a minute happens in
    its first one.  Raises DataError for bars that are not whole minutes.
    """

    def __init__(self, tape: Tape, *, first: int, fees: Mapping[str, Decimal]) -> None:
        if tape.interval_ms % MINUTE_MS:
            raise DataError(
                f"the tape's bars last {tape.interval_ms} ms. Fix: give bars of whole minutes"
            )
        self.tape = tape
        self.first = first
        self.minutes_a_bar = tape.interval_ms // MINUTE_MS
        self._instruments = {s: _listed(tape.instruments[s], fees[s]) for s in tape.symbols}
        self._rates = {
            symbol: {int(tape.open_ms[one.bar]): one.rate for one in rows}
            for symbol, rows in tape.funding.items()
        }

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols of the tape."""
        return self.tape.symbols

    @property
    def instruments(self) -> Mapping[str, ListedInstrument]:
        """Return the tape's rules as the exchange lists them."""
        return self._instruments

    @property
    def first_open_ms(self) -> int:
        """Return when minute 0 opens."""
        return int(self.tape.open_ms[self.first])

    @property
    def history_minutes(self) -> int:
        """Return how many minutes lie before minute 0."""
        return self.first * self.minutes_a_bar

    def bar_of(self, index: int) -> int:
        """Return the tape's bar that a minute belongs to."""
        return self.first + index // self.minutes_a_bar

    def points_before(self, symbol: str, index: int) -> int:  # noqa: ARG002
        """Return a number that grows with time as those of path points do."""
        return (index + self.history_minutes) * _POINTS_MAX

    def prints_before(self, symbol: str, index: int) -> int:  # noqa: ARG002
        """Return how many minutes lie before: one print each."""
        return index + self.history_minutes

    def trades_before(self, symbol: str, index: int) -> int:  # noqa: ARG002
        """Return how many minutes lie before: one trade each."""
        return index + self.history_minutes

    def plays(self, index: int) -> bool:
        """Tell whether the tape reaches a minute."""
        return self.bar_of(index) < len(self.tape)

    def price(self, symbol: str, row: int, bar: int) -> Decimal:
        """Return a price of a bar, on the tick grid."""
        return self.tape.instruments[symbol].price_from_float(
            float(self.tape.bars[symbol][row, bar])
        )

    def minute(self, symbol: str, index: int) -> Minute:
        """Return a minute whose path nobody's orders shape."""
        return self.path(symbol, index, ())

    def path(self, symbol: str, index: int, waiting: Iterable[AlgoOrder]) -> Minute:
        """Return a minute's path through the triggers of these conditional orders."""
        bar, later = self.bar_of(index), index % self.minutes_a_bar
        opened, high, low, close = (self.price(symbol, r, bar) for r in (OPEN, HIGH, LOW, CLOSE))
        points = {0: close} if later else {0: opened, OPENED_MS: opened}
        if not later:
            worst_first = sorted(waiting, key=lambda one: one.family != "STOP")
            reached = [algo.trigger_price for algo in worst_first if _crossed(algo, low, high)]
            for number, price in enumerate([*reached, low, high]):
                points[_MIDDLE_MS + number] = price
            points[_CLOSING_MS] = close
        return Minute(
            symbol=symbol,
            open_ms=self.first_open_ms + index * MINUTE_MS,
            offsets_ms=tuple(points),
            prices=tuple(points.values()),
            quantities=(ZERO,) * (len(points) - 1) + (self._volume(symbol, index, VOLUME),),
            taker_buy=(True,) * len(points),
            counts=(0,) * (len(points) - 1) + (1,),
        )

    def bar(self, symbol: str, index: int) -> Bar:
        """Return a minute's candle; a longer bar's volume is in its first minute."""
        bar, later = self.bar_of(index), index % self.minutes_a_bar
        rows = (CLOSE, CLOSE, CLOSE, CLOSE) if later else (OPEN, HIGH, LOW, CLOSE)
        opened, high, low, close = (self.price(symbol, row, bar) for row in rows)
        volume, taken = (self._volume(symbol, index, row) for row in (VOLUME, TAKER))
        return Bar(
            open_ms=self.first_open_ms + index * MINUTE_MS,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            quote_volume=volume * close,
            trades=1,
            taker_volume=taken,
            taker_quote=taken * close,
            first_trade=1 + self.trades_before(symbol, index),
        )

    def bars(self, symbol: str, first_index: int, count: int) -> Bars:
        """Return up to `count` klines from `first_index` on, clipped to the tape."""
        first = max(first_index, -self.history_minutes)
        rows = [self.bar(symbol, i) for i in range(first, first_index + count) if self.plays(i)]

        def column(name: str) -> Floats:
            return np.array([float(getattr(row, name)) for row in rows], dtype=np.float64)

        return Bars(
            open_ms=_whole(row.open_ms for row in rows),
            open=column("open"),
            high=column("high"),
            low=column("low"),
            close=column("close"),
            volume=column("volume"),
            quote_volume=column("quote_volume"),
            trades=_whole(row.trades for row in rows),
            taker_buy_volume=column("taker_volume"),
            taker_buy_quote=column("taker_quote"),
        )

    def extremes(self, symbol: str, first_index: int, count: int) -> tuple[Floats, Floats]:
        """Return lows and highs of those klines."""
        klines = self.bars(symbol, first_index, count)
        return klines.low, klines.high

    def funding_rate(self, symbol: str, time_ms: int) -> Decimal:
        """Return the rate settled at a time; 0 where the tape has none."""
        return self._rates.get(symbol, {}).get(time_ms, ZERO)

    def premium(self, symbol: str, index: int) -> Decimal:  # noqa: ARG002
        """Return 0: a tape knows no index price."""
        return ZERO

    def _volume(self, symbol: str, index: int, row: int) -> Decimal:
        value = float(self.tape.bars[symbol][row, self.bar_of(index)])
        return ZERO if index % self.minutes_a_bar or np.isnan(value) else Decimal(repr(value))


class BarQuotes(Quotes):
    """Prices as a backtest takes them: filled whole at one slipped price, marked at the close."""

    def __init__(self, prices: BarPrices, now_ms: int, slippage: Mapping[str, Decimal]) -> None:
        self.waiting: Callable[[str], Iterable[AlgoOrder]] = lambda _symbol: ()
        self._prices = prices
        self._slippage = slippage
        super().__init__(prices, now_ms)

    def _minute(self, symbol: str) -> Minute:
        return self._prices.path(symbol, self.minute_index, self.waiting(symbol))

    def mark(self, symbol: str) -> Decimal:
        """Return the last close: this bar's once its path has ended."""
        bar = self._prices.bar_of(self.minute_index)
        later = self.minute_index % self._prices.minutes_a_bar
        closed = later or self.now_ms - self.open_ms >= _CLOSING_MS
        if not closed and bar == 0:
            return self._prices.price(symbol, OPEN, 0)
        return self._prices.price(symbol, CLOSE, bar if closed else bar - 1)

    def book(self, symbol: str, taker_side: str, depth: int) -> list[Level]:  # noqa: ARG002
        """Return the one level that a taker meets, whatever the depth asked for."""
        sign = 1 if taker_side == "BUY" else -1
        worse = self.last(symbol) * (1 + sign * self._slippage[symbol])
        rounding = ROUND_CEILING if sign > 0 else ROUND_FLOOR
        price = self._prices.tape.instruments[symbol].round_price(worse, rounding)
        return [Level(price, _ANY_DEPTH)]


def _listed(rules: Instrument, taker_fee: Decimal) -> ListedInstrument:
    """Return a tape's rules as the exchange lists them; what they do not say is the venue's own."""
    return replace(
        LISTED.get(rules.symbol, LISTED["BTCUSDT"]),
        symbol=rules.symbol,
        price_precision=rules.price_decimals,
        quantity_precision=rules.quantity_decimals,
        tick_size=rules.tick,
        price_min=rules.price_min,
        price_max=rules.price_max,
        step_size=rules.step,
        quantity_min=rules.quantity_min,
        quantity_max=rules.quantity_max,
        market_quantity_max=rules.market_quantity_max,
        notional_min=rules.min_notional,
        market_take_bound=_ANY_PRICE,
        taker_fee=taker_fee,
    )


def _crossed(algo: AlgoOrder, low: Decimal, high: Decimal) -> bool:
    return low <= algo.trigger_price <= high


def _whole(numbers: Iterable[int]) -> Ints:
    return np.array(list(numbers), dtype=np.int64)
