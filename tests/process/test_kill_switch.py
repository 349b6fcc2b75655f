"""Every trigger of the kill switch in every state, on real processes and the venue's own ledger."""

import json
import os
import signal
import sqlite3
from decimal import Decimal
from typing import Any

import pytest

from core.execution.client_id import purpose_of
from core.messages import Purpose
from tests.process.conftest import Process, World, eventually

pytestmark = pytest.mark.process

TAG = "afb"
CONFIG = ("--config", "paper.yaml")


def asked(world: World, *words: str, code: int = 0) -> str:
    """Run a command to its end and return what it said."""
    done = world.start(*words, *CONFIG, name="-".join(w for w in words if w[0] != "-"))
    assert done.wait(90) == code, done.text()
    return done.text()


def status(world: World) -> dict[str, Any]:
    return dict(json.loads(asked(world, "status", "--json").splitlines()[-1]))


def entries(ledger: dict[str, Any]) -> list[dict[str, Any]]:
    return [o for o in ledger["orders"] if purpose_of(TAG, o["clientOrderId"]) is Purpose.ENTRY]


def held(ledger: dict[str, Any]) -> set[str]:
    return {p["symbol"] for p in ledger["positions"] if Decimal(p["positionAmt"])}


def stops(ledger: dict[str, Any]) -> list[dict[str, Any]]:
    return [a for a in ledger["algo_orders"] if purpose_of(TAG, a["clientAlgoId"]) is Purpose.STOP]


def protected(world: World) -> bool:
    ledger = world.ledger()
    live = {a["symbol"] for a in stops(ledger) if a["algoStatus"] == "NEW"}
    return bool(held(ledger)) and held(ledger) <= live


def pass_minutes(world: World, minutes: int) -> dict[str, Any]:
    """Let the market go on for so many venue minutes; return the ledger after them."""
    until = world.ledger()["time"] + minutes * 60_000
    eventually("time passes", lambda: world.ledger()["time"] >= until, 90)
    return world.ledger()


def halted(world: World, bot: Process, trigger: str) -> None:
    """Pull one trigger and wait until the bot says that it holds."""
    match trigger:
        case "cli":
            asked(world, "halt")
        case "file":
            (world.state / "KILL").touch()
        case "signal":
            os.kill(bot.pid, signal.SIGUSR1)
    eventually("it is halted", lambda: "HALTED: " in bot.text(), 10)


def no_entry_follows(world: World, minutes: int = 8) -> None:
    before = world.ledger()
    after = pass_minutes(world, minutes)
    assert len(entries(after)) == len(entries(before))
    naked = held(after) - {a["symbol"] for a in stops(after) if a["algoStatus"] == "NEW"}
    assert not naked, "a halt leaves stops where they are"


def end_venue(world: World, bot: Process) -> None:
    assert bot.interrupt() == 0, bot.text()
    assert "Traceback" not in bot.text()


@pytest.mark.parametrize("trigger", ["cli", "file", "signal"])
def test_a_halt_holds_through_a_kill_until_a_person_resumes(world: World, trigger: str) -> None:
    world.start_venue("--seed", "3", "--speed", "60")
    bot = world.start_bot()
    eventually("a protected position", lambda: protected(world), 60)
    halted(world, bot, trigger)
    no_entry_follows(world)
    row = status(world)["latches"][0]
    assert row["state"] == "HALTED"
    assert row["until"] == "resume"
    assert row["reason"].startswith(trigger)
    assert row["stored"]

    bot.kill()
    again = world.start_bot(name="again")
    eventually("it is up", lambda: "control API on" in again.text(), 90)
    no_entry_follows(world, 4)
    assert status(world)["state"] == "HALTED"
    if trigger == "file":
        said = asked(world, "resume", "--yes", code=1)
        assert f"{world.state / 'KILL'} must be gone before resume" in said
        (world.state / "KILL").unlink()
    count = len(entries(world.ledger()))
    assert "ACTIVE" in asked(world, "resume", "--yes")
    eventually("an entry again", lambda: len(entries(world.ledger())) > count, 90)
    end_venue(world, again)


def test_a_kill_file_from_before_the_start_lets_nothing_in(world: World) -> None:
    world.start_venue("--seed", "3", "--speed", "60")
    world.state.mkdir(mode=0o700)
    (world.state / "KILL").write_text("anything\n")
    bot = world.start_bot()
    eventually("it is up", lambda: "control API on" in bot.text(), 90)
    assert entries(pass_minutes(world, 12)) == []
    assert status(world)["state"] == "HALTED"
    end_venue(world, bot)


def test_a_signal_during_start_up_halts_what_comes_up(world: World) -> None:
    world.start_venue("--seed", "3", "--speed", "60")
    bot = world.start_bot()
    eventually("it has begun", (world.state / "bot.lock").exists, 90)
    os.kill(bot.pid, signal.SIGUSR1)
    eventually("it is up", lambda: "control API on" in bot.text(), 90)
    assert entries(pass_minutes(world, 12)) == []
    assert status(world)["latches"][0]["reason"].startswith("signal")
    end_venue(world, bot)


def test_a_halt_with_the_database_locked_blocks_and_says_that_it_is_not_stored(
    world: World,
) -> None:
    world.start_venue("--seed", "3", "--speed", "60")
    bot = world.start_bot()
    eventually("a protected position", lambda: protected(world), 60)
    blocker = sqlite3.connect(world.state / "async_bot_state.db", isolation_level=None)
    try:
        blocker.execute("BEGIN IMMEDIATE")
        said = asked(world, "halt", code=75)
        assert "holds in memory" in said
        assert "not stored yet" in said
        assert str(world.state / "KILL") in said
        no_entry_follows(world, 5)
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    eventually("it is stored", lambda: status(world)["latches"][0]["stored"], 90)
    end_venue(world, bot)


@pytest.mark.parametrize("trigger", ["cli", "file"])
def test_flatten_closes_everything_first_and_cancels_stops_after(
    world: World, trigger: str
) -> None:
    world.start_venue("--seed", "3", "--speed", "60")
    bot = world.start_bot()
    eventually("a protected position", lambda: protected(world), 60)
    symbols = held(world.ledger())
    if trigger == "cli":
        refused = asked(world, "flatten", code=2)
        assert "--yes" in refused
        assert "flat" in asked(world, "flatten", "--yes")
    else:
        (world.state / "KILL").write_text("flatten")
    eventually("it is flat", lambda: not held(world.ledger()), 10)
    eventually(
        "its stops are gone",
        lambda: not [a for a in stops(world.ledger()) if a["algoStatus"] == "NEW"],
        20,
    )
    ledger = pass_minutes(world, 6)
    assert not held(ledger)
    for symbol in symbols:
        moves = [p for p in ledger["position_history"] if p["symbol"] == symbol]
        flat_at = max(p["time"] for p in moves if not Decimal(p["positionAmt"]))
        ended = [s for s in stops(ledger) if s["symbol"] == symbol][-1]["history"][-1]["time"]
        assert ended >= flat_at, f"{symbol} lost its stop before it was flat"
    assert status(world)["state"] == "FLATTEN"
    end_venue(world, bot)


def test_a_paused_symbol_opens_nothing_while_the_others_go_on(world: World) -> None:
    world.start_venue("--seed", "3", "--speed", "60")
    bot = world.start_bot()
    eventually("it answers", (world.state / "control.json").exists, 90)
    for symbol in ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT"):
        assert symbol in asked(world, "pause", symbol, "--reason", "news")
    before = {o["orderId"] for o in entries(world.ledger())}

    def later() -> list[dict[str, Any]]:
        return [o for o in entries(world.ledger()) if o["orderId"] not in before]

    eventually("an entry of the one left", later, 120)
    assert {o["symbol"] for o in later()} == {"SOLUSDT"}
    latched = {row["symbol"]: row["reason"] for row in status(world)["latches"]}
    assert latched["BTCUSDT"] == "cli: news"
    assert "BTCUSDT: ACTIVE" in asked(world, "resume", "BTCUSDT", "--yes")
    assert "BTCUSDT" not in {row["symbol"] for row in status(world)["latches"]}
    end_venue(world, bot)


def test_commands_without_a_bot_name_the_file_that_halts_one(world: World) -> None:
    for words in (("halt",), ("flatten", "--yes"), ("resume", "--yes"), ("pause", "BTCUSDT")):
        said = asked(world, *words, code=1)
        assert said.count("\n") == 1
        assert str(world.state / "KILL") in said
