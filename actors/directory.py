"""The post office: inboxes by name, delivery by the one routing table.

Senders know rooms, never actors: an inbox may change hands at any time, and what is sent while
nobody reads becomes a dead letter with its reason.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from actors import kill_points
from actors.crash_files import CrashFiles
from actors.kill_points import Seam
from actors.mailbox import Envelope
from actors.tracing import Tracer
from core.clock import NS_PER_MS, Moment
from core.messages import PlaceOrder, Purpose
from core.routes import GATEWAY_ROUTES, ROUTES, Room, address

# Ids of one process start here, so that traces of several processes can stand in one folder.
IDS_PER_EPOCH = 10**12


class Clock(Protocol):
    """What tells the time; the only real one is in `actors/edges/system_clock.py`."""

    def now(self) -> Moment:
        """Return this instant on both clocks."""
        ...

    def wall_ns(self) -> int:
        """Return wall time in UTC nanoseconds."""
        ...


class Inbox(Protocol):
    """What a name stands for: a mailbox, or the gateway."""

    def put(self, envelope: Envelope, /) -> None:
        """Take an envelope; never blocks."""
        ...


class Directory:
    """Delivers messages.  Safe to use from any thread."""

    def __init__(
        self, *, epoch: int, clock: Clock, tracer: Tracer, crash_files: CrashFiles | None = None
    ) -> None:
        self.epoch = epoch
        self.crash_files = crash_files
        self.clock = clock
        self.tracer = tracer
        self._ids = itertools.count(epoch * IDS_PER_EPOCH + 1)
        self._inboxes: dict[str, Inbox] = {}
        self._dead: Counter[str] = Counter()
        self._counting = threading.Lock()

    def open(self, name: str, inbox: Inbox) -> None:
        """Let `name` stand for this inbox from now on."""
        self._inboxes[name] = inbox

    def names(self, room: Room) -> list[str]:
        """Return the inbox names of a room, in order of opening."""
        names = list(self._inboxes)  # in one step: another thread may open one meanwhile
        return [n for n in names if n == room.value or n.startswith(f"{room.value}/")]

    def depth(self, name: str) -> int:
        """Return how many messages wait for `name`; 0 where that cannot be told."""
        depth = getattr(self._inboxes.get(name), "depth", None)
        return depth() if depth else 0

    def head_age_ms(self, name: str) -> float:
        """Return how long the oldest message for `name` has waited, wall ms; 0 if none waits."""
        age_ns = getattr(self._inboxes.get(name), "head_age_ns", None)
        return round(age_ns(self.clock.wall_ns()) / NS_PER_MS, 3) if age_ns else 0.0

    def post(self, message: Any, *, sender: str, cause: Envelope | None) -> None:
        """Send a message to every room that its type is routed to."""
        if kill_points.ARMED is not None:
            kill_points.passes(Seam.POSTING, sender, message)
        routes = GATEWAY_ROUTES if sender == Room.GATEWAY.value else ROUTES
        self.send(
            message,
            [address(room, message) for room in routes[type(message)]],
            sender=sender,
            cause=cause,
        )
        if kill_points.ARMED is not None:
            kill_points.passes(Seam.POSTED, sender, message)

    def send(
        self, message: Any, names: Iterable[str], *, sender: str, cause: Envelope | None
    ) -> None:
        """Send a message to the named inboxes."""
        for name in names:
            number = next(self._ids)
            envelope = Envelope(
                message,
                id=number,
                trace=cause.trace if cause is not None else number,
                cause=cause.id if cause is not None else 0,
                sender=sender,
                recipient=name,
                sent_ns=self.clock.wall_ns(),
            )
            self.tracer.sent(envelope)
            if isinstance(message, PlaceOrder) and message.purpose is Purpose.ENTRY:
                self.tracer.flush()  # no entry leaves before its causes are written down
            inbox = self._inboxes.get(name)
            if inbox is None:
                self.bury(envelope, "no such inbox")
            else:
                inbox.put(envelope)

    def dead_letters(self) -> dict[str, int]:
        """Return how many messages were never handled, by recipient, kind and reason."""
        with self._counting:
            return dict(self._dead)

    def bury(self, envelope: Envelope, reason: str) -> None:
        """Note an envelope that will not be handled."""
        if reason != "conflated":  # those are as good as handled: a newer one says more
            kind = type(envelope.message).__name__
            with self._counting:
                self._dead[f"{envelope.recipient} {kind}: {reason}"] += 1
        self.tracer.dead(envelope, self.clock.wall_ns(), reason)
