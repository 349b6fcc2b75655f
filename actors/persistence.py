"""PersistenceActor."""

from collections.abc import Iterable
from typing import Any

from actors import kill_points
from actors.edges.database import DatabaseManager
from actors.edges.lease import LeaseLostError
from actors.kill_points import Seam
from actors.trading_actor import ActorContext, TradingActor
from core import messages as m
from core.clock import NS_PER_S
from core.errors import UnavailableError
from core.persistence.machine import PersistenceMachine
from core.routes import ROUTES, Room

# As many as are queued are committed in one durable transaction.
_BATCH_MAX = 256
_TELL_AGAIN_NS = 5 * NS_PER_S
_WRITABLE = tuple(
    t for t, rooms in ROUTES.items() if Room.PERSISTENCE in rooms and t is not m.FetchBook
)


class PersistenceActor(TradingActor):
    """The one writer.

    State:  the newest marks, for the positions table; whether the database takes writes.
    In:     everything that is to be kept; FetchBook; Tick, which renews the lease
    Out:    IntentRecorded once its row is on disk; RecoveredBook; StorageFailed, StorageHealed;
            LeaseLost when another process has taken over
    If it dies: its queue waits for the successor; no entry is sent without its journal row.
    """

    keeps_queue = True

    def __init__(
        self, context: ActorContext, database: DatabaseManager, machine: PersistenceMachine
    ) -> None:
        super().__init__(context)
        self._database = database
        self.machine = machine
        self._held: list[Any] = []  # writes of a failed commit, made up for by the next
        self._failing = False
        self._told_wall_ns = 0

    def on_receive(self, message: Any) -> None:
        """Take along what else is queued, so that one commit serves all."""
        mailbox = self.context.mailbox
        envelopes = [mailbox.current]
        if isinstance(message, _WRITABLE):
            envelopes += mailbox.take_queued(_BATCH_MAX, _WRITABLE)
        self.handle_guarded(envelopes, lambda: self._commit(envelopes))

    def _commit(self, envelopes: list[Any]) -> Iterable[Any]:
        batch = [envelope.message for envelope in envelopes]
        if isinstance(batch[0], m.FetchBook):
            return (self._database.recover(),)
        now = self.context.directory.clock.now()
        if isinstance(batch[0], m.Tick):
            batch = []  # nothing to keep: the commit renews the lease
        writes = [write for message in batch for write in self.machine.handle(message, now)]
        self._held += writes
        kill_points.passes(Seam.COMMITTING, self.context.name, *batch)
        try:
            self._write()
        except LeaseLostError as error:
            return (m.LeaseLost(reason=str(error)), m.StorageFailed(reason=str(error)))
        except UnavailableError as error:
            return self._lost(error, now.wall_ns)
        kill_points.passes(Seam.COMMITTED, self.context.name, *batch)
        healed = (m.StorageHealed(),) if self._failing else ()
        self._failing = False
        for envelope in envelopes:
            message = envelope.message
            if isinstance(message, m.RecordIntent) and message.awaited:
                recorded = m.IntentRecorded(
                    client_id=message.intent.client_id, epoch=self.context.directory.epoch
                )
                self.emit((recorded,), envelope)  # caused by its own row, not by the batch
        return healed

    def _write(self) -> None:
        """Commit all that is held in one transaction.

        A row the database will never take (a defect) must not take its neighbours along: they are
        committed one by one, and its error ends this actor.
        """
        try:
            self._database.apply(tuple(self._held))
        except UnavailableError:
            raise
        except Exception:  # noqa: BLE001 - raised again below, once the others are safe
            poison: Exception | None = None
            while self._held:
                write = self._held.pop(0)
                try:
                    self._database.apply((write,))
                except UnavailableError:
                    self._held.insert(0, write)
                    raise
                except Exception as error:  # noqa: BLE001 - kept, and raised at the end
                    poison = error
            if poison is not None:
                raise poison from None
        self._held.clear()

    def _lost(self, error: UnavailableError, wall_ns: int) -> Iterable[Any]:
        """Say that storage fails: entries stop, protection goes on without it.

        Said again every few seconds, because a risk room that restarts has forgotten it.
        """
        self._failing = True
        if wall_ns - self._told_wall_ns < _TELL_AGAIN_NS:
            return ()
        self._told_wall_ns = wall_ns
        return (m.StorageFailed(reason=str(error)),)

    def shut_down(self) -> None:
        """Close the database after the last commit."""
        self._database.close()
