"""A demo without a model gets one beside trading, which neither waits for it nor is tied to it."""

import json
from pathlib import Path

import pytest

from tests.process.conftest import Process, World, eventually
from tests.process.leftovers import nothing_is_left

pytestmark = pytest.mark.process

DEMO = ("--config", "paper.yaml", "--no-dashboard")
SMALL = {
    "SYMBOLS": "BTCUSDT,ETHUSDT",
    "TRAIN_BARS": "1500",
    "VENUE_HISTORY": "2000",
    "MIN_SIGNAL_STRENGTH": "0.1",
}


def test_a_demo_without_a_model_trades_first_and_then_gets_one(world: World) -> None:
    bot = world.start(*DEMO, **SMALL)
    eventually("both models are in use", lambda: bot.text().count(" is in use: ") == 2, 150)
    said = bot.text()
    places = [
        said.index(text)
        for text in (
            "no model yet for BTCUSDT, ETHUSDT: training begins after the first trade",
            " order placed: ",
            "training BTCUSDT, ETHUSDT in a process of its own",
            "[BTCUSDT] trained on ",
            "[BTCUSDT] the new model is in place: it is the first",
        )
    ]
    assert places == sorted(places), said
    assert "Traceback" not in said

    asked = world.start("status", "--json", "--config", "paper.yaml", name="status")
    assert asked.wait(90) == 0, asked.text()
    symbols = json.loads(asked.text().splitlines()[-1])["symbols"]
    for symbol, row in symbols.items():
        card = json.loads((world.state / "models" / f"{symbol}_model_card.json").read_text())
        assert row["model"]["verdict"] == card["verdict"]
        assert row["model"]["skilled"] == card["skilled"]
        assert row["restarts"] == 0
        assert "psi" in row["model"]["drift"]
    assert bot.interrupt() == 0, bot.text()
    nothing_is_left(world.state)

    replayed = world.start("replay", "--config", "paper.yaml", "--json", name="replay", **SMALL)
    assert replayed.wait(60) == 0, replayed.text()  # the same decisions, across the change of model


def test_a_killed_bot_leaves_no_training_behind(world: World) -> None:
    bot = world.start(*DEMO, **SMALL | {"TRAIN_BARS": "2000"})
    child = eventually("the training process runs", lambda: child_of(bot), 90)
    bot.kill()
    eventually("it is gone", lambda: not runs_training(child), 20)
    again = world.start(*DEMO, name="again", **SMALL | {"RETRAIN_HOURS": "0"})
    eventually("the next start trades", lambda: "control API on" in again.text(), 60)
    assert again.interrupt() == 0, again.text()


def child_of(bot: Process) -> int:
    """Return the pid of a bot's training process; 0 while there is none."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and runs_training(int(entry.name)):
            status = (entry / "status").read_text().splitlines()
            if f"PPid:\t{bot.pid}" in status:
                return int(entry.name)
    return 0


def runs_training(pid: int) -> bool:
    try:
        return b"training_child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
