"""One client's WebSocket at the simulated venue: sending, backlog, pings and the end of its life.

Frames go to the transport as bytes that are made once for all listeners, gathered over one turn of
the loop.  A client that does not read is cut when its own backlog, or that of all clients together,
passes the bound: nobody else waits for it and the memory stays bounded.
"""

import asyncio
import contextlib
import struct
import time
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

MESSAGE_MAX = 1 << 20  # bytes of an incoming message; a longer one ends the connection with 1009
CLOSE_S = 1.0
_SHORT_MAX, _MEDIUM_MAX = 125, 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRules:
    """The protocol's timers (wall seconds) and rates, and the venue's bounds (bytes)."""

    ping_s: float = 180.0  # between the server's pings
    pong_s: float = 600.0  # without an answer to one the connection ends
    life_s: float = 86_400.0
    messages_per_s: int = 10  # incoming, controls included; more end the connection
    controls_per_s: int = 5  # pings and pongs on the WS-API, where messages have REST's limits
    backlog_max: int = 16 << 20  # waiting for one client
    backlogs_max: int = 256 << 20  # waiting for all together


def framed(text: bytes) -> bytes:
    """Return a text as one unmasked WebSocket frame."""
    size = len(text)
    if size <= _SHORT_MAX:
        return struct.pack("!BB", 0x81, size) + text
    if size <= _MEDIUM_MAX:
        return struct.pack("!BBH", 0x81, 126, size) + text
    return struct.pack("!BBQ", 0x81, 127, size) + text


class Backlogs:
    """The bytes that wait for all clients together."""

    def __init__(self, most: int) -> None:
        self.wires: list[Wire] = []
        self._most = most
        self._total = 0

    def note(self, change: int) -> None:
        """Count bytes in or out; cut the slowest clients while there are too many."""
        self._total += change
        if self._total <= self._most:
            return
        for wire in sorted(self.wires, key=lambda one: one.backlog, reverse=True):
            self._total = sum(one.backlog for one in self.wires if not one.is_cut)
            if self._total <= self._most:
                return
            wire.cut()

    def worst(self) -> int:
        """Return the bytes that the slowest client has yet to read."""
        return max((wire.backlog for wire in self.wires), default=0)


class Wire:
    """A client's socket."""

    def __init__(self, rules: WireRules, backlogs: Backlogs) -> None:
        self.socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=MESSAGE_MAX, timeout=CLOSE_S
        )
        self.rules = rules
        self.is_cut = False
        self.talked_too_much = False
        self._backlogs = backlogs
        self._transport: asyncio.WriteTransport | None = None
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._noted = 0
        self._ping = b""
        self._ponged = 0.0
        self._heard: list[float] = []
        self._tasks: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------ life
    async def open(self, request: web.Request) -> None:
        """Shake hands and begin the timers."""
        await self.socket.prepare(request)
        self._transport = request.transport
        self._backlogs.wires.append(self)
        self._tasks.append(asyncio.create_task(self._keep()))

    def close(self) -> None:
        """Forget the client after its connection has ended."""
        if self in self._backlogs.wires:
            self._backlogs.wires.remove(self)
        self._pending, self._pending_size = [], 0
        self._backlogs.note(-self._noted)
        self._noted = 0
        for task in self._tasks:
            task.cancel()

    def finish(self, code: int = WSCloseCode.GOING_AWAY, reason: str = "") -> None:
        """End the connection after what is queued, with a close frame."""
        self._flush()
        self._tasks.append(asyncio.create_task(self._bid_farewell(code, reason)))

    async def _bid_farewell(self, code: int, reason: str) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self.socket.close(code=code, message=reason.encode())

    def cut(self) -> None:
        """Drop the connection without waiting for its client."""
        self.is_cut = True
        if self._transport is not None:
            self._transport.abort()

    async def _keep(self) -> None:
        """Ping, drop a client that does not answer, and end the connection at its age."""
        rules = self.rules
        born = self._ponged = time.monotonic()
        while (age := time.monotonic() - born) < rules.life_s:
            await asyncio.sleep(min(rules.ping_s, rules.life_s - age))
            if time.monotonic() - self._ponged >= rules.pong_s:
                self.cut()
                return
            self._ping = str(time.time_ns() // 1_000_000).encode()
            with contextlib.suppress(ConnectionError, RuntimeError):
                await self.socket.ping(self._ping)
        self.finish(WSCloseCode.GOING_AWAY, "the connection is 24 hours old")

    # ------------------------------------------------------------------ incoming
    async def handles(self, message: WSMessage) -> bool:
        """Deal with pings, pongs and a client that talks too much; tell whether that was all."""
        if self._talks_too_much():
            self.talked_too_much = True
            self.finish(WSCloseCode.POLICY_VIOLATION, "Too many requests")
            return True
        if message.type is WSMsgType.PING:
            await self.socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            if message.data == self._ping:
                self._ponged = time.monotonic()
        else:
            return False
        return True

    def _talks_too_much(self) -> bool:
        now = time.monotonic()
        self._heard = [at for at in self._heard if now - at < 1][-self.rules.messages_per_s :]
        self._heard.append(now)
        return len(self._heard) > self.rules.messages_per_s

    # ------------------------------------------------------------------ outgoing
    @property
    def backlog(self) -> int:
        """Bytes queued and not taken by the network yet."""
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._pending_size + waiting

    def post(self, frame: bytes) -> None:
        """Queue a frame (`framed`) for the end of this turn of the loop."""
        if self._transport is None or self._transport.is_closing():
            return
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pending.append(frame)
        self._pending_size += len(frame)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or not self._pending:
            return
        data = b"".join(self._pending)
        self._pending, self._pending_size = [], 0
        if transport.is_closing() or self.socket.closed:
            return
        transport.write(data)
        waiting = transport.get_write_buffer_size()
        change, self._noted = waiting - self._noted, waiting
        if waiting > self.rules.backlog_max:
            self.cut()
        self._backlogs.note(change)
