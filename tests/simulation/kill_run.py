"""Kills the stepped bot at every kill point: the table of `actors/kill_points.py`, seed by seed.

`python -m tests.simulation.chaos --kill-points --seeds 3000` takes the points in turn.  The process
ends in the very step that passes the point: what it had posted to its own rooms is lost, what it
had sent arrives.  K5 is a request that left and arrives after the death, K6 and K11 an answer that
comes too late; K15 runs over midnight.  K16, the way down, waits on threads and is killed in real
processes only (`python -m tests.chaos`).
"""

# ruff: noqa: T201 - it is a command: what it finds goes to the terminal

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import loguru

from actors import kill_points
from actors.kill_points import POINTS, Armed, Seam
from core.errors import UnavailableError
from core.execution.client_id import purpose_of
from core.messages import Purpose
from core.venue.simulated import market_faults
from core.venue.simulated.faults import read_fault
from core.venue.simulated.rest import Response
from tests.chaos.report import commit, table
from tests.simulation import venue_side, world
from tests.simulation.faults import KINDS
from tests.simulation.world import Outcome, Simulation

STEPPED = tuple(name for name in POINTS if name != "K16")
_DEATHS_MAX = 4
_PAUSE_S = (0.1, 3.0)
_LIVED_S = (3.0, 15.0)
_BEFORE_MIDNIGHT_MS = 600_000
_STEPS = 12  # of a recovery
_ORDER_PATHS = {"K5": "/fapi/v1/order", "K6": "/fapi/v1/order", "K11": "/fapi/v1/algoOrder"}


class KilledError(BaseException):
    """Unwinds the step in which the process died; nothing of it is heard any more."""


class KillSimulation(Simulation):
    """A seed whose bot dies at one point, up to four times.

    `deaths` says for each what the venue had of the newest entry: its side, and how much filled.
    Every second seed has no other fault, so that what it finds is the kill's.
    """

    def __init__(self, seed: int, point: str, *, whole: bool = False) -> None:
        quiet = Random(f"quiet {seed}").random() < 0.5
        super().__init__(seed, without=KINDS if quiet else ("killed",), whole=whole)
        self.point = point
        self.deaths: list[str] = []
        self._killing = Random(f"kill {seed}")
        self._deaths_wanted = self._killing.randint(1, _DEATHS_MAX)
        self._dead = False

    def _start(self) -> None:
        super()._start()
        if (
            self.process is None
            or len(self.deaths) >= self._deaths_wanted
            or not self.faults.active
        ):
            kill_points.ARMED = None
            return
        if self.point == "K14" and self.processes == 1:  # so that there is something to recover
            self.timeline.after(self._killing.uniform(*_LIVED_S), self._end_of_the_first_life)
            return
        often = _STEPS if self.point == "K14" else 1 if self.point == "K15" else 3
        times = self._killing.randint(1, often)
        kill_points.ARMED = Armed(self.point, times, self._killed, self._at_the_wire)
        if POINTS[self.point].needs and POINTS[self.point].seam is not Seam.REQUESTED:
            fault = read_fault(dict(POINTS[self.point].needs))
            for _ in range(times):
                market_faults.inject(self.side.exchange, fault, self.side.door.clock.speed)

    def _end_of_the_first_life(self) -> None:
        if self.process is not None and self.processes == 1:
            self.die(self._killing.uniform(*_PAUSE_S))

    # ---------------------------------------- dying
    def _killed(self, _: str) -> None:
        self._fall_silent()
        raise KilledError

    def _fall_silent(self) -> None:
        """Be dead for everyone else, until the step is over and the process can be taken away."""
        process = self.process
        assert process is not None
        kill_points.ARMED = None
        self.deaths.append(self._newest_entry())
        self._dead = True
        self.watch.excuse(self.timeline.now_ns)
        process.directory.send = _to_nobody  # type: ignore[method-assign]
        process.database.apply = _to_no_disk  # type: ignore[method-assign]
        process.gateway.fall_silent()

    def _newest_entry(self) -> str:
        tag, orders = self.config.CLIENT_ID_TAG, self.side.exchange.ledger.orders
        for order in reversed(orders):
            if purpose_of(tag, order.client_order_id) is Purpose.ENTRY:
                part = "part" if order.executed < order.quantity else "full"
                return f"{order.side} {part if order.executed else 'none'}"
        return ""

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
@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What became of a seed that was killed at a point; `deaths` as in `KillSimulation`."""

    seed: int
    point: str
    outcome: Outcome
    deaths: list[str]


def run_point(seed: int, point: str = "", *, whole: bool = False) -> Killed:
    """Run one seed that dies at one point: its own in turn if none is named."""
    loguru.logger.remove()
    point = point or STEPPED[seed % len(STEPPED)]
    starts = venue_side.START_MS
    try:
        if point == "K15":
            _begin_at(starts + 86_400_000 - _BEFORE_MIDNIGHT_MS)
        run = KillSimulation(seed, point, whole=whole)
        return Killed(seed=seed, point=point, outcome=run.run(), deaths=run.deaths)
    finally:
        kill_points.ARMED = None
        if starts != venue_side.START_MS:
            _begin_at(starts)


def _begin_at(start_ms: int) -> None:
    """Let the venue's history begin elsewhere; markets are kept by their start."""
    venue_side.START_MS = world.START_MS = start_ms
    venue_side.market.cache_clear()


def report_points(ended: Iterable[Killed], first: int, page: Path | None) -> int:
    """Print each failure with its rerun line, then the table; 1 if any, or a point never met.

    `page` takes the figures as JSON, for docs/reliability.md.
    """
    began = time.monotonic()
    rows: list[Killed] = []
    failed: list[str] = []
    for killed in ended:
        rows.append(killed)
        if killed.outcome.violations:
            failed.append(f"seed {killed.seed} at {killed.point}: {killed.outcome.violations[0]}")
            print(
                f"{failed[-1]}\n  rerun: .venv/bin/python -m tests.simulation.chaos"
                f" --kill-points --seed {killed.seed}",
                flush=True,
            )
    figures = {
        "what": "kill points on one thread",
        "commit": commit(),
        "first": first,
        "runs": len(rows),
        "failed": failed,
        "kills": sum(len(row.deaths) for row in rows),
        "points": {point: _of_point(rows, point) for point in STEPPED},
        "naked_max_s": round(max((row.outcome.naked_max_s for row in rows), default=0.0), 1),
        "seconds": round(time.monotonic() - began),
    }
    print("\n".join(table(figures)))
    if page is not None:
        page.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    never_met = [p for p, row in figures["points"].items() if row["runs"] and not row["kills"]]
    return int(bool(failed or never_met))


def _of_point(rows: list[Killed], point: str) -> dict[str, Any]:
    here = [row for row in rows if row.point == point]
    deaths = Counter(death for row in here for death in row.deaths)
    return {"runs": len(here), "kills": deaths.total(), "entries": dict(sorted(deaths.items()))}


def show(seed: int) -> int:
    """Run one seed with every message."""
    killed = run_point(seed, whole=True)
    print("\n".join(killed.outcome.lines))
    print(f"died at {killed.point}: {', '.join(killed.deaths) or 'never'}")
    print("\n".join(killed.outcome.violations) or "no violation")
    return int(bool(killed.outcome.violations))
