"""What a hop costs: our actors beside bare pykka, in one run: `python -m tests.benchmarks.hops`.

A chain of four actors is sent one message at a time while nothing else happens; measured is the
wall time from the first send to the last actor's handling.  Then 500 actors are sent one message
each at once.  Ours carry lanes, ids, causes and both trace lines of every message; bare pykka
carries the message.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pykka

from actors.directory import Directory
from actors.edges.system_clock import SystemClock
from actors.mailbox import Mailbox
from actors.tracing import Tracer
from actors.trading_actor import ActorContext, TradingActor
from core.messages import ActorStarted
from tests.benchmarks.figures import Figure, quantile, run

CHAIN = 4
MESSAGES = 2_000
CROWD = 500
ROUNDS = 5
Arrived = Callable[[], None]


@dataclass(slots=True)
class Finish:
    """Tells the sender when the last one has handled its message."""

    wanted: int
    event: threading.Event
    lock: threading.Lock
    count: int = 0

    def arrive(self) -> None:
        """Count one arrival."""
        with self.lock:
            self.count += 1
            if self.count == self.wanted:
                self.event.set()


def finish(wanted: int) -> Finish:
    """Return a finish line for so many arrivals."""
    return Finish(wanted, threading.Event(), threading.Lock())


class Ours(TradingActor):
    """Hands a message on to the next name, or crosses the line."""

    def __init__(self, context: ActorContext, following: str, line: list[Finish]) -> None:
        super().__init__(context)
        self._following = following
        self._line = line

    def handle(self, message: Any) -> tuple[Any, ...]:
        """Pass on."""
        if not self._following:
            self._line[0].arrive()
            return ()
        mailbox, directory = self.context.mailbox, self.context.directory
        directory.send(message, [self._following], sender=self.context.name, cause=mailbox.current)
        return ()


class Bare(pykka.ThreadingActor):
    """The same on pykka alone."""

    use_daemon_thread = True

    def __init__(self, following: Any, line: list[Finish]) -> None:
        super().__init__()
        self._following = following
        self._line = line

    def on_receive(self, message: Any) -> None:
        """Pass on."""
        if self._following is None:
            self._line[0].arrive()
        else:
            self._following.tell(message)


def start_ours(directory: Directory, name: str, following: str, line: list[Finish]) -> None:
    """Start one of ours."""
    mailbox = Mailbox(name, directory.bury)
    directory.open(name, mailbox)
    context = ActorContext(name=name, generation=1, mailbox=mailbox, directory=directory)
    Ours.start(context, following, line)


def chain_us(send: Callable[[Any], None], line: list[Finish], messages: int) -> tuple[float, float]:
    """Return p50 and p99 of a message through the chain, in microseconds."""
    taken = []
    for number in range(messages):
        line[0] = finish(1)
        message = ActorStarted(name="x", symbol="BTCUSDT", generation=number)
        started = time.perf_counter()
        send(message)
        line[0].event.wait()
        taken.append((time.perf_counter() - started) * 1e6)
    return median(taken), quantile(taken, 0.99)


def crowd_ms(send_all: Callable[[Any], None], line: list[Finish]) -> float:
    """Return the time until all of the crowd have handled one message each, in milliseconds."""
    line[0] = finish(CROWD)
    message = ActorStarted(name="x", symbol="BTCUSDT", generation=1)
    started = time.perf_counter()
    send_all(message)
    line[0].event.wait()
    return (time.perf_counter() - started) * 1e3


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Measure both, some rounds in turn; the middle round by its ratio."""
    line: list[Finish] = [finish(1)]
    messages, rounds = (50, 1) if given.short else (MESSAGES, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        tracer = Tracer(Path(folder), 1)
        directory = Directory(epoch=1, clock=SystemClock(), tracer=tracer)
        for place in range(CHAIN):
            following = f"chain/{place + 1}" if place + 1 < CHAIN else ""
            start_ours(directory, f"chain/{place}", following, line)
        crowd = [f"crowd/{number}" for number in range(CROWD)]
        for name in crowd:
            start_ours(directory, name, "", line)
        following: Any = None
        for _ in range(CHAIN):
            following = Bare.start(following, line)
        first = following
        bare_crowd = [Bare.start(None, line) for _ in range(CROWD)]

        def ours(message: Any) -> None:
            directory.send(message, ["chain/0"], sender="", cause=None)

        def ours_all(message: Any) -> None:
            directory.send(message, crowd, sender="", cause=None)

        def bare_all(message: Any) -> None:
            for ref in bare_crowd:
                ref.tell(message)

        chains, crowds = [], []
        for _ in range(rounds):
            chains.append((chain_us(ours, line, messages), chain_us(first.tell, line, messages)))
            crowds.append((crowd_ms(ours_all, line), crowd_ms(bare_all, line)))
        tracer.close()
    (p50, p99), (bare_p50, _) = sorted(chains, key=lambda pair: pair[0][0] / pair[1][0])[
        rounds // 2
    ]
    yield Figure(
        name=f"traced chain of {CHAIN} actors, idle, p50",
        ours=p50,
        unit="us",
        target=2.0,
        of_theirs=True,
        peer="bare pykka",
        theirs=bare_p50,
        note=f"p99 {p99:.0f}",
    )
    mine, bare = sorted(crowds, key=lambda pair: pair[0] / pair[1])[rounds // 2]
    yield Figure(
        name=f"{CROWD} actors sent one message each at once",
        ours=mine,
        unit="ms",
        target=100.0,
        peer="bare pykka",
        theirs=bare,
    )


if __name__ == "__main__":
    sys.exit(run(measure, __doc__))
