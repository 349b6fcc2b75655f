"""Trades that have happened, up to the venue's present: one by one and aggregated.

One count of trades runs on for each symbol from the start of the history: `klines` and tickers
report it, an aggregated trade spans the part of it that one taker traded at one price, and `trades`
lists it one by one.  Aggregated trades have a count of their own, as on the venue.  Both counts are
known at every minute's start without looking at the minutes before.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

from core.venue.simulated.market import MINUTE_MS
from core.venue.simulated.quotes import Quotes

KEPT_MINUTES = 1_440  # how far back trades can be asked for


class Print(NamedTuple):
    """One aggregated trade: its number, and the first and last trade it is made of."""

    number: int
    first: int
    last: int
    time_ms: int
    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool


class Fill(NamedTuple):
    """One single trade."""

    number: int
    time_ms: int
    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool


def fills(row: Print) -> list[Fill]:
    """Return the single trades of an aggregated one: equal sizes, the rest on the last."""
    count = row.last - row.first + 1
    unit = Decimal(1).scaleb(int(row.quantity.as_tuple().exponent))  # it is counted in these
    size = row.quantity / count // unit * unit
    sizes = [size] * (count - 1) + [row.quantity - size * (count - 1)]
    return [
        Fill(row.first + at, row.time_ms, row.price, quantity, row.buyer_is_maker)
        for at, quantity in enumerate(sizes)
    ]


def prints_from(quotes: Quotes, symbol: str, index: int) -> Iterator[Print]:
    """Yield the aggregated trades from minute `index` on, oldest first."""
    for at in range(max(index, -quotes.source.history_minutes), quotes.minute_index + 1):
        yield from _within(quotes, symbol, at)


def prints_after(quotes: Quotes, symbol: str, number: int) -> Iterator[Print]:
    """Yield the aggregated trades after number `number`, oldest first."""
    start = -quotes.source.history_minutes
    index = _minute_of(quotes, symbol, number + 1, quotes.source.prints_before, start)
    return (row for row in prints_from(quotes, symbol, index) if row.number > number)


def prints_back(quotes: Quotes, symbol: str, until_ms: int) -> Iterator[Print]:
    """Yield the aggregated trades that are kept, from a time backwards, latest first."""
    index = min((until_ms - quotes.source.first_open_ms) // MINUTE_MS, quotes.minute_index)
    for at in range(index, oldest_kept(quotes) - 1, -1):
        rows = _within(quotes, symbol, at)
        yield from (row for row in reversed(rows) if row.time_ms <= until_ms)


def minute_of_print(quotes: Quotes, symbol: str, number: int) -> int:
    """Return the minute of the aggregated trade `number`; the oldest kept if it is older."""
    start = oldest_kept(quotes)
    return _minute_of(quotes, symbol, number, quotes.source.prints_before, start)


def minute_of_fill(quotes: Quotes, symbol: str, number: int) -> int:
    """Return the minute of the single trade `number`; the oldest kept if it is older."""
    start = oldest_kept(quotes)
    return _minute_of(quotes, symbol, number, quotes.source.trades_before, start)


def oldest_kept(quotes: Quotes) -> int:
    """Return the first minute whose trades can be asked for."""
    return max(quotes.minute_index - KEPT_MINUTES + 1, -quotes.source.history_minutes)


def _minute_of(
    quotes: Quotes, symbol: str, number: int, before: Callable[[str, int], int], start: int
) -> int:
    minutes = range(start, quotes.minute_index + 1)
    later = bisect_left(minutes, number, key=lambda index: before(symbol, index))
    return minutes[max(0, later - 1)]


def _within(quotes: Quotes, symbol: str, index: int) -> list[Print]:
    """Return a minute's aggregated trades up to now."""
    source = quotes.source
    here = index == quotes.minute_index
    minute = quotes.minutes[symbol] if here else source.minute(symbol, index)
    number, trade = 1 + source.prints_before(symbol, index), 1 + source.trades_before(symbol, index)
    found = []
    for at in range(quotes.point(symbol) + 1 if here else len(minute.prices)):
        if not (count := minute.counts[at]):
            continue
        found.append(
            Print(
                number,
                trade,
                trade + count - 1,
                minute.open_ms + minute.offsets_ms[at],
                minute.prices[at],
                minute.quantities[at],
                not minute.taker_buy[at],
            )
        )
        number, trade = number + 1, trade + count
    return found
