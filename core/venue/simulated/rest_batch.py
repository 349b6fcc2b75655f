"""Trading endpoints beyond the single order: changes, batches, countdown, forced orders."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from core.venue.simulated.amend import amend, check_amendable
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.ledger import Order
from core.venue.simulated.params import OrderSide, Params
from core.venue.simulated.render import amendment_answer, amendment_row, order_row
from core.venue.simulated.rest_account import maybe_symbol, window
from core.venue.simulated.rest_trade import cancel_order, find_order, place_order
from core.venue.simulated.tickets import (
    Ticket,
    check_band,
    check_price,
    check_quantity,
    listed_rules,
    matched_price,
    read_price_match,
)

Json = dict[str, Any]

PLACED_MAX, CANCELLED_MAX = 5, 10
BATCH_LENGTH_MAX = 65_536  # characters of a batch
COUNTDOWN_MAX_MS = 1 << 53


# ---------------------------------------------------------------------- changes
def modify_order(exchange: Exchange, params: Params) -> Json:
    """PUT /fapi/v1/order."""
    quotes = exchange.quotes
    rules = listed_rules(params, quotes)
    side = params.choice("side", OrderSide, -1117)
    match = read_price_match(params, limit=True)
    quantity = params.decimal("quantity")
    if match == "NONE":
        price = params.decimal("price")
    else:
        price = matched_price(quotes, rules.symbol, side, match)
    modify_id = params.maybe_integer("modifyId")
    check_quantity(rules, quantity, market=False)
    check_price(rules, price)
    check_band(rules, side, price, quotes.mark(rules.symbol))
    order = find_order(exchange, params, -2013)
    if order.side != side:
        raise Rejection(-1130, "side")
    check_amendable(order)
    wanted = _changed(order, quantity, price, match)
    amend(exchange.ledger, quotes, exchange.orders, order, wanted, modify_id=modify_id)
    return amendment_answer(rules, order)


def _changed(order: Order, quantity: Decimal, price: Decimal, match: str) -> Ticket:
    return Ticket(
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        quantity=quantity,
        price=price,
        time_in_force=order.time_in_force,
        reduce_only=order.reduce_only,
        client_id=None,
        self_trade_prevention=order.self_trade_prevention,
        position_side=order.position_side,
        price_match=match,
    )


def amendments(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/orderAmendment: newest kept."""
    rules = listed_rules(params, exchange.quotes)
    limit = params.limit(50, 100)
    start, end = window(exchange, params, apply=True)
    wanted = None
    if "orderId" in params or "origClientOrderId" in params:
        wanted = find_order(exchange, params, -2013)
    rows = [
        amendment_row(rules, order, number)
        for order in exchange.ledger.orders
        if order.symbol == rules.symbol and (wanted is None or order is wanted)
        for number, row in enumerate(order.amendments, start=1)
        if start <= row.time_ms <= end
    ]
    return sorted(rows, key=lambda row: int(row["amendmentId"]))[-limit:]


# ---------------------------------------------------------------------- batches
def place_batch(exchange: Exchange, params: Params) -> list[Json]:
    """POST /fapi/v1/batchOrders: each element answered for itself, in order."""
    return _each(exchange, params, place_order)


def modify_batch(exchange: Exchange, params: Params) -> list[Json]:
    """PUT /fapi/v1/batchOrders: each element answered for itself, in order."""
    return _each(exchange, params, modify_order)


def _each(
    exchange: Exchange, params: Params, handler: Callable[[Exchange, Params], Json]
) -> list[Json]:
    rows = _json_list(params, "batchOrders")
    if not 1 <= len(rows) <= PLACED_MAX:
        raise Rejection(-4082)
    if not all(isinstance(row, dict) for row in rows):
        raise Rejection(-1130, "batchOrders")
    answers = []
    for row in rows:
        try:
            fields = {str(name): _text(value) for name, value in row.items()}
            answers.append(handler(exchange, Params(fields)))
        except Rejection as refusal:
            answers.append(refusal.body())
    return answers


def _text(value: object) -> str:
    """Return a JSON value as it would stand in a query string; numbers keep their digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    raise Rejection(-1130, "batchOrders")


def _json_list(params: Params, name: str) -> list[Any]:
    text = params.text(name)
    if len(text) > BATCH_LENGTH_MAX:
        raise Rejection(-1130, name)
    try:
        rows = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise Rejection(-1130, name) from None
    if not isinstance(rows, list):
        raise Rejection(-1130, name)
    return rows


def cancel_batch(exchange: Exchange, params: Params) -> list[Json]:
    """DELETE /fapi/v1/batchOrders: each element answered for itself, in order."""
    symbol = listed_rules(params, exchange.quotes).symbol
    by_id = "orderIdList" in params
    if not by_id and "origClientOrderIdList" not in params:
        raise Rejection(-1102, "orderIdList")
    rows = _json_list(params, "orderIdList" if by_id else "origClientOrderIdList")
    if not 1 <= len(rows) <= CANCELLED_MAX:
        raise Rejection(-4082)
    answers = []
    for row in rows:
        name = "orderId" if by_id else "origClientOrderId"
        try:
            fields = {"symbol": symbol, name: _text(row)}
            answers.append(cancel_order(exchange, Params(fields)))
        except Rejection as refusal:
            answers.append(refusal.body())
    return answers


# ---------------------------------------------------------------------- countdown
def countdown(exchange: Exchange, params: Params) -> Json:
    """POST /fapi/v1/countdownCancelAll: cancel the symbol's orders unless armed again in time.

    The time runs on the venue's clock; 0 switches it off.
    """
    symbol = listed_rules(params, exchange.quotes).symbol
    length_ms = params.integer("countdownTime")
    if not 0 <= length_ms < COUNTDOWN_MAX_MS:
        raise Rejection(-1130, "countdownTime")
    exchange.orders.countdowns.pop(symbol, None)
    if length_ms:
        exchange.orders.countdowns[symbol] = exchange.now_ms + length_ms
    return {"symbol": symbol, "countdownTime": str(length_ms)}


# ---------------------------------------------------------------------- forced orders
def force_orders(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/forceOrders: the account's liquidations and deleveragings, newest kept."""
    symbol, kind = maybe_symbol(exchange, params), params.maybe("autoCloseType")
    prefixes = {"": ("autoclose-", "adl_"), "LIQUIDATION": ("autoclose-",), "ADL": ("adl_",)}
    if kind not in prefixes:
        raise Rejection(-1130, "autoCloseType")
    limit = params.limit(50, 100)
    start, end = window(exchange, params, apply=True)
    rules = exchange.quotes.instruments
    rows = [
        order_row(rules[order.symbol], order)
        for order in exchange.ledger.orders
        if order.type == "LIQUIDATION"
        and order.client_order_id.startswith(prefixes[kind])
        and symbol in {None, order.symbol}
        and start <= order.time_ms <= end
    ]
    return rows[-limit:]
