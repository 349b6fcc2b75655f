"""Measures the demo's first minutes over many seeds: `python -m tests.benchmarks.first_minutes`.

Each run is what `make run` does, as processes, in a folder of its own: bot and embedded venue at
paper.yaml's settings.  Times are wall seconds since the bot's process was started.  Printed of the
slowest: five symbols decided, first entry; and the share of seeds with an exit by 60 s.
"""

import argparse
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from core.execution.client_id import purpose_of
from core.messages import Purpose
from tests.benchmarks.figures import Figure, run

ROOT = Path(__file__).parents[2]
EXIT_WITHIN_S = 60.0
TAG = "afb"


@dataclass(slots=True)
class Run:
    """What one seed showed; None where it did not happen in time."""

    seed: int
    decided_s: float | None = None
    entry_s: float | None = None
    exit_s: float | None = None
    stop_s: float | None = None
    target_s: float | None = None
    halted: bool = False
    memory_mib: float = 0.0  # resident, at the end


def ledger_of(state: Path) -> dict[str, Any] | None:
    """Return the embedded venue's books, None while it is not up."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        url = json.loads((state / "venue" / "venue.json").read_text(encoding="utf-8"))["url"]
        with urllib.request.urlopen(f"{url}/sim/ledger", timeout=5) as answer:  # noqa: S310
            return dict(json.load(answer))
    return None


def deciding(state: Path) -> int:
    """Count the symbols with a decision of their own in the database."""
    with contextlib.suppress(sqlite3.Error):
        connection = sqlite3.connect(f"file:{state / 'async_bot_state.db'}?mode=ro", uri=True)
        try:
            query = "SELECT COUNT(DISTINCT symbol) FROM signals"
            return int(connection.execute(query).fetchone()[0])
        finally:
            connection.close()
    return 0


def observe(run: Run, state: Path, since: float) -> None:
    """Look once, and note what is there for the first time."""
    now = time.monotonic() - since
    if run.decided_s is None and deciding(state) == 5:
        run.decided_s = now
    ledger = ledger_of(state)
    if ledger is None:
        return
    filled = {
        purpose_of(TAG, order["clientOrderId"])
        for order in ledger["orders"]
        if order["status"] == "FILLED"
    }
    if run.entry_s is None and Purpose.ENTRY in filled:
        run.entry_s = now
    if run.stop_s is None and Purpose.STOP in filled:
        run.stop_s = now
    if run.target_s is None and Purpose.TARGET in filled:
        run.target_s = now
    if run.exit_s is None and filled & {Purpose.STOP, Purpose.TARGET}:
        run.exit_s = now


def observed(seed: int, seconds: float) -> Run:
    """Run the demo once."""
    seen, pause = Run(seed), threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        env |= {"STATE_DIR": str(state), "VENUE_SEED": str(seed)}
        since = time.monotonic()
        bot = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), "--no-dashboard"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert bot.stderr is not None
        lines: list[bytes] = []
        reader = threading.Thread(target=lambda: lines.extend(bot.stderr or ()), daemon=True)
        reader.start()
        while time.monotonic() - since < seconds and bot.poll() is None:
            observe(seen, state, since)
            pause.wait(0.5)
        seen.memory_mib = psutil.Process(bot.pid).memory_info().rss / 2**20
        bot.send_signal(signal.SIGINT)
        bot.wait(30)
        seen.halted = any(b"HALTED:" in line for line in lines)
    return seen


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Run the demo on some seeds; the slowest of them counts."""
    seconds = 12.0 if given.short else given.seconds
    seeds = range(given.first, given.first + given.seeds)
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = list(pool.map(lambda seed: observed(seed, seconds), seeds))

    def figure(name: str, target: float, times: list[float | None]) -> Figure:
        known = [seconds if taken is None else taken for taken in times]
        never = sum(taken is None for taken in times)
        note = f"seeds {seeds[0]} to {seeds[-1]}" + (f"; {never} not within it" if never else "")
        return Figure(name=name, ours=max(known), unit="s", target=target, note=note)

    yield figure("first start: five symbols deciding", 10.0, [run.decided_s for run in runs])
    yield figure("first start: first entry on the ledger", 30.0, [run.entry_s for run in runs])
    within = sum(run.exit_s is not None and run.exit_s <= EXIT_WITHIN_S for run in runs)
    yield Figure(
        name=f"demos with a stop or target hit within {EXIT_WITHIN_S:.0f} s",
        ours=within / len(runs),
        unit="of them",
        note=f"{sum(run.halted for run in runs)} of {len(runs)} halted",
    )
    yield Figure(
        name="memory of the bot, five symbols live, model training beside it included",
        ours=max(run.memory_mib for run in runs),
        unit="MiB",
        target=350.0,
        note=f"after {seconds:.0f} s",
    )


def add_options(options: argparse.ArgumentParser) -> None:
    """Say which seeds, for how long, and how many at once."""
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--first", type=int, default=7)
    options.add_argument("--seconds", type=float, default=65.0)
    options.add_argument("--jobs", type=int, default=3)


if __name__ == "__main__":
    sys.exit(run(measure, __doc__, add_options))
