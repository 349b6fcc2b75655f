"""Account endpoints: balances, positions, settings, history.  Reference, section 3."""

from typing import Any

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.instruments import leverage_bracket as bracket_row
from core.venue.simulated.params import Params
from core.venue.simulated.render import income_row, trade_row
from core.venue.simulated.rest_market import RATE_LIMITS
from core.venue.simulated.tickets import listed_rules

Json = dict[str, Any]

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
HISTORY_MS = 90 * 86_400_000  # of trades, income and orders with a fill


def maybe_symbol(exchange: Exchange, params: Params) -> str | None:
    """Return the optional symbol; -1121 when it is not listed."""
    return listed_rules(params, exchange.quotes).symbol if "symbol" in params else None


def account_v2(exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v2/account."""
    return exchange.view.account_v2()


def account_v3(exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v3/account."""
    return exchange.view.account_v3()


def balance(exchange: Exchange, _params: Params) -> list[Json]:
    """GET /fapi/v2/balance and v3."""
    return exchange.view.balance()


def position_risk_v2(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v2/positionRisk."""
    return exchange.view.position_risk_v2(maybe_symbol(exchange, params))


def position_risk_v3(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v3/positionRisk."""
    return exchange.view.position_risk_v3(maybe_symbol(exchange, params))


def account_config(exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v1/accountConfig."""
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": exchange.account.dual_side,
        "updateTime": 0,
        "multiAssetsMargin": exchange.account.multi_assets,
        "tradeGroupId": -1,
    }


def symbol_config(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/symbolConfig."""
    return exchange.view.symbol_config(maybe_symbol(exchange, params))


def commission_rate(exchange: Exchange, params: Params) -> Json:
    """GET /fapi/v1/commissionRate."""
    rules = listed_rules(params, exchange.quotes)
    return {
        "symbol": rules.symbol,
        "makerCommissionRate": f"{rules.maker_fee:f}",
        "takerCommissionRate": f"{rules.taker_fee:f}",
        "rpiCommissionRate": "0.00005",
    }


def leverage_bracket(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/leverageBracket: an array with and without a symbol, as clients see it."""
    symbol = maybe_symbol(exchange, params)
    rules = exchange.quotes.instruments
    return [bracket_row(rules[name]) for name in ([symbol] if symbol else rules)]


def fee_burn(_exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v1/feeBurn."""
    return {"feeBurn": False}


def adl_quantile(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/adlQuantile."""
    return exchange.view.adl_quantiles(maybe_symbol(exchange, params))


def trading_status(exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v1/apiTradingStatus: no rule of quantitative trading is broken here."""
    return {"indicators": {}, "updateTime": exchange.now_ms}


def order_limits(_exchange: Exchange, _params: Params) -> list[Json]:
    """GET /fapi/v1/rateLimit/order."""
    return [row for row in RATE_LIMITS if row["rateLimitType"] == "ORDERS"]


def income(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/income: the last 7 days unless told otherwise, oldest first."""
    symbol, kind = maybe_symbol(exchange, params), params.maybe("incomeType")
    start, end = params.maybe_integer("startTime"), params.maybe_integer("endTime")
    limit, page = params.limit(100, 1000), params.maybe_integer("page") or 1
    earliest = exchange.now_ms - WEEK_MS if start is None and end is None else start or 0
    earliest = max(earliest, exchange.now_ms - HISTORY_MS)
    rows = [
        row
        for row in exchange.ledger.income
        if row.time_ms >= earliest
        and (end is None or row.time_ms <= end)
        and (symbol is None or row.symbol == symbol)
        and (not kind or row.kind == kind)
    ]
    return [income_row(row) for row in rows[(page - 1) * limit : page * limit]]


def user_trades(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/userTrades: of three months; a limit keeps the oldest rows of the window."""
    rules = listed_rules(params, exchange.quotes)
    order_id, first = params.maybe_integer("orderId"), params.maybe_integer("fromId")
    if first is not None and ("startTime" in params or "endTime" in params):
        raise Rejection(-1128)
    start, end = window(exchange, params, apply=first is None and order_id is None)
    start = max(start, exchange.now_ms - HISTORY_MS)
    rows = [
        trade
        for trade in exchange.ledger.trades_of(rules.symbol)
        if (order_id is None or trade.order_id == order_id)
        and (first is None or trade.trade_id >= first)
        and start <= trade.time_ms <= end
    ]
    return [trade_row(rules, row) for row in rows[: params.limit(500, 1000)]]


def window(exchange: Exchange, params: Params, *, apply: bool) -> tuple[int, int]:
    """Return the time window of a history query: at most 7 days, by default the last ones."""
    start, end = params.maybe_integer("startTime"), params.maybe_integer("endTime")
    if not apply and start is None and end is None:
        return 0, exchange.now_ms
    if start is None and end is None:
        return exchange.now_ms - WEEK_MS, exchange.now_ms
    if start is None:
        return (end or 0) - WEEK_MS, end or 0
    if end is None:
        return start, start + WEEK_MS
    if end - start > WEEK_MS or end < start:
        raise Rejection(-4165, "7") if end >= start else Rejection(-1128)
    return start, end


def api_restrictions(_exchange: Exchange, _params: Params) -> Json:
    """GET /sapi/v1/account/apiRestrictions: may trade futures, may not withdraw."""
    off = (
        "enableWithdrawals enableInternalTransfer enableMargin permitsUniversalTransfer"
        " enableVanillaOptions enableFixApiTrade enableFixReadOnly enableSpotAndMarginTrading"
        " enablePortfolioMarginTrading"
    )
    return {
        "ipRestrict": False,
        "createTime": 1_700_000_000_000,
        "enableReading": True,
        "enableFutures": True,
        **dict.fromkeys(off.split(), False),
    }
