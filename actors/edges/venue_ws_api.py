"""The simulated venue's WS-API over real sockets; what a frame means is `ws_api.py`'s business."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import orjson
from aiohttp import WSMsgType, web

from actors.edges.venue_sockets import Sockets
from actors.edges.venue_wire import Wire, framed
from core.venue.simulated.rest import Request, Response
from core.venue.simulated.ws_api import HANDSHAKE_WEIGHT, Call, Caller, answer, read_call

PATH = "/ws-fapi/v1"


@dataclass(frozen=True, slots=True)
class Desk:
    """What the WS-API asks of the venue: the door, its clocks (ms), and a weight to charge."""

    handle: Callable[[Request], Awaitable[Response]]
    wall_ms: Callable[[], int]
    venue_ms: Callable[[], int]
    greet: Callable[[Request, int], Response | None]  # weight; what turns the caller away


async def serve(request: web.Request, sockets: Sockets, desk: Desk) -> web.StreamResponse:
    """Run one WS-API connection until it ends; requests are answered in their order."""
    address = request.remote or ""
    hello = Request(
        method="GET",
        path=PATH,
        query="",
        body="",
        api_key=None,
        address=address,
        wall_ms=desk.wall_ms(),
    )
    refusal = desk.greet(hello, HANDSHAKE_WEIGHT)
    if refusal is not None:
        return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)
    shows = request.query.get("returnRateLimits", "true").lower() != "false"
    caller = Caller(address, desk.wall_ms(), shows)
    rules = replace(sockets.rules, messages_per_s=sockets.rules.controls_per_s)
    wire = Wire(rules, sockets.backlogs)
    await wire.open(request)
    try:
        async for message in wire.socket:
            if message.type in {WSMsgType.PING, WSMsgType.PONG}:
                await wire.handles(message)
            elif message.type is WSMsgType.TEXT:
                call = read_call(message.data, caller, desk.wall_ms(), desk.venue_ms())
                if isinstance(call, Call):
                    call_answer = answer(call, await desk.handle(call.request))
                else:
                    call_answer = call
                wire.post(framed(orjson.dumps(call_answer)))
            elif message.type is WSMsgType.BINARY:
                wire.post(framed(orjson.dumps(read_call("", caller, 0, 0))))
    finally:
        sockets.left(wire, address)
        wire.close()
    return wire.socket
