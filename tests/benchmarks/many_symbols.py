"""What more symbols cost: `python -m tests.benchmarks.many_symbols --sizes 1,5,50,200,500`.

Bot and venue are processes of their own; all symbols' klines close at the same moment, every ten
seconds of the wall.  Measured from the bot's trace and its process, of each size: from the first
closed kline to the last symbol's decision on that minute, klines that any symbol missed, processor
time for a bar of a symbol, memory, threads, and the time until all have decided for the first time.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from core.venue.simulated.instruments import expanded
from tests.benchmarks.figures import Figure, run
from tests.chaos.processes import CANARIES, SETTINGS, SYMBOLS, GaveUpError, Venue, eventually

ROOT = Path(__file__).parents[2]
SPEED = 6.0
WITHIN_S = 300.0
STRATEGY = "core.symbol.strategy:EnhancedStrategy"


@dataclass(slots=True)
class Minute:
    """One minute's close: who was told when, and when the last had decided."""

    first_ns: int = 0
    last_ns: int = 0
    told: int = 0
    decided: int = 0

    @property
    def took_ms(self) -> float:
        """Return the time from the first closed kline to the last decision."""
        return (self.last_ns - self.first_ns) / 1e6


class Closes:
    """The minutes' closes that the trace tells of, read on as it grows."""

    def __init__(self, traces: Path) -> None:
        self.minutes: dict[int, Minute] = defaultdict(Minute)
        self._traces = traces
        self._read: dict[Path, int] = {}
        self._sent: dict[int, int] = {}

    def read_on(self) -> None:
        """Take in the whole lines that were written since."""
        for file in sorted(self._traces.glob("*.jsonl")):
            with file.open("rb") as lines:
                lines.seek(self._read.get(file, 0))
                text = lines.read()
            whole = text.rpartition(b"\n")[0]
            self._read[file] = self._read.get(file, 0) + len(whole) + bool(whole)
            for line in whole.splitlines():
                self._take(line)

    def _take(self, line: bytes) -> None:
        if line.startswith(b'{"event":"handled"'):
            row = json.loads(line)
            if row["id"] in self._sent:
                minute = self.minutes[self._sent.pop(row["id"])]
                minute.last_ns = max(minute.last_ns, row["done"])
                minute.decided += 1
        elif b'"kind":"ClosedKline"' in line and b'"to":"symbol/' in line:
            row = json.loads(line)
            minute = self.minutes[row["body"]["event_ns"]]
            minute.first_ns = min(minute.first_ns or row["at"], row["at"])
            minute.told += 1
            self._sent[row["id"]] = row["body"]["event_ns"]


def observed(count: int, bars: int) -> Iterator[Figure]:
    """Run so many symbols for so many minutes after the first."""
    symbols = SYMBOLS[:count]
    if count > len(SYMBOLS):
        symbols = expanded((*SYMBOLS, f"SIM:{count - len(SYMBOLS)}"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = folder / "state"
        state.mkdir()
        venue = Venue(folder, 7, SPEED, symbols=",".join(symbols))
        env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        env |= SETTINGS | CANARIES
        env |= {"STATE_DIR": str(state), "VENUE_URL": venue.url, "SYMBOLS": ",".join(symbols)}
        env |= {"STRATEGY": STRATEGY, "KLINE_HISTORY": "200", "REST_TIMEOUT": "10"}
        command = [sys.executable, "run.py", "--config", "paper.yaml", "--no-dashboard"]
        began = time.monotonic()
        with (folder / "console.log").open("wb") as console:
            bot = subprocess.Popen(command, cwd=ROOT, env=env, stdout=console, stderr=console)

        closes = Closes(state / "traces")

        def whole() -> list[Minute]:
            if bot.poll() is not None:
                raise GaveUpError((folder / "console.log").read_text(encoding="utf-8")[-2_000:])
            closes.read_on()
            return [minute for minute in closes.minutes.values() if minute.decided >= count]

        try:
            eventually("all have decided", whole, WITHIN_S, pause_s=1.0)
            up_s, process = time.monotonic() - began, psutil.Process(bot.pid)
            cpu, at, seen = process.cpu_times(), time.monotonic(), len(whole())
            enough = seen + bars
            eventually("more minutes", lambda: len(whole()) >= enough, WITHIN_S, pause_s=1.0)
            spent, lasted = process.cpu_times(), time.monotonic() - at
            memory, threads = process.memory_info().rss / 2**20, process.num_threads()
        finally:
            bot.send_signal(signal.SIGINT)
            bot.wait(90)
            venue.stop()
        closes.read_on()
    minutes = [minute for _, minute in sorted(closes.minutes.items())]
    wholes = [place for place, minute in enumerate(minutes) if minute.decided >= count]
    later = minutes[wholes[0] + 1 : wholes[-1] + 1]
    missed = sum(count - m.decided for m in later)
    seconds = (spent.user + spent.system) - (cpu.user + cpu.system)
    yield Figure(
        name=f"{count} symbols closing at once: last decision",
        ours=median(m.took_ms for m in later),
        unit="ms",
        target=100.0,
        note=f"worst of {len(later)} minutes {max(m.took_ms for m in later):.0f}",
    )
    yield Figure(name=f"{count} symbols: klines missed", ours=missed, unit="of them", target=0.0)
    yield Figure(
        name=f"{count} symbols: processor time of a symbol's bar, all of the bot in it",
        ours=seconds / max(1.0, lasted * SPEED / 60.0) / count * 1e3,
        unit="ms",
        note=f"{seconds / lasted:.0%} of a core, a minute every {60 / SPEED:.0f} s",
    )
    yield Figure(
        name=f"{count} symbols: memory",
        ours=memory,
        unit="MiB",
        target=350.0 + 0.5 * max(0, count - 5),
        note=f"{threads} threads",
    )
    yield Figure(name=f"{count} symbols: from start to all decided", ours=up_s, unit="s")


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Measure each size."""
    sizes = [2] if given.short else [int(size) for size in given.sizes.split(",")]
    for count in sizes:
        yield from observed(count, 1 if given.short else given.bars)


def add_options(options: argparse.ArgumentParser) -> None:
    """Say how many symbols, and for how many minutes."""
    options.add_argument("--sizes", default="5,500")
    options.add_argument("--bars", type=int, default=5)


if __name__ == "__main__":
    sys.exit(run(measure, __doc__, add_options))
