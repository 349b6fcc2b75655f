"""Clients that ask and never read are cut; nobody else notices and the memory stays bounded."""

import asyncio
import base64
import json
import os
import resource
import socket
import struct

import aiohttp

from actors.edges.venue_wire import WireRules
from tests.venue.loopback import a_venue

DIFFS = [f"{symbol}usdt@depth{pace}" for symbol in ("btc", "eth", "ada") for pace in ("", "@100ms")]


def masked(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!BBH", 0x81, 0x80 | 126, len(data)) + bytes(4) + data  # the mask is zero


async def a_deaf_socket(url: str, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a WebSocket by hand, with hardly any room for what it does not read."""
    host, port = url.removeprefix("http://").split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.settimeout(0)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=raw, limit=1_024)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await writer.drain()
    return reader, writer


async def until_cut(writer: asyncio.StreamWriter, text: str = "") -> None:
    """Wait for the end of a connection without reading; `text` is sent again and again."""
    pong = struct.pack("!BB", 0x8A, 0x80) + bytes(4)  # the end shows when something is sent
    try:
        while True:
            writer.write(masked(text.ljust(200)) * 50 if text else pong)
            await writer.drain()
            await asyncio.sleep(0.05 if text else 0.3)
    except ConnectionError:
        return


def test_a_client_that_never_reads_is_cut_and_the_others_go_on():
    async def scenario() -> None:
        rules = WireRules(backlog_max=1 << 20)
        async with (
            a_venue(speed=600, wires=rules) as url,
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}/public/ws/btcusdt@bookTicker") as good,
        ):
            _reader, writer = await a_deaf_socket(url, f"/public/ws/{'/'.join(DIFFS)}")
            cutting = asyncio.create_task(until_cut(writer))
            numbers: list[int] = []
            async with asyncio.timeout(20):
                while not cutting.done() or len(numbers) < 20:
                    numbers.append((await good.receive_json(timeout=5))["u"])
            assert numbers == sorted(set(numbers))

    asyncio.run(scenario())


def test_a_flood_of_requests_without_reading_is_cut_too():
    async def scenario() -> None:
        async with a_venue(speed=1, wires=WireRules(backlog_max=1 << 20)) as url:
            _reader, writer = await a_deaf_socket(url, "/ws-fapi/v1")
            params = {"symbol": "BTCUSDT", "limit": 1000}
            async with asyncio.timeout(20):
                await until_cut(writer, json.dumps({"id": 1, "method": "depth", "params": params}))
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{url}/fapi/v1/ping") as answer,
            ):
                assert answer.status == 200

    asyncio.run(scenario())


def test_many_slow_readers_share_one_bound_and_the_memory_stays():
    async def scenario() -> None:
        rules = WireRules(backlogs_max=4 << 20)
        async with a_venue(speed=600, wires=rules) as url, aiohttp.ClientSession() as session:
            path = f"/public/ws/{'/'.join(DIFFS)}"
            async with session.ws_connect(f"{url}/public/ws/btcusdt@bookTicker") as good:
                deaf = [await a_deaf_socket(url, path) for _ in range(20)]
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                async with asyncio.timeout(120):
                    await asyncio.gather(*(until_cut(writer) for _, writer in deaf[:5]))
                assert (await good.receive_json(timeout=5))["e"] == "bookTicker"
                grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
                assert grown < 150 << 10  # KiB
                for _, writer in deaf:
                    writer.transport.abort()

    asyncio.run(scenario())
