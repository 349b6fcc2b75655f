"""User events: every field of the documents, in the venue's order."""

from typing import Any

from core.venue.simulated.streams import Publisher
from tests.venue.market_on_paper import algo, an_exchange, call, flat, limit, market, user_events


def words(text: str) -> list[str]:
    return text.split()


ORDER = set(
    words("s c S o f q p ap sp x X i l z L T t b a m R wt ot ps cp rp pP si ss V pm gtd er")
)
FILL = {"n", "N"}
LITE = set(words("e E T s q p m c S L l t i"))
ACCOUNT = {"m", "B", "P"}
POSITION = set(words("s pa ep bep cr up mt iw ps"))
ALGO = set(words("caid aid at o s S ps f q X ai tp p V wt pm cp pP R tt gtd rm ia"))
TRIGGERED = {"ap", "aq", "act"}


def kinds(events: list[dict[str, Any]]) -> list[str]:
    found = []
    for event in events:
        detail = event.get("o", {})
        state = (
            f" {detail.get('x', '')}/{detail['X']}" if isinstance(detail, dict) and detail else ""
        )
        found.append(event["e"] + state.replace(" /", " "))
    return found


def test_a_market_order_tells_its_fill_before_the_order_and_the_account():
    exchange = an_exchange()
    market(exchange, "BUY", "0.010")
    events = user_events(exchange)
    assert kinds(events) == [
        "ORDER_TRADE_UPDATE NEW/NEW",
        "TRADE_LITE",
        "ORDER_TRADE_UPDATE TRADE/FILLED",
        "ACCOUNT_UPDATE",
    ]
    new, lite, fill, account = events
    assert set(new["o"]) == ORDER
    assert set(fill["o"]) == ORDER | FILL
    assert set(lite) == LITE
    assert set(account["a"]) == ACCOUNT
    assert POSITION <= set(account["a"]["P"][0]) <= POSITION | {"ma"}
    assert set(account["a"]["B"][0]) == {"a", "wb", "cw", "bc"}
    for event in (new, fill, account):
        assert isinstance(event["E"], int)
        assert isinstance(event["T"], int)
    assert (lite["p"], lite["t"]) == ("0", fill["o"]["t"])
    assert [type(fill["o"][key]) for key in "itTmRqpn"] == [
        *[int, int, int, bool, bool, str, str, str]
    ]


def test_a_resting_order_is_amended_and_cancelled_without_an_account_update():
    exchange = an_exchange()
    order = limit(exchange, "BUY", "0.010", "99000.00")
    change = {"symbol": "BTCUSDT", "orderId": order["orderId"], "side": "BUY"}
    call(exchange, "PUT v1/order", **change, quantity="0.020", price="99100.00")
    call(exchange, "DELETE v1/order", symbol="BTCUSDT", orderId=order["orderId"])
    events = user_events(exchange)
    assert kinds(events) == [
        "ORDER_TRADE_UPDATE NEW/NEW",
        "ORDER_TRADE_UPDATE AMENDMENT/NEW",
        "ORDER_TRADE_UPDATE CANCELED/CANCELED",
    ]
    assert set(events[1]["o"]) == ORDER | {"M"}


def test_a_conditional_order_tells_its_whole_way():
    exchange = an_exchange({"BTCUSDT": [["100000.00", "101000.00"], *flat("101000.00", 3)]})
    algo(exchange, "BUY", "STOP_MARKET", "100500.00", quantity="0.010", clientAlgoId="a")
    exchange.advance(exchange.now_ms + 30_000)
    events = user_events(exchange)
    assert kinds(events) == [
        "ALGO_UPDATE NEW",
        "ALGO_UPDATE TRIGGERING",
        "ALGO_UPDATE TRIGGERED",
        "ORDER_TRADE_UPDATE NEW/NEW",
        "TRADE_LITE",
        "ORDER_TRADE_UPDATE TRADE/FILLED",
        "ACCOUNT_UPDATE",
        "ALGO_UPDATE FINISHED",
    ]
    assert events[2]["o"]["ai"] == str(events[3]["o"]["i"])
    assert events[1]["o"]["ai"] == ""
    algos = [event["o"] for event in events if event["e"] == "ALGO_UPDATE"]
    assert set(algos[0]) == ALGO
    assert set(algos[-1]) == ALGO | TRIGGERED
    orders = [event["o"] for event in events if event["e"] == "ORDER_TRADE_UPDATE"]
    assert {order["c"] for order in orders} == {"a"}
    assert {order["ot"] for order in orders} == {"STOP_MARKET"}


def test_a_trailing_stop_adds_its_two_fields():
    exchange = an_exchange({"BTCUSDT": [["100000.00", "98000.00"], *flat("98000.00", 3)]})
    algo(
        exchange,
        "SELL",
        "TRAILING_STOP_MARKET",
        "",
        quantity="0.010",
        callbackRate="1",
        activatePrice="",
    )
    exchange.advance(exchange.now_ms + 30_000)
    orders = [event["o"] for event in user_events(exchange) if event["e"] == "ORDER_TRADE_UPDATE"]
    assert orders
    assert {"AP", "cr"} <= set(orders[-1])


def test_a_liquidation_is_heard_by_everybody():
    exchange = an_exchange({"BTCUSDT": [["100000.00", "80000.00"], *flat("80000.00", 3)]}, "1000")
    publisher = Publisher(exchange)
    publisher.watch(["!forceOrder@arr", "btcusdt@forceOrder"])
    call(exchange, "POST v1/leverage", symbol="BTCUSDT", leverage=20)
    market(exchange, "BUY", "0.100")
    exchange.advance(exchange.now_ms + 30_000)
    for event in user_events(exchange):
        publisher.heard(event)
    frames = publisher.due(5_000)
    assert [name for name, _ in frames] == ["!forceOrder@arr", "btcusdt@forceOrder"]
    order = frames[0][1]["o"]
    assert set(order) == set(words("s S o f q p ap X l z T"))
    assert (order["s"], order["S"], order["z"]) == ("BTCUSDT", "SELL", "0.100")
