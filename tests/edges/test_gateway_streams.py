"""Streams over days: rotation before the venue's cut, silence, storms; on virtual time."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from actors.edges import streams
from actors.edges.streams import Attempts, Stream
from actors.stepped import Timeline
from core.clock import NS_PER_S
from core.messages import StreamDown, StreamUp
from tests.simulation.loop import SteppedLoop

HOUR_S = 3600.0


class Feed:
    """A venue that numbers its frames, sends one a second on every socket, and cuts after 24 h."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, dead: bool = False) -> None:
        self.loop = loop
        self.dead = dead
        self.opened: list[float] = []
        self.open_now: set[FeedSocket] = set()
        self.refuses_until = 0.0

    async def open(self) -> "FeedSocket":
        self.opened.append(self.loop.time())
        if self.dead or self.loop.time() < self.refuses_until:
            raise ConnectionRefusedError("no venue")
        return FeedSocket(self)


class FeedSocket:
    ws = None
    ws_state: Any = None

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.born = feed.loop.time()
        self.mute = False
        feed.open_now.add(self)

    async def recv(self) -> int:
        while True:
            now = self.feed.loop.time()
            await asyncio.sleep(60.0 - now % 60.0)  # a frame each full minute
            if self.feed.loop.time() - self.born >= 24 * HOUR_S:
                raise ConnectionResetError("24 h")
            if not self.mute:
                return round(self.feed.loop.time() / 60.0)

    async def close(self) -> None:
        self.feed.open_now.discard(self)


class Bench:
    """A stream on a timeline, and what it said."""

    def __init__(self) -> None:
        self.timeline = Timeline(0)
        self.loop = SteppedLoop(self.timeline)
        self.said: list[Any] = []
        self.frames: list[int] = []

    def stream(self, feed: Feed, sockets: int = 1, **given: Any) -> Stream:
        stream = Stream(
            "market",
            openers=given.pop("openers", [feed.open] * sockets),
            on_frame=self.frames.append,
            post=self.said.append,
            attempts=given.pop("attempts", Attempts()),
            **given,
        )
        self.loop.create_task(stream.run())
        return stream

    def run(self, until_s: float) -> None:
        while True:
            while self.loop.busy():
                self.loop.turn()
            due_ns = self.timeline.next_ns()
            if due_ns is None or due_ns > until_s * NS_PER_S:
                return
            self.timeline.happen()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.loop.close()


def test_sockets_are_replaced_before_the_cut_one_by_one_and_nothing_is_missed(bench):
    feed = Feed(bench.loop)
    bench.stream(feed, sockets=3, silence_s=90)
    bench.run(72 * HOUR_S)
    assert bench.said == [StreamUp(stream="market", connection=1)]
    assert sorted(set(bench.frames)) == list(range(1, 72 * 60 + 1))
    assert len(feed.open_now) == 3
    replaced = feed.opened[3:]
    assert len(replaced) >= 9
    apart = [later - earlier for earlier, later in itertools.pairwise(replaced)]
    assert min(apart) > 1.0


def test_a_replacement_that_fails_leaves_the_old_socket_in_place(bench):
    feed = Feed(bench.loop)
    bench.stream(feed, silence_s=90)
    bench.run(HOUR_S)
    feed.refuses_until = 23.5 * HOUR_S
    bench.run(30 * HOUR_S)
    assert bench.said == [StreamUp(stream="market", connection=1)]
    assert sorted(set(bench.frames)) == list(range(1, 30 * 60 + 1))


def test_one_mute_socket_of_several_is_noticed(bench):
    feed = Feed(bench.loop)
    stream = bench.stream(feed, sockets=3, silence_s=180)
    bench.run(HOUR_S)
    silent: list[float] = []
    bench.loop.call_soon(lambda: silent.append(stream.silent_s))
    next(iter(feed.open_now)).mute = True
    bench.run(HOUR_S + 170)
    bench.loop.call_soon(lambda: silent.append(stream.silent_s))
    bench.run(HOUR_S + 175)
    assert silent == [0.0, pytest.approx(120, abs=60)]
    bench.run(2 * HOUR_S)
    down, up = bench.said[1:3]
    assert (down, up) == (
        StreamDown(stream="market", reason="silence"),
        StreamUp(stream="market", connection=2),
    )
    assert len(feed.open_now) == 3


def test_a_dead_venue_is_not_stormed(bench):
    feed = Feed(bench.loop, dead=True)
    attempts = Attempts(most=20, period_s=300)
    for _ in range(4):
        bench.stream(feed, attempts=attempts)
    bench.run(HOUR_S)
    times = feed.opened
    assert max(sum(t - 300 < at <= t for at in times) for t in times) == 20
    feed.dead = False
    bench.run(HOUR_S + 700)
    assert sum(isinstance(word, StreamUp) for word in bench.said) == 4


def test_it_is_rebuilt_after_a_loss_also_when_an_attempt_runs_into_its_time_limit(bench):
    feed = Feed(bench.loop)
    hangs = iter((False, True, False))

    async def slow() -> FeedSocket:
        async with asyncio.timeout(3):
            await asyncio.sleep(60 * next(hangs))
            return await feed.open()

    bench.stream(feed, openers=[slow], silence_s=90)
    bench.run(61)
    next(iter(feed.open_now)).mute = True
    bench.run(300)
    assert bench.said == [
        StreamUp(stream="market", connection=1),
        StreamDown(stream="market", reason="silence"),
        StreamUp(stream="market", connection=2),
    ]
    tasks = [task for task in bench.loop.tasks() if task.cancelling()]
    assert tasks == []  # a task marked as cancelled takes its next timeout for a cancellation


def test_up_is_said_only_once_every_socket_is(bench):
    feed = Feed(bench.loop)
    opened = []

    async def third() -> FeedSocket:
        if not opened:
            opened.append(1)
            raise ConnectionRefusedError
        return await feed.open()

    stream = Stream(
        "market",
        openers=(feed.open, feed.open, third),
        on_frame=bench.frames.append,
        post=bench.said.append,
        attempts=Attempts(),
    )
    bench.loop.create_task(stream.run())
    bench.run(0.1)
    assert bench.said == []
    assert feed.open_now == set()  # the two that were up are not left behind
    bench.run(5)
    assert bench.said == [StreamUp(stream="market", connection=1)]
    assert len(feed.open_now) == 3


def test_the_oldest_a_socket_gets_is_below_the_venue_s_day():
    assert streams.ROTATE_S[1] + 3600 <= 24 * HOUR_S
