"""Client of a running bot's control API: loopback HTTP, bearer token from `control.json`.

Plain `http.client`: no proxy from the environment ever sees the token.
"""

import http.client
import json
from typing import Any, Final

from actors.edges.state_directory import ControlAddress, StateDirectory
from core.errors import TradingError, UnavailableError

_TIMEOUT_S: Final = 5.0
_BODY_MAX: Final = 1 << 24


class ControlRefusedError(TradingError):
    """The running bot understood the command and said no."""


class ControlClient:
    """Asks the bot that runs on a state directory.

    Raises NotRunningError when there is none, UnavailableError when it does not answer in time,
    ControlRefusedError when it refuses.
    """

    def __init__(self, directory: StateDirectory, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._directory = directory
        self._address: ControlAddress = directory.read_control()
        self._timeout_s = timeout_s

    def snapshot(self) -> dict[str, Any]:
        """Return state, positions, symbols and actors, as `status --json` prints them."""
        return self._ask("GET", "/snapshot")

    def health(self) -> dict[str, Any]:
        """Return the bot's own verdict on its health."""
        return self._ask("GET", "/health")

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Have the bot do something, and return its answer."""
        return self._ask("POST", "/command", {"command": name, **arguments})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        where = f"{self._address.host}:{self._address.port}"
        headers = {"Authorization": f"Bearer {self._address.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(
            self._address.host, self._address.port, timeout=self._timeout_s
        )
        try:
            connection.request(
                method, path, None if body is None else json.dumps(body).encode(), headers
            )
            response = connection.getresponse()
            text = response.read(_BODY_MAX)
        except ConnectionRefusedError:
            raise self._directory.not_running() from None
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(
                f"the control API at {where} did not answer within {self._timeout_s:g} s"
                f" ({type(error).__name__}). Fix: look at the bot's log, then try again."
            ) from None
        finally:
            connection.close()
        return self._answer(response.status, text, where)

    def _answer(self, status: int, text: bytes, where: str) -> dict[str, Any]:
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if status != http.client.OK or not isinstance(answer, dict):
            said = answer.get("error") if isinstance(answer, dict) else None
            raise ControlRefusedError(
                str(
                    said
                    or f"the control API at {where} answered HTTP {status}, which it never"
                    " does for a bot of this version. Fix: restart the bot."
                )
            )
        return answer
