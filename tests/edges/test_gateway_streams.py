"""Streams over days: rotation before the venue's cut, silence, storms; on virtual time.

What the library itself puts on a stream when it gives up is shown on a real one, on loopback.
"""

import asyncio
import itertools
import logging
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from actors.edges import streams
from actors.edges.binance_client import ReadLoopClosed
from actors.edges.governor import governor_of
from actors.edges.streams import Attempts, Stream
from actors.edges.venue_link import live_ends
from actors.stepped import Timeline
from core import messages as m
from core.clock import NS_PER_S
from core.feed.frames import parse_market
from core.feed.machine import FeedMachine
from core.messages import StreamDown, StreamUp
from core.symbol.machine import SymbolMachine
from tests.builders import MINUTE_NS, SYMBOL, an_instrument
from tests.edges.gateway_desk import Desk, Simulated
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


# ---------------------------------------- the library gives up
class GivesUp(FeedSocket):
    """The library's stream after four failed reconnects: an error item, then none is to be had."""

    told = False

    async def recv(self) -> Any:
        if self.told:
            raise ReadLoopClosed("Read loop has been closed")
        self.told = True
        return {"e": "error", "type": "BinanceWebsocketUnableToConnect", "m": "4 reconnects"}


def test_error_items_one_after_the_other_are_answered_by_growing_pauses(bench):
    feed = Feed(bench.loop)

    async def opened() -> FeedSocket:
        feed.opened.append(feed.loop.time())
        return GivesUp(feed)

    feed.open = opened
    bench.stream(feed, silence_s=90)
    bench.run(600)
    words = "BinanceWebsocketUnableToConnect 4 reconnects"
    assert bench.said[:4] == [
        StreamUp(stream="market", connection=1),
        StreamDown(stream="market", reason=words),
        StreamUp(stream="market", connection=2),
        StreamDown(stream="market", reason=words),
    ]
    assert bench.frames == []  # the item is no frame
    pauses = [later - earlier for earlier, later in itertools.pairwise(feed.opened)]
    assert all(pauses[n + 2] > pauses[n] for n in range(3))
    assert min(pauses[5:]) >= 5
    assert max(pauses) <= 10
    assert len(feed.open_now) <= 1  # none is left behind


class Overflow(logging.Handler):
    """Hears the library say that it has dropped a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.said = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "BinanceWebsocketQueueOverflow" in record.getMessage():
            self.said.set()


class Idle:
    """A strategy that only needs its candles."""

    warmup = 20

    def generate_signal(self, df: pd.DataFrame) -> tuple[str | None, float, dict[str, Any]]:
        return None, 0.0, {}


class Candles:
    """Feed and symbol over one market stream; what they ask for is fetched by REST."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.heard: list[int] = []  # open times of closed candles of the stream
        self.feed = FeedMachine((SYMBOL,))
        self.symbol = SymbolMachine(
            symbol=SYMBOL,
            strategy=Idle(),
            strategy_name="idle",
            instrument=an_instrument(),
            interval_ns=MINUTE_NS,
            bars=100,
            bars_min=20,
            generation=1,
        )

    async def take(self, said: tuple[Any, ...]) -> None:
        for asked in said:
            if isinstance(asked, m.FetchHistory):
                answer = await asyncio.to_thread(self.desk.ask, asked)
                await self.take(self.symbol.handle(answer, self.desk.clock.now()))

    async def hear(self, news: Any) -> None:
        now = self.desk.clock.now()
        for message in self.feed.handle(news, now):
            if isinstance(message, m.ClosedKline):
                self.heard.append(message.candle.open_time_ns)
            if isinstance(message, m.ClosedKline | m.Resync):
                await self.take(self.symbol.handle(message, now))


class FirstConnection:
    """Opens market sockets at a venue by the library, and does something to the first one."""

    def __init__(self, desk: Desk, fault: str) -> None:
        self.desk, self.fault = desk, fault
        self._ends = live_ends(desk.config, desk.venue.url, desk.clock)
        self._owner = self._ends.client(5_000, governor_of(desk.config, desk.clock.wall_ns))
        self._first = True

    async def open(self) -> Any:
        socket = await self._ends.market_socket(self._owner, ["btcusdt@kline_1m"])
        if self._first and self.fault == "queue overflow":
            socket.max_queue_size = 5
            await self._overflow()
        self._first = False
        return socket

    @staticmethod
    async def _overflow() -> None:
        """Read nothing until the library says that its queue has run over."""
        overflow, logger = Overflow(), logging.getLogger("binance.ws.reconnecting_websocket")
        logger.addHandler(overflow)
        logger.setLevel(logging.ERROR)  # the gateway keeps it quiet
        try:
            await overflow.said.wait()
        finally:
            logger.removeHandler(overflow)
            logger.setLevel(logging.NOTSET)

    async def heard(self) -> None:
        """Lose the venue, once, after a frame."""
        if self.fault == "connection lost":
            self.fault = ""
            await asyncio.to_thread(self.desk.venue.stop)
            await asyncio.to_thread(self.desk.venue.start)

    async def close(self) -> None:
        await self._owner.close_connection()


async def two_connections(desk: Desk, fault: str) -> tuple[Candles, list[Any], int]:
    """Let the first connection end by a fault; return candles and news of both.

    The last is when the newest candle opened that was known before.
    """
    first, candles, told = FirstConnection(desk, fault), Candles(desk), []
    news: asyncio.Queue[Any] = asyncio.Queue()
    stream = Stream(
        "market",
        openers=(first.open,),
        attempts=Attempts(),
        on_frame=lambda frame: news.put_nowait(parse_market(frame["data"], "market")),
        post=news.put_nowait,
        silence_s=30,
    )
    running = asyncio.create_task(stream.run())
    try:
        await candles.take(candles.symbol.start(desk.clock.now()))
        first_ns = candles.symbol.frame().index[-1].value
        again = 0  # closed candles of the second connection
        while again < 3:
            message = await asyncio.wait_for(news.get(), 30)
            if isinstance(message, StreamUp | StreamDown):
                told.append(message)
            before = len(candles.heard)
            await candles.hear(message)
            again += len(candles.heard) - before if len(told) > 2 else 0
            if candles.heard:
                await first.heard()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await first.close()
    return candles, told, first_ns


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("connection lost", "ConnectionClosed"), ("queue overflow", "the connection ended")],
)
def test_an_error_item_of_the_library_rebuilds_the_stream_and_the_gap_is_filled(fault, reason):
    """It puts the item behind what nobody read, and then refuses to be read: no word of it."""
    venue = Simulated(speed=600)  # the shortest pause before a new connection is minutes
    venue.start()
    desk = Desk(venue)
    desk.start()
    try:
        candles, told, first_ns = asyncio.run(two_connections(desk, fault))
    finally:
        desk.gateway.stop(5)
        venue.stop()
    up, down, again = told
    assert up == StreamUp(stream="market", connection=1)
    assert down.reason.startswith(reason)
    assert again == StreamUp(stream="market", connection=2)
    opens = [index.value for index in candles.symbol.frame().index]
    assert {later - earlier for earlier, later in itertools.pairwise(opens)} == {MINUTE_NS}
    assert opens[-1] == candles.heard[-1]
    assert [at for at in opens if at > first_ns and at not in candles.heard]  # there was a gap
