"""A small tree of real actors on real threads; the test turns its clock and its appointments."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.directory import Directory
from actors.mailbox import Mailbox
from actors.shutdown import stop_in_order
from actors.supervisor import Budget, Child, ChildSpec, SupervisorActor
from actors.tracing import Tracer, read_trace
from actors.trading_actor import ActorContext, TradingActor
from core import messages as m
from core.clock import NS_PER_S, Moment

T0 = 1_755_262_547 * NS_PER_S
ROW = ("persistence", "risk", "execution", "feed")
SYMBOLS = ("BTCUSDT", "ETHUSDT")
PATIENCE_S = 10.0  # how long a test waits before it fails; a passing one hardly waits


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.ns = T0

    def now(self) -> Moment:
        return Moment(venue_ns=self.ns, wall_ns=self.ns)

    def wall_ns(self) -> int:
        return self.ns

    def advance(self, seconds: float) -> None:
        self.ns += int(seconds * NS_PER_S)


class HandRuntime:
    """Starts actors as they come; keeps appointments only when told to."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []
        self._due: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def spawn(self, actor_class: type[TradingActor], *arguments: Any) -> None:
        actor_class.start(*arguments)

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        self.delays_s.append(delay_s)
        self._due.put(action)

    def every(self, period_s: float, action: Callable[[], None]) -> None:
        raise NotImplementedError

    def keep_next(self) -> None:
        self._due.get(timeout=PATIENCE_S)()


@dataclass(frozen=True, slots=True, kw_only=True)
class Born:
    thread: threading.Thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Explode:
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor:
    """Keeps an actor busy until the test says go."""

    taken: threading.Event
    go: threading.Event
    then: tuple[Any, ...] = ()


Seen = tuple[str, int, Any]


class Recorder(TradingActor):
    """Notes what it gets, and fails where the test wants it to."""

    def __init__(
        self, context: ActorContext, seen: "queue.SimpleQueue[Seen]", faults: dict[str, list[Any]]
    ) -> None:
        super().__init__(context)
        self._seen = seen
        self._faults = faults
        self._fail("__init__")

    def _fail(self, where: str) -> None:
        due = self._faults.get(f"{self.context.name} {where}")
        if due:
            raise due.pop(0)

    def _note(self, message: Any) -> None:
        self._seen.put((self.context.name, self.context.generation, message))

    def start_up(self) -> Iterable[Any]:
        self._fail("start_up")
        self._note(Born(thread=threading.current_thread()))
        return ()

    def handle(self, message: Any) -> Iterable[Any]:
        self._note(message)
        if isinstance(message, Explode):
            raise message.error
        if isinstance(message, WaitFor):
            message.taken.set()
            assert message.go.wait(PATIENCE_S)
            return message.then
        return ()

    def shut_down(self) -> None:
        self._note("shut down")
        self._fail("shut_down")


class Keeper(Recorder):
    """A room whose queue waits for the successor."""

    keeps_queue = True


class Tree:
    """Supervisor, the four rooms and some symbols."""

    def __init__(
        self, folder: Path, *, seed: int = 7, symbols: tuple[str, ...] = SYMBOLS, **budget: float
    ) -> None:
        self.symbols = symbols
        self.folder = folder
        self.clock = HandClock()
        self.runtime = HandRuntime()
        self.tracer = Tracer(folder, 1)
        self.directory = Directory(epoch=1, clock=self.clock, tracer=self.tracer)
        self.faults: dict[str, list[Any]] = {}
        self.gave_up: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._seen: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        self._unread: list[Seen] = []
        self._stopped = False
        self._seed = seed
        self._budget = Budget(
            restarts_max=int(budget.get("restarts_max", 3)),
            period_s=budget.get("period_s", 60.0),
            root_restarts_max=int(budget.get("root_restarts_max", budget.get("restarts_max", 3))),
            root_period_s=budget.get("root_period_s", 120.0),
            backoff_min_s=budget.get("backoff_min_s", 0.2),
            backoff_max_s=budget.get("backoff_max_s", 30.0),
            reset_after_s=budget.get("reset_after_s", 120.0),
        )
        self.directory.open("gateway", _Sink(self))

    def start(self) -> "Tree":
        mailbox = Mailbox("supervisor", self.directory.bury)
        self.directory.open("supervisor", mailbox)
        arguments = (self._seen, self.faults)
        specs = (
            ChildSpec(name="persistence", actor_class=Keeper, arguments=arguments),
            *(ChildSpec(name=n, actor_class=Recorder, arguments=arguments) for n in ROW[1:]),
            *(
                ChildSpec(name=f"symbol/{s}", actor_class=Recorder, arguments=arguments, symbol=s)
                for s in self.symbols
            ),
        )
        published: list[SupervisorActor] = []
        self.ref = SupervisorActor.start(
            ActorContext(
                name="supervisor", generation=1, mailbox=mailbox, directory=self.directory
            ),
            specs,
            self._budget,
            self.runtime,
            self.gave_up.put,
            seed=self._seed,
            publish=published.append,
        )
        self.supervisor = published[0]
        return self

    def start_up(self) -> "Tree":
        """Start, and wait until all are up."""
        self.start()
        for name in (*ROW, *(f"symbol/{s}" for s in self.symbols)):
            self.expect(name, Born)
        self.await_state(dict.fromkeys(self.supervisor.children, "up"))
        return self

    # ------------------------------------------------------------------ acting
    def tell(self, name: str, message: Any) -> None:
        self.directory.send(message, [name], sender="test", cause=None)

    def crash(self, name: str, error: BaseException | None = None) -> None:
        self.tell(name, Explode(error=error or ValueError("poison")))

    def crash_and_restart(self, name: str, error: BaseException | None = None) -> None:
        self.crash(name, error)
        self.runtime.keep_next()
        self.expect(name, Born)

    def crash_and_restart_unborn(self, name: str) -> None:
        """Let a successor fail before it is born."""
        self.crash(name)
        self.await_state({name: "backoff"})
        self.runtime.keep_next()
        self.await_state({name: "backoff"})
        self.barrier()

    def barrier(self) -> None:
        """Wait until the supervisor has handled all that was sent to it before."""
        self.ref.ask(m.Ready(name="feed", generation=-1), timeout=PATIENCE_S)

    def stop(self, within_s: float = PATIENCE_S) -> list[str]:
        self._stopped = True
        return stop_in_order(self.supervisor, within_s)

    # ------------------------------------------------------------------ looking
    def child(self, name: str) -> Child:
        return self.supervisor.children[name]

    def states(self) -> dict[str, str]:
        return {name: child.state for name, child in self.supervisor.children.items()}

    def await_state(self, wanted: dict[str, str]) -> None:
        for _ in range(1000):
            if wanted.items() <= self.states().items():
                return
            self.barrier()
        raise AssertionError(f"{wanted} never came to be: {self.states()}")

    def expect(self, reader: str, kind: Any, /, **values: Any) -> Any:
        """Wait until `reader` got such a message; return (generation, message)."""
        while True:
            for seen in self._unread:
                who, generation, message = seen
                if who == reader and _is_such(message, kind, values):
                    self._unread.remove(seen)
                    return generation, message
            try:
                self._unread.append(self._seen.get(timeout=PATIENCE_S))
            except queue.Empty:
                raise AssertionError(f"{reader} got no {kind} {values}: {self._unread}") from None

    def unread(self, name: str, kind: Any) -> list[Any]:
        """Return what `name` got and no test line has asked for yet."""
        while not self._seen.empty():
            self._unread.append(self._seen.get())
        return [x for who, _, x in self._unread if who == name and _is_such(x, kind, {})]

    def audit(self) -> Counter[str]:
        """Stop; hold that every message sent ended exactly once; return how, counted."""
        if not self._stopped:
            assert self.stop() == []
        self.tracer.close()
        sent, ended = Counter[int](), Counter[int]()
        outcomes: Counter[str] = Counter()
        for line in read_trace(self.folder):
            (sent if line["event"] == "sent" else ended)[line["id"]] += 1
            outcomes[line.get("outcome") or line.get("reason") or "sent"] += 1
        assert set(sent.values()) == {1}
        assert sent == ended
        assert self.tracer.sent_count == self.tracer.ended_count == len(sent)
        assert self.tracer.failures == 0
        return outcomes


class _Sink:
    """Stands for the gateway: handles all at once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def put(self, envelope: Any, /) -> None:
        now_ns = self._tree.clock.wall_ns()
        self._tree.tracer.handled(envelope, now_ns, now_ns, "ok")


def _is_such(message: Any, kind: Any, values: dict[str, Any]) -> bool:
    if isinstance(kind, str):
        return bool(message == kind)
    return isinstance(message, kind) and all(getattr(message, k) == v for k, v in values.items())
