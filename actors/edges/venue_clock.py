"""Keeps the clock on the venue's time: by anchor and speed on the embedded venue, else by offset.

The offset is the median of a few `GET time`, each taken half way through its request; its error is
at most half of the longest of them, and grows with the drift of quartz and with every step of the
wall clock, which a clock that nobody can set gives away.  python-binance stamps requests with the
wall plus `timestamp_offset`, which is kept in step here (0 on the embedded venue: that one accepts
wall stamps at any speed).
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

import orjson

from actors.edges.binance_client import VenueClient
from actors.edges.system_clock import JUMP_NS, SystemClock
from core.clock import NS_PER_MS

_SAMPLES = 5
_PERIOD_S = 60.0
_PERIOD_EMBEDDED_S = 10.0  # somebody may change its speed
_REREAD_S = 1.0
_DRIFT = 100e-6  # of the time since the measurement: poor quartz
_UNKNOWN_MS = 86_400_000
_STEP_NS = 200 * NS_PER_MS  # a wall clock that moved this far is measured again at once


class VenueClock:
    """Measures the venue's time and moves the anchor of `clock`; used inside the gateway's loop.

    `embedded` is the address of the embedded venue, empty for the others.
    """

    def __init__(
        self, clock: SystemClock, *, clients: tuple[VenueClient, ...], embedded: str
    ) -> None:
        self._clock = clock
        self._clients = clients
        self._embedded = embedded
        self._wanted = asyncio.Event()
        self._uncertainty_ns: int | None = None  # None: never measured
        self._measured_at = (clock.wall_ns(), clock.monotonic_ns())

    async def measure(self) -> None:
        """Measure once; raises what the request raises."""
        self._uncertainty_ns = await self._measure()
        self._measured_at = (self._clock.wall_ns(), self._clock.monotonic_ns())

    async def _measure(self) -> int:
        """Move the anchor; return how far it may be off, nanoseconds."""
        if self._embedded:
            health = await self.health()
            self._clock.anchor(
                venue_ns=health["anchor"]["venue_ms"] * NS_PER_MS,
                wall_ns=health["anchor"]["wall_ms"] * NS_PER_MS,
                speed=health["speed"],
            )
            return NS_PER_MS  # both of its times are cut to milliseconds
        samples = [await self._sample() for _ in range(_SAMPLES)]
        samples.sort(key=lambda sample: sample[2] - sample[1])
        _, wall_ns, venue_ns = samples[_SAMPLES // 2]
        self._clock.anchor(venue_ns=venue_ns, wall_ns=wall_ns)
        for client in self._clients:
            client.timestamp_offset = (venue_ns - wall_ns) // NS_PER_MS
        return max(took_ns for took_ns, _, _ in samples) // 2

    def error_ms(self) -> int:
        """Return how far our reckoning of the venue's time may be off, wall milliseconds."""
        if self._uncertainty_ns is None:
            return _UNKNOWN_MS
        wall_ns, mono_ns = self._measured_at
        passed_ns = self._clock.monotonic_ns() - mono_ns
        stepped_ns = abs(self._clock.wall_ns() - wall_ns - passed_ns)
        if stepped_ns > _STEP_NS:
            self._wanted.set()
        return int(self._uncertainty_ns + stepped_ns + passed_ns * _DRIFT) // NS_PER_MS

    async def health(self) -> dict[str, Any]:
        """Return `/sim/health` of the embedded venue."""
        client = self._clients[0]
        async with client.session.get(
            f"{self._embedded}/sim/health", timeout=client.REQUEST_TIMEOUT
        ) as response:
            response.raise_for_status()
            answer: dict[str, Any] = orjson.loads(await response.read())
            return answer

    def witness(self, event_ns: int) -> None:
        """Note the stamp of a fresh event: one from far away means that the venue's time jumped."""
        now = self._clock.now()
        if abs(now.venue_ns - event_ns) > JUMP_NS * (1 + 5 * now.speed):
            self._wanted.set()

    async def keep(self) -> None:
        """Measure again every few seconds, and at once after a jump, until cancelled."""
        while True:
            self._wanted.clear()
            period_s = _PERIOD_EMBEDDED_S if self._embedded else _PERIOD_S
            with suppress(TimeoutError):
                async with asyncio.timeout(period_s):
                    await self._wanted.wait()
            with suppress(Exception):  # that the venue is away is told by the streams
                await self.measure()
            await asyncio.sleep(_REREAD_S)

    async def _sample(self) -> tuple[int, int, int]:
        began_ns, mono_ns = time.time_ns(), time.monotonic_ns()
        answer = await self._clients[0].futures_time()
        took_ns = time.monotonic_ns() - mono_ns
        # The venue cuts its stamp to milliseconds: half of one is the best guess of the rest.
        venue_ns = int(answer["serverTime"]) * NS_PER_MS + NS_PER_MS // 2
        return took_ns, began_ns + took_ns // 2, venue_ns
