"""How the way to the venue stands, once a second: clock, silence, limits."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from actors.edges.system_clock import SystemClock
from actors.edges.venue_clock import VenueClock
from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S
from tests.edges.gateway_desk import Desk, Scripted, an_entry


@pytest.fixture
def desk() -> Iterator[Desk]:
    venue = Scripted()
    venue.start()
    desk = Desk(venue, MAX_RETRIES=0)
    desk.start()
    yield desk
    desk.gateway.stop(2)
    venue.stop()


def test_health_is_told_again_and_again(desk):
    first = desk.hear(m.VenueHealth)
    second = desk.hear(m.VenueHealth)
    assert (second.at_wall_ns - first.at_wall_ns) / NS_PER_S > 0.5
    assert second.clock_error_ms < 1_000
    assert second.quiet_s == 0
    assert second.market_silent_s > first.market_silent_s  # nobody has sent a frame


def test_health_tells_of_the_venue_s_counts_and_of_its_wish_for_silence(desk):
    headers = {"X-MBX-USED-WEIGHT-1M": "1200", "Retry-After": "40"}
    busy = (429, {"code": -1003, "msg": "Too many requests."}, headers)
    desk.venue.say("POST", "order", busy)
    desk.ask(an_entry())
    while (health := desk.hear(m.VenueHealth)).quiet_s == 0:
        pass
    assert health.weight_used >= 0.5
    assert 30 < health.quiet_s <= 40


class TimeVenue:
    """Answers GET time with a clock that is off, over a line of uneven speed."""

    timestamp_offset = 0

    def __init__(self, off_ms: int, delays_s: tuple[float, ...]) -> None:
        self.off_ms, self.delays = off_ms, list(delays_s)

    async def futures_time(self) -> dict[str, int]:
        delay_s = self.delays.pop(0)
        await asyncio.sleep(delay_s)  # all of it on the way there
        return {"serverTime": time.time_ns() // NS_PER_MS + self.off_ms}


class SetClock(SystemClock):
    """A system clock whose wall time somebody sets."""

    stepped_ns = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.stepped_ns


def measured(off_ms: int, *delays_s: float) -> tuple[SetClock, VenueClock, Any]:
    clock, client = SetClock(), TimeVenue(off_ms, delays_s)
    keeper = VenueClock(clock, clients=(client,), embedded="")  # type: ignore[arg-type]
    asyncio.run(keeper.measure())
    return clock, keeper, client


def test_one_slow_answer_does_not_spoil_the_offset():
    _, keeper, client = measured(7_000, 0.0, 0.0, 0.2, 0.0, 0.0)
    assert client.timestamp_offset == pytest.approx(7_000, abs=95)
    assert keeper.error_ms() >= 100  # half of the slowest


def test_a_step_of_the_wall_clock_is_an_error_until_it_is_measured_again():
    clock, keeper, _ = measured(0, *[0.0] * 5)
    assert keeper.error_ms() < 1_000
    clock.stepped_ns = -3 * NS_PER_S
    assert keeper.error_ms() >= 3_000


def test_a_clock_that_was_never_measured_is_not_believed():
    keeper = VenueClock(SystemClock(), clients=(), embedded="")
    assert keeper.error_ms() > 3_600_000
