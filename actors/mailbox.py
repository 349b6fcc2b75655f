"""An actor's inbox: lanes, conflation, bounds, and an honest end.

pykka's own inbox is one unbounded FIFO whose queued tells vanish when the actor dies.  This one
serves pykka through the same three calls (`put`, `get`, `empty`) and adds what the bot needs:

- four lanes, the most urgent first; putting never blocks;
- on the market lane only the newest forming kline, mark price or tick of a symbol is kept, in the
  place of the one it replaces; that bounds the lane, for closed klines are few and never dropped;
- the telemetry lane is bounded and loses its oldest;
- the money lane loses nothing: past its bound the reader is told to crash (`check`), since what it
  cannot keep up with it has to derive again; a room whose queue outlives it has no such bound;
- after 64 messages in a row a less urgent lane that waits gets one in between;
- once closed, whatever is put or still queued becomes a dead letter with its reason.

pykka drains the inbox of a dying actor into nothing.  So `empty()`, which it asks only then, closes
the box, buries what is queued and answers True: pykka never gets to drain.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from pykka import ActorDeadError
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from core.routes import LANES, Lane, conflation_key

TELEMETRY_MAX = 20_000
MONEY_MAX = 10_000
_IN_A_ROW_MAX = 64
_PROXIED = (ProxyCall, ProxyGetAttr, ProxySetAttr)


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


class MailboxOverflowError(Exception):
    """More money messages wait than the room may fall behind; none is lost, all are derived."""


class Mailbox:
    """One reader, any number of writers.  `on_dead` is told each envelope that is not delivered.

    `money_max` bounds the money lane; None for a queue that waits for a successor.
    """

    def __init__(
        self, name: str, on_dead: DeadLetter, *, money_max: int | None = MONEY_MAX
    ) -> None:
        self.name = name
        self._money_max = money_max
        self._overflowed = False
        self._in_a_row = 0  # taken since a less urgent lane had its turn
        self._heir: Mailbox | None = None  # gets what comes after `move_to`
        self.current: Any = None  # what the reader is handling; pykka passes on the message alone
        self.reader_gone = threading.Event()  # set once the reader takes no more, crashed or not
        self._on_dead = on_dead
        # A conflating message stands in its lane by its key; the newest is in `_newest`.
        self._lanes: tuple[deque[Any], ...] = tuple(deque() for _ in Lane)
        self._newest: dict[tuple[Any, ...], Any] = {}
        self._ready = threading.Condition(threading.Lock())
        self._closed = ""  # the reason, once closed
        self._finishing = False

    @property
    def closed(self) -> bool:
        """Tell whether what is put from now on becomes a dead letter."""
        return bool(self._closed)

    @property
    def idle(self) -> bool:
        """Tell whether its reader has nothing to take; looked at without the lock."""
        first, second, third, last = self._lanes  # one by one: asked at every step of a simulation
        return not (first or second or third or last or self._closed or self._finishing)

    def put(self, envelope: Any, /) -> None:
        """Queue an envelope; never blocks.  Into a closed box it becomes a dead letter.

        Raises TypeError for a call by proxy: it would run in the actor past its guard.
        """
        if isinstance(envelope.message, _PROXIED):
            raise TypeError(f"{self.name} takes messages only, no calls by proxy")
        dead: tuple[Any, str] | None = None
        with self._ready:
            if self._heir is not None:
                self._heir.put(envelope)
            elif self._closed:
                dead = (envelope, self._closed)
            else:
                dead = self._queue(envelope)
                self._ready.notify()
        if dead is not None:
            self._bury(*dead)

    def _queue(self, envelope: Any) -> tuple[Any, str] | None:
        lane = getattr(envelope, "lane", Lane.CONTROL)  # pykka's own envelopes have none
        waiting = self._lanes[lane]
        key = conflation_key(envelope.message) if lane is Lane.MARKET else None
        if key is None:
            waiting.append(envelope)
        else:
            older = self._newest.get(key)
            self._newest[key] = envelope
            if older is not None:
                return older, "conflated"
            waiting.append(key)
        if lane is Lane.TELEMETRY and len(waiting) > TELEMETRY_MAX:
            return waiting.popleft(), "overflow"
        if lane is Lane.MONEY and self._money_max is not None and len(waiting) > self._money_max:
            self._overflowed = True
        return None

    def check(self) -> None:
        """Raise MailboxOverflowError in the reader that has fallen behind for good."""
        if self._overflowed:
            raise MailboxOverflowError(f"more than {self._money_max} money messages wait")

    def _take(self) -> Any | None:
        chosen: deque[Any] | None = None
        for waiting in self._lanes:
            if waiting and chosen is None:
                chosen = waiting
                if self._in_a_row < _IN_A_ROW_MAX:
                    break
            elif waiting:
                chosen = waiting  # its turn has come
                break
        if chosen is None:
            return None
        self._in_a_row = self._in_a_row + 1 if self._in_a_row < _IN_A_ROW_MAX else 0
        return self._named(chosen.popleft())

    def _named(self, place: Any) -> Any:
        return self._newest.pop(place) if isinstance(place, tuple) else place

    def get(self) -> Any:
        """Wait for the most urgent envelope and return it; pykka's stop once closed or finished.

        Handing out the stop closes the box: nobody would read what comes later.
        """
        with self._ready:
            while True:
                envelope = self._take()
                if envelope is None and (self._closed or self._finishing):
                    self._closed = self._closed or "stopped"
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
                if waiting is None:
                    break
                place = waiting[0]
                first = self._newest[place] if isinstance(place, tuple) else place
                if not isinstance(first.message, message_types):
                    break
                taken.append(self._named(waiting.popleft()))
        return taken

    def empty(self) -> bool:
        """Close the box, for only pykka's teardown asks; always True."""
        self.close("stopped")
        return True

    def close(self, reason: str) -> None:
        """Refuse what comes from now on, make dead letters of what is queued, stop the reader."""
        with self._ready:
            self._closed = self._closed or reason
            buried = self._emptied()
            self._ready.notify_all()
        for envelope in buried:
            self._bury(envelope, self._closed)

    def move_to(self, heir: "Mailbox", first: list[Any]) -> None:
        """Give an heir `first`, then all that is queued here and all that will still come."""
        with self._ready:
            self._closed = self._closed or "moved"
            for envelope in (*first, *self._emptied()):
                heir.put(envelope)
            self._heir = heir
            self._ready.notify_all()

    def _emptied(self) -> list[Any]:
        queued = [self._named(place) for waiting in self._lanes for place in waiting]
        for waiting in self._lanes:
            waiting.clear()
        return queued

    def finish(self) -> None:
        """Stop the reader once it has handled all that is queued."""
        with self._ready:
            self._finishing = True
            self._ready.notify_all()

    def hand_over(self) -> None:
        """Note that a successor reads on from here."""
        self.reader_gone.clear()

    def depth(self) -> int:
        """Return how many envelopes wait."""
        with self._ready:
            return sum(map(len, self._lanes))

    def head_age_ns(self, wall_ns: int) -> int:
        """Return how long the oldest waiting envelope has waited, wall ns; 0 if none waits."""
        with self._ready:
            heads = [waiting[0] for waiting in self._lanes if waiting]
            sent = [
                (self._newest[head] if isinstance(head, tuple) else head).sent_ns
                for head in heads
                if isinstance(head, tuple | Envelope)
            ]
        return max(0, wall_ns - min(sent)) if sent else 0

    def _bury(self, envelope: Any, reason: str) -> None:
        if isinstance(envelope, Envelope):
            self._on_dead(envelope, reason)
        elif envelope.reply_to is not None:
            if isinstance(envelope.message, _ActorStop):
                envelope.reply_to.set(None)  # what was asked for has come to pass
            else:
                dead = ActorDeadError(f"{self.name}: {reason}")
                envelope.reply_to.set_exception((ActorDeadError, dead, None))
