"""Streams over real sockets with python-binance and with plain `websockets`."""

import asyncio
import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
from websockets.asyncio.client import connect

from tests.venue.loopback import a_client, a_venue, next_of


def test_python_binance_hears_every_kind_of_stream():
    async def scenario() -> None:
        async with a_venue(speed=60) as url, a_client(url) as (_, sockets):
            kinds = {
                "depthUpdate": sockets.futures_depth_socket("BTCUSDT", depth="10"),
                "bookTicker": sockets.all_ticker_futures_socket(),
                "aggTrade": sockets.aggtrade_futures_socket("BTCUSDT"),
                "markPriceUpdate": sockets.symbol_mark_price_socket("BTCUSDT"),
                "24hrTicker": sockets.individual_symbol_ticker_futures_socket("BTCUSDT"),
                "continuous_kline": sockets.kline_futures_socket("BTCUSDT"),
            }
            for kind, socket in kinds.items():
                async with socket as stream:
                    message = (await next_of(stream, lambda _: True))[-1]
                    payload = message.get("data", message)
                    assert payload["e"] == kind
            async with sockets.all_mark_price_socket() as stream:
                (message,) = await next_of(stream, lambda _: True)
                assert {row["e"] for row in message["data"]} == {"markPriceUpdate"}

    asyncio.run(scenario())


def test_a_local_book_is_kept_in_step_over_real_sockets():
    async def scenario() -> None:
        async with a_venue(speed=60) as url, aiohttp.ClientSession() as session:
            address = f"{url.replace('http', 'ws')}/public/ws/ethusdt@depth@100ms"
            async with connect(address, proxy=None, max_size=None) as socket:
                events: list[Any] = [json.loads(await socket.recv())]
                query = "symbol=ETHUSDT&limit=1000"
                async with session.get(f"{url}/fapi/v1/depth?{query}") as answer:
                    snapshot = await answer.json()
                async with asyncio.timeout(10):
                    while len(events) < 20:
                        events.append(json.loads(await socket.recv()))
            last = snapshot["lastUpdateId"]
            events = [event for event in events if event["u"] >= last]
            assert events[0]["U"] <= last <= events[0]["u"]
            assert all(after["pu"] == before["u"] for before, after in pairwise(events))
            bids, asks = ({Decimal(p): q for p, q in snapshot[side]} for side in ("bids", "asks"))
            for event in events:
                for side, rows in ((bids, event["b"]), (asks, event["a"])):
                    side.update({Decimal(price): quantity for price, quantity in rows})
            best_bid = max(price for price, quantity in bids.items() if Decimal(quantity))
            best_ask = min(price for price, quantity in asks.items() if Decimal(quantity))
            assert best_ask - best_bid == Decimal("0.01")

    asyncio.run(scenario())


def test_minutes_close_once_at_a_hundred_times_the_pace():
    async def scenario() -> None:
        async with a_venue(speed=600) as url, aiohttp.ClientSession() as session:
            names = "btcusdt@kline_1m/adausdt@kline_1m/adausdt@aggTrade"
            address = f"{url.replace('http', 'ws')}/market/stream?streams={names}"
            closed: dict[str, list[Any]] = {"BTCUSDT": [], "ADAUSDT": []}
            async with connect(address, proxy=None) as socket, asyncio.timeout(20):
                while min(map(len, closed.values())) < 20:
                    frame = json.loads(await socket.recv())["data"]
                    if frame["e"] == "kline" and frame["k"]["x"]:
                        closed[frame["s"]].append(frame["k"])
            for symbol, bars in closed.items():
                assert all(after["t"] - before["t"] == 60_000 for before, after in pairwise(bars))
                query = f"symbol={symbol}&interval=1m&startTime={bars[0]['t']}&limit={len(bars)}"
                async with session.get(f"{url}/fapi/v1/klines?{query}") as answer:
                    rows = await answer.json()
                for bar, row in zip(bars, rows, strict=True):
                    found = [bar[key] for key in "tohlcvTqnVQ"]
                    assert found == [*row[:6], *row[6:11]]

    asyncio.run(scenario())


def test_any_websocket_client_can_compress_or_not():
    async def scenario() -> None:
        async with a_venue(speed=60) as url:
            address = f"{url.replace('http', 'ws')}/market/ws/!markPrice@arr@1s"
            for compression in ("deflate", None):
                async with connect(address, proxy=None, compression=compression) as socket:
                    rows = json.loads(await asyncio.wait_for(socket.recv(), 5))
                    assert len(rows) == 3

    asyncio.run(scenario())
