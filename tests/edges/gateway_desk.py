"""What the gateway's tests stand on: the simulated venue in this process, and a scripted one.

Both are real servers on loopback; `Desk` holds a gateway and what it posted and traced.
"""

import asyncio
import json
import queue
import threading
import time
import urllib.request
from collections import Counter, defaultdict, deque
from typing import Any

from aiohttp import WSMsgType, web

from actors.edges.gateway import Gateway
from actors.edges.system_clock import SystemClock
from actors.edges.venue_address import LOCAL_API_KEY, LOCAL_API_SECRET
from actors.edges.venue_journal import new_world
from actors.edges.venue_server import ServerSettings, VenueServer
from actors.edges.venue_source import VenueSettings
from actors.mailbox import Envelope
from config import Config
from core import messages as m

PATIENCE_S = 10.0
_OPENING = m.FetchHistory(symbol="BTCUSDT", bars=1)


class Served:
    """An aiohttp application on a loop and thread of its own."""

    port = 0

    def application(self) -> web.Application:
        """Return what to serve; called on the loop."""
        raise NotImplementedError

    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.do(self._start())

    async def _start(self) -> None:
        self._runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    def stop(self) -> None:
        self.do(self._runner.cleanup())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()


class Simulated(Served):
    """The simulated venue; the same world goes on when it is served again."""

    def __init__(
        self,
        speed: float = 60.0,
        *,
        rate_limits: bool = False,
        symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
        history: int = 400,
    ) -> None:
        self.speed = speed
        self.rate_limits = rate_limits
        self.statuses: Counter[int] = Counter()  # of all answers
        self.weight = 0  # of all requests so far, by the header of the answers
        self._weight_told = 0
        self._world = new_world(
            VenueSettings(
                symbols=symbols,
                seed=3,
                balance="10000",
                history=history,
                data="",
                funding="",
                start_ms=time.time_ns() // 1_000_000,
            )
        )

    def application(self) -> web.Application:
        settings = ServerSettings(
            speed=self.speed,
            api_key=LOCAL_API_KEY,
            api_secret=LOCAL_API_SECRET,
            enforce_limits=self.rate_limits,
        )
        app = VenueServer(self._world, None, settings, lambda _line: None).application()

        async def count(_request: web.Request, response: web.StreamResponse) -> None:
            self.statuses[response.status] += 1
            told = int(response.headers.get("X-MBX-USED-WEIGHT-1M", self._weight_told))
            # A lower count than before is that of a new minute.
            self.weight += told - self._weight_told if told >= self._weight_told else told
            self._weight_told = told

        app.on_response_prepare.append(count)
        return app

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, json.dumps(body).encode())  # noqa: S310
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
            return json.load(answer)


class Scripted(Served):
    """Answers what its script says: per (method, path) a queue, whose last entry stays.

    An entry is a body, (status, body), (status, body, headers), "hang" or "reset".
    """

    def __init__(self) -> None:
        self.script: dict[tuple[str, str], deque[Any]] = defaultdict(lambda: deque([{}]))
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.sockets: dict[str, list[web.WebSocketResponse]] = defaultdict(list)
        self.say("POST", "listenKey", {"listenKey": "key"})
        self.say("GET", "accountConfig", {"dualSidePosition": False})

    def say(self, method: str, name: str, *answers: Any) -> None:
        self.script[method, f"/fapi/v1/{name}"] = deque(answers)

    def asked(self, method: str, name: str) -> list[dict[str, str]]:
        path = f"/fapi/v1/{name}"
        return [params for how, where, params in self.requests if (how, where) == (method, path)]

    def application(self) -> web.Application:
        self._connected = asyncio.Condition()
        app = web.Application()
        app.router.add_get("/sim/health", self._health)
        app.router.add_get("/market/stream", self._socket)
        app.router.add_get("/private/ws", self._socket)
        app.router.add_route("*", "/{path:.*}", self._any)
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        self.requests.append(("GET", "/sim/health", {}))
        now = time.time_ns() // 1_000_000
        return web.json_response({"anchor": {"venue_ms": now, "wall_ms": now}, "speed": 1.0})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async with self._connected:
            self.sockets[request.path.split("/")[1]].append(socket)
            self._connected.notify_all()
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
        return socket

    def send(self, route: str, text: str, connection: int = 1) -> None:
        """Send a frame on the so many-th connection of a route, once it is there."""
        self.do(self._send(route, text, connection))

    async def _send(self, route: str, text: str, connection: int) -> None:
        async with self._connected:
            await self._connected.wait_for(lambda: len(self.sockets[route]) >= connection)
        await self.sockets[route][connection - 1].send_str(text)

    async def _any(self, request: web.Request) -> web.Response:
        params = {**request.query, **(await request.post())}
        self.requests.append((request.method, request.path, params))
        answers = self.script[request.method, request.path]
        answer = answers.popleft() if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(params)
        if answer == "hang":
            await asyncio.sleep(3600)
        if answer == "reset":
            assert request.transport is not None
            request.transport.abort()
        status, body, headers = 200, answer, {}
        if isinstance(answer, tuple):
            status, body, headers = (*answer, {})[:3]
        text = body if isinstance(body, str) else json.dumps(body)
        kind = "text/html" if isinstance(body, str) else "application/json"
        return web.Response(status=status, text=text, content_type=kind, headers=headers)


class Desk:
    """A gateway at a venue, with what it posted and traced."""

    def __init__(self, venue: Served, **settings: Any) -> None:
        given = {
            "SYMBOLS": ["BTCUSDT", "ETHUSDT"],
            "RETRY_DELAY": 0.05,
            "REST_TIMEOUT": 5,
            **settings,
        }
        self.config = Config(_env_file=None, VENUE_URL=venue.url, **given)
        self.venue = venue
        self.clock = SystemClock()
        self.answers: queue.Queue[tuple[Any, Envelope]] = queue.Queue()
        self.news: queue.Queue[Any] = queue.Queue()
        self.traced: list[tuple[str, Envelope, str]] = []
        self.gateway = Gateway(
            config=self.config, address=venue.url, clock=self.clock, post=self._post, tracer=self
        )

    def _post(self, message: Any, *, cause: Envelope | None) -> None:
        if cause is None:
            self.news.put(message)
        else:
            self.answers.put((message, cause))

    def handled(self, envelope: Envelope, taken_ns: int, done_ns: int, outcome: str) -> None:
        assert taken_ns <= done_ns
        if envelope.message is not _OPENING:
            self.traced.append(("handled", envelope, outcome))

    def dead(self, envelope: Envelope, at_ns: int, reason: str) -> None:
        self.traced.append(("dead", envelope, reason))

    def start(self) -> None:
        """Start the gateway, and let it speak as the first symbol does: by asking for history."""
        self.gateway.start()
        self.ask(_OPENING)
        if isinstance(self.venue, Scripted):
            self.venue.requests[:] = [r for r in self.venue.requests if "klines" not in r[1]]

    def put(self, message: Any) -> Envelope:
        envelope = Envelope(message, id=1)
        self.gateway.put(envelope)
        return envelope

    def ask(self, message: Any) -> Any:
        envelope = self.put(message)
        answer, cause = self.answers.get(timeout=PATIENCE_S)
        assert cause is envelope
        return answer

    def hear(self, kind: type, **fields: Any) -> Any:
        """Return the next news of this type with these fields."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            message = self.news.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(message, kind) and all(
                getattr(message, name) == value for name, value in fields.items()
            ):
                return message


def an_entry(client_id: str = "afb-E-aaaaaaaaaaaaaaaa-0", **fields: Any) -> m.PlaceOrder:
    return m.PlaceOrder(
        **{
            "client_id": client_id,
            "symbol": "BTCUSDT",
            "purpose": m.Purpose.ENTRY,
            "side": m.Side.BUY,
            "quantity": m.Decimal("0.010"),
            "reduce_only": False,
            **fields,
        }
    )


def a_stop(client_id: str = "afb-S-aaaaaaaaaaaaaaaa-0", **fields: Any) -> m.PlaceAlgoOrder:
    return m.PlaceAlgoOrder(
        **{
            "client_id": client_id,
            "symbol": "BTCUSDT",
            "purpose": m.Purpose.STOP,
            "side": m.Side.SELL,
            "trigger_price": m.Decimal("100.0"),
            **fields,
        }
    )
