"""Market-data endpoints: public, nothing changes.  Shapes as in section 2 of the reference."""

from collections.abc import Callable
from decimal import Decimal
from itertools import islice, takewhile
from typing import Any

from core.venue.simulated.book import Level
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.instruments import ListedInstrument, exchange_info_symbol
from core.venue.simulated.market import MINUTE_MS
from core.venue.simulated.params import Params
from core.venue.simulated.prints import (
    Fill,
    fills,
    minute_of_fill,
    minute_of_print,
    oldest_kept,
    prints_back,
    prints_from,
)
from core.venue.simulated.quotes import FUNDING_MS, INTEREST_RATE, Quotes
from core.venue.simulated.render import fixed, price_text, quantity_text
from core.venue.simulated.tickets import listed_rules

Json = dict[str, Any]

DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1000)
DAY_MINUTES = 1440
RATE_LIMITS: tuple[Json, ...] = (
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
)


def ping(_exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v1/ping."""
    return {}


def time(exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v1/time."""
    return {"serverTime": exchange.now_ms}


def exchange_info(exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v1/exchangeInfo."""
    quotes = exchange.quotes
    return {
        "timezone": "UTC",
        "serverTime": exchange.now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": list(RATE_LIMITS),
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [
            exchange_info_symbol(rules, quotes.statuses.get(symbol, "TRADING"))
            for symbol, rules in quotes.instruments.items()
            if symbol not in quotes.hidden
        ],
    }


def _each(
    exchange: Exchange, params: Params, render: Callable[[Exchange, str], Json]
) -> Json | list[Json]:
    """Answer for one symbol with an object, for none with a list of all."""
    if "symbol" in params:
        return render(exchange, listed_rules(params, exchange.quotes).symbol)
    return [render(exchange, symbol) for symbol in exchange.quotes.symbols]


def premium_index(exchange: Exchange, params: Params) -> Json | list[Json]:
    """GET /fapi/v1/premiumIndex."""
    return _each(exchange, params, premium_row)


def premium_row(exchange: Exchange, symbol: str) -> Json:
    """Return a symbol's mark, index and running funding rate."""
    quotes = exchange.quotes
    mark, index = fixed(quotes.mark(symbol), 8), fixed(quotes.index(symbol), 8)
    return {
        "symbol": symbol,
        "markPrice": mark,
        "indexPrice": index,
        "estimatedSettlePrice": index,
        "lastFundingRate": fixed(quotes.funding_rate(symbol, quotes.next_funding_ms), 8),
        "interestRate": fixed(INTEREST_RATE, 8),
        "nextFundingTime": quotes.next_funding_ms,
        "time": exchange.now_ms,
    }


def ticker_price(exchange: Exchange, params: Params) -> Json | list[Json]:
    """GET /fapi/v1/ticker/price and v2."""
    return _each(exchange, params, _price_row)


def _price_row(exchange: Exchange, symbol: str) -> Json:
    quotes = exchange.quotes
    price = price_text(quotes.instruments[symbol], quotes.last(symbol))
    return {"symbol": symbol, "price": price, "time": exchange.now_ms}


def book_ticker(exchange: Exchange, params: Params) -> Json | list[Json]:
    """GET /fapi/v1/ticker/bookTicker."""
    return _each(exchange, params, _book_row)


def _book_row(exchange: Exchange, symbol: str) -> Json:
    rules = exchange.quotes.instruments[symbol]
    bid, ask = exchange.quotes.touch(symbol)
    return {
        "symbol": symbol,
        "bidPrice": price_text(rules, bid.price),
        "bidQty": quantity_text(rules, bid.quantity),
        "askPrice": price_text(rules, ask.price),
        "askQty": quantity_text(rules, ask.quantity),
        "time": exchange.now_ms,
        "lastUpdateId": exchange.quotes.update_id(symbol),
    }


def ticker_24hr(exchange: Exchange, params: Params) -> Json | list[Json]:
    """GET /fapi/v1/ticker/24hr."""
    return _each(exchange, params, day_row)


def day_row(exchange: Exchange, symbol: str) -> Json:
    """Return the figures of the last 24 hours: closed minutes as arrays, and the open one."""
    quotes, rules = exchange.quotes, exchange.quotes.instruments[symbol]
    forming, minutes = quotes.forming(symbol), DAY_MINUTES - 1
    bars = quotes.source.bars(symbol, quotes.minute_index - minutes, minutes)
    past = len(bars) > 0

    def money(value: float) -> Decimal:
        return Decimal(repr(value))

    volume, quote, count = forming.volume, forming.quote_volume, forming.trades
    first, high, low = forming.open, forming.high, forming.low
    if past:
        volume += money(float(bars.volume.sum()))
        quote += money(float(bars.quote_volume.sum()))
        count += int(bars.trades.sum())
        first = money(float(bars.open[0]))
        high = max(high, money(float(bars.high.max())))
        low = min(low, money(float(bars.low.min())))
    last = forming.close
    last_id = forming.first_trade + forming.trades - 1
    print_ = next(prints_back(quotes, symbol, quotes.now_ms), None)
    return {
        "symbol": symbol,
        "priceChange": price_text(rules, last - first),
        "priceChangePercent": fixed((last / first - 1) * 100, 3),
        "weightedAvgPrice": price_text(rules, quote / volume if volume else last),
        "lastPrice": price_text(rules, last),
        "lastQty": quantity_text(rules, fills(print_)[-1].quantity if print_ else Decimal(0)),
        "openPrice": price_text(rules, first),
        "highPrice": price_text(rules, high),
        "lowPrice": price_text(rules, low),
        "volume": quantity_text(rules, volume),
        "quoteVolume": fixed(quote, 2),
        "openTime": int(bars.open_ms[0]) if past else forming.open_ms,
        "closeTime": exchange.now_ms,
        "firstId": max(1, last_id - count + 1),
        "lastId": last_id,
        "count": count,
    }


def depth(exchange: Exchange, params: Params) -> Json:
    """GET /fapi/v1/depth."""
    rules = listed_rules(params, exchange.quotes)
    limit = params.maybe_integer("limit")
    limit = 500 if limit is None else limit
    if limit not in DEPTH_LIMITS:
        raise Rejection(-4021, limit)
    quotes = exchange.quotes

    def side(levels: list[Level]) -> list[list[str]]:
        return [
            [price_text(rules, row.price), quantity_text(rules, row.quantity)] for row in levels
        ]

    return {
        "lastUpdateId": quotes.update_id(rules.symbol),
        "E": exchange.now_ms,
        "T": exchange.now_ms,
        "bids": side(quotes.shown(rules.symbol, "SELL", limit)),
        "asks": side(quotes.shown(rules.symbol, "BUY", limit)),
    }


def agg_trades(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/aggTrades: of the last 24 hours."""
    rules, quotes = listed_rules(params, exchange.quotes), exchange.quotes
    symbol = rules.symbol
    start, end = params.maybe_integer("startTime"), params.maybe_integer("endTime")
    first = params.maybe_integer("fromId")
    limit = params.limit(500, 1000)
    end = quotes.now_ms if end is None else min(end, quotes.now_ms)
    if start is None and first is None:
        kept = list(islice(prints_back(quotes, symbol, end), limit))[::-1]
    else:
        since = 0 if start is None else start
        index = max((since - quotes.source.first_open_ms) // MINUTE_MS, oldest_kept(quotes))
        if first is not None:
            index = max(index, minute_of_print(quotes, symbol, first))
        rows = takewhile(lambda row: row.time_ms <= end, prints_from(quotes, symbol, index))
        wanted = (row for row in rows if row.time_ms >= since and row.number >= (first or 0))
        kept = list(islice(wanted, limit))
    return [
        {
            "a": row.number,
            "p": price_text(rules, row.price),
            "q": quantity_text(rules, row.quantity),
            "nq": quantity_text(rules, row.quantity),
            "f": row.first,
            "l": row.last,
            "T": row.time_ms,
            "m": row.buyer_is_maker,
        }
        for row in kept
    ]


def trades(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/trades: the latest."""
    rules = listed_rules(params, exchange.quotes)
    return _latest_trades(exchange.quotes, rules, params.limit(500, 1000))


def old_trades(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/historicalTrades: trades from an id on, by default the latest."""
    rules, limit = listed_rules(params, exchange.quotes), params.limit(100, 500)
    first = params.maybe_integer("fromId")
    if first is None:
        return _latest_trades(exchange.quotes, rules, limit)
    index = minute_of_fill(exchange.quotes, rules.symbol, first)
    rows = (
        trade
        for row in prints_from(exchange.quotes, rules.symbol, index)
        if row.last >= first
        for trade in fills(row)
        if trade.number >= first
    )
    return [_trade_row(rules, row) for row in islice(rows, limit)]


def _latest_trades(quotes: Quotes, rules: ListedInstrument, limit: int) -> list[Json]:
    rows = (
        trade
        for row in prints_back(quotes, rules.symbol, quotes.now_ms)
        for trade in reversed(fills(row))
    )
    return [_trade_row(rules, row) for row in islice(rows, limit)][::-1]


def _trade_row(rules: ListedInstrument, row: Fill) -> Json:
    return {
        "id": row.number,
        "price": price_text(rules, row.price),
        "qty": quantity_text(rules, row.quantity),
        "quoteQty": fixed(row.price * row.quantity, 2),
        "time": row.time_ms,
        "isBuyerMaker": row.buyer_is_maker,
        "isRPITrade": False,
    }


def funding_rate(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/fundingRate: settlements up to now, oldest first; the latest without a start."""
    quotes = exchange.quotes
    symbols = [listed_rules(params, quotes).symbol] if "symbol" in params else quotes.symbols
    start, end = params.maybe_integer("startTime"), params.maybe_integer("endTime")
    limit = params.limit(200 if start is None and end is None else 100, 1000)
    last = min(quotes.now_ms, end if end is not None else quotes.now_ms) // FUNDING_MS
    oldest = -(-exchange.candles.first_ms // FUNDING_MS)
    first = last - limit + 1
    if start is not None:
        first = -(-start // FUNDING_MS)
        last = min(last, first + limit - 1)
    rows = []
    for number in range(max(first, oldest), last + 1):
        settlement = number * FUNDING_MS
        for symbol in symbols:
            bars = exchange.candles.range(symbol, "1m", settlement, settlement + MINUTE_MS, 1)
            charged = [quotes.mark_of(symbol, bar.open, settlement) for bar in bars]
            rows.append(
                {
                    "symbol": symbol,
                    "fundingTime": settlement,
                    "fundingRate": fixed(quotes.funding_rate(symbol, settlement), 8),
                    "markPrice": fixed(charged[0], 8) if charged else "0.00000000",
                    "rateType": "Regular",
                }
            )
    return rows[-limit:] if start is None else rows[:limit]


def funding_info(_exchange: Exchange, _params: Params) -> list[Json]:
    """GET /fapi/v1/fundingInfo: symbols with an adjusted interval or cap; there are none."""
    return []


def open_interest(exchange: Exchange, params: Params) -> Json:
    """GET /fapi/v1/openInterest: what the account itself holds, there being no other trader."""
    rules = listed_rules(params, exchange.quotes)
    amount = sum((abs(row.amount) for row in exchange.account.held(rules.symbol)), Decimal(0))
    return {
        "openInterest": quantity_text(rules, amount),
        "symbol": rules.symbol,
        "time": exchange.now_ms,
    }
