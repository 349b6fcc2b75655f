"""One life of the bot: the composition root's work, on a stepped runtime, over a database file."""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

from actors.assembly import Assembly, Machines, budget_of
from actors.directory import Directory
from actors.edges.database import DatabaseManager
from actors.mailbox import Envelope, Mailbox
from actors.model_shelf import ModelShelf
from actors.stepped import Stepped, SteppedClock, Timeline
from actors.supervisor import SupervisorActor
from actors.trading_actor import ActorContext
from config import Config
from core import messages as m
from core.errors import UnavailableError
from core.routes import Room
from tests.simulation.faults import WRITE_KINDS, Faults
from tests.simulation.gateway import SteppedGateway
from tests.simulation.loop import SteppedLoop
from tests.simulation.record import Record
from tests.simulation.venue_side import VenueSide

VENUE_ID = "simulated"
AFTER_ITS_WISH = -1
_TICK_S = 0.25


class SimulatedCrashError(Exception):
    """What a fault raises in the middle of an actor's work."""


class FaultyDatabase(DatabaseManager):
    """A database whose disk fails for a while; what it says then may be untrue."""

    def __init__(self, path: Path, clock: SteppedClock, faults: Faults) -> None:
        super().__init__(str(path), clock=clock.now)
        self._faults = faults
        self.down = False

    def apply(self, writes: Iterable[Any]) -> None:
        if not self.down and not self._faults.fate(WRITE_KINDS):
            super().apply(writes)
            return
        if self._faults.dice.random() < 0.3:
            super().apply(writes)  # committed, and yet the answer is an error
        raise UnavailableError("the disk is away")

    def recover(self) -> m.RecoveredBook:
        if self.down:
            raise UnavailableError("the disk is away")
        return super().recover()


class TrippedDirectory(Directory):
    """Delivers messages until a sender is due to crash."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.trips: dict[str, int] = {}  # sender -> posts that still succeed, or AFTER_ITS_WISH

    def post(self, message: Any, *, sender: str, cause: Envelope | None) -> None:
        left = self.trips.get(sender)
        if left == 0:
            del self.trips[sender]
            raise SimulatedCrashError(sender)
        if left is not None and left > 0:
            self.trips[sender] = left - 1
        super().post(message, sender=sender, cause=cause)
        if left == AFTER_ITS_WISH and isinstance(message, m.Proposal):
            del self.trips[sender]
            raise SimulatedCrashError(sender)


class Process:
    """A bot from its start to its death."""

    def __init__(
        self,
        *,
        config: Config,
        strategy_class: type[Any],
        timeline: Timeline,
        dice: Random,
        side: VenueSide,
        faults: Faults,
        path: Path,
        record: Record,
        gave_up: Callable[[str], None],
        shift_ns: int = 0,
        laziness: float = 0.0,
    ) -> None:
        self.config = config
        self.machines = Machines()
        self.clock = SteppedClock(timeline)
        self.clock.shift_ns = shift_ns
        self.runtime = Stepped(timeline, dice, laziness=laziness)
        self.database = FaultyDatabase(path, self.clock, faults)
        self.loop = SteppedLoop(timeline)
        self.supervisor: SupervisorActor | None = None
        self.began_ns = timeline.now_ns
        self._gave_up = gave_up
        self._side = side
        self._assembly = Assembly(config, strategy_class, ModelShelf(path.parent), self.machines)
        epoch = self.database.begin_epoch(VENUE_ID)
        self.epoch = epoch
        self.directory = TrippedDirectory(epoch=epoch, clock=self.clock, tracer=record)
        self._path = path
        self._record = record
        self.gateway = SteppedGateway(
            loop=self.loop,
            config=config,
            clock=self.clock,
            side=side,
            post=self._post,
            tracer=record,
            about_to_send=self._about_to_send,
        )
        self.directory.open(Room.GATEWAY.value, self.gateway)
        self.runtime.join(self.loop)
        self._starting = self.loop.create_task(self.gateway.connect())
        self._starting.add_done_callback(self._connected)

    def _post(self, message: Any, cause: Envelope | None) -> None:
        self.directory.post(message, sender=Room.GATEWAY.value, cause=cause)

    def _about_to_send(self, path: str, method: str, data: dict[str, Any]) -> None:
        """Look into the journal at the moment an entry leaves, at the position when a stop does."""
        if method == "POST" and data.get("type") == "STOP_MARKET":
            exchange, symbol = self._side.exchange, data["symbol"]
            position = exchange.account.positions[symbol]
            self._record.stop_leaves(data, position, exchange.quotes.last(symbol))
        if method == "DELETE" and path == "/fapi/v1/algoOrder":
            self._record.cancel_leaves(data.get("clientAlgoId", ""), self._side.exchange)
        name = data.get("newClientOrderId", "")
        if method == "POST" and path == "/fapi/v1/order" and "-E-" in name:
            reader = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
            query = "SELECT quantity, generation, proposal_id FROM order_intent WHERE client_id = ?"
            row = reader.execute(query, (name,)).fetchone()
            reader.close()
            self._record.entry_leaves(name, data, row)

    def _connected(self, task: Any) -> None:
        error = task.exception()
        if error is not None:
            self._gave_up(f"start: {error}")
            return
        self._assembly.instruments.update(task.result().instruments)
        directory, name = self.directory, Room.SUPERVISOR.value
        mailbox = Mailbox(name, directory.bury)
        directory.open(name, mailbox)
        context = ActorContext(name=name, generation=1, mailbox=mailbox, directory=directory)
        built: list[SupervisorActor] = []
        self.runtime.spawn(
            SupervisorActor,
            context,
            self._assembly.specs(self.database, self.epoch),
            budget_of(self.config),
            self.runtime,
            self._gave_up,
            seed=self.epoch,
            publish=built.append,
        )
        self.supervisor = built[0]

        def tick() -> None:
            names = [n for room in (Room.RISK, Room.EXECUTION) for n in directory.names(room)]
            directory.send(m.Tick(), names, sender="timer", cause=None)

        self.runtime.every(_TICK_S, tick)

    @property
    def settled(self) -> bool:
        """Whether every room is up and nobody has anything to do."""
        if self.supervisor is None:
            return False
        return all(c.state in ("up", "quarantined") for c in self.supervisor.children.values())

    def kill(self) -> None:
        """End as kill -9 does."""
        self.runtime.stop()
        self.gateway.fall_silent()
        self.loop.close()
        self.database.close()
