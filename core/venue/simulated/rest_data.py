"""Statistics: `/futures/data/...` and the endpoints about indices and the insurance fund.

What follows from the market is computed from it.  The account is the only trader, so there are no
other accounts to compare, and those lists are empty.
"""

from decimal import Decimal
from typing import Any

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.klines import close_of
from core.venue.simulated.ledger import ZERO
from core.venue.simulated.params import Params
from core.venue.simulated.quotes import FUNDING_MS
from core.venue.simulated.render import fixed, price_text, quantity_text
from core.venue.simulated.tickets import listed_rules

Json = dict[str, Any]

PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")


def _period(params: Params) -> str:
    period = params.text("period")
    if period not in PERIODS:
        raise Rejection(-1130, "period")
    return period


def taker_ratio(exchange: Exchange, params: Params) -> list[Json]:
    """GET /futures/data/takerlongshortRatio: what takers bought and sold in closed candles."""
    rules, period = listed_rules(params, exchange.quotes), _period(params)
    start, end = params.maybe_integer("startTime"), params.maybe_integer("endTime")
    limit = params.limit(30, 500)
    bars = exchange.candles.range(rules.symbol, period, start, end, limit + 1)
    rows = []
    for bar in bars:
        closes = close_of(period, bar.open_ms) + 1
        if closes > exchange.now_ms:
            continue
        sold = bar.volume - bar.taker_volume
        ratio = bar.taker_volume / sold if sold else ZERO
        rows.append(
            {
                "buySellRatio": fixed(ratio, 4),
                "buyVol": quantity_text(rules, bar.taker_volume),
                "sellVol": quantity_text(rules, sold),
                "timestamp": closes,
            }
        )
    return rows[-limit:]


def basis(exchange: Exchange, params: Params) -> list[Json]:
    """GET /futures/data/basis: the perpetual against its index at each candle's open."""
    symbol = params.text("pair").upper()
    rules = exchange.quotes.instruments.get(symbol)
    if rules is None:
        raise Rejection(-1121)
    if params.text("contractType") != "PERPETUAL":
        raise Rejection(-1130, "contractType")
    start, end = params.maybe_integer("startTime"), params.maybe_integer("endTime")
    bars = exchange.candles.range(symbol, _period(params), start, end, params.limit(30, 500))
    source = exchange.quotes.source
    rows = []
    for bar in bars:
        premium = source.premium(symbol, (bar.open_ms - source.first_open_ms) // 60_000)
        index = bar.open / (1 + premium)
        rows.append(
            {
                "indexPrice": price_text(rules, index),
                "contractType": "PERPETUAL",
                "basisRate": fixed(premium, 4),
                "futuresPrice": price_text(rules, bar.open),
                "annualizedBasisRate": "",
                "basis": price_text(rules, bar.open - index),
                "pair": symbol,
                "timestamp": bar.open_ms,
            }
        )
    return rows


def open_interest_history(exchange: Exchange, params: Params) -> list[Json]:
    """GET /futures/data/openInterestHist: what the account held at each candle's open."""
    rules, period = listed_rules(params, exchange.quotes), _period(params)
    start, end = params.maybe_integer("startTime"), params.maybe_integer("endTime")
    bars = exchange.candles.range(rules.symbol, period, start, end, params.limit(30, 500))
    held = [row for row in exchange.ledger.position_history if row.get("symbol") == rules.symbol]
    rows = []
    for bar in bars:
        amounts: dict[object, Decimal] = {}
        for row in held:
            if int(str(row["time"])) <= bar.open_ms:
                amounts[row.get("positionSide")] = abs(Decimal(str(row["positionAmt"])))
        amount = sum(amounts.values(), ZERO)
        rows.append(
            {
                "symbol": rules.symbol,
                "sumOpenInterest": fixed(amount, 8),
                "sumOpenInterestValue": fixed(amount * bar.open, 8),
                "CMCCirculatingSupply": "0.00000000",
                "timestamp": bar.open_ms,
            }
        )
    return rows


def account_ratio(exchange: Exchange, params: Params) -> list[Json]:
    """GET /futures/data/...Ratio of accounts: there are no other accounts."""
    listed_rules(params, exchange.quotes)
    _period(params)
    return []


def delivery_price(exchange: Exchange, params: Params) -> list[Json]:
    """GET /futures/data/delivery-price: perpetuals are never delivered."""
    if params.text("pair").upper() not in exchange.quotes.instruments:
        raise Rejection(-1121)
    return []


def constituents(exchange: Exchange, params: Params) -> Json:
    """GET /fapi/v1/constituents: the index is one spot price, of the venue itself."""
    rules = listed_rules(params, exchange.quotes)
    price = fixed(exchange.quotes.index(rules.symbol), 8)
    part = {"exchange": "binance", "symbol": rules.symbol, "price": price, "weight": "1.00000000"}
    return {"symbol": rules.symbol, "time": exchange.now_ms, "constituents": [part]}


def composite_index(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/indexInfo: no composite index is listed."""
    if "symbol" in params:
        listed_rules(params, exchange.quotes)
    return []


def asset_index(exchange: Exchange, params: Params) -> Json | list[Json]:
    """GET /fapi/v1/assetIndex: the one margin asset, worth a dollar."""
    if "symbol" in params and params.text("symbol").upper() != "USDTUSD":
        raise Rejection(-1121)
    one, buffer = "1.00000000", "0.00000000"
    row = {
        "symbol": "USDTUSD",
        "time": exchange.now_ms,
        "index": one,
        **dict.fromkeys(("bidBuffer", "askBuffer"), buffer),
        **dict.fromkeys(("bidRate", "askRate"), one),
        **dict.fromkeys(("autoExchangeBidBuffer", "autoExchangeAskBuffer"), buffer),
        **dict.fromkeys(("autoExchangeBidRate", "autoExchangeAskRate"), one),
    }
    return row if "symbol" in params else [row]


def insurance_fund(exchange: Exchange, params: Params) -> Json | list[Json]:
    """GET /fapi/v1/insuranceBalance: what clearances paid in, less what they drew."""
    symbols = list(exchange.quotes.symbols)
    wanted = [listed_rules(params, exchange.quotes).symbol] if "symbol" in params else symbols
    paid = sum(
        (-row.amount for row in exchange.ledger.income if row.kind == "INSURANCE_CLEAR"), ZERO
    )
    asset = {
        "asset": "USDT",
        "marginBalance": fixed(paid, 8),
        "updateTime": exchange.now_ms // FUNDING_MS * FUNDING_MS,
    }
    row = {"symbols": wanted if "symbol" in params else symbols, "assets": [asset]}
    return row if "symbol" in params else [row]


def adl_risk(exchange: Exchange, params: Params) -> Json | list[Json]:
    """GET /fapi/v1/symbolAdlRisk."""

    def row(symbol: str) -> Json:
        return {"symbol": symbol, "adlRisk": "low", "updateTime": exchange.now_ms}

    if "symbol" in params:
        return row(listed_rules(params, exchange.quotes).symbol)
    return [row(symbol) for symbol in exchange.quotes.symbols]
