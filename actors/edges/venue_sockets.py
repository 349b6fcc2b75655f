"""The simulated venue's WebSocket side: routes, subscriptions, fan-out.

Which frames there are is decided in `core/venue/simulated/streams.py`, what a control frame does in
`control.py`, and how bytes reach a client in `venue_wire.py`.
"""

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from actors.edges.venue_wire import Backlogs, Wire, WireRules, framed
from core.venue.simulated.control import STREAMS_MAX, Subscriptions
from core.venue.simulated.limits import Limits
from core.venue.simulated.stream_names import Route, parse

_NOT_TEXT = {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}
_KEY_ENDED = "listenKeyExpired"


class Connection(Wire):
    """One client's stream socket: its route, its form (raw or combined), what it listens to."""

    def __init__(
        self,
        route: Route | None,
        subscriptions: Subscriptions,
        events: dict[str, frozenset[str]],
        sockets: "Sockets",
    ) -> None:
        super().__init__(sockets.rules, sockets.backlogs)
        self.route = route
        self.subscriptions = subscriptions
        self._events = events

    def market_names(self) -> list[str]:
        """Return the streams that this route really carries."""
        route = Route.PUBLIC if self.route is None else self.route
        parsed = [(name, parse(name)) for name in self.subscriptions.names]
        return [name for name, stream in parsed if stream is not None and stream.route is route]

    def hears(self, key: str, event: str) -> bool:
        """Tell whether a user event of a listen key is for this connection."""
        if self.route is not Route.PRIVATE or key not in self.subscriptions.names:
            return False
        wanted = self._events.get(key)
        return wanted is None or event in wanted or event == _KEY_ENDED

    def tell(self, name: str, payload: Any) -> None:
        """Send a frame of a stream in the connection's form."""
        self.post(framed(encoded(name, payload, combined=self.subscriptions.combined)))

    def answer(self, payload: Any) -> None:
        """Send the answer to a control frame."""
        self.post(framed(orjson.dumps(payload)))


def encoded(name: str, payload: Any, *, combined: bool) -> bytes:
    """Return a frame's text: the payload, or the payload under its stream's name."""
    return orjson.dumps({"stream": name, "data": payload} if combined else payload)


class Sockets:
    """All connections of a venue.

    `tamper` may take a frame away from a connection (and send what it likes instead): a fault.
    `limits` hears of addresses whose connections end because they talk too much, and bans them.
    """

    def __init__(self, rules: WireRules, limits: Limits, wall_ms: Callable[[], int]) -> None:
        self.rules = rules
        self._limits = limits
        self._wall_ms = wall_ms
        self.backlogs = Backlogs(self.rules.backlogs_max)
        self.tamper: Callable[[Connection, str, Any], bool] | None = None
        self._wanted: dict[str, dict[Connection, None]] = {}
        self._private: dict[Connection, None] = {}

    @property
    def connections(self) -> list[Wire]:
        """All sockets that are open, streams and WS-API alike."""
        return self.backlogs.wires

    def wanted(self) -> list[str]:
        """Return the market streams that somebody listens to."""
        return list(self._wanted)

    def backlog(self) -> int:
        """Return the bytes that the slowest client has yet to read."""
        return self.backlogs.worst()

    # ------------------------------------------------------------------ outgoing
    def publish(self, name: str, payload: Any) -> None:
        """Send a market frame to whoever listens to it."""
        forms: dict[bool, bytes] = {}
        for connection in self._wanted.get(name, ()):
            if self.tamper is not None and self.tamper(connection, name, payload):
                continue
            combined = connection.subscriptions.combined
            if combined not in forms:
                forms[combined] = framed(encoded(name, payload, combined=combined))
            connection.post(forms[combined])

    def publish_user(self, key: str, payload: dict[str, Any]) -> None:
        """Send a user-stream frame to whoever holds the listen key."""
        for connection in self._private:
            if not connection.hears(key, payload["e"]):
                continue
            if self.tamper is not None and self.tamper(connection, key, payload):
                continue
            connection.tell(key, payload)

    # ------------------------------------------------------------------ incoming
    async def serve(self, request: web.Request, connection: Connection) -> web.StreamResponse:
        """Run one connection until it ends; a banned address gets 418."""
        verdict = self._limits.ban(request.remote or "", self._wall_ms())
        if verdict is not None:
            body = {"code": verdict.code, "msg": verdict.message}
            headers = {"Retry-After": str(verdict.retry_after_s)}
            return web.json_response(body, status=verdict.status, headers=headers)
        await connection.open(request)
        self._listen(connection, connection.market_names())
        if connection.route is Route.PRIVATE:
            self._private[connection] = None
        try:
            async for message in connection.socket:
                if await connection.handles(message):
                    continue
                if message.type is WSMsgType.TEXT:
                    self._command(connection, message.data)
                elif message.type is WSMsgType.BINARY:
                    connection.answer(_NOT_TEXT)
        finally:
            self._private.pop(connection, None)
            self._forget(connection, connection.market_names())
            self.left(connection, request.remote or "")
            connection.close()
        return connection.socket

    def left(self, wire: Wire, address: str) -> None:
        """Take note of how a client's connection has ended."""
        if wire.talked_too_much:
            self._limits.charge_violation(address, self._wall_ms())

    def _command(self, connection: Connection, text: str) -> None:
        before = connection.market_names()
        connection.answer(connection.subscriptions.answer(text))
        after = connection.market_names()
        if before != after:
            kept = set(after)
            self._forget(connection, [name for name in before if name not in kept])
            self._listen(connection, after)

    def _listen(self, connection: Connection, names: list[str]) -> None:
        for name in names:
            self._wanted.setdefault(name, {})[connection] = None

    def _forget(self, connection: Connection, names: list[str]) -> None:
        for name in names:
            listeners = self._wanted.get(name, {})
            listeners.pop(connection, None)
            if not listeners:
                self._wanted.pop(name, None)

    def connection_for(self, request: web.Request) -> Connection | None:
        """Return the connection that a path asks for, or None when it is no stream path.

        `/ws/a/b`, `/stream?streams=a/b`, each plain or under /public, /market or /private; a listen
        key counts as a stream name, also as `?listenKey=`, and `events=` after it chooses its
        events.
        """
        parts = [part for part in request.path.split("/") if part]
        route = None
        if parts and parts[0] in set(Route):
            route = Route(parts.pop(0))
        if not parts or parts[0] not in {"ws", "stream"}:
            return None
        names, events = parts[1:], {}
        for field, value in request.query.items():
            if field == "streams":
                names += value.split("/")
            elif field == "listenKey":
                names.append(value)
            elif field == "events" and names:
                events[names[-1]] = frozenset(value.split("/"))
        kept = [name for name in names if name][:STREAMS_MAX]
        subscriptions = Subscriptions(kept, combined=parts[0] == "stream")
        return Connection(route, subscriptions, events, self)
