"""A public archive on loopback: the real layout over real HTTP, with the troubles of a network."""

import asyncio
import hashlib
import io
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiohttp import web

_PATIENCE_S = 5
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)


def zipped(name: str, lines: list[str]) -> bytes:
    """Return a zip with one CSV of the same stem."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name.replace(".zip", ".csv"), "\n".join(lines) + "\n")
    return buffer.getvalue()


def klines(first: date, days: int, *, header: bool = True, price: int = 100) -> list[str]:
    """Return the rows of whole days, hourly, in the archive's twelve columns."""
    start = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp() * 1000)
    rows = [
        f"{start + i * 3_600_000},{price},{price + 2},{price - 2},{price + i % 2},{i + 1}.5,"
        f"{start + (i + 1) * 3_600_000 - 1},{(i + 1) * price},{i + 1},{i}.25,{i * price},0"
        for i in range(days * 24)
    ]
    return [HEADER, *rows] if header else rows


def rates(first: date, days: int) -> list[str]:
    """Return a rate each eight hours."""
    start = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp() * 1000)
    rows = [f"{start + i * 28_800_000 + 3},8,0.0001" for i in range(days * 3)]
    return ["calc_time,funding_interval_hours,last_funding_rate", *rows]


class Archive:
    """Serves `files` by path until `stop`; what it was asked for is in `asked`, with the Range."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.knows_ranges = True
        self.cuts: dict[str, list[int]] = {}  # by path: bytes sent before the line breaks, in turn
        self.answers: dict[str, list[int]] = {}  # by path: statuses to give first, in turn
        self.damage: dict[str, int] = {}  # by path: how many answers come with a wrong byte
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        application = web.Application()
        application.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        self._do(self._runner.setup)
        self._do(lambda: web.TCPSite(self._runner, "127.0.0.1", 0).start())
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def put(self, path: str, data: bytes) -> str:
        """Add a file and the checksum beside it; return its path."""
        name = path.rsplit("/", 1)[1]
        self.files[path] = data
        self.files[f"{path}.CHECKSUM"] = f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode()
        return path

    def put_month(self, symbol: str, year: int, month: int, *, header: bool = True) -> str:
        """Add a month of hourly klines and funding rates; return the klines' path."""
        first = date(year, month, 1)
        days = ((first + timedelta(days=31)).replace(day=1) - first).days
        name = f"{symbol}-fundingRate-{first:%Y-%m}.zip"
        self.put(
            f"data/futures/um/monthly/fundingRate/{symbol}/{name}",
            zipped(name, rates(first, days)),
        )
        name = f"{symbol}-1h-{first:%Y-%m}.zip"
        data = zipped(name, klines(first, days, header=header, price=len(symbol) * 50))
        return self.put(f"data/futures/um/monthly/klines/{symbol}/1h/{name}", data)

    def put_day(self, symbol: str, day: date) -> str:
        """Add a day of hourly klines."""
        name = f"{symbol}-1h-{day:%Y-%m-%d}.zip"
        path = f"data/futures/um/daily/klines/{symbol}/1h/{name}"
        return self.put(path, zipped(name, klines(day, 1)))

    def ranges_asked(self, path: str) -> list[str]:
        """Return the Range of each request for a path, empty for a whole file."""
        return [wanted for asked, wanted in self.asked if asked == path]

    def stop(self) -> None:
        """Close the server and end its thread."""
        self._do(self._runner.cleanup)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()

    def _do(self, work: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(_PATIENCE_S)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        wanted = request.headers.get("Range", "")
        self.asked.append((path, wanted))
        if self.answers.get(path):
            return web.Response(status=self.answers[path].pop(0))
        if path not in self.files:
            return web.Response(status=404)
        data = self.files[path]
        if self.damage.get(path, 0) > 0:
            self.damage[path] -= 1
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        start = start if self.knows_ranges else 0
        if start >= len(data):
            return web.Response(status=416)
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        response.content_length = len(data) - start
        await response.prepare(request)
        cut = self.cuts[path].pop(0) if self.cuts.get(path) else None
        await response.write(data[start : None if cut is None else start + cut])
        if cut is not None:
            assert request.transport is not None
            request.transport.close()
        return response
