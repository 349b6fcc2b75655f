"""The venue gateway: the one place where the bot meets the venue, on one thread of its own.

One asyncio loop in one daemon thread owns both REST clients and all sockets.  Actors send it
envelopes (`put`, never blocks) and get their answers as messages; the streams post what they hear.
Nothing that goes wrong with a request ends the loop: it becomes the answer that says so.

Streams connect before the rooms exist.  What they hear is held until the first symbol asks for
its history, which it does once all rooms are up; so no event falls between the snapshot of the
start and the first one heard.  Only prices are not held: the history brings them.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from loguru import logger

from actors import kill_points
from actors.edges.binance_client import problem, quiet_library_log
from actors.edges.preparation import Prepared
from actors.edges.start_patience import StartPatience
from actors.edges.system_clock import SystemClock
from actors.edges.venue_link import VenueLink, live_ends
from actors.kill_points import Seam
from actors.mailbox import Envelope
from config import Config
from core import messages as m
from core.errors import TradingError, UnavailableError
from core.messages import Failure, Purpose
from core.routes import Room

_PATIENCE_S_PER_SYMBOL: Final = 1.0
# What the next one of its kind makes worthless; it is not held for rooms that are not up yet.
_PASSING: Final = (m.KlineFrame, m.MarkPrice, m.VenueHealth, m.AccountSnapshot)

T = TypeVar("T")


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
    addresses are the library's own.  `clock` is kept on the venue's time from here.  `may_enter` is
    asked right before an entry is sent, and by nobody else: what protects is sent in any case.
    """

    def __init__(
        self,
        *,
        config: Config,
        address: str,
        clock: SystemClock,
        post: PostOffice,
        tracer: HandlingTrace,
        may_enter: Callable[[], bool] = lambda: True,
    ) -> None:
        self._config = config
        self._address = address if config.VENUE == "embedded" else ""
        self._clock = clock
        self._post = post
        self._tracer = tracer
        self._may_enter = may_enter
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started: Future[None] = Future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[Any] | None = []
        self._closed = False
        self._grace_s = 0.0
        self._patience: StartPatience | None = None
        self._abandoned = False

    # ---------------------------------------- called from other threads
    def start(self) -> None:
        """Connect, and return once both streams are up; their news wait for the rooms.

        Raises UnavailableError, in one line, when the venue cannot be reached within REST_TIMEOUT
        or refuses the key.  While it only wants silence, the start waits (`start_patience.py`).
        """
        quiet_library_log()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()
        self._started.result()

    def prepare(self, symbols: tuple[str, ...]) -> Prepared:
        """Check symbols and account mode, set isolated margin and leverage; blocks.

        Raises ConfigurationError (a symbol), SelfCheckError (the account), UnavailableError.
        Waits until the venue's limits leave room for a start.
        """
        assert self._loop is not None, "start() comes first"
        assert self._patience is not None
        waiting = asyncio.run_coroutine_threadsafe(
            self._patience.prepared(
                lambda: self._link.prepare(tuple(symbols)), within_s=self._patience_s
            ),
            self._loop,
        )
        return self._result(waiting, None)

    def abandon_start(self) -> None:
        """Let `start` and `prepare` wait no longer for the venue's limits; they raise then."""
        self._abandoned = True
        if self._patience is not None:
            self._patience.abandon()

    def klines(self, symbol: str, bars: int, end_ms: int | None) -> list[list[Any]]:
        """Return a page of raw klines up to an open time, at the pace of histories; blocks.

        Raises UnavailableError.
        """
        return self._ask(self._link.klines(symbol, bars, end_ms))

    def venue_health(self) -> dict[str, Any]:
        """Return `/sim/health` of the embedded venue; blocks.  Raises UnavailableError."""
        return self._ask(self._link.health())

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

    def _ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None, "start() comes first"
        waiting = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return self._result(waiting, self._patience_s)

    @property
    def _patience_s(self) -> float:
        """Return how long what the venue is asked for at a start may take, seconds."""
        patience_s = len(self._config.SYMBOLS) * _PATIENCE_S_PER_SYMBOL
        return patience_s + self._config.REST_TIMEOUT * (1 + self._config.MAX_RETRIES)

    def _result(self, waiting: Future[T], within_s: float | None) -> T:
        try:
            return waiting.result(within_s)
        except TradingError:
            raise
        except Exception as error:
            waiting.cancel()
            raise self._unavailable(problem(error).detail) from error

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
        self._link = VenueLink(
            config=self._config,
            clock=self._clock,
            news=self._news,
            ends=live_ends(self._config, self._address, self._clock),
        )
        self._patience = StartPatience(self._link.governor, logger.bind(module="gateway").warning)
        if self._abandoned:
            self._patience.abandon()
        keepers: list[asyncio.Task[None]] = []
        try:
            try:
                await self._patience.connected(
                    self._link.connect, within_s=self._config.REST_TIMEOUT
                )
            except TradingError as error:
                self._started.set_exception(error)
                return
            except Exception as error:  # noqa: BLE001 - judged and passed on
                self._started.set_exception(self._unavailable(problem(error).detail))
                return
            keepers = [asyncio.create_task(keep()) for keep in self._link.keepers()]
            self._started.set_result(None)
            await self._stopping.wait()
        finally:
            await self._wind_down(keepers)

    async def _wind_down(self, keepers: list[asyncio.Task[None]]) -> None:
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._grace_s)
        for task in (*self._tasks, *keepers):
            task.cancel()
        await asyncio.gather(*self._tasks, *keepers, return_exceptions=True)
        await self._link.close()

    def _unavailable(self, reason: str) -> UnavailableError:
        where = self._address or "Binance"
        return UnavailableError(
            f"The {self._config.VENUE} venue ({where}) is unavailable: {reason}"
        )

    def _news(self, message: Any) -> None:
        if self._held is None:
            self._post(message, cause=None)
        elif not isinstance(message, _PASSING):
            self._held.append(message)

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for message in held:
            self._post(message, cause=None)

    def _accept(self, envelope: Envelope) -> None:
        if self._closed:
            self._tracer.dead(envelope, self._clock.wall_ns(), "the gateway is closing")
            return
        if self._held is not None and isinstance(envelope.message, m.FetchHistory):
            self._release()
        task = asyncio.get_running_loop().create_task(self._handle(envelope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, envelope: Envelope) -> None:
        taken_ns, outcome = self._clock.wall_ns(), "ok"
        try:
            if _is_entry(envelope.message) and not self._may_enter():
                answer: Any = _unsent(envelope.message)
            else:
                kill_points.passes(Seam.REQUESTED, Room.GATEWAY.value, envelope.message)
                answer = await self._link.answer(envelope.message)
        except asyncio.CancelledError:  # only on the way down; whoever asked is told so
            outcome = "CancelledError"
            answer = _unanswered(envelope.message, "the gateway stopped while this was under way")
        except Exception as error:  # noqa: BLE001 - one bad request must not end the loop
            outcome = type(error).__name__
            answer = _unanswered(envelope.message, f"{outcome}: {error}")
        if answer is not None:
            self._post(answer, cause=envelope)
        self._tracer.handled(envelope, taken_ns, self._clock.wall_ns(), outcome)


def _is_entry(message: Any) -> bool:
    return isinstance(message, m.PlaceOrder) and message.purpose is Purpose.ENTRY


def _unsent(order: m.PlaceOrder) -> m.OrderFailed:
    """Build the answer of an entry that a process which may be superseded must not send."""
    return m.OrderFailed(
        client_id=order.client_id,
        symbol=order.symbol,
        purpose=order.purpose,
        failure=Failure.NOT_SENT,
        code=0,
        detail="the lease on the database has run out: another bot may be at work",
    )


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
