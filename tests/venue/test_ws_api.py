"""The WS-API: the methods of REST as frames, through the same door."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from core.venue.simulated.signing import sign
from core.venue.simulated.ws_api import METHODS, Call, Caller, read_call
from tests.venue.loopback import KEY, SECRET, BinanceAPIException, a_client, a_venue

CALLER = Caller("127.0.0.1", 5)


def signed(params: dict[str, Any]) -> dict[str, Any]:
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return {**params, "signature": sign(SECRET, text)}


class Api:
    def __init__(self, url: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.url = url
        self.socket = socket
        self.number = 0

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self.number += 1
        frame = {"id": self.number, "method": method, "params": params or {}}
        await self.socket.send_json(frame)
        answer = await self.socket.receive_json(timeout=5)
        assert answer["id"] == self.number
        return answer

    async def signed(self, method: str, **params: object) -> dict[str, Any]:
        stamp = (await self.ask("ticker.book", {"symbol": "BTCUSDT"}))["result"]["time"]
        return await self.ask(method, signed({"apiKey": KEY, "timestamp": stamp, **params}))


@asynccontextmanager
async def an_api(query: str = "", **more: Any) -> AsyncIterator[Api]:
    async with (
        a_venue(**more) as url,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/ws-fapi/v1{query}") as socket,
    ):
        yield Api(url, socket)


def test_orders_go_through_the_door_of_rest():
    async def scenario() -> None:
        async with an_api(speed=1) as api:
            order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
            placed = await api.signed(
                "order.place", **order, quantity="0.010", price="50000.05", newClientOrderId="ws-1"
            )
            assert (placed["status"], placed["error"]["code"]) == (400, -4014)
            depth = (await api.ask("depth", {"symbol": "BTCUSDT", "limit": 5}))["result"]
            price = depth["bids"][-1][0]
            placed = await api.signed(
                "order.place", **order, quantity="0.010", price=price, newClientOrderId="ws-1"
            )
            assert (placed["status"], placed["result"]["status"]) == (200, "NEW")
            kinds = [(row["rateLimitType"], row["interval"]) for row in placed["rateLimits"]]
            assert kinds[0] == ("REQUEST_WEIGHT", "MINUTE")
            assert set(kinds[1:]) == {("ORDERS", "SECOND"), ("ORDERS", "MINUTE")}
            number = placed["result"]["orderId"]
            found = await api.signed("order.status", symbol="BTCUSDT", orderId=number)
            assert found["result"]["clientOrderId"] == "ws-1"
            async with aiohttp.ClientSession() as session:
                ledger = await (await session.get(f"{api.url}/sim/ledger")).json()
            assert [row["clientOrderId"] for row in ledger["orders"]] == ["ws-1"]
            ended = await api.signed("order.cancel", symbol="BTCUSDT", origClientOrderId="ws-1")
            assert ended["result"]["status"] == "CANCELED"
            again = await api.signed("order.cancel", symbol="BTCUSDT", orderId=number)
            assert (again["status"], again["error"]["code"]) == (400, -2011)

    asyncio.run(scenario())


def test_every_method_is_answered_and_a_listen_key_hears_its_orders():
    async def scenario() -> None:
        async with an_api(speed=1) as api, aiohttp.ClientSession() as session:
            key = (await api.ask("userDataStream.start", {"apiKey": KEY}))["result"]["listenKey"]
            async with session.ws_connect(f"{api.url}/private/ws/{key}") as user:
                algo = {"symbol": "BTCUSDT", "side": "BUY", "type": "STOP_MARKET"}
                mark = (await api.ask("ticker.price", {"symbol": "BTCUSDT"}))["result"]["price"]
                trigger = f"{float(mark) * 1.05:.1f}"
                placed = await api.signed(
                    "algoOrder.place",
                    **algo,
                    algoType="CONDITIONAL",
                    quantity="0.010",
                    triggerPrice=trigger,
                    clientAlgoId="ws-a",
                )
                assert placed["result"]["algoStatus"] == "NEW"
                assert (await user.receive_json(timeout=5))["o"]["caid"] == "ws-a"
            ended = await api.signed("algoOrder.cancel", clientAlgoId="ws-a")
            assert ended["result"]["code"] == "200"
            assert (await api.ask("userDataStream.ping", {"apiKey": KEY}))["status"] == 200
            assert (await api.ask("userDataStream.stop", {"apiKey": KEY}))["result"] == {}
            assert (await api.ask("userDataStream.ping", {"apiKey": KEY}))["status"] == 400
            for method in ("account.position", "account.balance", "account.status"):
                for name in (method, f"v2/{method}"):
                    assert (await api.signed(name))["status"] == 200, name

    asyncio.run(scenario())


def test_refusals_are_those_of_rest():
    async def scenario() -> None:
        async with an_api(speed=1) as api:
            for params, status, code in (
                ({}, 401, -2014),
                ({"apiKey": "other"}, 401, -2015),
                ({"apiKey": KEY, "timestamp": 1}, 400, -1102),
                ({"apiKey": KEY, "timestamp": 1, "signature": "00"}, 400, -1022),
                (signed({"apiKey": KEY, "timestamp": 1}), 400, -1021),
            ):
                answer = await api.ask("account.balance", params)
                assert (answer["status"], answer["error"]["code"]) == (status, code)
            answer = await api.ask("session.logon", signed({"apiKey": KEY, "timestamp": 1}))
            assert answer["error"] == {"code": -4056, "msg": "Invalid api key type."}
            state = (await api.ask("session.status"))["result"]
            assert state["apiKey"] is None
            assert (await api.ask("session.logout"))["status"] == 200

    asyncio.run(scenario())


def test_limits_are_counted_with_rest_and_can_be_left_out():
    async def scenario() -> None:
        async with an_api("?returnRateLimits=false", limits=True, speed=1) as api:
            answer = await api.ask("ticker.price")
            assert "rateLimits" not in answer
            shown = await api.ask("ticker.price", {"returnRateLimits": True})
            (weight,) = shown["rateLimits"]
            assert weight["count"] == 5 + 2 + 2  # the handshake and two lists of prices
            for _ in range(240):  # a minute may end on the way, and its count with it
                answer = await api.ask("depth", {"symbol": "BTCUSDT", "limit": 1000})
                if answer["status"] != 200:
                    break
            assert answer["status"] in {418, 429}
            assert answer["error"]["code"] == -1003
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{api.url}/fapi/v1/ping") as refused:
                    assert refused.status in {418, 429}
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await session.ws_connect(f"{api.url}/ws-fapi/v1")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", -1130),
        ("[]", -1130),
        ("{}", -1102),
        ('{"id":1,"method":"dance"}', -1130),
        ('{"id":[],"method":"depth"}', -1130),
        ('{"id":1,"method":"depth","params":[]}', -1102),
        ('{"id":1,"method":"depth","params":{"symbol":["BTCUSDT"]}}', -1102),
        ('{"id":1,"method":"depth","params":{"returnRateLimits":1}}', -1130),
    ],
)
def test_frames_that_are_no_request_are_refused(text, code):
    answer = read_call(text, CALLER, 0, 0)
    assert isinstance(answer, dict)
    assert (answer["status"], answer["error"]["code"]) == (400, code)


def test_parameters_become_the_text_that_was_signed():
    params = {"b": True, "a": 7, "signature": "s", "c": "x&y", "recvWindow": 5000}
    text = json.dumps({"id": "q", "method": "order.place", "params": params})
    call = read_call(text, CALLER, 9, 9)
    assert isinstance(call, Call)
    assert call.request.query == "a=7&b=true&c=x%26y&recvWindow=5000&signature=s"
    assert (call.request.method, call.request.path) == METHODS["order.place"]
    assert call.number == "q"


def test_python_binance_trades_over_the_ws_api():
    async def scenario() -> None:
        async with a_venue(speed=1) as url, a_client(url) as (client, _):
            api = client.ws_future
            api._url, api._ws_kwargs = f"{url.replace('http', 'ws')}/ws-fapi/v1", {"proxy": None}
            placed = await client.ws_futures_create_order(
                symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010"
            )
            assert placed["status"] == "NEW"
            rows = await client.ws_futures_v2_account_position()
            assert [row["positionAmt"] for row in rows] == ["0.010"]
            book = await client.ws_futures_get_order_book_ticker(symbol="BTCUSDT")
            assert book["symbol"] == "BTCUSDT"
            with pytest.raises(BinanceAPIException) as refused:
                await client.ws_futures_cancel_order(symbol="BTCUSDT", orderId=1)
            assert refused.value.code == -2011
            await api.close()

    asyncio.run(scenario())
