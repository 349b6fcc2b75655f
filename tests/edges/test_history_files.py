"""The reader of history files: what it repairs, what it refuses, and how it says so."""

import gzip
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.edges.history_files import KLINE_COLUMNS, gaps, read_funding, read_history
from core.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no recorded data beside the project")
START_MS = 1_746_372_780_000
HEADER = "open_time,open,high,low,close,volume"


def a_row(minute: int = 0, **changes: object) -> str:
    row = {"t": START_MS + minute * 60_000, "o": 100, "h": 101, "l": 99, "c": 100.5, "v": 3.25}
    return ",".join(str(value) for value in (row | changes).values())


def a_file(
    folder: Path, rows: list[str], name: str = "BTCUSDT-1m.csv", header: str = HEADER
) -> Path:
    path = folder / name
    path.write_text("\n".join(([header] if header else []) + rows) + "\n")
    return path


def refusal(folder: Path, rows: list[str], **kwargs: str) -> str:
    a_file(folder, rows, **kwargs)
    with pytest.raises(DataError) as caught:
        read_history(folder, ["BTCUSDT"])
    message = str(caught.value)
    assert "\n" not in message
    assert "Fix:" in message
    return message


def test_reads_six_columns_by_name_in_any_order(tmp_path):
    a_file(
        tmp_path,
        [f"3.25,100.5,99,101,100,{START_MS}"],
        header="volume,close,low,high,open,open_time",
    )
    frame = read_history(tmp_path, None)["BTCUSDT"]
    assert list(frame.columns) == ["open", "high", "low", "close", "volume"]
    assert (frame.dtypes == np.float64).all()
    assert frame.index.name == "open_time"
    assert str(frame.index.tz) == "UTC"
    assert frame.index[0].value == START_MS * 1_000_000
    assert frame.iloc[0].tolist() == [100, 101, 99, 100.5, 3.25]


def test_reads_the_archive_of_twelve_columns_with_and_without_header(tmp_path):
    row = f"{a_row()},{START_MS + 59_999},325.5,17,1.25,125.5,0"
    a_file(tmp_path, [row], name="ETHUSDT-1m-2025-05.csv", header="")
    with zipfile.ZipFile(tmp_path / "BTCUSDT-1m-2025-05.zip", "w") as archive:
        archive.writestr("BTCUSDT-1m-2025-05.csv", ",".join(KLINE_COLUMNS) + "\n" + row + "\n")
    frames = read_history(tmp_path, ["ETHUSDT", "BTCUSDT"])
    assert list(frames) == ["ETHUSDT", "BTCUSDT"]
    pd.testing.assert_frame_equal(frames["ETHUSDT"], frames["BTCUSDT"])
    assert frames["ETHUSDT"]["taker_buy_volume"].iloc[0] == 1.25
    assert frames["ETHUSDT"]["count"].iloc[0] == 17


def test_brings_microseconds_to_milliseconds(tmp_path):
    a_file(tmp_path, [a_row(t=START_MS * 1_000)])
    assert read_history(tmp_path, None)["BTCUSDT"].index[0].value == START_MS * 1_000_000


def test_joins_files_of_one_symbol_sorted_and_without_repetition(tmp_path):
    a_file(tmp_path, [a_row(2), a_row(3)], name="BTCUSDT-1m-late.csv")
    with gzip.open(tmp_path / "BTCUSDT-1m-early.csv.gz", "wt") as stream:
        stream.write("\n".join([HEADER, a_row(1), a_row(0), a_row(2)]))
    frame = read_history(tmp_path, ["BTCUSDT"])["BTCUSDT"]
    assert ((frame.index.as_unit("ms").asi8 - START_MS) // 60_000).tolist() == [0, 1, 2, 3]


def test_ignores_other_intervals_and_funding_files(tmp_path):
    a_file(tmp_path, [a_row()])
    a_file(tmp_path, ["nonsense"], name="BTCUSDT-15m.csv")
    a_file(tmp_path, ["nonsense"], name="BTCUSDT-funding.csv")
    assert len(read_history(tmp_path, None)["BTCUSDT"]) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (a_row(1, c="nan"), "close is not a number"),
        (a_row(1, v="inf"), "volume is not a number"),
        (a_row(1, o="abc"), "open is not a number"),
        (a_row(1, t=""), "open_time is not a number"),
        (a_row(1, h=100.2), "high is not the highest"),
        (a_row(1, l=100.2), "low is not the lowest"),
        (a_row(1, l=0), "not above zero"),
        (a_row(1, v=-1), "negative"),
        (a_row(1, t=START_MS + 60_001), "off the interval's grid"),
        (a_row(0, v=4), "other values"),
    ],
)
def test_names_file_row_and_reason_of_a_bad_row(tmp_path, bad, reason):
    message = refusal(tmp_path, [a_row(0), bad, a_row(2)])
    assert "BTCUSDT-1m.csv row 3: " in message
    assert reason in message


def test_counts_rows_from_one_where_there_is_no_header(tmp_path):
    tail = f",{START_MS + 59_999},325.5,17,1.25,125.5,0"
    message = refusal(tmp_path, [a_row(0) + tail, a_row(1, h=1) + tail], header="")
    assert "row 2: high" in message


@pytest.mark.parametrize(
    ("rows", "header", "reason"),
    [
        ([], HEADER, "no rows"),
        ([], "", "is empty"),
        ([a_row()], "", "not 12"),
        (["1,2"], "open_time,open", "lacks the column high"),
        ([a_row() + ",1,2"], HEADER, "row 2"),
    ],
)
def test_refuses_files_without_klines(tmp_path, rows, header, reason):
    assert reason in refusal(tmp_path, rows, header=header)


@pytest.mark.parametrize("name", ["BTCUSDT-1m.csv.gz", "BTCUSDT-1m.zip"])
def test_refuses_broken_archives(tmp_path, name):
    assert name in refusal(tmp_path, ["not an archive"], name=name)


def test_refuses_two_files_that_disagree(tmp_path):
    a_file(tmp_path, [a_row(v=1)], name="BTCUSDT-1m-a.csv")
    message = refusal(tmp_path, [a_row(v=2)], name="BTCUSDT-1m-b.csv")
    assert "2025-05-04 15:33" in message
    assert "BTCUSDT-1m-b.csv row 2: other values than " in message
    assert "BTCUSDT-1m-a.csv row 2" in message


def test_says_what_is_there_when_a_symbol_or_an_interval_is_missing(tmp_path):
    a_file(tmp_path, [a_row()])
    with pytest.raises(DataError, match=r"no 1m klines of ETHUSDT \(found: BTCUSDT at 1m"):
        read_history(tmp_path, ["ETHUSDT"])
    with pytest.raises(DataError, match="intervals found: 1m"):
        read_history(tmp_path, None, "4h")
    with pytest.raises(DataError, match="is not a folder"):
        read_history(tmp_path / "absent", None)


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_says_how_to_read_parquet_when_pyarrow_is_missing(tmp_path):
    assert "pip install pyarrow" in refusal(tmp_path, [], name="BTCUSDT-1m.parquet")


def test_lists_gaps(tmp_path):
    a_file(tmp_path, [a_row(0), a_row(1), a_row(5), a_row(6), a_row(8)])
    found = gaps(read_history(tmp_path, None)["BTCUSDT"])
    assert found["missing"].tolist() == [3, 1]
    assert found.index[0].value == (START_MS + 2 * 60_000) * 1_000_000


def test_reads_funding_under_each_name_the_venue_gives_it(tmp_path):
    (tmp_path / "um-funding").mkdir()
    a_file(tmp_path, ["1707955200000,0.0001"], "BTCUSDT-funding.csv", "funding_time,funding_rate")
    a_file(
        tmp_path / "um-funding",
        ["1707955200003,8,-0.0002"],
        "ETHUSDT-fundingRate-2024-02.csv",
        "calc_time,funding_interval_hours,last_funding_rate",
    )
    rates = read_funding(tmp_path, None)
    assert {symbol: frame["funding_rate"].tolist() for symbol, frame in rates.items()} == {
        "BTCUSDT": [0.0001],
        "ETHUSDT": [-0.0002],
    }
    assert list(read_funding(tmp_path, ["ETHUSDT", "SOLUSDT"])) == ["ETHUSDT"]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(list(range(8))), twice=st.sets(st.integers(0, 7)))
def test_disorder_and_repetition_change_nothing(tmp_path_factory, order, twice):
    tidy, untidy = tmp_path_factory.mktemp("tidy"), tmp_path_factory.mktemp("untidy")
    a_file(tidy, [a_row(minute, v=minute) for minute in range(8)])
    a_file(untidy, [a_row(minute, v=minute) for minute in [*order, *sorted(twice)]])
    pd.testing.assert_frame_equal(
        read_history(untidy, None)["BTCUSDT"], read_history(tidy, None)["BTCUSDT"]
    )


@needs_shared
def test_reads_recorded_futures_minutes():
    frames = read_history(SHARED / "um-1m/2025q1", ["BTCUSDT", "ADAUSDT"])
    assert len(frames["BTCUSDT"]) == 43_199
    assert gaps(frames["BTCUSDT"]).empty
    assert frames["ADAUSDT"]["volume"].eq(0).sum() == 17


@needs_shared
def test_reads_recorded_funding_and_longer_intervals():
    assert len(read_funding(SHARED / "um-funding", ["BTCUSDT"])["BTCUSDT"]) == 1_486
    assert len(read_history(SHARED / "um-4h", ["SOLUSDT"], "4h")["SOLUSDT"]) == 3_300
    hourly = read_history(SHARED / "spot-1h", ["BTCUSDT"], "1h")["BTCUSDT"]
    assert gaps(hourly, "1h")["missing"].tolist() == [1]
