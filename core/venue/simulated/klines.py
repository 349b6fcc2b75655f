"""Candles of any interval, from the one-minute candles of the price source and the open minute.

A row of `klines` and the `k` of a stream frame are two renderings of the same candle, so they agree
to the digit.  Candles of longer intervals are sums of minutes, aligned to UTC (weeks to Monday,
months to the calendar); the first one may have begun before the history and holds its rest.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.market import MINUTE_MS, Bar
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.render import fixed, price_text, quantity_text

QUOTE_PLACES = 5
_HOUR = 60
_DAY = 24 * _HOUR
INTERVAL_MINUTES = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": _HOUR,
    "2h": 2 * _HOUR,
    "4h": 4 * _HOUR,
    "6h": 6 * _HOUR,
    "8h": 8 * _HOUR,
    "12h": 12 * _HOUR,
    "1d": _DAY,
    "3d": 3 * _DAY,
    "1w": 7 * _DAY,
}
MONTH = "1M"
INTERVALS = (*INTERVAL_MINUTES, MONTH)
_MONDAY_MS = 4 * _DAY * MINUTE_MS  # 1970-01-05 was a Monday


def open_of(interval: str, time_ms: int) -> int:
    """Return the open time of the candle that holds a time."""
    if interval == MONTH:
        return _month_open(_month(time_ms))
    length = INTERVAL_MINUTES[interval] * MINUTE_MS
    origin = _MONDAY_MS if interval == "1w" else 0
    return (time_ms - origin) // length * length + origin


def shifted(interval: str, open_ms: int, candles: int) -> int:
    """Return the open time of the candle so many after (or before) the one that opens then."""
    if interval == MONTH:
        return _month_open(_month(open_ms) + candles)
    return open_ms + candles * INTERVAL_MINUTES[interval] * MINUTE_MS


def close_of(interval: str, open_ms: int) -> int:
    """Return a candle's close time: the last millisecond before the next one."""
    return shifted(interval, open_ms, 1) - 1


def _month(time_ms: int) -> int:
    """Return how many months after January 1970 a time lies in."""
    return int(np.datetime64(time_ms, "ms").astype("datetime64[M]").astype(np.int64))


def _month_open(month: int) -> int:
    return int(np.datetime64(month, "M").astype("datetime64[ms]").astype(np.int64))


class Candles:
    """Reads candles up to the venue's present."""

    def __init__(self, quotes: Quotes) -> None:
        self._quotes = quotes
        self._origin_ms = quotes.source.first_open_ms
        self.first_ms = self._origin_ms - quotes.source.history_minutes * MINUTE_MS
        # by symbol and interval: a candle's open time, the minute it has been gathered up to, it
        self._gathered: dict[tuple[str, str], tuple[int, int, Bar | None]] = {}

    def forget(self, symbol: str) -> None:
        """Gather a symbol's open candles anew: its prices have been changed."""
        for key in [key for key in self._gathered if key[0] == symbol]:
            del self._gathered[key]

    def latest(self, symbol: str, interval: str) -> Bar:
        """Return the candle that is open now; one that began before the history has its rest."""
        forming = self._quotes.forming(symbol)
        start = open_of(interval, forming.open_ms)
        if start == forming.open_ms:
            return forming
        closed = self._closed_part(symbol, interval, start)
        return _merged(start, [forming] if closed is None else [closed, forming])

    def _closed_part(self, symbol: str, interval: str, start: int) -> Bar | None:
        """Return the closed minutes of the open candle as one, going on from the last look."""
        present = self._quotes.minute_index
        kept, index, part = self._gathered.get((symbol, interval), (0, 0, None))
        if kept != start:
            index, part = (max(start, self.first_ms) - self._origin_ms) // MINUTE_MS, None
        minutes = [] if part is None else [part]
        minutes += [self._quotes.source.bar(symbol, at) for at in range(index, present)]
        part = _merged(start, minutes) if minutes else None
        self._gathered[symbol, interval] = (start, present, part)
        return part

    def closed_at(self, symbol: str, interval: str, last: Bar) -> Bar | None:
        """Return the candle that ended with the minute `last`, or None when it goes on."""
        end = last.open_ms + MINUTE_MS
        if open_of(interval, end) != end:
            return None
        start = open_of(interval, last.open_ms)
        if start == last.open_ms:
            return last
        first = max(start, self.first_ms)
        minutes = [*self._minutes(symbol, first, last.open_ms - MINUTE_MS), last]
        return _merged(start, minutes)

    def range(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Bar]:
        """Return up to `limit` candles that open within [start, end], oldest first.

        Without a start the most recent ones count, with it the first ones: the venue's rule.
        """
        now_ms = self._quotes.now_ms
        if self._quotes.ended:  # at the end of the last minute: the next one does not open
            now_ms = min(now_ms, self._quotes.open_ms + MINUTE_MS - 1)
        end = now_ms if end_ms is None else min(now_ms, end_ms)
        last = open_of(interval, end)
        if start_ms is None:
            first = shifted(interval, last, 1 - limit)
        else:
            first = open_of(interval, start_ms)
            first = first if first == start_ms else shifted(interval, first, 1)
            last = min(last, shifted(interval, first, limit - 1))
        first = max(first, open_of(interval, self.first_ms))
        if last < first:
            return []
        upto = min(shifted(interval, last, 1) - MINUTE_MS, now_ms)
        minutes = self._minutes(symbol, max(first, self.first_ms), upto)
        if interval == "1m":
            return minutes
        return list(_grouped(interval, minutes))

    def _minutes(self, symbol: str, first_ms: int, last_ms: int) -> list[Bar]:
        """Return minute candles opening within [first, last], the open one included."""
        quotes = self._quotes
        index = (first_ms - self._origin_ms) // MINUTE_MS
        closed_ms = quotes.open_ms - 1 + (MINUTE_MS if quotes.ended else 0)
        count = (min(last_ms, closed_ms) - first_ms) // MINUTE_MS + 1
        found = [quotes.source.bar(symbol, index + at) for at in range(count)]
        if last_ms >= quotes.open_ms and not quotes.ended:
            found.append(quotes.forming(symbol))
        return found


def _grouped(interval: str, minutes: list[Bar]) -> Iterator[Bar]:
    group: list[Bar] = []
    start = -1
    for bar in minutes:
        opens = open_of(interval, bar.open_ms)
        if opens != start and group:
            yield _merged(start, group)
            group = []
        start = opens
        group.append(bar)
    if group:
        yield _merged(start, group)


def _merged(open_ms: int, minutes: list[Bar]) -> Bar:
    zero = Decimal(0)
    return Bar(
        open_ms=open_ms,
        open=minutes[0].open,
        high=max(bar.high for bar in minutes),
        low=min(bar.low for bar in minutes),
        close=minutes[-1].close,
        volume=sum((bar.volume for bar in minutes), zero),
        quote_volume=sum((bar.quote_volume for bar in minutes), zero),
        trades=sum(bar.trades for bar in minutes),
        taker_volume=sum((bar.taker_volume for bar in minutes), zero),
        taker_quote=sum((bar.taker_quote for bar in minutes), zero),
        first_trade=minutes[0].first_trade,
    )


def kline_row(rules: ListedInstrument, bar: Bar, interval: str) -> list[Any]:
    """Return the array of 12 that `klines` lists."""
    return [
        bar.open_ms,
        price_text(rules, bar.open),
        price_text(rules, bar.high),
        price_text(rules, bar.low),
        price_text(rules, bar.close),
        quantity_text(rules, bar.volume),
        close_of(interval, bar.open_ms),
        fixed(bar.quote_volume, QUOTE_PLACES),
        bar.trades,
        quantity_text(rules, bar.taker_volume),
        fixed(bar.taker_quote, QUOTE_PLACES),
        "0",
    ]


def kline_detail(
    rules: ListedInstrument, bar: Bar, interval: str, *, closed: bool
) -> dict[str, Any]:
    """Return the `k` of a kline frame."""
    row = kline_row(rules, bar, interval)
    return {
        "t": bar.open_ms,
        "T": row[6],
        "s": rules.symbol,
        "i": interval,
        "f": bar.first_trade if bar.trades else -1,
        "L": bar.first_trade + bar.trades - 1 if bar.trades else -1,
        "o": row[1],
        "c": row[4],
        "h": row[2],
        "l": row[3],
        "v": row[5],
        "n": bar.trades,
        "x": closed,
        "q": row[7],
        "V": row[9],
        "Q": row[10],
        "B": "0",
    }
