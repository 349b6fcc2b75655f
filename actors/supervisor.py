"""Starts the rooms in order, watches them, and puts successors in the place of the dead."""

import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from actors.directory import Directory
from actors.mailbox import Envelope, Mailbox
from actors.runtime import Runtime
from actors.trading_actor import ActorContext, TradingActor, in_one_line
from core import messages as m
from core.clock import NS_PER_S

_ALIVE = ("starting", "up")
_DOUBLINGS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One child: its name, its class, what its constructor gets after the context.

    `symbol` is set for SymbolActors, which are restarted one for one; the others stand in a row and
    a restart takes the later ones along (rest for one), because they build on the earlier.
    """

    name: str
    actor_class: type[TradingActor]
    arguments: tuple[Any, ...] = ()
    symbol: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How often a child may be restarted, and how long to wait before; wall seconds."""

    restarts_max: int
    period_s: float
    backoff_min_s: float
    backoff_max_s: float
    reset_after_s: float


@dataclass(slots=True)
class Child:
    """What the supervisor knows of a child.  Read by the status command from other threads."""

    spec: ChildSpec
    state: str = "down"  # down, starting, up, backoff, quarantined, failed
    generation: int = 0
    restarts: int = 0  # one for each crash
    mailbox: Mailbox | None = None
    crashes_ns: deque[int] = field(default_factory=deque)  # wall stamps within the period
    up_ns: int = 0  # when it last came up, wall
    backoffs: int = 0  # in a row, without a healthy time between
    last_error: str = ""


class SupervisorActor(TradingActor):
    """Keeps the tree alive.

    State:  generation, state and recent crashes of every child.
    In:     Ready, Crashed, Restart
    Out:    ActorStarted, Resync, SymbolQuarantined, Restart, ActorEvent
    If it dies: the process ends with 70; the venue keeps every stop, the next start reconciles.
    """

    def __init__(
        self,
        context: ActorContext,
        specs: tuple[ChildSpec, ...],
        budget: Budget,
        runtime: Runtime,
        give_up: Callable[[str], None],
        *,
        seed: int,
        publish: Callable[["SupervisorActor"], None],
    ) -> None:
        super().__init__(context)
        self.children = {spec.name: Child(spec) for spec in specs}
        self._row = [spec.name for spec in specs if not spec.symbol]
        self._budget = budget
        self._runtime = runtime
        self._give_up = give_up
        self._random = random.Random(seed)  # noqa: S311 - jitter, not cryptography
        self._stopping = False
        publish(self)

    def retire(self) -> None:
        """Start nobody any more, and stop; may be called from any thread."""
        self._stopping = True
        self.context.mailbox.finish()

    def report_crash(self, error: str, cause: Envelope | None) -> None:  # noqa: ARG002
        """Give up: nobody is left who could start a successor."""
        self._give_up(f"{self.context.name} crashed: {error}")

    def start_up(self) -> Iterable[Any]:
        """Start the first room; each Ready starts the next."""
        return self._start(self._row[0])

    def handle(self, message: Any) -> Iterable[Any]:
        """Answer a birth, a death or the end of a backoff."""
        if self._stopping:
            return ()
        match message:
            case m.Ready():
                return self._ready(message)
            case m.Crashed():
                return self._crashed(message)
            case m.Restart():
                return self._restart(message)
            case _:
                raise TypeError(message)

    def _ready(self, ready: m.Ready) -> Iterable[Any]:
        child = self.children[ready.name]
        if ready.generation != child.generation or child.state != "starting":
            return ()
        child.state = "up"
        child.up_ns = self.context.directory.clock.wall_ns()
        if child.spec.symbol:
            return ()
        position = self._row.index(ready.name) + 1
        if position == len(self._row):
            return self._row_complete()
        following = self._row[position]
        return self._start(following) if self.children[following].state == "down" else ()

    def _row_complete(self) -> list[Any]:
        """Start the symbols, or tell the new rooms of them and them that they may have missed much.

        Rooms that came back know no generation, so that every wish of before is refused.
        """
        out: list[Any] = []
        for name, child in self.children.items():
            symbol = child.spec.symbol
            if not symbol:
                continue
            if child.state == "down":
                out += self._start(name)
            elif child.state in _ALIVE:
                out.append(m.ActorStarted(name=name, symbol=symbol, generation=child.generation))
                out.append(m.Resync(symbol=symbol, reason="rooms restarted"))
            elif child.state == "quarantined":
                out.append(m.SymbolQuarantined(symbol=symbol, reason=child.last_error))
        return out

    def _start(self, name: str) -> list[Any]:
        child, directory = self.children[name], self.context.directory
        child.generation += 1
        child.state = "starting"
        if child.mailbox is None or not child.spec.actor_class.keeps_queue:
            child.mailbox = Mailbox(name, directory.bury)
            directory.open(name, child.mailbox)
        child.mailbox.hand_over()
        context = ActorContext(
            name=name, generation=child.generation, mailbox=child.mailbox, directory=directory
        )
        # Fence first: from here on whatever an older generation still says is refused.
        if child.spec.symbol:
            started = m.ActorStarted(
                name=name, symbol=child.spec.symbol, generation=child.generation
            )
            self.emit((started,), self.context.mailbox.current)
        try:
            self._runtime.spawn(child.spec.actor_class, context, *child.spec.arguments)
        except BaseException as error:  # noqa: BLE001 - also `can't start new thread`
            if not child.spec.actor_class.keeps_queue:
                child.mailbox.close(f"{name} did not start")
            crash = m.Crashed(name=name, generation=child.generation, error=in_one_line(error))
            return list(self._crashed(crash))
        return [self._event(child, "started", "")]

    def _crashed(self, crash: m.Crashed) -> Iterable[Any]:
        child = self.children[crash.name]
        if crash.generation != child.generation or child.state not in _ALIVE:
            return ()  # a late word of an older generation
        child.last_error = crash.error
        child.restarts += 1
        now_ns = self.context.directory.clock.wall_ns()
        period_ns = int(self._budget.period_s * NS_PER_S)
        while child.crashes_ns and now_ns - child.crashes_ns[0] > period_ns:
            child.crashes_ns.popleft()
        child.crashes_ns.append(now_ns)
        if len(child.crashes_ns) > self._budget.restarts_max:
            return self._past_budget(child)
        delay_s = self._backoff_s(child, now_ns)
        child.state = "backoff"
        later = m.Restart(name=crash.name, generation=child.generation)
        cause = self.context.mailbox.current
        self._runtime.later(delay_s, lambda: self.emit((later,), cause))
        detail = f"{crash.error}; restart {child.restarts} in {delay_s:.2f} s"
        return [self._event(child, "crashed", detail)]

    def _past_budget(self, child: Child) -> Iterable[Any]:
        limit = f"more than {self._budget.restarts_max} crashes in {self._budget.period_s:.0f} s"
        if not child.spec.symbol:
            child.state = "failed"
            self._give_up(f"{child.spec.name}: {limit}; last error: {child.last_error}")
            return [self._event(child, "gave up", limit)]
        child.state = "quarantined"
        reason = f"{limit}; last error: {child.last_error}"
        return [
            m.SymbolQuarantined(symbol=child.spec.symbol, reason=reason),
            self._event(child, "quarantined", reason),
        ]

    def _backoff_s(self, child: Child, now_ns: int) -> float:
        """Double with every crash; a fifth of jitter, so that none march in step.

        min(max, min · 2ⁿ) · U(0.8, 1.2), n the backoffs since the last healthy time.
        """
        budget = self._budget
        healthy_s = (now_ns - child.up_ns) / NS_PER_S if child.state == "up" else 0.0
        if healthy_s > budget.reset_after_s:
            child.backoffs = 0
        doubled_s = budget.backoff_min_s * 2.0 ** min(child.backoffs, _DOUBLINGS_MAX)
        child.backoffs += 1
        return min(budget.backoff_max_s, doubled_s) * self._random.uniform(0.8, 1.2)

    def _restart(self, restart: m.Restart) -> Iterable[Any]:
        child = self.children[restart.name]
        if child.state != "backoff" or restart.generation != child.generation:
            return ()
        if child.spec.symbol:
            return self._start(restart.name)
        position = self._row.index(restart.name)
        if any(self.children[name].state != "up" for name in self._row[:position]):
            child.state = "down"  # its turn comes when those before it are up
            return ()
        self._stop_after(position)
        return self._start(restart.name)

    def _stop_after(self, position: int) -> None:
        """Retire the rooms that build on a dead one; `_ready` starts them again in turn."""
        for later in reversed(self._row[position + 1 :]):
            child = self.children[later]
            child.state = "down"  # whatever it still says is late
            if child.mailbox is not None:
                child.mailbox.close(f"{self._row[position]} restarted")
                child.mailbox = None

    def _event(self, child: Child, event: str, detail: str) -> m.ActorEvent:
        return m.ActorEvent(
            name=child.spec.name,
            generation=child.generation,
            event=event,
            detail=detail,
            at_ns=self.context.directory.clock.now().venue_ns,
        )


def describe(children: Iterable[Child], directory: Directory) -> list[dict[str, Any]]:
    """Return one row a child for the status command."""
    return [
        {
            "name": child.spec.name,
            "state": child.state,
            "generation": child.generation,
            "restarts": child.restarts,
            "mailbox": directory.depth(child.spec.name),
            "last_error": child.last_error,
        }
        for child in list(children)
    ]


def stop_in_order(supervisor: SupervisorActor, within_s: float) -> list[str]:
    """Stop the supervisor, then all symbols, then the row from its end; return who did not stop.

    Each step waits at most `within_s` wall seconds for what is queued to be handled.  The
    supervisor goes first, so that nobody is brought back; what nobody reads ends as dead letters.
    """
    supervisor.retire()
    stopped = supervisor.context.mailbox.reader_gone.wait(within_s)
    late = [] if stopped else [supervisor.context.name]
    children = list(supervisor.children.values())
    symbols = [child for child in children if child.spec.symbol]
    row = [[child] for child in reversed(children) if not child.spec.symbol]
    for step in (symbols, *row):
        for child in step:
            if child.mailbox is not None and child.state in _ALIVE:
                child.mailbox.finish()
        deadline = time.monotonic() + within_s
        for child in step:
            if child.mailbox is None:
                continue
            patience_s = max(0.0, deadline - time.monotonic())
            if child.state in _ALIVE and not child.mailbox.reader_gone.wait(patience_s):
                late.append(child.spec.name)
            child.mailbox.close("stopped")
    return late
