"""Starts the rooms in order, watches them, and puts successors in the place of the dead."""

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from actors.directory import Directory
from actors.mailbox import Mailbox
from actors.runtime import Runtime
from actors.trading_actor import ActorContext, TradingActor
from core import messages as m
from core.clock import NS_PER_S


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
    state: str = "down"  # down, starting, up, backoff, quarantined
    generation: int = 0
    restarts: int = 0
    mailbox: Mailbox | None = None
    crashes_ns: deque[int] = field(default_factory=deque)  # wall stamps within the period
    last_error: str = ""


class SupervisorActor(TradingActor):
    """Keeps the tree alive.

    State:  generation, state and recent crashes of every child.
    In:     Ready, Crashed, Restart
    Out:    ActorStarted, Resync, SymbolQuarantined, ActorEvent
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
        publish(self)
        self.children = {spec.name: Child(spec) for spec in specs}
        self._row = [spec.name for spec in specs if not spec.symbol]
        self._budget = budget
        self._runtime = runtime
        self._give_up = give_up
        self._random = random.Random(seed)  # noqa: S311 - jitter, not cryptography

    def start_up(self) -> Iterable[Any]:
        """Start the first room; each Ready starts the next."""
        return self._start(self._row[0])

    def handle(self, message: Any) -> Iterable[Any]:
        """Answer a birth, a death or the end of a backoff."""
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
        if ready.generation != child.generation:
            return ()
        child.state = "up"
        out: list[Any] = []
        if not child.spec.symbol:
            out += self._start_after(ready.name)
        return out

    def _start_after(self, name: str) -> list[Any]:
        """Start the next in the row, or the symbols once the row is complete."""
        position = self._row.index(name) + 1
        names = self._row[position : position + 1] or [
            n for n, c in self.children.items() if c.spec.symbol
        ]
        down = [n for n in names if self.children[n].state == "down"]
        return [message for n in down for message in self._start(n)]

    def _start(self, name: str) -> list[Any]:
        child, directory = self.children[name], self.context.directory
        child.generation += 1
        child.state = "starting"
        if child.mailbox is None or not child.spec.actor_class.keeps_queue:
            child.mailbox = Mailbox(name, directory.bury)
            directory.open(name, child.mailbox)
        child.mailbox.resume()
        context = ActorContext(
            name=name, generation=child.generation, mailbox=child.mailbox, directory=directory
        )
        # Fence first: from here on whatever an older generation still says is refused.
        out: list[Any] = []
        if child.spec.symbol:
            out.append(
                m.ActorStarted(name=name, symbol=child.spec.symbol, generation=child.generation)
            )
            self.emit(out, None)
        try:
            self._runtime.spawn(
                partial(child.spec.actor_class.start, context, *child.spec.arguments)
            )
        except BaseException as error:  # noqa: BLE001 - also `can't start new thread`
            crash = m.Crashed(name=name, generation=child.generation, error=repr(error))
            return list(self._crashed(crash))
        return [self._event(child, "started", "")]

    def _crashed(self, crash: m.Crashed) -> Iterable[Any]:
        child = self.children[crash.name]
        if crash.generation != child.generation or child.state not in ("starting", "up"):
            return ()  # a late word of an older generation
        child.last_error = crash.error
        now_ns = self.context.directory.clock.wall_ns()
        period_ns = int(self._budget.period_s * NS_PER_S)
        while child.crashes_ns and now_ns - child.crashes_ns[0] > period_ns:
            child.crashes_ns.popleft()
        child.crashes_ns.append(now_ns)
        if len(child.crashes_ns) > self._budget.restarts_max:
            return self._past_budget(child)
        child.state = "backoff"
        child.restarts += 1
        delay_s = self._backoff_s(len(child.crashes_ns))
        later = m.Restart(name=crash.name, generation=child.generation)
        self._runtime.later(delay_s, lambda: self.emit((later,), None))
        detail = f"{crash.error}; restart {child.restarts} in {delay_s:.2f} s"
        return [self._event(child, "crashed", detail)]

    def _past_budget(self, child: Child) -> Iterable[Any]:
        limit = f"more than {self._budget.restarts_max} crashes in {self._budget.period_s:.0f} s"
        if not child.spec.symbol:
            self._give_up(f"{child.spec.name}: {limit}; last error: {child.last_error}")
            return [self._event(child, "gave up", limit)]
        child.state = "quarantined"
        reason = f"{limit}; last error: {child.last_error}"
        return [
            m.SymbolQuarantined(symbol=child.spec.symbol, reason=reason),
            self._event(child, "quarantined", reason),
        ]

    def _backoff_s(self, crashes: int) -> float:
        """Double with every recent crash, with a fifth of jitter so that none march in step."""
        delay_s = min(self._budget.backoff_max_s, self._budget.backoff_min_s * 2 ** (crashes - 1))
        return delay_s * self._random.uniform(0.8, 1.2)

    def _restart(self, restart: m.Restart) -> Iterable[Any]:
        child = self.children[restart.name]
        if child.state != "backoff" or restart.generation != child.generation:
            return ()
        out: list[Any] = []
        if not child.spec.symbol:
            self._stop_after(child.spec.name)
            out += [
                m.Resync(symbol=c.spec.symbol, reason=f"{child.spec.name} restarted")
                for c in self.children.values()
                if c.spec.symbol
            ]
        return self._start(restart.name) + out

    def _stop_after(self, name: str) -> None:
        """Retire the rooms that build on a dead one; `_ready` starts them again in turn."""
        for later in reversed(self._row[self._row.index(name) + 1 :]):
            child = self.children[later]
            child.state = "down"
            child.generation += 1  # whatever it still says is late
            if child.mailbox is not None:
                child.mailbox.close(f"{name} restarted")
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
