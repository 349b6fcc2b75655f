"""`replay-crash`: the message that killed an actor, on the state it met, as often as one likes."""

import json
import pdb  # noqa: T100 - opened when asked for, by --debugger
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from actors.commands.moments import shown
from actors.crash_files import CrashFile, load
from actors.crash_replay import Rerun, rerun, rerun_from_trace
from actors.edges.log import one_line, scrubber

_TEXT_MAX = 200


def replay_crash(
    file: Path, *, from_trace: bool = False, debugger: bool = False, as_json: bool = False
) -> int:
    """Re-run a crash file; 0 if the same error comes at the same place, else 1.

    `from_trace` builds the state up from where the actor began, instead of reading the file's.
    `debugger` opens pdb where it was raised.  Raises DataError for a file that cannot be re-run.
    """
    crash = load(file)
    again = rerun_from_trace(crash) if from_trace else rerun(crash)
    if as_json:
        print(json.dumps(_document(crash, again)))  # noqa: T201
    else:
        for line in lines_of(crash, again):
            print(scrubber.scrub(line))  # noqa: T201
    if debugger and again.raised is not None and sys.stdin.isatty():
        pdb.post_mortem(again.raised.__traceback__)
    return 0 if again.same else 1


def lines_of(crash: CrashFile, again: Rerun) -> Iterator[str]:
    """Yield what happened, what it was told, and what came of it now, down to the frame."""
    yield (
        f"{crash.name} generation {crash.generation} at {shown(crash.now.venue_ns)} venue time:"
        f" {crash.error}"
    )
    for message in crash.messages:
        yield f"message: {_brief(message)}"
    yield verdict(again)
    for message in again.out:
        yield f"  said: {_brief(message)}"
    if again.raised is None:
        return
    yield from "".join(traceback.format_exception(again.raised)).rstrip().splitlines()
    frame = _innermost(again.raised)
    if frame is not None:
        for name, value in frame.f_locals.items():
            yield f"  {name} = {_brief(value)}"


def verdict(again: Rerun) -> str:
    """Say in one line whether it happened again."""
    if again.same:
        return f"the same again: {again.error}"
    if again.raised is not None:
        return f"another error now: {again.error}"
    return "no error now: mended since, or it did not come from the machine"


def _innermost(error: BaseException) -> FrameType | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else trace.tb_frame


def _brief(value: Any) -> str:
    try:
        return one_line(f"{value!r:.{_TEXT_MAX}}")
    except Exception as error:  # noqa: BLE001 - what cannot be printed may be what is looked for
        return f"<{type(value).__name__} that cannot be printed: {type(error).__name__}>"


def _document(crash: CrashFile, again: Rerun) -> dict[str, Any]:
    return {
        "same": again.same,
        "actor": crash.name,
        "generation": crash.generation,
        "at": shown(crash.now.venue_ns),
        "messages": [_brief(message) for message in crash.messages],
        "recorded_error": crash.error,
        "error": again.error,
        "said": [_brief(message) for message in again.out],
    }
