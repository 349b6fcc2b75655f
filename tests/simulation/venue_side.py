"""The venue's side of a simulation: the pure exchange and its door, and a wire that misbehaves."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Any

import orjson
from aiohttp import ConnectionTimeoutError

from actors.stepped import Timeline
from core.clock import NS_PER_MS
from core.venue.simulated.clock import AffineClock
from core.venue.simulated.events import MinuteClosed
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.faults import read_fault
from core.venue.simulated.rest import Door, Request, Response
from core.venue.simulated.seeded import SeededPrices
from core.venue.simulated.streams import Publisher
from tests.simulation.faults import FRAME_KINDS, REQUEST_KINDS, Faults

KEY = "simulated"
BALANCE = Decimal(10_000)
START_MS = 1_767_571_200_000  # 2026-01-05 00:00 UTC, a Monday
HISTORY = 200
_PUMP_S = 0.1
_PUSH_MS = 1_000  # forming klines decide nothing: as seldom as marks, and most of the work is saved
_SOCKET_DELAY_S = (0.001, 0.03)
_REQUEST_DELAY_S = (0.001, 0.04)
_LATE_S = (0.2, 4.5)
ORDER_PATHS = ("/fapi/v1/order", "/fapi/v1/algoOrder")
_LEAVES_SIBLINGS = 0.25  # part of the venues that do not expire a target when the stop has filled
_WEIGHT, _ROOM = "X-MBX-USED-WEIGHT-1M", 10
_ORDER_DRAWS = 3  # faults strike more often where they hurt


@lru_cache(maxsize=32)
def market(symbols: tuple[str, ...], seed: int, start_ms: int) -> SeededPrices:
    """Return a market; it holds nothing but caches, so runs may share it."""
    return SeededPrices(symbols, seed, start_ms, HISTORY)


class SimSocket:
    """One WebSocket connection as `actors/edges/streams.py` uses it."""

    ws = None

    def __init__(self, side: "VenueSide", names: tuple[str, ...]) -> None:
        self.names = names  # market streams; none on the user's
        self.ws_state: Any = None
        self.closed = False
        self.held_until_ns = 0
        self._side = side
        self._items: asyncio.Queue[Any] = asyncio.Queue()
        self._free_ns = 0  # frames do not overtake each other

    async def recv(self) -> Any:
        """Wait for a frame; raises once the connection is cut."""
        item = await self._items.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def close(self) -> None:
        """Hear no more."""
        self.closed = True

    def cut(self) -> None:
        """End the connection from the venue's side."""
        self.closed = True
        self._items.put_nowait(ConnectionResetError("cut"))

    def send(self, frame: Any, *, late_s: float = 0.0) -> None:
        """Put a frame on its way; a late one is overtaken by those behind it."""
        timeline = self._side.timeline
        delay_s = self._side.dice.uniform(*_SOCKET_DELAY_S)
        due_ns = max(timeline.now_ns, self.held_until_ns) + int(delay_s * 1e9)
        if late_s:
            due_ns += int(late_s * 1e9)
        else:
            due_ns = self._free_ns = max(self._free_ns, due_ns)
        timeline.at(due_ns, lambda: None if self.closed else self._items.put_nowait(frame))


class VenueSide:
    """One exchange that lives through every death of the bot."""

    def __init__(
        self,
        timeline: Timeline,
        faults: Faults,
        *,
        symbols: tuple[str, ...],
        seed: int,
        speed: float,
        before_midnight_ms: int = 0,
        exchange: Exchange | None = None,
    ) -> None:
        """`exchange`: one of another market than the seeded one."""
        self.timeline = timeline
        self.faults = faults
        self.dice = Random(f"wire {seed}")
        start_ms = START_MS - before_midnight_ms
        if exchange is None:
            prices = market(symbols, seed % 16, start_ms)
            exchange = Exchange(prices, balance=BALANCE, start_ms=start_ms)
        start_ms = exchange.now_ms
        self.exchange = exchange
        if Random(f"venue {seed}").random() < _LEAVES_SIBLINGS:
            self.exchange.algos.position_gone = lambda position: None  # type: ignore[method-assign]
        clock = AffineClock(
            anchor_venue_ms=start_ms, anchor_wall_ms=timeline.now_ns // NS_PER_MS, speed=speed
        )
        self.door = Door(self.exchange, clock, api_key=KEY, api_secret=KEY)
        self.sockets: list[SimSocket] = []
        self.changed = True
        self.refusals: list[tuple[str, int]] = []  # (path, code) of every refused order
        self.lag_s, self.lags_until_ns = 0.0, 0  # how old an order a query sees, and how long so
        self._publisher = Publisher(self.exchange)
        self._pump()

    @property
    def wall_ms(self) -> int:
        """The wall clock of the venue's host."""
        return self.timeline.now_ns // NS_PER_MS

    def line(self) -> tuple[int, int, float]:
        """Return venue time, true wall time and speed: what measuring the clock finds."""
        venue_ms = self.door.clock.venue_ms(self.wall_ms)
        return venue_ms * NS_PER_MS, self.timeline.now_ns, self.door.clock.speed

    # ---------------------------------------- time and streams
    def _pump(self) -> None:
        now = self.wall_ms
        self.door.tick(now)
        self._deliver()
        self._watch()
        for name, payload in self._publisher.due(now):
            self._publish(name, payload)
        self.timeline.after(_PUMP_S, self._pump)

    def _watch(self) -> None:
        self.sockets = [socket for socket in self.sockets if not socket.closed]
        self._publisher.watch(name for socket in self.sockets for name in socket.names)
        for watch in self._publisher._watches.values():
            if watch.stream.period_ms < _PUSH_MS:
                watch.stream = replace(watch.stream, period_ms=_PUSH_MS)

    def _deliver(self) -> None:
        for event in self.exchange.take_events():
            self.changed = True
            if isinstance(event, MinuteClosed):
                self._watch()
                for name, payload in self._publisher.closed(event):
                    self._publish(name, payload)
            else:
                for socket in self.sockets:
                    if not socket.names:
                        self._send(socket, event.payload)

    def _publish(self, name: str, payload: Any) -> None:
        for socket in self.sockets:
            if name in socket.names:
                self._send(socket, {"stream": name, "data": payload})

    def _send(self, socket: SimSocket, frame: Any) -> None:
        if socket.closed:
            return
        plain = orjson.loads(orjson.dumps(frame))
        fate = self.faults.fate(FRAME_KINDS)
        if fate and not socket.names:
            self.faults.hurt_ns = self.timeline.now_ns
        match fate:
            case "frame_lost":
                return
            case "frame_garbled":
                socket.send({"stream": "?", "data": {"e": "kline", "k": [None]}})
                return
            case "frame_doubled":
                socket.send(plain)
                socket.send(plain, late_s=self.dice.uniform(0.0, 0.2))
            case "frame_late":
                socket.send(plain, late_s=self.dice.uniform(0.05, 1.5))
            case _:
                socket.send(plain)

    def connect(self, names: tuple[str, ...]) -> SimSocket:
        """Open a connection: market streams by name, or the user's stream."""
        socket = SimSocket(self, names)
        self.sockets.append(socket)
        return socket

    def cut(self, *, user: bool) -> None:
        """End all connections of a kind."""
        for socket in self.sockets:
            if bool(socket.names) != user:
                socket.cut()

    def stall(self, seconds: float, *, user: bool) -> None:
        """Hold back all frames of a kind."""
        for socket in self.sockets:
            if bool(socket.names) != user:
                socket.held_until_ns = self.timeline.now_ns + int(seconds * 1e9)

    def fill_in_part(self, symbol: str) -> None:
        """Let the next order of a symbol fill in two parts, or end after the first."""
        status = "" if self.dice.random() < 0.5 else "EXPIRED"
        args = {"fraction": round(self.dice.uniform(0.1, 0.9), 3), "status": status}
        self._arm("partial_fill", symbol, args)

    def refuse_trigger(self, symbol: str) -> None:
        """Let the order of the next stop or target that fires be refused."""
        self._arm("algo_reject_at_trigger", symbol, {})

    def _arm(self, kind: str, symbol: str, args: dict[str, Any]) -> None:
        wish = {"kind": kind, "count": 1, "match": {"symbol": symbol}, "args": args}
        self.exchange.orders.faults.table.arm(read_fault(wish))

    def heal(self) -> None:
        """Take back what is armed and has not struck."""
        self.exchange.orders.faults.table.clear()
        self.lags_until_ns = 0

    # ---------------------------------------- requests
    def ask(
        self, request: dict[str, Any], answered: Callable[[Response | Exception], None]
    ) -> None:
        """Carry a request to the door and its answer back, unless a fault strikes."""
        timeline, dice = self.timeline, self.dice
        order = request["method"] == "POST" and request["path"] in ORDER_PATHS
        draws = _ORDER_DRAWS if order else 1
        fate = next(filter(None, (self.faults.fate(REQUEST_KINDS) for _ in range(draws))), "")
        if request["method"] == "POST" and request["path"] == ORDER_PATHS[0] and self._lags:
            fate = "answer_lost_executed"
        if fate:
            self.faults.hurt_ns = timeline.now_ns
        out_s, back_s = dice.uniform(*_REQUEST_DELAY_S), dice.uniform(*_REQUEST_DELAY_S)
        reset = dice.random() < 0.5  # a lost answer is seen as a reset, or not at all
        if fate == "request_unsent":
            timeline.after(out_s, lambda: answered(ConnectionTimeoutError("no connection")))
            return
        if fate == "request_late":
            out_s += dice.uniform(*_LATE_S)

        def arrive() -> None:
            if fate in ("request_refused", "rate_limited"):
                response = _turned_away(fate)
            elif fate == "answer_lost_unexecuted":
                response = None
            else:
                response = self._handle(request)
            if response is not None and fate != "answer_lost_executed":
                timeline.after(back_s, lambda: answered(response))
            elif reset:
                timeline.after(back_s, lambda: answered(ConnectionResetError("reset")))

        timeline.after(out_s, arrive)

    @property
    def _lags(self) -> bool:
        return self.timeline.now_ns < self.lags_until_ns

    def _handle(self, request: dict[str, Any]) -> Response:
        lagging = self._lags and request["path"] == ORDER_PATHS[0] and request["method"] == "GET"
        lag_ms = round(self.lag_s * 1000 * self.door.clock.speed) if lagging else 0
        response = _roomy(
            self.door.handle(
                Request(api_key=KEY, address="bot", wall_ms=self.wall_ms, **request), lag_ms
            )
        )
        if response.status >= 400 and request["method"] == "POST":
            self.refusals.append((request["path"], int(response.body.get("code", 0))))
        self.changed = True
        self._deliver()
        return response


def _roomy(response: Response) -> Response:
    """Let request weight count a tenth.

    What the live bot does once a minute it does here every few seconds, several lives of it in one
    minute: by the venue's own count reads would stand still, and with them what is to be seen.
    """
    headers, body = dict(response.headers), response.body
    if _WEIGHT in headers:
        headers[_WEIGHT] = str(int(headers[_WEIGHT]) // _ROOM)
    if isinstance(body, dict) and "rateLimits" in body:
        rows = [
            {**row, "limit": row["limit"] * _ROOM}
            if row["rateLimitType"] == "REQUEST_WEIGHT"
            else row
            for row in body["rateLimits"]
        ]
        body = {**body, "rateLimits": rows}
    return replace(response, headers=headers, body=body)


def _turned_away(fate: str) -> Response:
    if fate == "rate_limited":
        body = {"code": -1003, "msg": "Too many requests."}
        return Response(status=429, body=body, headers={"Retry-After": "1"})
    body = {"code": -1008, "msg": "Server is currently overloaded with other requests."}
    return Response(status=503, body=body)
