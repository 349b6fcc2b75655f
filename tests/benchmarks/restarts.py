"""How long a killed actor is away, and whether restarts leak.

Run `python -m tests.benchmarks.restarts`.  Kills (2,000 over 200 symbols by default) are timed from
sending the deadly message to the successor's start-up, with a backoff of 1 ms; the soak restarts
one symbol 10,000 times and compares threads and memory before and after.
"""

import argparse
import ctypes
import gc
import queue
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from loguru import logger

from actors.children import Budget, ChildSpec
from actors.directory import Directory
from actors.edges.system_clock import SystemClock
from actors.mailbox import Mailbox
from actors.runtime import Threads
from actors.shutdown import stop_in_order
from actors.supervisor import SupervisorActor
from actors.tracing import Tracer
from actors.trading_actor import ActorContext, TradingActor
from core import messages as m
from tests.benchmarks.figures import Figure, quantile, run

PATIENCE_S = 30.0
BACKOFF_S = 0.001
ROW = ("persistence", "risk", "execution", "feed")
BEFORE_THE_SOAK_COUNTS = 2_000  # restarts until caches and pools have their size
READINGS = 10
# Pools and the table of interned names take a step now and then, and give it back; what each
# restart kept would show as ten times as much after ten times as many.
GROWTH_MAX_KIB = 3_072


class Victim(TradingActor):
    """Dies when told to, and says when it is there again."""

    def __init__(self, context: ActorContext, births: "queue.SimpleQueue[tuple[str, int]]") -> None:
        super().__init__(context)
        self._births = births

    def start_up(self) -> Iterable[Any]:
        self._births.put((self.context.name, time.perf_counter_ns()))
        return ()

    def handle(self, message: Any) -> Iterable[Any]:
        if not isinstance(message, m.CrashNow):
            return ()
        raise RuntimeError("killed")


class Nothing:
    """Stands for the gateway."""

    def put(self, _: Any, /) -> None:
        return


class Field:
    """A supervised tree of victims."""

    def __init__(self, symbols: int, folder: Path) -> None:
        self.births: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self.runtime = Threads()
        self.tracer = Tracer(folder, 1)
        clock = SystemClock()
        self.directory = Directory(epoch=1, clock=clock, tracer=self.tracer)
        self.directory.open("gateway", Nothing())
        self.symbols = [f"S{number}" for number in range(symbols)]
        specs = [ChildSpec(name=n, actor_class=Victim, arguments=(self.births,)) for n in ROW]
        specs += [
            ChildSpec(name=f"symbol/{s}", actor_class=Victim, arguments=(self.births,), symbol=s)
            for s in self.symbols
        ]
        mailbox = Mailbox("supervisor", self.directory.bury)
        self.directory.open("supervisor", mailbox)
        built: list[SupervisorActor] = []
        SupervisorActor.start(
            ActorContext(
                name="supervisor", generation=1, mailbox=mailbox, directory=self.directory
            ),
            tuple(specs),
            Budget(
                restarts_max=10**9,
                period_s=1.0,
                root_restarts_max=0,
                root_period_s=1.0,
                backoff_min_s=BACKOFF_S,
                backoff_max_s=BACKOFF_S,
                reset_after_s=60.0,
            ),
            self.runtime,
            print,
            seed=1,
            publish=built.append,
        )
        self.supervisor = built[0]
        for _ in specs:
            self.births.get(timeout=PATIENCE_S)

    def kill(self, symbol: str) -> float:
        """Kill a symbol's actor; return the ms until its successor was there."""
        began = time.perf_counter_ns()
        self.directory.post(m.CrashNow(symbol=symbol), sender="operator", cause=None)
        name, born = self.births.get(timeout=PATIENCE_S)
        assert name == f"symbol/{symbol}"
        return (born - began) / 1e6

    def kill_all(self) -> list[float]:
        """Kill all at once; return how long each was away."""
        began = time.perf_counter_ns()
        for symbol in self.symbols:
            self.directory.post(m.CrashNow(symbol=symbol), sender="operator", cause=None)
        return [(self.births.get(timeout=PATIENCE_S)[1] - began) / 1e6 for _ in self.symbols]

    def end(self) -> None:
        """Stop all."""
        self.runtime.stop()
        assert stop_in_order(self.supervisor) == []
        self.tracer.close()


def resident_kib() -> int:
    """Return this process's memory in RAM, KiB, without what the allocator merely keeps at hand."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS")


def at_rest_kib() -> int:
    """Return the least memory of some readings: what the tracer works with comes and goes."""
    pause, readings = threading.Event(), []
    for _ in range(READINGS):
        pause.wait(0.1)
        readings.append(resident_kib())
    return min(readings)


def soak(field: Field, restarts: int) -> tuple[int, int, int]:
    """Restart one symbol again and again; return the threads it added, and KiB before and after."""
    for _ in range(min(BEFORE_THE_SOAK_COUNTS, restarts)):
        field.kill(field.symbols[0])
    threads, before_kib = threading.active_count(), at_rest_kib()
    for _ in range(restarts):
        field.kill(field.symbols[0])
    return threading.active_count() - threads, before_kib, at_rest_kib()


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Kill one after another, all at once, and one again and again."""
    symbols, kills, restarts = given.symbols, given.kills, given.soak
    if given.short:
        symbols, kills, restarts = 5, 20, 50
    logger.remove()
    with tempfile.TemporaryDirectory() as folder:
        field = Field(symbols, Path(folder))
        away = [field.kill(field.symbols[n % symbols]) for n in range(kills)]
        p50, p99 = statistics.median(away), quantile(away, 0.99)
        yield Figure(
            name=f"crashed actor handling messages again, p99 of {kills} kills",
            ours=p99 - BACKOFF_S * 1e3,
            unit="ms",
            target=50.0,
            note=f"after 1 ms of backoff; p50 {p50 - BACKOFF_S * 1e3:.2f}",
        )
        together = max(field.kill_all())
        yield Figure(name=f"all {symbols} killed at once, last one back", ours=together, unit="ms")
        began = time.perf_counter()
        threads, before_kib, after_kib = soak(field, restarts)
        yield Figure(
            name=f"memory gained by {restarts} restarts",
            ours=float(after_kib - before_kib),
            unit="KiB",
            target=float(GROWTH_MAX_KIB),
            note=f"from {before_kib}; threads {threads:+d}; {time.perf_counter() - began:.0f} s",
        )
        field.end()


def add_options(options: argparse.ArgumentParser) -> None:
    """Say how much is killed."""
    options.add_argument("--kills", type=int, default=2_000)
    options.add_argument("--symbols", type=int, default=200)
    options.add_argument("--soak", type=int, default=10_000)


if __name__ == "__main__":
    sys.exit(run(measure, __doc__, add_options))
