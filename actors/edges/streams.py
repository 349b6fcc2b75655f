"""Streams that never give up: connect, pump, and on any doubt throw away and build anew.

Doubt is: an error item, a dead read loop, silence, or whatever the background task of the stream
raises (an expired listen key).  A new connection says so (`StreamUp`), because the venue replays
nothing: what was missed must be fetched by REST.  Back-off grows to 10 s, with jitter, without end,
and within the venue's limit of connection attempts.

The venue cuts every connection after 24 h.  Each socket is replaced before, at a time of its own:
the new one is up before the old one goes, so nothing is missed and nobody is told.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from actors.edges.binance_client import (
    ReadLoopClosed,
    ReconnectingWebsocket,
    VenueClient,
    close_socket,
    problem,
)
from core.execution.classify import Action
from core.messages import StreamDown, StreamUp

STREAMS_PER_SOCKET = 200
ROTATE_S = (20 * 3600.0, 23 * 3600.0)  # a socket's age when it is replaced, drawn between these
_ROTATE_RETRY_S = 60.0
_OVERLAP_S = 2.0
_ATTEMPTS_MAX = 150  # connection attempts in the period; the venue bans above 300 from one address
_ATTEMPTS_PERIOD_S = 300.0
_KEEPALIVE_S = 20 * 60.0
_KEEPALIVE_RETRY_S = 30.0
_BACKOFF_S = 0.5
_BACKOFF_MAX_S = 10.0
_STABLE_S = 60.0  # a connection that lived this long starts the back-off anew

Post = Callable[[Any], None]
Opener = Callable[[], Awaitable[ReconnectingWebsocket]]


class StreamLostError(Exception):
    """The stream cannot be trusted any more; the text says why."""


class Attempts:
    """Connection attempts of one address, within what the venue bears."""

    def __init__(self, most: int = _ATTEMPTS_MAX, period_s: float = _ATTEMPTS_PERIOD_S) -> None:
        self._most, self._period_s = most, period_s
        self._times: deque[float] = deque()

    async def take(self) -> None:
        """Wait until one more may be made."""
        loop = asyncio.get_running_loop()
        while True:
            while self._times and self._times[0] <= loop.time() - self._period_s:
                self._times.popleft()
            if len(self._times) < self._most:
                self._times.append(loop.time())
                return
            await asyncio.sleep(self._times[0] + self._period_s - loop.time() + 0.001)


class Stream:
    """One logical stream over one or more sockets, which live and die together.

    Each of `openers` connects one socket; `on_frame` takes each decoded frame; `silence_s` bounds
    the time without a frame on any of the sockets (None: silence is normal); `background` runs
    beside the pumps, and its exception ends the connection; `rotate_s` bounds a socket's age.
    """

    def __init__(
        self,
        name: str,
        *,
        openers: Sequence[Opener],
        on_frame: Callable[[Any], None],
        post: Post,
        attempts: Attempts,
        silence_s: float | None = None,
        background: Callable[[], Coroutine[Any, Any, None]] | None = None,
        rotate_s: tuple[float, float] = ROTATE_S,
    ) -> None:
        self.name = name
        self._openers = openers
        self._on_frame = on_frame
        self._post = post
        self._attempts = attempts
        self._silence_s = silence_s
        self._background = background
        self._rotate_s = rotate_s
        self._sockets: list[ReconnectingWebsocket] = []
        self._heard_at = [0.0] * len(openers)  # loop time
        self._connections = 0
        self._up = False

    @property
    def silent_s(self) -> float:
        """Return how long the quietest socket has been silent, seconds."""
        now = asyncio.get_running_loop().time()
        return max((now - at for at in self._heard_at), default=0.0)

    async def connect(self) -> None:
        """Connect once; raises what the connection raises."""
        for place, opener in enumerate(self._openers):
            self._sockets.append(await self._open(opener))
            if not self._connections:  # later ones count from the last frame before the gap
                self._heard_at[place] = asyncio.get_running_loop().time()
        self._connections += 1
        self._up = True
        self._post(StreamUp(stream=self.name, connection=self._connections))

    async def run(self) -> None:
        """Keep the stream up until cancelled; goes on with a connection made by `connect`."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            await self._one_life()
            failures = 0 if loop.time() - began > _STABLE_S else failures + 1
            pause_s = min(_BACKOFF_MAX_S, _BACKOFF_S * 2 ** min(max(0, failures - 1), 10))
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _open(self, opener: Opener) -> ReconnectingWebsocket:
        await self._attempts.take()
        return await opener()

    async def _one_life(self) -> None:
        """Connect if need be and pump until something is wrong; then say so, and close."""
        try:
            if not self._sockets:
                await self.connect()
            await self._until_lost()
        except Exception as error:  # noqa: BLE001 - whatever it was, the answer is a new socket
            if self._up:
                self._post(StreamDown(stream=self.name, reason=_described(error)))
            self._up = False
        finally:
            await self.close()

    async def _until_lost(self) -> None:
        """Pump every socket; raises what ended the first of them.

        Not a TaskGroup: one that fails leaves its parent marked as cancelled (before Python 3.13),
        and before 3.11.3 the next timeout of that task is then a cancellation: it ends for good.
        """
        tasks = [asyncio.create_task(self._keep(place)) for place in range(len(self._sockets))]
        if self._background is not None:
            tasks.append(asyncio.create_task(self._background()))
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task in ended:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, place: int) -> None:
        """Pump one socket, and replace it before the venue's cut; raises what ends the pump."""
        pump = asyncio.create_task(self._pump(self._sockets[place], place))
        age_s = random.uniform(*self._rotate_s)  # noqa: S311 - so that not all go at once
        try:
            while True:
                ended, _ = await asyncio.wait((pump,), timeout=age_s)
                if ended:
                    pump.result()
                age_s = _ROTATE_RETRY_S
                try:
                    fresh = await self._open(self._openers[place])
                except Exception:  # noqa: BLE001, S112 - the old one still serves
                    continue
                stale, self._sockets[place] = self._sockets[place], fresh
                stale_pump, pump = pump, asyncio.create_task(self._pump(fresh, place))
                # What is on its way on the old one arrives; what arrives on both counts once.
                try:
                    await asyncio.wait((stale_pump,), timeout=_OVERLAP_S)
                finally:
                    await _ended(stale_pump)
                    await close_socket(stale)
                age_s = random.uniform(*self._rotate_s)  # noqa: S311
        finally:
            await _ended(pump)

    async def _pump(self, socket: ReconnectingWebsocket, place: int) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        async with asyncio.timeout(self._silence_s) as limit:
            while True:
                frame = await socket.recv()
                # The library waits by `wait_for`, which before Python 3.12 loses a cancellation
                # that arrives together with a frame; a pump that went on would never end.
                if task.cancelling():
                    raise asyncio.CancelledError
                self._heard_at[place] = loop.time()
                if self._silence_s is not None:
                    limit.reschedule(loop.time() + self._silence_s)
                if isinstance(frame, dict) and frame.get("e") == "error":
                    raise StreamLostError(f"{frame.get('type')} {frame.get('m')}")
                self._on_frame(frame)

    async def close(self) -> None:
        """Close the sockets, within seconds."""
        sockets, self._sockets = self._sockets, []
        if sockets:
            await asyncio.gather(*map(close_socket, sockets), return_exceptions=True)


async def _ended(pump: asyncio.Task[None]) -> None:
    """Cancel a pump and wait for its end, whatever that is."""
    pump.cancel()
    await asyncio.gather(pump, return_exceptions=True)


def _described(error: Exception) -> str:
    if isinstance(error, StreamLostError):
        return str(error)
    if isinstance(error, ReadLoopClosed):
        return "the connection ended"
    if isinstance(error, TimeoutError):
        return "silence"
    return problem(error).detail


class ListenKey:
    """The key of the user stream: made, kept alive, and given up when the venue forgot it.

    The venue's own rule is 60 wall minutes; it tells of the end on a socket that stays open.
    """

    def __init__(self, client: VenueClient) -> None:
        self._client = client
        self._key = ""

    async def fresh(self) -> str:
        """Ask for a key; the venue returns the one that is still valid, prolonged."""
        self._key = await self._client.futures_stream_get_listen_key()
        return self._key

    async def keep_alive(self) -> None:
        """Prolong the key until it turns out to be gone; then raise StreamLostError."""
        pause_s = _KEEPALIVE_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                answer = await self._client.futures_stream_keepalive(self._key)
            except Exception as error:
                if problem(error).verdict.action is Action.GONE:
                    raise StreamLostError("the listen key is gone") from error
                pause_s = _KEEPALIVE_RETRY_S
                continue
            if isinstance(answer, dict) and answer.get("listenKey", self._key) != self._key:
                raise StreamLostError("the listen key changed")
            pause_s = _KEEPALIVE_S


def chunks(streams: list[str]) -> list[list[str]]:
    """Split stream names into what one socket carries."""
    return [
        streams[start : start + STREAMS_PER_SOCKET]
        for start in range(0, len(streams), STREAMS_PER_SOCKET)
    ]
