"""What no honest client sends, over real sockets: refused or cut, and the venue lives."""

import asyncio
import base64
import io
import json
import logging
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.venue.loopback import KEY, a_venue

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HEAD = b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\n"


async def a_socket(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def said(url: str, data: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes, return the first answer (empty when the venue hangs up)."""
    reader, writer = await a_socket(url)
    try:
        writer.write(data)
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(30):
            return await reader.read(65_536)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


@asynccontextmanager
async def a_watched_venue() -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """A venue with a good client that must not notice anything."""
    async with (
        a_venue(speed=60) as url,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/market/ws/btcusdt@markPrice@1s") as good,
    ):
        before = (await good.receive_json(timeout=5))["E"]
        yield url, session
        frame = await good.receive_json(timeout=5)
        assert (frame["e"], frame["E"] > before) == ("markPriceUpdate", True)
        async with session.get(f"{url}/fapi/v1/ping") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\x13garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),  # a TLS hello
        b"GET /fapi/v1/ping HTTP/9.9\r\n\r\n",
        b"GET /fapi/v1/ping?" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET /fapi/\xff\xfe\xed HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /fapi/v1/%ff%00%zz?%ff=%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /fapi/v1/klines?symbol=%ed%a0%80&interval=1m HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\nhello\r\n0\r\n\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"BREW /fapi/v1/order HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PATCH /fapi/v1/order HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_garbage_instead_of_http_is_refused_without_a_500(data):
    async def scenario() -> None:
        async with a_watched_venue() as (url, _):
            answer = await said(url, data)
            assert not answer or answer.split(b" ")[1][:1] == b"4", answer[:200]

    asyncio.run(scenario())


def test_a_line_too_long_is_refused_briefly_and_prints_nothing(caplog):
    async def scenario() -> None:
        async with a_watched_venue() as (url, _):
            head, body = (
                await said(url, b"GET /?" + b"secret" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            ).split(b"\r\n\r\n")
            assert head.split(b" ")[1] == b"400"
            assert set(json.loads(body)) == {"code", "msg"}
            assert b"secret" not in body

    asyncio.run(scenario())
    assert not [row for row in caplog.records if row.levelno >= logging.WARNING]


def test_huge_bodies_are_refused_and_half_sent_ones_left_alone():
    async def scenario() -> None:
        async with a_watched_venue() as (url, session):
            async with session.post(
                f"{url}/fapi/v1/order", data=io.BytesIO(bytes(2 << 20))
            ) as answer:
                assert answer.status == 413
            async with session.post(
                f"{url}/fapi/v1/order", data={"a": "b" * 900_000}, headers={"X-MBX-APIKEY": KEY}
            ) as answer:
                assert answer.status == 400
            started = [await a_socket(url) for _ in range(20)]
            for _, writer in started:
                writer.write(HEAD + b"Content-Length: 1000\r\n\r\nhalf")
            await asyncio.gather(*(writer.drain() for _, writer in started))
            for _, writer in started:
                writer.transport.abort()

    asyncio.run(scenario())


def test_half_closed_sockets_are_answered_or_dropped():
    async def scenario() -> None:
        async with a_watched_venue() as (url, _):
            ping = b"GET /fapi/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n"
            assert (await said(url, ping, half_close=True))[:12] in {b"", b"HTTP/1.1 200"}
            await said(url, b"GET /fapi/v1/pi", half_close=True)
            hello = UPGRADE.format(path="/market/ws", key=base64.b64encode(bytes(16)).decode())
            await said(url, hello.encode(), half_close=True)

    asyncio.run(scenario())


FRAMES = {
    "unmasked": b"\x81\x02{}",
    "reserved bits": b"\xf1\x80" + bytes(4),
    "unknown opcode": b"\x83\x80" + bytes(4),
    "huge length": b"\x81\xff" + struct.pack("!Q", 1 << 62) + bytes(4),
    "two megabytes": b"\x81\xff" + struct.pack("!Q", 2 << 20) + bytes(4) + b" " * (2 << 20),
    "long ping": b"\x89\xfe" + struct.pack("!H", 200) + bytes(204),
    "fragmented ping": b"\x09\x80" + bytes(4),
    "lonely continuation": b"\x80\x80" + bytes(4),
    "no utf-8": b"\x81\x82" + bytes(4) + b"\xff\xfe",
    "bad close": b"\x88\x81" + bytes(4) + b"\x03",
    "binary": b"\x82\x82" + bytes(4) + b"{}",
    "empty": b"\x81\x80" + bytes(4),
    "random": os.urandom(4_096),
}


@pytest.mark.parametrize("path", ["/market/ws", "/public/stream", "/private/ws/x", "/ws-fapi/v1"])
def test_frames_against_the_protocol_end_their_own_connection_only(path):
    async def scenario() -> None:
        async with a_watched_venue() as (url, _):
            for name, data in FRAMES.items():
                reader, writer = await a_socket(url)
                key = base64.b64encode(os.urandom(16)).decode()
                writer.write(UPGRADE.format(path=path, key=key).encode())
                async with asyncio.timeout(30):
                    assert b" 101 " in await reader.readuntil(b"\r\n\r\n"), name
                    try:
                        writer.write(data)
                        await writer.drain()
                        await reader.read(100)
                    except ConnectionError:
                        pass
                writer.transport.abort()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "headers",
    [
        {"Upgrade": "websocket"},
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
        {"Upgrade": "h2c", "Connection": "Upgrade"},
    ],
)
def test_half_a_handshake_is_refused(headers):
    async def scenario() -> None:
        async with a_watched_venue() as (url, session):
            for path in ("market/ws", "public/stream", "ws-fapi/v1", "nowhere/ws"):
                async with session.get(f"{url}/{path}", headers=headers) as answer:
                    assert 400 <= answer.status < 500

    asyncio.run(scenario())


def test_a_thousand_connections_at_once_are_served():
    async def scenario() -> None:
        async with a_watched_venue() as (url, _):
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as many:
                address = f"{url}/public/ws/btcusdt@bookTicker"
                sockets = await asyncio.gather(*(many.ws_connect(address) for _ in range(1_000)))
                async with asyncio.timeout(60):
                    frames = await asyncio.gather(*(one.receive_json() for one in sockets))
                assert {frame["e"] for frame in frames} == {"bookTicker"}
                await asyncio.gather(*(one.close() for one in sockets))

    asyncio.run(scenario())
