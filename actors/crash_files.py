"""The message that killed an actor, with the state it met: one JSON file a crash.

    files = CrashFiles(folder, settings=config.model_dump(mode="json", exclude=secrets))
    path = files.save(name=..., generation=..., error=..., messages=[...], now=..., machine=...)
    crash = load(path)                      # CrashFile; raises DataError in one line
    machine = crash.machine(fresh)          # the state it met, upon a fresh machine of that room
    machine.handle(crash.messages[0], crash.now)

The state is the machine's own, written without pickle (`actors/state_text.py`) at the moment of
the crash.  Machines assign their state last, so that a raise changes nothing; where one does not
keep to that, the file holds what the raise left behind.  `actors/crash_replay.py` builds the fresh
machine and does the last two lines.  Secrets are never in a file: settings come without them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from actors.state_text import StateTextError, decode, encode
from core.clock import Moment
from core.errors import DataError

FORMAT = 1
_FILES_MAX = 100  # the newest are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashFile:
    """One crash.  `messages` is one message, or the batch that PersistenceActor had in hand."""

    path: Path
    name: str  # of the actor: risk, symbol/BTCUSDT
    generation: int
    error: str  # what was raised, and where
    at_wall_ns: int
    now: Moment  # what the handler was told the time is
    messages: tuple[Any, ...]  # empty for a crash at birth
    settings: Mapping[str, Any]
    instruments: Mapping[str, Any]
    state: Any  # tree of the machine, None where there was none

    def machine(self, fresh: Any) -> Any:
        """Return the room's machine as it was; what no file can hold comes from `fresh`."""
        if self.state is None:
            return fresh
        try:
            return decode(self.state, fresh)
        except StateTextError as error:
            raise _unreadable(self.path, str(error)) from error


class CrashFiles:
    """Writes crash files to a folder and keeps the newest.  Nothing here raises to an actor."""

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        self._folder = folder
        self._settings = dict(settings or {})
        self.instruments: Mapping[str, Any] = {}

    def save(
        self,
        *,
        name: str,
        generation: int,
        error: str,
        at_wall_ns: int,
        now: Moment,
        messages: Sequence[Any],
        machine: Any = None,
    ) -> Path | None:
        """Write one crash down; return its path, None if it could not be written."""
        crash = {
            "format": FORMAT,
            "name": name,
            "generation": generation,
            "error": error,
            "at_wall_ns": at_wall_ns,
            "now": [now.venue_ns, now.wall_ns, now.speed],
            "kinds": [type(message).__name__ for message in messages],
            "messages": [encode(message) for message in messages],
            "settings": self._settings,
            "instruments": encode(dict(self.instruments)),
            "state": None if machine is None else encode(machine),
        }
        plain = re.sub(r"[^A-Za-z0-9]+", "-", name)
        path = self._folder / f"crash-{at_wall_ns:020d}-{plain}-{generation}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(".tmp")
            scratch.write_bytes(orjson.dumps(crash, option=orjson.OPT_NON_STR_KEYS, default=str))
            scratch.replace(path)
            for old in sorted(self._folder.glob("crash-*.json"))[:-_FILES_MAX]:
                old.unlink(missing_ok=True)
        except (OSError, TypeError):
            return None
        return path


def load(path: Path) -> CrashFile:
    """Read a crash file.  Raises DataError in one line for anything else."""
    try:
        found = orjson.loads(path.read_bytes())
        if found["format"] != FORMAT:
            raise _unreadable(path, f"format {found['format']}, this program reads {FORMAT}")
        venue_ns, wall_ns, speed = found["now"]
        return CrashFile(
            path=path,
            name=found["name"],
            generation=found["generation"],
            error=found["error"],
            at_wall_ns=found["at_wall_ns"],
            now=Moment(venue_ns=venue_ns, wall_ns=wall_ns, speed=speed),
            messages=tuple(decode(message) for message in found["messages"]),
            settings=found["settings"],
            instruments=decode(found["instruments"]),
            state=found["state"],
        )
    except OSError as error:
        raise _unreadable(path, error.strerror or type(error).__name__) from None
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from None


def _unreadable(path: Path, why: str) -> DataError:
    return DataError(
        f"FILE must be a crash file, {path} is not ({why})."
        " Fix: name one of the state directory's crashes/."
    )
