"""Measures what the trace costs an actor per message: `python -m tests.benchmarks.tracing_cost`.

What counts is the processor time of the actor's own thread for both ends of a message, `sent` and
`handled`, with the clock reading handed in as live; the median and the worst of several rounds.
A loguru line to a file and one `Directory.send` are measured in the same run, for scale, and what
the tracer's own thread needs per message, off the actor's path.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

from loguru import logger

from actors.directory import Directory
from actors.mailbox import Envelope, Mailbox
from actors.tracing import Tracer
from core import messages as m
from core.clock import Moment
from tests.benchmarks.figures import Figure, run

MESSAGES = 20_000
LINES = 2_000
ROUNDS = 7


class RealClock:
    """The wall, for both clocks."""

    def now(self) -> Moment:
        """Return this instant."""
        return Moment(venue_ns=time.time_ns(), wall_ns=time.time_ns())

    def wall_ns(self) -> int:
        """Return wall time."""
        return time.time_ns()


def a_message() -> m.OrderSeen:
    """Return a message of the usual size."""
    return m.OrderSeen(
        venue_id="BTCUSDT:1",
        symbol="BTCUSDT",
        side=m.Side.BUY,
        order_type="MARKET",
        quantity=Decimal("0.001"),
        price=Decimal("105000.10"),
        status="FILLED",
        at_ns=1,
    )


def thread_us(act: Callable[[int], None], count: int) -> float:
    """Return this thread's processor time per call, us."""
    start = time.thread_time_ns()
    for number in range(count):
        act(number)
    return (time.thread_time_ns() - start) / count / 1e3


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Measure both ends of a message, a send, and a line of the human log."""
    messages, lines, rounds = (200, 50, 1) if given.short else (MESSAGES, LINES, ROUNDS)
    message, moment = a_message(), Moment(venue_ns=1, wall_ns=1, speed=60.0)
    with tempfile.TemporaryDirectory() as folder:
        tracer = Tracer(Path(folder) / "traces", 1)
        directory = Directory(epoch=1, clock=RealClock(), tracer=tracer)
        directory.open("feed", Mailbox("feed", directory.bury))
        envelope = Envelope(message, id=1, trace=1, sender="feed", recipient="feed", sent_ns=1)
        logger.remove()
        logger.add(Path(folder) / "bot.log")

        def both_ends(_: int) -> None:
            tracer.sent(envelope)
            tracer.handled(envelope, 1, 2, "ok", now=moment, generation=1)

        def send(_: int) -> None:
            directory.send(message, ("feed",), sender="feed", cause=envelope)

        thread_us(both_ends, messages)  # warm
        traced = [thread_us(both_ends, messages) for _ in range(rounds)]
        sent = thread_us(send, messages)
        logged = thread_us(lambda _: logger.info("a line of the human log"), lines)
        before_ns, handled = time.process_time_ns(), tracer.ended_count
        tracer.close(60.0)
        spent_us = (time.process_time_ns() - before_ns) / 1e3
        written = spent_us / max(1, tracer.ended_count - handled)
    yield Figure(
        name="tracing, per message, on the actor's thread",
        ours=statistics.median(traced),
        unit="us",
        target=2.0,
        peer="a loguru line",
        theirs=logged,
        note=f"worst round {max(traced):.2f}",
    )
    yield Figure(
        name="a send with its envelope, trace and mailbox",
        ours=sent,
        unit="us",
        note=f"off the actor's path, encoding and writing both lines: {written:.1f}",
    )


if __name__ == "__main__":
    sys.exit(run(measure, __doc__))
