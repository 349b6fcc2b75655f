"""From a closed kline to its order, on the wire: `python -m tests.benchmarks.wire_path`.

Bot and venue are processes of their own, and a relay between them sees both ends: the moment it
has passed on a symbol's closed kline, and the moment it reads the entry's request that answers it.
Between them lie the frame's decoding, features, signal, every rule of risk, the journal's commit
with its fsync, signing, and both of the relay's own sockets.  Five symbols close at once, each
enters on every second kline; the breakdown is of the same entries, from the bot's trace.
"""

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.figures import Figure, quantile, run
from tests.chaos.processes import CANARIES, SETTINGS, SYMBOLS, GaveUpError, Venue, eventually
from tests.process.relay import Relay

ROOT = Path(__file__).parents[2]
SPEED = 240.0  # a kline each quarter of a second
WITHIN_S = 300.0
HOPS = {  # the message that ends a part of the way: which part that is
    "ClosedKline": "frame decoded, kline with its symbol",
    "Proposal": "features, signal, decision of the symbol",
    "RecordIntent": "risk and execution",
    "PlaceOrder": "journal commit",
}


class EverySecondBar:
    """Enters on even minutes and leaves on odd ones."""

    warmup = 5

    def __init__(self, config: dict[str, Any]) -> None:
        self._begin = Path(str(config["STATE_DIR"])) / "begin"

    def generate_signal(self, df: Any) -> tuple[str | None, float, dict[str, Any]]:
        """Return BUY or CLOSE by the minute of the newest bar."""
        if not self._begin.exists():
            return None, 0.0, {}
        return ("CLOSE" if df.index[-1].minute % 2 else "BUY"), 0.9, {}


class Watch(Relay):
    """Notes when klines went to the bot, and how long after them entries came back."""

    def __init__(self, venue_url: str) -> None:
        self.closed_ns: dict[bytes, int] = {}
        self.taken_ms: list[float] = []
        super().__init__(venue_url)

    def heard(self, frame: bytes) -> None:
        """Note the moment of a closed kline."""
        now_ns = time.perf_counter_ns()
        if b'"x":true' in frame:
            symbol = frame.partition(b'"s":"')[2].partition(b'"')[0]
            self.closed_ns[symbol] = now_ns

    def asked(self, data: bytes) -> None:
        """Note the moment of an entry."""
        now_ns = time.perf_counter_ns()
        if not data.startswith(b"POST /fapi/v1/order") or b"afb-E-" not in data:
            return
        symbol = data.partition(b"symbol=")[2].partition(b"&")[0].partition(b" ")[0]
        since_ns = self.closed_ns.pop(symbol.strip(), None)
        if since_ns is not None:
            self.taken_ms.append((now_ns - since_ns) / 1e6)


def hops_of(traces: Path) -> dict[str, list[float]]:
    """Return the milliseconds of each part of the way, of every entry in the trace."""
    sent: dict[int, dict[str, Any]] = {}
    for file in sorted(traces.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row.get("event") == "sent":
                sent[row["id"]] = {key: row.get(key) for key in ("kind", "at", "cause", "trace")}
    found: dict[str, list[float]] = {part: [] for part in HOPS.values()}
    for row in sent.values():
        if row["kind"] != "PlaceOrder":
            continue
        steps, at = {}, row
        while at is not None:
            steps.setdefault(at["kind"], at["at"])
            at = sent.get(at["cause"])
        known = [kind for kind in HOPS if kind in steps]
        for earlier, later in itertools.pairwise(known):
            found[HOPS[later]].append((steps[later] - steps[earlier]) / 1e6)
    return found


def up(bot: "subprocess.Popen[bytes]", folder: Path) -> bool:
    """Tell whether the bot trades; raises GaveUpError with its words if it has ended."""
    if bot.poll() is not None:
        raise GaveUpError((folder / "console.log").read_text(encoding="utf-8"))
    return (folder / "state" / "control.json").exists()


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Trade until there are enough entries."""
    entries = 10 if given.short else given.entries
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = folder / "state"
        state.mkdir()
        venue = Venue(folder, 7, SPEED, symbols=",".join(SYMBOLS))
        watch = Watch(venue.url)
        env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        env |= (
            SETTINGS
            | CANARIES
            | {
                "STATE_DIR": str(state),
                "VENUE_URL": watch.url,
                "STRATEGY": "tests.benchmarks.wire_path:EverySecondBar",
                "MAX_OPEN_POSITIONS": "5",
                "STOPLOSS_PCT": "0.02",
                "TAKE_PROFIT_PCT": "0.04",
                "ORDERS_PER_10S": "100000",
                "ORDERS_PER_MIN": "1000000",
            }
        )
        command = [sys.executable, "run.py", "--config", "paper.yaml", "--no-dashboard"]
        with (folder / "console.log").open("wb") as console:
            bot = subprocess.Popen(command, cwd=ROOT, env=env, stdout=console, stderr=console)
        try:
            eventually("the bot is up", lambda: up(bot, folder), 60)
            (state / "begin").touch()
            eventually("entries", lambda: len(watch.taken_ms) >= entries, WITHIN_S)
        finally:
            bot.send_signal(signal.SIGINT)
            bot.wait(60)
            watch.stop()
            venue.stop()
        taken = watch.taken_ms[len(watch.taken_ms) // 10 :]  # the first ones warm up
        parts = [
            f"{part} {median(times):.2f}"
            for part, times in hops_of(state / "traces").items()
            if times
        ]
    yield Figure(
        name=f"closed kline frame to entry request on the wire, p50 of {len(taken)}",
        ours=median(taken),
        unit="ms",
        target=3.0,
        note="; ".join(parts),
    )
    yield Figure(name="the same, p99", ours=quantile(taken, 0.99), unit="ms", target=10.0)


def add_options(options: argparse.ArgumentParser) -> None:
    """Say how many entries are wanted."""
    options.add_argument("--entries", type=int, default=1_000)


if __name__ == "__main__":
    sys.exit(run(measure, __doc__, add_options))
