"""The real PersistenceActor on a thread, and what it tells the other rooms."""

import queue
from pathlib import Path
from typing import Any

import pykka

from actors.edges.database import DatabaseManager
from actors.edges.retention import Retention
from actors.mailbox import Envelope, Mailbox
from actors.persistence import PersistenceActor
from actors.tracing import Tracer
from actors.trading_actor import ActorContext
from core import messages as m
from core.persistence.machine import PersistenceMachine
from tests.actors.world import HandClock
from tests.simulation.process import TrippedDirectory

PATIENCE_S = 10.0
_NAME = "persistence"


class _Room:
    """An inbox that the test reads."""

    def __init__(self, told: "queue.SimpleQueue[tuple[str, Any]]", name: str) -> None:
        self._told, self._name = told, name

    def put(self, envelope: Envelope, /) -> None:
        self._told.put((self._name, envelope.message))


class Writer:
    """Starts generations of the room, one after the other, on one mailbox and one database."""

    def __init__(
        self, database: DatabaseManager, folder: Path, retention: Retention | None = None
    ) -> None:
        self.database = database
        self.clock = HandClock()
        self._tracer = Tracer(folder / "traces", 1)
        self.directory = TrippedDirectory(epoch=1, clock=self.clock, tracer=self._tracer)
        self.mailbox = Mailbox(_NAME, self.directory.bury, money_max=None)
        self.directory.open(_NAME, self.mailbox)
        self._told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        for name in ("risk", "execution", "supervisor"):
            self.directory.open(name, _Room(self._told, name))
        self._machine = PersistenceMachine(epoch=1)
        self._retention = retention
        self.generation = 0
        self._ref: pykka.ActorRef[PersistenceActor] | None = None

    def start(self) -> "Writer":
        """Start the next generation, as the supervisor does."""
        self.generation += 1
        self.mailbox.hand_over()
        context = ActorContext(
            name=_NAME,
            generation=self.generation,
            mailbox=self.mailbox,
            directory=self.directory,
        )
        self._ref = PersistenceActor.start(context, self.database, self._machine, self._retention)
        self.expect("supervisor", m.Ready)
        return self

    def tell(self, *messages: Any) -> None:
        for message in messages:
            self.directory.send(message, [_NAME], sender="test", cause=None)

    def crash_at_next_word(self) -> None:
        """Let it die the moment it wants to say something."""
        self.directory.trips[_NAME] = 0

    def expect(self, room: str, kind: type[Any]) -> Any:
        """Return the next message of a kind to a room; others before it are passed over."""
        passed = []
        while True:
            try:
                name, message = self._told.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise AssertionError(f"no {kind.__name__} to {room}, but {passed}") from None
            if name == room and isinstance(message, kind):
                return message
            passed.append((name, type(message).__name__))

    def told_so_far(self) -> list[Any]:
        """Return what it told until it had handled all that is queued now."""
        self.tell(m.FetchBook(room="test"))
        told = []
        while True:
            told.append(self._told.get(timeout=PATIENCE_S)[1])
            if isinstance(told[-1], m.RecoveredBook):
                self.expect("execution", m.RecoveredBook)
                return told[:-1]

    def stop(self) -> None:
        """End in good order."""
        self.mailbox.finish()
        assert self.mailbox.reader_gone.wait(PATIENCE_S)
        self._tracer.close()
