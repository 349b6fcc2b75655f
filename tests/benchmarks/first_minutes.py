"""Measures the demo's first minutes over many seeds: `python -m tests.benchmarks.first_minutes`.

Each run is what `make run` does, as processes, in a folder of its own: bot and embedded venue at
paper.yaml's settings.  Times are wall seconds since the bot's process was started.  Printed per
seed: five symbols decided, first entry, first stop or target, both kinds, and any halt; at the end
the share of seeds with an exit by 60 s.
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.execution.client_id import purpose_of
from core.messages import Purpose

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


def measure(seed: int, seconds: float) -> Run:
    """Run the demo once."""
    run, pause = Run(seed), threading.Event()
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
            observe(run, state, since)
            pause.wait(0.5)
        bot.send_signal(signal.SIGINT)
        bot.wait(30)
        run.halted = any(b"HALTED:" in line for line in lines)
    return run


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--first", type=int, default=1)
    options.add_argument("--seconds", type=float, default=65.0)
    options.add_argument("--jobs", type=int, default=3)
    given = options.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = list(pool.map(lambda seed: measure(seed, given.seconds), seeds))

    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    print("seed  decided  entry  exit  stop  target  halted")  # noqa: T201
    for run in runs:
        times = (run.decided_s, run.entry_s, run.exit_s, run.stop_s, run.target_s)
        print(f"{run.seed:4d}", *(f"{cell(t):>7}" for t in times), run.halted)  # noqa: T201
    within = sum(run.exit_s is not None and run.exit_s <= EXIT_WITHIN_S for run in runs)
    print(f"exit within {EXIT_WITHIN_S:.0f} s: {within} of {len(runs)} seeds")  # noqa: T201


if __name__ == "__main__":
    main()
