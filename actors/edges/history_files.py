"""Reads market history from files, in Binance's own columns.

Klines come as `SYMBOL-INTERVAL*.csv`, `.csv.gz`, `.zip` (one CSV inside) or `.parquet`, with a
header row, of which `open_time open high low close volume` may be all there is, or without one in
the archive's order of 12 columns.  All files of a symbol and interval are joined.  Stamps of spot
archives in microseconds are brought to milliseconds.

Repaired without a word: rows out of order are sorted, exact repetitions dropped.  Refused, naming
file and row: anything that is not a number, NaN and infinity, prices not above zero, a high below
or a low above the others, negative volume, a stamp off the interval's grid, two different rows of
one time.  Rows count as lines of the text file, a header being row 1.  Gaps are allowed: `gaps`
lists them, and a replay decides about them (`core/venue/simulated/replayed.py`).
"""

import re
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import DataError

KLINE_COLUMNS = (
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
NEEDED = KLINE_COLUMNS[:6]
_EXTRA = ("quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume")
_ALIASES = {
    "quote_asset_volume": "quote_volume",
    "number_of_trades": "count",
    "trades": "count",
    "taker_buy_base_asset_volume": "taker_buy_volume",
    "taker_buy_base_volume": "taker_buy_volume",
    "taker_buy_quote_asset_volume": "taker_buy_quote_volume",
    "fundingtime": "funding_time",
    "calc_time": "funding_time",
    "fundingrate": "funding_rate",
    "last_funding_rate": "funding_rate",
}
_ENDINGS = r"\.(csv|csv\.gz|zip|parquet)$"
_KLINE_FILE = re.compile(r"^([^-]+)-(\d+[smhdwM])(?:[-_.].*)?" + _ENDINGS)
_FUNDING_FILE = re.compile(r"^([^-]+)-.*funding.*" + _ENDINGS, re.IGNORECASE)
_INTERVAL_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MICROSECONDS_FROM = 1e14


def read_history(
    folder: Path, symbols: Sequence[str] | None, interval: str = "1m"
) -> dict[str, pd.DataFrame]:
    """Return klines by symbol, in the order of `symbols`, or of all found if None.

    Frames: UTC DatetimeIndex `open_time`, float64 `open high low close volume`, and of
    `quote_volume count taker_buy_volume taker_buy_quote_volume` what every file of the symbol has.
    Raises DataError.
    """
    files = _found(folder, _KLINE_FILE)
    intervals = sorted({match[2] for match, _ in files})
    chosen: dict[str, list[Path]] = {}
    for match, path in files:
        if match[2] == interval:
            chosen.setdefault(match[1], []).append(path)
    for symbol in symbols if symbols is not None else ("any symbol",) if not chosen else ():
        if symbol not in chosen:
            held = f"{', '.join(sorted(chosen)) or 'no symbol'} at {interval}"
            others = f"; intervals found: {', '.join(intervals)}" if intervals else ""
            raise DataError(
                f"{folder} holds no {interval} klines of {symbol} (found: {held}{others}). "
                f"Fix: put {symbol.replace('any symbol', 'SYMBOL')}-{interval}.csv.gz there, "
                "or name another folder or symbol."
            )
    return {
        symbol: _joined(
            symbol, [_klines(path, interval) for path in chosen[symbol]], chosen[symbol]
        )
        for symbol in (symbols if symbols is not None else sorted(chosen))
    }


def read_funding(folder: Path, symbols: Sequence[str] | None) -> dict[str, pd.DataFrame]:
    """Return recorded funding rates by symbol, of those symbols that have any.

    Looks for `SYMBOL-*funding*` files in `folder` and in its subfolders called `*funding*`.
    Frames: UTC DatetimeIndex `funding_time`, float64 `funding_rate`.  Raises DataError for a folder
    that is not there or a file that contradicts itself, never for a symbol without rates: the venue
    makes rates then, and a backtest refuses.
    """
    files = _found(folder, _FUNDING_FILE)
    for inner in sorted(folder.glob("*funding*")):
        files += _found(inner, _FUNDING_FILE) if inner.is_dir() else []
    chosen: dict[str, list[Path]] = {}
    for match, path in files:
        chosen.setdefault(match[1], []).append(path)
    return {
        symbol: _joined(symbol, [_rates(path) for path in chosen[symbol]], chosen[symbol])
        for symbol in (symbols if symbols is not None else sorted(chosen))
        if symbol in chosen
    }


def gaps(frame: pd.DataFrame, interval: str = "1m") -> pd.DataFrame:
    """Return the holes of a frame: index = open time of the first missing bar, column `missing`."""
    stamps = _stamps_ms(frame)
    step = _step_ms(interval)
    missing = np.diff(stamps) // step - 1
    after = np.flatnonzero(missing > 0)
    index = pd.to_datetime(stamps[after] + step, unit="ms", utc=True)
    return pd.DataFrame({"missing": missing[after]}, index=index.rename("open_time"))


# ----------------------------------------------------------------------- one file
def _klines(path: Path, interval: str) -> pd.DataFrame:
    table = _table(path, KLINE_COLUMNS)
    _need(path, table, NEEDED)
    numbers = _numbers(path, table[[name for name in (*NEEDED, *_EXTRA) if name in table]])
    stamps = _milliseconds(numbers.pop("open_time"))
    prices = numbers[["open", "high", "low", "close"]]
    price = prices.to_numpy(np.float64)
    step = _step_ms(interval)
    _refuse(path, table, price.min(axis=1) <= 0, "a price is not above zero")
    _refuse(path, table, numbers["high"].to_numpy() < price.max(axis=1), "high is not the highest")
    _refuse(path, table, numbers["low"].to_numpy() > price.min(axis=1), "low is not the lowest")
    rest = numbers.drop(columns=prices.columns).to_numpy(np.float64)
    _refuse(path, table, rest.min(axis=1) < 0, "a volume or count is negative")
    _refuse(path, table, stamps % step != 0, f"open_time is off the {interval} grid")
    return _indexed(path, table, numbers, stamps, "open_time")


def _rates(path: Path) -> pd.DataFrame:
    table = _table(path, ("funding_time", "funding_interval_hours", "funding_rate"))
    _need(path, table, ("funding_time", "funding_rate"))
    numbers = _numbers(path, table[["funding_time", "funding_rate"]])
    stamps = _milliseconds(numbers.pop("funding_time"))
    return _indexed(path, table, numbers, stamps, "funding_time")


def _indexed(
    path: Path,
    table: pd.DataFrame,
    numbers: pd.DataFrame,
    stamps: npt.NDArray[np.int64],
    name: str,
) -> pd.DataFrame:
    """Sort by time, drop exact repetitions, refuse contradictions."""
    index = pd.to_datetime(stamps, unit="ms", utc=True).rename(name)
    frame = numbers.set_axis(index, axis=0)
    if not index.is_unique:
        repeated = frame.reset_index().duplicated().to_numpy()
        clash = index.duplicated() & ~repeated
        _refuse(path, table, clash, f"another row has this {name} and other values")
        frame = frame[~repeated]
    return frame.sort_index(kind="stable")


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return the file as it is, headers normalised; floats exactly as their text says."""
    if path.suffix == ".parquet":
        return _parquet(path)
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                inside = [name for name in archive.namelist() if name.endswith(".csv")]
                if len(inside) != 1:
                    raise DataError(f"{path} holds {len(inside)} CSV files. Fix: keep one in it.")
                with archive.open(inside[0]) as first:
                    header = _has_header(first.readline())
                with archive.open(inside[0]) as stream:
                    table = _csv(stream, columns, header=header)
        else:
            first_row = pd.read_csv(path, header=None, nrows=1, dtype=str)
            header = _has_header(str(first_row.iloc[0, 0]).encode())
            table = _csv(path, columns, header=header)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read: {reason}. Fix: fetch it again.") from error
    table = table.rename(columns=_column_name)
    table.attrs["first_row"] = 2 if header else 1
    return table


def _csv(source: Path | IO[bytes], columns: Sequence[str], *, header: bool) -> pd.DataFrame:
    if header:
        return pd.read_csv(source, low_memory=False)
    table = pd.read_csv(source, header=None, low_memory=False)
    if table.shape[1] != len(columns):
        raise ValueError(f"no header and {table.shape[1]} columns, not {len(columns)}")
    return table.set_axis(list(columns), axis=1)


def _parquet(path: Path) -> pd.DataFrame:
    if find_spec("pyarrow") is None:
        raise DataError(
            f"{path} needs pyarrow, which is not installed. "
            "Fix: pip install pyarrow, or convert the file to CSV."
        )
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Fix: fetch it again.") from error
    if isinstance(table.index, pd.DatetimeIndex):
        table = table.rename_axis(str(table.index.name or "open_time")).reset_index()
    for name in table.columns[[kind.kind == "M" for kind in table.dtypes]]:
        stamped = pd.DatetimeIndex(table[name]).as_unit("ms")
        table[name] = stamped.asi8
    table = table.rename(columns=_column_name)
    table.attrs["first_row"] = 1
    return table


def _has_header(first_line: bytes) -> bool:
    return re.match(rb"^\s*\d+(\.\d+)?\s*(,|$)", first_line) is None


def _column_name(name: object) -> str:
    plain = re.sub(r"[^a-z]+", "_", str(name).strip().lower()).strip("_")
    return _ALIASES.get(plain, plain)


def _numbers(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    for name in table.columns:
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
        _refuse(path, table, ~np.isfinite(values), f"{name} is not a number")
        table = table.assign(**{name: values})
    return table


def _milliseconds(stamps: "pd.Series[float]") -> npt.NDArray[np.int64]:
    """Return epoch ms; larger than 1e14 they can only be microseconds."""
    values = stamps.to_numpy(np.int64)
    return np.where(values > _MICROSECONDS_FROM, values // 1_000, values)


def _need(path: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise DataError(
            f"{path} lacks the column {missing[0]} (it has: {', '.join(map(str, table.columns))}). "
            f"Fix: name the columns {','.join(names)} in its first row."
        )
    if table.empty:
        raise DataError(f"{path} holds no rows. Fix: remove it or fetch it again.")


def _refuse(path: Path, table: pd.DataFrame, bad: npt.NDArray[np.bool_], what: str) -> None:
    if bad.any():
        at = int(np.argmax(bad))
        shown = ",".join(str(value) for value in table.iloc[at].tolist())
        raise DataError(
            f"{path} row {at + int(table.attrs['first_row'])}: {what} ({shown}). "
            "Fix: correct or remove the row."
        )


# ----------------------------------------------------------------------- many files
def _found(folder: Path, pattern: re.Pattern[str]) -> list[tuple[re.Match[str], Path]]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Fix: name the folder that holds the files.")
    pairs = ((pattern.match(path.name), path) for path in sorted(folder.iterdir()))
    return [(match, path) for match, path in pairs if match is not None]


def _joined(symbol: str, parts: list[pd.DataFrame], paths: Sequence[Path]) -> pd.DataFrame:
    """Join a symbol's files on the columns that all have; the same row in two files is one."""
    if len(parts) == 1:
        return parts[0]
    shared = [name for name in parts[0].columns if all(name in part for part in parts)]
    whole = pd.concat([part[shared] for part in parts])
    name = str(whole.index.name)
    whole = whole[~whole.reset_index().duplicated().to_numpy()].sort_index(kind="stable")
    if not whole.index.is_unique:
        clash = whole.index[whole.index.duplicated()][0]
        files = ", ".join(path.name for path in paths)
        raise DataError(
            f"{symbol}: two files disagree about {name} {clash:%Y-%m-%d %H:%M} ({files}). "
            "Fix: keep one of them."
        )
    return whole


def _stamps_ms(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    return pd.DatetimeIndex(frame.index).as_unit("ms").asi8


def _step_ms(interval: str) -> int:
    """Return a kline interval in ms.  Raises DataError for one without a fixed length."""
    if not re.fullmatch(r"[1-9]\d*[smhd]", interval):
        raise DataError(
            f"interval {interval!r} has no fixed length. Fix: use one such as 1m or 4h."
        )
    return int(interval[:-1]) * _INTERVAL_MS[interval[-1]]
