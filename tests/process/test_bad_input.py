"""What cannot be used is refused in one line, with its code; nothing is left half-started."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.process.conftest import ROOT, World, eventually
from tests.process.learned import SYMBOLS, skilled_models
from tests.process.leftovers import nothing_is_left

pytestmark = pytest.mark.process

KEYS = {"API_KEY": "k" * 64, "API_SECRET": "s" * 64}
NETWORK_SLACK_S = 25.0  # start of the program on a busy machine; REST_TIMEOUT comes on top
TWO = ",".join(SYMBOLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A start that must be refused: what is given, and what the one line says."""

    says: tuple[str, ...]
    code: int = 64
    config: str = "paper.yaml"
    env: dict[str, str] = field(default_factory=dict)
    yaml: str | bytes | None = None  # a settings file of its own
    state: str = "state"  # below the case's folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How a start ended."""

    folder: Path
    code: int
    stdout: str
    stderr: str
    took_s: float


CASES = {
    "a wrong setting": Case(
        env={"LEVERAGE": "0"}, says=("LEVERAGE must be at least 1", "'0'", "environment")
    ),
    "a wrong setting in a file": Case(
        yaml="VENUE: embedded\nmax_open_positions: -5\n",
        says=("MAX_OPEN_POSITIONS must be at least 1", "-5", "own.yaml line 2"),
    ),
    "an unknown key": Case(yaml="leverag: 3\n", says=("'leverag'", "line 1", "LEVERAGE?")),
    "unreadable YAML": Case(yaml="VENUE: [1\nSYMBOLS: {\n", says=("own.yaml", "YAML", "line")),
    "YAML that is no text": Case(yaml=b"\xff\xfe\x00", says=("own.yaml", "UTF-8")),
    "a missing file": Case(config="nowhere.yaml", says=("--config", "nowhere.yaml", "paper.yaml")),
    "an unknown symbol": Case(env={"SYMBOLS": "BTCUSDT,FOOUSDT"}, says=("SYMBOLS", "FOOUSDT")),
    "a state directory below a file": Case(state="file/state", says=("STATE_DIR", "file/state")),
    "an occupied venue port": Case(
        env={"VENUE_PORT": "OCCUPIED"}, says=("VENUE_PORT", "OCCUPIED", "in use")
    ),
    "an occupied control port": Case(
        env={"CONTROL_PORT": "OCCUPIED"}, says=("CONTROL_PORT", "OCCUPIED", "in use")
    ),
    "a venue that is not there": Case(
        env={"VENUE_URL": "http://127.0.0.1:FREE"}, code=75, says=("VENUE_URL", "FREE")
    ),
    "a database that is none": Case(
        env={"DB_FILE": "DAMAGED"}, code=75, says=("DB_FILE", "not a database")
    ),
    "an unknown strategy": Case(
        env={"STRATEGY": "nowhere:Strategy"}, says=("STRATEGY", "nowhere:Strategy")
    ),
    "a class that is no strategy": Case(
        env={"STRATEGY": "json:JSONDecoder"}, says=("STRATEGY", "json:JSONDecoder")
    ),
    "live without a key": Case(config="prod.yaml", says=("API_KEY", "empty")),
    "live without a secret": Case(
        config="prod.yaml", env={"API_KEY": "k" * 64}, says=("API_SECRET", "empty")
    ),
    "live without consent": Case(config="prod.yaml", env=KEYS, says=("I_UNDERSTAND_LIVE", "yes")),
    "live without a network": Case(
        config="prod.yaml",
        env=KEYS | {"I_UNDERSTAND_LIVE": "yes", "REST_TIMEOUT": "4"},
        code=75,
        says=("live venue", "unavailable"),
    ),
}
WITHOUT_STATE = ("a wrong setting", "an unknown key", "unreadable YAML", "a missing file")
WITHOUT_STATE += ("live without a key", "live without a secret", "live without consent")


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Refusal]]]:
    """Run every case, two at a time."""
    root = tmp_path_factory.mktemp("refusals")
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("127.0.0.1", 0)) as freed,
        ThreadPoolExecutor(2) as pool,
    ):
        ports = {"OCCUPIED": str(taken.getsockname()[1]), "FREE": str(freed.getsockname()[1])}
        freed.close()
        yield {
            name: pool.submit(start, root / str(number), case, ports)
            for number, (name, case) in enumerate(CASES.items())
        }


def start(folder: Path, case: Case, ports: dict[str, str]) -> Refusal:
    folder.mkdir()
    (folder / "file").touch()
    (folder / "damaged.db").write_bytes(b"this is no database at all" * 200)
    filled = {"DAMAGED": str(folder / "damaged.db"), **ports}
    config = case.config
    if case.yaml is not None:
        config = str(folder / "own.yaml")
        text = case.yaml.encode() if isinstance(case.yaml, str) else case.yaml
        Path(config).write_bytes(text)
    env = {name: replaced(text, filled) for name, text in case.env.items()}
    return finished(["--config", config], folder, env | {"STATE_DIR": str(folder / case.state)})


def finished(arguments: list[str], folder: Path, env: dict[str, str]) -> Refusal:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=ROOT,
        env=kept | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Refusal(
        folder=folder,
        code=done.returncode,
        stdout=done.stdout,
        stderr=done.stderr,
        took_s=time.monotonic() - started,
    )


def replaced(text: str, filled: dict[str, str]) -> str:
    for name, value in filled.items():
        text = text.replace(name, value)
    return text


def is_one_line(refusal: Refusal, code: int, *words: str) -> None:
    assert refusal.code == code, refusal.stderr
    assert not refusal.stdout
    (line,) = refusal.stderr.splitlines()
    assert line.startswith("error: ")
    assert "Fix: " in line
    for word in words:
        assert word in line
    for secret in KEYS.values():
        assert secret not in line


@pytest.mark.parametrize("name", CASES)
def test_refuses_in_one_line(name: str, refusals: dict[str, Future[Refusal]]) -> None:
    case, refusal = CASES[name], refusals[name].result(240)
    places = {"OCCUPIED", "FREE"}
    is_one_line(refusal, case.code, *(word for word in case.says if word not in places))
    nothing_is_left(refusal.folder / case.state)
    if name in WITHOUT_STATE:
        assert not (refusal.folder / case.state).exists(), "it made folders before it refused"


def test_an_occupied_port_is_named(refusals: dict[str, Future[Refusal]]) -> None:
    for name in ("an occupied venue port", "an occupied control port"):
        line = refusals[name].result(240).stderr
        assert any(word.strip("(),.").isdecimal() for word in line.split()), line


def test_an_unreachable_live_venue_is_refused_in_time(
    refusals: dict[str, Future[Refusal]],
) -> None:
    refusal = refusals["live without a network"].result(240)
    assert refusal.took_s < float(CASES["live without a network"].env["REST_TIMEOUT"]) + (
        NETWORK_SLACK_S
    )


def test_a_second_bot_and_another_ledger_are_refused(world: World) -> None:
    """On one state directory: while a bot runs, and after it ran on another venue."""
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", TWO)
    first = world.start_bot(SYMBOLS=TWO)
    control = world.state / "control.json"
    eventually("the bot is up", control.exists, 60)
    published = control.read_bytes()

    second = refused_start(world)
    is_one_line(second, 75, "STATE_DIR", str(world.state), "in use by pid")
    assert first.alive(), "the second start ended the first bot"
    assert control.read_bytes() == published
    assert first.interrupt() == 0, first.text()

    rows = world.rows("SELECT * FROM epochs")
    other = World(world.folder / "other")
    other.folder.mkdir()
    try:
        other.start_venue("--seed", "3", "--speed", "60", "--symbols", TWO)
        refused = refused_start(world, VENUE_URL=other.url)
        assert other.ledger()["orders"] == []
    finally:
        other.end()
    is_one_line(refused, 64, "DB_FILE", "belongs to the ledger")
    nothing_is_left(world.state)
    assert [tuple(r) for r in world.rows("SELECT * FROM epochs")] == [tuple(r) for r in rows]


def refused_start(world: World, **env: str) -> Refusal:
    given = {"STATE_DIR": str(world.state), "VENUE_URL": world.url, "SYMBOLS": TWO}
    return finished(["--config", "paper.yaml"], world.folder, given | env)


def test_looser_limits_need_a_word_once(world: World) -> None:
    world.start_venue("--symbols", "BTCUSDT")

    def start(*words: str, **env: str) -> tuple[int, str]:
        short = ("--config", "paper.yaml", "--no-dashboard", "--duration", "0.1", *words)
        place = {"VENUE": "embedded", "VENUE_URL": world.url, "SYMBOLS": "BTCUSDT"}
        bot = world.start(*short, **place, **env)
        return bot.wait(60), bot.text()

    assert start(MAX_OPEN_POSITIONS="2")[0] == 0
    code, text = start()
    assert code == 64, text
    assert "MAX_OPEN_POSITIONS 2 -> 3: looser than at the last start. Fix: " in text
    assert "--confirm-loosen" in text
    assert start("--confirm-loosen")[0] == 0
    assert start()[0] == 0


def test_a_corrupt_model_is_refused_and_the_setting_decides_about_trading(tmp_path: Path) -> None:
    worlds = {allowed: World(tmp_path / allowed) for allowed in ("true", "false")}
    try:
        bots = {}
        for allowed, world in worlds.items():
            world.folder.mkdir()
            spoil(skilled_models(), world.state / "models")
            world.start_venue("--seed", "3", "--speed", "60", "--symbols", TWO)
            bots[allowed] = world.start_bot(
                SYMBOLS=TWO, ALLOW_TECHNICAL_ONLY=allowed, MIN_SIGNAL_STRENGTH="0.01"
            )
        eventually("technical signals trade", lambda: worlds["true"].ledger()["orders"], 90)
        shut = worlds["false"]
        eventually("the bot is up", (shut.state / "control.json").exists, 60)
        after_ms = shut.ledger()["time"] + 10 * 60_000
        eventually("ten minutes of the venue", past(shut, after_ms), 60)
        assert shut.ledger()["orders"] == []
        for symbol in SYMBOLS:
            for allowed, says in (("true", "technical signals only"), ("false", "not trading")):
                lines = [
                    line
                    for line in bots[allowed].text().splitlines()
                    if f"[{symbol}] model " in line
                ]
                assert len(lines) == 1, lines
                assert "[WARNING] prediction_models" in lines[0]
                assert "is not the file its manifest names" in lines[0]
                assert "Fix: " in lines[0]
                assert says in lines[0]
        for bot in bots.values():
            assert bot.interrupt() == 0, bot.text()
            assert "Traceback" not in bot.text()
    finally:
        for world in worlds.values():
            world.end()


def past(world: World, venue_ms: int) -> Callable[[], bool]:
    return lambda: world.get("/sim/health")["venue_ms"] > venue_ms


def spoil(models: Path, target: Path) -> None:
    """Copy models and key, and change a byte in the middle of each model."""
    shutil.copytree(models, target)
    shutil.copy(models.with_name("models.key"), target.with_name("models.key"))
    for file in target.glob("*.joblib"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
