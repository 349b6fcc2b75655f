"""Finds actors that make no progress.  Idle is not hung; busy with one message for too long is.

Each actor has a slot in which it notes what it has in hand.  A thread of its own (an actor could
hang too) looks at all slots every quarter of a second and adds up for how long each has stood
still.  One look counts for a second at most, so that a process that was stopped, or starved of the
interpreter, does not take everybody for hung when it wakes.
"""

import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

LOOK_EVERY_S = 0.25
_LOOK_COUNTS_MAX_S = 1.0
_FRAMES_TOLD = 8

log = logger.bind(module="watchdog")


class Slot:
    """What one incarnation of an actor has in hand.

    `hand` holds one batch of envelopes while the actor is busy.  Taking it out is atomic, so that
    either the actor or whoever condemns it writes the end of those envelopes, never both.
    """

    __slots__ = ("condemned", "hand", "ref", "taken", "thread")

    def __init__(self) -> None:
        self.hand: deque[list[Any]] = deque()
        self.taken = 0  # batches so far
        self.condemned = threading.Event()
        self.thread: threading.Thread | None = None
        self.ref: Any = None  # pykka's, to strike a condemned actor from its registry

    def begin(self, envelopes: list[Any]) -> None:
        """Note that the actor takes these up; an empty list stands for its start-up."""
        self.taken += 1
        self.hand.append(envelopes)

    def end(self) -> bool:
        """Note that they are done; False if the actor was condemned over them."""
        try:
            self.hand.pop()
        except IndexError:
            return False
        return True

    def condemn(self) -> list[Any]:
        """Take the actor's say from it, for ever; return what it had in hand."""
        self.condemned.set()
        try:
            return self.hand.pop()
        except IndexError:
            return []

    def lingers(self) -> bool:
        """Tell whether the thread of a condemned actor still exists."""
        return self.thread is not None and self.thread.is_alive()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An actor as the watchdog sees it: how long it may stand still, and what waits for it."""

    name: str
    generation: int
    slot: Slot
    patience_s: float
    starting: bool  # not Ready yet: then it is the start that may last so long
    queued: int
    critical: bool


@dataclass(slots=True)
class _Standstill:
    generation: int
    taken: int
    starting: bool
    lasts_s: float = 0.0
    told: bool = False


class Watchdog:
    """Tells `hung(watched, stack)` of each actor that stands still, once a generation.

    `seen` is called after every look with whether all critical actors make progress: the service
    manager's watchdog is fed by it.
    """

    def __init__(
        self,
        watched: Callable[[], Iterable[Watched]],
        hung: Callable[[Watched, str], None],
        seen: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._watched = watched
        self._hung = hung
        self._seen = seen
        self._still: dict[str, _Standstill] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Look from now on, on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    def look(self, passed_s: float) -> None:
        """Look once; `passed_s` is the time since the last look."""
        counts_s = min(passed_s, _LOOK_COUNTS_MAX_S)
        well = True
        for actor in self._watched():
            lasts_s = self._stands_still_s(actor, counts_s)
            if lasts_s < actor.patience_s:
                continue
            well = well and not actor.critical
            still = self._still[actor.name]
            if not still.told:
                still.told = True
                self._hung(actor, where_it_stands(actor.slot))
        self._seen(well)

    def _stands_still_s(self, actor: Watched, counts_s: float) -> float:
        taken, still = actor.slot.taken, self._still.get(actor.name)
        now = _Standstill(actor.generation, taken, actor.starting)
        # A reader that leaves its queue alone is as stuck as one that never comes back.
        moves = not (actor.starting or actor.slot.hand or actor.queued)
        same = still is not None and (still.generation, still.taken, still.starting) == (
            now.generation,
            now.taken,
            now.starting,
        )
        if still is None or not same or moves:
            self._still[actor.name] = now
            return 0.0
        still.lasts_s += counts_s
        return still.lasts_s

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stopping.wait(LOOK_EVERY_S):
            now = time.monotonic()
            try:
                self.look(now - last)
            except Exception:
                log.exception("a look failed")
            last = now


def where_it_stands(slot: Slot) -> str:
    """Return the calls the actor's thread is in, innermost first, on one line; log all of them."""
    thread = slot.thread
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None  # noqa: SLF001
    if thread is None or frame is None:
        return "its thread is gone"
    calls = traceback.extract_stack(frame)
    for call in calls:
        log.warning(f"{thread.name}: {call.filename}:{call.lineno} {call.name}: {call.line}")
    told = [f"{Path(c.filename).name}:{c.lineno} {c.name}" for c in reversed(calls)]
    return " < ".join(told[:_FRAMES_TOLD])
