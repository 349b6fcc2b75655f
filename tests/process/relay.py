"""A relay between bot and venue that hears both, and can slip frames of its own into the market."""

import asyncio
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

_TEXT_FRAME = 0x81  # final, text
_SHORT, _TWO_BYTES, _EIGHT_BYTES = 125, 126, 127
_START_S = 10.0


class Relay:
    """Listens on loopback and passes all on to the venue at `venue_url`.

    What the venue says on a market socket is passed on frame by frame, so that `inject` can put
    one between two others.
    """

    def __init__(self, venue_url: str) -> None:
        where = urlsplit(venue_url)
        self._venue = (where.hostname or "", where.port or 0)
        self._market: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(_START_S)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def inject(self, text: str) -> None:
        """Say something on every market socket, as if the venue had."""
        self._loop.call_soon_threadsafe(self._say, _framed(text.encode()))

    def heard(self, frame: bytes) -> None:
        """Take note of a market frame's text, which the bot has just been sent."""

    def asked(self, data: bytes) -> None:
        """Take note of what the bot has said outside the market sockets."""

    def stop(self) -> None:
        """End all connections."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _say(self, frame: bytes) -> None:
        for writer in self._market:
            writer.write(frame)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        venue_reader, venue_writer = await asyncio.open_connection(*self._venue)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            market = head.startswith(b"GET /market")
            venue_writer.write(head)
            self.asked(head)
            back = self._frames if market else _bytes
            async with asyncio.TaskGroup() as group:
                group.create_task(_bytes(reader, venue_writer, self.asked))
                group.create_task(back(venue_reader, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # one side left: so does the other
        finally:
            self._market.discard(writer)
            for side in (writer, venue_writer):
                side.close()

    async def _frames(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on a handshake and then whole frames (a server's are not masked)."""
        writer.write(await reader.readuntil(b"\r\n\r\n"))
        self._market.add(writer)
        while True:
            head = await reader.readexactly(2)
            size = head[1]
            if size in (_TWO_BYTES, _EIGHT_BYTES):
                more = await reader.readexactly(2 if size == _TWO_BYTES else 8)
                head, size = head + more, int.from_bytes(more, "big")
            frame = await reader.readexactly(size)
            writer.write(head + frame)
            self.heard(frame)
            await writer.drain()


async def _bytes(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    note: Callable[[bytes], None] = lambda _: None,
) -> None:
    while data := await reader.read(65_536):
        note(data)
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


def _framed(payload: bytes) -> bytes:
    size = len(payload)
    if size <= _SHORT:
        return bytes((_TEXT_FRAME, size)) + payload
    return bytes((_TEXT_FRAME, _TWO_BYTES)) + size.to_bytes(2, "big") + payload
