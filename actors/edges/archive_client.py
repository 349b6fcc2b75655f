"""Fetches files of the public archive: nothing counts before its checksum is right.

A file grows as `NAME.zip.part` and gets its name only when its SHA-256 is the one of the archive's
`.CHECKSUM`, which is then kept beside it.  A file that has both is not asked for again.  What broke
off is continued by Range where the server knows it, and begun anew where not.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
import tenacity

from actors.edges.archive import ArchiveFile, expected_sha256
from core.errors import ConfigurationError, DataError, UnavailableError

_CHUNK: Final = 1 << 16
_PAUSE_MAX_S: Final = 30.0
# No limit on a whole file: a slow line is no error, a silent one is.
TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=10, sock_read=30)
# Range counts bytes of the file itself, so nothing may be packed on the way.
HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "actor-futures-bot"}


class Outcome(StrEnum):
    """What became of one file."""

    FETCHED = "fetched"
    HELD = "held"  # was there, with the right checksum
    ABSENT = "absent"  # the archive has no such file
    REFUSED = "refused"  # wrong checksum twice; removed


class _WrongSumError(Exception):
    """The bytes are not the ones that the archive promises."""


class _AbsentError(Exception):
    """The archive has no such file."""


class _PassingError(Exception):
    """The server's trouble (5xx, 429, a broken line): worth another try."""


class ArchiveClient:
    """Fetches into one folder through one session; use it inside one event loop.

    `told` is called with the number of bytes that arrived, each time some do.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        folder: Path,
        *,
        retries: int,
        retry_delay_s: float,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self._folder = folder
        self._told = told
        self._retries = retries
        self._retry_delay_s = retry_delay_s

    async def fetch(self, wanted: ArchiveFile) -> Outcome:
        """Bring one file into the folder, verified.

        Raises UnavailableError when the archive cannot be reached, ConfigurationError when the
        folder cannot be written to; what has arrived until then stays, to be continued.
        """
        final = self._folder / wanted.name
        try:
            if await asyncio.to_thread(is_verified, final):
                return Outcome.HELD
            return await self._fetched(wanted, final)
        except _AbsentError:
            return Outcome.ABSENT
        except OSError as error:
            raise ConfigurationError(
                f"--out {self._folder} cannot be written to ({error.strerror or error}, at"
                f" {final.name}). Fix: make room, or give another folder; what is there stays."
            ) from None

    async def _fetched(self, wanted: ArchiveFile, final: Path) -> Outcome:
        url = f"{self._base}/{wanted.path}"
        text = await self._again(self._text, f"{url}.CHECKSUM")
        try:
            expected = expected_sha256(text, final.name)
        except DataError:
            return Outcome.REFUSED
        part = _begun(final)
        for _ in range(2):  # a wrong sum may be the line's fault once
            try:
                if _size(part) == 0 or await asyncio.to_thread(sha256, part) != expected:
                    await self._again(self._bytes, url, part)
                    await asyncio.to_thread(_check, part, expected)
            except _WrongSumError:
                part.unlink(missing_ok=True)
            else:
                part.replace(final)
                checksum_of(final).write_text(text, encoding="ascii")
                return Outcome.FETCHED
        return Outcome.REFUSED

    async def _again(self, call: Callable[..., Awaitable[Any]], *given: Any) -> Any:
        """Return the answer, repeating while the trouble may pass; raises UnavailableError."""
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(1 + self._retries),
            wait=tenacity.wait_exponential(multiplier=self._retry_delay_s, max=_PAUSE_MAX_S),
            retry=tenacity.retry_if_exception_type(_PassingError),
            reraise=True,
        )
        try:
            return await retrying(call, *given)
        except _PassingError as error:
            raise UnavailableError(
                f"the archive {self._base} cannot be reached ({error}). Fix: check the network or"
                " --base and run the same command again: it goes on where it stopped."
            ) from None

    async def _text(self, url: str) -> str:
        try:
            async with self._session.get(url) as answer:
                self._accept(answer, HTTPStatus.OK)
                return await answer.text(encoding="ascii", errors="replace")
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise _PassingError(_reason(error)) from None

    async def _bytes(self, url: str, part: Path) -> None:
        """Complete `part`; on trouble what has arrived stays in it."""
        held = _size(part)
        wanted = {"Range": f"bytes={held}-"} if held else {}
        try:
            async with self._session.get(url, headers=wanted) as answer:
                if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise _WrongSumError  # longer than the archive's own: not the same file
                self._accept(answer, HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
                begins = f"bytes {held}-"
                goes_on = answer.status == HTTPStatus.PARTIAL_CONTENT and answer.headers.get(
                    "Content-Range", ""
                ).startswith(begins)
                if answer.status == HTTPStatus.PARTIAL_CONTENT and not goes_on:
                    raise _WrongSumError  # another piece than asked for
                with part.open("ab" if goes_on else "wb") as stream:
                    async for chunk in answer.content.iter_chunked(_CHUNK):
                        stream.write(chunk)
                        self._told(len(chunk))
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise _PassingError(_reason(error)) from None

    def _accept(self, answer: aiohttp.ClientResponse, *expected: HTTPStatus) -> None:
        if answer.status in expected:
            return
        if answer.status == HTTPStatus.NOT_FOUND:
            raise _AbsentError
        said = f"HTTP {answer.status} {answer.reason or ''}".rstrip()
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in (
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.REQUEST_TIMEOUT,
        ):
            raise _PassingError(said)
        raise ConfigurationError(
            f"--base {self._base} answered {said} to {answer.url.path}."
            " Fix: give the address of an archive with the layout of data.binance.vision."
        )


def checksum_of(path: Path) -> Path:
    """Return where the checksum of a file is kept: beside it."""
    return path.with_name(f"{path.name}.CHECKSUM")


def is_verified(path: Path) -> bool:
    """Tell whether a file is there with the SHA-256 that the checksum beside it promises."""
    beside = checksum_of(path)
    if not (path.is_file() and beside.is_file()):
        return False
    try:
        expected = expected_sha256(beside.read_text(encoding="ascii", errors="replace"), path.name)
    except DataError:
        return False
    return sha256(path) == expected


def sha256(path: Path) -> str:
    """Return the hash of a file as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _begun(final: Path) -> Path:
    """Return where a file grows; one whose checksum was lost or has changed is looked at again."""
    part = final.with_name(f"{final.name}.part")
    if final.exists():
        final.replace(part)
    return part


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check(path: Path, expected: str) -> None:
    if sha256(path) != expected:
        raise _WrongSumError


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
