"""`replay`: a recorded stretch through fresh machines; a diff of decisions if they differ."""

import json
from collections.abc import Iterator
from typing import Any

import orjson

from actors.assembly import Assembly, Machines, load_predictors
from actors.commands.moments import shown
from actors.edges.provenance import provenance
from actors.edges.state_directory import StateDirectory
from actors.edges.strategy_loader import load_strategy_class
from actors.replaying import EVENTS, Answer, Builders, Difference, Machine, Replay, Report
from actors.tracing import read_trace
from config import Config
from core.errors import TradingError
from core.venue.instrument import Instrument

_SHOWN_MAX = 40  # differences in text; JSON has them all
_BODY_MAX = 150
_HASH_SHOWN = 12
_ORIGIN = {"code": "program", "strategy": "strategy"}  # what may have changed since, as it is told
_NOT_DECIDING = ("DASHBOARD", "CONTROL_", "LOG_", "TRACE")  # settings that no machine reads


class NothingToReplayError(TradingError):
    """The traces hold no start and no message of that stretch: the command's negative answer."""


class _Rooms:
    """Builds the machines of each recorded process, under its own settings or under others."""

    def __init__(self, state: StateDirectory, other: Config | None) -> None:
        self._state = state
        self._other = other
        self.changed: dict[str, tuple[Any, Any]] = {}  # setting -> recorded, used
        self.newer: dict[str, tuple[str, str]] = {}  # program, strategy -> recorded, now

    def assemble(
        self,
        settings: dict[str, Any],
        instruments: dict[str, Instrument],
        models: dict[str, str] | None,
        origin: dict[str, str],
    ) -> Builders:
        """Return the builders for a process that ran with these settings, instruments, models.

        `origin`: the hashes of the program and the strategy that it ran.
        """
        known = {name: value for name, value in settings.items() if name in Config.model_fields}
        config = self._other or Config(_env_file=None, _environ={}, **known)
        used = config.model_dump(mode="json")
        self.changed |= {
            name: (value, used[name])
            for name, value in known.items()
            if used[name] != value and not name.startswith(_NOT_DECIDING)
        }
        shelf = load_predictors(config, self._state, models).shelf
        strategy_class = load_strategy_class(config.STRATEGY)
        now = provenance({}, (), strategy_class)
        self.newer |= {
            word: (origin[key][:_HASH_SHOWN], now.get(key, "")[:_HASH_SHOWN])
            for key, word in _ORIGIN.items()
            if key in origin and origin[key] != now.get(key)
        }
        assembly = Assembly(config, strategy_class, shelf, Machines())
        assembly.instruments.update(instruments)

        def symbol(name: str, generation: int) -> Machine | None:
            if name not in config.SYMBOLS:
                return None
            return assembly.symbol_builder(name)(generation)

        return Builders(risk=assembly.risk, execution=assembly.execution, symbol=symbol)


def replay(
    here: Config, other: Config | None, *, from_ns: int, to_ns: int, as_json: bool = False
) -> int:
    """Replay what the state directory of `here` recorded; 0 if all answers are the same, else 1.

    `other` replaces the recorded settings.  Raises NothingToReplayError if nothing can be compared.
    """
    state = StateDirectory.of(here)
    rooms = _Rooms(state, other)
    run = Replay(rooms.assemble, from_ns=from_ns, to_ns=to_ns)
    report = run.feed(read_trace(state.traces, EVENTS))
    if not report.handled:
        raise NothingToReplayError(_nothing(report, state))
    if as_json:
        print(json.dumps(_document(report, rooms)))  # noqa: T201
    else:
        for line in _lines(report, rooms):
            print(line)  # noqa: T201
    return 1 if report.differences else 0


def _nothing(report: Report, state: StateDirectory) -> str:
    if report.unknown:
        return (
            "--from must lie after a start of the actors that the traces still hold, no start of "
            f"{next(iter(report.unknown))} is left. Fix: choose a later time."
        )
    if not report.last_ns:
        return f"{state.traces} holds no trace that can be replayed. Fix: run the bot first."
    held = f"{shown(report.first_ns)} to {shown(report.last_ns)}"
    return f"--from and --to must meet what was recorded, {held} (venue time). Fix: change them."


# ---------------------------------------- text
def _lines(report: Report, rooms: _Rooms) -> Iterator[str]:
    for name, (recorded, used) in rooms.changed.items():
        yield f"setting {name}: recorded {recorded}, now {used}"
    for name, (recorded, used) in rooms.newer.items():
        yield f"{name}: recorded {recorded}, now {used}; what differs may come from that"
    for name, count in report.unknown.items():
        yield f"{name}: {count} messages not replayed, its start is older than the traces"
    for difference in report.differences[:_SHOWN_MAX]:
        yield from _difference_lines(difference)
    left = len(report.differences) - _SHOWN_MAX
    if left > 0:
        yield f"... and {left} more (all with --json)"
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(report.answers.items()))
    verdict = f"{len(report.differences)} differ" if report.differences else "all the same"
    yield (
        f"replayed {report.handled.total()} messages of {len(report.handled)} actors"
        f" ({said or 'no answers'}): {verdict}"
    )


def _difference_lines(difference: Difference) -> Iterator[str]:
    yield (
        f"{shown(difference.venue_ns)} {difference.actor}"
        f" on {difference.kind} {difference.message_id}"
    )
    if difference.error:
        yield f"  ! raised {difference.error}"
    recorded = list(difference.recorded)
    for answer in difference.replayed:
        older = next((a for a in recorded if (a.kind, a.to) == (answer.kind, answer.to)), None)
        if older is None:
            yield f"  + {_brief(answer)}"
            continue
        recorded.remove(older)
        if older.body != answer.body:
            yield f"  ~ {answer.kind} to {answer.to}: {_changes(older, answer)}"
    for answer in recorded:
        yield f"  - {_brief(answer)}"


def _brief(answer: Answer) -> str:
    return f"{answer.kind} to {answer.to}: {answer.body.decode():.{_BODY_MAX}}"


def _changes(older: Answer, newer: Answer) -> str:
    before, after = _flat(orjson.loads(older.body)), _flat(orjson.loads(newer.body))
    names = dict.fromkeys([*before, *after])
    parts = [
        f"{name} {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in names
        if before.get(name) != after.get(name) and not name.startswith("decision.")  # told before
    ]
    return "; ".join(parts[:6]) + ("; ..." if len(parts) > 6 else "")  # noqa: PLR2004


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return a body's leaves by dotted name; rows that name themselves go by that name."""
    match value:
        case dict():
            items = value.items()
        case list():
            items = dict(_named(row, n) for n, row in enumerate(value)).items()
        case _:
            return {name: value}
    return {
        path: leaf
        for key, inner in items
        for path, leaf in _flat(inner, f"{name}.{key}" if name else str(key)).items()
    }


def _named(row: Any, number: int) -> tuple[str, Any]:
    match row:
        case {"rule": str(rule)}:
            return rule, row
        case [str(name), leaf]:
            return name, leaf
        case _:
            return str(number), row


# ---------------------------------------- JSON
def _document(report: Report, rooms: _Rooms) -> dict[str, Any]:
    return {
        "same": not report.differences,
        "settings_changed": {name: list(pair) for name, pair in rooms.changed.items()},
        "program_changed": {name: list(pair) for name, pair in rooms.newer.items()},
        "handled": dict(report.handled),
        "answers": dict(report.answers),
        "not_replayed": dict(report.unknown),
        "differences": [
            {
                "at": shown(d.venue_ns),
                "actor": d.actor,
                "id": d.message_id,
                "kind": d.kind,
                "recorded": [_said(a) for a in d.recorded],
                "replayed": [_said(a) for a in d.replayed],
                "error": d.error,
            }
            for d in report.differences
        ],
    }


def _said(answer: Answer) -> dict[str, Any]:
    return {"kind": answer.kind, "to": answer.to, "body": orjson.loads(answer.body)}
