"""The README's commands, run as it gives them; one that this test does not know fails it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from actors.edges.strategy_loader import refuse_look_ahead, sample_candles
from tests.commands.archived import Archive
from tests.process.conftest import ROOT, World, eventually

pytestmark = pytest.mark.process

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [
    line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines() if line
]
LONG_RUNNING = (
    "make run",
    ".venv/bin/python run.py venue --port 8899 --speed 60 --seed 7",
    "VENUE=embedded VENUE_URL=http://127.0.0.1:8899 .venv/bin/python run.py --config paper.yaml",
    "STRATEGY=my_strategy:Breakout .venv/bin/python run.py",
)
WHILE_IT_RUNS = (
    ".venv/bin/python run.py status",
    ".venv/bin/python run.py crash BTCUSDT",
    ".venv/bin/python run.py status --json",
    ".venv/bin/python run.py explain ETHUSDT@now",
)
LEARNING = (
    ".venv/bin/python run.py train --data DIR --symbols BTCUSDT,ETHUSDT",
    ".venv/bin/python run.py evaluate --data DIR --json",
)
DOWNLOAD = (
    ".venv/bin/python run.py download"
    " --symbols BTCUSDT,ETHUSDT --from 2025-01-01 --to 2025-07-01 --out DIR"
)
BACKTEST = (
    ".venv/bin/python run.py backtest"
    " --data DIR --from 2025-05-10 --to 2025-06-20 --report backtest.html"
)
REPORT = ".venv/bin/python run.py report --html report.html"
SWEEP = ".venv/bin/python run.py sweep --data DIR --space space.yaml --trials 100"
REAL_VENUE = (
    "export API_KEY=... API_SECRET=...",
    ".venv/bin/python run.py --config testnet.yaml",
)
THIS_VERY_RUN = ("make test",)
STOPPING = (
    ".venv/bin/python run.py check",
    '.venv/bin/python run.py halt --reason "news at 14:00"',
    ".venv/bin/python run.py resume --yes",
    ".venv/bin/python run.py pause BTCUSDT",
    ".venv/bin/python run.py resume BTCUSDT --yes",
    ".venv/bin/python run.py flatten --yes",
    "touch state/KILL",
    "echo flatten > state/KILL",
    'kill -USR1 "$(cat state/bot.lock)"',
    ".venv/bin/python run.py panic --config paper.yaml",
    "rm state/KILL",
)


def shell(command: str, world: World, name: str, **env: str) -> "Shell":
    return Shell(command.replace(".venv/bin/python", sys.executable), world, name, env)


class Shell:
    """A shell command of the README in a process group of its own, as a terminal runs it."""

    def __init__(self, command: str, world: World, name: str, env: dict[str, str]) -> None:
        self.log = world.folder / f"{name}.log"
        ours = ("API_", "VENUE", "MAKE", "ARGS")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=ROOT,
                env=clean | {"STATE_DIR": str(world.state)} | env,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ctrl_c(self, within_s: float = 60.0) -> int:
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(within_s)

    def says(self, words: str, within_s: float = 60.0) -> None:
        eventually(f"{words!r} in {self.log.name}", lambda: words in self.text(), within_s)

    def done(self, within_s: float = 60.0) -> int:
        return self.process.wait(within_s)


def test_every_command_of_the_readme_is_known_here() -> None:
    known = {*LONG_RUNNING, *WHILE_IT_RUNS, *STOPPING, *LEARNING, *REAL_VENUE, *THIS_VERY_RUN}
    known |= {DOWNLOAD, BACKTEST, REPORT, SWEEP}
    assert set(COMMANDS) == known


def test_make_run_trades_and_the_second_terminal_works(world: World) -> None:
    bot = shell("make run", world, "make-run")
    try:
        bot.says("Stop orders placed", 90)
        for number, command in enumerate(WHILE_IT_RUNS):
            asked = shell(command, world, f"asked-{number}")
            assert asked.done(30) == 0, asked.text()
        bot.says("symbol/BTCUSDT restarted, generation 2")
    finally:
        code = bot.ctrl_c()
    assert code in (0, -signal.SIGINT, 2, 130), bot.text()  # how make and shell report an interrupt
    assert "Traceback" not in bot.text()


def test_every_way_to_stop_works_as_written(world: World) -> None:
    bot = shell(".venv/bin/python run.py --no-dashboard", world, "bot")
    try:
        bot.says("Stop orders placed", 90)
        for number, command in enumerate(STOPPING):
            here = command.replace("state/", f"{world.state}/")
            asked = shell(here, world, f"stopping-{number}")
            assert asked.done(60) == 0, (command, asked.text(), bot.text())
        page = world.folder / "report.html"
        told = shell(REPORT.replace("report.html", str(page)), world, "report")
        assert told.done(60) == 0, told.text()
        assert page.exists()
        bot.says("HALTED: cli: news at 14:00", 1)
        bot.says("FLATTEN: cli", 1)
    finally:
        assert bot.ctrl_c() == 0, bot.text()


def test_the_venue_alone_takes_the_bot(world: World) -> None:
    venue = shell(LONG_RUNNING[1], world, "venue")
    try:
        venue.says("venue ready on http://127.0.0.1:8899", 30)
        bot = shell(LONG_RUNNING[2], world, "bot")
        try:
            bot.says("order placed")
        finally:
            assert bot.ctrl_c() == 0, bot.text()
    finally:
        assert venue.ctrl_c() == 0, venue.text()


def test_download_fetches_from_an_archive_of_the_public_layout(world: World) -> None:
    archive = Archive()
    try:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            for month in range(1, 7):
                archive.put_month(symbol, 2025, month)
        out = world.folder / "candles"
        command = DOWNLOAD.replace("DIR", str(out))
        download = shell(f"{command} --base {archive.url} --interval 1h", world, "download")
        assert download.done() == 0, download.text()
    finally:
        archive.stop()
    assert len(list(out.glob("*.zip"))) == 2 * 6 * 2


def test_train_and_evaluate_work_on_candle_files(world: World) -> None:
    data = world.folder / "data"
    data.mkdir()
    frame = sample_candles(3_000)
    frame.insert(0, "open_time", frame.index.as_unit("ms").astype("int64"))
    for symbol in ("BTCUSDT", "ETHUSDT"):
        frame.to_csv(data / f"{symbol}-1m.csv", index=False)
    for number, command in enumerate(LEARNING):
        learned = shell(command.replace("DIR", str(data)), world, f"learn-{number}")
        assert learned.done(120) == 0, learned.text()
        assert "BTCUSDT" in learned.text()


def test_the_backtest_trades_the_days_it_is_told(world: World) -> None:
    data = world.folder / "data"
    data.mkdir()
    frame = sample_candles(42 * 24 * 60)
    opened = pd.date_range("2025-05-09", periods=len(frame), freq="min", tz="UTC")
    frame.insert(0, "open_time", opened.as_unit("ms").astype("int64"))
    frame.to_csv(data / "BTCUSDT-1m.csv", index=False)
    page = world.folder / "backtest.html"
    traded = shell(
        BACKTEST.replace("DIR", str(data)).replace("backtest.html", str(page)),
        world,
        "backtest",
        SYMBOLS="BTCUSDT",
        FUNDING="zero",
        ALLOW_TECHNICAL_ONLY="true",
    )
    assert traded.done(120) == 0, traded.text()
    assert "59,041 bars, " in traded.text()  # those of the days, and the close before the first
    assert "to 2025-06-20 00:00 UTC" in traded.text()
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_sweep_searches_the_space_as_written(world: World) -> None:
    data = world.folder / "data"
    data.mkdir()
    frame = sample_candles(14_100)  # the fewest minutes for five blocks and a day between them
    frame.insert(0, "open_time", frame.index.as_unit("ms").astype("int64"))
    frame.to_csv(data / "BTCUSDT-1m.csv", index=False)
    space = world.folder / "space.yaml"
    space.write_text(blocks("yaml")[0], encoding="utf-8")
    here = SWEEP.replace("DIR", str(data)).replace("space.yaml", str(space))
    searched = shell(here.replace("100", "10"), world, "sweep", SYMBOLS="BTCUSDT", FUNDING="zero")
    assert searched.done(120) == 0, searched.text()
    assert "10 tries, " in searched.text()
    assert "best: try " in searched.text()


def test_the_example_strategy_is_sound_and_trades(world: World) -> None:
    source = blocks("python")[0]
    space: dict[str, type] = {}
    exec(source, space)  # noqa: S102 - our own README
    strategy = space["Breakout"]({})
    refuse_look_ahead(strategy, "Breakout")
    (world.folder / "my_strategy.py").write_text(source, encoding="utf-8")
    bot = shell(LONG_RUNNING[3], world, "strategy", PYTHONPATH=str(world.folder))
    try:
        bot.says("Signal: BUY", 90)
        bot.says("BUY order placed", 60)
    finally:
        assert bot.ctrl_c() == 0, bot.text()


def test_a_real_venue_is_refused_in_one_line_without_network(world: World) -> None:
    keys = {"API_KEY": "k" * 64, "API_SECRET": "s" * 64}
    refused = shell(REAL_VENUE[1], world, "testnet", **keys)
    assert refused.done(90) == 75, refused.text()
    last = refused.text().strip().splitlines()[-1]
    assert last.startswith("error: "), last
    assert "s" * 64 not in refused.text()


def test_the_files_that_the_readme_links_to_exist() -> None:
    for link in re.findall(r"\]\((docs/[^)]+)\)", README):
        assert Path(ROOT / link).exists(), link
