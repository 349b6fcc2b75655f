"""Rows of the ledger as the venue writes them: REST answers, user-stream events, `/sim/ledger`.

One place knows the field names, so that events and answers cannot disagree.  Decimals become
strings with the instrument's digits, times stay integers.
"""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any

from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.ledger import AlgoOrder, Income, Order, Trade

Json = dict[str, Any]


@lru_cache(maxsize=32)
def _unit(places: int) -> Decimal:
    return Decimal(1).scaleb(-places)


def fixed(value: Decimal, places: int) -> str:
    """Return a decimal with exactly so many digits after the point."""
    exact = value.quantize(_unit(places), ROUND_HALF_EVEN)
    text = str(exact)  # twice as quick as the format, which small numbers need
    return text if "E" not in text else f"{exact:f}"


def money(value: Decimal) -> str:
    """Return an amount of USDT with 8 digits, cut off."""
    text = f"{value.quantize(_unit(8), ROUND_DOWN):f}"
    return text[1:] if text.startswith("-") and not value else text


def price_text(rules: ListedInstrument, value: Decimal) -> str:
    """Return a price with the instrument's digits."""
    return fixed(value, rules.price_precision)


def quantity_text(rules: ListedInstrument, value: Decimal) -> str:
    """Return a quantity with the instrument's digits."""
    return fixed(value, rules.quantity_precision)


# ---------------------------------------------------------------------- ordinary orders
def placement(rules: ListedInstrument, order: Order) -> Json:
    """Answer of placing or cancelling: since June 2026 without avgPrice and cumQuote."""
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": price_text(rules, order.price),
        "origQty": quantity_text(rules, order.quantity),
        "executedQty": quantity_text(rules, order.executed),
        "cumQty": quantity_text(rules, order.executed),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": price_text(rules, order.stop_price),
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.original_type,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": order.good_till_ms,
        "updateTime": order.update_ms,
    }


def order_row(rules: ListedInstrument, order: Order) -> Json:
    """Row of a query."""
    row = placement(rules, order)
    del row["cumQty"]
    row["avgPrice"] = fixed(order.average_price, rules.price_precision + 3)
    row["cumQuote"] = fixed(order.quote, 5)
    row["time"] = order.time_ms
    if order.callback_rate:
        row["activatePrice"] = price_text(rules, order.activate_price)
        row["priceRate"] = f"{order.callback_rate:.1f}"
    return row


def amendment_answer(rules: ListedInstrument, order: Order) -> Json:
    """Answer of changing an order."""
    return {**placement(rules, order), "pair": order.symbol, "modifyId": order.modify_id}


def amendment_row(rules: ListedInstrument, order: Order, number: int) -> Json:
    """Row of `orderAmendment`; `number` counts the order's amendments from 1."""
    row = order.amendments[number - 1]
    price = {
        "before": price_text(rules, row.price_before),
        "after": price_text(rules, row.price_after),
    }
    quantity = {
        "before": quantity_text(rules, row.quantity_before),
        "after": quantity_text(rules, row.quantity_after),
    }
    return {
        "amendmentId": row.amendment_id,
        "symbol": order.symbol,
        "pair": order.symbol,
        "orderId": order.order_id,
        "clientOrderId": order.client_order_id,
        "time": row.time_ms,
        "amendment": {"price": price, "origQty": quantity, "count": number},
        "priceMatch": row.price_match,
    }


def history_row(rules: ListedInstrument, order: Order) -> Json:
    """Row of `allOrders`."""
    return {**order_row(rules, order), "pair": order.symbol, "cumBase": "0"}


def order_event(
    rules: ListedInstrument,
    order: Order,
    execution: str,
    trade: Trade | None = None,
    *,
    reason: str = "0",
    exposure: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0)),
) -> Json:
    """ORDER_TRADE_UPDATE; `exposure` is the open bids' and asks' notional."""
    detail: Json = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": quantity_text(rules, order.quantity),
        "p": price_text(rules, order.price),
        "ap": fixed(order.average_price, rules.price_precision + 3),
        "sp": price_text(rules, order.stop_price),
        "x": execution,
        "X": order.status,
        "i": order.order_id,
        "l": quantity_text(rules, trade.quantity if trade else Decimal(0)),
        "z": quantity_text(rules, order.executed),
        "L": price_text(rules, trade.price if trade else Decimal(0)),
    }
    if trade is not None:
        detail["n"] = money(trade.commission)
        detail["N"] = rules.quote_asset
    detail |= {
        "T": trade.time_ms if trade else order.update_ms,
        "t": trade.trade_id if trade else 0,
        "b": fixed(exposure[0], 5),
        "a": fixed(exposure[1], 5),
        "m": trade.maker if trade else False,
        "R": order.reduce_only,
        "wt": order.working_type,
        "ot": order.original_type,
        "ps": order.position_side,
        "cp": order.close_position,
        "rp": money(trade.realized) if trade else "0",
        "pP": order.price_protect,
        "si": 0,
        "ss": 0,
        "V": order.self_trade_prevention,
        "pm": order.price_match,
        "gtd": order.good_till_ms,
        "er": reason,
    }
    if execution == "AMENDMENT":
        detail["M"] = order.modify_id
    if order.callback_rate:
        detail["AP"] = price_text(rules, order.activate_price)
        detail["cr"] = f"{order.callback_rate:.1f}"
    stamp = order.update_ms
    return {"e": "ORDER_TRADE_UPDATE", "E": stamp, "T": stamp, "o": detail}


def lite_event(rules: ListedInstrument, order: Order, trade: Trade) -> Json:
    """TRADE_LITE: the early sign of a fill, without money."""
    return {
        "e": "TRADE_LITE",
        "E": trade.time_ms,
        "T": trade.time_ms,
        "s": order.symbol,
        "q": quantity_text(rules, order.quantity),
        "p": price_text(rules, order.price) if order.type == "LIMIT" else "0",
        "m": trade.maker,
        "c": order.client_order_id,
        "S": order.side,
        "L": price_text(rules, trade.price),
        "l": quantity_text(rules, trade.quantity),
        "t": trade.trade_id,
        "i": order.order_id,
    }


# ---------------------------------------------------------------------- conditional orders
def algo_placement(rules: ListedInstrument, algo: AlgoOrder) -> Json:
    """Answer of placing a conditional order."""
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.order_type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": algo.position_side,
        "timeInForce": algo.time_in_force,
        "quantity": quantity_text(rules, algo.quantity),
        "algoStatus": algo.status,
        "triggerPrice": price_text(rules, algo.trigger_price),
        "price": price_text(rules, algo.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": algo.self_trade_prevention,
        "workingType": algo.working_type,
        "priceMatch": algo.price_match,
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
        "activatePrice": price_text(rules, algo.activate_price) if algo.is_trailing else "",
        "callbackRate": f"{algo.callback_rate:.1f}" if algo.is_trailing else "",
        "createTime": algo.create_ms,
        "updateTime": algo.update_ms,
        "triggerTime": algo.trigger_ms,
        "goodTillDate": algo.good_till_ms,
    }


def open_algo_row(rules: ListedInstrument, algo: AlgoOrder) -> Json:
    """Row of `openAlgoOrders`: it has no order yet."""
    nothing: Json = {"actualOrderId": "", "actualQty": "0.0", "isActivated": algo.activated}
    return {**algo_placement(rules, algo), **nothing}


def algo_row(rules: ListedInstrument, algo: AlgoOrder, child: Order | None) -> Json:
    """Row of `algoOrder` and `allAlgoOrders`; `child` is the order it became, if any."""
    row = algo_placement(rules, algo)
    row["actualOrderId"] = str(child.order_id) if child else ""
    row["actualPrice"] = fixed(child.average_price, rules.price_precision + 3) if child else "0.00"
    row["actualQty"] = quantity_text(rules, child.executed) if child else "0.0"
    row["actualType"] = child.type if child else ""
    row["tpOrderType"] = ""
    row["isActivated"] = algo.activated
    return row


def algo_event(rules: ListedInstrument, algo: AlgoOrder, child: Order | None) -> Json:
    """ALGO_UPDATE; the `a…` fields of the real order only after the trigger."""
    detail: Json = {
        "caid": algo.client_algo_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.order_type,
        "s": algo.symbol,
        "S": algo.side,
        "ps": algo.position_side,
        "f": algo.time_in_force,
        "q": quantity_text(rules, algo.quantity),
        "X": algo.status,
        "ai": str(child.order_id) if child else "",
    }
    if child is not None:
        detail["ap"] = fixed(child.average_price, rules.price_precision + 3)
        detail["aq"] = quantity_text(rules, child.executed)
        detail["act"] = child.type
    detail |= {
        "tp": price_text(rules, algo.trigger_price),
        "p": price_text(rules, algo.price),
        "V": algo.self_trade_prevention,
        "wt": algo.working_type,
        "pm": algo.price_match,
        "cp": algo.close_position,
        "pP": algo.price_protect,
        "R": algo.reduce_only,
        "tt": algo.trigger_ms,
        "gtd": algo.good_till_ms,
        "rm": algo.failure,
        "ia": algo.activated,
    }
    return {"e": "ALGO_UPDATE", "T": algo.update_ms, "E": algo.update_ms, "o": detail}


# ---------------------------------------------------------------------- money
def trade_row(rules: ListedInstrument, trade: Trade) -> Json:
    """Row of `userTrades`."""
    return {
        "buyer": trade.side == "BUY",
        "maker": trade.maker,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "symbol": trade.symbol,
        "side": trade.side,
        "positionSide": trade.position_side,
        "price": price_text(rules, trade.price),
        "qty": quantity_text(rules, trade.quantity),
        "quoteQty": fixed(trade.price * trade.quantity, 8),
        "commission": money(trade.commission),
        "commissionAsset": rules.quote_asset,
        "realizedPnl": money(trade.realized),
        "pair": trade.symbol,
        "baseQty": "0",
        "marginAsset": rules.quote_asset,
        "time": trade.time_ms,
    }


def income_row(row: Income) -> Json:
    """Row of `income`."""
    return {
        "symbol": row.symbol,
        "incomeType": row.kind,
        "income": money(row.amount),
        "asset": "USDT",
        "info": row.info,
        "time": row.time_ms,
        "tranId": row.income_id,
        "tradeId": row.trade_id,
    }
