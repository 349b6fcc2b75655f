"""What people, markets and a slow venue do in some seeds, by dice of their own.

operator_halt  a person halts, the process is killed soon after, and in half of the seeds the person
               resumes later: what was halted stays so until then
day_lost       the price jumps against what is held, past the stop and the day's limit, and the
               process is killed soon after: its successor may not begin the budget anew
queries_lag    for some seconds orders are executed and their answers lost, the user stream stands
               still, and a query denies what is younger than the lag: the first denial is a lie
"""

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

from core import messages as m
from core.clock import NS_PER_S
from core.venue.simulated import market_faults
from core.venue.simulated.faults import read_fault

DAY_LOSS_PCT = 0.002  # small enough to be lost by one jump
_HALT_S = (6.0, 18.0)
_LOSS_S = (6.0, 20.0)
_LAG_S = (4.0, 26.0)
_KILLED_AFTER_S = (0.5, 2.5)
_PAUSE_S = (0.1, 2.0)
_RESUMED_AFTER_S = (12.0, 20.0)
_LOOK_S = 0.5
_LOST = Decimal("1.5")  # of the day's limit
_JUMP_MAX = Decimal("0.05")
# A denial is believed after the entry's window of 3 s and 2 s more: this is less.
_LAGS_S = (2.0, 4.0)
_LAG_LASTS_S = 8.0


class Acts:
    """The acts of one seed; `world` is its Simulation."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._dice = Random(f"acts {world.seed}")

    def plan(self) -> None:
        """Put on the timeline what this seed has; the draws are the same whatever it has."""
        dice, timeline = self._dice, self._world.timeline
        plans: tuple[tuple[str, tuple[float, float], Callable[[], None]], ...] = (
            ("operator_halt", _HALT_S, self._halt),
            ("day_lost", _LOSS_S, self._lose),
            ("queries_lag", _LAG_S, self._lag),
        )
        for kind, span_s, act in plans:
            at_s = dice.uniform(*span_s)
            if kind in self._world.faults.kinds:
                timeline.after(at_s, act)

    def _note(self, kind: str) -> None:
        self._world.faults.note(kind, self._world.timeline.now_ns)

    def _kill_soon(self) -> None:
        world = self._world
        pause_s = self._dice.uniform(*_PAUSE_S)

        def kill() -> None:
            if world.faults.active:
                world.die(pause_s)

        world.timeline.after(self._dice.uniform(*_KILLED_AFTER_S), kill)

    # ---------------------------------------- a person
    def _halt(self) -> None:
        if not self._told(m.Halt(source="operator", reason="a person wants to look")):
            self._world.timeline.after(_LOOK_S, self._halt)
            return
        self._note("operator_halt")
        self._kill_soon()
        if self._dice.random() < 0.5:
            self._world.timeline.after(self._dice.uniform(*_RESUMED_AFTER_S), self._resume)

    def _resume(self) -> None:
        if not self._told(m.Resume(symbol="", source="operator")):
            self._world.timeline.after(_LOOK_S, self._resume)

    def _told(self, wish: m.Halt | m.Resume) -> bool:
        """Tell risk, if it is there and begun: the control API answers only then."""
        process = self._world.process
        if process is None or process.machines.risk is None or not process.settled:
            return False
        process.directory.post(wish, sender="operator", cause=None)
        return True

    # ---------------------------------------- the market
    def _lose(self) -> None:
        """Let the price of the first thing held jump through its stop, once there is one."""
        world, exchange = self._world, self._world.side.exchange
        if not world.faults.active:
            return
        held = next(iter(exchange.account.held()), None)
        if held is None or world.process is None:
            world.timeline.after(_LOOK_S, self._lose)
            return
        limit = exchange.account.wallet * Decimal(str(DAY_LOSS_PCT))
        part = min(_JUMP_MAX, _LOST * limit / (abs(held.amount) * held.entry))
        pct = float(-100 * part if held.amount > 0 else 100 * part)
        wish = {"kind": "price_jump", "match": {"symbol": held.symbol}, "args": {"pct": pct}}
        market_faults.inject(exchange, read_fault(wish), world.side.door.clock.speed)
        world.side.changed = True
        self._note("day_lost")
        self._kill_soon()

    # ---------------------------------------- the venue
    def _lag(self) -> None:
        side = self._world.side
        self._note("queries_lag")
        side.lag_s = self._dice.uniform(*_LAGS_S)
        side.lags_until_ns = side.timeline.now_ns + round(_LAG_LASTS_S * NS_PER_S)
        side.stall(_LAG_LASTS_S, user=True)
