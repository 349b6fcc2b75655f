"""Streams that never give up: connect, pump, and on any doubt throw away and build anew.

Doubt is: an error item, a dead read loop, silence, or whatever the background task of the stream
raises (an expired listen key).  A new connection says so (`StreamUp`), because the venue replays
nothing: what was missed must be fetched by REST.  Back-off grows to 10 s, with jitter, without end.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
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
_KEEPALIVE_S = 20 * 60.0
_KEEPALIVE_RETRY_S = 30.0
_BACKOFF_S = 0.5
_BACKOFF_MAX_S = 10.0
_STABLE_S = 60.0  # a connection that lived this long starts the back-off anew

Post = Callable[[Any], None]


class StreamLostError(Exception):
    """The stream cannot be trusted any more; the text says why."""


class Stream:
    """One logical stream over one or more sockets, which live and die together.

    `open_sockets` yields connected sockets; `on_frame` takes each decoded frame; `silence_s` bounds
    the time without a frame on any of the sockets (None: silence is normal); `background` runs
    beside the pumps, and its exception ends the connection.
    """

    def __init__(
        self,
        name: str,
        *,
        open_sockets: Callable[[], AsyncIterator[ReconnectingWebsocket]],
        on_frame: Callable[[Any], None],
        post: Post,
        silence_s: float | None = None,
        background: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.name = name
        self._open_sockets = open_sockets
        self._on_frame = on_frame
        self._post = post
        self._silence_s = silence_s
        self._background = background
        self._sockets: list[ReconnectingWebsocket] = []
        self._connections = 0
        self._up = False

    async def connect(self) -> None:
        """Connect once; raises what the connection raises."""
        async for socket in self._open_sockets():
            self._sockets.append(socket)
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

    async def _one_life(self) -> None:
        """Connect if need be and pump until something is wrong; then say so, and close."""
        try:
            if not self._sockets:
                await self.connect()
            async with asyncio.TaskGroup() as group:
                for socket in self._sockets:
                    group.create_task(self._pump(socket))
                if self._background is not None:
                    group.create_task(self._background())
        except* Exception as errors:  # noqa: BLE001 - whatever it was, the answer is a new socket
            if self._up:
                self._post(StreamDown(stream=self.name, reason=_described(errors)))
            self._up = False
        finally:
            await self.close()

    async def _pump(self, socket: ReconnectingWebsocket) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        async with asyncio.timeout(self._silence_s) as limit:
            while True:
                frame = await socket.recv()
                # The library waits by `wait_for`, which before Python 3.12 loses a cancellation
                # that arrives together with a frame; a pump that went on would never end.
                if task.cancelling():
                    raise asyncio.CancelledError
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


def _described(errors: BaseExceptionGroup[Any]) -> str:
    error = errors.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
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
