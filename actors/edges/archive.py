"""What the public archive of market history holds, and which of it covers a span of days.

Layout (data.binance.vision): below `data/futures/um/` there are
`monthly/klines/SYM/1m/SYM-1m-2025-05.zip`, `daily/klines/SYM/1m/SYM-1m-2025-05-04.zip` and
`monthly/fundingRate/SYM/SYM-fundingRate-2025-05.zip`, each with `.CHECKSUM` beside it, written by
`sha256sum`.  A month is published after it ended, a day the day after; funding by months only.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from core.errors import DataError

ROOT: Final = "data/futures/um"
KLINES, FUNDING = "klines", "fundingRate"
INTERVALS: Final = (
    *("1m", "3m", "5m", "15m", "30m"),
    *("1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"),
)
_DAY: Final = timedelta(days=1)
_CHECKSUM: Final = re.compile(r"^([0-9a-fA-F]{64})[ \t]+\*?(\S+)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """One zip of the archive and the days it covers, `first` to `last` inclusive, UTC."""

    symbol: str
    kind: str  # KLINES or FUNDING
    interval: str  # empty for funding
    first: date
    last: date
    monthly: bool

    @property
    def period(self) -> str:
        """Return its month or day as its name says it."""
        return f"{self.first:%Y-%m}" if self.monthly else f"{self.first:%Y-%m-%d}"

    @property
    def name(self) -> str:
        """Return the file's name, the same in the archive and in a folder."""
        return f"{self.symbol}-{self.interval or FUNDING}-{self.period}.zip"

    @property
    def path(self) -> str:
        """Return where the archive keeps it, below its base address."""
        pace = "monthly" if self.monthly else "daily"
        inner = f"{self.interval}/" if self.interval else ""
        return f"{ROOT}/{pace}/{self.kind}/{self.symbol}/{inner}{self.name}"

    def days(self) -> tuple["ArchiveFile", ...]:
        """Return the files of its single days, which hold the same rows; klines only."""
        return tuple(
            _klines(self.symbol, self.interval, day, day, monthly=False)
            for day in _each_day(self.first, self.last + _DAY)
        )


def covering(
    symbols: Sequence[str], interval: str, first: date, until: date, today: date
) -> tuple[ArchiveFile, ...]:
    """Return the files that cover `first` to `until` (exclusive) as far as they can exist today.

    Klines: a month's file where the whole month is wanted and over, days' files elsewhere, so that
    no row outside the span is fetched.  Funding: the file of each month that is over.
    """
    files: list[ArchiveFile] = []
    for symbol in symbols:
        for month, after in _each_month(first, until):
            start, end = max(first, month), min(until, after)
            over = after <= today
            if over and start == month and end == after:
                files.append(_klines(symbol, interval, month, after - _DAY, monthly=True))
            else:
                files += [
                    _klines(symbol, interval, day, day, monthly=False)
                    for day in _each_day(start, min(end, today))
                ]
            if over:
                files.append(
                    ArchiveFile(
                        symbol=symbol,
                        kind=FUNDING,
                        interval="",
                        first=month,
                        last=after - _DAY,
                        monthly=True,
                    )
                )
    return tuple(files)


def not_yet(first: date, until: date, today: date) -> tuple[str, ...]:
    """Return a line for each part of the span that no archive can hold today."""
    lines = []
    if until > today:
        lines.append(f"days from {max(first, today)} on are not over: the archive has none of them")
    this_month = today.replace(day=1)
    if until > this_month:
        begun = max(first.replace(day=1), this_month)
        lines.append(
            f"funding is published by whole months: none from {begun:%Y-%m} on;"
            " a backtest of those days needs FUNDING=zero or rates of your own"
        )
    return tuple(lines)


def expected_sha256(text: str, name: str) -> str:
    """Return the hash that a `.CHECKSUM` file gives for `name`.

    Raises DataError for a file of another form or for another name.
    """
    match = _CHECKSUM.match(text.strip())
    if match is None or match[2] != name:
        raise DataError(
            f"{name}.CHECKSUM does not hold the SHA-256 of {name} ({text.strip()!r:.80})."
            " Fix: remove it and download again."
        )
    return match[1].lower()


def _klines(symbol: str, interval: str, first: date, last: date, *, monthly: bool) -> ArchiveFile:
    return ArchiveFile(
        symbol=symbol, kind=KLINES, interval=interval, first=first, last=last, monthly=monthly
    )


def _each_day(first: date, until: date) -> Iterator[date]:
    return (first + i * _DAY for i in range(max((until - first).days, 0)))


def _each_month(first: date, until: date) -> Iterator[tuple[date, date]]:
    """Yield the first day of each month that the span touches, and of the month after."""
    month = first.replace(day=1)
    while month < until:
        after = (month + 31 * _DAY).replace(day=1)
        yield month, after
        month = after
