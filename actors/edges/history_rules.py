"""What rows of klines and funding rates must satisfy, and what of them is worth saying.

`check_...` refuses (DataError naming file and row) and notes on the way what it repairs;
`note_...` only says.  docs/data.md lists each rule with its test.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from actors.edges.history_report import HistoryReport, Oddity
from actors.edges.history_tables import Bools, Floats, Ints, Table
from core.errors import DataError

_INTERVAL_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MICROSECONDS_FROM: Final = 1e14
_PLAUSIBLE_MS: Final = (1_262_304_000_000, 4_102_444_800_000)  # 2010 to 2100
_HOUR_MS: Final = 3_600_000
_SETTLED_WITHIN_MS: Final = 60_000  # a rate is recorded some ms after its hour
_EVERY_HOURS: Final = 8  # no perpetual settles less often
_RATE_MAX: Final = 0.1  # the venue's caps are below 4 %; more is a rate in percent
# Spacings of the intervals there are, in minutes: rows spaced so are not holes by chance.
_SPACINGS_MS: Final = 60_000 * np.array([1, 3, 5, 15, 30, 60, 120, 240, 360, 480, 720, 1440])
_RUN: Final = 5  # so many in a row
_RUN_ALONE: Final = 2  # where no two rows are one interval apart
_SEAM_FACTOR: Final = 2.0
_SEAM_WITHIN_MS: Final = 86_400_000
_TWIN_ROWS: Final = 10
_TWIN_SAMPLE: Final = 2_000
_PERIOD: Final = re.compile(r"-(\d{4})-(\d{2})(?:-(\d{2}))?\.(?:csv|csv\.gz|zip|parquet)$")


# ----------------------------------------------------------------------- klines of one file
def check_bars(table: Table, interval: str, report: HistoryReport) -> Ints:
    """Return the open times of a file's klines (UTC ms), refusing what no market gives."""
    step = step_ms(interval)
    numbers = table.numbers
    opened = _stamps(table, "open_time", report, step)
    price = numbers[["open", "high", "low", "close"]].to_numpy()
    table.refuse(price.min(axis=1) <= 0, "a price is not above zero")
    table.refuse(numbers["high"].to_numpy() < price.max(axis=1), "high is not the highest")
    table.refuse(numbers["low"].to_numpy() > price.min(axis=1), "low is not the lowest")
    signed = [name for name in ("trade_imbalance", "book_imbalance") if name in numbers]
    if signed:
        table.refuse(numbers[signed].abs().to_numpy().max(axis=1) > 1, "an imbalance is beyond 1")
    rest = numbers.drop(columns=["open_time", "open", "high", "low", "close", *signed])
    table.refuse(rest.to_numpy().min(axis=1) < 0, "a volume or count is negative")
    if "taker_buy_volume" in numbers:
        most = numbers["volume"].to_numpy() * (1 + 1e-9)
        table.refuse(numbers["taker_buy_volume"].to_numpy() > most, "takers bought more than all")
    _check_close_times(table, opened, step, report)
    _check_spacing(table, opened, step, interval)
    _check_period(table, opened, step, report)
    return opened


def _check_close_times(table: Table, opened: Ints, step: int, report: HistoryReport) -> None:
    if "close_time" not in table.numbers:
        return
    closes = _milliseconds(table.numbers["close_time"].to_numpy())
    table.refuse(closes > opened + step, "close_time is after the interval's end")
    table.refuse(closes < opened, "close_time is before open_time")
    short = closes < opened + step - 1
    table.refuse(short & (2 * short.sum() > len(short)), "close_time is not this interval's")
    where = f"row {table.rows[int(np.argmax(short))]}"
    report.note(Oddity.CUT_BAR, table.path.name, int(short.sum()), where)


def _check_spacing(table: Table, opened: Ints, step: int, interval: str) -> None:
    """Refuse rows that come, all of them or for a stretch, at the spacing of a longer interval."""
    order = np.argsort(opened, kind="stable")
    spacing = np.diff(opened[order])
    kept = np.flatnonzero(spacing > 0)
    spacing = spacing[kept]
    if not len(spacing):
        return
    longer = (spacing > step) & np.isin(spacing, _SPACINGS_MS)
    same = np.concatenate([[False], spacing[1:] == spacing[:-1]]) & longer
    starts = np.flatnonzero(~same)
    lengths = np.diff(np.concatenate([starts, [len(same)]]))
    least = _RUN if (spacing == step).any() else _RUN_ALONE
    runs = np.flatnonzero((lengths >= least) & longer[starts])
    if len(runs):
        at = int(kept[starts[runs[0]]])
        minutes = int(spacing[starts[runs[0]]]) // 60_000
        marked = np.zeros(len(opened), dtype=np.bool_)
        marked[order[at]] = True
        table.refuse(marked, f"from here on rows are {minutes} minutes apart, not {interval}")


def _check_period(table: Table, opened: Ints, step: int, report: HistoryReport) -> None:
    """Hold a file to the month or day in its name, in the archive's way of naming."""
    match = _PERIOD.search(table.path.name)
    if match is None:
        return
    try:
        first = date(int(match[1]), int(match[2]), int(match[3] or 1))
    except ValueError:
        return
    after = first + timedelta(days=1) if match[3] else (first + timedelta(31)).replace(day=1)
    start, end = (
        int(datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp()) * 1_000
        for d in (first, after)
    )
    outside = (opened < start) | (opened >= end)
    table.refuse(outside, "open_time is outside the month or day in the file's name")
    lacking = (int(opened.min()) - start) // step + (end - step - int(opened.max())) // step
    report.note(Oddity.SHORT, table.path.name, lacking)


# ----------------------------------------------------------------------- klines of one symbol
def check_seams(frame: pd.DataFrame, source: Ints, place: Callable[[int], str]) -> None:
    """Refuse a price that halves or doubles from one file to the next: another symbol's rows."""
    stamps, close = stamps_ms(frame), frame["close"].to_numpy()
    near = np.diff(stamps) <= _SEAM_WITHIN_MS
    ratio = frame["open"].to_numpy()[1:] / close[:-1]
    leaps = (ratio > _SEAM_FACTOR) | (ratio < 1 / _SEAM_FACTOR)
    torn = np.flatnonzero((source[1:] != source[:-1]) & near & leaps)
    if len(torn):
        at = int(torn[0]) + 1
        raise DataError(
            f"{place(at)}: opens at {frame['open'].iloc[at]:g}, after {close[at - 1]:g} in"
            f" {place(at - 1)}. Fix: remove the file that is of another symbol."
        )


def note_twins(
    frames: Mapping[str, pd.DataFrame], files: Mapping[str, Path], report: HistoryReport
) -> None:
    """Note symbols that hold the same market as another: a file may bear a wrong name."""
    longest = max((len(frame) for frame in frames.values()), default=0)
    every = max(1, longest // _TWIN_SAMPLE)
    seen: dict[tuple[float, ...], str] = {}
    for symbol, frame in frames.items():
        stamps = stamps_ms(frame)
        step = int(np.diff(stamps[:2]).min(initial=_HOUR_MS))
        rows = (frame["volume"].to_numpy() > 0) & ((stamps // step) % every == 0)
        values = frame.loc[rows, ["open", "high", "low", "close", "volume"]].to_numpy().tolist()
        keys = [(float(t), *row) for t, row in zip(stamps[rows], values, strict=True)]
        others = [seen[key] for key in keys if key in seen]
        if len(others) >= _TWIN_ROWS and 2 * len(others) > len(keys):
            report.note(Oddity.TWIN, f"{files[symbol].name} as {files[others[0]].name}", 1)
        seen.update(dict.fromkeys(keys, symbol))


def stale(frame: pd.DataFrame, step: int) -> Bools:
    """Return which bars are flat without a trade at the close before: filled in, not traded.

    `frame` as from `read_history`, `step` the interval in ms.  The first bar after a hole counts by
    its own flatness.
    """
    close = frame["close"].to_numpy()
    flat = (frame["high"].to_numpy() == frame["low"].to_numpy()) & (frame["volume"].to_numpy() == 0)
    joins = np.concatenate([[False], np.diff(stamps_ms(frame)) == step])
    same = np.concatenate([[True], frame["open"].to_numpy()[1:] == close[:-1]])
    return np.asarray(flat & (same | ~joins), dtype=np.bool_)


def note_bars(frame: pd.DataFrame, step: int, file: str, report: HistoryReport) -> None:
    """Note bars without volume: stale ones, and others."""
    flat = stale(frame, step)
    idle = (frame["volume"].to_numpy() == 0) & ~flat
    for oddity, which in ((Oddity.FLAT, flat), (Oddity.NO_VOLUME, idle)):
        if which.any():
            first = f"{frame.index[int(np.argmax(which))]:%Y-%m-%d %H:%M}"
            report.note(oddity, file, int(which.sum()), first)


# ----------------------------------------------------------------------- funding
def check_rates(table: Table, report: HistoryReport) -> Ints:
    """Return when a file's rates were settled (UTC ms), refusing what no settlement gives."""
    settled = _stamps(table, "funding_time", report, 1)
    off = np.abs(settled - (settled + _HOUR_MS // 2) // _HOUR_MS * _HOUR_MS)
    table.refuse(off > _SETTLED_WITHIN_MS, "funding_time is not at a full hour")
    rate = np.abs(table.numbers["funding_rate"].to_numpy())
    table.refuse(rate > _RATE_MAX, f"a funding_rate beyond {_RATE_MAX:g} is none, or in percent")
    if "funding_interval_hours" in table.numbers:
        hours = table.numbers["funding_interval_hours"].to_numpy()
        table.refuse((hours < 1) | (hours > _EVERY_HOURS), "funding_interval_hours is not 1 to 8")
    return settled


def missing_hours(stamps: Ints, intervals: Floats | None, span: tuple[int, int] | None) -> Ints:
    """Return the settlements without a rate, as UTC hours since 1970, in order.

    Between two rates: by the interval recorded with them, else by that of their neighbours, and
    never more than 8 hours apart.  With `span` (first, last in UTC ms; after first, up to last)
    also 00, 08 and 16 UTC before the first rate and after the last, and nothing outside of it.
    """
    hours = (stamps + _HOUR_MS // 2) // _HOUR_MS
    apart = np.diff(hours)
    if intervals is not None:
        every = np.maximum(intervals[1:], intervals[:-1]).astype(np.int64)
    else:
        # A spacing longer than those on both its sides is a hole, one side alone a new interval.
        every = apart.copy()
        every[1:-1] = np.minimum(apart, np.maximum(np.roll(apart, 1), np.roll(apart, -1)))[1:-1]
    every = np.minimum(every, _EVERY_HOURS)
    lacking: list[int] = []
    for at in np.flatnonzero(apart > every):
        lacking += range(int(hours[at] + every[at]), int(hours[at + 1]), int(every[at]))
    if span is not None:
        begin, end = span[0] // _HOUR_MS + 1, span[1] // _HOUR_MS
        due = set(range(-(-begin // _EVERY_HOURS) * _EVERY_HOURS, end + 1, _EVERY_HOURS))
        lacking = [hour for hour in lacking if begin <= hour <= end]
        lacking = sorted({*lacking, *(due - set(hours.tolist()))})
    return np.array(lacking, dtype=np.int64)


# ----------------------------------------------------------------------- time
def _stamps(table: Table, name: str, report: HistoryReport, step: int) -> Ints:
    """Return a column's stamps as UTC ms; larger than 1e14 they can only be microseconds."""
    values = table.numbers[name].to_numpy()
    micro = values > _MICROSECONDS_FROM
    table.refuse(values != np.floor(values), f"{name} is not a whole number")
    low, high = _PLAUSIBLE_MS
    milli = np.where(micro, values / 1_000, values)
    table.refuse((milli < low) | (milli >= high), f"{name} is not in ms between 2010 and 2100")
    unit = np.where(micro, 1_000.0, 1.0)
    table.refuse((step > 1) & (values % (step * unit) != 0), f"{name} is off the interval's grid")
    where = f"row {table.rows[int(np.argmax(micro))]}"
    report.note(Oddity.MICROSECONDS, table.path.name, int(micro.sum()), where)
    return _milliseconds(values)


def _milliseconds(values: Floats) -> Ints:
    return np.floor(np.where(values > _MICROSECONDS_FROM, values / 1_000, values)).astype(np.int64)


def stamps_ms(frame: pd.DataFrame) -> Ints:
    """Return the index of a frame as UTC ms."""
    return np.asarray(pd.DatetimeIndex(frame.index).as_unit("ms").asi8, dtype=np.int64)


def step_ms(interval: str) -> int:
    """Return a kline interval in ms.  Raises DataError for one without a fixed length."""
    if not re.fullmatch(r"[1-9]\d*[smhd]", interval):
        raise DataError(
            f"interval {interval!r} has no fixed length. Fix: use one such as 1m or 4h."
        )
    return int(interval[:-1]) * _INTERVAL_MS[interval[-1]]


def utc(stamp_ms: int) -> str:
    """Return UTC ms as a minute for reading."""
    return f"{pd.Timestamp(stamp_ms, unit='ms'):%Y-%m-%d %H:%M}"
