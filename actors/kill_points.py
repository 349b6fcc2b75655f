"""Places where a chaos run kills the real process: `CHAOS_KILL_AT=K6`, or `K6:3` the third time.

Honoured on the embedded venue only.  A few seams of the code report what passes them (a message
about to be posted, a batch about to be committed, a request, a step of the way down); the table
says which of these passings is which point of the fault catalogue.  While nothing is armed each
seam costs one look at `ARMED`.  `K6@USR2` arms at that signal instead of at the start.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from core import messages as m
from core.errors import ConfigurationError
from core.execution.order_life import OrderState
from core.messages import Purpose
from core.routes import Room

_SENT_S: Final = 0.3  # by then the bytes of a request have certainly left


class Seam(StrEnum):
    """Where the code looks whether it is to die."""

    POSTING = "before a message is posted"
    POSTED = "after a message was posted"
    COMMITTING = "before a commit"
    COMMITTED = "after a commit"
    REQUESTED = "after a request has left"
    STOPPING = "before a step of the way down"


Memory = dict[str, Any]  # what a point has seen so far in this process


@dataclass(frozen=True, slots=True)
class KillPoint:
    """One point: a seam, whose message, and which.  `needs` is a venue fault it cannot do without.

    `room` is the sender, empty for any.  `needs` is the body of `POST /sim/faults`.
    """

    seam: Seam
    room: str
    meets: Callable[[Any, Memory], bool]
    text: str
    needs: Mapping[str, Any] = field(default_factory=dict)


def _is(kind: type[Any], purpose: Purpose | None = None) -> Callable[[Any, Memory], bool]:
    def meets(message: Any, _: Memory) -> bool:
        return type(message) is kind and (purpose is None or message.purpose is purpose)

    return meets


def _entry_row(message: Any, _: Memory) -> bool:
    return isinstance(message, m.RecordIntent) and message.awaited


def _entry_acknowledged(message: Any, _: Memory) -> bool:
    known = (OrderState.ACKED, OrderState.FILLED)
    return (
        isinstance(message, m.IntentMoved)
        and f"-{Purpose.ENTRY}-" in message.client_id
        and message.state in known
    )


def _partial_fill(message: Any, _: Memory) -> bool:
    return isinstance(message, m.OrderUpdate) and message.status == "PARTIALLY_FILLED"


_RECOVERY = (
    *(m.FetchBook, m.RecoveredBook, m.ReconcilePending, m.FetchSnapshot, m.VenueSnapshot),
    *(m.FillBooked, m.PositionChanged, m.IntentMoved, m.PlaceAlgoOrder, m.CancelAlgoOrder),
    *(m.QueryOrder, m.Reconciled),
)


def _recovery_step(message: Any, memory: Memory) -> bool:
    if memory.get("over"):
        return False
    memory["over"] = isinstance(message, m.Reconciled)
    return isinstance(message, _RECOVERY)


def _new_day(message: Any, memory: Memory) -> bool:
    if not isinstance(message, m.DayLedger):
        return False
    return bool(message.day > memory.setdefault("day", message.day))


def _any_step(message: Any, _: Memory) -> bool:
    return isinstance(message, str)


def _fault(kind: str, path: str = "", **arguments: Any) -> dict[str, Any]:
    match = {"path": f"/fapi/v1/{path}", "method": "POST"} if path else {}
    return {"kind": kind, "count": 1, "match": match, "args": arguments}


_EXECUTION, _GATEWAY = Room.EXECUTION.value, Room.GATEWAY.value
_ENTRY, _STOP, _EXIT = Purpose.ENTRY, Purpose.STOP, Purpose.EXIT
POINTS: Final[dict[str, KillPoint]] = {
    "K1": KillPoint(Seam.COMMITTING, "", _entry_row, "before an entry's journal row is committed"),
    "K2": KillPoint(Seam.COMMITTED, "", _entry_row, "after it, before anyone is told"),
    "K3": KillPoint(
        Seam.POSTING, Room.RISK.value, _is(m.Approval), "reserved, the approval not yet told"
    ),
    "K4": KillPoint(
        Seam.POSTING, _EXECUTION, _is(m.PlaceOrder, _ENTRY), "journalled, the entry not yet sent"
    ),
    "K5": KillPoint(
        Seam.REQUESTED,
        _GATEWAY,
        _is(m.PlaceOrder, _ENTRY),
        "the entry's bytes have left; the venue executes it 1.5 s later",
        needs=_fault("latency", "order", ms=1500),
    ),
    "K6": KillPoint(
        Seam.REQUESTED,
        _GATEWAY,
        _is(m.PlaceOrder, _ENTRY),
        "the venue has executed the entry and not answered",
        needs=_fault("timeout_after", "order"),
    ),
    "K7": KillPoint(
        Seam.POSTING, _GATEWAY, _is(m.OrderAnswered, _ENTRY), "the answer is read, not yet told"
    ),
    "K8": KillPoint(
        Seam.COMMITTED, "", _entry_acknowledged, "the entry's acknowledgement is committed"
    ),
    "K9": KillPoint(
        Seam.POSTED,
        _GATEWAY,
        _partial_fill,
        "the first partial fill is told",
        needs=_fault("partial_fill", fraction=0.5),
    ),
    "K10": KillPoint(
        Seam.POSTING, _EXECUTION, _is(m.PlaceAlgoOrder, _STOP), "filled, the stop not yet sent"
    ),
    "K11": KillPoint(
        Seam.REQUESTED,
        _GATEWAY,
        _is(m.PlaceAlgoOrder, _STOP),
        "the venue has placed the stop and not answered",
        needs=_fault("timeout_after", "algoOrder"),
    ),
    "K12": KillPoint(
        Seam.POSTING, _GATEWAY, _is(m.OrderAnswered, _STOP), "the stop is answered, not confirmed"
    ),
    "K13": KillPoint(
        Seam.POSTED, _EXECUTION, _is(m.PlaceOrder, _EXIT), "an exit is on its way, not journalled"
    ),
    "K14": KillPoint(Seam.POSTING, "", _recovery_step, "step n of the recovery at start"),
    "K15": KillPoint(Seam.COMMITTING, "", _new_day, "before a new UTC day's ledger is committed"),
    "K16": KillPoint(Seam.STOPPING, "", _any_step, "step n of the way down"),
}


class Armed:
    """Counts the passings of one point and ends the process at the `times`-th.

    `die` is given the point's name; `later` lets it come once a request has left.
    """

    def __init__(
        self,
        name: str,
        times: int,
        die: Callable[[str], None],
        later: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self.point = POINTS[name]
        self.name = name
        self._left = times
        self._die = die
        self._later = later or _in_a_moment
        self._memory: Memory = {}
        self._counting = threading.Lock()

    def passes(self, seam: Seam, room: str, *messages: Any) -> None:
        """Look at what passes a seam; does not come back from the passing that was meant."""
        point = self.point
        if seam is not point.seam or (point.room and point.room != room):
            return
        with self._counting:
            met = sum(point.meets(message, self._memory) for message in messages)
            due = 0 < self._left <= met
            self._left -= met
        if not due:
            return
        if seam is Seam.REQUESTED:
            self._later(lambda: self._die(self.name))
        else:
            self._die(self.name)


def _in_a_moment(action: Callable[[], None]) -> None:
    threading.Timer(_SENT_S, action).start()


ARMED: Armed | None = None


def passes(seam: Seam, room: str, *messages: Any) -> None:
    """Report a passing; call it behind a look at `ARMED`."""
    if ARMED is not None:
        ARMED.passes(seam, room, *messages)


def parsed(text: str) -> tuple[str, int, bool]:
    """Read `K6`, `K6:3` or `K6:3@USR2`: point, which time, whether it waits for the signal.

    >>> parsed("K6:3@USR2")
    ('K6', 3, True)
    """
    place, _, when = text.partition("@")
    name, _, times = place.partition(":")
    if name not in POINTS or not (times or "1").isdigit() or when not in ("", "USR2"):
        raise ConfigurationError(
            f"CHAOS_KILL_AT must be K1 to K16, K6:3 or K6:3@USR2, was {text!r}."
            " Fix: name a point of actors/kill_points.py."
        )
    return name, max(1, int(times or 1)), bool(when)


def arm(environ: Mapping[str, str], venue: str) -> None:
    """Arm what `CHAOS_KILL_AT` names, on the embedded venue; anywhere else it is ignored."""
    text = environ.get("CHAOS_KILL_AT", "")
    if not text or venue != "embedded":
        return
    name, times, waits = parsed(text)
    armed = Armed(name, times, lambda hit: _end(hit, environ.get("CHAOS_HITS", "")))

    def now(*_: object) -> None:
        global ARMED  # noqa: PLW0603 - one process has one death
        ARMED = armed

    if waits:
        signal.signal(signal.SIGUSR2, now)
    else:
        now()


def _end(name: str, hits: str) -> None:
    """Write down which point was hit, past every buffer of this process, and die of kill -9."""
    if hits:
        file = os.open(hits, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, f"{name} {os.getpid()} {time.time_ns()}\n".encode())
        os.close(file)
    os.kill(os.getpid(), signal.SIGKILL)
