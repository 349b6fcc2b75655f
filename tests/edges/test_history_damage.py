"""Damaged history: each kind is repaired by a rule and said, or refused naming file and row."""

import gzip
import hashlib
import io
import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.edges.history_files import KLINE_COLUMNS, read_funding, read_history
from actors.edges.history_report import HistoryReport, Oddity
from core.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no recorded data beside the project")
MINUTE, HOUR = 60_000, 3_600_000
START = 1_746_372_780_000  # 2025-05-04 15:33 UTC
SIX = ",".join(KLINE_COLUMNS[:6])
ALL = ",".join(KLINE_COLUMNS)
DAY = 1_746_316_800_000  # 2025-05-04 00:00 UTC


def a_row(minute: int = 0, close: float = 100.5, volume: object = 3.25, **changes: object) -> str:
    """Return twelve columns; each minute has values of its own."""
    opened = START + minute * MINUTE
    bar = {"t": opened, "o": 100, "h": 101 + minute % 3, "l": 99, "c": close, "v": volume}
    end = {"end": opened + MINUTE - 1, "quote": 325.5 + minute, "count": 17 + minute}
    row: dict[str, object] = bar | end | {"taker": 1.25, "taker_quote": 125.5, "ignore": 0}
    return ",".join(str(value) for value in (row | changes).values())


def six(*arguments: float, **changes: object) -> str:
    return ",".join(a_row(*arguments, **changes).split(",")[:6])  # type: ignore[arg-type]


def put(folder: Path, rows: list[str], name: str = "BTCUSDT-1m.csv", header: str = ALL) -> Path:
    path = folder / name
    path.write_text("".join(f"{row}\n" for row in ([header] if header else []) + rows))
    return path


def read(folder: Path, interval: str = "1m") -> tuple[pd.DataFrame, HistoryReport]:
    report = HistoryReport()
    return read_history(folder, ["BTCUSDT"], interval, report=report)["BTCUSDT"], report


def refused(folder: Path, interval: str = "1m") -> str:
    with pytest.raises(DataError) as caught:
        read(folder, interval)
    message = str(caught.value)
    assert "\n" not in message
    assert "Fix:" in message
    return message


def said(report: HistoryReport) -> dict[Oddity, int]:
    return {oddity: report.count(oddity) for oddity in Oddity if report.count(oddity)}


def minutes(frame: pd.DataFrame) -> list[int]:
    return [(stamp.value // 1_000_000 - START) // MINUTE for stamp in frame.index]


# ----------------------------------------------------------------------- repaired or left, and said
def test_a_whole_file_has_nothing_to_say(tmp_path):
    put(tmp_path, [a_row(minute) for minute in range(5)])
    frame, report = read(tmp_path)
    assert minutes(frame) == [0, 1, 2, 3, 4]
    assert report.lines() == ()


@pytest.mark.parametrize(
    ("rows", "left", "oddity", "count"),
    [
        ([a_row(0), a_row(1), a_row(4)], [0, 1, 4], Oddity.GAP, 2),
        ([a_row(0), a_row(1), a_row(1), a_row(2)], [0, 1, 2], Oddity.REPEATED, 1),
        ([a_row(1), a_row(0), a_row(2)], [0, 1, 2], Oddity.DISORDER, 1),
        ([a_row(0), "", a_row(1), "  "], [0, 1], Oddity.BLANK, 2),
        ([a_row(0), a_row(1, volume=0, taker=0)], [0, 1], Oddity.NO_VOLUME, 1),
        ([a_row(0), a_row(1), a_row(2, end=START + 2 * MINUTE + 9)], [0, 1, 2], Oddity.CUT_BAR, 1),
        (
            [a_row(0), a_row(1, o=100.5, h=100.5, l=100.5, volume=0, taker=0)],
            *([0, 1], Oddity.FLAT, 1),
        ),
        (
            [a_row(0), a_row(1, t=(START + MINUTE) * 1000, end=(START + 2 * MINUTE) * 1000 - 1)],
            *([0, 1], Oddity.MICROSECONDS, 1),
        ),
    ],
)
def test_is_repaired_or_left_by_rule_and_said(tmp_path, rows, left, oddity, count):
    put(tmp_path, rows)
    frame, report = read(tmp_path)
    assert minutes(frame) == left
    assert said(report) == {oddity: count}
    (line,) = report.lines()
    assert f"{count} {oddity.words}: {oddity.rule}" in line
    assert "BTCUSDT-1m.csv" in line


def test_a_flat_bar_that_leaves_the_last_price_is_no_stale_one(tmp_path):
    put(tmp_path, [a_row(0), a_row(1, o=101, h=101, l=101, close=101, volume=0, taker=0)])
    assert said(read(tmp_path)[1]) == {Oddity.NO_VOLUME: 1}


def test_a_last_line_without_end_is_dropped_for_it_may_be_cut(tmp_path):
    path = put(tmp_path, [a_row(0), a_row(1), a_row(2)])
    path.write_bytes(path.read_bytes()[:-3])
    frame, report = read(tmp_path)
    assert minutes(frame) == [0, 1]
    assert said(report) == {Oddity.CUT: 1}
    assert "first row 4" in report.lines()[0]


def test_a_missing_header_is_said(tmp_path):
    put(tmp_path, [a_row(0), a_row(1)], header="")
    assert said(read(tmp_path)[1]) == {Oddity.NO_HEADER: 1}


def test_six_columns_are_enough_and_said(tmp_path):
    put(tmp_path, [six(0), six(1)], header=SIX)
    assert said(read(tmp_path)[1]) == {Oddity.SIX_COLUMNS: 1}


def test_a_misspelt_optional_column_is_said_not_lost_in_silence(tmp_path):
    put(tmp_path, [a_row(0), a_row(1)], header=ALL.replace("taker_buy_volume", "taker_by_volume"))
    frame, report = read(tmp_path)
    assert "taker_buy_volume" not in frame
    assert said(report) == {Oddity.UNKNOWN_COLUMN: 1}
    assert "taker_by_volume" in report.lines()[0]


def test_columns_that_only_one_of_two_files_has_are_left_out_and_said(tmp_path):
    put(tmp_path, [a_row(0)], name="BTCUSDT-1m-a.csv")
    put(tmp_path, [six(1)], name="BTCUSDT-1m-b.csv", header=SIX)
    frame, report = read(tmp_path)
    assert frame.shape == (2, 5)
    assert said(report)[Oddity.UNSHARED_COLUMN] == 4


def test_files_of_another_interval_are_not_read_and_said(tmp_path):
    put(tmp_path, [a_row(0)])
    put(tmp_path, ["nonsense"], name="BTCUSDT-15m.csv")
    assert said(read(tmp_path)[1]) == {Oddity.OTHER_INTERVAL: 1}


def test_bars_missing_at_the_ends_of_a_named_day_are_said(tmp_path):
    put(tmp_path, [a_row(0), a_row(1)], name="BTCUSDT-1m-2025-05-04.csv")
    assert said(read(tmp_path)[1]) == {Oddity.SHORT: 1438}


def test_a_file_that_holds_the_market_of_another_symbol_is_said(tmp_path):
    rows = [six(minute, volume=minute + 1) for minute in range(30)]
    put(tmp_path, rows, header=SIX)
    put(tmp_path, rows, name="ETHUSDT-1m.csv", header=SIX)
    put(tmp_path, [row.replace(",100.5,", ",99.5,") for row in rows], "SOLUSDT-1m.csv", SIX)
    report = HistoryReport()
    read_history(tmp_path, None, report=report)
    (line,) = [line for line in report.lines() if "wrong name" in line]
    assert line.startswith("history: 1 symbols with the rows of another")
    assert line.endswith("ETHUSDT-1m.csv as BTCUSDT-1m.csv (1)")


def test_line_feeds_of_another_system_and_a_byte_order_mark_change_nothing(tmp_path):
    rows = [a_row(minute) for minute in range(3)]
    path = put(tmp_path, rows)
    plain, _ = read(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    frame, report = read(tmp_path)
    pd.testing.assert_frame_equal(frame, plain)
    assert not said(report)


def test_a_line_per_kind_names_two_files_and_counts_the_rest(tmp_path):
    for name in "abcd":
        row = f"7,{six(ord(name))}"
        put(tmp_path, [row], name=f"BTCUSDT-1m-{name}.csv", header=f"x,{SIX}")
    (line,) = [line for line in read(tmp_path)[1].lines() if "unknown name" in line]
    assert line == (
        "history: 4 columns of unknown name: left aside; BTCUSDT-1m-a.csv (1, first x),"
        " BTCUSDT-1m-b.csv (1, first x) and 2 more"
    )


# ----------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("rows", "row", "reason"),
    [
        ([a_row(0), a_row(1, close="nan")], 3, "close is not a number"),
        ([a_row(0), a_row(1, volume="inf")], 3, "volume is not a number"),
        ([a_row(0), a_row(1, volume="1e999")], 3, "volume is not a number"),
        ([a_row(0), a_row(1, quote="")], 3, "quote_volume is not a number"),
        ([a_row(0), a_row(1, close='"100.5"')], 3, "quote or a zero byte"),
        ([a_row(0), a_row(1, close="100.5\0")], 3, "quote or a zero byte"),
        ([a_row(0), a_row(1), a_row(1, close=100.25)], 4, "other values than"),
        ([a_row(0), a_row(1) + ",9"], 3, "13 fields, not 12"),
        ([a_row(0), "", a_row(1) + ",9"], 4, "13 fields, not 12"),
        ([a_row(0), a_row(1)[:30]], 3, "fields, not 12"),
        ([a_row(0), a_row(1)[:30], a_row(2) + ",1,1,1,1,1,1,1,1,1"], 3, "fields, not 12"),
        ([f"{row},9" for row in (a_row(0), a_row(1))], 2, "13 fields, not 12"),
        ([a_row(0), ALL, a_row(1)], 3, "open_time is not a number"),
        ([a_row(0), a_row(1, t=START + 60_001)], 3, "off the interval's grid"),
        ([a_row(0), a_row(1, t=(START + MINUTE) * 1000 + 7)], 3, "off the interval's grid"),
        ([a_row(0), a_row(1, t=f"{START + MINUTE}.5")], 3, "not a whole number"),
        ([a_row(0), a_row(1, t=(START + MINUTE) // 1000)], 3, "not in ms between 2010 and 2100"),
        ([a_row(0), a_row(1, taker=4)], 3, "takers bought more than all"),
        ([a_row(0), a_row(1, end=START + 9 * MINUTE)], 3, "after the interval's end"),
        ([a_row(0), a_row(1, end=START)], 3, "close_time is before open_time"),
        ([a_row(m, end=START + m * MINUTE + 9) for m in (0, 1)], 2, "not this interval's"),
    ],
)
def test_is_refused_naming_file_and_row(tmp_path, rows, row, reason):
    put(tmp_path, rows)
    message = refused(tmp_path)
    assert f"BTCUSDT-1m.csv row {row}: " in message
    assert reason in message


def test_a_longer_interval_in_one_file_is_refused_where_it_begins(tmp_path):
    rows = [six(minute) for minute in range(10)] + [six(10 + 15 * i) for i in range(9)]
    put(tmp_path, rows, header=SIX)
    message = refused(tmp_path)
    assert "BTCUSDT-1m.csv row 12: from here on rows are 15 minutes apart, not 1m" in message


def test_a_file_that_is_of_a_longer_interval_altogether_is_refused(tmp_path):
    put(tmp_path, [six(15 * i) for i in range(4)], header=SIX)
    assert "row 2: from here on rows are 15 minutes apart" in refused(tmp_path)


def test_holes_that_come_now_and_then_are_no_other_interval(tmp_path):
    put(tmp_path, [six(minute) for minute in range(60) if minute % 7], header=SIX)
    assert read(tmp_path)[1].count(Oddity.GAP) == 8


def test_a_name_twice_in_the_header_is_refused(tmp_path):
    put(tmp_path, [f"{six(0)},100"], header=f"{SIX},Close")
    assert "row 1 names the column close twice" in refused(tmp_path)


def test_rows_outside_the_month_in_the_name_are_refused(tmp_path):
    put(tmp_path, [a_row(0)], name="BTCUSDT-1m-2025-06.csv")
    assert "BTCUSDT-1m-2025-06.csv row 2: open_time is outside the month" in refused(tmp_path)


def test_a_zip_that_holds_another_symbol_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "BTCUSDT-1m.zip", "w") as archive:
        archive.writestr("ETHUSDT-1m.csv", f"{ALL}\n{a_row()}\n")
    assert "BTCUSDT-1m.zip holds ETHUSDT-1m.csv" in refused(tmp_path)


def test_a_month_of_another_symbol_among_its_own_is_refused_at_the_seam(tmp_path):
    put(tmp_path, [six(0)], name="BTCUSDT-1m-a.csv", header=SIX)
    put(tmp_path, [f"{START + MINUTE},2,2.1,1.9,2,5"], name="BTCUSDT-1m-b.csv", header=SIX)
    message = refused(tmp_path)
    assert "BTCUSDT-1m-b.csv row 2: opens at 2, after 100.5" in message


def test_a_file_other_than_the_checksum_beside_it_says_is_refused(tmp_path):
    path = put(tmp_path, [a_row(0), a_row(1)])
    beside = tmp_path / "BTCUSDT-1m.csv.CHECKSUM"
    beside.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    read(tmp_path)
    path.write_text(path.read_text().replace("100.5", "100.6"))
    assert "BTCUSDT-1m.csv is not the file that BTCUSDT-1m.csv.CHECKSUM names" in refused(tmp_path)


@pytest.mark.parametrize("name", ["BTCUSDT-1m.csv", "BTCUSDT-1m.csv.gz", "BTCUSDT-1m.zip"])
def test_an_empty_file_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    assert name in refused(tmp_path)


# ----------------------------------------------------------------------- funding
def a_rate(hour: int, rate: object = 0.0001, every: int = 8, late_ms: int = 3) -> str:
    return f"{DAY + hour * HOUR + late_ms},{every},{rate}"


def put_rates(folder: Path, rows: list[str], name: str = "BTCUSDT-fundingRate-2025-05.zip") -> None:
    text = "calc_time,funding_interval_hours,last_funding_rate\n" + "\n".join(rows) + "\n"
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(name.replace(".zip", ".csv"), text)


def between(first: int, last: int) -> tuple[pd.Timestamp, pd.Timestamp]:
    day = pd.Timestamp(DAY, unit="ms", tz="UTC")
    return day + pd.Timedelta(hours=first), day + pd.Timedelta(hours=last)


def test_funding_that_is_whole_within_a_window_is_returned(tmp_path):
    put_rates(tmp_path, [a_rate(hour) for hour in (0, 8, 16, 24)])
    rates = read_funding(tmp_path, ["BTCUSDT"], *between(1, 24))["BTCUSDT"]
    assert rates["funding_rate"].tolist() == [0.0001] * 4
    assert list(rates.columns) == ["funding_rate"]


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        ((1, 24), r"2025-05-04 16:00 is missing after .*2025-05\.zip row 3"),
        ((-9, 7), r"2025-05-03 16:00 is missing before .*row 2"),
        ((25, 48), r"2025-05-05 16:00 and 1 more is missing after .*row 5"),
    ],
)
def test_a_missing_rate_within_a_window_is_refused_where_it_is_missing(tmp_path, window, reason):
    put_rates(tmp_path, [a_rate(0), a_rate(8), a_rate(24), a_rate(32)])
    with pytest.raises(DataError, match=reason):
        read_funding(tmp_path, ["BTCUSDT"], *between(*window))


def test_a_rate_missing_outside_the_window_does_not_matter(tmp_path):
    put_rates(tmp_path, [a_rate(0), a_rate(8), a_rate(24), a_rate(32)])
    assert len(read_funding(tmp_path, ["BTCUSDT"], *between(17, 32))["BTCUSDT"]) == 4


def test_a_symbol_without_rates_is_refused_within_a_window_only(tmp_path):
    put_rates(tmp_path, [a_rate(0)])
    assert list(read_funding(tmp_path, ["BTCUSDT", "ETHUSDT"])) == ["BTCUSDT"]
    with pytest.raises(DataError, match=r"no funding rates of ETHUSDT .*FUNDING=zero"):
        read_funding(tmp_path, ["ETHUSDT"], *between(0, 8))


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        ([(0, 8), (8, 8), (32, 8)], 2),
        ([(0, 4), (4, 4), (12, 4)], 1),  # every 4 hours as recorded: 08:00 is missing
        ([(0, 8), (8, 8), (12, 4), (16, 4)], 0),  # a new interval is no hole
        ([(0, 4), (4, 4), (12, 8), (20, 8)], 0),
    ],
)
def test_holes_in_funding_are_said(tmp_path, rows, missing):
    put_rates(tmp_path, [a_rate(hour, every=every) for hour, every in rows])
    report = HistoryReport()
    read_funding(tmp_path, None, report=report)
    assert report.count(Oddity.NO_RATE) == missing


def test_holes_in_funding_without_a_recorded_interval_are_seen_by_their_neighbours(tmp_path):
    lines = [f"{DAY + hour * HOUR},0.0001" for hour in (0, 4, 8, 16, 20, 24, 32, 40)]
    (tmp_path / "BTCUSDT-funding.csv").write_text(
        "\n".join(["funding_time,funding_rate", *lines, ""])
    )
    report = HistoryReport()
    read_funding(tmp_path, None, report=report)
    assert report.count(Oddity.NO_RATE) == 1
    assert "2025-05-04 12:00" in report.lines()[0]


@pytest.mark.parametrize(
    ("rows", "row", "reason"),
    [
        ([a_rate(0), a_rate(8, "nan")], 3, "funding_rate is not a number"),
        ([a_rate(0), a_rate(8, 0.5)], 3, "in percent"),
        ([a_rate(0), a_rate(8, late_ms=1_200_000)], 3, "not at a full hour"),
        ([a_rate(0), a_rate(8), a_rate(8, 0.0002, late_ms=9)], 4, "other values than"),
        ([a_rate(0, every=24)], 2, "not 1 to 8"),
    ],
)
def test_rates_that_no_settlement_gives_are_refused(tmp_path, rows, row, reason):
    put_rates(tmp_path, rows)
    with pytest.raises(DataError, match=rf"2025-05\.zip row {row}: .*{reason}"):
        read_funding(tmp_path, None)


def test_the_same_settlement_recorded_twice_counts_once(tmp_path):
    put_rates(tmp_path, [a_rate(0), a_rate(8, late_ms=0), a_rate(8, late_ms=5)])
    report = HistoryReport()
    assert len(read_funding(tmp_path, None, report=report)["BTCUSDT"]) == 2
    assert said(report) == {Oddity.REPEATED: 1}


# ----------------------------------------------------------------------- any damage
ROWS = [a_row(m, close=100 + m % 2 / 2, volume=2 + m) for m in range(12)]
WHOLE = [ALL, *ROWS]
NAMES_PLACE = re.compile(r"BTCUSDT-1m\.\S+ row \d+|BTCUSDT-1m\.\S+ (is|cannot|holds|lacks)")


def same_said_or_refused(folder: Path) -> None:
    """Hold a damaged file to the promise: the same frame, less of it and said, or a refusal."""
    report = HistoryReport()
    whole = folder / "whole"
    whole.mkdir()
    put(whole, ROWS)
    expected = read_history(whole, None)["BTCUSDT"]
    refusal = ""
    try:
        frame = read_history(folder, ["BTCUSDT"], report=report)["BTCUSDT"]
    except DataError as error:
        refusal = str(error)
    if refusal:
        assert NAMES_PLACE.search(refusal), refusal
        assert "\n" not in refusal
    elif not report.lines():
        pd.testing.assert_frame_equal(frame, expected)
    else:  # what is left of the rows and columns is as it was
        left = expected.loc[frame.index, list(frame.columns)]
        pd.testing.assert_frame_equal(frame, left, check_freq=False)


def swapped(lines: list[str], at: int, to: int) -> list[str]:
    lines[at], lines[to] = lines[to], lines[at]
    return lines


WRONG = ("", "nan", "inf", "-inf", "-5", "x", "1e400", "1.2.3", " ", "1,5", "None", "\0", '"')
DAMAGES = st.one_of(
    st.tuples(st.just("drop"), st.integers(2, 11), st.just("")),  # ends: see docs/data.md
    st.tuples(st.just("double"), st.integers(0, 12), st.just("")),
    st.tuples(st.just("swap"), st.integers(0, 12), st.integers(0, 12)),
    st.tuples(st.just("blank"), st.integers(0, 13), st.sampled_from(["", " ", "\r"])),
    st.tuples(
        st.just("field"), st.integers(0, 12), st.tuples(st.integers(0, 10), st.sampled_from(WRONG))
    ),
    # A nought among the counts would be a digit changed: see docs/data.md.
    st.tuples(st.just("field"), st.integers(0, 12), st.tuples(st.integers(0, 6), st.just("0"))),
    st.tuples(st.just("lose field"), st.integers(0, 12), st.integers(0, 11)),
    st.tuples(st.just("cut"), st.integers(1, 900), st.just("")),
    st.tuples(st.just("micro"), st.integers(1, 12), st.just("")),
    st.tuples(st.just("headless"), st.just(0), st.just("")),
)


def damaged(kind: str, at: int, what: object) -> bytes:
    lines = list(WHOLE)
    fields = lines[min(at, 12)].split(",")
    match kind, what:
        case "drop", _:
            del lines[at]
        case "double", _:
            lines.insert(at, lines[at])
        case "swap", int(to):
            lines = swapped(lines, at, to)
        case "blank", str(text):
            lines.insert(at, text)
        case "field", (int(place), str(text)):
            fields[place] = text
            lines[at] = ",".join(fields)
        case "lose field", int(place):
            del fields[place]
            lines[at] = ",".join(fields)
        case "micro", _:
            fields[0] += "000"
            fields[6] += "999"
            lines[at] = ",".join(fields)
        case "headless", _:
            del lines[0]
    data = "".join(f"{line}\n" for line in lines).encode()
    # Cut exactly at a line's end a plain file is a shorter whole one: see docs/data.md.
    return data[:-at].rstrip(b"\n") if kind == "cut" else data


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damage=DAMAGES, packed=st.booleans())
def test_no_damage_to_the_text_changes_the_frame_in_silence(tmp_path_factory, damage, packed):
    folder = tmp_path_factory.mktemp("text")
    data = damaged(*damage)
    if packed and damage[0] != "cut":
        (folder / "BTCUSDT-1m.csv.gz").write_bytes(gzip.compress(data))
    else:
        (folder / "BTCUSDT-1m.csv").write_bytes(data)
    same_said_or_refused(folder)


def packed_whole(kind: str) -> bytes:
    data = "".join(f"{line}\n" for line in WHOLE).encode()
    if kind == "csv.gz":
        return gzip.compress(data, mtime=0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("BTCUSDT-1m.csv"), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["csv.gz", "zip"]),
    share=st.floats(0, 1, exclude_max=True),
    how=st.one_of(st.integers(1, 255), st.sampled_from(["cut", "lose", "insert"])),
)
def test_no_damage_to_an_archive_changes_the_frame_in_silence(tmp_path_factory, kind, share, how):
    folder = tmp_path_factory.mktemp("archive")
    data = bytearray(packed_whole(kind))
    at = int(share * len(data))
    match how:
        case int(bits):
            data[at] ^= bits
        case "cut":
            del data[at:]
        case "lose":
            del data[at]
        case "insert":
            data.insert(at, 0x5A)
    (folder / f"BTCUSDT-1m.{kind}").write_bytes(bytes(data))
    same_said_or_refused(folder)


# ----------------------------------------------------------------------- recorded data
@needs_shared
def test_the_seventeen_filled_minutes_of_the_recorded_data_are_seen_as_stale():
    report = HistoryReport()
    read_history(SHARED / "um-1m/2025q1", None, report=report)
    assert said(report) == {Oddity.FLAT: 5 * 17, Oddity.SIX_COLUMNS: 5}
    (line,) = [line for line in report.lines() if "stale" in line]
    assert "ADAUSDT-1m.csv.gz (17, first 2025-01-29 01:23)" in line


@needs_shared
def test_other_recorded_files_are_whole_but_for_what_is_known_of_them():
    report = HistoryReport()
    read_history(SHARED / "um-1m/2025q2", None, report=report)
    read_history(SHARED / "um-4h", None, "4h", report=report)
    read_history(SHARED / "spot-15m", ["BTCUSDT"], "15m", report=report)
    read_funding(SHARED / "um-funding", None, report=report)
    assert said(report) == {Oddity.SIX_COLUMNS: 5}


@needs_shared
def test_the_spot_halt_of_2023_is_said_a_cut_bar_without_volume_and_a_gap():
    report = HistoryReport()
    read_history(SHARED / "spot-1h", ["BTCUSDT"], "1h", report=report)
    assert report.count(Oddity.CUT_BAR) == report.count(Oddity.GAP) == 1
    assert report.count(Oddity.FLAT) + report.count(Oddity.NO_VOLUME) == 1


@needs_shared
def test_recorded_funding_covers_the_recorded_minutes():
    folder = SHARED / "um-1m/2025q2"
    frames = read_history(folder, None)
    first = min(frame.index[0] for frame in frames.values())
    last = max(frame.index[-1] for frame in frames.values())
    with pytest.raises(DataError, match="is missing after"):
        read_funding(SHARED / "um-funding", list(frames), first, last)
    rates = read_funding(
        SHARED / "um-funding", list(frames), first, pd.Timestamp("2025-06-24 07:59", tz="UTC")
    )
    assert list(rates) == list(frames)
