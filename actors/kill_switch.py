"""The kill switch that needs no API: a file in the state directory, and a signal.

It looks at what should hold, not at what happened: as long as the file is there and risk has not
latched what it asks for, risk is told again.  So nothing is lost while rooms start, restart or
wait for the database, and the file works across restarts for as long as it exists.
"""

from collections.abc import Callable
from typing import Any

from loguru import logger

from actors.directory import Directory
from actors.edges.state_directory import StateDirectory
from actors.latches import Latched, stopped
from core import messages as m
from core.clock import NS_PER_S
from core.routes import Room

_AGAIN_NS = NS_PER_S

log = logger.bind(module="kill_switch")


class KillSwitch:
    """Tells risk to halt or to flatten for a file or a signal.

    `standing` gives directory and risk, None while the bot starts.
    """

    def __init__(
        self,
        state: StateDirectory,
        standing: Callable[[], tuple[Directory | None, Any, Latched | None]],
    ) -> None:
        self._state = state
        self._standing = standing
        self._signalled = False
        self._said = ""
        self._told: tuple[str, int] | None = None  # what risk was told last, when (wall ns)

    def signal(self) -> None:
        """Halt as soon as there is somebody to tell; safe at any time of a bot's life."""
        self._signalled = True
        log.warning("SIGUSR1: halt")
        self.look()

    def look(self) -> None:
        """Compare what file and signal ask for with what risk has latched; tell the difference."""
        wish = self._state.kill_wish()
        self._say(wish)
        directory, _, risk = self._standing()
        if self._signalled and risk is not None and stopped(risk):
            self._signalled = False  # taken: from now on a person may resume
        if not wish and not self._signalled:
            return
        if directory is None or not directory.names(Room.RISK):
            return
        if risk is not None and stopped(risk, flat=wish == "flatten"):
            return
        now_ns = directory.clock.wall_ns()
        if self._told is not None:
            told, at_ns = self._told
            if told == wish and now_ns - at_ns < _AGAIN_NS:
                return
        self._told = (wish, now_ns)
        directory.post(self._command(wish), sender="operator", cause=None)

    def _command(self, wish: str) -> m.Halt | m.Flatten:
        reason = f"{self._state.kill_file} exists"
        if wish == "flatten":
            return m.Flatten(source="file", reason=f"{reason} and says flatten")
        if wish:
            return m.Halt(source="file", reason=reason)
        return m.Halt(source="signal", reason="SIGUSR1")

    def _say(self, wish: str) -> None:
        if wish == self._said:
            return
        self._said = wish
        if wish:
            log.warning(f"{self._state.kill_file} is there: {wish}")
        else:
            log.warning(f"{self._state.kill_file} is gone; run.py resume lets entries in again")
