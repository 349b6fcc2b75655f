"""The venue plays recorded klines, and the bot trades on their prices."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.execution.client_id import purpose_of
from core.messages import Purpose
from tests.process.conftest import ROOT, Process, World, eventually
from tests.process.learned import SYMBOLS, write_candles

pytestmark = pytest.mark.process

REAL = ROOT / "../shared/data/um-1m/2025q2"
FIVE = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")
SLIPPAGE = Decimal("0.001")
WINDOW = 30  # closed klines that must be the recording's


def test_trades_on_candle_files(world: World) -> None:
    frames = write_candles(world.folder / "data", 4_000)
    venue = replay(world, world.folder / "data", SYMBOLS)
    trades_on(world, venue, frames)


@pytest.mark.skipif(not REAL.is_dir(), reason="the recorded data is not beside this checkout")
def test_trades_on_recorded_prices(world: World) -> None:
    venue = replay(world, REAL, FIVE)
    columns = ["open", "high", "low", "close"]
    frames = {s: pd.read_csv(REAL / f"{s}-1m.csv.gz", usecols=columns) for s in FIVE}
    trades_on(world, venue, frames)


def replay(world: World, data: Path, symbols: tuple[str, ...]) -> Process:
    return world.start_venue("--data", str(data), "--speed", "60", "--symbols", ",".join(symbols))


def trades_on(world: World, venue: Process, frames: dict[str, pd.DataFrame]) -> None:
    bot = world.start_bot(SYMBOLS=",".join(frames), MIN_SIGNAL_STRENGTH="0.1")

    def protected() -> list[dict[str, Any]]:
        return [a for a in world.ledger()["algo_orders"] if a["algoStatus"] == "NEW"]

    eventually("a protected position", lambda: len(protected()) > 1, 90)
    assert bot.interrupt() == 0, bot.text()

    funding = [line for line in venue.text().splitlines() if "funding" in line]
    assert len(funding) == 1, venue.text()
    assert all(symbol in funding[0] for symbol in frames)
    ledger = world.ledger()
    entries = [order for order in ledger["orders"] if purpose_of("afb", order["clientOrderId"])]
    assert entries
    prices = {(t["symbol"], t["orderId"]): Decimal(t["price"]) for t in ledger["trades"]}
    for order in entries:
        assert within(prices[order["symbol"], order["orderId"]], frames[order["symbol"]])
    stops = [a for a in ledger["algo_orders"] if purpose_of("afb", a["clientAlgoId"])]
    assert {purpose_of("afb", a["clientAlgoId"]) for a in stops} >= {Purpose.STOP, Purpose.TARGET}
    for stop in stops:
        assert within(Decimal(stop["triggerPrice"]), frames[stop["symbol"]], Decimal("0.01"))
    for symbol, frame in frames.items():
        assert is_played(world, symbol, frame), f"{symbol}: these are not the recorded klines"


def within(price: Decimal, frame: pd.DataFrame, beyond: Decimal = SLIPPAGE) -> bool:
    low, high = Decimal(str(frame["low"].min())), Decimal(str(frame["high"].max()))
    return low * (1 - beyond) <= price <= high * (1 + beyond)


def is_played(world: World, symbol: str, frame: pd.DataFrame) -> bool:
    """Tell whether the venue's newest closed klines stand in the recording in this order."""
    path = f"/fapi/v1/klines?symbol={symbol}&interval=1m&limit={WINDOW + 1}"
    served = [tuple(float(x) for x in row[1:5]) for row in world.get(path)[:-1]]
    recorded = list(frame[["open", "high", "low", "close"]].itertuples(index=False, name=None))
    starts = [i for i, row in enumerate(recorded) if row == served[0]]
    return any(recorded[i : i + WINDOW] == served for i in starts)
