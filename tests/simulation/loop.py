"""An asyncio loop on a timeline: the gateway's coroutines, one callback a turn."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from actors.stepped import Timeline
from core.clock import NS_PER_S

_TASKS_PRUNED = 256


class SteppedLoop(asyncio.AbstractEventLoop):
    """As much of a loop as coroutines without sockets need; `failures` are what nobody caught."""

    def __init__(self, timeline: Timeline) -> None:
        self.failures: list[dict[str, Any]] = []
        self._timeline = timeline
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: list[asyncio.Task[Any]] = []
        self._closed = False

    # ---------------------------------------- taking turns
    def busy(self) -> bool:
        return bool(self._ready)

    def turn(self) -> None:
        handle = self._ready.popleft()
        if handle.cancelled():
            return
        asyncio._set_running_loop(self)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(None)

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that have not ended."""
        return [task for task in self._tasks if not task.done()]

    def close(self) -> None:
        """Let every coroutine unwind, so that none is left to the garbage collector, and end."""
        for task in self._tasks:
            task.cancel()
        while self._ready:
            self.turn()
        self._closed = True

    # ---------------------------------------- what asyncio asks of a loop
    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

    def time(self) -> float:
        return self._timeline.now_ns / NS_PER_S

    def call_soon(
        self,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)

        def due() -> None:
            if not (handle.cancelled() or self._closed):
                self._ready.append(handle)

        self._timeline.at(round(when * NS_PER_S), due)
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        if len(self._tasks) > _TASKS_PRUNED:
            self._tasks = [known for known in self._tasks if not known.done()]
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed:
            self.failures.append(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled appointment is skipped when its time comes."""
