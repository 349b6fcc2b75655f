import asyncio
from random import Random
from typing import Any

import pykka
import pytest

from actors.directory import Directory
from actors.mailbox import Mailbox
from actors.stepped import Stepped, SteppedClock, Timeline
from core.clock import NS_PER_S
from tests.simulation.loop import SteppedLoop
from tests.simulation.record import Record

T0 = 1_755_262_547 * NS_PER_S


class Sink(pykka.ThreadingActor):
    """Notes what it is told, on a mailbox of ours."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name, self.seen = name, seen
        super().__init__()

    def _create_actor_inbox(self) -> Mailbox:  # type: ignore[override]
        return Mailbox(self.name, lambda envelope, reason: None)

    def on_start(self) -> None:
        self.seen.append(f"{self.name} starts")

    def on_receive(self, message: Any) -> None:
        self.seen.append(f"{self.name} {message}")
        if message == "fail":
            raise ValueError(message)

    def on_stop(self) -> None:
        self.seen.append(f"{self.name} stops")


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(T0)


def a_runtime(timeline: Timeline, seed: int = 1, **given: float) -> Stepped:
    return Stepped(timeline, Random(seed), **given)


def spawned(runtime: Stepped, *names: str) -> tuple[list[pykka.ActorRef[Any]], list[str]]:
    seen: list[str] = []
    before = set(pykka.ActorRegistry.get_all())
    for name in names:
        runtime.spawn(Sink, name, seen)
    refs = [ref for ref in pykka.ActorRegistry.get_all() if ref not in before]
    return refs, seen


def test_an_actor_starts_and_handles_its_messages_one_a_turn(timeline: Timeline) -> None:
    runtime = a_runtime(timeline)
    (ref,), seen = spawned(runtime, "a")
    ref.tell("one")
    ref.tell("two")
    assert seen == [], "nobody starts before its first turn"
    runtime.advance(T0 + 1)
    assert seen == ["a starts", "a one", "a two"]
    assert runtime.turns == 3
    runtime.stop()


def test_a_stopped_actor_takes_no_more_turns(timeline: Timeline) -> None:
    runtime = a_runtime(timeline)
    (ref,), seen = spawned(runtime, "a")
    ref.stop(block=False)
    runtime.advance(T0 + 1)
    assert seen == ["a starts", "a stops"]
    assert not ref.is_alive()
    runtime.stop()


def test_a_raising_actor_ends_alone(timeline: Timeline) -> None:
    runtime = a_runtime(timeline)
    (first, second), seen = spawned(runtime, "a", "b")
    first.tell("fail")
    second.tell("work")
    runtime.advance(T0 + 1)
    assert not first.is_alive()
    assert "b work" in seen
    runtime.stop()


def test_a_seed_fixes_the_order_and_other_seeds_find_others(timeline: Timeline) -> None:
    def run(seed: int) -> tuple[str, ...]:
        runtime = a_runtime(Timeline(T0), seed)
        refs, seen = spawned(runtime, "a", "b", "c")
        for ref in refs:
            ref.tell("x")
            ref.tell("y")
        runtime.advance(T0 + 1)
        runtime.stop()
        return tuple(seen)

    assert run(5) == run(5)
    assert len({run(seed) for seed in range(50)}) > 40


def test_appointments_come_in_the_order_they_are_due_and_time_stands_between(
    timeline: Timeline,
) -> None:
    runtime = a_runtime(timeline)
    kept: list[tuple[str, int]] = []
    runtime.later(2.0, lambda: kept.append(("later", timeline.now_ns - T0)))
    runtime.every(1.0, lambda: kept.append(("every", timeline.now_ns - T0)))
    runtime.advance(T0 + 2 * NS_PER_S)
    assert kept == [("every", NS_PER_S), ("later", 2 * NS_PER_S), ("every", 2 * NS_PER_S)]
    assert timeline.now_ns == T0 + 2 * NS_PER_S


def test_an_appointment_that_raises_does_not_end_the_run(
    timeline: Timeline,
) -> None:
    runtime = a_runtime(timeline)
    kept: list[str] = []

    def fail() -> None:
        raise SystemExit(1)

    runtime.later(1.0, fail)
    runtime.later(2.0, lambda: kept.append("next"))
    runtime.advance(T0 + 3 * NS_PER_S)
    assert kept == ["next"]


def test_a_killed_process_does_nothing_more(timeline: Timeline) -> None:
    runtime = a_runtime(timeline)
    (ref,), seen = spawned(runtime, "a")
    runtime.later(1.0, lambda: seen.append("too late"))
    ref.tell("one")
    runtime.stop()
    runtime.advance(T0 + 5 * NS_PER_S)
    while timeline.next_ns() is not None:
        timeline.happen()
    assert seen == []
    assert not pykka.ActorRegistry.get_by_urn(ref.actor_urn)


def test_time_may_pass_while_somebody_waits_but_not_for_long(timeline: Timeline) -> None:
    runtime = a_runtime(timeline, laziness=0.999)
    (ref,), seen = spawned(runtime, "a")
    served: list[int] = []
    runtime.every(0.01, lambda: served.append(len(seen)))
    ref.tell("one")
    runtime.advance(T0 + NS_PER_S)
    assert served[0] == 0, "time passed first"
    assert served[40] == 2, "served within the allowed lag"
    runtime.stop()


def test_the_clock_of_a_process_may_be_wrong_and_knows_the_venue_by_its_anchor(
    timeline: Timeline,
) -> None:
    clock = SteppedClock(timeline)
    clock.anchor(venue_ns=1_000, wall_ns=T0, speed=60.0)
    clock.shift_ns = 5
    timeline.now_ns += 10
    now = clock.now()
    assert (now.wall_ns, now.venue_ns, now.speed) == (T0 + 15, 1_000 + 900, 60.0)
    assert clock.monotonic_ns() == T0 + 10


def test_coroutines_wait_on_virtual_time(timeline: Timeline) -> None:
    runtime, loop, heard = a_runtime(timeline), SteppedLoop(timeline), []
    runtime.join(loop)

    async def work() -> None:
        try:
            async with asyncio.timeout(1.5):
                await asyncio.sleep(1)
                heard.append(timeline.now_ns - T0)
                await asyncio.sleep(1)
        except TimeoutError:
            heard.append(timeline.now_ns - T0)

    loop.create_task(work())
    runtime.advance(T0 + 5 * NS_PER_S)
    assert heard == [NS_PER_S, 3 * NS_PER_S // 2]
    assert not loop.failures


def test_a_closed_loop_lets_its_coroutines_unwind(timeline: Timeline) -> None:
    runtime, loop, ended = a_runtime(timeline), SteppedLoop(timeline), []
    runtime.join(loop)

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(True)

    loop.create_task(work())
    runtime.advance(T0 + NS_PER_S)
    loop.close()
    assert ended == [True]


def test_what_is_sent_to_nobody_is_in_the_record(timeline: Timeline) -> None:
    record = Record()
    directory = Directory(epoch=1, clock=SteppedClock(timeline), tracer=record)
    directory.send("hello", ["nobody"], sender="test", cause=None)
    assert sum(record.dead_letters.values()) == 1
