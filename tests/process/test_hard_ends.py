"""Ends that are not the usual one: told twice, told too early, or given up; and what remains."""

import json
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from core.errors import SupervisorGaveUpError
from tests.process.conftest import World, eventually
from tests.process.leftovers import nothing_is_left

pytestmark = pytest.mark.process

INTERRUPTED = 130
SYMBOLS = "BTCUSDT,ETHUSDT"
SLUGGARD = """
import os, pathlib, time

class Sluggard:
    warmup = 20

    def __init__(self, config):
        pass

    def generate_signal(self, df):
        flag = pathlib.Path(os.environ["FLAG"])
        if flag.exists():
            flag.with_suffix(".taken").touch()
            time.sleep(120)
        return None, 0.0, {}
"""
MARTYR = """
import os, pathlib

class Martyr:
    warmup = 20

    def __init__(self, config):
        pass

    def generate_signal(self, df):
        if pathlib.Path(os.environ["FLAG"]).exists():
            raise ValueError("poison")
        return "BUY", 0.9, {}
"""
# Loaded with the strategy, so that a re-run of the crash meets the same defect.
SABOTEUR = """
from core.execution.entry import Entries
from core.risk.machine import RiskMachine

def defect(place, name):
    sound = getattr(place, name)
    def broken(self, wish, *rest):
        if wish.__class__.__name__ in ("Proposal", "Approval"):
            raise ValueError("a defect")
        return sound(self, wish, *rest)
    setattr(place, name, broken)

class Saboteur:
    warmup = 20

    def __init__(self, config):
        pass

    def generate_signal(self, df):
        return "BUY", 0.9, {}
"""
UNREADABLE = """
from actors.edges.database import DatabaseManager

def recover(self, unwritten=()):
    raise ValueError("a row that is none")

DatabaseManager.recover = recover
"""
DEFECTS = {"risk": "defect(RiskMachine, '_case')", "execution": "defect(Entries, 'approve')"}


def test_a_second_signal_ends_a_slow_stop_at_once_with_130(world: World) -> None:
    (world.folder / "sluggard.py").write_text(SLUGGARD, encoding="utf-8")
    flag = world.folder / "hang.flag"
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", SYMBOLS)
    bot = world.start_bot(
        SYMBOLS=SYMBOLS,
        STRATEGY="sluggard:Sluggard",
        PYTHONPATH=str(world.folder),
        FLAG=str(flag),
        HUNG_AFTER_S="600",
    )
    control = world.state / "control.json"
    eventually("the bot is up", lambda: control.exists() and "control API" in bot.text(), 60)
    flag.touch()
    eventually("a symbol hangs", flag.with_suffix(".taken").exists, 90)
    bot.signal(signal.SIGINT)
    eventually("the stop has begun", lambda: not control.exists(), 10)
    bot.signal(signal.SIGTERM)
    assert bot.wait(5) == INTERRUPTED, bot.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("library", ["pydantic_core", "numpy", "pandas"])
def test_a_signal_while_it_is_loading_ends_it_with_one_line(
    world: World, library: str, number: signal.Signals
) -> None:
    bot = world.start("--config", "paper.yaml", "--no-dashboard")
    eventually(f"{library} is being loaded", lambda: library in bot.maps(), 90)
    bot.signal(number)
    try:
        code = bot.wait(10)
    except subprocess.TimeoutExpired:  # a library that was loading swallowed it
        bot.signal(number)
        code = bot.wait(90)
    assert "Traceback" not in bot.text()
    lines = bot.text().splitlines()
    if code == INTERRUPTED:
        assert len(lines) == 1, bot.text()
        assert lines[0].startswith("stopped")
    else:  # it was faster: then it stopped in order
        assert code == 0, bot.text()
    nothing_is_left(world.state)


@pytest.mark.parametrize("path", ["/fapi/v1/listenKey", "/fapi/v1/exchangeInfo"])
def test_a_signal_while_the_start_waits_for_the_venue_s_limits_ends_it_in_order(
    world: World, path: str
) -> None:
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", SYMBOLS)
    refuse(world, path, 120)
    bot = world.start_bot(SYMBOLS=SYMBOLS)
    eventually("it says that it waits", lambda: "the start waits" in bot.text(), 60)
    assert bot.interrupt(30) == 0, bot.text()
    assert "Traceback" not in bot.text()
    assert bot.text().count("the start waits") == 1
    assert world.ledger()["orders"] == []
    nothing_is_left(world.state)


def test_a_start_that_the_venue_s_limits_refuse_goes_on_after_them(world: World) -> None:
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", SYMBOLS)
    refuse(world, "/fapi/v1/listenKey", 3)
    refuse(world, "/fapi/v1/exchangeInfo", 3)
    bot = world.start_bot(SYMBOLS=SYMBOLS, MAX_RETRIES="0")  # a retry would sit the second out
    eventually("book and venue agree", lambda: "book and venue agree" in bot.text(), 60)
    assert bot.text().count("the start waits") == 2
    assert bot.interrupt(30) == 0, bot.text()


def refuse(world: World, path: str, seconds: int) -> None:
    """Let the venue answer the next request to a path with 429 and how long it wants silence."""
    args = {"status": 429, "headers": {"Retry-After": str(seconds)}}
    fault = {"kind": "rest_status", "count": 1, "match": {"path": path}, "args": args}
    body = json.dumps(fault).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{world.url}/sim/faults", body, headers)  # noqa: S310
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def test_a_book_that_cannot_be_read_ends_the_start_with_70(world: World) -> None:
    (world.folder / "saboteur.py").write_text(f"{SABOTEUR}\n{UNREADABLE}\n", encoding="utf-8")
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", SYMBOLS)
    bot = world.start_bot(
        SYMBOLS=SYMBOLS,
        STRATEGY="saboteur:Saboteur",
        ROOT_MAX_RESTARTS="1",
        PYTHONPATH=str(world.folder),
    )
    assert bot.wait(90) == SupervisorGaveUpError.exit_code, bot.text()
    (last,) = [line for line in bot.text().splitlines() if line.startswith("error: ")]
    assert "persistence: more than 1 crashes of rooms in 120 s" in last
    assert "Traceback" not in bot.text()
    assert world.ledger()["orders"] == []


@pytest.mark.parametrize("room", DEFECTS)
def test_a_room_that_keeps_crashing_ends_with_70_and_its_crash_runs_again(
    world: World, room: str
) -> None:
    source = f"{SABOTEUR}\n{DEFECTS[room]}\n"
    (world.folder / "saboteur.py").write_text(source, encoding="utf-8")
    here = {"PYTHONPATH": str(world.folder)}
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", SYMBOLS)
    bot = world.start_bot(
        SYMBOLS=SYMBOLS,
        STRATEGY="saboteur:Saboteur",
        ALLOW_TECHNICAL_ONLY="true",
        ROOT_MAX_RESTARTS="1",
        **here,
    )
    assert bot.wait(90) == SupervisorGaveUpError.exit_code, bot.text()
    (last,) = [line for line in bot.text().splitlines() if line.startswith("error: ")]
    assert f"{room}: more than 1 crashes of rooms in 120 s" in last
    assert "Traceback" not in bot.text()
    assert world.ledger()["orders"] == []
    files = sorted((world.state / "crashes").glob(f"crash-*-{room}-*.json"))
    assert len(files) == 2
    for file in files:
        found = rerun(world, file, **here)
        assert found["same"] is True
        assert found["actor"] == room
        assert found["error"].startswith("ValueError('a defect') at saboteur.py:")
        assert found["messages"]


def rerun(world: World, file: Path, **env: str) -> dict[str, object]:
    """Run `replay-crash` on a file and return its answer."""
    again = world.start("replay-crash", str(file), "--json", name=file.stem, **env)
    assert again.wait(60) == 0, again.text()
    answer: dict[str, object] = json.loads(again.text())
    return answer


def test_when_no_symbol_is_left_it_ends_with_70_and_begins_again_reduce_only(
    world: World,
) -> None:
    (world.folder / "martyr.py").write_text(MARTYR, encoding="utf-8")
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", SYMBOLS)
    flag, control = world.folder / "poison.flag", world.state / "control.json"
    given = {
        "SYMBOLS": SYMBOLS,
        "STRATEGY": "martyr:Martyr",
        "ALLOW_TECHNICAL_ONLY": "true",
        "PYTHONPATH": str(world.folder),
        "FLAG": str(flag),
    }
    bot = world.start_bot(MAX_RESTARTS="0", **given)
    eventually("the bot is up", lambda: control.exists() and "control API" in bot.text(), 60)
    flag.touch()
    assert bot.wait(90) == SupervisorGaveUpError.exit_code, bot.text()
    (last,) = [line for line in bot.text().splitlines() if line.startswith("error: ")]
    assert "no symbol is left: 2 of 2 symbols quarantined within 60 s" in last
    assert "ValueError('poison')" in last

    before = len(entries(world))
    flag.unlink()
    again = world.start_bot(name="again", **given)
    refused = "SELECT 1 FROM decisions WHERE reason_code = 'state'"
    eventually("a wish is refused", lambda: world.rows(refused), 90)
    assert len(entries(world)) == before
    revive = world.start("revive", SYMBOLS.partition(",")[0], name="revive")
    assert revive.wait(60) == 0, revive.text()
    eventually("an entry", lambda: len(entries(world)) > before, 60)
    assert again.interrupt(60) == 0, again.text()


def entries(world: World) -> list[object]:
    return [o for o in world.ledger()["orders"] if "-E-" in o["clientOrderId"]]
