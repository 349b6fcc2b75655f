"""The way down: in order, each step with its limit, and a last resort when even that hangs."""

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from loguru import logger

from actors import kill_points
from actors.children import ALIVE, Child
from actors.directory import Directory
from actors.kill_points import Seam
from actors.supervisor import SupervisorActor
from core import messages as m
from core.execution.machine import ExecutionMachine
from core.routes import Room

SHUTDOWN_WITHIN_S = 45.0
_SUPERVISOR_WITHIN_S = 2.0
_SETTLED_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.02

log = logger.bind(module="shutdown")


def stop_in_order(
    supervisor: SupervisorActor,
    within_s: float | None = None,
    last_look: Callable[[], None] = lambda: None,
) -> list[str]:
    """Stop the supervisor, then all symbols, then the row from its end; return who did not stop.

    `last_look` is called between symbols and row: nobody wishes any more, all else still works.

    Each step waits for what is queued to be handled, at most as long as the child's spec says, or
    `within_s` wall seconds.  The supervisor goes first, so that nobody is brought back; what nobody
    reads ends as dead letters.
    """
    supervisor.retire()
    stopped = supervisor.context.mailbox.reader_gone.wait(within_s or _SUPERVISOR_WITHIN_S)
    late = [] if stopped else [supervisor.context.name]
    children = list(supervisor.children.values())
    symbols = [child for child in children if child.spec.symbol]
    row = [[child] for child in reversed(children) if not child.spec.symbol]
    late += _stop_step(symbols, within_s)
    last_look()
    for step in row:
        kill_points.passes(Seam.STOPPING, "", step[0].spec.name)
        late += _stop_step(step, within_s)
    return late


def settle(
    directory: Directory,
    machine: Callable[[], ExecutionMachine | None],
    within_s: float = _SETTLED_WITHIN_S,
) -> tuple[str, ...]:
    """Let execution compare with the venue once more, and place what is missing.

    From here on it refuses entries.  Returns, after at most `within_s` wall seconds, what has still
    neither a confirmed stop nor an end; at once if nothing is held.
    """
    found, pause = machine(), threading.Event()
    if found is None or found.empty:
        return ()
    before = found.comparisons_asked
    resync = m.Resync(symbol="", reason="the bot is stopping")
    directory.send(resync, [Room.EXECUTION.value], sender="shutdown", cause=None)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        pause.wait(_LOOK_EVERY_S)
        found = machine()
        if found is None or (found.comparisons_asked > before and not found.unsettled()):
            return ()
    return found.unsettled() if found is not None else ()


def _stop_step(step: list[Child], within_s: float | None) -> list[str]:
    late: list[str] = []
    began = time.monotonic()
    for child in step:
        if child.mailbox is not None and child.state in ALIVE:
            child.mailbox.finish()
    for child in step:
        if child.mailbox is None:
            continue
        patience_s = child.spec.shutdown_s if within_s is None else within_s
        left_s = max(0.0, began + patience_s - time.monotonic())
        if child.state in ALIVE and not child.mailbox.reader_gone.wait(left_s):
            late.append(child.spec.name)
        child.mailbox.close("stopped")
    return late


def within(seconds: float, what: str, step: Callable[[], Any]) -> bool:
    """Run a step on a thread of its own, at most so long; tell whether it came to its end.

    A step that hangs is left behind; one that raises is logged: the next steps matter more.
    """
    kill_points.passes(Seam.STOPPING, "", what)
    done = threading.Event()

    def run() -> None:
        try:
            step()
        except BaseException:
            log.exception(f"{what} failed")
        finally:
            done.set()

    threading.Thread(target=run, name=f"shutdown: {what}", daemon=True).start()
    if not done.wait(seconds):
        log.warning(f"{what} did not end within {seconds:g} s")
        return False
    return True


class LastResort:
    """Ends the process by force when an ordered stop takes too long.  Armed once."""

    def __init__(self, leave: Callable[[int], None] = os._exit) -> None:
        self._leave = leave
        self._called_off = threading.Event()
        self._armed = threading.Lock()

    def arm(self, code: int, after_s: float = SHUTDOWN_WITHIN_S) -> None:
        """Leave with `code` unless called off within `after_s` wall seconds."""
        if self._armed.acquire(blocking=False):
            run = self._wait
            threading.Thread(
                target=run, args=(code, after_s), name="last resort", daemon=True
            ).start()

    def call_off(self) -> None:
        """Stay: the ordered stop came to its end."""
        self._called_off.set()

    def _wait(self, code: int, after_s: float) -> None:
        if self._called_off.wait(after_s):
            return
        sys.stderr.write(
            f"error: the stop took more than {after_s:.0f} s, leaving by force. "
            "Fix: see the log for what hung; positions keep their stops.\n"
        )
        sys.stderr.flush()
        self._leave(code)
