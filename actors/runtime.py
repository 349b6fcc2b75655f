"""The seam between actors and time: who runs them, and who wakes them later.

`Threads` is the live one: pykka's threads and one timer thread.  `Stepped` (`actors/stepped.py`)
runs the same actors on one thread, in seeded order under a virtual clock, behind the same calls.
"""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import pykka
from loguru import logger


class Runtime(Protocol):
    """Starts actors and keeps appointments."""

    def spawn(self, actor_class: type[pykka.ThreadingActor], *arguments: Any, **named: Any) -> None:
        """Bring an actor to life; raises what its constructor or thread start raises."""
        ...

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call `action` once, after `delay_s` wall seconds."""
        ...

    def every(self, period_s: float, action: Callable[[], None]) -> None:
        """Call `action` again and again, every `period_s` wall seconds."""
        ...


class Threads:
    """One thread an actor, one for all timers.

    Actions must be quick: they send messages.  One that raises is logged; all others still happen.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, float, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
        self._thread.start()

    def spawn(self, actor_class: type[pykka.ThreadingActor], *arguments: Any, **named: Any) -> None:
        """Start a pykka actor on a thread of its own."""
        actor_class.start(*arguments, **named)

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call `action` once, after `delay_s` wall seconds."""
        self._schedule(time.monotonic() + delay_s, 0.0, action)

    def every(self, period_s: float, action: Callable[[], None]) -> None:
        """Call `action` every `period_s` wall seconds; a late one is not made up for."""
        self._schedule(time.monotonic() + period_s, period_s, action)

    def stop(self) -> None:
        """Keep no further appointments."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _schedule(self, at: float, period_s: float, action: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (at, next(self._order), period_s, action))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and (not self._due or self._due[0][0] > time.monotonic()):
                    wait_s = self._due[0][0] - time.monotonic() if self._due else None
                    self._changed.wait(wait_s)
                if self._stopped:
                    return
                _, _, period_s, action = heapq.heappop(self._due)
            try:
                action()
            except BaseException as error:  # noqa: BLE001 - ticks and restarts hang on this thread
                logger.bind(module="runtime").error(f"a timed action failed: {error!r}")
            if period_s:
                self._schedule(time.monotonic() + period_s, period_s, action)
