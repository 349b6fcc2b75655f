"""The simulated venue's WebSocket side: connections, subscriptions, fan-out.

Each connection has its own queue, bounded in bytes, and its own writer, so a slow reader is cut and
nobody else notices.  Which frames there are is decided in `core/venue/simulated/streams.py`.
"""

import asyncio
import contextlib
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from core.venue.simulated.streams import Route, parse

BACKLOG_MAX = 16 << 20  # bytes queued for one client
STREAMS_MAX = 1024
PING_S = 180.0
CLOSE_S = 1.0


class Connection:
    """One client's socket: its route, its form (raw or combined) and what it listens to."""

    def __init__(self, route: Route | None, *, combined: bool) -> None:
        self.route = route
        self.combined = combined
        self.names: dict[str, None] = {}
        self.transport: asyncio.WriteTransport | None = None
        self.backlog = 0  # bytes queued and not sent
        self.socket = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=1 << 20)
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    def market_names(self) -> list[str]:
        """Return the streams that this route really carries."""
        route = Route.PUBLIC if self.route is None else self.route
        found = []
        for name in self.names:
            stream = parse(name)
            if stream is not None and stream.route is route:
                found.append(name)
        return found

    def post(self, text: str) -> None:
        """Queue a frame; a client that does not read is cut."""
        self.backlog += len(text)
        if self.backlog > BACKLOG_MAX:
            self.cut()
            return
        self._queue.put_nowait(text)

    async def write(self) -> None:
        """Send queued frames until the connection ends."""
        while (text := await self._queue.get()) is not None:
            try:
                await self.socket.send_str(text)
            except (ConnectionError, RuntimeError):
                break
            self.backlog -= len(text)
        await self.socket.close()

    def cut(self) -> None:
        """Drop a connection without waiting for its client."""
        if self.transport is not None:
            self.transport.abort()

    def finish(self) -> None:
        """Let the writer end after what is queued."""
        self._queue.put_nowait(None)


class Sockets:
    """All connections of a venue."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self._wanted: dict[str, list[Connection]] = {}

    def wanted(self) -> list[str]:
        """Return the market streams that somebody listens to."""
        return list(self._wanted)

    def backlog(self) -> int:
        """Return the bytes that the slowest client has yet to read."""
        return max((connection.backlog for connection in self.connections), default=0)

    def publish(self, name: str, payload: Any) -> None:
        """Send a market frame to whoever listens to it."""
        listeners = self._wanted.get(name)
        if not listeners:
            return
        raw = orjson.dumps(payload).decode()
        wrapped = f'{{"stream":"{name}","data":{raw}}}'
        for connection in listeners:
            connection.post(wrapped if connection.combined else raw)

    def publish_user(self, key: str, payload: dict[str, Any]) -> None:
        """Send a user-stream frame to whoever holds the listen key."""
        raw = ""
        for connection in self.connections:
            if key in connection.names and connection.route is Route.PRIVATE:
                raw = raw or orjson.dumps(payload).decode()
                connection.post(
                    f'{{"stream":"{key}","data":{raw}}}' if connection.combined else raw
                )

    async def serve(self, request: web.Request, connection: Connection) -> web.WebSocketResponse:
        """Run one connection until it ends."""
        await connection.socket.prepare(request)
        connection.transport = request.transport
        self.connections.append(connection)
        self._resubscribe()
        writer = asyncio.create_task(connection.write())
        try:
            async for message in connection.socket:
                if message.type is WSMsgType.TEXT:
                    answer = self._command(connection, message.data)
                    connection.post(orjson.dumps(answer).decode())
                elif message.type is WSMsgType.BINARY:
                    connection.post('{"code":3,"msg":"Invalid JSON: expected text"}')
        finally:
            self.connections.remove(connection)
            self._resubscribe()
            connection.finish()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(writer, CLOSE_S)
        return connection.socket

    def _resubscribe(self) -> None:
        self._wanted = {}
        for connection in self.connections:
            for name in connection.market_names():
                self._wanted.setdefault(name, []).append(connection)

    def _command(self, connection: Connection, text: str) -> dict[str, Any]:
        """Carry out a control frame; ids are echoed as they came, integer or text."""
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return {"code": 3, "msg": f"Invalid JSON: {error}"}
        if not isinstance(frame, dict) or not isinstance(frame.get("method"), str):
            return {"code": 2, "msg": "Invalid request: missing field `method`"}
        number, params = frame.get("id"), frame.get("params", [])
        if not isinstance(params, list):
            return {"code": 2, "msg": "Invalid request: params must be an array", "id": number}
        match frame["method"]:
            case "SUBSCRIBE" | "UNSUBSCRIBE" if not all(isinstance(name, str) for name in params):
                return {"code": 2, "msg": "Invalid request: invalid type", "id": number}
            case "SUBSCRIBE":
                if len(connection.names) + len(params) > STREAMS_MAX:
                    return {"code": 2, "msg": "Invalid request: too many streams", "id": number}
                connection.names |= dict.fromkeys(params)
                self._resubscribe()
            case "UNSUBSCRIBE":
                for name in params:
                    connection.names.pop(name, None)
                self._resubscribe()
            case "LIST_SUBSCRIPTIONS":
                return {"result": list(connection.names), "id": number}
            case "SET_PROPERTY" if params in (["combined", True], ["combined", False]):
                connection.combined = params[1]
            case "GET_PROPERTY" if params == ["combined"]:
                return {"result": connection.combined, "id": number}
            case "SET_PROPERTY" | "GET_PROPERTY":
                return {"code": 0, "msg": "Unknown property", "id": number}
            case _:
                return {"code": 2, "msg": "Invalid request: unknown variant", "id": number}
        return {"result": None, "id": number}


def connection_for(request: web.Request) -> Connection | None:
    """Return the connection that a path asks for, or None when it is no stream path.

    `/ws/a/b`, `/stream?streams=a/b`, each plain or under /public, /market or /private; a listen key
    counts as a stream name, also as `?listenKey=`.
    """
    parts = [part for part in request.path.split("/") if part]
    route = None
    if parts and parts[0] in set(Route):
        route = Route(parts.pop(0))
    if not parts or parts[0] not in {"ws", "stream"}:
        return None
    connection = Connection(route, combined=parts[0] == "stream")
    names = parts[1:]
    for text in request.query.getall("streams", []):
        names += text.split("/")
    names += request.query.getall("listenKey", [])
    connection.names = dict.fromkeys(name for name in names[:STREAMS_MAX] if name)
    return connection
