"""Starts the rooms in order, watches them, and puts successors in the place of the dead."""

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import pykka

from actors.children import ALIVE, Budget, Child, ChildSpec
from actors.mailbox import Envelope, Mailbox
from actors.runtime import Runtime
from actors.trading_actor import ActorContext, TradingActor, in_one_line
from actors.watchdog import Slot, Watched
from core import messages as m
from core.clock import NS_PER_S
from core.routes import Room

_DOUBLINGS_MAX = 64
_SUPERVISOR_HUNG_AFTER_S = 10.0

# Many symbols quarantined within a minute have a cause in common.  One alone has none, even if it
# is a third of all symbols.
CORRELATED_WITHIN_S = 60.0
CORRELATED_SYMBOLS = 3
CORRELATED_PART = 0.3
_CORRELATED_MIN = 2

ZOMBIES_MAX = 5  # threads cannot be killed; past this only a new process is a cure


class SupervisorActor(TradingActor):
    """Keeps the tree alive.

    State:  generation, state and recent crashes of every child; the zombies of hung ones.
    In:     Ready, Crashed, Hung, Restart, Revive, LeaseLost
    Out:    ActorStarted, Resync, SymbolQuarantined, CorrelatedFailure and its end, Restart,
            ActorEvent
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
        self._zombies: list[Slot] = []
        self._quarantined_ns: dict[str, int] = {}  # wall, by name
        self._row_crashes_ns: deque[int] = deque()  # of all rooms, wall, within the root's period
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
            case m.Hung():
                return self._hung(message)
            case m.Restart():
                return self._restart(message)
            case m.Revive():
                return self._revive(message)
            case m.LeaseLost():
                self._give_up(message.reason)
                return ()
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
            elif child.state in ALIVE:
                out.append(m.ActorStarted(name=name, symbol=symbol, generation=child.generation))
                out.append(m.Resync(symbol=symbol, reason="rooms restarted"))
            elif child.state == "quarantined":
                out.append(m.SymbolQuarantined(symbol=symbol, reason=child.last_error))
        return out

    def _start(self, name: str) -> list[Any]:
        child, directory = self.children[name], self.context.directory
        child.generation = child.generation or 1
        self._announce(child)
        child.state = "starting"
        child.slot = Slot()
        if child.mailbox is None or not child.spec.actor_class.keeps_queue:
            child.mailbox = self._new_mailbox(child)
            directory.open(name, child.mailbox)
        child.mailbox.hand_over()
        context = ActorContext(
            name=name,
            generation=child.generation,
            mailbox=child.mailbox,
            directory=directory,
            slot=child.slot,
        )
        try:
            self._runtime.spawn(child.spec.actor_class, context, *child.spec.arguments)
        except BaseException as error:  # noqa: BLE001 - also `can't start new thread`
            if not child.spec.actor_class.keeps_queue:
                child.mailbox.close(f"{name} did not start")
            _strike_unborn(child.mailbox)
            crash = m.Crashed(name=name, generation=child.generation, error=in_one_line(error))
            return list(self._crashed(crash))
        return [self._event(child, "started", "")]

    def _new_mailbox(self, child: Child) -> Mailbox:
        name, bury = child.spec.name, self.context.directory.bury
        if child.spec.actor_class.keeps_queue:
            return Mailbox(name, bury, money_max=None)
        return Mailbox(name, bury)

    def _fence(self, child: Child) -> None:
        """End a generation at once: whatever it still says is refused from here on."""
        child.generation += 1
        self._announce(child)

    def _announce(self, child: Child) -> None:
        """Say which generation of a symbol counts; rooms that came back do not know it."""
        if child.spec.symbol:
            current = m.ActorStarted(
                name=child.spec.name, symbol=child.spec.symbol, generation=child.generation
            )
            self.emit((current,), self.context.mailbox.current)

    def _crashed(self, crash: m.Crashed) -> Iterable[Any]:
        child = self.children[crash.name]
        if crash.generation != child.generation or child.state not in ALIVE:
            return ()  # a late word of an older generation
        return self._failed(child, crash.error, "crashed")

    def _failed(self, child: Child, error: str, event: str) -> Iterable[Any]:
        """Fence, count, and appoint the successor; past the budget there is none."""
        died = child.generation
        self._fence(child)
        child.last_error = error
        child.restarts += 1
        now_ns = self.context.directory.clock.wall_ns()
        beyond = self._beyond_budget(child, now_ns)
        if beyond:
            return self._past_budget(child, beyond, now_ns)
        delay_s = self._backoff_s(child, now_ns)
        child.state = "backoff"
        later = m.Restart(name=child.spec.name, generation=child.generation)
        cause = self.context.mailbox.current
        self._runtime.later(delay_s, lambda: self.emit((later,), cause))
        detail = f"{error}; restart {child.restarts} in {delay_s:.2f} s"
        return [self._event(child, event, detail, died)]

    def _hung(self, hung: m.Hung) -> Iterable[Any]:
        """Condemn the actor: nobody hears it any more, and a successor takes its place.

        Its thread cannot be killed.  What it had in hand is over; only a room whose queue outlives
        it hands that on too, for it exists nowhere else and may be done twice.
        """
        child, directory = self.children[hung.name], self.context.directory
        if hung.generation != child.generation or child.state not in ALIVE:
            return ()
        slot, mailbox = child.slot, child.mailbox
        assert mailbox is not None, "what is alive has a mailbox"
        in_hand = slot.condemn()
        if child.spec.actor_class.keeps_queue:
            child.mailbox = self._new_mailbox(child)
            mailbox.move_to(child.mailbox, in_hand)
            directory.open(hung.name, child.mailbox)
        else:
            mailbox.close(f"{hung.name} hung")
            now_ns = directory.clock.wall_ns()
            for envelope in in_hand:
                if isinstance(envelope, Envelope):
                    directory.tracer.handled(envelope, now_ns, now_ns, "hung")
        if directory.crash_files is not None:  # without its state: a thread still works on that
            directory.crash_files.save(
                name=hung.name,
                generation=hung.generation,
                error=f"hung at {hung.stack}",
                at_wall_ns=directory.clock.wall_ns(),
                now=directory.clock.now(),
                messages=[envelope.message for envelope in in_hand],
            )
        if slot.ref is not None:
            pykka.ActorRegistry.unregister(slot.ref)
        self._zombies = [old for old in self._zombies if old.lingers()] + [slot]
        if self.zombies > ZOMBIES_MAX:
            self._give_up(f"{self.zombies} threads hang; the newest is {hung.name}: {hung.stack}")
        return self._failed(child, f"stands at {hung.stack}", "hung")

    @property
    def zombies(self) -> int:
        """Return how many threads of condemned actors have not ended."""
        return sum(slot.lingers() for slot in self._zombies)

    def _beyond_budget(self, child: Child, now_ns: int) -> str:
        """Count a crash; return which limit it breaks, empty if none."""
        budget, symbol = self._budget, bool(child.spec.symbol)
        counted = child.crashes_ns if symbol else self._row_crashes_ns
        limit = budget.restarts_max if symbol else budget.root_restarts_max
        period_s = budget.period_s if symbol else budget.root_period_s
        while counted and now_ns - counted[0] > int(period_s * NS_PER_S):
            counted.popleft()
        counted.append(now_ns)
        if len(counted) <= limit:
            return ""
        return f"more than {limit} crashes{'' if symbol else ' of rooms'} in {period_s:.0f} s"

    def _past_budget(self, child: Child, limit: str, now_ns: int) -> Iterable[Any]:
        if not child.spec.symbol:
            child.state = "failed"
            self._give_up(f"{child.spec.name}: {limit}; last error: {child.last_error}")
            return [self._event(child, "gave up", limit)]
        child.state = "quarantined"
        self._quarantined_ns[child.spec.name] = now_ns
        reason = f"{limit}; last error: {child.last_error}"
        return [
            m.SymbolQuarantined(symbol=child.spec.symbol, reason=reason),
            self._event(child, "quarantined", reason),
            *self._correlated(now_ns, child.last_error),
        ]

    def _correlated(self, now_ns: int, last_error: str) -> list[Any]:
        """Say so if too many symbols were quarantined within a minute to be a coincidence.

        If none is left, a new process is the only cure.  What it finds stored is reduce-only: the
        trading rooms handle what was said before they stop.
        """
        since_ns = now_ns - int(CORRELATED_WITHIN_S * NS_PER_S)
        recent = [name for name, at_ns in self._quarantined_ns.items() if at_ns >= since_ns]
        symbols = sum(1 for child in self.children.values() if child.spec.symbol)
        many = len(recent) >= max(_CORRELATED_MIN, CORRELATED_PART * symbols)
        if not (many or len(recent) >= CORRELATED_SYMBOLS):
            return []
        names = ", ".join(self.children[name].spec.symbol for name in recent)
        within = f"within {CORRELATED_WITHIN_S:.0f} s"
        reason = f"{len(recent)} of {symbols} symbols quarantined {within} ({names})"
        if len(self._quarantined_ns) == symbols:
            self._give_up(f"no symbol is left: {reason}; last error: {last_error}")
        return [m.CorrelatedFailure(reason=f"{reason}; cleared by reviving all of them")]

    def _revive(self, revive: m.Revive) -> Iterable[Any]:
        """Start a quarantined symbol anew, as if it had never failed; a person has said so."""
        name = f"{Room.SYMBOL.value}/{revive.symbol}"
        child = self.children[name]
        out: list[Any] = []
        if child.state == "quarantined":
            del self._quarantined_ns[name]
            child.crashes_ns.clear()
            child.backoffs = 0
            out = [self._event(child, "revived", "by the operator"), *self._start(name)]
        if not self._quarantined_ns:
            out.append(m.CorrelatedFailureCleared(reason=f"{revive.symbol} revived, none is left"))
        return out

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
            if child.state in ALIVE:
                self._fence(child)
            child.state = "down"  # whatever it still says is late
            if child.mailbox is not None:
                child.mailbox.close(f"{self._row[position]} restarted")
                child.mailbox = None

    def _event(
        self, child: Child, event: str, detail: str, generation: int | None = None
    ) -> m.ActorEvent:
        return m.ActorEvent(
            name=child.spec.name,
            generation=child.generation if generation is None else generation,
            event=event,
            detail=detail,
            at_ns=self.context.directory.clock.now().venue_ns,
        )

    def watched(self) -> list[Watched]:
        """Return all that is alive, this actor included, as the watchdog wants it."""
        context = self.context
        found = [
            Watched(
                name=context.name,
                generation=context.generation,
                slot=context.slot,
                patience_s=_SUPERVISOR_HUNG_AFTER_S,
                starting=False,
                queued=context.mailbox.depth(),
                critical=True,
            )
        ]
        for child in list(self.children.values()):
            spec, mailbox, state = child.spec, child.mailbox, child.state
            if state not in ALIVE or mailbox is None:
                continue
            starting = state == "starting"
            found.append(
                Watched(
                    name=spec.name,
                    generation=child.generation,
                    slot=child.slot,
                    patience_s=spec.ready_within_s if starting else spec.hung_after_s,
                    starting=starting,
                    queued=mailbox.depth(),
                    critical=not spec.symbol,
                )
            )
        return found


def _strike_unborn(mailbox: Mailbox) -> None:
    """Take an actor whose thread did not start out of pykka's registry, where it seems alive."""
    for ref in pykka.ActorRegistry.get_all():
        if ref.actor_inbox is mailbox:
            pykka.ActorRegistry.unregister(ref)
