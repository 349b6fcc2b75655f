"""The bot of many tutorials: signal, market order, then a stop; retry on trouble; state in memory.

The baseline of the chaos runs.  It uses python-binance as its documentation shows, with the care
a diligent beginner takes: it rounds, it names its orders after the candle so that a retry bears the
same id, it catches exceptions, it tries three times, it writes its trades to SQLite after the
answer.  Nothing here is wrong on a day without faults.  `reached` is where chaos may kill it.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
import zlib
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

from binance import AsyncClient

from actors.kill_points import parsed
from core.execution.client_id import client_id
from core.words import Purpose

STATE = Path(os.environ["STATE_DIR"])
URL = os.environ["VENUE_URL"]
SYMBOLS = os.environ["SYMBOLS"].split(",")
STOP, TARGET, SLOTS = Decimal("0.002"), Decimal("0.003"), int(os.environ["MAX_OPEN_POSITIONS"])
STEPS = {"BTCUSDT": "0.001", "ETHUSDT": "0.001", "BNBUSDT": "0.01", "ADAUSDT": "1"}
TICKS = {"BTCUSDT": "0.1", "ETHUSDT": "0.01", "BNBUSDT": "0.01", "ADAUSDT": "0.0001"}
WORDS = {0: "BUY", 1: "BUY", 2: "SELL", 3: "SELL", 4: "BUY"}
TRIES = 3
armed = [""]


def listen() -> None:
    """Arm the kill point that the driver asked for, at its signal."""
    name = parsed(os.environ["CHAOS_KILL_AT"])[0] if "CHAOS_KILL_AT" in os.environ else ""
    signal.signal(signal.SIGUSR2, lambda *_: armed.__setitem__(0, name))


def reached(*names: str, in_s: float = 0.0) -> None:
    """Die here if this is the point; `in_s` later where the request is to leave first."""
    if armed[0] in names:
        threading.Timer(in_s, die, (armed[0],)).start() if in_s else die(armed[0])


def die(name: str) -> None:
    with Path(os.environ["CHAOS_HITS"]).open("a") as file:
        file.write(f"{name} {os.getpid()} {time.time_ns()}\n")
    os.kill(os.getpid(), signal.SIGKILL)


class Client(AsyncClient):
    FUTURES_URL = f"{URL}/fapi"
    API_URL = f"{URL}/api"


async def again(call: Any) -> Any:
    """Try three times: what every tutorial does about time-outs."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(Exception):
            return await call()
        await asyncio.sleep(0.2)
    return await call()


class Textbook:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.held: dict[str, Decimal] = {}
        self.last: dict[str, int] = {}
        self.database = sqlite3.connect(STATE / "async_bot_state.db")
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS orders (symbol TEXT, order_id INTEGER, side TEXT)"
        )

    async def look(self, symbol: str) -> None:
        """Read the last closed candle; open on half of them, remember what is open."""
        rows = await again(
            lambda: self.client.futures_klines(symbol=symbol, interval="1m", limit=2)
        )
        bar = rows[0]
        if self.last.get(symbol) == bar[0]:
            return
        self.last[symbol] = bar[0]
        if symbol in self.held:
            await self.check(symbol)
            return
        word = WORDS.get(zlib.crc32(f"{bar[0]} {bar[4]}".encode()) % 10)
        if word and len(self.held) < SLOTS and (STATE / "go").exists():
            await self.enter(f"{symbol} {bar[0]}", symbol, word, Decimal(bar[4]))

    async def check(self, symbol: str) -> None:
        """Forget a position that its stop or target has closed, and cancel the other one."""
        rows = await again(lambda: self.client.futures_position_information(symbol=symbol))
        if not any(Decimal(row["positionAmt"]) for row in rows):
            del self.held[symbol]
            with contextlib.suppress(Exception):
                await self.client.futures_cancel_all_algo_open_orders(symbol=symbol)

    async def enter(self, name: str, symbol: str, side: str, price: Decimal) -> None:
        step = Decimal(STEPS.get(symbol, "0.01"))
        quantity = (Decimal(2000) / price).quantize(step, ROUND_DOWN)
        reached("K4")
        reached("K5", "K6", in_s=0.3)
        order = await again(
            lambda: self.client.futures_create_order(
                symbol=symbol,
                side=side,
                type="MARKET",
                quantity=f"{quantity:f}",
                newClientOrderId=client_id("afb", Purpose.ENTRY, name, 0),
                newOrderRespType="RESULT",
            )
        )
        reached("K7")
        self.held[symbol] = quantity
        self.database.execute(
            "INSERT INTO orders VALUES (?, ?, ?)", (symbol, order["orderId"], side)
        )
        self.database.commit()
        reached("K8", "K10")
        entry = Decimal(order.get("avgPrice", 0)) or price
        sign = 1 if side == "BUY" else -1
        closing = "SELL" if side == "BUY" else "BUY"
        reached("K11", in_s=0.3)
        legs = (
            ("STOP_MARKET", -STOP, Purpose.STOP),
            ("TAKE_PROFIT_MARKET", TARGET, Purpose.TARGET),
        )
        for kind, away, purpose in legs:
            tick = Decimal(TICKS.get(symbol, "0.01"))
            trigger = (entry * (1 + sign * away)).quantize(tick)
            await again(
                lambda kind=kind, trigger=trigger, purpose=purpose: (
                    self.client.futures_create_order(
                        clientAlgoId=client_id("afb", purpose, name, 0),
                        symbol=symbol,
                        side=closing,
                        type=kind,
                        triggerPrice=f"{trigger:f}",
                        closePosition="true",
                    )
                )
            )
            reached("K12")


async def main() -> None:
    """Poll every symbol for ever; say where it stands as the driver expects it."""
    client = Client(os.environ["API_KEY"], os.environ["API_SECRET"])
    bot = Textbook(client)
    listen()
    (STATE / "ready").write_text(json.dumps({"pid": os.getpid()}))
    try:
        while True:
            for symbol in SYMBOLS:
                with contextlib.suppress(Exception):  # the loop must go on
                    await bot.look(symbol)
            await asyncio.sleep(0.1)
    finally:
        await client.close_connection()


if __name__ == "__main__":
    asyncio.run(main())
