"""`run.py download`: history from the public archive, into a folder that every command reads."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from actors.edges.archive import FUNDING, INTERVALS, KLINES, ArchiveFile, covering, not_yet
from actors.edges.archive_client import HEADERS, TIMEOUT, ArchiveClient, Outcome
from actors.edges.system_clock import SystemClock
from core.clock import NS_PER_S
from core.errors import ConfigurationError, TradingError, UsageError

BASE: Final = "https://data.binance.vision"
_AT_ONCE: Final = 6  # a polite number of connections to a public server
_SYMBOL: Final = re.compile(r"[A-Z0-9_]{2,40}")
_PUBLISHED_WITHIN_DAYS: Final = 40  # after this a month's file that is not there never will be
_NAMES_SHOWN_MAX: Final = 4
_USABLE: Final = (Outcome.FETCHED, Outcome.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """What `download` is asked to do.  Days are UTC, `until` is exclusive."""

    symbols: tuple[str, ...]
    first: date
    until: date
    out: Path
    base: str = BASE
    interval: str = "1m"
    retries: int = 5
    retry_delay_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be asked of an archive.  Raises UsageError."""
        for symbol in self.symbols:
            if not _SYMBOL.fullmatch(symbol):
                raise UsageError(f"--symbols cannot be {symbol!r:.50}. Fix: write e.g. BTCUSDT.")
        if self.until <= self.first:
            raise UsageError(
                f"--to must be after --from {self.first}, was {self.until}."
                " Fix: give the day after the last one wanted."
            )
        if self.interval not in INTERVALS:
            raise UsageError(
                f"--interval must be one of {' '.join(INTERVALS)}, was {self.interval!r:.40}."
                " Fix: use one."
            )
        address = urlsplit(self.base)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise UsageError(
                f"--base must be an http or https address, was {self.base!r:.80}."
                f" Fix: write e.g. {BASE}."
            )


def download(options: DownloadOptions, *, as_json: bool = False) -> int:
    """Fetch, say what is not there, and return the exit code: 1 if a wanted file is unusable.

    Raises UnavailableError when the archive cannot be reached, ConfigurationError for a folder
    that cannot be written to; what was verified until then stays and is not fetched again.
    """
    clock = SystemClock()
    started_ns = clock.monotonic_ns()
    today = datetime.fromtimestamp(clock.wall_ns() / NS_PER_S, UTC).date()
    for line in not_yet(options.first, options.until, today):
        _say(line)
    files = covering(options.symbols, options.interval, options.first, options.until, today)
    _make(options.out)
    with _progress(len(files)) as shown:
        outcomes = _run(_fetch_all(options, files, today, shown))
    elapsed_s = (clock.monotonic_ns() - started_ns) / NS_PER_S
    result = _result(options, outcomes, round(elapsed_s, 3))
    for line in _notes(result):
        _say(line)
    if as_json:
        print(orjson.dumps(result).decode())  # noqa: T201
    else:
        _print(result)
    return 0 if result["complete"] else 1


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"--out {folder} cannot be made ({error.strerror}). Fix: name a folder to write to."
        ) from None


def _run(work: Any) -> Any:
    """Run on a loop; of several errors that end it together the first is the one to tell."""
    try:
        return asyncio.run(work)
    except* TradingError as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
    raise first


async def _fetch_all(
    options: DownloadOptions, files: tuple[ArchiveFile, ...], today: date, shown: "_Shown"
) -> dict[ArchiveFile, Outcome]:
    outcomes: dict[ArchiveFile, Outcome] = {}
    waiting = iter(files)

    async with aiohttp.ClientSession(timeout=TIMEOUT, headers=HEADERS, trust_env=True) as session:
        client = ArchiveClient(
            session,
            options.base,
            options.out,
            retries=options.retries,
            retry_delay_s=options.retry_delay_s,
            told=shown.arrived,
        )

        async def work() -> None:
            for wanted in waiting:  # one iterator for all: each file is taken once
                outcomes.update(await _with_days(client, wanted, today))
                shown.done()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(files))):
                group.create_task(work())
    return dict(sorted(outcomes.items(), key=lambda pair: pair[0].path))


async def _with_days(
    client: ArchiveClient, wanted: ArchiveFile, today: date
) -> dict[ArchiveFile, Outcome]:
    """Fetch a file; the days of a month that is over but not published yet, where it is absent."""
    outcome = await client.fetch(wanted)
    late = (today - wanted.last).days <= _PUBLISHED_WITHIN_DAYS
    if outcome is Outcome.ABSENT and wanted.kind == KLINES and wanted.monthly and late:
        days = {day: await client.fetch(day) for day in wanted.days()}
        if any(outcome is not Outcome.ABSENT for outcome in days.values()):
            return days
    return {wanted: outcome}


def _result(
    options: DownloadOptions, outcomes: Mapping[ArchiveFile, Outcome], elapsed_s: float
) -> dict[str, Any]:
    """Return the JSON document: by symbol how many files there are and which are not."""
    symbols: dict[str, dict[str, Any]] = {}
    for symbol in options.symbols:
        mine = {file: outcome for file, outcome in outcomes.items() if file.symbol == symbol}
        here = [file for file, outcome in mine.items() if outcome in _USABLE]
        symbols[symbol] = {
            "fetched": sum(outcome is Outcome.FETCHED for outcome in mine.values()),
            "held": sum(outcome is Outcome.HELD for outcome in mine.values()),
            "klines": sum(file.kind == KLINES for file in here),
            "funding": sum(file.kind == FUNDING for file in here),
            "absent": [file.name for file in mine if mine[file] is Outcome.ABSENT],
            "refused": [file.name for file in mine if mine[file] is Outcome.REFUSED],
            "bytes": sum((options.out / file.name).stat().st_size for file in here),
        }
    return {
        "out": str(options.out),
        "interval": options.interval,
        "from": str(options.first),
        "to": str(options.until),
        "symbols": symbols,
        "complete": all(of["klines"] and not of["refused"] for of in symbols.values()),
        "elapsed_s": elapsed_s,
    }


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each thing that a symbol lacks."""
    for symbol, found in result["symbols"].items():
        if found["refused"]:
            yield (
                f"{symbol}: not kept, for they did not match their checksum: "
                f"{_listed(found['refused'])}. Fix: try again later, or report it to the archive."
            )
        if not found["klines"]:
            yield (
                f"{symbol}: no {result['interval']} klines from {result['from']} to"
                f" {result['to']} in the archive. Fix: check the symbol's name and the days."
            )
        elif found["absent"]:
            yield (f"{symbol}: not in the archive, as before a listing: {_listed(found['absent'])}")


def _listed(names: list[str]) -> str:
    if len(names) <= _NAMES_SHOWN_MAX:
        return ", ".join(names)
    return f"{names[0]} to {names[-1]} and between ({len(names)} files)"


def _print(result: Mapping[str, Any]) -> None:
    for symbol, found in result["symbols"].items():
        sys.stdout.write(
            f"{symbol}  klines={found['klines']}  funding={found['funding']}"
            f"  fetched={found['fetched']}  held={found['held']}"
            f"  absent={len(found['absent'])}  refused={len(found['refused'])}"
            f"  {found['bytes'] / 1e6:.1f} MB\n"
        )
    sys.stdout.write(f"in {result['out']}, took {result['elapsed_s']:.1f} s\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the progress bar is told."""

    done: Callable[[], None]
    arrived: Callable[[int], None]


@contextmanager
def _progress(total: int) -> Iterator[_Shown]:
    """Show files and bytes on a terminal's stderr; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield _Shown(lambda: None, lambda _: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("downloading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[megabytes]:.1f} MB"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total, megabytes=0.0)

        def arrived(size: int) -> None:
            bar.update(task, megabytes=bar.tasks[0].fields["megabytes"] + size / 1e6)

        yield _Shown(lambda: bar.advance(task), arrived)
