"""Trading endpoints: ordinary orders and the Algo Service.  Reference, sections 4 and 5."""

from typing import Any

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.ledger import AlgoOrder, Order
from core.venue.simulated.params import Params
from core.venue.simulated.render import (
    algo_placement,
    algo_row,
    history_row,
    open_algo_row,
    order_row,
    placement,
)
from core.venue.simulated.rest_account import HISTORY_MS, maybe_symbol, window
from core.venue.simulated.tickets import Ticket, algo_ticket, listed_rules, order_ticket

Json = dict[str, Any]

UNFILLED_KEPT_MS = 3 * 86_400_000  # how long ended orders can be asked for, from their placement


# ---------------------------------------------------------------------- ordinary orders
def _ticket(exchange: Exchange, params: Params) -> Ticket:
    return order_ticket(params, exchange.quotes, dual_side=exchange.account.dual_side)


def place_order(exchange: Exchange, params: Params) -> Json:
    """POST /fapi/v1/order."""
    ticket = exchange.orders.check(_ticket(exchange, params))
    order = exchange.orders.place(ticket)
    rules = exchange.quotes.instruments[order.symbol]
    acknowledged = placement(rules, order)
    exchange.orders.execute(order)
    result = params.maybe("newOrderRespType", "ACK").upper() == "RESULT"
    return placement(rules, order) if result else acknowledged


def check_order(exchange: Exchange, params: Params) -> Json:
    """POST /fapi/v1/order/test: all checks, no order."""
    exchange.orders.check(_ticket(exchange, params))
    return {}


def find_order(exchange: Exchange, params: Params, missing: int) -> Order:
    """Return the order that a request names; `missing` is the code for none that is kept."""
    symbol = listed_rules(params, exchange.quotes).symbol
    order_id = params.maybe_integer("orderId")
    if order_id is None and "origClientOrderId" not in params:
        raise Rejection(-1102, "orderId")
    order = exchange.ledger.order(symbol, order_id, params.maybe("origClientOrderId"))
    if order is None or not is_kept(order, exchange.now_ms):
        raise Rejection(missing)
    return order


def is_kept(order: Order, now_ms: int) -> bool:
    """Tell whether requests still find an order: ended ones without a fill for three days."""
    kept_ms = HISTORY_MS if order.executed else UNFILLED_KEPT_MS
    return order.is_open or now_ms - order.time_ms <= kept_ms


def get_order(exchange: Exchange, params: Params) -> Json:
    """GET /fapi/v1/order."""
    order = find_order(exchange, params, -2013)
    return order_row(exchange.quotes.instruments[order.symbol], order)


def cancel_order(exchange: Exchange, params: Params) -> Json:
    """DELETE /fapi/v1/order."""
    order = find_order(exchange, params, -2011)
    exchange.orders.cancel(order)
    return placement(exchange.quotes.instruments[order.symbol], order)


def open_order(exchange: Exchange, params: Params) -> Json:
    """GET /fapi/v1/openOrder."""
    order = find_order(exchange, params, -2013)
    if not order.is_open:
        raise Rejection(-2013)
    return order_row(exchange.quotes.instruments[order.symbol], order)


def open_orders(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/openOrders."""
    rules = exchange.quotes.instruments
    rows = exchange.ledger.open_orders(maybe_symbol(exchange, params))
    return [order_row(rules[order.symbol], order) for order in rows]


def all_orders(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/allOrders: a limit keeps the newest rows."""
    symbol, first = maybe_symbol(exchange, params), params.maybe_integer("orderId")
    start, end = window(exchange, params, apply=first is None)
    limit = params.limit(500, 1000)
    rules = exchange.quotes.instruments
    rows = [
        order
        for order in exchange.ledger.orders
        if (symbol is None or order.symbol == symbol)
        and (first is None or order.order_id >= first)
        and start <= order.time_ms <= end
        and is_kept(order, exchange.now_ms)
    ]
    return [history_row(rules[order.symbol], order) for order in rows[-limit:]]


def cancel_all(exchange: Exchange, params: Params) -> Json:
    """DELETE /fapi/v1/allOpenOrders."""
    symbol = listed_rules(params, exchange.quotes).symbol
    exchange.orders.cancel_all(symbol)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


# ---------------------------------------------------------------------- conditional orders
def place_algo(exchange: Exchange, params: Params) -> Json:
    """POST /fapi/v1/algoOrder."""
    ticket = algo_ticket(params, exchange.quotes, dual_side=exchange.account.dual_side)
    algo = exchange.algos.place(ticket)
    return algo_placement(exchange.quotes.instruments[algo.symbol], algo)


def _algo(exchange: Exchange, params: Params, missing: int) -> AlgoOrder:
    algo_id = params.maybe_integer("algoId")
    if algo_id is None and "clientAlgoId" not in params:
        raise Rejection(-1102, "algoId")
    algo = exchange.ledger.algo(algo_id, params.maybe("clientAlgoId"))
    if algo is None:
        raise Rejection(missing)
    return algo


def get_algo(exchange: Exchange, params: Params) -> Json:
    """GET /fapi/v1/algoOrder: ended ones too."""
    return _algo_row(exchange, _algo(exchange, params, -2013))


def _algo_row(exchange: Exchange, algo: AlgoOrder) -> Json:
    rules = exchange.quotes.instruments[algo.symbol]
    return algo_row(rules, algo, exchange.algos.child(algo))


def cancel_algo(exchange: Exchange, params: Params) -> Json:
    """DELETE /fapi/v1/algoOrder: the code is a string here."""
    algo = _algo(exchange, params, -2011)
    exchange.algos.cancel(algo)
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_algo_id,
        "code": "200",
        "msg": "success",
    }


def open_algos(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/openAlgoOrders: all are CONDITIONAL, so of another `algoType` there are none."""
    symbol, algo_id = maybe_symbol(exchange, params), params.maybe_integer("algoId")
    if params.maybe("algoType", "CONDITIONAL").upper() != "CONDITIONAL":
        return []
    rules = exchange.quotes.instruments
    return [
        open_algo_row(rules[algo.symbol], algo)
        for algo in exchange.ledger.open_algos(symbol)
        if algo_id is None or algo.algo_id == algo_id
    ]


def all_algos(exchange: Exchange, params: Params) -> list[Json]:
    """GET /fapi/v1/allAlgoOrders."""
    symbol = listed_rules(params, exchange.quotes).symbol
    first = params.maybe_integer("algoId")
    start, end = window(exchange, params, apply=first is None)
    limit = params.limit(500, 1000)
    rows = [
        algo
        for algo in exchange.ledger.algo_orders
        if algo.symbol == symbol
        and (first is None or algo.algo_id >= first)
        and start <= algo.create_ms <= end
    ]
    return [_algo_row(exchange, algo) for algo in rows[-limit:]]


def cancel_all_algos(exchange: Exchange, params: Params) -> Json:
    """DELETE /fapi/v1/algoOpenOrders: the code is an integer here."""
    symbol = listed_rules(params, exchange.quotes).symbol
    for algo in exchange.ledger.open_algos(symbol):
        exchange.algos.cancel(algo)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}
