"""What a person may ask of the running bot through the control API."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from actors.directory import Directory
from actors.edges.state_directory import StateDirectory
from actors.latches import ACCOUNT, Latched, awaits_resume, paused, stopped
from actors.supervisor import SupervisorActor
from config import Config
from core import messages as m
from core.errors import ConfigurationError, UnavailableError
from core.risk.breaker import awaits_revival
from core.risk.machine import RiskMachine
from core.routes import Room

Body = dict[str, Any]

_SOURCES = ("cli", "dashboard")
_REASON_MAX = 200
_STORED_WITHIN_S = 2.0
_LOOK_S = 0.02


class Steering:
    """Checks a wish, passes it on as a message, answers at once; the actors do the rest.

    `standing` gives what there is of the bot: directory, supervisor and risk, None while starting.
    """

    def __init__(
        self,
        config: Config,
        state: StateDirectory,
        standing: Callable[[], tuple[Directory | None, SupervisorActor | None, RiskMachine | None]],
        stopping: Callable[[], None],
    ) -> None:
        self._config = config
        self._state = state
        self._standing = standing
        self._stop = stopping

    def commands(self) -> dict[str, Callable[[Body], Body | Awaitable[Body]]]:
        """Return the commands by name."""
        return {
            "crash": self.crash,
            "revive": self.revive,
            "stop": self.stop,
            "halt": self.halt,
            "flatten": self.flatten,
            "pause": self.pause,
            "resume": self.resume,
        }

    async def halt(self, body: Body) -> Body:
        """Open nothing more until a person resumes; positions keep their stops."""
        self._post(m.Halt(source=_source(body), reason=_reason(body)))
        return await self._settled(stopped)

    async def flatten(self, body: Body) -> Body:
        """Halt, and close every position of ours at market."""
        self._post(m.Flatten(source=_source(body), reason=_reason(body)))
        return await self._settled(lambda risk: stopped(risk, flat=True))

    async def pause(self, body: Body) -> Body:
        """Open nothing more on one symbol until a person resumes it."""
        symbol = self._symbol(body)
        self._post(m.Pause(symbol=symbol, source=_source(body), reason=_reason(body)))
        return await self._settled(lambda risk: paused(risk, symbol), symbol)

    async def resume(self, body: Body) -> Body:
        """Release what waits for a person: of one symbol, or of the account and all symbols."""
        symbol = self._symbol(body) if body.get("symbol") else ACCOUNT
        wish = self._state.kill_wish()
        if wish and not symbol:
            raise ConfigurationError(
                f"{self._state.kill_file} must be gone before resume, it asks for {wish}."
                " Fix: delete it, then resume."
            )
        risk = self._standing()[2]
        others = () if symbol or risk is None else tuple(risk.symbol_states)
        self._post(m.Resume(symbol=symbol, source=_source(body)))

        def free(risk: Latched) -> bool:
            states = dict(risk.symbol_states)
            asked = [states.get(symbol)] if symbol else [risk.state, *states.values()]
            return not any(map(awaits_resume, asked))

        return await self._settled(free, symbol, others)

    def _post(self, command: m.Halt | m.Flatten | m.Pause | m.Resume) -> None:
        directory, _ = self._started()
        directory.post(command, sender="operator", cause=None)

    async def _settled(
        self,
        taken: Callable[[Latched], bool],
        symbol: str = ACCOUNT,
        others: tuple[str, ...] = (),
    ) -> Body:
        """Answer once risk has taken the command and the state is on disk, or after 2 s as it is.

        `taken` tells of memory; on disk must be the state of `symbol` and of the `others`: only
        both together survive a restart.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STORED_WITHIN_S
        while True:
            risk = self._standing()[2]
            in_memory = risk is not None and taken(risk)
            on_disk = (
                risk is not None
                and in_memory
                and all(map(risk.state_is_recorded, (symbol, *others)))
            )
            if on_disk or loop.time() > deadline:
                break
            await asyncio.sleep(_LOOK_S)
        held = None
        if risk is not None:
            held = risk.symbol_states.get(symbol) if symbol else risk.state
        return {
            "ok": on_disk,
            "taken": in_memory,
            "stored": on_disk,
            "symbol": symbol,
            "state": "ACTIVE" if held is None else held.state.value,
            "reason": "" if held is None else held.reason,
            "kill_file": str(self._state.kill_file),
        }

    def crash(self, body: Body) -> Body:
        """Make a symbol's actor raise, or hang; on the embedded venue only."""
        if self._config.VENUE != "embedded":
            raise ConfigurationError(
                "crash works on the embedded venue only, this bot trades on"
                f" {self._config.VENUE}. Fix: try it with --config paper.yaml."
            )
        symbol = self._symbol(body)
        directory, _ = self._started()
        crash = m.CrashNow(symbol=symbol, hang=body.get("hang") is True)
        directory.post(crash, sender="operator", cause=None)
        return {"ok": True, "symbol": symbol}

    def revive(self, body: Body) -> Body:
        """Start a quarantined symbol again; the last one also releases what their sum latched."""
        symbol = self._symbol(body)
        directory, supervisor = self._started()
        risk = self._standing()[2]
        quarantined = [
            child.spec.symbol
            for child in list(supervisor.children.values())
            if child.state == "quarantined"
        ]
        latched = risk is not None and awaits_revival(risk.state)
        if symbol not in quarantined and not (latched and not quarantined):
            name = f"{Room.SYMBOL.value}/{symbol}"
            others = ", ".join(quarantined) or "none"
            raise ConfigurationError(
                f"symbol must be quarantined to be revived (those are: {others}), {symbol} is"
                f" {supervisor.children[name].state}. Fix: see run.py status."
            )
        directory.post(m.Revive(symbol=symbol), sender="operator", cause=None)
        left = [name for name in quarantined if name != symbol]
        return {"ok": True, "symbol": symbol, "quarantined": left}

    def stop(self, _: Body) -> Body:
        """Stop in good order, as Ctrl-C does."""
        self._stop()
        return {"ok": True}

    def _symbol(self, body: Body) -> str:
        symbol = str(body.get("symbol", "")).upper()
        if symbol not in self._config.SYMBOLS:
            known = ", ".join(self._config.SYMBOLS)
            raise ConfigurationError(
                f"symbol must be one this bot trades ({known}), was {symbol!r}. Fix: choose one."
            )
        return symbol

    def _started(self) -> tuple[Directory, SupervisorActor]:
        directory, supervisor, _ = self._standing()
        if directory is None or supervisor is None:
            raise UnavailableError("the bot is still starting. Fix: try again in some seconds.")
        return directory, supervisor


def _source(body: Body) -> str:
    given = body.get("source")
    return given if given in _SOURCES else "cli"


def _reason(body: Body) -> str:
    """Return why, in the person's words; they end in log and database, so they are bounded."""
    given = body.get("reason")
    return given[:_REASON_MAX] if isinstance(given, str) and given.strip() else "a person asked"
