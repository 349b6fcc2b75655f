"""The running bot's control API: loopback HTTP with a bearer token, for the CLI and its like.

`GET /health`, `GET /snapshot`, `POST /command` with `{"command": NAME, ...}`.  Host and token are
checked on every request; answers are JSON.
"""

import hmac
import inspect
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from actors.edges.state_directory import ControlAddress, StateDirectory
from config import Config
from core.errors import ConfigurationError, TradingError

_BODY_MAX = 16 * 1024
Answer = dict[str, Any]
Commands = dict[str, Callable[[dict[str, Any]], Answer | Awaitable[Answer]]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlApi:
    """Serves snapshot and commands on the loop it was started in; publishes its address."""

    def __init__(
        self,
        config: Config,
        directory: StateDirectory,
        snapshot: Callable[[], dict[str, Any]],
        commands: Commands,
    ) -> None:
        self._config = config
        self._directory = directory
        self._snapshot = snapshot
        self._commands = commands
        self._token = config.CONTROL_TOKEN.get_secret_value() or secrets.token_urlsafe(32)
        self._runner: web.AppRunner | None = None
        self._port = 0
        self.url = ""

    async def start(self) -> None:
        """Listen, and say where."""
        await self.listen()
        self.publish()

    async def listen(self) -> None:
        """Take the port; raises ConfigurationError for an occupied one.  Nobody knows it yet."""
        app = web.Application(middlewares=[self._guard], client_max_size=_BODY_MAX)
        app.router.add_get("/health", self._health)
        app.router.add_get("/snapshot", self._get_snapshot)
        app.router.add_post("/command", self._command)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        host, port = self._config.CONTROL_HOST, self._config.CONTROL_PORT
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise ConfigurationError(
                f"CONTROL_HOST and CONTROL_PORT must be free to listen on, were {host} and {port}"
                f" ({reason}). Fix: choose another CONTROL_PORT, 0 for any free one."
            ) from None
        self._port = self._runner.addresses[0][1]
        self.url = f"http://{host}:{self._port}"

    def publish(self) -> None:
        """Write `control.json`: from now on commands find this bot."""
        host = self._config.CONTROL_HOST
        self._directory.write_control(
            ControlAddress(host=host, port=self._port, token=self._token, pid=os.getpid())
        )

    async def stop(self) -> None:
        """Withdraw the address and stop listening."""
        if self._runner is not None:
            self._directory.remove_control()
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.host.rsplit(":", 1)[0]
        if host not in ("127.0.0.1", "localhost", "[::1]", self._config.CONTROL_HOST):
            return web.json_response({"error": "unknown host"}, status=403)
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return web.json_response({"error": "wrong or missing token"}, status=401)
        return await handler(request)

    async def _health(self, _: web.Request) -> web.Response:
        state = self._snapshot()["state"]
        return web.json_response({"ok": state != "STARTING", "state": state})

    async def _get_snapshot(self, _: web.Request) -> web.Response:
        return web.json_response(self._snapshot())

    async def _command(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            command = self._commands[body["command"]]
        except (ValueError, KeyError, TypeError):
            known = ", ".join(sorted(self._commands))
            return web.json_response(
                {"error": f"the body must be JSON with a known command ({known})"}, status=400
            )
        try:
            answer = command(body)
            if inspect.isawaitable(answer):
                answer = await answer
            return web.json_response(answer)
        except TradingError as error:
            return web.json_response({"error": str(error)}, status=409)
