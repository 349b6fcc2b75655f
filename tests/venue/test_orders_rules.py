"""Each rule of orders with its code, message and HTTP status, and nothing changed by a refusal."""

import json

import pytest

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.instruments import LISTED
from tests.venue.market_on_paper import algo, an_exchange, call, limit, market, user_events

MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
LIMIT = {**MARKET, "type": "LIMIT", "timeInForce": "GTC", "price": "99000.00"}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "0.010",
    "triggerPrice": "98000.00",
}
TRAIL = {**STOP, "type": "TRAILING_STOP_MARKET", "triggerPrice": "", "callbackRate": "1.0"}
STOP_LIMIT = {**STOP, "type": "STOP", "price": "97900.00"}
GTD = {**LIMIT, "timeInForce": "GTD"}

ORDER, ALGO = "POST v1/order", "POST v1/algoOrder"
MISSING = "Mandatory parameter '%s' was not sent, was empty/null, or malformed."
NOT_VALID = "Data sent for parameter '%s' is not valid."
UNWANTED = "Parameter '%s' sent when not required."

RULES = [
    # --- words and presence
    (ORDER, MARKET, {"symbol": ""}, -1102, MISSING % "symbol"),
    (ORDER, MARKET, {"symbol": "NOPE"}, -1121, "Invalid symbol."),
    (ORDER, MARKET, {"side": "HOLD"}, -1117, "Invalid side."),
    (ORDER, MARKET, {"type": "WISH"}, -1116, "Invalid orderType."),
    (ORDER, MARKET, {"quantity": ""}, -1102, MISSING % "quantity"),
    (
        ORDER,
        MARKET,
        {"quantity": "1e-3"},
        -1100,
        "Illegal characters found in parameter 'quantity'.",
    ),
    (ORDER, MARKET, {"price": "99000.00"}, -1106, UNWANTED % "price"),
    (ORDER, MARKET, {"timeInForce": "GTC"}, -1106, UNWANTED % "timeInForce"),
    (ORDER, LIMIT, {"timeInForce": ""}, -1102, MISSING % "timeInForce"),
    (ORDER, LIMIT, {"timeInForce": "NOW"}, -1115, "Invalid timeInForce."),
    (ORDER, LIMIT, {"price": ""}, -1102, MISSING % "price"),
    (ORDER, LIMIT, {"newOrderRespType": "FULL"}, -1136, "Invalid newOrderRespType."),
    (ORDER, LIMIT, {"reduceOnly": "yes"}, -4062, "Invalid or improper reduceOnly value."),
    (
        ORDER,
        LIMIT,
        {"selfTradePreventionMode": "ASK"},
        -1130,
        NOT_VALID % "selfTradePreventionMode",
    ),
    (ORDER, LIMIT, {"newClientOrderId": "x" * 37}, -4015, "Client order id is not valid."),
    (ORDER, LIMIT, {"newClientOrderId": "no space"}, -4015, "Client order id is not valid."),
    (ORDER, LIMIT, {"newClientOrderId": "resting"}, -4116, "ClientOrderId is duplicated."),
    # --- modes
    (ORDER, MARKET, {"positionSide": "UP"}, -4060, "Invalid position side."),
    (
        ORDER,
        MARKET,
        {"positionSide": "LONG"},
        -4061,
        "Order's position side does not match user's setting.",
    ),
    # --- quantity: precision first
    (
        ORDER,
        MARKET,
        {"quantity": "0.0001"},
        -1111,
        "Precision is over the maximum defined for this asset.",
    ),
    (ORDER, MARKET, {"quantity": "0"}, -4003, "Quantity less than or equal to zero."),
    (ORDER, MARKET, {"quantity": "120.001"}, -4005, "Quantity greater than max quantity."),
    (ORDER, LIMIT, {"quantity": "1000.001"}, -4005, "Quantity greater than max quantity."),
    # --- price
    (
        ORDER,
        LIMIT,
        {"price": "99000.001"},
        -1111,
        "Precision is over the maximum defined for this asset.",
    ),
    (ORDER, LIMIT, {"price": "0"}, -4001, "Price less than 0."),
    (ORDER, LIMIT, {"price": "5000000.00"}, -4002, "Price greater than max price."),
    (ORDER, LIMIT, {"price": "100.00"}, -4013, "Price less than min price."),
    (ORDER, LIMIT, {"price": "99000.05"}, -4014, "Price not increased by tick size."),
    (ORDER, LIMIT, {"price": "106000.00"}, -4016, "Limit price can't be higher than %s."),
    (
        ORDER,
        LIMIT,
        {"side": "SELL", "price": "94000.00"},
        -4024,
        "Limit price can't be lower than %s.",
    ),
    (
        ORDER,
        LIMIT,
        {"quantity": "0.001", "price": "40000.00"},
        -4164,
        "Order's notional must be no smaller than 50 (unless you choose reduce only).",
    ),
    # --- account and book
    (ORDER, MARKET, {"quantity": "10"}, -2019, "Margin is insufficient."),
    (
        ORDER,
        MARKET,
        {"quantity": "110"},
        -2019,
        "Margin is insufficient.",
    ),
    (ORDER, MARKET, {"reduceOnly": "true"}, -2022, "ReduceOnly Order is rejected."),
    (
        ORDER,
        LIMIT,
        {"timeInForce": "FOK"},
        -5021,
        (
            "Due to the order could not be filled immediately, the FOK order has been rejected."
            " The order will not be recorded in the order history."
        ),
    ),
    (
        ORDER,
        LIMIT,
        {"timeInForce": "GTX", "price": "100100.00"},
        -5022,
        (
            "Due to the order could not be executed as maker, the Post Only order will be rejected."
            " The order will not be recorded in the order history."
        ),
    ),
    # --- price match and dates
    (ORDER, {**LIMIT, "price": ""}, {"priceMatch": "BEST"}, -5037, "Invalid price match"),
    (
        ORDER,
        MARKET,
        {"priceMatch": "QUEUE"},
        -5038,
        "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT",
    ),
    (ORDER, LIMIT, {"priceMatch": "QUEUE"}, -1106, UNWANTED % "price"),
    (ORDER, GTD, {}, -1102, MISSING % "goodTillDate"),
    (
        ORDER,
        GTD,
        {"goodTillDate": "1800000000000"},
        -5040,
        (
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds and"
            " smaller than 253402300799000."
        ),
    ),
    # --- conditional orders
    *[
        (
            ORDER,
            MARKET,
            {"type": kind},
            -4120,
            (
                "Order type not supported for this endpoint. Please use the Algo Order API"
                " endpoints instead."
            ),
        )
        for kind in (
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        )
    ],
    (ALGO, STOP, {"algoType": "VP"}, -1130, NOT_VALID % "algoType"),
    (ALGO, STOP, {"type": "LIMIT"}, -1116, "Invalid orderType."),
    (ALGO, STOP, {"triggerPrice": ""}, -1102, MISSING % "triggerPrice"),
    (ALGO, STOP, {"triggerPrice": "0"}, -4006, "Stop price less than zero."),
    (
        ALGO,
        STOP,
        {"triggerPrice": "5000000.00"},
        -4007,
        "Stop price greater than max price.",
    ),
    (ALGO, STOP, {"triggerPrice": "98000.05"}, -4014, "Price not increased by tick size."),
    (ALGO, STOP, {"triggerPrice": "100500.00"}, -2021, "Order would immediately trigger."),
    (ALGO, STOP, {"workingType": "LAST"}, -1130, NOT_VALID % "workingType"),
    (ALGO, STOP, {"clientAlgoId": "waiting"}, -4116, "ClientOrderId is duplicated."),
    (
        ALGO,
        STOP,
        {"closePosition": "true"},
        -4137,
        "Quantity must be zero with closePosition equals true.",
    ),
    (
        ALGO,
        {**STOP_LIMIT, "quantity": ""},
        {"closePosition": "true"},
        -4136,
        "Target strategy invalid for orderType STOP,closePosition true.",
    ),
    (
        ALGO,
        {**TRAIL, "quantity": ""},
        {"closePosition": "true"},
        -4136,
        "Target strategy invalid for orderType TRAILING_STOP_MARKET,closePosition true.",
    ),
    (
        ALGO,
        STOP,
        {"timeInForce": "GTE_GTC"},
        -4509,
        "Time in Force (TIF) GTE can only be%s positions are available.",
    ),
    (ORDER, LIMIT, {"timeInForce": "GTE_GTC"}, -1115, "Invalid timeInForce."),
    (
        ALGO,
        {**STOP, "quantity": ""},
        {"closePosition": "true", "reduceOnly": "true"},
        -1106,
        UNWANTED % "reduceOnly",
    ),
    (
        ALGO,
        {**STOP, "quantity": ""},
        {"closePosition": "true"},
        -4509,
        (
            "Time in Force (TIF) GTE can only be used with open positions."
            " Please ensure that positions are available."
        ),
    ),
    (ALGO, STOP_LIMIT, {"price": ""}, -1102, MISSING % "price"),
    (
        ALGO,
        STOP_LIMIT,
        {"price": "93000.00"},
        -4184,
        "Limit price can't be lower than 93100.00.",
    ),
    (
        ALGO,
        {**STOP_LIMIT, "side": "BUY", "triggerPrice": "101000.00"},
        {"price": "106100.00"},
        -4183,
        "Limit price can't be higher than 106050.00.",
    ),
    (ALGO, TRAIL, {"callbackRate": ""}, -1102, MISSING % "callbackRate"),
    (ALGO, TRAIL, {"callbackRate": "0.09"}, -2007, "Invalid callBack rate."),
    (ALGO, TRAIL, {"callbackRate": "20.1"}, -2007, "Invalid callBack rate."),
    (ALGO, TRAIL, {"activatePrice": "99000.00"}, -4135, "Invalid activation price"),
    (
        ALGO,
        {**TRAIL, "side": "BUY"},
        {"activatePrice": "101000.00"},
        -4135,
        "Invalid activation price",
    ),
    # --- unknown orders
    ("DELETE v1/order", {"symbol": "BTCUSDT", "orderId": "1"}, {}, -2011, "Unknown order sent."),
    ("GET v1/order", {"symbol": "BTCUSDT", "orderId": "1"}, {}, -2013, "Order does not exist."),
    ("GET v1/openOrder", {"symbol": "BTCUSDT", "orderId": "1"}, {}, -2013, "Order does not exist."),
    ("GET v1/order", {"symbol": "BTCUSDT"}, {}, -1102, MISSING % "orderId"),
    ("DELETE v1/algoOrder", {"algoId": "1"}, {}, -2011, "Unknown order sent."),
    ("GET v1/algoOrder", {"clientAlgoId": "none"}, {}, -2013, "Order does not exist."),
    # --- changes
    ("PUT v1/order", {**LIMIT, "orderId": "1"}, {}, -2013, "Order does not exist."),
    (
        "PUT v1/order",
        {**LIMIT, "origClientOrderId": "resting"},
        {},
        -5027,
        "No need to modify the order.",
    ),
    (
        "PUT v1/order",
        {**LIMIT, "origClientOrderId": "resting"},
        {"quantity": "0.001", "price": "40000.00"},
        -5029,
        "Order's notional must be no smaller than 50.",
    ),
    (
        "PUT v1/order",
        {**LIMIT, "origClientOrderId": "resting"},
        {"quantity": "10.000"},
        -2019,
        "Margin is insufficient.",
    ),
    (
        "PUT v1/order",
        {**LIMIT, "origClientOrderId": "resting"},
        {"price": "99000.05"},
        -4014,
        "Price not increased by tick size.",
    ),
    (
        "PUT v1/order",
        {**LIMIT, "origClientOrderId": "resting"},
        {"side": "SELL"},
        -1130,
        NOT_VALID % "side",
    ),
    # --- batches and countdown
    (
        "POST v1/batchOrders",
        {"batchOrders": "[]"},
        {},
        -4082,
        "Invalid number of batch place orders.",
    ),
    ("POST v1/batchOrders", {"batchOrders": "{"}, {}, -1130, NOT_VALID % "batchOrders"),
    ("POST v1/batchOrders", {"batchOrders": "[1]"}, {}, -1130, NOT_VALID % "batchOrders"),
    (
        "POST v1/batchOrders",
        {"batchOrders": json.dumps([LIMIT] * 6)},
        {},
        -4082,
        "Invalid number of batch place orders.",
    ),
    ("DELETE v1/batchOrders", {"symbol": "BTCUSDT"}, {}, -1102, MISSING % "orderIdList"),
    (
        "POST v1/countdownCancelAll",
        {"symbol": "BTCUSDT", "countdownTime": "-1"},
        {},
        -1130,
        NOT_VALID % "countdownTime",
    ),
]


def an_exchange_with_waiting_orders() -> Exchange:
    exchange = an_exchange()
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="resting")
    algo(exchange, "BUY", "STOP_MARKET", "104000.00", quantity="0.010", clientAlgoId="waiting")
    exchange.take_events()
    return exchange


@pytest.mark.parametrize(("words", "base", "change", "code", "message"), RULES)
def test_a_rule_answers_its_code_message_and_status_and_changes_nothing(
    words, base, change, code, message
):
    exchange = an_exchange_with_waiting_orders()
    before = exchange.dump()
    with pytest.raises(Rejection) as caught:
        call(exchange, words, **{**base, **change})
    assert (caught.value.code, caught.value.status) == (code, 400)
    pattern, _, end = message.partition("%s")
    assert caught.value.message.startswith(pattern)
    assert caught.value.message.endswith(end)
    assert exchange.dump() == before
    assert not user_events(exchange)


def refused(code: int, exchange: Exchange, words: str, **params: object) -> None:
    with pytest.raises(Rejection) as caught:
        call(exchange, words, **params)
    assert caught.value.code == code


def test_precision_is_judged_before_the_minimum_quantity():
    exchange = an_exchange({"XRPUSDT": [["2.0000"]]})
    refused(-1111, exchange, ORDER, **{**MARKET, "symbol": "XRPUSDT", "quantity": "0.01"})


def test_an_order_test_checks_all_and_places_nothing():
    exchange = an_exchange()
    assert call(exchange, "POST v1/order/test", **LIMIT) == {}
    assert not exchange.ledger.orders
    refused(-2019, exchange, "POST v1/order/test", **{**MARKET, "quantity": "10"})


def test_a_symbol_holds_so_many_open_orders():
    exchange = an_exchange(balance="1000000")
    for _ in range(LISTED["BTCUSDT"].orders_max):
        limit(exchange, "BUY", "0.001", "96000.00")
    refused(-2025, exchange, ORDER, **LIMIT)


def test_two_hundred_conditional_orders_wait_and_no_more():
    exchange = an_exchange({"BTCUSDT": [["100000.00"]], "ETHUSDT": [["2000.00"]]})
    for number in range(200):
        symbol, trigger = (("BTCUSDT", "98000.00"), ("ETHUSDT", "1900.00"))[number % 2]
        algo(exchange, "SELL", "STOP_MARKET", trigger, symbol=symbol, quantity="1.000")
    refused(-4045, exchange, ALGO, **STOP)
    call(exchange, "DELETE v1/algoOpenOrders", symbol="ETHUSDT")
    assert call(exchange, ALGO, **STOP)["algoStatus"] == "NEW"


def test_ended_conditional_orders_are_still_found():
    exchange = an_exchange()
    algo_id = call(exchange, ALGO, **STOP)["algoId"]
    call(exchange, "DELETE v1/algoOrder", algoId=algo_id)
    assert call(exchange, "GET v1/algoOrder", algoId=algo_id)["algoStatus"] == "CANCELED"


def test_an_order_too_large_for_its_leverage_is_refused_even_with_the_money():
    exchange = an_exchange(balance="100000000")
    call(exchange, "POST v1/leverage", symbol="BTCUSDT", leverage=125)
    refused(-2027, exchange, ORDER, **{**MARKET, "quantity": "4"})  # 400,000 over 300,000
    market(exchange, "BUY", "2.900")


def test_a_symbol_that_is_closed_takes_no_order():
    exchange = an_exchange()
    market(exchange, "BUY", "0.010")
    exchange.quotes.statuses["BTCUSDT"] = "TRADING_HALT"
    refused(-4140, exchange, ORDER, **MARKET)
    exchange.quotes.statuses["BTCUSDT"] = "CLOSE"
    closing = {**MARKET, "side": "SELL", "reduceOnly": "true"}
    refused(-4141, exchange, ORDER, **closing)
