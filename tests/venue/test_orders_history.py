"""How long requests find what is over: the venue's own rules of keeping."""

import pytest

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from tests.venue.market_on_paper import START_MS, algo, an_exchange, call, flat, limit, market

DAY_MS = 86_400_000


def found(exchange: Exchange, order: dict[str, object]) -> bool:
    query = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    try:
        return bool(call(exchange, "GET v1/order", **query))
    except Rejection as refusal:
        return refusal.code != -2013


def test_ended_orders_are_found_for_three_days_or_ninety_with_a_fill():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 92 * 1_440)})
    ended = limit(exchange, "BUY", "0.010", "99000.00")
    call(exchange, "DELETE v1/order", symbol="BTCUSDT", orderId=ended["orderId"])
    resting = limit(exchange, "BUY", "0.010", "98000.00")
    filled = market(exchange, "BUY", "0.010")
    algo(exchange, "SELL", "STOP_MARKET", "90000.00", quantity="0.010", clientAlgoId="kept")
    call(exchange, "DELETE v1/algoOrder", clientAlgoId="kept")
    exchange.advance(START_MS + 3 * DAY_MS)
    assert [found(exchange, order) for order in (ended, resting, filled)] == [True] * 3
    exchange.advance(START_MS + 3 * DAY_MS + 1)
    assert [found(exchange, order) for order in (ended, resting, filled)] == [False, True, True]
    rows = call(exchange, "GET v1/allOrders", symbol="BTCUSDT", startTime=START_MS)
    assert [row["orderId"] for row in rows] == [resting["orderId"], filled["orderId"]]
    exchange.advance(START_MS + 90 * DAY_MS + 1)
    assert [found(exchange, order) for order in (resting, filled)] == [True, False]
    assert call(exchange, "GET v1/userTrades", symbol="BTCUSDT", fromId=1) == []
    fees = {"incomeType": "COMMISSION", "startTime": START_MS}
    assert call(exchange, "GET v1/income", **fees) == []
    assert call(exchange, "GET v1/algoOrder", clientAlgoId="kept")["algoStatus"] == "CANCELED"
    assert len(exchange.dump()["orders"]) == 3


def test_a_window_is_seven_days_at_most_and_no_window_goes_with_a_first_trade():
    exchange = an_exchange()
    days = {"symbol": "BTCUSDT", "startTime": START_MS - 8 * DAY_MS, "endTime": START_MS}
    for words in ("GET v1/userTrades", "GET v1/allOrders"):
        with pytest.raises(Rejection) as caught:
            call(exchange, words, **days)
        assert str(caught.value) == "-4165: Maximum time interval is 7 days"
    with pytest.raises(Rejection) as caught:
        call(exchange, "GET v1/userTrades", symbol="BTCUSDT", fromId=1, startTime=START_MS)
    assert caught.value.code == -1128
