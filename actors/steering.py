"""What a person may ask of the running bot through the control API."""

from collections.abc import Callable
from typing import Any

from actors.directory import Directory
from actors.supervisor import SupervisorActor
from config import Config
from core import messages as m
from core.errors import ConfigurationError, UnavailableError
from core.risk.breaker import awaits_revival
from core.risk.machine import RiskMachine
from core.routes import Room

Body = dict[str, Any]


class Steering:
    """Checks a wish, passes it on as a message, answers at once; the actors do the rest.

    `standing` gives what there is of the bot: directory, supervisor and risk, None while starting.
    """

    def __init__(
        self,
        config: Config,
        standing: Callable[[], tuple[Directory | None, SupervisorActor | None, RiskMachine | None]],
        stopping: Callable[[], None],
    ) -> None:
        self._config = config
        self._standing = standing
        self._stop = stopping

    def commands(self) -> dict[str, Callable[[Body], Body]]:
        """Return the commands by name."""
        return {"crash": self.crash, "revive": self.revive, "stop": self.stop}

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
