"""One history file as a table of finite numbers, each row knowing its line in the file.

CSV is read strictly, for what a parser lets pass in silence moves columns or loses rows: every row
has as many fields as the first, quotes are no part of a number, and what the parser returns has a
row for every line.  Where `NAME.CHECKSUM` lies beside a file, the file must be the one it names.
"""

import csv
import gzip
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from actors.edges.history_report import HistoryReport, Oddity
from core.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_ALIASES: Final = {
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
_PLAIN_NUMBER: Final = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
# zipfile raises RuntimeError for encryption and NotImplementedError for methods it does not know.
_UNREADABLE: Final = (
    *(OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error),
    *(OverflowError, MemoryError, KeyError),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns wanted of one file, float64 and finite, and the line of each row (from 1)."""

    path: Path
    numbers: pd.DataFrame
    rows: Ints

    def refuse(self, bad: Bools, what: str) -> None:
        """Raise DataError for the first row marked, naming file, row and values."""
        if bad.any():
            at = int(np.argmax(bad))
            shown = ",".join(f"{value:.15g}" for value in self.numbers.iloc[at])
            raise DataError(
                f"{self.path} row {self.rows[at]}: {what} ({shown}). "
                "Fix: correct or remove the row."
            )

    def without(self, bad: Bools) -> "Table":
        """Return the rows that are not marked."""
        return Table(path=self.path, numbers=self.numbers[~bad], rows=self.rows[~bad])


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a kind of file."""

    order: tuple[str, ...]  # where there is no header; more names may be known
    needed: tuple[str, ...]
    optional: tuple[str, ...]  # read where they are

    def found(self, names: Sequence[str]) -> list[str]:
        """Return those to read."""
        return [name for name in (*self.needed, *self.optional) if name in names]


def read_table(path: Path, columns: Columns, report: HistoryReport) -> Table:
    """Return the needed columns of a file and of the optional ones what there is.

    Raises DataError for a file that cannot be read whole, lacks a needed column or any row, or
    holds what is no finite number in a column.
    """
    try:
        _check_sum(path)
        if path.suffix == ".parquet":
            return _from_parquet(path, columns, report)
        data = _text(path, report)
    except DataError:
        raise
    except _UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} cannot be read: {reason}. Fix: fetch it again.") from None
    return _from_csv(path, data, columns, report)


# ----------------------------------------------------------------------- bytes
def _check_sum(path: Path) -> None:
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.is_file():
        return
    promised = re.match(r"\s*([0-9a-fA-F]{64})\b", beside.read_text("ascii", errors="replace"))
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if promised is None or promised[1].lower() != found:
        raise DataError(
            f"{path} is not the file that {beside.name} names. Fix: remove both and fetch it again."
        )


def _text(path: Path, report: HistoryReport) -> bytes:
    """Return a file's text without byte-order mark, each line ended."""
    if path.suffix == ".zip":
        data = _unzipped(path)
    elif path.suffix == ".gz":
        data = gzip.decompress(path.read_bytes())
    else:
        data = path.read_bytes()
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise DataError(f"{path} is empty. Fix: remove it or fetch it again.")
    if data.endswith(b"\n"):
        return data
    if path.suffix == ".csv":
        # Nothing else tells whether a plain file is whole; a cut number would still be a number.
        cut = data.count(b"\n") + 1
        report.note(Oddity.CUT, path.name, 1, f"row {cut}")
        return data[: data.rfind(b"\n") + 1]
    return data + b"\n"


def _unzipped(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        inside = [name for name in archive.namelist() if name.endswith(".csv")]
        if len(inside) != 1:
            raise DataError(f"{path} holds {len(inside)} CSV files. Fix: keep one in it.")
        inner, outer = inside[0].rsplit("/", 1)[-1], path.stem
        named = re.match(r"[A-Z0-9_]+-[^-.]+", inner)
        if named is not None and not outer.startswith(named[0]):
            raise DataError(f"{path} holds {inner}: another file. Fix: name it as what it holds.")
        return archive.read(inside[0])


# ----------------------------------------------------------------------- text
def _from_csv(path: Path, data: bytes, columns: Columns, report: HistoryReport) -> Table:
    first, _, body = data.partition(b"\n")
    header = re.match(rb"^\s*\d+(\.\d+)?\s*(,|$)", first) is None
    fields = first.decode("utf-8", errors="replace").strip().split(",")
    if header:
        names = [_column_name(name) for name in fields]
    else:
        if len(fields) != len(columns.order):
            raise DataError(
                f"{path} cannot be read: no header and {len(fields)} columns, not"
                f" {len(columns.order)}. Fix: name the columns {','.join(columns.needed)} in row 1."
            )
        names, body = list(columns.order), data
        report.note(Oddity.NO_HEADER, path.name, 1)
    _check_names(path, names, columns, report)
    body, rows = _whole_lines(path, body, len(names), 2 if header else 1, report)
    if not len(rows):
        raise DataError(f"{path} holds no rows. Fix: remove it or fetch it again.")
    wanted = columns.found(names)
    numbers = _parsed(path, body, names, wanted, rows)
    whole = Table(path=path, numbers=numbers, rows=rows)
    for name in wanted:
        whole.refuse(~np.isfinite(numbers[name].to_numpy()), f"{name} is not a number")
    return whole


def _check_names(path: Path, names: Sequence[str], columns: Columns, report: HistoryReport) -> None:
    needed, found = columns.needed, columns.found(names)
    missing = [name for name in needed if name not in names]
    if missing:
        raise DataError(
            f"{path} row 1 lacks the column {missing[0]} (it has: {', '.join(names):.200}). "
            f"Fix: name the columns {','.join(needed)} in the first row."
        )
    twice = [name for name in found if names.count(name) > 1]
    if twice:
        raise DataError(f"{path} row 1 names the column {twice[0]} twice. Fix: keep one of them.")
    unknown = [name for name in names if name not in (*columns.order, *found)]
    report.note(Oddity.UNKNOWN_COLUMN, path.name, len(unknown), unknown[0] if unknown else "")


def _whole_lines(
    path: Path, body: bytes, width: int, first_row: int, report: HistoryReport
) -> tuple[bytes, Ints]:
    """Return the lines that hold a row, and their numbers; refuse one of another width."""
    count = body.count(b"\n")
    rows = np.arange(first_row, first_row + count, dtype=np.int64)
    if b"\0" in body or b'"' in body:
        at = body.count(b"\n", 0, max(body.find(b"\0"), body.find(b'"')))
        raise DataError(
            f"{path} row {first_row + at}: a quote or a zero byte. Fix: write plain numbers."
        )
    if body.count(b",") == count * (width - 1):
        return body, rows
    lines = body.split(b"\n")[:-1]
    filled = np.array([bool(line.strip()) for line in lines], dtype=np.bool_)
    _check_widths(path, [line for line in lines if line.strip()], rows[filled], width)
    if not filled.all():
        report.note(Oddity.BLANK, path.name, int((~filled).sum()), f"row {rows[~filled][0]}")
    return b"".join(line + b"\n" for line in lines if line.strip()), rows[filled]


def _check_widths(path: Path, lines: Sequence[bytes], rows: Ints, width: int) -> None:
    for row, line in zip(rows, lines, strict=True):
        if line.count(b",") != width - 1:
            shown = line.decode("utf-8", errors="replace").strip()
            raise DataError(
                f"{path} row {row}: {line.count(b',') + 1} fields, not {width} ({shown:.120})."
                " Fix: correct or remove the row."
            )


def _parsed(
    path: Path, body: bytes, names: Sequence[str], wanted: Sequence[str], rows: Ints
) -> pd.DataFrame:
    # Positions, not names, are what the parser is told: columns not wanted may be called alike.
    places = {names.index(name): name for name in wanted}
    how = {
        "header": None,
        "skip_blank_lines": False,
        "quoting": csv.QUOTE_NONE,
        "low_memory": False,
        "encoding_errors": "replace",
    }
    try:
        kinds = dict.fromkeys(places, np.float64)
        table = pd.read_csv(io.BytesIO(body), dtype=kinds, **how)  # type: ignore[call-overload]
    except (ValueError, OverflowError) as error:
        _name_culprit(path, body, places, rows)
        raise DataError(f"{path} cannot be read: {error}. Fix: fetch it again.") from None
    if len(table) != len(rows):
        raise DataError(
            f"{path} cannot be read: {len(table)} rows in {len(rows)} lines."
            " Fix: end every line with a line feed."
        )
    return pd.DataFrame({name: table[place] for place, name in places.items()})


def _name_culprit(path: Path, body: bytes, places: Mapping[int, str], rows: Ints) -> None:
    """Raise DataError for the first line that the parser could not take, if it can be told."""
    lines = body.split(b"\n")[:-1]
    _check_widths(path, lines, rows, lines[0].count(b",") + 1)
    for row, line in zip(rows, lines, strict=True):
        fields = line.decode("utf-8", errors="replace").split(",")
        for place, name in places.items():
            if _PLAIN_NUMBER.fullmatch(fields[place]) is None:
                shown = ",".join(fields).strip()
                raise DataError(
                    f"{path} row {row}: {name} is not a number ({shown:.120})."
                    " Fix: correct or remove the row."
                )


def _column_name(name: object) -> str:
    plain = re.sub(r"[^a-z]+", "_", str(name).strip().lower()).strip("_")
    return _ALIASES.get(plain, plain)


# ----------------------------------------------------------------------- parquet
def _from_parquet(path: Path, columns: Columns, report: HistoryReport) -> Table:
    if find_spec("pyarrow") is None:
        raise DataError(
            f"{path} needs pyarrow, which is not installed. "
            "Fix: pip install pyarrow, or convert the file to CSV."
        )
    table = pd.read_parquet(path)
    if isinstance(table.index, pd.DatetimeIndex):
        table = table.rename_axis(str(table.index.name or "open_time")).reset_index()
    for name in table.columns[[kind.kind == "M" for kind in table.dtypes]]:
        table[name] = pd.DatetimeIndex(table[name]).as_unit("ms").asi8
    names = [_column_name(name) for name in table.columns]
    _check_names(path, names, columns, report)
    if table.empty:
        raise DataError(f"{path} holds no rows. Fix: remove it or fetch it again.")
    table = table.set_axis(names, axis=1)
    wanted = columns.found(names)
    numbers = table[wanted].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    whole = Table(path=path, numbers=numbers, rows=np.arange(1, len(table) + 1, dtype=np.int64))
    for name in wanted:
        whole.refuse(~np.isfinite(numbers[name].to_numpy()), f"{name} is not a number")
    return whole
