"""Endpoints that change what a trader has chosen: leverage, margin, modes."""

from typing import Any

from core.venue.simulated.account_view import account_event, config_event, multi_assets_event
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.ledger import ZERO, MarginMove
from core.venue.simulated.params import Params
from core.venue.simulated.positions import cash
from core.venue.simulated.render import money
from core.venue.simulated.rest_account import window
from core.venue.simulated.tickets import listed_rules, read_position_side

Json = dict[str, Any]

LEVERAGE_MAX = 125
ADD, REDUCE = 1, 2


def _success() -> Json:
    return {"code": 200, "msg": "success"}


# ---------------------------------------------------------------------- leverage
def set_leverage(exchange: Exchange, params: Params) -> Json:
    """POST /fapi/v1/leverage."""
    rules = listed_rules(params, exchange.quotes)
    leverage = params.integer("leverage")
    if not 1 <= leverage <= min(LEVERAGE_MAX, rules.brackets[0].leverage_max):
        raise Rejection(-4028, leverage)
    account, symbol = exchange.account, rules.symbol
    settings = account.settings[symbol]
    cap = rules.notional_cap_at(leverage)
    lower = leverage < settings.leverage
    if lower and settings.isolated and account.is_held(symbol):
        raise Rejection(-4161)
    if _exposure(exchange, symbol) > cap:
        raise Rejection(-2027)
    if lower and not _affordable(exchange, symbol, leverage):
        raise Rejection(-2028)
    if leverage != settings.leverage:
        settings.leverage = leverage
        exchange.outbox.user(config_event(exchange.quotes, symbol, leverage))
    return {"leverage": leverage, "maxNotionalValue": f"{cap:f}", "symbol": symbol}


def _exposure(exchange: Exchange, symbol: str) -> Any:
    """Return the largest notional of a side, its opening orders included."""
    account = exchange.account
    leverage = account.settings[symbol].leverage
    return max(
        abs(account.notional(row)) + account.order_margin(row) * leverage
        for row in account.sides(symbol)
    )


def _affordable(exchange: Exchange, symbol: str, leverage: int) -> bool:
    account = exchange.account
    margins = [account.order_margin(row) for row in account.sides(symbol)]
    margins += [account.position_margin(row) for row in account.held(symbol)]
    used = sum(margins, ZERO)
    more = used * account.settings[symbol].leverage / leverage - used
    return more <= account.available()


# ---------------------------------------------------------------------- margin
def set_margin_type(exchange: Exchange, params: Params) -> Json:
    """POST /fapi/v1/marginType."""
    rules = listed_rules(params, exchange.quotes)
    wanted = params.text("marginType").upper()
    if wanted not in {"ISOLATED", "CROSSED"}:
        raise Rejection(-1130, "marginType")
    isolated = wanted == "ISOLATED"
    account = exchange.account
    settings = account.settings[rules.symbol]
    if settings.isolated == isolated:
        raise Rejection(-4046)
    if isolated and account.multi_assets:
        raise Rejection(-4168)
    if exchange.ledger.open_orders(rules.symbol):
        raise Rejection(-4047)
    if account.is_held(rules.symbol):
        raise Rejection(-4048)
    settings.isolated = isolated
    return _success()


def set_position_margin(exchange: Exchange, params: Params) -> Json:
    """POST /fapi/v1/positionMargin: move cash to (1) or from (2) an isolated position."""
    rules = listed_rules(params, exchange.quotes)
    amount, kind = cash(params.decimal("amount")), params.integer("type")
    account = exchange.account
    side = read_position_side(params, dual_side=account.dual_side)
    if kind not in {ADD, REDUCE}:
        raise Rejection(-1130, "type")
    if amount <= 0:
        raise Rejection(-4055)
    if not account.settings[rules.symbol].isolated:
        raise Rejection(-4049)
    position = account.position(rules.symbol, side)
    if not position.amount:
        raise Rejection(-4054)
    if kind == ADD and amount > account.available():
        raise Rejection(-4050)
    spare = position.isolated_wallet + min(ZERO, account.profit(position))
    if kind == REDUCE and amount > spare - account.position_margin(position):
        raise Rejection(-4051)
    moved = amount if kind == ADD else -amount
    position.isolated_wallet += moved
    move = MarginMove(
        symbol=rules.symbol,
        position_side=side,
        kind=kind,
        amount=amount,
        time_ms=exchange.now_ms,
    )
    exchange.ledger.margin_moves.append(move)
    event = account_event(account, exchange.quotes, "MARGIN_TRANSFER", position)
    exchange.outbox.user(event)
    message = "Successfully modify position margin."
    return {"amount": float(amount), "code": 200, "msg": message, "type": kind}


def position_margin_history(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/positionMargin/history: the user's own moves, newest kept."""
    rules, kind = listed_rules(params, exchange.quotes), params.maybe_integer("type")
    if kind not in {None, ADD, REDUCE}:
        raise Rejection(-1130, "type")
    limit = params.limit(500, 500)
    start, end = window(exchange, params, apply=True)
    rows = [
        {
            "symbol": row.symbol,
            "type": row.kind,
            "deltaType": "USER_ADJUST",
            "amount": money(row.amount),
            "asset": rules.quote_asset,
            "time": row.time_ms,
            "positionSide": row.position_side,
        }
        for row in exchange.ledger.margin_moves
        if row.symbol == rules.symbol and kind in {None, row.kind} and start <= row.time_ms <= end
    ]
    return rows[-limit:]


# ---------------------------------------------------------------------- modes
def position_mode(exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v1/positionSide/dual."""
    return {"dualSidePosition": exchange.account.dual_side}


def set_position_mode(exchange: Exchange, params: Params) -> Json:
    """POST /fapi/v1/positionSide/dual: hedge mode on or off, while flat and without orders."""
    params.text("dualSidePosition")
    wanted = params.flag("dualSidePosition")
    if wanted == exchange.account.dual_side:
        raise Rejection(-4059)
    if exchange.ledger.open_orders() or exchange.ledger.open_algos():
        raise Rejection(-4067)
    if exchange.account.held():
        raise Rejection(-4068)
    exchange.account.dual_side = wanted
    return _success()


def multi_assets(exchange: Exchange, _params: Params) -> Json:
    """GET /fapi/v1/multiAssetsMargin."""
    return {"multiAssetsMargin": exchange.account.multi_assets}


def set_multi_assets(exchange: Exchange, params: Params) -> Json:
    """POST /fapi/v1/multiAssetsMargin; USDT is the only asset, so the sums stay what they are."""
    params.text("multiAssetsMargin")
    wanted = params.flag("multiAssetsMargin")
    account = exchange.account
    if wanted == account.multi_assets:
        raise Rejection(-4171)
    if exchange.ledger.open_orders():
        raise Rejection(-4170)
    if wanted and any(row.isolated for row in account.settings.values()):
        raise Rejection(-4167)
    account.multi_assets = wanted
    exchange.outbox.user(multi_assets_event(exchange.quotes, wanted))
    return _success()
