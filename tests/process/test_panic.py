"""`run.py panic` on real processes: it must work when nothing else of the bot does."""

import ast
import hashlib
import hmac
import os
import signal
import sqlite3
import time
import urllib.request
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import pytest

from actors.edges.venue_address import LOCAL_API_KEY, LOCAL_API_SECRET
from tests.process.conftest import ROOT, World, eventually
from tests.process.test_kill_switch import entries, held, pass_minutes, protected, status, stops

pytestmark = pytest.mark.process

CONFIG = ("--config", "paper.yaml")


def panic(world: World, *words: str, code: int = 0) -> str:
    """Run it on the venue of this world and return what it said."""
    done = world.start("panic", *CONFIG, *words, name=f"panic{len(words)}", VENUE_URL=world.url)
    assert done.wait(60) == code, done.text()
    return done.text()


def order_by_hand(world: World, symbol: str, side: str, quantity: str) -> None:
    """Send a market order as somebody else than the bot."""
    text = urlencode(
        {
            "symbol": symbol,
            "side": side,
            "type": "MARKET",
            "quantity": quantity,
            "timestamp": time.time_ns() // 1_000_000,
        }
    )
    signature = hmac.new(LOCAL_API_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    url = f"{world.url}/fapi/v1/order?{text}&signature={signature}"
    headers = {"X-MBX-APIKEY": LOCAL_API_KEY}
    request = urllib.request.Request(url, method="POST", headers=headers)  # noqa: S310
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def amount(world: World, symbol: str) -> Decimal:
    rows = [p for p in world.ledger()["positions"] if p["symbol"] == symbol]
    return sum((Decimal(p["positionAmt"]) for p in rows), Decimal(0))


def test_a_frozen_bot_with_a_locked_database_is_made_flat_and_wakes_to_nothing(
    world: World,
) -> None:
    symbols = "BTCUSDT,ETHUSDT,BNBUSDT,ADAUSDT,SOLUSDT,XRPUSDT"
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", symbols)
    bot = world.start_bot()
    eventually("a protected position", lambda: protected(world), 60)
    order_by_hand(world, "XRPUSDT", "BUY", "50")
    blocker = sqlite3.connect(world.state / "async_bot_state.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        os.kill(bot.pid, signal.SIGSTOP)
        ours = held(world.ledger()) - {"XRPUSDT"}
        assert ours
        said = panic(world)
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert "XRPUSDT: 50.0 is not the bot's" in said
    assert "flat on two reads" in said
    assert held(world.ledger()) == {"XRPUSDT"}
    assert not [a for a in world.ledger()["algo_orders"] if a["algoStatus"] == "NEW"]
    for symbol in ours:
        assert f"{symbol} at market, reduce-only" in said
        moves = [p for p in world.ledger()["position_history"] if p["symbol"] == symbol]
        flat_at = max(p["time"] for p in moves if not Decimal(p["positionAmt"]))
        ended = [s for s in stops(world.ledger()) if s["symbol"] == symbol][-1]["history"][-1]
        assert ended["time"] >= flat_at, "a stop went before its position"

    count = len(entries(world.ledger()))
    os.kill(bot.pid, signal.SIGCONT)
    eventually("it is halted", lambda: "HALTED: file" in bot.text(), 20)
    assert len(entries(pass_minutes(world, 10))) == count, "it opened something after panic"
    assert status(world)["state"] == "HALTED"
    assert bot.interrupt() == 0, bot.text()

    assert "flat on two reads" in panic(world, "--all")
    assert amount(world, "XRPUSDT") == 0


def test_nothing_to_close_is_flat_and_no_venue_is_unavailable(world: World) -> None:
    venue = world.start_venue("--seed", "3", "--speed", "60")
    assert "flat on two reads" in panic(world)
    assert (world.state / "KILL").exists() or "cannot be made" in panic(world)
    venue.kill()
    said = panic(world, "--all", code=75).splitlines()[-1]
    assert said.startswith("error: the venue at ")
    assert "Fix: " in said


def test_the_embedded_venue_is_found_by_its_state_directory(world: World) -> None:
    bot = world.start("--config", "paper.yaml", "--no-dashboard")
    try:
        eventually("an entry", lambda: "order placed: " in bot.text(), 90)
        bot.kill()
        done = world.start("panic", *CONFIG, name="panic")
        assert done.wait(60) == 0, done.text()
        assert "at market, reduce-only" in done.text() or "flat on two reads" in done.text()
    finally:
        again = world.start("--config", "paper.yaml", "--no-dashboard", name="again")
        eventually("it is up", lambda: "control API on" in again.text(), 90)
        assert again.interrupt() == 0, again.text()


def test_it_shares_no_code_with_the_actors_and_stays_short() -> None:
    source = Path(ROOT / "actors/commands/panic.py").read_text(encoding="utf-8")
    assert source.count("\n") <= 200
    imported = {
        node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)
    }
    assert {name for name in imported if name.split(".")[0] in ("actors", "core", "models")} == {
        "core.errors"
    }
