"""Reads market history from files, in Binance's own columns: klines and funding rates.

Klines come as `SYMBOL-INTERVAL*.csv`, `.csv.gz`, `.zip` (one CSV inside) or `.parquet`, with a
header row, of which `open_time open high low close volume` may be all there is, or without one in
the archive's order of 12 columns.  All files of a symbol and interval are joined.

Whatever is odd is either repaired or left by a rule and noted in the `HistoryReport` that the
caller hands in, or refused with a DataError naming file and row; docs/data.md lists which.  Rows
count as lines of the text file, a header being row 1.  Gaps stay gaps: `gaps` lists them, and a
replay decides about them (`core/venue/simulated/replayed.py`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from actors.edges.history_report import HistoryReport, Oddity
from actors.edges.history_rules import (
    check_bars,
    check_rates,
    check_seams,
    missing_hours,
    note_bars,
    note_twins,
    stamps_ms,
    step_ms,
    utc,
)
from actors.edges.history_tables import Columns, Ints, Table, read_table
from core.errors import DataError

KLINE_COLUMNS: Final = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
NEEDED: Final = KLINE_COLUMNS[:6]
# What the bot records beside Binance's columns (`actors/edges/flow_recorder.py`), each -1..1.
RECORDED: Final = ("trade_imbalance", "book_imbalance")
_EXTRA: Final = (
    *("quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume"),
    *RECORDED,
)
_KLINES: Final = Columns(order=KLINE_COLUMNS, needed=NEEDED, optional=("close_time", *_EXTRA))
_RATES: Final = Columns(
    order=("funding_time", "funding_interval_hours", "funding_rate"),
    needed=("funding_time", "funding_rate"),
    optional=("funding_interval_hours",),
)
_ENDINGS: Final = r"\.(csv|csv\.gz|zip|parquet)$"
_KLINE_FILE: Final = re.compile(r"^([^-]+)-(\d+[smhdwM])(?:[-_.].*)?" + _ENDINGS)
_FUNDING_FILE: Final = re.compile(r"^([^-]+)-.*funding.*" + _ENDINGS, re.IGNORECASE)
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joined:
    """All rows of a symbol in order of time, each with its file and the row in it."""

    frame: pd.DataFrame
    source: Ints  # place in `tables`
    rows: Ints
    tables: tuple[Table, ...]

    def place(self, at: int) -> str:
        return f"{self.tables[int(self.source[at])].path} row {self.rows[at]}"


def read_history(
    folder: Path,
    symbols: Sequence[str] | None,
    interval: str = "1m",
    *,
    report: HistoryReport | None = None,
    told: Callable[[int, int], None] | None = None,
) -> dict[str, pd.DataFrame]:
    """Return klines by symbol, in the order of `symbols`, or of all found if None.

    Frames: UTC DatetimeIndex `open_time`, float64 `open high low close volume`, and of
    `quote_volume count taker_buy_volume taker_buy_quote_volume` and of `RECORDED` what every file
    of the symbol has.
    What was repaired or left is added to `report`; `told` is called with files read and files in
    all, after each symbol.  Raises DataError.
    """
    report = HistoryReport() if report is None else report
    chosen = _kline_files(folder, symbols, interval, report)
    wanted = list(symbols) if symbols is not None else sorted(chosen)
    total, done = sum(len(chosen[symbol]) for symbol in wanted), 0
    frames: dict[str, pd.DataFrame] = {}
    for symbol in wanted:
        frames[symbol] = _klines(symbol, chosen[symbol], interval, report)
        done += len(chosen[symbol])
        if told is not None:
            told(done, total)
    note_twins(frames, {symbol: paths[0] for symbol, paths in chosen.items()}, report)
    return frames


def read_funding(
    folder: Path,
    symbols: Sequence[str] | None,
    first: pd.Timestamp | None = None,
    last: pd.Timestamp | None = None,
    *,
    report: HistoryReport | None = None,
) -> dict[str, pd.DataFrame]:
    """Return recorded funding rates by symbol, of those symbols that have any.

    Looks for `SYMBOL-*funding*` files in `folder` and in its subfolders called `*funding*`.
    Frames: UTC DatetimeIndex `funding_time` as recorded (some ms after the hour), float64
    `funding_rate`, all that the files hold.

    With `first` and `last` (UTC) every one of `symbols` must have a rate for each settlement after
    `first` up to and including `last`, else DataError: 00, 08 and 16 UTC, and the hours between
    them where the rates themselves come more often.  Without them a symbol may have none, and
    missing rates are noted in `report`.  Raises DataError for a folder that is not there and for
    files that contradict themselves.
    """
    report = HistoryReport() if report is None else report
    files = _found(folder, _FUNDING_FILE)
    for inner in sorted(folder.glob("*funding*")):
        files += _found(inner, _FUNDING_FILE) if inner.is_dir() else []
    chosen: dict[str, list[Path]] = {}
    for match, path in files:
        chosen.setdefault(match[1], []).append(path)
    rates: dict[str, pd.DataFrame] = {}
    for symbol in symbols if symbols is not None else sorted(chosen):
        if symbol in chosen:
            rates[symbol] = _rates(symbol, chosen[symbol], first, last, report)
        elif first is not None and last is not None:
            raise DataError(
                f"{folder} holds no funding rates of {symbol} (found: "
                f"{', '.join(sorted(chosen)) or 'no symbol'}). Fix: put {symbol}-funding.csv there,"
                " name another folder with --funding, or set FUNDING=zero."
            )
    return rates


def gaps(frame: pd.DataFrame, interval: str = "1m") -> pd.DataFrame:
    """Return the holes of a frame: index = open time of the first missing bar, column `missing`."""
    stamps = stamps_ms(frame)
    step = step_ms(interval)
    missing = np.diff(stamps) // step - 1
    after = np.flatnonzero(missing > 0)
    index = pd.to_datetime(stamps[after] + step, unit="ms", utc=True)
    return pd.DataFrame({"missing": missing[after]}, index=index.rename("open_time"))


# ----------------------------------------------------------------------- klines
def _kline_files(
    folder: Path, symbols: Sequence[str] | None, interval: str, report: HistoryReport
) -> dict[str, list[Path]]:
    files = _found(folder, _KLINE_FILE)
    intervals = sorted({match[2] for match, _ in files})
    chosen: dict[str, list[Path]] = {}
    aside: dict[str, int] = {}
    for match, path in files:
        if match[2] == interval:
            chosen.setdefault(match[1], []).append(path)
        elif symbols is None or match[1] in symbols:
            aside[match[2]] = aside.get(match[2], 0) + 1
    for symbol in symbols if symbols is not None else ("any symbol",) if not chosen else ():
        if symbol not in chosen:
            held = f"{', '.join(sorted(chosen)) or 'no symbol'} at {interval}"
            others = f"; intervals found: {', '.join(intervals)}" if intervals else ""
            raise DataError(
                f"{folder} holds no {interval} klines of {symbol} (found: {held}{others}). "
                f"Fix: put {symbol.replace('any symbol', 'SYMBOL')}-{interval}.csv.gz there, "
                "or name another folder or symbol."
            )
    for other, count in aside.items():
        report.note(Oddity.OTHER_INTERVAL, other, count)
    return chosen


def _klines(
    symbol: str, paths: Sequence[Path], interval: str, report: HistoryReport
) -> pd.DataFrame:
    step = step_ms(interval)
    tables, stamps = [], []
    for path in paths:
        table = read_table(path, _KLINES, report)
        stamps.append(check_bars(table, interval, report))
        tables.append(table)
    kept = ("open", "high", "low", "close", "volume", *_EXTRA)
    joined = _join(symbol, tables, report, stamps=stamps, keys=stamps, name="open_time", kept=kept)
    check_seams(joined.frame, joined.source, joined.place)
    whole = joined.frame
    holes = gaps(whole, interval)
    if len(holes):
        first = f"{holes.index[0]:%Y-%m-%d %H:%M}"
        report.note(Oddity.GAP, _names(paths), int(holes["missing"].sum()), first)
    note_bars(whole, step, _names(paths), report)
    if whole.shape[1] == len(NEEDED) - 1:
        report.note(Oddity.SIX_COLUMNS, symbol, 1)
    return whole


# ----------------------------------------------------------------------- funding
def _rates(
    symbol: str,
    paths: Sequence[Path],
    first: pd.Timestamp | None,
    last: pd.Timestamp | None,
    report: HistoryReport,
) -> pd.DataFrame:
    tables, stamps, hours = [], [], []
    for path in paths:
        table = read_table(path, _RATES, report)
        settled = check_rates(table, report)
        tables.append(table)
        stamps.append(settled)
        # A settlement is recorded some ms after its hour, not always the same number of them.
        hours.append((settled + _HOUR_MS // 2) // _HOUR_MS)
    kept = ("funding_rate", "funding_interval_hours")
    joined = _join(
        symbol, tables, report, stamps=stamps, keys=hours, name="funding_time", kept=kept
    )
    frame = joined.frame
    every = frame.pop("funding_interval_hours") if "funding_interval_hours" in frame else None
    span = None if first is None or last is None else (_stamp_of(first), _stamp_of(last))
    missing = missing_hours(stamps_ms(frame), None if every is None else every.to_numpy(), span)
    if len(missing) and span is not None:
        at = int(np.searchsorted(stamps_ms(frame), missing[0] * _HOUR_MS))
        before = f"after {joined.place(at - 1)}" if at else f"before {joined.place(0)}"
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"{symbol}: the funding rate of {utc(int(missing[0]) * _HOUR_MS)}{more} is missing"
            f" {before}. Fix: add the rates, choose other days, or set FUNDING=zero."
        )
    if len(missing):
        report.note(Oddity.NO_RATE, _names(paths), len(missing), utc(int(missing[0]) * _HOUR_MS))
    return frame


def _stamp_of(moment: pd.Timestamp) -> int:
    """Return a time as UTC ms; without a zone it is UTC."""
    zoned = moment.tz_localize("UTC") if moment.tz is None else moment
    return int(zoned.value) // 1_000_000  # `value` is in ns, whatever the unit


# ----------------------------------------------------------------------- many files
def _found(folder: Path, pattern: re.Pattern[str]) -> list[tuple[re.Match[str], Path]]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Fix: name the folder that holds the files.")
    pairs = ((pattern.match(path.name), path) for path in sorted(folder.iterdir()))
    return [(match, path) for match, path in pairs if match is not None]


def _names(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 1} more files" if len(paths) > 1 else ""
    return f"{paths[0].name}{more}"


def _join(
    symbol: str,
    tables: Sequence[Table],
    report: HistoryReport,
    *,
    stamps: Sequence[Ints],
    keys: Sequence[Ints],
    name: str,
    kept: Sequence[str],
) -> _Joined:
    """Sort the rows of all files by time, drop exact repetitions, refuse two rows of one key."""
    for table, mine in zip(tables, keys, strict=True):
        late = np.maximum.accumulate(mine) > mine
        where = f"row {table.rows[int(np.argmax(late))]}"
        report.note(Oddity.DISORDER, table.path.name, int(late.sum()), where)
    some = [column for column in kept if any(column in table.numbers for table in tables)]
    shared = [column for column in some if all(column in table.numbers for table in tables)]
    unshared = [column for column in some if column not in shared]
    report.note(Oddity.UNSHARED_COLUMN, symbol, len(unshared), unshared[0] if unshared else "")
    key = np.concatenate(keys)
    order = np.argsort(key, kind="stable")
    stamp, key = np.concatenate(stamps)[order], key[order]
    values = np.concatenate([table.numbers[shared].to_numpy() for table in tables])[order]
    sizes = [len(table.rows) for table in tables]
    source = np.repeat(np.arange(len(tables), dtype=np.int64), sizes)[order]
    rows = np.concatenate([table.rows for table in tables])[order]
    again = np.concatenate([[False], key[1:] == key[:-1]])
    if again.any():
        differs = again.copy()
        differs[1:] &= (values[1:] != values[:-1]).any(axis=1)
        joined = _Joined(frame=pd.DataFrame(), source=source, rows=rows, tables=tuple(tables))
        if differs.any():
            at = int(np.argmax(differs))
            shown = ",".join(f"{value:.15g}" for value in values[at])
            raise DataError(
                f"{joined.place(at)}: other values than {joined.place(at - 1)} has for the same"
                f" {name} {utc(int(stamp[at]))} ({shown}). Fix: keep one of the rows."
            )
        for number, table in enumerate(tables):
            mine = again & (source == number)
            where = f"row {rows[int(np.argmax(mine))]}"
            report.note(Oddity.REPEATED, table.path.name, int(mine.sum()), where)
        keep = ~again
        stamp, values, source, rows = stamp[keep], values[keep], source[keep], rows[keep]
    index = pd.to_datetime(stamp, unit="ms", utc=True).rename(name)
    frame = pd.DataFrame(values, columns=shared, index=index)
    return _Joined(frame=frame, source=source, rows=rows, tables=tuple(tables))
