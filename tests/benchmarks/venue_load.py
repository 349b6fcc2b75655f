"""The venue under load, client included: `python -m tests.benchmarks.venue_load`.

Server and client are two processes on loopback.  Printed: closed and forming kline frames a second
that an aiohttp client has read and decoded, signed market orders a second over a few keep-alive
connections, and the share of a core that 500 symbols cost at speed 1 with klines and mark prices
subscribed.  The server's own CPU time per frame and order tells what a machine that is not shared
would reach.  `--only frames|orders|idle` measures one of them.
"""

import argparse
import asyncio
import hashlib
import hmac
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import aiohttp
import orjson
import psutil

from core.venue.simulated.instruments import expanded

ROOT = Path(__file__).parents[2]
KEY = SECRET = "embedded"
STREAMS_A_MESSAGE = 250
RUN_UP_S = 1.0
CONNECTIONS = 8
ORDERED = {
    "BTCUSDT": "0.001",
    "ETHUSDT": "0.020",
    "BNBUSDT": "0.02",
    "ADAUSDT": "20",
    "SOLUSDT": "0.10",
}


@contextmanager
def a_venue(symbols: str, speed: float) -> Iterator[tuple[str, psutil.Process]]:
    """Run a venue as a process; yield its address and process."""
    options = {"port": 0, "symbols": symbols, "speed": speed, "history": 100}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "actors.commands.venue", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield line.split()[-1], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def used_by(process: psutil.Process) -> float:
    """Return the CPU seconds that a process has had."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def listen(url: str, streams: list[str], seconds: float) -> tuple[int, int, float]:
    """Return frames, closed klines among them and the time they took, after a second's run-up."""
    frames = closed = 0
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/market/stream", max_msg_size=0) as socket,
    ):
        for at in range(0, len(streams), STREAMS_A_MESSAGE):
            part = streams[at : at + STREAMS_A_MESSAGE]
            await socket.send_json({"method": "SUBSCRIBE", "params": part, "id": at})
        began = time.perf_counter() + RUN_UP_S
        ends = began + seconds
        while (now := time.perf_counter()) < ends:
            message = orjson.loads((await socket.receive()).data)
            if now >= began and "data" in message:
                frames += 1
                closed += message["data"].get("k", {}).get("x", False)
        return frames, closed, seconds


def frames_out(seconds: float) -> None:
    """Print how many kline frames a second reach a client."""
    names = expanded(["SIM:500"])
    streams = [f"{name.lower()}@kline_1m" for name in names]
    with a_venue("SIM:500", 6_000) as (url, venue):
        began = used_by(venue)
        frames, closed, took = asyncio.run(listen(url, streams, seconds))
        used = (used_by(venue) - began) * took / (took + RUN_UP_S)
    print(  # noqa: T201
        f"kline frames out, 500 symbols at speed 6000: {frames / took:,.0f}/s, of them closed"
        f" {closed / took:,.0f}/s; server CPU about {used / max(1, frames) * 1e6:.0f} us each"
    )


def idle(seconds: float) -> None:
    """Print what 500 symbols cost at speed 1."""
    names = expanded(["SIM:500"])
    streams = [f"{name.lower()}@{kind}" for name in names for kind in ("kline_1m", "markPrice@1s")]
    with a_venue("SIM:500", 1) as (url, venue):
        asyncio.run(listen(url, streams, 0.1))  # the first prices have been drawn
        began = used_by(venue)
        frames, closed, took = asyncio.run(listen(url, streams, seconds))
        used = used_by(venue) - began
    print(  # noqa: T201
        f"500 symbols at speed 1, 1000 streams: {100 * used / (took + RUN_UP_S):.1f} % of a core,"
        f" {frames / took:,.0f} frames/s, {closed} klines closed"
    )


def signed(symbol: str, side: str, quantity: str) -> str:
    """Return the signed body of a market order."""
    stamp = time.time_ns() // 1_000_000
    text = f"symbol={symbol}&side={side}&type=MARKET&quantity={quantity}&timestamp={stamp}"
    signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{text}&signature={signature}"


async def trade(url: str, seconds: float) -> list[float]:
    """Return the latency of each order that was filled within the time."""
    taken: list[float] = []
    headers = {"X-MBX-APIKEY": KEY, "Content-Type": "application/x-www-form-urlencoded"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        ends = time.perf_counter() + seconds

        async def one(lane: int) -> None:
            symbol, quantity = list(ORDERED.items())[lane % len(ORDERED)]
            number = lane
            while (began := time.perf_counter()) < ends:
                body = signed(symbol, "BUY" if number % 2 else "SELL", quantity)
                number += 1
                async with session.post(f"{url}/fapi/v1/order", data=body) as answer:
                    row = orjson.loads(await answer.read())
                assert row["status"] == "NEW", row
                taken.append(time.perf_counter() - began)

        await asyncio.gather(*(one(lane) for lane in range(CONNECTIONS)))
    return taken


def orders_in(seconds: float) -> None:
    """Print how many signed orders a second are placed and filled."""
    with a_venue(",".join(ORDERED), 1) as (url, venue):
        began = used_by(venue)
        taken = asyncio.run(trade(url, seconds))
        used = used_by(venue) - began
    print(  # noqa: T201
        f"signed market orders in, {CONNECTIONS} connections: {len(taken) / seconds:,.0f}/s,"
        f" p50 {median(taken) * 1e3:.1f} ms; server CPU {used / len(taken) * 1e6:.0f} us each"
    )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=8.0)
    options.add_argument("--only", choices=["frames", "orders", "idle"])
    given = options.parse_args()
    measures = {"frames": frames_out, "orders": orders_in, "idle": idle}
    for name, measure in measures.items():
        if given.only in {None, name}:
            measure(given.seconds)


if __name__ == "__main__":
    main()
