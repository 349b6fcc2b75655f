"""Klines over REST: of trades, of mark and index price, and of the premium.

Mark and index candles are the trade candles moved by the wave of the mark price and by the premium
at their two ends, so they agree with `premiumIndex` at every minute's open and, for the candle that
is open, at its close.  They carry no volume.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.klines import INTERVALS, close_of, kline_row
from core.venue.simulated.market import MINUTE_MS, Bar
from core.venue.simulated.params import Params
from core.venue.simulated.render import fixed
from core.venue.simulated.tickets import listed_rules

KLINES_DEFAULT, KLINES_MAX = 500, 1500
PLACES = 8
SAMPLES_MINUTES = 60  # the premium is straight between hours
SAMPLES_MAX = 24


class Candle(NamedTuple):
    """Open, high, low and close of a figure without volume."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


def klines(exchange: Exchange, params: Params) -> list[Any]:
    """GET /fapi/v1/klines."""
    symbol = listed_rules(params, exchange.quotes).symbol
    return _of_trades(exchange, params, symbol)


def continuous_klines(exchange: Exchange, params: Params) -> list[Any]:
    """GET /fapi/v1/continuousKlines: by pair and contract type."""
    symbol = _pair(exchange, params)
    if params.text("contractType") != "PERPETUAL":
        raise Rejection(-1130, "contractType")
    return _of_trades(exchange, params, symbol)


def mark_price_klines(exchange: Exchange, params: Params) -> list[Any]:
    """GET /fapi/v1/markPriceKlines."""
    symbol = listed_rules(params, exchange.quotes).symbol
    return _of_figure(exchange, params, symbol, _mark_candle)


def index_price_klines(exchange: Exchange, params: Params) -> list[Any]:
    """GET /fapi/v1/indexPriceKlines: by pair."""
    return _of_figure(exchange, params, _pair(exchange, params), _index_candle)


def premium_index_klines(exchange: Exchange, params: Params) -> list[Any]:
    """GET /fapi/v1/premiumIndexKlines."""
    symbol = listed_rules(params, exchange.quotes).symbol
    return _of_figure(exchange, params, symbol, _premium_candle)


def _pair(exchange: Exchange, params: Params) -> str:
    symbol = params.text("pair").upper()
    if symbol not in exchange.quotes.instruments:
        raise Rejection(-1121)
    return symbol


def _bars(exchange: Exchange, params: Params, symbol: str) -> tuple[str, list[Bar]]:
    interval = params.text("interval")
    if interval not in INTERVALS:
        raise Rejection(-1120)
    start, end = params.maybe_integer("startTime"), params.maybe_integer("endTime")
    limit = params.limit(KLINES_DEFAULT, KLINES_MAX)
    return interval, exchange.candles.range(symbol, interval, start, end, limit)


def _of_trades(exchange: Exchange, params: Params, symbol: str) -> list[Any]:
    interval, bars = _bars(exchange, params, symbol)
    rules = exchange.quotes.instruments[symbol]
    return [kline_row(rules, bar, interval) for bar in bars]


def _of_figure(
    exchange: Exchange,
    params: Params,
    symbol: str,
    candle_of: Callable[[Exchange, str, Bar, int], Candle],
) -> list[Any]:
    interval, bars = _bars(exchange, params, symbol)
    rows = []
    for bar in bars:
        close_ms = close_of(interval, bar.open_ms)
        candle = candle_of(exchange, symbol, bar, close_ms)
        prices = [fixed(value, PLACES) for value in candle]
        minutes = (min(close_ms, exchange.now_ms) - bar.open_ms) // MINUTE_MS + 1
        rows.append([bar.open_ms, *prices, "0", close_ms, "0", 60 * minutes, "0", "0", "0"])
    return rows


def _mark_candle(exchange: Exchange, symbol: str, bar: Bar, close_ms: int) -> Candle:
    quotes = exchange.quotes
    first = quotes.mark_of(symbol, bar.open, bar.open_ms)
    if close_ms >= exchange.now_ms and not quotes.ended:
        last = quotes.mark(symbol)
    else:
        last = quotes.mark_of(symbol, bar.close, close_ms)
    return Candle(first, max(first, last, bar.high), min(first, last, bar.low), last)


def _index_candle(exchange: Exchange, symbol: str, bar: Bar, close_ms: int) -> Candle:
    mark = _mark_candle(exchange, symbol, bar, close_ms)
    premiums = _premiums(exchange, symbol, bar.open_ms, close_ms)
    first, last = 1 + premiums[0], 1 + premiums[-1]
    middle = (first + last) / 2
    opened, closed = mark.open / first, mark.close / last
    high, low = mark.high / middle, mark.low / middle
    return Candle(opened, max(opened, closed, high), min(opened, closed, low), closed)


def _premium_candle(exchange: Exchange, symbol: str, bar: Bar, close_ms: int) -> Candle:
    premiums = _premiums(exchange, symbol, bar.open_ms, close_ms)
    return Candle(premiums[0], max(premiums), min(premiums), premiums[-1])


def _premiums(exchange: Exchange, symbol: str, open_ms: int, close_ms: int) -> list[Decimal]:
    """Return the premium at a candle's ends, and at times between them."""
    source = exchange.quotes.source
    first = (open_ms - source.first_open_ms) // MINUTE_MS
    last = (min(close_ms, exchange.now_ms) - source.first_open_ms) // MINUTE_MS
    step = max(SAMPLES_MINUTES, (last - first) // SAMPLES_MAX)
    return [source.premium(symbol, index) for index in (*range(first, last, step), last)]
