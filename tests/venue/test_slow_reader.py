"""A client that asks and never reads is cut; nobody else notices and the memory stays bounded."""

import asyncio
import base64
import json
import os
import struct

import aiohttp

from tests.venue.loopback import a_venue


def masked(text: str) -> bytes:
    data = text.encode()
    head = struct.pack("!BBH", 0x81, 0x80 | 126, len(data))
    return head + bytes(4) + data  # the mask is zero


def test_a_client_that_never_reads_is_cut_and_the_others_go_on():
    async def scenario() -> None:
        async with a_venue(speed=60) as url, aiohttp.ClientSession() as session:
            host, port = url.removeprefix("http://").split(":")
            _reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write(
                "GET /market/ws HTTP/1.1\r\nHost: x\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            names = [f"name-of-a-stream-{number}" for number in range(1_000)]
            writer.write(masked(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1})))
            question = masked(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 2}).ljust(200))
            try:
                async with asyncio.timeout(20):
                    while True:
                        writer.write(question * 100)
                        await writer.drain()
            except ConnectionError:
                pass  # cut, as it should be
            async with session.ws_connect(f"{url}/public/ws/btcusdt@bookTicker") as socket:
                assert (await socket.receive_json())["e"] == "bookTicker"

    asyncio.run(scenario())
