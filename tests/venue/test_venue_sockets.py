"""Routes, subscriptions and steering, with a plain WebSocket client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from actors.edges.venue_journal import new_world
from actors.edges.venue_server import ServerSettings, VenueServer
from actors.edges.venue_source import VenueSettings
from actors.edges.venue_wire import WireRules
from core.venue.simulated.signing import sign
from tests.venue.loopback import KEY, SYMBOLS, a_venue


@asynccontextmanager
async def a_session(**more) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    async with a_venue(**more) as url, aiohttp.ClientSession() as session:
        yield url, session


async def quiet(socket: aiohttp.ClientWebSocketResponse, seconds: float = 0.7) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await socket.receive()
    except TimeoutError:
        return True
    return False


def test_a_stream_on_the_wrong_route_is_accepted_and_silent():
    async def scenario() -> None:
        async with a_session() as (url, session):
            for path, name in (
                ("public/ws", "btcusdt@kline_1m"),
                ("market/ws", "btcusdt@bookTicker"),
                ("ws", "btcusdt@markPrice@1s"),
                ("market/ws", "nope@kline_1m"),
            ):
                async with session.ws_connect(f"{url}/{path}/{name}") as socket:
                    assert await quiet(socket)
            async with session.ws_connect(f"{url}/ws/btcusdt@bookTicker") as socket:
                assert (await socket.receive_json())["e"] == "bookTicker"

    asyncio.run(scenario())


def test_subscriptions_are_acknowledged_with_ids_of_any_kind():
    async def scenario() -> None:
        async with (
            a_session() as (url, session),
            session.ws_connect(f"{url}/market/stream") as socket,
        ):
            for number in (7, "a-uuid"):
                names = ["ethusdt@markPrice@1s"]
                await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": number})
                answer = await socket.receive_json()
                while "result" not in answer:
                    answer = await socket.receive_json()
                assert answer == {"result": None, "id": number}
            frame = await socket.receive_json()
            assert frame["stream"] == "ethusdt@markPrice@1s"
            assert frame["data"]["s"] == "ETHUSDT"
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 3})
            answer = await socket.receive_json()
            while "result" not in answer:
                answer = await socket.receive_json()
            assert answer["result"] == ["ethusdt@markPrice@1s"]

    asyncio.run(scenario())


def test_a_listen_key_works_in_the_path_as_parameter_and_subscribed():
    async def scenario() -> None:
        async with a_session(speed=1) as (url, session):
            headers = {"X-MBX-APIKEY": KEY}
            async with session.post(f"{url}/fapi/v1/listenKey", headers=headers) as answer:
                key = (await answer.json())["listenKey"]
            base = f"{url}/private"
            async with (
                session.ws_connect(f"{base}/ws/{key}") as in_path,
                session.ws_connect(f"{base}/ws?listenKey={key}") as as_parameter,
                session.ws_connect(f"{base}/stream") as subscribed,
                session.ws_connect(f"{url}/market/ws/{key}") as misrouted,
            ):
                await subscribed.send_json({"method": "SUBSCRIBE", "params": [key], "id": 1})
                assert await subscribed.receive_json() == {"result": None, "id": 1}
                async with session.get(f"{url}/fapi/v1/time") as answer:
                    stamp = (await answer.json())["serverTime"]
                text = f"symbol=BTCUSDT&leverage=9&timestamp={stamp}"
                full = f"{url}/fapi/v1/leverage?{text}&signature={sign('a-secret', text)}"
                async with session.post(full, headers=headers) as answer:
                    assert answer.status == 200
                for socket in (in_path, as_parameter):
                    assert (await socket.receive_json())["ac"] == {"s": "BTCUSDT", "l": 9}
                wrapped = await subscribed.receive_json()
                assert wrapped["stream"] == key
                assert wrapped["data"]["e"] == "ACCOUNT_CONFIG_UPDATE"
                assert await quiet(misrouted, 0.2)

    asyncio.run(scenario())


def test_health_gives_the_clock_and_steering_moves_it():
    async def scenario() -> None:
        async with a_session(speed=0) as (url, session):

            async def health() -> dict:
                async with session.get(f"{url}/sim/health") as answer:
                    return await answer.json()

            async def steer(**wish: float) -> dict:
                async with session.post(f"{url}/sim/clock", json=wish) as answer:
                    return await answer.json()

            first = await health()
            assert first["frozen"]
            assert first["speed"] == 0
            after = await steer(advance_s=90)
            assert after["venue_ms"] - first["venue_ms"] == 90_000
            fast = await steer(speed=1000)
            await asyncio.sleep(0.05)
            later = await health()
            anchor = later["anchor"]
            reckoned = anchor["venue_ms"] + (later["wall_ms"] - anchor["wall_ms"]) * later["speed"]
            assert later["venue_ms"] == reckoned > fast["venue_ms"]
            async with session.post(f"{url}/sim/clock", json={"speed": -1}) as answer:
                assert answer.status == 400
            async with session.post(f"{url}/sim/stop") as answer:
                assert answer.status == 401

    asyncio.run(scenario())


def test_prices_of_every_symbol_move_within_seconds_at_speed_60():
    async def scenario() -> None:
        async with a_session(speed=60) as (url, session):

            async def prices() -> list[str]:
                async with session.get(f"{url}/fapi/v2/ticker/price") as answer:
                    return [row["price"] for row in await answer.json()]

            first = await prices()
            async with asyncio.timeout(30):
                while any(a == b for a, b in zip(first, await prices(), strict=True)):
                    continue

    asyncio.run(scenario())


DATA = Path(__file__).parents[2] / "../shared/data/um-1m/2025q2"


@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded klines are not there")
def test_recorded_klines_are_replayed_and_their_end_freezes_the_venue():
    async def scenario() -> None:
        async with a_session(speed=0, data=str(DATA)) as (url, session):

            async def get(path: str) -> Any:
                async with session.get(f"{url}{path}") as answer:
                    return await answer.json()

            async def advance(seconds: int) -> dict:
                body = {"advance_s": seconds}
                async with session.post(f"{url}/sim/clock", json=body) as answer:
                    return await answer.json()

            rows = await get("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=300")
            assert len(rows) == 300
            await advance(86_400)
            later = await get("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1440")
            assert len({row[4] for row in later}) > 500
            assert not (await get("/sim/health"))["ended"]

    asyncio.run(scenario())


def test_a_venue_with_a_journal_stops_when_nobody_has_called_for_long():
    async def scenario() -> None:
        settings = VenueSettings(
            symbols=SYMBOLS,
            seed=7,
            balance="10000",
            history=10,
            data="",
            funding="",
            start_ms=1_800_000_000_000,
        )
        said: list[str] = []
        serving = ServerSettings(speed=1, api_key="k", api_secret="s", idle_s=0.2)
        server = VenueServer(new_world(settings), None, serving, said.append)
        runner = web.AppRunner(server.application(), access_log=None)
        await runner.setup()
        async with asyncio.timeout(30):
            await server.stopped.wait()
        await runner.cleanup()
        assert said

    asyncio.run(scenario())


@pytest.mark.parametrize("route", ["", "/public", "/market", "/private"])
@pytest.mark.parametrize("form", ["ws", "stream"])
def test_every_route_answers_in_both_forms_and_carries_its_own_streams(route, form):
    own = {"": "btcusdt@bookTicker", "/public": "btcusdt@depth@100ms", "/market": "!ticker@arr"}

    async def scenario() -> None:
        async with a_session(speed=60) as (url, session):
            async with session.ws_connect(f"{url}{route}/{form}/0") as socket:
                names = [*own.values(), "btcusdt@kline_1m", "nonsense"]
                await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": 1})
                assert await socket.receive_json() == {"result": None, "id": 1}
                if route not in own:
                    assert await quiet(socket, 0.5)
                    return
                frame = await socket.receive_json(timeout=5)
            if form == "stream":
                assert list(frame) == ["stream", "data"]
            else:
                assert (frame[0] if isinstance(frame, list) else frame)["e"]

    asyncio.run(scenario())


def test_events_are_chosen_per_listen_key_and_expiry_leaves_the_socket_open():
    async def scenario() -> None:
        async with a_session(speed=1) as (url, session):
            headers = {"X-MBX-APIKEY": KEY}
            async with session.post(f"{url}/fapi/v1/listenKey", headers=headers) as answer:
                key = (await answer.json())["listenKey"]
            query = f"listenKey=other&events=ACCOUNT_UPDATE&listenKey={key}&events="
            base = f"{url}/private/stream?{query}"
            async with (
                session.ws_connect(f"{base}ORDER_TRADE_UPDATE/ACCOUNT_CONFIG_UPDATE") as chosen,
                session.ws_connect(f"{base}ORDER_TRADE_UPDATE") as deaf,
            ):
                async with session.get(f"{url}/fapi/v1/time") as answer:
                    stamp = (await answer.json())["serverTime"]
                text = f"symbol=BTCUSDT&leverage=9&timestamp={stamp}"
                full = f"{url}/fapi/v1/leverage?{text}&signature={sign('a-secret', text)}"
                async with session.post(full, headers=headers) as answer:
                    assert answer.status == 200
                frame = await chosen.receive_json(timeout=5)
                assert (frame["stream"], frame["data"]["e"]) == (key, "ACCOUNT_CONFIG_UPDATE")
                assert await quiet(deaf, 0.2)

    asyncio.run(scenario())


async def until_closed(socket: aiohttp.ClientWebSocketResponse, seconds: float = 5) -> int | None:
    async with asyncio.timeout(seconds):
        while not socket.closed:
            await socket.receive()
    return socket.close_code


def test_the_server_pings_and_drops_who_does_not_answer():
    async def scenario() -> None:
        rules = WireRules(ping_s=0.2, pong_s=0.7)
        async with a_venue(wires=rules) as url, aiohttp.ClientSession() as session:
            address = f"{url}/private/ws"
            async with (
                session.ws_connect(address, autoping=False) as mute,
                session.ws_connect(address) as polite,
            ):
                answering = asyncio.create_task(quiet(polite, 1.5))
                first = await mute.receive(timeout=5)
                assert first.type is aiohttp.WSMsgType.PING
                assert int(first.data) > 1_700_000_000_000
                await until_closed(mute)
                assert await answering
                assert not polite.closed

    asyncio.run(scenario())


def test_a_connection_ends_with_a_close_frame_when_it_is_too_old():
    async def scenario() -> None:
        async with a_venue(wires=WireRules(life_s=0.3)) as url, aiohttp.ClientSession() as session:
            for path in ("market/ws/btcusdt@markPrice@1s", "ws-fapi/v1"):
                async with session.ws_connect(f"{url}/{path}") as socket:
                    assert await until_closed(socket) == aiohttp.WSCloseCode.GOING_AWAY

    asyncio.run(scenario())


def test_more_than_ten_messages_a_second_end_the_connection():
    async def scenario() -> None:
        async with a_session(speed=1) as (url, session):
            async with session.ws_connect(f"{url}/public/ws") as socket:
                for number in range(10):
                    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
                for number in range(10):
                    assert (await socket.receive_json(timeout=5))["id"] == number
            async with session.ws_connect(f"{url}/public/ws") as socket:
                for number in range(11):
                    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
                assert await until_closed(socket) == aiohttp.WSCloseCode.POLICY_VIOLATION

    asyncio.run(scenario())


def test_an_address_that_is_cut_off_again_and_again_is_banned_for_a_while():
    async def scenario() -> None:
        async with a_session(speed=1, limits=True) as (url, session):
            for _ in range(3):
                async with session.ws_connect(f"{url}/public/ws") as socket:
                    for number in range(11):
                        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
                    await until_closed(socket)
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{url}/market/ws")
            assert refused.value.status == 418
            assert refused.value.headers["Retry-After"] in {"119", "120"}
            async with session.get(f"{url}/fapi/v1/ping") as response:
                assert response.status == 418

    asyncio.run(scenario())


def test_more_than_five_pings_a_second_end_a_ws_api_connection():
    async def scenario() -> None:
        async with (
            a_session(speed=1) as (url, session),
            session.ws_connect(f"{url}/ws-fapi/v1") as socket,
        ):
            for number in range(20):
                await socket.send_json({"id": number, "method": "ticker.price"})
            for _ in range(5):
                await socket.ping()
            for number in range(20):
                assert (await socket.receive_json(timeout=5))["id"] == number
            assert not socket.closed
            for _ in range(6):
                await socket.ping()
            assert await until_closed(socket) == aiohttp.WSCloseCode.POLICY_VIOLATION

    asyncio.run(scenario())
