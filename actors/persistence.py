"""PersistenceActor."""

from collections.abc import Iterable
from typing import Any

from actors.edges.database import DatabaseManager
from actors.trading_actor import ActorContext, TradingActor
from core import messages as m
from core.errors import UnavailableError
from core.persistence.machine import PersistenceMachine
from core.routes import ROUTES, Room

# As many as are queued are committed in one durable transaction.
_BATCH_MAX = 256
_WRITABLE = tuple(
    t for t, rooms in ROUTES.items() if Room.PERSISTENCE in rooms and t is not m.FetchBook
)


class PersistenceActor(TradingActor):
    """The one writer.

    State:  the newest marks, for the positions table; whether the database takes writes.
    In:     everything that is to be kept; FetchBook
    Out:    IntentRecorded once a journal row is on disk; RecoveredBook; StorageFailed, StorageHealed
    If it dies: its queue waits for the successor; no entry is sent without its journal row.
    """

    keeps_queue = True

    def __init__(
        self, context: ActorContext, database: DatabaseManager, machine: PersistenceMachine
    ) -> None:
        super().__init__(context)
        self._database = database
        self._machine = machine
        self._held: list[Any] = []  # writes of a failed commit, made up for by the next
        self._failing = False

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
        writes = [write for message in batch for write in self._machine.handle(message, now)]
        self._held += writes
        try:
            self._database.apply(tuple(self._held))
        except UnavailableError as error:
            return self._lost(error)
        self._held.clear()
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

    def _lost(self, error: UnavailableError) -> Iterable[Any]:
        """Say once that storage fails: entries stop, protection goes on without it."""
        if self._failing:
            return ()
        self._failing = True
        return (m.StorageFailed(reason=str(error)),)

    def shut_down(self) -> None:
        """Close the database after the last commit."""
        self._database.close()
