"""Kills the stepped bot at every kill point: the table of `actors/kill_points.py`, seed by seed.

`python -m tests.simulation.chaos --kill-points --seeds 1000` takes the points in turn.  The process
ends in the very step that passes the point: what it had posted to its own rooms is lost, what it
had sent arrives.  K5 is a request that left and arrives after the death, K6 and K11 an answer that
comes too late; K15 runs over midnight.  K16, the way down, waits on threads and is killed in real
processes only (`python -m tests.chaos`).
"""

# ruff: noqa: T201 - it is a command: what it finds goes to the terminal

import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import loguru

from actors import kill_points
from actors.kill_points import POINTS, Armed, Seam
from core.errors import UnavailableError
from core.venue.simulated import market_faults
from core.venue.simulated.faults import read_fault
from core.venue.simulated.rest import Response
from tests.simulation import venue_side, world
from tests.simulation.faults import KINDS
from tests.simulation.world import Outcome, Simulation

STEPPED = tuple(name for name in POINTS if name != "K16")
_DEATHS_MAX = 4
_PAUSE_S = (0.1, 3.0)
_BEFORE_MIDNIGHT_MS = 600_000
_STEPS = 12  # of a recovery
_ORDER_PATHS = {"K5": "/fapi/v1/order", "K6": "/fapi/v1/order", "K11": "/fapi/v1/algoOrder"}


class KilledError(BaseException):
    """Unwinds the step in which the process died; nothing of it is heard any more."""


class KillSimulation(Simulation):
    """A seed whose bot dies at one point, up to four times; `hits` counts the deaths.

    Every second seed has no other fault, so that what it finds is the kill's.
    """

    def __init__(self, seed: int, point: str, *, whole: bool = False) -> None:
        quiet = Random(f"quiet {seed}").random() < 0.5
        super().__init__(seed, without=KINDS if quiet else ("killed",), whole=whole)
        self.point, self.hits = point, 0
        self._killing = Random(f"kill {seed}")
        self._deaths = self._killing.randint(1, _DEATHS_MAX)
        self._dead = False

    def _start(self) -> None:
        super()._start()
        if self.process is None or self.hits >= self._deaths or not self.faults.active:
            kill_points.ARMED = None
            return
        often = _STEPS if self.point == "K14" else 1 if self.point == "K15" else 3
        times = self._killing.randint(1, often)
        kill_points.ARMED = Armed(self.point, times, self._killed, self._at_the_wire)
        if POINTS[self.point].needs and POINTS[self.point].seam is not Seam.REQUESTED:
            fault = read_fault(dict(POINTS[self.point].needs))
            for _ in range(times):
                market_faults.inject(self.side.exchange, fault, self.side.door.clock.speed)

    # ---------------------------------------- dying
    def _killed(self, _: str) -> None:
        self._fall_silent()
        raise KilledError

    def _fall_silent(self) -> None:
        """Be dead for everyone else, until the step is over and the process can be taken away."""
        process = self.process
        assert process is not None
        kill_points.ARMED = None
        self.hits += 1
        self._dead = True
        self.watch.excuse(self.timeline.now_ns)
        process.directory.send = _to_nobody  # type: ignore[method-assign]
        process.database.apply = _to_no_disk  # type: ignore[method-assign]
        process.gateway.fall_silent()

    def _at_the_wire(self, die: Callable[[], None]) -> None:
        """Die with the next request of the point: when it has left, or when it is answered."""
        original = self.side.ask

        def ask(request: dict[str, Any], answered: Callable[[Response | Exception], None]) -> None:
            if request["path"] != _ORDER_PATHS[self.point] or request["method"] != "POST":
                original(request, answered)
                return
            self.side.ask = original  # type: ignore[method-assign]
            if self.point == "K5":
                original(request, _to_nobody)
                die()

            def too_late(response: Response | Exception) -> None:
                if isinstance(response, Response) and self.process is not None and not self._dead:
                    self._fall_silent()
                else:
                    answered(response)

            original(request, too_late)

        self.side.ask = ask  # type: ignore[method-assign]

    def _step(self) -> None:
        if self._dead:
            self._dead = False
            if self.process is not None:
                self.process.loop.failures.clear()
            self.die(self._killing.uniform(*_PAUSE_S))
        super()._step()

    def _heal(self) -> None:
        kill_points.ARMED = None
        super()._heal()


def _to_nobody(*_: Any, **__: Any) -> None:
    """Say nothing."""


def _to_no_disk(*_: Any) -> None:
    raise UnavailableError("the process is dead")


# ---------------------------------------- running
def run_point(seed: int, point: str, *, whole: bool = False) -> tuple[Outcome, int]:
    """Run one seed that dies at one point; also returns how often it did."""
    loguru.logger.remove()
    starts = venue_side.START_MS
    try:
        if point == "K15":
            _begin_at(starts + 86_400_000 - _BEFORE_MIDNIGHT_MS)
        run = KillSimulation(seed, point, whole=whole)
        return run.run(), run.hits
    finally:
        kill_points.ARMED = None
        if starts != venue_side.START_MS:
            _begin_at(starts)


def _begin_at(start_ms: int) -> None:
    """Let the venue's history begin elsewhere; markets are kept by their start."""
    venue_side.START_MS = world.START_MS = start_ms
    venue_side.market.cache_clear()


def run_points(seeds: range, seconds: float = 0) -> int:
    """Run the points in turn, a seed each; 1 if an invariant broke or a point was never met."""
    began = time.monotonic()
    hits: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    failed: list[str] = []
    naked: list[float] = []
    for seed in seeds:
        point = STEPPED[seed % len(STEPPED)]
        outcome, deaths = run_point(seed, point)
        hits[point] += deaths
        runs[point] += 1
        naked.append(outcome.naked_max_s)
        if outcome.violations:
            failed.append(f"seed {seed} at {point}: {outcome.violations[0]}")
            print(
                f"{failed[-1]}\n  rerun: .venv/bin/python -m tests.simulation.chaos"
                f" --kill-points --seed {seed}",
                flush=True,
            )
        if seconds and time.monotonic() - began > seconds:
            break
    took = time.monotonic() - began
    print("| point | kills | runs |\n|---|---|---|")
    for point in STEPPED:
        print(f"| {point} {POINTS[point].text} | {hits[point]} | {runs[point]} |")
    print(
        f"{sum(hits.values())} kills in {sum(runs.values())} runs, {len(failed)} failed;"
        f" longest without a stop {max(naked):.1f} s; {took:.0f} s in all"
    )
    met = all(hits[point] for point in STEPPED if runs[point])
    return int(bool(failed) or not met)


def show(seed: int) -> int:
    """Run one seed with every message."""
    outcome, deaths = run_point(seed, STEPPED[seed % len(STEPPED)], whole=True)
    print("\n".join(outcome.lines))
    print(f"died {deaths} times")
    print("\n".join(outcome.violations) or "no violation")
    return int(bool(outcome.violations))
