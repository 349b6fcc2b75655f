"""The venue gateway: the one place where the bot meets the venue, on one thread of its own.

One asyncio loop in one daemon thread owns both REST clients and all sockets.  Actors send it
envelopes (`put`, never blocks) and get their answers as messages; the streams post what they hear.
Nothing that goes wrong with a request ends the loop: it becomes the answer that says so.

The order of a start: clock, listen key and user stream first (what happens from then on is heard),
market streams, and only then does `start` return.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any, Final, Protocol

from actors.edges.binance_client import (
    ENTRY_RECV_WINDOW_MS,
    RECV_WINDOW_MS,
    ReconnectingWebsocket,
    VenueClient,
    VenueSockets,
    problem,
    quiet_library_log,
    redirected,
)
from actors.edges.gateway_requests import Requests
from actors.edges.preparation import Prepared, prepare
from actors.edges.retrying import Retrying
from actors.edges.snapshot import OrderNames, Snapshots
from actors.edges.streams import ListenKey, Stream, StreamLostError, chunks
from actors.edges.system_clock import SystemClock
from actors.edges.venue_clock import VenueClock
from actors.mailbox import Envelope
from config import Config
from core import messages as m
from core.errors import UnavailableError
from core.feed.frames import parse_market, parse_user, rejected
from core.messages import Failure, Purpose

_PREPARE_S_PER_SYMBOL: Final = 1.0
# What the embedded venue accepts where the environment names no pair.
EMBEDDED_KEY: Final = "embedded-venue-key"
EMBEDDED_SECRET: Final = "embedded-venue-secret"  # noqa: S105 - a paper account's, on loopback


class PostOffice(Protocol):
    """Sends what the gateway says to whom it concerns; thread-safe."""

    def __call__(self, message: Any, *, cause: Envelope | None) -> None:
        """Send one message; `cause` is the envelope it answers, None for stream news."""
        ...


class HandlingTrace(Protocol):
    """The part of the tracer that the gateway uses."""

    def handled(self, envelope: Envelope, taken_ns: int, done_ns: int, outcome: str) -> None:
        """Note that an envelope was handled."""
        ...

    def dead(self, envelope: Envelope, at_ns: int, reason: str) -> None:
        """Note that an envelope will not be handled."""
        ...


class Gateway:
    """Talks to the venue for the actors.

    `address` is `http://127.0.0.1:PORT` of the embedded venue and ignored for the others, whose
    addresses are the library's own.  `clock` is kept on the venue's time from here.
    """

    def __init__(
        self,
        *,
        config: Config,
        address: str,
        clock: SystemClock,
        post: PostOffice,
        tracer: HandlingTrace,
    ) -> None:
        self._config = config
        self._address = address if config.VENUE == "embedded" else ""
        self._clock = clock
        self._post = post
        self._tracer = tracer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started: Future[None] = Future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._names = OrderNames()
        self._closed = False
        self._grace_s = 0.0

    # ---------------------------------------- called from other threads
    def start(self) -> None:
        """Connect, and return once both streams are up.

        Raises UnavailableError, in one line, when the venue cannot be reached within REST_TIMEOUT
        or refuses the key.
        """
        quiet_library_log()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()
        self._started.result()

    def prepare(self, symbols: tuple[str, ...]) -> Prepared:
        """Check symbols and account mode, set isolated margin and leverage; blocks.

        Raises ConfigurationError (a symbol), SelfCheckError (the account), UnavailableError.
        """
        return self._ask(prepare(self._client, self._retrying, self._config, tuple(symbols)))

    def venue_health(self) -> dict[str, Any]:
        """Return `/sim/health` of the embedded venue; blocks.  Raises UnavailableError."""
        return self._ask(self._venue_clock.health())

    def put(self, envelope: Envelope, /) -> None:
        """Take a request; never blocks."""
        loop = self._loop
        try:
            if loop is None:
                raise RuntimeError  # noqa: TRY301 - the same as a closed loop
            loop.call_soon_threadsafe(self._accept, envelope)
        except RuntimeError:
            self._tracer.dead(envelope, self._clock.wall_ns(), "the gateway is not running")

    def depth(self) -> int:
        """Return how many requests are under way."""
        return len(self._tasks)

    def stop(self, timeout: float = 5.0) -> None:
        """Finish what is under way for half of `timeout` (s), then close everything."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._grace_s = timeout / 2
        try:
            loop.call_soon_threadsafe(self._stopping.set)
        except RuntimeError:
            return  # it has ended already
        thread.join(timeout)

    def _ask(self, coroutine: Any) -> Any:
        assert self._loop is not None, "start() comes first"
        patience_s = (1 + len(self._config.SYMBOLS)) * _PREPARE_S_PER_SYMBOL
        patience_s += self._config.REST_TIMEOUT * (1 + self._config.MAX_RETRIES)
        waiting = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return waiting.result(patience_s)
        except TimeoutError:
            waiting.cancel()
            raise self._unavailable("no answer in time") from None

    # ---------------------------------------- the loop's thread
    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:  # noqa: BLE001 - the starter waits for an answer
            if not self._started.done():
                self._started.set_exception(error)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._build()
        background: list[asyncio.Task[None]] = []
        try:
            try:
                async with asyncio.timeout(self._config.REST_TIMEOUT):
                    await self._venue_clock.measure()
                    await self._user.connect()
                    await self._market.connect()
            except Exception as error:  # noqa: BLE001 - judged and passed on
                self._started.set_exception(self._unavailable(problem(error).detail))
                return
            background = [
                asyncio.create_task(self._user.run()),
                asyncio.create_task(self._market.run()),
                asyncio.create_task(self._venue_clock.keep()),
            ]
            self._started.set_result(None)
            await self._stopping.wait()
        finally:
            await self._wind_down(background)

    def _build(self) -> None:
        config = self._config
        client_type: type[VenueClient] = VenueClient
        self._sockets_type: type[VenueSockets] = VenueSockets
        if self._address:
            client_type, self._sockets_type = redirected(self._address)

        def client(recv_window_ms: int) -> VenueClient:
            return client_type(
                venue=config.VENUE,
                key=config.API_KEY.get_secret_value() or EMBEDDED_KEY,
                secret=config.API_SECRET.get_secret_value() or EMBEDDED_SECRET,
                recv_window_ms=recv_window_ms,
                timeout_s=config.REST_TIMEOUT,
            )

        self._client, self._entries = client(RECV_WINDOW_MS), client(ENTRY_RECV_WINDOW_MS)
        self._venue_clock = VenueClock(
            self._clock, clients=(self._client, self._entries), embedded=self._address
        )
        self._retrying = Retrying(config, self._venue_clock.measure)
        self._requests = Requests(
            config=config,
            clock=self._clock,
            client=self._client,
            entries=self._entries,
            retrying=self._retrying,
        )
        self._snapshots = Snapshots(
            clock=self._clock,
            client=self._client,
            requests=self._requests,
            retrying=self._retrying,
            names=self._names,
        )
        self._listen_key = ListenKey(self._client)
        self._user = Stream(
            "private",
            open_sockets=self._user_sockets,
            on_frame=self._user_frame,
            post=self._news,
            background=self._listen_key.keep_alive,
        )
        self._market = Stream(
            "market",
            open_sockets=self._market_sockets,
            on_frame=self._market_frame,
            post=self._news,
            silence_s=config.WEBSOCKET_TIMEOUT,
        )

    async def _wind_down(self, background: list[asyncio.Task[None]]) -> None:
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._grace_s)
        for task in (*self._tasks, *background):
            task.cancel()
        await asyncio.gather(*self._tasks, *background, return_exceptions=True)
        await asyncio.gather(self._user.close(), self._market.close())
        await self._client.close_connection()
        await self._entries.close_connection()

    def _unavailable(self, reason: str) -> UnavailableError:
        where = self._address or "Binance"
        return UnavailableError(
            f"The {self._config.VENUE} venue ({where}) is unavailable: {reason}"
        )

    # ---------------------------------------- requests
    def _accept(self, envelope: Envelope) -> None:
        if self._closed:
            self._tracer.dead(envelope, self._clock.wall_ns(), "the gateway is closing")
            return
        task = asyncio.get_running_loop().create_task(self._handle(envelope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, envelope: Envelope) -> None:
        taken_ns, outcome = self._clock.wall_ns(), "ok"
        try:
            answer = await self._answer(envelope.message)
        except asyncio.CancelledError:  # only on the way down; whoever asked is told so
            outcome = "CancelledError"
            answer = _unanswered(envelope.message, "the gateway stopped while this was under way")
        except Exception as error:  # noqa: BLE001 - one bad request must not end the loop
            outcome = type(error).__name__
            answer = _unanswered(envelope.message, f"{outcome}: {error}")
        if answer is not None:
            self._post(answer, cause=envelope)
        self._tracer.handled(envelope, taken_ns, self._clock.wall_ns(), outcome)

    async def _answer(self, message: Any) -> Any:
        match message:
            case m.PlaceOrder():
                answer = await self._requests.place(message)
                if isinstance(answer, m.OrderAnswered):
                    order_id = int(answer.venue_id.rsplit(":", 1)[1])
                    self._names.learn(message.symbol, order_id, message.client_id)
                return answer
            case m.PlaceAlgoOrder():
                return await self._requests.place_algo(message)
            case m.CancelAlgoOrder():
                return await self._requests.cancel_algo(message)
            case m.QueryOrder():
                return await self._requests.query(message)
            case m.FetchSnapshot():
                return await self._snapshots.fetch(message)
            case m.FetchHistory():
                return await self._requests.history(message)
            case _:
                raise TypeError(f"the gateway has no request {type(message).__name__}")

    # ---------------------------------------- streams
    def _news(self, message: Any) -> None:
        self._post(message, cause=None)

    def _sockets(self) -> VenueSockets:
        return self._sockets_type(
            self._client, timeout_s=self._config.REST_TIMEOUT, compressed=not self._address
        )

    async def _user_sockets(self) -> AsyncIterator[ReconnectingWebsocket]:
        yield await self._sockets().user(await self._listen_key.fresh())

    async def _market_sockets(self) -> AsyncIterator[ReconnectingWebsocket]:
        names = [symbol.lower() for symbol in self._config.SYMBOLS]
        streams = [f"{name}@kline_{self._config.KLINE_INTERVAL}" for name in names]
        streams += [f"{name}@markPrice@1s" for name in names]
        for part in chunks(streams):
            yield await self._sockets().market(part)

    def _market_frame(self, frame: Any) -> None:
        if not isinstance(frame, dict) or "data" not in frame:
            self._news(rejected("market", "not a combined frame", frame))
            return
        message = parse_market(frame["data"], str(frame.get("stream")))
        if isinstance(message, m.MarkPrice):
            self._venue_clock.witness(message.event_ns)
        if message is not None:
            self._news(message)

    def _user_frame(self, frame: Any) -> None:
        if isinstance(frame, dict) and frame.get("e") == "listenKeyExpired":
            raise StreamLostError("the listen key expired")
        message = parse_user(frame)
        if isinstance(message, m.OrderUpdate):
            self._names.learn(message.symbol, message.order_id, message.client_id)
        if message is not None:
            self._news(message)


def _unanswered(message: Any, reason: str) -> Any:
    """Build the answer of a request whose handling broke: it may have happened."""
    match message:
        case m.FetchSnapshot():
            return m.SnapshotFailed(reason=reason)
        case m.FetchHistory():
            return m.KlineHistory(symbol=message.symbol, candles=(), reason=reason)
        case m.PlaceOrder() | m.PlaceAlgoOrder() | m.CancelAlgoOrder() | m.QueryOrder():
            return m.OrderFailed(
                client_id=message.client_id,
                symbol=message.symbol,
                purpose=getattr(message, "purpose", Purpose.STOP),
                failure=Failure.UNKNOWN,
                code=0,
                detail=reason,
            )
        case _:
            return None
