"""How orders meet the book and each other: wear, partial fills, priority, self-trades, endings."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.market import MINUTE_MS
from tests.venue.market_on_paper import (
    START_MS,
    algo,
    an_exchange,
    call,
    flat,
    limit,
    market,
    statuses,
    user_events,
)

STEP_MS = 5_000  # between price points on paper


def code_of(exchange: Exchange, words: str, **params: object) -> int:
    with pytest.raises(Rejection) as caught:
        call(exchange, words, **params)
    return caught.value.code


def a_rich_exchange(*prices: str) -> Exchange:
    return an_exchange({"BTCUSDT": [list(prices or ("100000.00",))] * 3}, balance="100000000")


def order(exchange: Exchange, client_id: str) -> dict[str, Any]:
    return call(exchange, "GET v1/order", symbol="BTCUSDT", origClientOrderId=client_id)


def order_events(exchange: Exchange, client_id: str) -> list[tuple[str, str, str]]:
    found = [e["o"] for e in user_events(exchange) if e["e"] == "ORDER_TRADE_UPDATE"]
    return [(row["x"], row["X"], row["er"]) for row in found if row["c"] == client_id]


# ---------------------------------------------------------------------- depth
def test_a_taker_leaves_less_in_the_book_until_the_next_price_point():
    exchange = a_rich_exchange()
    level = exchange.quotes.book("BTCUSDT", "BUY", 1)[0]
    part = exchange.quotes.instruments["BTCUSDT"].step_size * 30
    market(exchange, "BUY", str(part))
    assert exchange.quotes.book("BTCUSDT", "BUY", 1)[0].quantity == level.quantity - part
    ticker = call(exchange, "GET v1/ticker/bookTicker", symbol="BTCUSDT")
    assert Decimal(ticker["askQty"]) == level.quantity - part
    market(exchange, "BUY", str(level.quantity - part))
    assert exchange.quotes.book("BTCUSDT", "BUY", 1)[0].price == level.price + Decimal("0.1")
    exchange.advance(START_MS + STEP_MS)
    assert exchange.quotes.book("BTCUSDT", "BUY", 1)[0].price == level.price + Decimal("0.1")
    exchange.advance(START_MS + 2 * STEP_MS)  # the last price is the ask again
    assert exchange.quotes.book("BTCUSDT", "BUY", 1)[0].price == level.price


def test_the_second_large_order_pays_more_than_the_first():
    exchange = a_rich_exchange()
    prices = []
    for name in ("first", "second"):
        market(exchange, "BUY", "20.000", newClientOrderId=name)
        prices.append(Decimal(order(exchange, name)["avgPrice"]))
    assert prices[1] > prices[0] > Decimal("100000.00")


def test_a_large_limit_order_takes_what_is_there_and_rests_with_the_remainder():
    exchange = a_rich_exchange()
    answer = limit(exchange, "BUY", "5.000", "100000.00", newClientOrderId="big")
    assert answer["status"] == "PARTIALLY_FILLED"
    first = Decimal(answer["executedQty"])
    assert Decimal(0) < first < Decimal(5)
    exchange.advance(START_MS + MINUTE_MS)
    row = order(exchange, "big")
    assert Decimal(row["executedQty"]) > first
    assert row["status"] in {"PARTIALLY_FILLED", "FILLED"}
    makers = [trade.maker for trade in exchange.ledger.trades]
    assert not makers[0]
    assert makers[-1]


def test_an_immediate_order_expires_with_its_remainder():
    exchange = a_rich_exchange()
    fields = {"timeInForce": "IOC", "newClientOrderId": "now"}
    answer = limit(exchange, "BUY", "5.000", "100000.00", **fields)
    assert (answer["status"], Decimal(answer["executedQty"]) > 0) == ("EXPIRED", True)
    events = order_events(exchange, "now")
    assert events[0] == ("NEW", "NEW", "0")
    assert events[1][:2] == ("TRADE", "PARTIALLY_FILLED")
    assert events[-1] == ("EXPIRED", "EXPIRED", "2")


def test_a_market_order_expires_with_what_lies_beyond_its_bound():
    exchange = a_rich_exchange()
    rules = exchange.quotes.instruments["BTCUSDT"]
    narrow = replace(rules, market_take_bound=Decimal("0.00008"))
    exchange.quotes.instruments = {"BTCUSDT": narrow}
    answer = market(exchange, "BUY", "100.000", newClientOrderId="huge")
    assert (answer["status"], Decimal(answer["executedQty"]) > 0) == ("EXPIRED", True)
    assert order_events(exchange, "huge")[-1] == ("EXPIRED", "EXPIRED", "9")
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    assert code_of(exchange, "POST v1/order", **params) == -4131


def test_a_killed_order_is_filled_whole_when_the_book_holds_it():
    exchange = a_rich_exchange()
    answer = limit(exchange, "BUY", "5.000", "100010.00", timeInForce="FOK")
    assert answer["status"] == "FILLED"


# ---------------------------------------------------------------------- price match
@pytest.mark.parametrize(
    ("match", "taker_side", "level"),
    [
        ("OPPONENT", "BUY", 0),
        ("OPPONENT_5", "BUY", 4),
        ("QUEUE", "SELL", 0),
        ("QUEUE_5", "SELL", 4),
        ("QUEUE_10", "SELL", 9),
        ("QUEUE_20", "SELL", 19),
    ],
)
def test_a_price_match_takes_the_price_of_its_level(match, taker_side, level):
    exchange = a_rich_exchange()
    expected = exchange.quotes.book("BTCUSDT", taker_side, 20)[level].price
    answer = limit(exchange, "BUY", "0.010", "", priceMatch=match)
    assert (Decimal(answer["price"]), answer["priceMatch"]) == (expected, match)


# ---------------------------------------------------------------------- dates
def test_a_dated_order_is_cancelled_at_its_second():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 20)})
    due = START_MS + 601_789
    fields = {"timeInForce": "GTD", "goodTillDate": due, "newClientOrderId": "dated"}
    assert (
        limit(exchange, "BUY", "0.010", "99000.00", **fields)["goodTillDate"] == START_MS + 601_000
    )
    exchange.advance(START_MS + 600_999)
    assert order(exchange, "dated")["status"] == "NEW"
    exchange.advance(START_MS + 601_000)
    assert order(exchange, "dated")["status"] == "CANCELED"


# ---------------------------------------------------------------------- self-trade prevention
@pytest.mark.parametrize(
    ("mode", "more", "maker", "taker", "reason"),
    [
        ("EXPIRE_MAKER", {}, "EXPIRED_IN_MATCH", "NEW", "0"),
        ("EXPIRE_TAKER", {}, "NEW", "EXPIRED_IN_MATCH", "1"),
        ("EXPIRE_TAKER", {"timeInForce": "IOC"}, "NEW", "EXPIRED_IN_MATCH", "3"),
        ("EXPIRE_BOTH", {}, "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH", "1"),
        ("NONE", {}, "FILLED", "FILLED", "0"),
    ],
)
def test_own_orders_that_meet_follow_the_takers_mode(mode, more, maker, taker, reason):
    exchange = a_rich_exchange("100000.00")
    limit(exchange, "SELL", "0.010", "100000.10", newClientOrderId="maker")
    market(exchange, "BUY", str(depth(exchange, "100000.10")))  # nothing but the own order is left
    exchange.take_events()
    fields = {"newClientOrderId": "taker", "selfTradePreventionMode": mode, **more}
    limit(exchange, "BUY", "0.010", "100000.10", **fields)
    found = [order(exchange, name)["status"] for name in ("maker", "taker")]
    assert found == [maker, taker]
    assert order_events(exchange, "taker")[-1][2] == reason


def depth(exchange: Exchange, limit_price: str) -> Decimal:
    book = exchange.quotes.book("BTCUSDT", "BUY", 20)
    return sum((row.quantity for row in book if row.price <= Decimal(limit_price)), Decimal(0))


def test_a_post_only_order_may_not_take_an_own_order_either():
    exchange = a_rich_exchange("100000.00")
    limit(exchange, "SELL", "0.010", "100000.10")
    market(exchange, "BUY", str(depth(exchange, "100000.10")))
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTX"}
    more = {"quantity": "0.010", "price": "100000.10"}
    assert code_of(exchange, "POST v1/order", **params, **more) == -5022


# ---------------------------------------------------------------------- reduce-only
def a_long(quantity: str = "0.010") -> Exchange:
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 5)})
    market(exchange, "BUY", quantity)
    exchange.take_events()
    return exchange


def reduce(exchange: Exchange, name: str, price: str, quantity: str = "0.010") -> str:
    more = {"reduceOnly": "true", "newClientOrderId": name}
    return str(limit(exchange, "SELL", quantity, price, **more)["status"])


def test_a_better_reducing_order_displaces_the_one_that_has_nothing_left_to_reduce():
    exchange = a_long()
    reduce(exchange, "far", "101000.00")
    exchange.take_events()
    reduce(exchange, "near", "100500.00")
    assert [order(exchange, name)["status"] for name in ("far", "near")] == ["EXPIRED", "NEW"]
    assert order_events(exchange, "far") == [("EXPIRED", "EXPIRED", "4")]


def test_a_worse_reducing_order_is_refused_when_nothing_is_left_to_reduce():
    exchange = a_long()
    reduce(exchange, "near", "100500.00")
    with pytest.raises(Rejection) as caught:
        reduce(exchange, "far", "101000.00")
    assert caught.value.code == -2022


def test_reducing_orders_share_a_position():
    exchange = a_long()
    reduce(exchange, "near", "100500.00", "0.006")
    assert reduce(exchange, "far", "101000.00", "0.006") == "NEW"
    market(exchange, "SELL", "0.005")  # 0.005 left: all of it belongs to the nearer one
    assert [order(exchange, name)["status"] for name in ("near", "far")] == ["NEW", "EXPIRED"]


def test_reducing_orders_go_when_the_position_has_gone():
    exchange = a_long()
    reduce(exchange, "take", "100500.00")
    market(exchange, "SELL", "0.010")
    assert order(exchange, "take")["status"] == "EXPIRED"


def test_a_reducing_order_larger_than_the_position_is_cut_to_it():
    exchange = a_long()
    reduce(exchange, "take", "100500.00", "0.015")
    assert order(exchange, "take")["origQty"] == "0.010"


# ---------------------------------------------------------------------- amendments
def test_an_amended_order_keeps_its_id_and_tells_of_its_amendment():
    exchange = a_rich_exchange()
    order_id = limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="mine")["orderId"]
    exchange.take_events()
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.020", "price": "99100.00"}
    answer = call(exchange, "PUT v1/order", orderId=order_id, modifyId=77, **change)
    assert (answer["orderId"], answer["modifyId"], answer["pair"]) == (order_id, 77, "BTCUSDT")
    assert (answer["origQty"], answer["price"], answer["status"]) == ("0.020", "99100.00", "NEW")
    assert not {"avgPrice", "cumQuote"} & set(answer)
    event = user_events(exchange)[0]["o"]
    assert (event["x"], event["X"], event["i"], event["M"]) == ("AMENDMENT", "NEW", order_id, 77)
    row = call(exchange, "GET v1/orderAmendment", symbol="BTCUSDT")[0]
    assert row["amendment"]["price"] == {"before": "99000.00", "after": "99100.00"}
    assert row["amendment"]["origQty"] == {"before": "0.010", "after": "0.020"}
    assert row["amendment"]["count"] == 1


def test_an_amended_order_stands_behind_those_of_its_price():
    exchange = a_rich_exchange("100000.00", "100000.00")
    for name in ("first", "second"):
        limit(exchange, "BUY", "0.500", "99990.00", newClientOrderId=name)
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.400", "price": "99990.00"}
    call(exchange, "PUT v1/order", origClientOrderId="first", **change)
    rows = call(exchange, "GET v1/openOrders", symbol="BTCUSDT")
    assert [row["clientOrderId"] for row in rows] == ["second", "first"]


def test_an_amendment_to_what_is_executed_already_cancels():
    exchange = a_rich_exchange()
    answer = limit(exchange, "BUY", "5.000", "100000.00", newClientOrderId="big")
    assert answer["status"] == "PARTIALLY_FILLED"
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010", "price": "100000.00"}
    answer = call(exchange, "PUT v1/order", origClientOrderId="big", **change)
    assert answer["status"] == "CANCELED"


def test_a_post_only_order_amended_to_take_is_cancelled():
    exchange = a_rich_exchange()
    fields = {"newClientOrderId": "post", "timeInForce": "GTX"}
    limit(exchange, "BUY", "0.010", "99000.00", **fields)
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010", "price": "100100.00"}
    assert (
        call(exchange, "PUT v1/order", origClientOrderId="post", **change)["status"] == "CANCELED"
    )


def test_an_order_amended_through_the_touch_takes():
    exchange = a_rich_exchange()
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="mine")
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010", "price": "100100.00"}
    assert call(exchange, "PUT v1/order", origClientOrderId="mine", **change)["status"] == "FILLED"
    assert exchange.ledger.trades[0].price == Decimal("100000.00")


def test_an_ended_order_cannot_be_amended():
    exchange = a_rich_exchange()
    order_id = market(exchange, "BUY", "0.010")["orderId"]
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.020", "price": "99100.00"}
    assert code_of(exchange, "PUT v1/order", orderId=order_id, **change) == -2013


# ---------------------------------------------------------------------- batches
def test_a_batch_answers_each_order_for_itself_in_order():
    exchange = a_rich_exchange()
    plain = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    rows = [
        {**plain, "quantity": "0.010", "price": "99000.00", "newClientOrderId": "a"},
        {**plain, "quantity": 0.011, "price": 99000.1, "reduceOnly": False},
        {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010"},
        {**plain, "quantity": "0.0001", "price": "99000.00"},
        {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.010"},
    ]
    answers = call(exchange, "POST v1/batchOrders", batchOrders=json.dumps(rows))
    kinds = [row.get("code", row.get("status")) for row in answers]
    assert kinds == ["NEW", "NEW", -4120, -1111, "NEW"]
    assert answers[1]["origQty"] == "0.011"


def test_a_batch_may_amend():
    exchange = a_rich_exchange()
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="a")
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.020", "price": "99000.00"}
    rows = [{**change, "origClientOrderId": "a"}, {**change, "origClientOrderId": "b"}]
    answers = call(exchange, "PUT v1/batchOrders", batchOrders=json.dumps(rows))
    assert (answers[0]["origQty"], answers[1]["code"]) == ("0.020", -2013)


def test_a_batch_of_cancels_by_number_or_by_client_id():
    exchange = a_rich_exchange()
    ids = [limit(exchange, "BUY", "0.010", "99000.00")["orderId"] for _ in range(2)]
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="c")
    answers = call(
        exchange, "DELETE v1/batchOrders", symbol="BTCUSDT", orderIdList=json.dumps([*ids, 5])
    )
    assert [row.get("code", row.get("status")) for row in answers] == ["CANCELED"] * 2 + [-2011]
    names = json.dumps(["c", "d"])
    answers = call(exchange, "DELETE v1/batchOrders", symbol="BTCUSDT", origClientOrderIdList=names)
    assert [row.get("code", row.get("status")) for row in answers] == ["CANCELED", -2011]


# ---------------------------------------------------------------------- endings
def test_cancelling_everything_leaves_the_conditional_orders():
    exchange = a_long()
    limit(exchange, "BUY", "0.010", "99000.00")
    algo(exchange, "SELL", "STOP_MARKET", "98000.00", quantity="0.010", clientAlgoId="stop")
    answer = call(exchange, "DELETE v1/allOpenOrders", symbol="BTCUSDT")
    assert answer == {"code": 200, "msg": "The operation of cancel all open order is done."}
    assert call(exchange, "GET v1/openOrders") == []
    assert statuses(exchange, "stop") == ["NEW"]


def test_a_delisted_symbol_settles_its_position_and_expires_its_orders():
    exchange = a_long()
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="rest")
    exchange.take_events()
    exchange.orders.delist("BTCUSDT")
    assert ("EXPIRED", "EXPIRED", "7") in order_events(exchange, "rest")
    assert not exchange.account.held()
    assert exchange.ledger.orders[-1].client_order_id.startswith("settlement_autoclose-")


def test_an_order_good_till_cancelled_expires_after_a_year():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 366 * 1_440)})
    order = limit(exchange, "BUY", "0.010", "99000.00")
    assert order["goodTillDate"] == 0
    year_ms = 365 * 86_400_000
    exchange.advance(START_MS + year_ms - 1)
    query = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    assert call(exchange, "GET v1/order", **query)["status"] == "NEW"
    exchange.advance(START_MS + year_ms)
    assert call(exchange, "GET v1/openOrders") == []
    told = [event for event in user_events(exchange) if event["e"] == "ORDER_TRADE_UPDATE"]
    assert [(one["o"]["x"], one["o"]["er"], one["T"] - START_MS) for one in told] == [
        ("NEW", "0", 0),
        ("EXPIRED", "0", year_ms),
    ]
