"""The simulated venue as a server: Binance's REST and WebSocket paths on one port.

A thin shell around the pure exchange: it reads the wall clock, moves the exchange on, hands
requests to the door and frames to the sockets, and keeps the journal.  `/sim/...` steers and shows
the simulation itself.
"""

import asyncio
import contextlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from aiohttp import web

from actors.edges import venue_ws_api
from actors.edges.venue_faults import VenueFaults, deliver, read_wish, refused
from actors.edges.venue_journal import Journal, World
from actors.edges.venue_sockets import Sockets
from actors.edges.venue_wire import WireRules
from core.venue.simulated.clock import AffineClock
from core.venue.simulated.errors import Rejection
from core.venue.simulated.events import MinuteClosed
from core.venue.simulated.faults import Group, InvalidFault
from core.venue.simulated.market import MINUTE_MS
from core.venue.simulated.request_faults import HARMLESS, LOST, Plan
from core.venue.simulated.rest import Door, Entry, Request, Response, parameters
from core.venue.simulated.streams import Publisher

STEP_S = 0.025
MARK_MS = 2_000  # wall time between marks of the venue time in the journal
MINUTE_MARK_MS = 100  # and after a minute has closed, so that little is played twice
STALL_MS = 10_000  # a longer hole in wall time is a pause of the machine, not market time
PIECE_MS = 3_600_000  # venue time played in one go at most,
PIECE_CANDLES = 10_000  # and candles closed: what clients can be sent without falling behind
BACKLOG_FINE = 1 << 20  # bytes
PATIENCE_STEPS = 80
BODY_MAX = 1 << 20
ADVANCE_MAX_S = 31 * 86_400
SPEED_MAX = 100_000.0
_NOTHING = Response(status=200, body={})
LOST_ANSWER = Response(status=408, body=Rejection(-1007).body())


def wall_ms() -> int:
    """Return the system's wall clock."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How a venue is served; `idle_s` 0 means it never stops by itself."""

    speed: float
    api_key: str
    api_secret: str
    enforce_limits: bool = False
    idle_s: float = 0.0
    token: str = ""  # what POST /sim/stop must bear; empty: no such request is served
    wires: WireRules = field(default_factory=WireRules)


class VenueServer:
    """Serves one world until it is stopped."""

    def __init__(
        self,
        world: World,
        journal: Journal | None,
        settings: ServerSettings,
        say: Callable[[str], None],
    ) -> None:
        self._world = world
        self._journal = journal
        self._settings = settings
        self._say = say
        self._exchange = world.exchange
        now = wall_ms()
        # At speed 1 a new venue's time is wall time, however long the prices took to load.
        level = settings.speed == 1 and not world.resumed
        clock = AffineClock(
            anchor_venue_ms=self._exchange.now_ms,
            anchor_wall_ms=self._exchange.now_ms if level else now,
            speed=settings.speed,
        )
        self._door = Door(
            self._exchange,
            clock,
            api_key=settings.api_key,
            api_secret=settings.api_secret,
            enforce_limits=settings.enforce_limits,
        )
        self._publisher = Publisher(self._exchange)
        self._sockets = Sockets(settings.wires, self._door.limits, wall_ms)
        self._faults = VenueFaults(self._exchange, self._sockets, wall_ms)
        self._desk = venue_ws_api.Desk(
            handle=self._called,
            wall_ms=wall_ms,
            venue_ms=lambda: self._exchange.now_ms,
            greet=self._door.greet,
        )
        symbols = len(self._exchange.quotes.symbols)
        self._piece_ms = min(PIECE_MS, max(1, PIECE_CANDLES // symbols) * MINUTE_MS)
        self._last_tick = self._last_mark = self._last_contact = now
        self._said_end = False
        self.stopped = asyncio.Event()

    def application(self) -> web.Application:
        """Return the aiohttp application; it runs the clock while it is up."""
        app = web.Application(client_max_size=BODY_MAX)
        app.cleanup_ctx.append(self._running)
        app.on_shutdown.append(self._hang_up)
        app.router.add_get("/sim/ledger", self._ledger)
        app.router.add_get("/sim/health", self._health)
        app.router.add_post("/sim/clock", self._set_clock)
        app.router.add_post("/sim/stop", self._stop)
        app.router.add_get("/sim/faults", self._list_faults)
        app.router.add_post("/sim/faults", self._arm_faults)
        app.router.add_delete("/sim/faults", self._clear_faults)
        app.router.add_route("*", "/{path:.*}", self._any)
        return app

    async def _running(self, _app: web.Application) -> Any:
        pump = asyncio.create_task(self._pump())
        yield
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump
        if self._journal is not None:
            self._journal.mark(self._exchange)
            self._journal.close()

    async def _hang_up(self, _app: web.Application) -> None:
        """End the sockets first, or the shutdown would wait for them."""
        for connection in list(self._sockets.connections):
            connection.finish()

    # ------------------------------------------------------------------ time
    async def _pump(self) -> None:
        while True:
            now = wall_ms()
            self._tick(now)
            self._publisher.watch(self._sockets.wanted())
            for name, payload in self._publisher.due(now):
                self._sockets.publish(name, payload)
            self._faults.pump()
            self._expire_listen_key(now)
            if self._is_idle(now):
                self._say("nobody has called for ten minutes: the venue saves and stops")
                self.stopped.set()
            await asyncio.sleep(STEP_S)

    def _tick(self, now: int) -> None:
        door = self._door
        if door.clock.speed > 1 and now - self._last_tick > STALL_MS:
            door.clock = AffineClock(
                anchor_venue_ms=door.clock.venue_ms(self._last_tick),
                anchor_wall_ms=now,
                speed=door.clock.speed,
            )
        self._last_tick = now
        if door.clock.speed > 1:  # where the machine cannot keep the pace, venue time goes slower
            door.clock = door.clock.not_past(now, self._exchange.now_ms + self._piece_ms)
        door.tick(now)
        self._deliver(now)

    def _deliver(self, now: int) -> None:
        """Send out what has happened, after the journal has got so far."""
        events = self._exchange.take_events()
        told = any(not isinstance(event, MinuteClosed) for event in events)
        quiet = MARK_MS if not events else MINUTE_MARK_MS
        if self._journal is not None and (told or now - self._last_mark >= quiet):
            self._last_mark = now
            self._journal.mark(self._exchange)
        key = self._door.listen_keys.active(now)
        for event in events:
            if isinstance(event, MinuteClosed):
                self._publisher.watch(self._sockets.wanted())
                for name, payload in self._publisher.closed(event):
                    self._sockets.publish(name, payload)
            else:
                self._publisher.heard(event.payload)
                if key:
                    self._sockets.publish_user(key, event.payload)
        if self._exchange.ended and not self._said_end:
            self._said_end = True
            self._say("the recorded data is at its end: prices and venue time stand still from now")

    def _expire_listen_key(self, now: int) -> None:
        keys = self._door.listen_keys
        silent = False
        if keys.active(now) and (fault := self._faults.expires_key()) is not None:
            silent = fault.fault.args["silent"]
            keys.outlive(now)
        key = keys.expire(now)
        if key is not None and not silent:
            payload = {"e": "listenKeyExpired", "E": self._exchange.now_ms, "listenKey": key}
            self._sockets.publish_user(key, payload)

    def _is_idle(self, now: int) -> bool:
        if self._sockets.connections:
            self._last_contact = now
        idle_s = (now - self._last_contact) / 1000
        return bool(self._settings.idle_s) and idle_s >= self._settings.idle_s

    # ------------------------------------------------------------------ Binance's paths
    async def _any(self, request: web.Request) -> web.StreamResponse:
        self._last_contact = wall_ms()
        path = request.rel_url.raw_path
        if request.headers.get("Upgrade", "").lower() == "websocket":
            calls = path == venue_ws_api.PATH
            connection = None if calls else self._sockets.connection_for(request)
            if calls or connection is not None:
                plan = self._faults.plan("GET", path, "")
                if plan.answer is not None or plan.ending == LOST:
                    refusal = await self._faults.around(plan, lambda _lag_ms: _NOTHING)
                    return await deliver(request, refusal and _rendered(refusal), plan)
            if calls:
                return await venue_ws_api.serve(request, self._sockets, self._desk)
            if connection is not None:
                return await self._sockets.serve(request, connection)
        try:
            body = (await request.read()).decode("utf-8", "replace")
        except web.RequestPayloadError:  # it is not encoded as its headers say
            return _json(Rejection(-1130, "body").body(), 400)
        asked = Request(
            method=request.method,
            path=path,
            query=request.rel_url.raw_query_string,
            body=body,
            api_key=request.headers.get("X-MBX-APIKEY"),
            address=request.remote or "",
            wall_ms=wall_ms(),
        )
        plan = self._plan(asked)
        if plan is HARMLESS:
            return _rendered(self._answer(asked))
        response = await self._faults.around(plan, lambda lag_ms: self._answer(asked, lag_ms))
        return await deliver(request, response and _rendered(response), plan)

    async def _called(self, request: Request) -> Response:
        """Answer a WS-API request; an answer that a fault takes away is a time-out there."""
        plan = self._plan(request)
        if plan is HARMLESS:
            return self._answer(request)
        response = await self._faults.around(plan, lambda lag_ms: self._answer(request, lag_ms))
        return response or LOST_ANSWER

    def _plan(self, request: Request) -> Plan:
        if not self._faults.table.waits(Group.REQUEST):
            return HARMLESS
        symbol = parameters(request)[0].get("symbol", "")
        return self._faults.plan(request.method, request.path, symbol)

    def _answer(self, request: Request, lag_ms: int = 0) -> Response:
        """Put a request to the door, whichever way it came, and tell what it has caused.

        `lag_ms` is how far (wall ms) a query sees into the past.
        """
        now = wall_ms()
        self._last_contact = now
        self._tick(now)
        pace = self._door.clock.speed or 1.0
        response = self._door.handle(replace(request, wall_ms=now), int(lag_ms * pace))
        self._note(response.entry)
        self._deliver(now)
        return response

    def _note(self, entry: Entry | None) -> None:
        if entry is not None and self._journal is not None:
            self._journal.request(entry)

    # ------------------------------------------------------------------ the simulation itself
    async def _ledger(self, _request: web.Request) -> web.Response:
        self._touch()
        return _json({"venue_id": self._world.venue_id, **self._exchange.dump()})

    async def _health(self, _request: web.Request) -> web.Response:
        now = self._touch()
        clock, quotes = self._door.clock, self._exchange.quotes
        frozen = self._exchange.ended or clock.speed == 0
        if self._exchange.ended:
            anchor = {"venue_ms": quotes.now_ms, "wall_ms": now}
        else:
            anchor = {"venue_ms": clock.anchor_venue_ms, "wall_ms": clock.anchor_wall_ms}
        return _json(
            {
                "status": "ok",
                "venue_id": self._world.venue_id,
                "speed": 0.0 if frozen else clock.speed,
                "anchor": anchor,
                "venue_ms": quotes.now_ms,
                "wall_ms": now,
                "frozen": frozen,
                "ended": self._exchange.ended,
                "symbols": list(quotes.symbols),
                "seed": self._world.settings.seed,
                "data": self._world.settings.data,
                "last_minute_ms": quotes.open_ms,
                "resumed": self._world.resumed,
                **self._faults.health(),
            }
        )

    async def _list_faults(self, _request: web.Request) -> web.Response:
        return _json(self._faults.health())

    async def _arm_faults(self, request: web.Request) -> web.Response:
        now = self._touch()
        try:
            wishes = read_wish(await request.read())
            rows = []
            for fault in wishes:
                armed, entry = self._faults.arm(fault, self._door.clock.speed or 1.0)
                self._note(entry)
                rows.append(armed.as_json())
        except (InvalidFault, Rejection) as reason:
            return _json(refused(reason), 400)
        finally:
            self._deliver(now)
        return _json(rows[0] if len(rows) == 1 else rows)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._touch()
        count, entry = self._faults.clear()
        self._note(entry)
        return _json({"cleared": count})

    async def _set_clock(self, request: web.Request) -> web.Response:
        now = self._touch()
        try:
            wish = orjson.loads(await request.read())
            advance_s = float(wish.get("advance_s", 0))
            speed = float(wish.get("speed", self._door.clock.speed))
        except (ValueError, TypeError, AttributeError):
            return _json({"code": -1130, "msg": "Send {'advance_s': n} or {'speed': x}."}, 400)
        if not (0 <= advance_s <= ADVANCE_MAX_S and 0 <= speed <= SPEED_MAX):
            limits = f"advance_s is 0 to {ADVANCE_MAX_S}, speed 0 to {SPEED_MAX:.0f}."
            return _json({"code": -1130, "msg": limits}, 400)
        self._door.clock = self._door.clock.repaced(now, speed)
        if advance_s:
            await self._advance(self._exchange.now_ms + int(advance_s * 1000))
        return await self._health(request)

    async def _advance(self, target_ms: int) -> None:
        """Play up to a venue time in pieces: other clients and the memory keep breathing."""
        while self._exchange.now_ms < target_ms and not self._exchange.ended:
            self._exchange.advance(min(target_ms, self._exchange.now_ms + self._piece_ms))
            self._deliver(wall_ms())
            await self._let_clients_read()
        reached = max(target_ms, self._exchange.now_ms)
        self._door.clock = self._door.clock.moved_to(wall_ms(), reached)

    async def _let_clients_read(self) -> None:
        """Yield, and wait a little for clients that are behind, so that none is cut for it."""
        await asyncio.sleep(0)
        for _ in range(PATIENCE_STEPS):
            if self._sockets.backlog() < BACKLOG_FINE:
                return
            await asyncio.sleep(STEP_S)

    async def _stop(self, request: web.Request) -> web.Response:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        token = self._settings.token
        if not token or not hmac.compare_digest(bearer.encode(), token.encode()):
            return _json({"code": -2015, "msg": "This request needs the venue's token."}, 401)
        self.stopped.set()
        return _json({"venue_id": self._world.venue_id, "venue_ms": self._exchange.now_ms})

    def _touch(self) -> int:
        self._last_contact = now = wall_ms()
        self._tick(now)
        return now


def _rendered(response: Response) -> web.Response:
    """Return an answer as HTTP: JSON, or a text as it is when a fault gave one."""
    if not isinstance(response.body, str):
        return _json(response.body, response.status, response.headers)
    kind = "text/html" if response.body.startswith("<") else "application/json"
    return web.Response(
        text=response.body, status=response.status, headers=response.headers, content_type=kind
    )


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )
