"""Carries out the transport's faults at the simulated venue's server, and serves `/sim/faults`.

What a fault does is decided in the core (`request_faults.py`, `frame_faults.py`,
`market_faults.py`); here are the sleeping, the cutting and the bytes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from actors.edges.venue_sockets import Connection, Sockets
from actors.edges.venue_wire import Wire, framed
from core.venue.simulated import market_faults
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.faults import (
    Armed,
    Fault,
    FaultTable,
    Group,
    InvalidFault,
    Occasion,
    read_fault,
)
from core.venue.simulated.frame_faults import FrameFaults, Raw, occasion_of
from core.venue.simulated.market_faults import FAULTS_PATH
from core.venue.simulated.request_faults import HALF, LOST, Plan, plan_for
from core.venue.simulated.rest import Entry, Response

_HANDSHAKE_ROUTES = ("public", "market", "private")
_WS_API = "ws-fapi"
_BINARY = 0x82  # the first byte of a binary frame


class VenueFaults:
    """The faults of one venue: `table` holds the transport's, the exchange those of the market."""

    def __init__(self, exchange: Exchange, sockets: Sockets, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self.table = FaultTable()
        self._exchange = exchange
        self._sockets = sockets
        self._frames = FrameFaults(self.table)

    # ------------------------------------------------------------------ arming
    def arm(self, fault: Fault, pace: float) -> tuple[Armed, Entry | None]:
        """Put a fault in place; returns what a journal must hold, for those that change the market.

        `pace` is venue seconds per wall second.  Raises Rejection.
        """
        if fault.group is not Group.MARKET:
            self._sockets.tamper = self._tamper
            return self.table.arm(fault), None
        at_ms = self._exchange.now_ms
        armed = market_faults.inject(self._exchange, fault, pace)
        params = {"fault": orjson.dumps(fault.as_json()).decode(), "pace": repr(pace)}
        return armed, Entry(at_ms=at_ms, method="POST", path=FAULTS_PATH, params=params)

    def clear(self) -> tuple[int, Entry]:
        """Remove all faults; what has been done to the market stays."""
        count = self.table.clear() + market_faults.clear(self._exchange)
        self._frames.clear()
        at_ms = self._exchange.now_ms
        return count, Entry(at_ms=at_ms, method="DELETE", path=FAULTS_PATH, params={})

    def health(self) -> dict[str, Any]:
        """Return the faults in place, and how often each kind has struck since the start."""
        own = self._exchange.orders.faults.table
        fired = dict(own.fired)
        for kind, count in self.table.fired.items():
            fired[kind] = fired.get(kind, 0) + count
        return {"faults": [*self.table.rows(), *own.rows()], "faults_fired": fired}

    # ------------------------------------------------------------------ requests
    def plan(self, method: str, path: str, symbol: str) -> Plan:
        """Return how to treat a request."""
        first = path.strip("/").split("/")[0]
        route = first if first in _HANDSHAKE_ROUTES else ""
        occasion = Occasion(path=path, method=method, symbol=symbol.upper(), route=route)
        return plan_for(self.table, occasion, self._wall_ms())

    async def around(self, plan: Plan, perform: Callable[[int], Response]) -> Response | None:
        """Perform a request as planned; None when its answer is lost.

        `perform` takes the seconds that queries see into the past.
        """
        if plan.delay_s:
            await asyncio.sleep(plan.delay_s)
        response = perform(int(plan.lag_s * 1000)) if plan.performs else None
        if plan.answer is not None:
            entry = response.entry if response is not None else None
            response = replace(plan.answer, entry=entry)
        if plan.hold_s:
            await asyncio.sleep(plan.hold_s)
        return None if plan.ending == LOST else response

    # ------------------------------------------------------------------ frames and sockets
    def _tamper(self, connection: Connection, name: str, payload: Any) -> bool:
        """Take a frame away from a connection, and send what the faults make of it."""
        if self._frames.idle:
            return False
        occasion = occasion_of(str(connection.route or ""), name, payload)
        dropped = self._frames.drops(occasion)
        if dropped is not None:
            _end(connection, dropped)
            return True
        for frame in self._frames.frames(connection, occasion, payload, self._wall_ms()):
            _send(connection, name, frame)
        return True

    def pump(self) -> None:
        """Let late frames go, and drop the connections that a fault is waiting for."""
        for held in self._frames.released(self._wall_ms()):
            if isinstance(held.listener, Connection):
                held.listener.tell(held.name, held.payload)
        doomed: list[tuple[Wire, Armed]] = []
        for wire in list(self._sockets.connections):
            route = str(wire.route or "") if isinstance(wire, Connection) else _WS_API
            row = self.table.find("ws_drop", Occasion(route=route))
            if row is not None:
                doomed.append((wire, row))
        for row in {id(row): row for _, row in doomed}.values():
            row.strike()
            self.table.note("ws_drop")
        for wire, row in doomed:
            _end(wire, row)

    def expires_key(self) -> Armed | None:
        """Return the fault that ends the active listen key now, counted."""
        return self.table.take("listen_key_expire", Occasion())


def _end(wire: Wire, row: Armed) -> None:
    code = row.fault.args["code"]
    if code:
        wire.finish(code)
    else:
        wire.cut()


def _send(connection: Connection, name: str, frame: Any) -> None:
    if not isinstance(frame, Raw):
        connection.tell(name, frame)
        return
    data = framed(frame.data)
    connection.post(bytes([_BINARY]) + data[1:] if frame.binary else data)


async def deliver(
    request: web.Request, response: web.Response | None, plan: Plan
) -> web.StreamResponse:
    """Send an answer as planned: whole, byte by byte, cut in half, or not at all."""
    if response is None or (plan.ending == HALF and not response.body):
        _abort(request)
        return web.Response()
    if plan.ending != HALF and not plan.drip_s:
        return response
    body = bytes(response.body) if isinstance(response.body, bytes) else b""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    if plan.ending == HALF:
        await stream.write(body[: len(body) // 2])
        _abort(request)
        return stream
    for at in range(len(body)):
        await stream.write(body[at : at + 1])
        await asyncio.sleep(plan.drip_s)
    await stream.write_eof()
    return stream


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def read_wish(body: bytes) -> list[Fault]:
    """Read POST /sim/faults: one fault or a list of them.  Raises InvalidFault."""
    try:
        wish = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidFault(f"the body must be JSON ({error}).") from None
    wishes = wish if isinstance(wish, list) else [wish]
    return [read_fault(one) for one in wishes]


def refused(reason: InvalidFault | Rejection) -> dict[str, object]:
    """Return the body of a refused POST /sim/faults."""
    if isinstance(reason, Rejection):
        return reason.body()
    return {"code": -1130, "msg": str(reason)}
