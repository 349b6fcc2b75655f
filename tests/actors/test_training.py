"""Training beside trading: it waits its turn, takes what is better, and its accidents are lines."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loguru import logger

from actors.edges.training_child import read_candles, write_candles
from actors.edges.training_process import COMMAND, TrainingProcess
from actors.model_shelf import ModelShelf
from actors.training import Training
from config import Config
from core.clock import NS_PER_MS, Moment
from core.messages import ModelReady
from core.symbol.features import CANDLE_COLUMNS
from models.model_files import model_path, version_path
from tests.symbol.seeded_candles import seeded_candles

BARS = 1_200
CANDLES = seeded_candles(BARS, 11, rhythm=0.4)
OPEN_MS = CANDLES.index.as_unit("ms").asi8.tolist()
NOW_NS = (OPEN_MS[-1] + 90_000) * NS_PER_MS  # half a minute into the bar after the last
ROOT = Path(__file__).parents[2]


class StillClock:
    """Both clocks stand where they are put."""

    def __init__(self, now_ns: int = NOW_NS) -> None:
        self.now_ns = now_ns

    def now(self) -> Moment:
        return Moment(venue_ns=self.now_ns, wall_ns=self.now_ns)

    def wall_ns(self) -> int:
        return self.now_ns


def klines(symbol: str, bars: int, end_ms: int | None) -> list[list[Any]]:
    """What the venue serves: pages by open time, the newest bar still open."""
    rows = [
        [open_ms, *map(str, row), open_ms + 59_999, "0", 1, "1.5", "0", "0"]
        for open_ms, row in zip(OPEN_MS, CANDLES.to_numpy().tolist(), strict=True)
    ]
    forming = OPEN_MS[-1] + 60_000
    rows.append([forming, "1", "1", "1", "1", "1", forming + 59_999, "0", 1, "0.5", "0", "0"])
    return [row for row in rows if end_ms is None or row[0] <= end_ms][-bars:]


def settings(folder: Path, **changes: Any) -> Config:
    given = {"STATE_DIR": str(folder), "SYMBOLS": "BTCUSDT", "RETRAIN_HOURS": 24, **changes}
    return Config(_env_file=None, _environ={}, **given)


def a_training(folder: Path, process: TrainingProcess | None = None, **changes: Any) -> Training:
    (folder / "logs").mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "config": settings(folder),
        "shelf": ModelShelf(folder / "models"),
        "clock": StillClock(),
        "fetch": klines,
        "post": lambda _: None,
        "traded": lambda: True,
        "process": process,
    }
    return Training(**given | changes)


def script(folder: Path, text: str, patience_s: float = 20.0) -> TrainingProcess:
    """A child that does what `text` says instead of training."""
    log = folder / "training.log"
    return TrainingProcess(log, patience_s=patience_s, command=(sys.executable, "-c", text))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    said: list[str] = []
    sink = logger.add(lambda line: said.append(str(line)), format="{level} {message}")
    yield said
    with contextlib.suppress(ValueError):
        logger.remove(sink)


async def until(done: Callable[[], Any], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not done():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


def run_until(training: Training, done: Callable[[], Any]) -> None:
    async def life() -> None:
        training.start()
        try:
            await until(done)
        finally:
            await training.stop()

    asyncio.run(life())


def has(lines: list[str], text: str) -> Callable[[], bool]:
    return lambda: any(text in line for line in lines)


def test_a_first_model_is_trained_loaded_and_announced(tmp_path, lines):
    posted: list[ModelReady] = []
    shelf = ModelShelf(tmp_path / "models")
    run_until(a_training(tmp_path, shelf=shelf, post=posted.append), has(lines, "training is done"))
    model = shelf.current("BTCUSDT")
    assert model is not None
    sha256 = model.manifest["sha256"]
    assert posted == [ModelReady(symbol="BTCUSDT", sha256=sha256)]
    assert model.manifest["range_ms"] == [OPEN_MS[0], OPEN_MS[-1]]  # without the forming bar
    path = model_path(tmp_path / "models", "BTCUSDT")
    assert version_path(path, sha256).read_bytes() == path.read_bytes()
    assert (tmp_path / "models" / "BTCUSDT_model_card.html").exists()
    assert not (tmp_path / "training").exists()
    said = [line for line in lines if "[BTCUSDT]" in line]
    assert "trained on" in said[0]
    assert "it is the first" in said[1]


def test_nothing_begins_before_the_first_trade(tmp_path, lines):
    asked: list[str] = []
    traded = False

    def fetch(symbol: str, bars: int, end_ms: int | None) -> list[list[Any]]:
        asked.append(symbol)
        return []

    training = a_training(tmp_path, script(tmp_path, ""), fetch=fetch, traded=lambda: traded)

    async def life() -> None:
        nonlocal traded
        training.start()
        await until(has(lines, "training begins after the first trade"))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not asked
        traded = True
        await until(lambda: asked)
        await training.stop()

    asyncio.run(life())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise SystemExit(9)", "ended with code 9"),
        ("import os; os.kill(os.getpid(), 11)", "ended with code -11"),
        ("print('nonsense')", "said b'nonsense\\n', which is no answer"),
        ("print('x' * 3_000_000)", "said too long a line"),
        ("import time; time.sleep(600)", "was not done within 1 s"),
    ],
)
def test_an_accident_of_the_process_is_a_line_in_the_log(tmp_path, lines, text, said):
    process = script(tmp_path, text, patience_s=1.0 if "sleep" in text else 30.0)
    posted: list[ModelReady] = []
    training = a_training(tmp_path, process, post=posted.append)
    run_until(training, has(lines, "models stay as they are"))
    assert has(lines, said)(), lines
    assert not posted
    assert training.due() == ()  # the next turn is a retraining later, not at once
    assert process.pid is None


def test_a_venue_that_does_not_answer_is_a_line_too(tmp_path, lines):
    def fetch(symbol: str, bars: int, end_ms: int | None) -> list[list[Any]]:
        raise OSError("no way to the venue")

    run_until(a_training(tmp_path, fetch=fetch), has(lines, "no training this time"))


def test_a_model_that_nobody_can_verify_is_not_taken(tmp_path, lines):
    told = {"symbol": "BTCUSDT", "accepted": True, "reason": "", "rows": 1, "verdict": "good"}
    posted: list[ModelReady] = []
    process = script(tmp_path, f"print({json.dumps(json.dumps(told))})")
    run_until(a_training(tmp_path, process, post=posted.append), has(lines, "training is done"))
    assert has(lines, "BTCUSDT_gradient_boosting.joblib is missing")()
    assert not posted


def test_a_short_history_is_named(tmp_path, lines):
    short = lambda symbol, bars, end_ms: klines(symbol, bars, end_ms)[-90:]  # noqa: E731
    run_until(a_training(tmp_path, fetch=short), has(lines, "training is done"))
    assert has(lines, "[BTCUSDT] not trained: ")()


def test_a_model_is_retrained_when_it_is_old_by_venue_time(tmp_path):
    clock = StillClock()
    process = script(tmp_path, "")
    training = a_training(tmp_path, process, clock=clock, config=settings(tmp_path))
    assert training.due() == ("BTCUSDT",)

    async def once() -> None:
        training.start()
        await until(lambda: not training.due())
        await training.stop()

    asyncio.run(once())
    clock.now_ns += 23 * 3_600 * 10**9
    assert training.due() == ()
    clock.now_ns += 2 * 3_600 * 10**9
    assert training.due() == ("BTCUSDT",)


@pytest.mark.parametrize("changes", [{"RETRAIN_HOURS": 0}, {"VENUE_URL": "http://127.0.0.1:8899"}])
def test_it_is_off_by_default_and_on_a_venue_that_is_not_ones_own(tmp_path, changes):
    assert not a_training(tmp_path, config=settings(tmp_path, **changes)).wanted


def test_stopping_ends_the_process(tmp_path):
    process = script(tmp_path, "import time; time.sleep(600)")
    training = a_training(tmp_path, process)
    seen: list[int] = []

    async def life() -> None:
        training.start()
        await until(lambda: process.pid)
        assert process.pid is not None
        seen.append(process.pid)
        await training.stop()

    asyncio.run(life())
    with pytest.raises(ProcessLookupError):
        os.kill(seen[0], 0)


def busy_child(folder: Path) -> subprocess.Popen[bytes]:
    """Start a real child whose candles never come: opening the pipe to read them blocks."""
    os.mkfifo(folder / "pipe")
    job = {"candles": {"BTCUSDT": str(folder / "pipe")}, "model_dir": "x", "model_type": "y"}
    child = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, cwd=ROOT)
    assert child.stdin is not None
    child.stdin.write(json.dumps(job).encode() + b"\n")
    child.stdin.flush()
    return child


def test_the_child_leaves_when_whoever_started_it_is_gone(tmp_path):
    """A kill -9 closes the pipe, and that is all the child needs to know."""
    child = busy_child(tmp_path)
    assert child.poll() is None
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(60) == 3


def test_the_child_ends_by_itself_when_it_is_done(tmp_path):
    job = {"candles": {}, "model_dir": str(tmp_path), "model_type": "histogram"}
    child = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, cwd=ROOT)
    assert child.stdin is not None
    child.stdin.write(json.dumps(job).encode() + b"\n")
    child.stdin.flush()  # and left open, as it is while the bot lives
    assert child.wait(60) == 0
    child.stdin.close()


def test_the_process_is_niced(tmp_path):
    child = busy_child(tmp_path)
    deadline = time.monotonic() + 60
    while os.getpriority(os.PRIO_PROCESS, child.pid) != 19 and time.monotonic() < deadline:
        os.sched_yield()
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == 19
    child.kill()
    child.communicate()


def test_candles_survive_the_way_to_the_child(tmp_path):
    table = np.column_stack([CANDLES.to_numpy(), np.full(BARS, np.nan)])
    write_candles(tmp_path / "candles.npz", np.array(OPEN_MS), table)
    found = read_candles(tmp_path / "candles.npz")
    assert tuple(found.columns) == CANDLE_COLUMNS
    assert found["close"].tolist() == CANDLES["close"].tolist()
    assert found.index.tolist() == CANDLES.index.tolist()
