"""Payloads of the market streams, at the venue's present (reference, 6.3).

`st` is 1 (USDⓈ-M) wherever the venue sends it.  Figures come from the functions that answer REST,
so a stream and a request cannot disagree.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from itertools import zip_longest
from typing import Any

from core.venue.simulated.depth import Json, depth_event
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.instruments import PERPETUAL_DELIVERY_MS, ListedInstrument
from core.venue.simulated.klines import kline_detail
from core.venue.simulated.market import Bar
from core.venue.simulated.prints import Print
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.render import fixed, price_text, quantity_text
from core.venue.simulated.rest_market import day_row, premium_row

_E8 = Decimal("0.00000001")
_TICKER_NAMES = {
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "Q": "lastQty",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}


def kline(rules: ListedInstrument, bar: Bar, interval: str, time_ms: int, *, closed: bool) -> Json:
    """`<symbol>@kline_<interval>`."""
    detail = kline_detail(rules, bar, interval, closed=closed)
    return {"e": "kline", "E": time_ms, "s": rules.symbol, "k": detail}


def continuous_kline(
    rules: ListedInstrument, bar: Bar, interval: str, time_ms: int, *, closed: bool
) -> Json:
    """`<pair>_perpetual@continuousKline_<interval>`: the pair stands outside, no symbol inside."""
    detail = kline_detail(rules, bar, interval, closed=closed)
    del detail["s"]
    head = {"e": "continuous_kline", "E": time_ms, "ps": rules.symbol, "ct": "PERPETUAL"}
    return {**head, "k": detail}


def mark_price(exchange: Exchange, symbol: str) -> Json:
    """`<symbol>@markPrice`; `ap` is the mean mark price of the minute so far."""
    row = premium_row(exchange, symbol)
    return {
        "e": "markPriceUpdate",
        "E": exchange.now_ms,
        "s": symbol,
        "p": row["markPrice"],
        "ap": fixed(_average_mark(exchange.quotes, symbol), 8),
        "i": row["indexPrice"],
        "P": row["estimatedSettlePrice"],
        "r": row["lastFundingRate"],
        "T": row["nextFundingTime"],
        "st": 1,
    }


def _average_mark(quotes: Quotes, symbol: str) -> Decimal:
    """Return the mean of the minute's prices up to now, as far from the mark as the last price."""
    prices = quotes.minutes[symbol].prices[: quotes.point(symbol) + 1]
    mean = sum(prices, Decimal(0)) / len(prices)
    return (mean * quotes.mark(symbol) / quotes.last(symbol)).quantize(_E8, ROUND_HALF_EVEN)


def book_ticker(quotes: Quotes, symbol: str) -> Json:
    """`<symbol>@bookTicker` and a row of `!bookTicker`."""
    rules = quotes.instruments[symbol]
    bid, ask = quotes.touch(symbol)
    return {
        "e": "bookTicker",
        "u": quotes.update_id(symbol),
        "E": quotes.now_ms,
        "T": quotes.now_ms,
        "s": symbol,
        "ps": symbol,
        "b": price_text(rules, bid.price),
        "B": quantity_text(rules, bid.quantity),
        "a": price_text(rules, ask.price),
        "A": quantity_text(rules, ask.quantity),
        "st": 1,
    }


def aggregate_trade(rules: ListedInstrument, row: Print, time_ms: int) -> Json:
    """`<symbol>@aggTrade`; no order here is a retail price improvement, so `nq` is all of `q`."""
    return {
        "e": "aggTrade",
        "E": time_ms,
        "s": rules.symbol,
        "a": row.number,
        "p": price_text(rules, row.price),
        "q": quantity_text(rules, row.quantity),
        "nq": quantity_text(rules, row.quantity),
        "f": row.first,
        "l": row.last,
        "T": row.time_ms,
        "m": row.buyer_is_maker,
        "st": 1,
    }


def ticker(exchange: Exchange, symbol: str, *, mini: bool) -> Json:
    """`<symbol>@ticker` and `@miniTicker`, and rows of their arrays."""
    row = day_row(exchange, symbol)
    payload: Json = {
        "e": "24hrMiniTicker" if mini else "24hrTicker",
        "E": exchange.now_ms,
        "s": symbol,
    }
    if not mini:
        payload |= {key: row[_TICKER_NAMES[key]] for key in ("p", "P", "w")}
    payload["c"] = row["lastPrice"]
    if not mini:
        payload["Q"] = row["lastQty"]
    names = ("openPrice", "highPrice", "lowPrice", "volume", "quoteVolume")
    payload |= {key: row[name] for key, name in zip("ohlvq", names, strict=True)}
    if not mini:
        payload |= {key: row[_TICKER_NAMES[key]] for key in "OCFLn"}
    return {**payload, "ps": symbol, "st": 1}


def partial_depth(quotes: Quotes, symbol: str, levels: int, previous: int) -> Json:
    """`<symbol>@depth<levels>`: the best levels, whole at each push."""
    sides = (quotes.shown(symbol, "SELL", levels), quotes.shown(symbol, "BUY", levels))
    return depth_event(quotes, symbol, previous, sides)


def forced_order(event: dict[str, Any]) -> Json | None:
    """`<symbol>@forceOrder`, from the ORDER_TRADE_UPDATE of a liquidation's fill; else None."""
    order = event.get("o", {})
    if event.get("e") != "ORDER_TRADE_UPDATE" or not order["c"].startswith("autoclose-"):
        return None
    if order["x"] not in {"TRADE", "CALCULATED"}:
        return None
    told = {name: order[name] for name in ("s", "S")} | {"o": "LIMIT", "f": "IOC"}
    told |= {name: order[name] for name in ("q", "p", "ap", "X", "l", "z", "T")}
    return {"e": "forceOrder", "E": event["E"], "o": told, "st": 1}


def contract_info(exchange: Exchange, symbol: str) -> Json:
    """`!contractInfo`: a contract whose rules or state have changed, with its brackets."""
    rules = exchange.quotes.instruments[symbol]
    ladder = rules.brackets
    brackets = [
        {
            "bs": row.number,
            "bnf": float(row.notional_floor),
            "bnc": float(row.notional_cap),
            "mmr": float(row.maintenance_rate),
            "cf": float(row.cum),
            "mi": above.leverage_max + 1 if above else 1,
            "ma": row.leverage_max,
        }
        for row, above in zip_longest(ladder, ladder[1:])
    ]
    return {
        "e": "contractInfo",
        "E": exchange.now_ms,
        "s": symbol,
        "ps": symbol,
        "ct": "PERPETUAL",
        "dt": PERPETUAL_DELIVERY_MS,
        "ot": rules.onboard_ms,
        "cs": exchange.quotes.statuses.get(symbol, "TRADING"),
        "bks": brackets,
        "st": 1,
    }
