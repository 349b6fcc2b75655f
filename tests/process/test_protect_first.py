"""Positions that lost their stops while the bot was down are protected before all else."""

import json
import time
import urllib.request
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import pytest

from actors.edges.venue_address import LOCAL_API_KEY, LOCAL_API_SECRET
from core.execution.client_id import purpose_of
from core.messages import Purpose
from core.venue.simulated.signing import sign
from tests.chaos.processes import slowness
from tests.process.conftest import World, eventually

pytestmark = pytest.mark.process

SYMBOLS = (
    "BTCUSDT,ETHUSDT,BNBUSDT,ADAUSDT,SOLUSDT,XRPUSDT,DOGEUSDT,LTCUSDT,TRXUSDT,LINKUSDT,"
    "DOTUSDT,AVAXUSDT,SIM001USDT,SIM002USDT,SIM003USDT,SIM004USDT,SIM005USDT,SIM006USDT,"
    "SIM007USDT,SIM008USDT"
)
COUNT = 20
EAGER = '''
class Eager:
    """Buys at every close."""

    warmup = 20

    def __init__(self, config):
        pass

    def generate_signal(self, df):
        return "BUY", 1.0, {}
'''
SETTINGS = {
    "SYMBOLS": SYMBOLS,
    "STRATEGY": "eager:Eager",
    "MAX_OPEN_POSITIONS": "20",
    "MAX_SYMBOL_NOTIONAL_X": "0.02",
    "LEVERAGE": "1",  # so far a stop must still lie well inside the liquidation price
    "STOPLOSS_PCT": "0.3",
    "TAKE_PROFIT_PCT": "0.5",
    "DAILY_MAX_LOSS_PCT": "0.9",
    "MAX_ENTRIES_DAY": "1000",
}
GENEROUS_S = 60.0  # a hang, not the target
# Of a start: from the first word in the database, when all modules are loaded, to the last stop;
# on a busy machine longer by the factor by which loading modules is.
TARGET_S = 5.0
PREPARED = "Leverage set for"  # said of every symbol once the venue has answered for all of them


def held(world: World) -> set[str]:
    return {p["symbol"] for p in world.ledger()["positions"] if Decimal(p["positionAmt"])}


def stopped(world: World) -> set[str]:
    return {
        a["symbol"]
        for a in world.ledger()["algo_orders"]
        if a["algoStatus"] == "NEW" and purpose_of("afb", a["clientAlgoId"]) is Purpose.STOP
    }


def drop_protection(world: World, symbol: str) -> None:
    text = urlencode({"symbol": symbol, "timestamp": time.time_ns() // 1_000_000})
    request = urllib.request.Request(  # noqa: S310
        f"{world.url}/fapi/v1/algoOpenOrders?{text}&signature={sign(LOCAL_API_SECRET, text)}",
        headers={"X-MBX-APIKEY": LOCAL_API_KEY},
        method="DELETE",
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        answer.read()


def set_speed(world: World, speed: float) -> None:
    body = json.dumps({"speed": speed}).encode()
    request = urllib.request.Request(f"{world.url}/sim/clock", body)  # noqa: S310
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        answer.read()


def lives(world: World) -> int:
    """Return how often a bot has begun its work on the database."""
    return int(world.rows("SELECT MAX(epoch) AS n FROM epochs")[0]["n"])


def protected_again(world: World, folder: Path) -> dict[str, float]:
    """Take 20 stops from a dead bot's positions and start it; return the seconds of each step."""
    (folder / "eager.py").write_text(EAGER, encoding="utf-8")
    settings = {**SETTINGS, "PYTHONPATH": str(folder)}
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", SYMBOLS, "--rate-limits", "on")
    first = world.start_bot(**settings, ORDERS_PER_10S="100", ORDERS_PER_MIN="400")

    def all_protected() -> bool:
        return len(held(world)) == COUNT and held(world) <= stopped(world)

    eventually("twenty protected positions", all_protected, 90)
    set_speed(world, 1.0)
    first.kill()
    for symbol in SYMBOLS.split(","):
        drop_protection(world, symbol)
    assert stopped(world) == set()
    assert len(held(world)) == COUNT

    slow, before = slowness(), len(first.text())
    began = time.monotonic()
    second = world.start_bot(**settings)
    eventually("the second life", lambda: lives(world) == 2, GENEROUS_S)
    at_work = time.monotonic()
    eventually("its symbols", lambda: PREPARED in second.text()[before:], GENEROUS_S)
    connected = time.monotonic()
    eventually("twenty stops", lambda: len(stopped(world)) == COUNT, GENEROUS_S)
    protected = time.monotonic()
    assert held(world) == stopped(world)
    slow = max(slow, slowness())
    assert second.interrupt() == 0, second.text()
    assert "HTTP 429" not in second.text()
    assert "code=-1003" not in second.text()
    return {
        "loading_s": at_work - began,
        "connecting_s": connected - at_work,
        "protecting_s": protected - connected,
        "start_s": protected - at_work,
        "slowness": slow,
    }


def test_twenty_naked_positions_have_their_stops_within_seconds(
    world: World, tmp_path: Path, record_property
) -> None:
    found = protected_again(world, tmp_path)
    for name, value in found.items():
        record_property(name, value)
    assert found["start_s"] < TARGET_S * found["slowness"]
