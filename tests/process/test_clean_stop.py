"""Stopping: in time, with positions protected, nothing left behind, and resumed where it was."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest

from core.execution.client_id import purpose_of
from core.messages import Purpose
from tests.process.conftest import Process, World, eventually
from tests.process.learned import SYMBOLS, skilled_models
from tests.process.leftovers import nothing_is_left

pytestmark = pytest.mark.process

STOP_WITHIN_S = 10.0
SPEED = 60
SLACK_S = 1.0  # wall, between two looks at a clock; a pause is longer than that


def start(world: World, *arguments: str, stop: str, target: str) -> Process:
    """Start a bot with a venue of its own, which trades at the first closed klines."""
    return world.start(
        "--config",
        "paper.yaml",
        "--no-dashboard",
        *arguments,
        SYMBOLS=",".join(SYMBOLS),
        MODEL_DIR=str(skilled_models()),
        ALLOW_TECHNICAL_ONLY="false",
        STOPLOSS_PCT=stop,
        TAKE_PROFIT_PCT=target,
    )


def published(world: World) -> dict[str, Any]:
    """Wait for the embedded venue, remember its address, and return what it published."""
    place = world.state / "venue" / "venue.json"
    eventually("the venue is published", place.exists, 60)
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    world.url = found["url"]
    return found


def up(world: World) -> dict[str, Any]:
    found = published(world)
    eventually("the bot is up", (world.state / "control.json").exists, 60)
    return found


def protected(world: World) -> set[str]:
    """Return the symbols whose position has a live stop."""
    ledger = world.ledger()
    held = {p["symbol"] for p in ledger["positions"] if Decimal(p["positionAmt"])}
    stops = {
        a["symbol"]
        for a in ledger["algo_orders"]
        if a["algoStatus"] == "NEW" and purpose_of("afb", a["clientAlgoId"]) is Purpose.STOP
    }
    return held & stops


def in_time(bot: Process) -> None:
    started = time.monotonic()
    assert bot.interrupt(30) == 0, bot.text()
    assert time.monotonic() - started < STOP_WITHIN_S
    assert "Traceback" not in bot.text()


def test_ctrl_c_saves_everything_and_the_next_start_goes_on(world: World) -> None:
    first = start(world, stop="0.05", target="0.1")
    before_venue = up(world)
    eventually("both positions protected", lambda: len(protected(world)) == len(SYMBOLS), 60)
    before = world.ledger()
    in_time(first)
    nothing_is_left(world.state)
    saved_ms = saved_time_ms(world)

    second = start(world, stop="0.05", target="0.1")
    after_venue = up(world)
    began = (world.state / "venue" / "venue.json").stat().st_mtime
    after = world.ledger()
    wall_s = time.time() - began + SLACK_S
    assert after_venue["venue_id"] == before_venue["venue_id"]
    assert after_venue["pid"] != before_venue["pid"]
    assert after_venue["resumed"] is True
    assert before["time"] <= after["time"] <= saved_ms + wall_s * SPEED * 1000
    for kind in ("orders", "algo_orders", "trades"):
        assert after[kind][: len(before[kind])] == before[kind], kind
    assert protected(world) == set(SYMBOLS)
    for symbol in SYMBOLS:
        words = f"{symbol}: own position"
        eventually(f"{symbol} is adopted", lambda words=words: words in second.text(), 20)
    in_time(second)
    nothing_is_left(world.state)
    entries = [row["client_id"] for row in world.rows("SELECT client_id FROM order_intent")]
    assert len(entries) == len(set(entries))

    third = start(world, "--duration", "1", stop="0.05", target="0.1")
    assert third.wait(60) == 0, third.text()
    nothing_is_left(world.state)


def saved_time_ms(world: World) -> int:
    """Return the venue time at which a stopped venue stands: its journal's last line."""
    journal = (world.state / "venue" / "venue.jsonl").read_text(encoding="utf-8")
    return int(json.loads(journal.splitlines()[-1])["t"])


def test_stops_fire_without_the_bot_and_the_next_start_adopts_the_venue(world: World) -> None:
    first = start(world, stop="0.001", target="0.002")
    venue = up(world)
    eventually("a protected position", lambda: protected(world), 60)
    first.kill()
    at_ms = world.ledger()["time"]

    def closed() -> list[dict[str, Any]]:
        trades = world.ledger()["trades"]
        return [t for t in trades if t["time"] > at_ms and Decimal(t["realizedPnl"])]

    fired = eventually("a stop or target fires by itself", closed, 60)
    assert world.get("/sim/health")["venue_id"] == venue["venue_id"]

    second = start(world, stop="0.001", target="0.002")
    eventually("the bot says it is up", lambda: "control API" in second.text(), 60)
    assert published(world)["pid"] == venue["pid"], "another venue was started"

    def booked() -> bool:
        known = {row["trade_id"] for row in world.rows("SELECT trade_id FROM trades")}
        return {f"{t['symbol']}:{t['id']}" for t in fired} <= known

    eventually("what happened meanwhile is booked", booked, 90)
    in_time(second)
    nothing_is_left(world.state)
