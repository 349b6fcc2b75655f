"""An actor's inbox: lanes, conflation, bounds, and an honest end.

pykka's own inbox is one unbounded FIFO whose queued tells vanish when the actor dies.  This one
serves pykka through the same three calls (`put`, `get`, `empty`) and adds what the bot needs:

- four lanes, the most urgent first; putting never blocks;
- on the market lane only the newest forming kline, mark price or tick of a symbol is kept;
- market and telemetry lanes are bounded, control and money are not;
- once closed, whatever is put or still queued becomes a dead letter with its reason.  pykka asks
  `empty()` only while tearing an actor down, so the answer True closes the box for good: a message
  told between that look and the end of the thread is never lost silently.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from pykka.messages import _ActorStop

from core.routes import LANES, Lane, conflation_key

_BOUNDED = {Lane.MARKET: 20_000, Lane.TELEMETRY: 20_000}


class Envelope:
    """A message on its way: who sent it to whom, why, and when.

    `trace` is the id of the outermost cause, `cause` the id of the message being handled when this
    one was sent; `sent_ns` is wall time.  `reply_to` is what pykka's loop looks for.
    """

    __slots__ = (
        "cause",
        "id",
        "lane",
        "message",
        "recipient",
        "reply_to",
        "sender",
        "sent_ns",
        "trace",
    )

    def __init__(
        self,
        message: Any,
        *,
        id: int = 0,  # noqa: A002 - it is the message's id
        trace: int = 0,
        cause: int = 0,
        sender: str = "",
        recipient: str = "",
        sent_ns: int = 0,
    ) -> None:
        self.message = message
        self.id = id
        self.trace = trace
        self.cause = cause
        self.sender = sender
        self.recipient = recipient
        self.sent_ns = sent_ns
        self.lane = LANES.get(type(message), Lane.CONTROL)
        self.reply_to = None


DeadLetter = Callable[[Any, str], None]


class Mailbox:
    """One reader, any number of writers.  `on_dead` is told each envelope that is not delivered."""

    def __init__(self, name: str, on_dead: DeadLetter) -> None:
        self.name = name
        self.current: Any = None  # what the reader is handling; pykka passes on the message alone
        self.reader_gone = threading.Event()  # set when a reader ended in good order
        self._on_dead = on_dead
        self._lanes: tuple[deque[Any], ...] = tuple(deque() for _ in Lane)
        self._newest: dict[Any, Any] = {}
        self._ready = threading.Condition(threading.Lock())
        self._closed = ""  # the reason, once closed
        self._finishing = False
        self._paused = False

    def put(self, envelope: Any, /) -> None:
        """Queue an envelope; never blocks.  Into a closed box it becomes a dead letter."""
        dead: tuple[Any, str] | None = None
        with self._ready:
            if self._closed:
                dead = (envelope, self._closed)
            else:
                dead = self._queue(envelope)
                self._ready.notify()
        if dead is not None:
            self._bury(*dead)

    def _queue(self, envelope: Any) -> tuple[Any, str] | None:
        lane = getattr(envelope, "lane", Lane.CONTROL)
        waiting = self._lanes[lane]
        key = conflation_key(envelope.message) if lane is Lane.MARKET else None
        if key is not None:
            older = self._newest.get(key)
            self._newest[key] = envelope
            if older is not None:
                waiting[waiting.index(older)] = envelope
                return older, "conflated"
        waiting.append(envelope)
        limit = _BOUNDED.get(lane)
        if limit is not None and len(waiting) > limit:
            return self._forget(waiting.popleft()), "overflow"
        return None

    def _forget(self, envelope: Any) -> Any:
        key = conflation_key(envelope.message)
        if key is not None and self._newest.get(key) is envelope:
            del self._newest[key]
        return envelope

    def _take(self) -> Any | None:
        for waiting in self._lanes:
            if waiting:
                return self._forget(waiting.popleft())
        return None

    def get(self) -> Any:
        """Wait for the most urgent envelope and return it; pykka's stop once closed or finished."""
        with self._ready:
            while True:
                envelope = None if self._paused else self._take()
                if envelope is None and (self._closed or self._finishing):
                    envelope = Envelope(_ActorStop())
                if envelope is not None:
                    self.current = envelope
                    return envelope
                self._ready.wait()

    def take_queued(self, limit: int, message_types: tuple[type[Any], ...]) -> list[Any]:
        """Return up to `limit` more envelopes at once, while the next ones are of these types."""
        taken: list[Any] = []
        with self._ready:
            while len(taken) < limit:
                waiting = next((lane for lane in self._lanes if lane), None)
                if waiting is None or not isinstance(waiting[0].message, message_types):
                    break
                taken.append(self._forget(waiting.popleft()))
        return taken

    def empty(self) -> bool:
        """Tell pykka's teardown whether anything is left; True closes the box."""
        with self._ready:
            if self._paused:
                return True
            if any(self._lanes):
                return False
            self._closed = self._closed or "stopped"
            return True

    def close(self, reason: str) -> None:
        """Refuse what comes from now on, make dead letters of what is queued, stop the reader."""
        with self._ready:
            self._closed = reason
            buried = [envelope for waiting in self._lanes for envelope in waiting]
            for waiting in self._lanes:
                waiting.clear()
            self._newest.clear()
            self._ready.notify()
        for envelope in buried:
            self._bury(envelope, reason)

    def finish(self) -> None:
        """Stop the reader once it has handled all that is queued."""
        with self._ready:
            self._finishing = True
            self._ready.notify()

    def pause(self) -> None:
        """Keep what is queued for the next reader, whatever pykka's teardown does."""
        with self._ready:
            self._paused = True

    def resume(self) -> None:
        """Let the successor read on."""
        with self._ready:
            self._paused = False
            self._ready.notify()

    def depth(self) -> int:
        """Return how many envelopes wait."""
        with self._ready:
            return sum(map(len, self._lanes))

    def _bury(self, envelope: Any, reason: str) -> None:
        if envelope.reply_to is not None:
            envelope.reply_to.set(None)  # only `stop` is ever asked; its asker need not wait
        if isinstance(envelope, Envelope):
            self._on_dead(envelope, reason)
