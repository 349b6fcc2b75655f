"""A venue on a free port in this process, and python-binance pointed at it."""

import asyncio
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from actors.edges.venue_http import VenueRunner
from actors.edges.venue_journal import new_world
from actors.edges.venue_server import ServerSettings, VenueServer
from actors.edges.venue_source import VenueSettings
from actors.edges.venue_wire import WireRules

with warnings.catch_warnings():
    # python-binance imports a name that websockets has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from binance import AsyncClient, BinanceSocketManager
    from binance.exceptions import BinanceAPIException

__all__ = ["BinanceAPIException"]

KEY, SECRET = "a-key", "a-secret"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT")


@asynccontextmanager
async def a_venue(
    *,
    speed: float = 60.0,
    seed: int = 7,
    limits: bool = False,
    data: str = "",
    wires: WireRules | None = None,
) -> AsyncIterator[str]:
    settings = VenueSettings(
        symbols=SYMBOLS,
        seed=seed,
        balance="10000",
        history=300,
        data=data,
        funding="",
        start_ms=time.time_ns() // 1_000_000,
    )
    serving = ServerSettings(
        speed=speed,
        api_key=KEY,
        api_secret=SECRET,
        enforce_limits=limits,
        wires=wires or WireRules(),
    )
    server = VenueServer(new_world(settings), None, serving, lambda _line: None)
    runner = VenueRunner(server.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def classes_for(url: str) -> tuple[type[AsyncClient], type[BinanceSocketManager]]:
    class Client(AsyncClient):
        API_URL = f"{url}/api"
        FUTURES_URL = f"{url}/fapi"
        FUTURES_DATA_URL = f"{url}/futures/data"
        MARGIN_API_URL = f"{url}/sapi"

    class Sockets(BinanceSocketManager):
        FSTREAM_URL = f"{url.replace('http', 'ws')}/"

    return Client, Sockets


@asynccontextmanager
async def a_client(
    url: str, key: str = KEY, secret: str = SECRET
) -> AsyncIterator[tuple[Any, BinanceSocketManager]]:
    client_class, sockets_class = classes_for(url)
    client = await client_class.create(key, secret)
    sockets = sockets_class(client, max_queue_size=10_000)
    sockets.ws_kwargs = {"proxy": None}
    try:
        yield client, sockets
    finally:
        await client.close_connection()


async def next_of(stream: Any, wanted: Any, timeout_s: float = 10.0) -> Any:
    """Receive until `wanted(message)`; the skipped ones are returned with it, it last."""
    seen = []
    async with asyncio.timeout(timeout_s):
        while True:
            message = await stream.recv()
            seen.append(message)
            if wanted(message):
                return seen
