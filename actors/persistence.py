"""PersistenceActor."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from actors import kill_points
from actors.edges.database import DatabaseManager
from actors.edges.lease import LeaseLostError
from actors.edges.retention import Retention
from actors.kill_points import Seam
from actors.mailbox import Envelope
from actors.trading_actor import ActorContext, TradingActor
from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment
from core.errors import UnavailableError
from core.persistence.machine import PersistenceMachine
from core.persistence.rows import Write
from core.routes import ROUTES, Room

# As many as are queued are committed in one durable transaction.
_BATCH_MAX = 256
_TELL_AGAIN_NS = 5 * NS_PER_S
# A commit that fails may have waited for a lock: the queue must not wait for one each message.
_PAUSE_MIN_NS = 50 * NS_PER_MS
_PAUSE_MAX_NS = 2 * NS_PER_S
_DOUBLINGS_MAX = 6
_UNWRITTEN_MAX = 20_000
_PRUNE_EVERY_NS = 60 * NS_PER_S
_PRUNE_BATCHES_MAX = 8  # at once; each ends before the next message waits long
_WRITABLE = tuple(
    t for t, rooms in ROUTES.items() if Room.PERSISTENCE in rooms and t is not m.FetchBook
)
# What a long failure may cost: history that nobody decides by, never money, orders or states.
_DISPENSABLE = (m.MarkPrice, m.SignalComputed, m.AccountSnapshot, m.ActorEvent)


@dataclass(slots=True)
class Unwritten:
    """What one message becomes in the database, once the database takes it."""

    envelope: Envelope
    writes: tuple[Write, ...]


class PersistenceActor(TradingActor):
    """The one writer.

    State:  what could not be written yet, which outlives this actor in the database's door;
            whether the database takes writes; rooms that wait for the book.
    In:     everything that is to be kept; FetchBook; Tick, which renews the lease
    Out:    IntentRecorded, StateRecorded once their rows are on disk; RecoveredBook;
            StorageFailed, StorageHealed; LeaseLost when another process has taken over
    If it dies: its queue and what it could not write wait for the successor; no entry is sent
    without its journal row.
    """

    keeps_queue = True

    def __init__(
        self,
        context: ActorContext,
        database: DatabaseManager,
        machine: PersistenceMachine,
        retention: Retention | None = None,
    ) -> None:
        super().__init__(context)
        self._database = database
        self.machine = machine
        # A list of its own: a predecessor that hangs may still come back and clear its.
        self._unwritten: list[Unwritten] = list(database.unwritten)
        database.unwritten = self._unwritten
        self._retention = retention
        self._pruned_wall_ns = 0
        self._failures = 0  # in a row
        self._again_wall_ns = 0
        self._told_wall_ns = 0
        self._asked = 0  # rooms that wait for the book
        self._poison: BaseException | None = None

    def on_receive(self, message: Any) -> None:
        """Take along what else is queued, so that one commit serves all."""
        mailbox = self.context.mailbox
        envelopes = [mailbox.current]
        if isinstance(message, _WRITABLE):
            envelopes += mailbox.take_queued(_BATCH_MAX, _WRITABLE)
        self.handle_guarded(envelopes, lambda: self._commit(envelopes))

    def _commit(self, envelopes: list[Any]) -> Iterable[Any]:
        now = self.context.directory.clock.now()  # not for the trace: no replay writes again
        first = envelopes[0].message
        if isinstance(first, m.FetchBook):
            self._asked += 1
        elif not isinstance(first, m.Tick):  # that has nothing to keep: the commit renews the lease
            self._take(envelopes, now)
        pausing = self._failures > 1 and now.wall_ns < self._again_wall_ns
        if pausing and not isinstance(first, m.FetchBook):
            return ()
        batch = [envelope.message for envelope in envelopes]
        kill_points.passes(Seam.COMMITTING, self.context.name, *batch)
        try:
            self._write()
        except LeaseLostError as error:
            return (m.LeaseLost(reason=str(error)), m.StorageFailed(reason=str(error)))
        except UnavailableError as error:
            book = self._book_without_disk()
            return (*self._lost(error, now.wall_ns), *book)
        kill_points.passes(Seam.COMMITTED, self.context.name, *batch)
        healed = (m.StorageHealed(),) if self._failures else ()
        self._failures = self._told_wall_ns = 0
        self._acknowledge(envelopes)
        self._raise_poison()
        if isinstance(first, m.Tick):
            self._prune(now)
        return (*healed, *self._book())

    def _take(self, envelopes: list[Any], now: Moment) -> None:
        """Turn messages into writes; one that cannot be written takes none of the others along."""
        for envelope in envelopes:
            try:
                writes = self.machine.handle(envelope.message, now)
            except Exception as error:  # noqa: BLE001 - raised again once the others are safe
                self._poison = error
            else:
                self._unwritten.append(Unwritten(envelope, writes))
        if len(self._unwritten) > _UNWRITTEN_MAX:
            self._unwritten[:] = [
                kept
                for kept in self._unwritten
                if not isinstance(kept.envelope.message, _DISPENSABLE)
            ]

    def _write(self) -> None:
        """Commit all that is unwritten in one transaction.

        A row the database will never take (a defect) must not take its neighbours along: they are
        committed one by one, and its error ends this actor.
        """
        waiting = tuple(self._unwritten)
        try:
            self._database.apply(write for kept in waiting for write in kept.writes)
        except UnavailableError:
            raise
        except Exception:  # noqa: BLE001 - raised again once the others are safe
            for kept in waiting:
                try:
                    self._database.apply(kept.writes)
                except UnavailableError:
                    raise
                except Exception as error:  # noqa: BLE001 - kept, and raised at the end
                    self._poison = error
                    self._unwritten.remove(kept)

    def _acknowledge(self, envelopes: list[Any]) -> None:
        """Tell what is on disk now, each caused by its own message, not by the batch.

        An intent is told only at once: what was not on disk then has been given up by execution.
        """
        written, self._unwritten[:] = list(self._unwritten), []
        for kept in written:
            match kept.envelope.message:
                case m.RecordIntent(intent=intent, awaited=True):
                    if any(kept.envelope is envelope for envelope in envelopes):
                        epoch = self.context.directory.epoch
                        recorded = m.IntentRecorded(client_id=intent.client_id, epoch=epoch)
                        self.emit((recorded,), kept.envelope)
                case m.StateChanged() as state:
                    self.emit((m.StateRecorded(state=state),), kept.envelope)

    def _raise_poison(self) -> None:
        poison, self._poison = self._poison, None
        if poison is not None:
            raise poison

    def _lost(self, error: UnavailableError, wall_ns: int) -> Iterable[Any]:
        """Say that storage fails: entries stop, protection goes on without it.

        Said again every few seconds, because a risk room that restarts has forgotten it.
        """
        pause_ns = _PAUSE_MIN_NS * 2 ** min(self._failures, _DOUBLINGS_MAX)
        self._failures += 1
        self._again_wall_ns = self.context.directory.clock.wall_ns() + min(pause_ns, _PAUSE_MAX_NS)
        if wall_ns - self._told_wall_ns < _TELL_AGAIN_NS:
            return ()
        self._told_wall_ns = wall_ns
        return (m.StorageFailed(reason=str(error)),)

    # ------------------------------------------------------------ the book
    def _book(self) -> Iterable[Any]:
        """Answer every room that asked; one whose disk fails just now waits for the next try."""
        if not self._asked:
            return ()
        try:
            book = self._database.recover()
        except UnavailableError as error:
            return self._lost(error, self.context.directory.clock.wall_ns())
        asked, self._asked = self._asked, 0
        return (book,) * asked

    def _book_without_disk(self) -> Iterable[Any]:
        """Answer with what the disk holds and what it does not take, if it can be read at all.

        Execution must be able to start and protect while storage fails; StorageFailed goes with it.
        """
        if not self._asked:
            return ()
        try:
            writes = tuple(write for kept in self._unwritten for write in kept.writes)
            book = self._database.recover(writes)
        except Exception:  # noqa: BLE001 - the rooms wait until the disk is back
            return ()
        asked, self._asked = self._asked, 0
        self._told_wall_ns = 0  # the room that asks has just started: it has to hear of it
        return (book,) * asked

    # ------------------------------------------------------------ upkeep
    def _prune(self, now: Moment) -> None:
        """Remove what is older than it has to be kept: a batch a tick, more while nothing waits."""
        if self._retention is None or now.wall_ns - self._pruned_wall_ns < _PRUNE_EVERY_NS:
            return
        for batch in range(_PRUNE_BATCHES_MAX):
            if batch and not self.context.mailbox.idle:
                return
            try:
                gone = self._database.prune(now.venue_ns, self._retention)
            except UnavailableError:
                return  # the next commit will say so
            if not gone:
                self._pruned_wall_ns = now.wall_ns
                return

    def shut_down(self) -> None:
        """Try to write what is left, and close the database."""
        with suppress(UnavailableError):  # said already; what is lost is on the venue
            self._write()
        self._database.close()
