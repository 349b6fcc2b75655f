"""A recorded stretch again: fresh machines, the same inboxes, the same times; the same answers.

The trace is the recording.  It holds each message an actor handled, in the order of handling, with
the time the machine was told, and where each actor began with a fresh state.  So symbol, risk and
execution machines are built anew where they began, and are handed all they were handed since; what
they answer is compared with what they answered then, text by text, which is bit by bit.

The loop stays open: with other settings a machine answers otherwise, but what comes to it next is
what came then.  So a changed proposal is a difference of the symbol; risk still judges the recorded
one, under the changed settings.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from actors.message_text import as_text, instrument_of, message_of
from core.clock import Moment
from core.messages import Crashed
from core.routes import ROUTES, Room, address
from core.venue.instrument import Instrument

EVENTS = ("described", "started", "sent", "handled", "dead")
_SYMBOLS = f"{Room.SYMBOL.value}/"
_SINGLE = (Room.RISK.value, Room.EXECUTION.value)


class Machine(Protocol):
    """What every room's door looks like."""

    def handle(self, message: Any, now: Moment) -> tuple[Any, ...]:
        """Return what follows from a message."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Builders:
    """How the machines of one process are built; a symbol's is None where it is not traded."""

    risk: Callable[[], Machine]
    execution: Callable[[], Machine]
    symbol: Callable[[str, int], Machine | None]  # name, generation


# Settings, instruments, the hashes of models by symbol (None: an older trace has none), and those
# of program and strategy.
Assemble = Callable[
    [dict[str, Any], dict[str, Instrument], dict[str, str] | None, dict[str, str]], Builders
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One message that a machine said: its class, its inbox, and its body as text."""

    kind: str
    to: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One handled message whose answers differ; `error` is what the machine raised, if it did."""

    venue_ns: int
    actor: str
    message_id: int
    kind: str
    recorded: tuple[Answer, ...]
    replayed: tuple[Answer, ...]
    error: str = ""


@dataclass(slots=True)
class Report:
    """What a replay saw; `first_ns` is the earliest venue time it could have compared."""

    handled: Counter[str] = field(default_factory=Counter)  # compared messages, by actor
    answers: Counter[str] = field(default_factory=Counter)  # replayed answers, by class
    differences: list[Difference] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)  # in range, but the start is not held
    first_ns: int = 0
    last_ns: int = 0


class Replay:
    """Feeds a trace's records to fresh machines and compares the answers of one stretch.

    `from_ns` is inclusive, `to_ns` exclusive, venue time.  What lies before is handed to the
    machines as well, for their state; it is not compared.
    """

    def __init__(self, assemble: Assemble, *, from_ns: int, to_ns: int) -> None:
        self.report = Report()
        self._assemble = assemble
        self._from_ns = from_ns
        self._to_ns = to_ns
        self._epoch = 0
        self._builders: Builders | None = None
        self._machines: dict[str, tuple[int, Machine | None]] = {}  # with its generation
        self._waiting: dict[int, tuple[str, str, Any]] = {}  # id -> recipient, class, body
        self._said: dict[int, list[Answer]] = {}  # by the message that made an actor say it
        self._silenced: dict[str, Difference] = {}  # recorded nothing: perhaps it was retired

    def feed(self, records: Iterable[Mapping[str, Any]]) -> Report:
        """Take all records of a trace in order; return what was seen."""
        for record in records:
            self._take(record)
        self.report.differences += self._silenced.values()
        return self.report

    def _take(self, record: Mapping[str, Any]) -> None:
        match record["event"]:
            case "sent":
                self._sent(record)
            case "handled":
                self._handled(record)
            case "dead":
                self._waiting.pop(record["id"], None)
            case "started":
                self._started(record)
            case "described":
                self._described(record)

    def _described(self, record: Mapping[str, Any]) -> None:
        """A process begins; the same words stand on top of each of its files."""
        if record["epoch"] == self._epoch:
            return
        self._epoch = record["epoch"]
        instruments = {name: instrument_of(b) for name, b in record["instruments"].items()}
        self._builders = self._assemble(
            record["settings"], instruments, record.get("models"), record.get("origin", {})
        )
        self._machines.clear()

    def _started(self, record: Mapping[str, Any]) -> None:
        name, generation = record["actor"], record["generation"]
        self._silenced.pop(name, None)  # a retired actor has no say any more
        if self._builders is None or not _replayable(name):
            return
        if name == Room.RISK.value:
            machine: Machine | None = self._builders.risk()
        elif name == Room.EXECUTION.value:
            machine = self._builders.execution()
        else:
            machine = self._builders.symbol(name.removeprefix(_SYMBOLS), generation)
        _begin(machine, record)
        self._machines[name] = (generation, machine)

    def _sent(self, record: Mapping[str, Any]) -> None:
        if _replayable(record["to"]):
            self._waiting[record["id"]] = (record["to"], record["kind"], record["body"])
        if record["kind"] == Crashed.__name__:
            return  # the shell's word, not the machine's
        if record["cause"] and _replayable(record["from"]):
            answer = Answer(kind=record["kind"], to=record["to"], body=orjson.dumps(record["body"]))
            self._said.setdefault(record["cause"], []).append(answer)

    def _handled(self, record: Mapping[str, Any]) -> None:
        actor, kind, body = self._waiting.pop(record["id"], ("", "", None))
        recorded = tuple(self._said.pop(record["id"], ()))
        if not actor or record.get("now") is None:
            return
        now = _moment(record["now"])
        compared = self._from_ns <= now.venue_ns < self._to_ns
        generation, machine = self._machines.get(actor, (0, None))
        if actor not in self._machines:
            self.report.unknown[actor] += compared
            return
        if record["generation"] != generation:
            return  # a late word of a generation that was given up
        self._span(now)
        replayed, error = _ask(machine, message_of(kind, body), now)
        if not compared:
            return
        self.report.handled[actor] += 1
        self.report.answers.update(answer.kind for answer in replayed)
        difference = Difference(
            venue_ns=now.venue_ns,
            actor=actor,
            message_id=record["id"],
            kind=kind,
            recorded=recorded,
            replayed=replayed,
            error=error,
        )
        self._judge(difference, "" if record["outcome"] == "ok" else record["outcome"])

    def _judge(self, found: Difference, error: str) -> None:
        """Keep what differs; `error` is what the machine raised when it was recorded."""
        if found.actor in self._silenced:  # it was handed another message: not retired
            self.report.differences.append(self._silenced.pop(found.actor))
        if found.recorded == found.replayed and found.error == error:
            return
        if found.recorded or found.error or error:
            self.report.differences.append(found)
        else:
            self._silenced[found.actor] = found

    def _span(self, now: Moment) -> None:
        self.report.first_ns = self.report.first_ns or now.venue_ns
        self.report.last_ns = max(self.report.last_ns, now.venue_ns)


def machine_before(
    records: Iterable[Mapping[str, Any]],
    name: str,
    generation: int,
    now: Moment,
    build: Callable[[], Machine],
) -> Machine | None:
    """Return an actor's machine as it met what it was handed at `now`, built up from its start.

    None if the records do not hold that moment, or not where that generation began.
    """
    then = [now.venue_ns, now.wall_ns, now.speed]
    machine: Machine | None = None
    waiting: dict[int, tuple[str, Any]] = {}
    for record in records:
        match record["event"]:
            case "started" if record["actor"] == name:
                machine = build() if record["generation"] == generation else None
                _begin(machine, record)
            case "sent" if record["to"] == name:
                waiting[record["id"]] = (record["kind"], record["body"])
            case "dead":
                waiting.pop(record["id"], None)
            case "handled":
                kind, body = waiting.pop(record["id"], ("", None))
                told = record.get("now")
                if not kind or machine is None or not told or record["generation"] != generation:
                    continue
                if told == then:
                    return machine
                _ask(machine, message_of(kind, body), _moment(told))
    return None


def _begin(machine: Machine | None, record: Mapping[str, Any]) -> None:
    begin = getattr(machine, "start", None)
    if begin is not None:
        begin(_moment(record["now"]))


def answers_of(messages: Iterable[Any]) -> tuple[Answer, ...]:
    """Return messages as they would leave a room, one answer for each inbox."""
    return tuple(
        Answer(kind=type(message).__name__, to=address(room, message), body=as_text(message))
        for message in messages
        for room in ROUTES[type(message)]
    )


def _ask(machine: Machine | None, message: Any, now: Moment) -> tuple[tuple[Answer, ...], str]:
    """Return a machine's answers, or the name of what it raised."""
    if machine is None:
        return (), ""
    try:
        return answers_of(machine.handle(message, now)), ""
    except Exception as error:  # noqa: BLE001 - it may have raised then, too: that is compared
        return (), type(error).__name__


def _moment(clocks: list[Any]) -> Moment:
    venue_ns, wall_ns, speed = clocks
    return Moment(venue_ns=venue_ns, wall_ns=wall_ns, speed=float(speed))


def _replayable(name: str) -> bool:
    return name in _SINGLE or name.startswith(_SYMBOLS)
