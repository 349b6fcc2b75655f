"""Faults of answers, frames and connections, seen by a client without a library between."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from core.venue.simulated.signing import sign
from tests.venue.loopback import KEY, SECRET, a_venue

MINUTE = 60_000


class Caller:
    """A client of the venue without a library between."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def ask(self, method: str, path: str, **params: Any) -> tuple[int, Any, Any]:
        stamp = int(time.time() * 1000)
        query = "&".join(f"{k}={v}" for k, v in {**params, "timestamp": stamp}.items())
        url = f"{self.url}{path}?{query}&signature={sign(SECRET, query)}"
        headers = {"X-MBX-APIKEY": KEY}
        timeout = aiohttp.ClientTimeout(total=5)
        async with self.session.request(method, url, headers=headers, timeout=timeout) as answer:
            text = await answer.text()
            try:
                return answer.status, json.loads(text), answer.headers
            except ValueError:
                return answer.status, text, answer.headers

    async def strike(self, kind: str, count: int | None = 1, match: Any = None, **args: Any) -> Any:
        wish = {"kind": kind, "count": count, "match": match or {}, "args": args}
        async with self.session.post(f"{self.url}/sim/faults", json=wish) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def health(self) -> Any:
        async with self.session.get(f"{self.url}/sim/health") as answer:
            return await answer.json()

    async def buy(self, name: str) -> Any:
        fields = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
        return await self.ask("POST", "/fapi/v1/order", newClientOrderId=name, **fields)

    async def orders(self) -> list[str]:
        async with self.session.get(f"{self.url}/sim/ledger") as answer:
            return [row["clientOrderId"] for row in (await answer.json())["orders"]]

    def stream(self, path: str) -> Any:
        return self.session.ws_connect(f"{self.url}{path}")


def on_a_venue(scenario: Callable[[Caller], Awaitable[None]], speed: float = 60.0) -> None:
    async def run() -> None:
        async with a_venue(speed=speed) as url, aiohttp.ClientSession() as session:
            await scenario(Caller(url, session))

    asyncio.run(run())


def test_statuses_and_refusals_stand_in_for_the_answer():
    async def scenario(caller: Caller) -> None:
        await caller.strike("rest_status", 1, {"path": "/fapi/v1/order"}, status=503)
        assert (await caller.buy("a"))[:2] == (503, {"code": -1001, "msg": "Service Unavailable."})
        await caller.strike("rest_status", 1, {"path": "/fapi/v1/order"}, status=503, executed=True)
        assert "Unknown error" in (await caller.buy("b"))[1]["msg"]
        await caller.strike("rest_status", 1, status=502)
        assert (await caller.buy("c"))[1].startswith("<html>")
        await caller.strike("rest_status", 1, status=429)
        status, body, headers = await caller.buy("d")
        assert (status, body["code"], headers["Retry-After"]) == (429, -1003, "30")
        await caller.strike("rest_status", 1, status=200, body='{"orderId": 12')
        assert (await caller.buy("e"))[:2] == (200, '{"orderId": 12')
        await caller.strike("rest_reject", 1, code=-2019)
        assert (await caller.buy("f"))[1] == {"code": -2019, "msg": "Margin is insufficient."}
        await caller.strike("rest_reject", 1, code=-4400, msg="Reduce only", status=400)
        assert (await caller.buy("g"))[1] == {"code": -4400, "msg": "Reduce only"}
        assert (await caller.buy("h"))[0] == 200
        assert await caller.orders() == ["b", "h"]
        assert (await caller.health())["faults_fired"] == {"rest_status": 5, "rest_reject": 2}

    on_a_venue(scenario)


@pytest.mark.parametrize(
    ("kind", "args", "executed"),
    [
        ("timeout_before", {"s": 0.1}, False),
        ("timeout_after", {"s": 0.1}, True),
        ("reset", {"when": "before"}, False),
        ("reset", {"when": "after"}, True),
        ("reset", {"when": "body"}, True),
    ],
)
def test_answers_are_lost_before_or_after_execution(kind, args, executed):
    async def scenario(caller: Caller) -> None:
        await caller.strike(kind, 1, {"method": "POST", "path": "/fapi/v1/order"}, **args)
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await caller.buy("lost")
        assert await caller.orders() == (["lost"] if executed else [])
        assert (await caller.health())["faults"][0]["fired"] == 1

    on_a_venue(scenario)


def test_answers_come_late_or_byte_by_byte():
    async def scenario(caller: Caller) -> None:
        await caller.strike("latency", 1, ms=150)
        began = time.monotonic()
        assert (await caller.ask("GET", "/fapi/v1/time"))[0] == 200
        assert time.monotonic() - began >= 0.15
        await caller.strike("latency", 1, ms=5, drip=True)
        began = time.monotonic()
        assert "serverTime" in (await caller.ask("GET", "/fapi/v1/time"))[1]
        assert time.monotonic() - began >= 0.1

    on_a_venue(scenario)


def test_faults_compose_and_end_when_they_are_cleared():
    async def scenario(caller: Caller) -> None:
        await caller.strike("latency", None, ms=60)
        await caller.strike("rest_reject", None, code=-1008)
        began = time.monotonic()
        assert (await caller.buy("a"))[1]["code"] == -1008
        assert time.monotonic() - began >= 0.06
        async with caller.session.delete(f"{caller.url}/sim/faults") as answer:
            assert await answer.json() == {"cleared": 2}
        assert (await caller.buy("b"))[0] == 200
        assert (await caller.health())["faults"] == []

    on_a_venue(scenario)


def test_maintenance_refuses_everything_but_the_simulation_itself():
    async def scenario(caller: Caller) -> None:
        await caller.strike("maintenance", 1, s=30)
        for path in ("/fapi/v1/time", "/fapi/v1/exchangeInfo"):
            assert (await caller.ask("GET", path))[0] == 503
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await caller.stream("/market/ws/btcusdt@kline_1m")
        assert (await caller.health())["faults_fired"]["maintenance"] == 3

    on_a_venue(scenario)


def test_queries_lag_behind_orders_and_positions():
    async def scenario(caller: Caller) -> None:
        await caller.strike("query_lag", 1, s=1.5)
        await caller.buy("young")
        query = {"symbol": "BTCUSDT", "origClientOrderId": "young"}
        assert (await caller.ask("GET", "/fapi/v1/order", **query))[1]["code"] == -2013
        assert (await caller.ask("GET", "/fapi/v3/positionRisk"))[1] == []
        assert (await caller.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT"))[1] == []
        async with asyncio.timeout(30):
            while (await caller.ask("GET", "/fapi/v1/order", **query))[0] != 200:
                pass
        assert len((await caller.ask("GET", "/fapi/v3/positionRisk"))[1]) == 1

    on_a_venue(scenario)


async def user_stream(caller: Caller) -> Any:
    key = (await caller.ask("POST", "/fapi/v1/listenKey"))[1]["listenKey"]
    return key, await caller.stream(f"/private/ws/{key}")


async def events(socket: Any, count: int) -> list[str]:
    async with asyncio.timeout(30):
        return [json.loads((await socket.receive()).data)["e"] for _ in range(count)]


def test_frames_are_repeated_swapped_and_lost():
    async def scenario(caller: Caller) -> None:
        _, socket = await user_stream(caller)
        route = {"route": "private"}
        await caller.strike("ws_duplicate", 1, {**route, "event": "TRADE_LITE"})
        await caller.strike("ws_stall", 1, {**route, "event": "ACCOUNT_UPDATE"}, s=60)
        await caller.buy("a")
        whole = ["ORDER_TRADE_UPDATE", "TRADE_LITE", "TRADE_LITE", "ORDER_TRADE_UPDATE"]
        assert await events(socket, 4) == whole
        await caller.strike("ws_reorder", 1, route, depth=3)
        await caller.buy("b")
        swapped = ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE"]
        assert await events(socket, 3) == swapped
        fired = (await caller.health())["faults_fired"]
        assert fired == {"ws_duplicate": 1, "ws_stall": 2, "ws_reorder": 1}
        await socket.close()

    on_a_venue(scenario)


def test_late_frames_come_in_the_end():
    async def scenario(caller: Caller) -> None:
        _, socket = await user_stream(caller)
        await caller.strike("ws_stall", 1, {"route": "private"}, s=0.3, late=True)
        began = time.monotonic()
        await caller.buy("a")
        told = await events(socket, 4)
        assert told[0] == "ORDER_TRADE_UPDATE"
        assert time.monotonic() - began >= 0.3
        await socket.close()

    on_a_venue(scenario)


@pytest.mark.parametrize("mode", ["truncated", "text", "binary", "types", "unknown", "huge", "set"])
def test_frames_are_spoiled_in_every_way(mode):
    async def scenario(caller: Caller) -> None:
        url = f"{caller.url}/market/ws/btcusdt@markPrice@1s"
        args = {"text": "<oops", "set": {"p": "1e308", "k.h": "0"}}
        await caller.strike("ws_garbage", 1, {"symbol": "BTCUSDT"}, mode=mode, **args)
        async with caller.session.ws_connect(url, max_msg_size=0) as socket:
            async with asyncio.timeout(30):
                frame = await socket.receive()  # the first: what was struck is the next one sent
        binary = frame.type is aiohttp.WSMsgType.BINARY
        assert binary == (mode == "binary")
        if mode in {"types", "unknown", "huge", "set"}:
            body = json.loads(frame.data)
            assert body
            assert mode != "set" or body["p"] == "1e308"
        else:
            with pytest.raises(ValueError, match=r"."):
                json.loads(frame.data)

    on_a_venue(scenario)


def test_connections_are_dropped_stalled_and_refused():
    async def scenario(caller: Caller) -> None:
        async with (
            caller.stream("/market/ws/btcusdt@markPrice@1s") as first,
            caller.stream("/public/ws/btcusdt@bookTicker") as other,
        ):
            await caller.strike("ws_drop", 1, {"route": "market"})
            async with asyncio.timeout(30):
                while not (await first.receive()).type.name.startswith("CLO"):
                    pass
            assert (await other.receive()).type is aiohttp.WSMsgType.TEXT
        await caller.strike("rest_status", 1, {"route": "market"}, status=429)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await caller.stream("/market/ws/btcusdt@markPrice@1s")
        assert caught.value.status == 429
        async with caller.stream("/market/ws/btcusdt@markPrice@1s") as again:
            await caller.strike("ws_drop", 1, {"route": "market"}, code=1001)
            async with asyncio.timeout(30):
                while not again.closed:
                    await again.receive()
            assert again.close_code == 1001

    on_a_venue(scenario)


@pytest.mark.parametrize("silent", [False, True])
def test_a_listen_key_ends_early(silent):
    async def scenario(caller: Caller) -> None:
        _, socket = await user_stream(caller)
        await caller.strike("listen_key_expire", 1, silent=silent)
        if not silent:
            assert await events(socket, 1) == ["listenKeyExpired"]
        async with asyncio.timeout(30):
            while (await caller.ask("PUT", "/fapi/v1/listenKey"))[1].get("code") != -1125:
                pass
        await socket.close()

    on_a_venue(scenario)


def test_market_faults_work_over_http_and_bad_ones_are_refused():
    async def scenario(caller: Caller) -> None:
        price = Decimal(
            (await caller.ask("GET", "/fapi/v2/ticker/price", symbol="BTCUSDT"))[1]["price"]
        )
        row = await caller.strike("price_jump", 1, {"symbol": "BTCUSDT"}, pct=10)
        assert (row["fired"], row["left"]) == (1, 0)
        after = await caller.ask("GET", "/fapi/v2/ticker/price", symbol="BTCUSDT")
        assert abs(Decimal(after[1]["price"]) / price - Decimal("1.1")) < Decimal("0.0001")
        for wish in ({"kind": "nope"}, {"kind": "price_jump", "match": {"symbol": "X"}}, 7):
            async with caller.session.post(f"{caller.url}/sim/faults", json=wish) as answer:
                assert answer.status == 400
        unlisted = {"kind": "price_jump", "match": {"symbol": "XUSDT"}, "args": {"pct": 1}}
        async with caller.session.post(f"{caller.url}/sim/faults", json=unlisted) as answer:
            assert (await answer.json())["code"] == -1121

    on_a_venue(scenario, speed=0)
