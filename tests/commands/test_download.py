"""`run.py download` against an archive on loopback: what counts, what goes on, what is said."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from actors.commands.download import DownloadOptions, download
from actors.commands.moments import day
from actors.edges.archive import covering, expected_sha256, not_yet
from actors.edges.history_files import read_funding, read_history
from config import Config
from core.errors import DataError, TradingError, UnavailableError, UsageError
from tests.commands.archived import Archive

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000


@pytest.fixture
def archive() -> Iterator[Archive]:
    served = Archive()
    yield served
    served.stop()


def options(archive: Archive, folder: Path, **changes: Any) -> DownloadOptions:
    given: dict[str, Any] = {
        "symbols": ("BTCUSDT",),
        "first": date(2024, 2, 1),
        "until": date(2024, 3, 1),
        "out": folder,
        "base": archive.url,
        "interval": "1h",
        "retries": 2,
        "retry_delay_s": 0.0,
    }
    return DownloadOptions(**(given | changes))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def some_bytes(size: int = MEGABYTE) -> bytes:
    return random.Random(7).randbytes(size)


def run_py(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if name not in Config.model_fields
    }
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "download", *words],
        cwd=folder,
        env={**inherited, "STATE_DIR": str(folder / "state"), "no_proxy": "127.0.0.1", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# ----------------------------------------------------------------------- what covers a span
def files(first: date, until: date, today: date) -> list[str]:
    return [file.name for file in covering(["BTCUSDT"], "1m", first, until, today)]


def test_whole_months_that_are_over_come_as_months_and_the_rest_as_days():
    found = files(date(2025, 4, 30), date(2025, 6, 2), today=date(2025, 7, 9))
    assert found == [
        "BTCUSDT-1m-2025-04-30.zip",
        "BTCUSDT-fundingRate-2025-04.zip",
        "BTCUSDT-1m-2025-05.zip",
        "BTCUSDT-fundingRate-2025-05.zip",
        "BTCUSDT-1m-2025-06-01.zip",
        "BTCUSDT-fundingRate-2025-06.zip",
    ]


def test_a_month_in_progress_comes_as_its_days_that_are_over_and_without_funding():
    found = files(date(2025, 6, 1), date(2025, 7, 1), today=date(2025, 6, 3))
    assert found == ["BTCUSDT-1m-2025-06-01.zip", "BTCUSDT-1m-2025-06-02.zip"]
    said = not_yet(date(2025, 6, 1), date(2025, 7, 1), today=date(2025, 6, 3))
    assert "days from 2025-06-03 on" in said[0]
    assert "none from 2025-06 on" in said[1]


def test_nothing_is_missing_from_months_that_are_over():
    assert not not_yet(date(2025, 1, 1), date(2025, 6, 1), today=date(2025, 6, 3))


def test_paths_are_those_of_the_public_archive():
    whole = covering(["BTCUSDT"], "1m", date(2025, 5, 1), date(2025, 6, 2), date(2026, 1, 1))
    assert [file.path for file in whole[:3]] == [
        "data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2025-05.zip",
        "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2025-05.zip",
        "data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-06-01.zip",
    ]


@pytest.mark.parametrize("text", ["", "abc  F.zip", f"{'0' * 64}  G.zip", "<html>no</html>"])
def test_a_checksum_of_another_form_or_file_is_refused(text):
    with pytest.raises(DataError, match=r"F\.zip\.CHECKSUM"):
        expected_sha256(text, "F.zip")


# ----------------------------------------------------------------------- what arrives
@pytest.mark.parametrize("header", [True, False])
def test_the_folder_is_read_by_the_history_readers_with_and_without_headers(
    tmp_path, archive, capsys, header
):
    for symbol in ("BTCUSDT", "DOGEUSDT"):
        archive.put_month(symbol, 2024, 2, header=header)
    assert download(options(archive, tmp_path, symbols=("BTCUSDT", "DOGEUSDT"))) == 0
    frames = read_history(tmp_path, ["BTCUSDT", "DOGEUSDT"], "1h")
    assert [len(frame) for frame in frames.values()] == [29 * 24, 29 * 24]
    assert str(frames["BTCUSDT"].index[0]) == "2024-02-01 00:00:00+00:00"
    assert [len(rates) for rates in read_funding(tmp_path, list(frames)).values()] == [87, 87]
    assert capsys.readouterr().err == ""


def test_single_days_hold_no_row_outside_the_span(tmp_path, archive):
    for number in range(9, 14):
        archive.put_day("BTCUSDT", date(2024, 2, number))
    span = {"first": date(2024, 2, 10), "until": date(2024, 2, 12)}
    assert download(options(archive, tmp_path, **span)) == 0
    index = read_history(tmp_path, None, "1h")["BTCUSDT"].index
    assert (index[0], index[-1]) == (
        pd.Timestamp("2024-02-10 00:00", tz="UTC"),
        pd.Timestamp("2024-02-11 23:00", tz="UTC"),
    )


def test_what_is_verified_is_not_asked_for_again(tmp_path, archive):
    archive.put_month("BTCUSDT", 2024, 2)
    download(options(archive, tmp_path))
    archive.asked.clear()
    assert download(options(archive, tmp_path)) == 0
    assert archive.asked == []


def test_a_held_file_that_was_damaged_is_fetched_again(tmp_path, archive):
    path = archive.put_month("BTCUSDT", 2024, 2)
    download(options(archive, tmp_path))
    held = tmp_path / path.rsplit("/", 1)[1]
    held.write_bytes(b"rot")
    assert download(options(archive, tmp_path)) == 0
    assert held.read_bytes() == archive.files[path]


def test_a_held_file_without_its_checksum_is_checked_not_fetched(tmp_path, archive):
    path = archive.put_month("BTCUSDT", 2024, 2)
    download(options(archive, tmp_path))
    (tmp_path / (path.rsplit("/", 1)[1] + ".CHECKSUM")).unlink()
    archive.asked.clear()
    assert download(options(archive, tmp_path)) == 0
    assert [asked for asked, _ in archive.asked] == [f"{path}.CHECKSUM"]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_what_broke_off_goes_on_by_range_or_begins_anew(tmp_path, archive, knows_ranges):
    archive.knows_ranges = knows_ranges
    path = archive.put_month("BTCUSDT", 2024, 2)
    archive.put(path, some_bytes())
    archive.cuts[path] = [600_000]
    assert download(options(archive, tmp_path)) == 0
    whole, rest = archive.ranges_asked(path)
    assert whole == ""
    assert 0 < int(rest.removeprefix("bytes=").removesuffix("-")) <= 600_000
    assert (tmp_path / path.rsplit("/", 1)[1]).read_bytes() == some_bytes()


def test_a_server_that_dies_half_way_leaves_a_part_that_the_next_run_continues(tmp_path, archive):
    path = archive.put_month("BTCUSDT", 2024, 2)
    archive.put(path, some_bytes())
    archive.cuts[path] = [300_000, 0, 0]
    with pytest.raises(UnavailableError, match="run the same command again"):
        download(options(archive, tmp_path))
    (part,) = tmp_path.glob("*.part")
    arrived = part.stat().st_size
    assert 0 < arrived <= 300_000
    assert not (tmp_path / path.rsplit("/", 1)[1]).exists()
    archive.asked.clear()
    assert download(options(archive, tmp_path)) == 0
    assert archive.ranges_asked(path) == [f"bytes={arrived}-"]
    assert not list(tmp_path.glob("*.part"))


def test_a_part_longer_than_the_file_is_begun_anew(tmp_path, archive):
    path = archive.put_month("BTCUSDT", 2024, 2)
    name = path.rsplit("/", 1)[1]
    (tmp_path / f"{name}.part").write_bytes(b"x" * 2 * len(archive.files[path]))
    assert download(options(archive, tmp_path)) == 0
    assert (tmp_path / name).read_bytes() == archive.files[path]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_trouble_of_the_server_is_repeated(tmp_path, archive, status):
    path = archive.put_month("BTCUSDT", 2024, 2)
    archive.answers = {path: [status], f"{path}.CHECKSUM": [status, status]}
    assert download(options(archive, tmp_path)) == 0


def test_another_refusal_of_the_server_is_not_repeated(tmp_path, archive):
    path = archive.put_month("BTCUSDT", 2024, 2)
    archive.answers = {f"{path}.CHECKSUM": [403]}
    with pytest.raises(TradingError, match="answered HTTP 403 Forbidden"):
        download(options(archive, tmp_path))


# ----------------------------------------------------------------------- what does not count
def test_a_wrong_checksum_is_tried_once_more(tmp_path, archive):
    path = archive.put_month("BTCUSDT", 2024, 2)
    archive.damage[path] = 1
    assert download(options(archive, tmp_path)) == 0
    assert archive.ranges_asked(path) == ["", ""]


def test_a_checksum_wrong_twice_is_refused_and_the_file_removed(tmp_path, archive, capsys):
    path = archive.put_month("BTCUSDT", 2024, 2)
    archive.damage[path] = 9
    assert download(options(archive, tmp_path)) == 1
    assert not list(tmp_path.glob("BTCUSDT-1h*"))
    assert len(archive.ranges_asked(path)) == 2
    assert "did not match their checksum: BTCUSDT-1h-2024-02.zip" in capsys.readouterr().err


def test_a_truncated_zip_does_not_count_though_the_answer_was_whole(tmp_path, archive):
    path = archive.put_month("BTCUSDT", 2024, 2)
    archive.files[path] = archive.files[path][:-100]
    assert download(options(archive, tmp_path)) == 1
    assert not list(tmp_path.glob("BTCUSDT-1h*"))


def test_months_before_a_listing_are_said_and_not_fatal(tmp_path, archive, capsys):
    archive.put_month("BTCUSDT", 2024, 2)
    assert download(options(archive, tmp_path, first=date(2024, 1, 1))) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "BTCUSDT: not in the archive, as before a listing: " in line
    assert "BTCUSDT-1h-2024-01.zip" in line


def test_a_symbol_without_any_klines_is_said_and_fails(tmp_path, archive, capsys):
    archive.put_month("BTCUSDT", 2024, 2)
    wanted = options(archive, tmp_path, symbols=("BTCUSDT", "NOPEUSDT"))
    assert download(wanted, as_json=True) == 1
    out, err = capsys.readouterr()
    assert "NOPEUSDT: no 1h klines from 2024-02-01 to 2024-03-01" in err
    told = json.loads(out)
    assert told["complete"] is False
    assert told["symbols"]["BTCUSDT"]["klines"] == told["symbols"]["BTCUSDT"]["funding"] == 1


def test_a_month_just_over_and_not_published_yet_comes_as_its_days(tmp_path, archive):
    until = datetime.now(UTC).date().replace(day=1)
    first = (until - timedelta(days=1)).replace(day=1)
    archive.put_day("BTCUSDT", first)
    archive.put_day("BTCUSDT", first + timedelta(days=1))
    assert download(options(archive, tmp_path, first=first, until=until)) == 0
    assert len(read_history(tmp_path, None, "1h")["BTCUSDT"]) == 48


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbols": ("../BTC",)}, "--symbols"),
        ({"until": date(2024, 2, 1)}, "--to must be after --from"),
        ({"interval": "7m"}, "--interval"),
        ({"base": "ftp://x"}, "--base"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(tmp_path, archive, changes, said):
    with pytest.raises(UsageError, match=said):
        options(archive, tmp_path, **changes)


def test_a_day_that_is_none_is_refused():
    with pytest.raises(UsageError, match="--from must be a day"):
        day("2025-02-30", "--from")


# ----------------------------------------------------------------------- the command as a process
def test_the_command_prints_one_json_document_and_nothing_else(tmp_path, archive):
    archive.put_month("BTCUSDT", 2024, 2)
    span = ("--from", "2024-02-01", "--to", "2024-03-01", "--interval", "1h")
    done = run_py(
        tmp_path,
        *("--symbols", "btcusdt", *span, "--out", "candles", "--base", archive.url, "--json"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    counts = {"fetched": 2, "held": 0, "klines": 1, "funding": 1}
    assert told["symbols"]["BTCUSDT"].items() >= counts.items()
    assert told["symbols"]["BTCUSDT"]["absent"] == told["symbols"]["BTCUSDT"]["refused"] == []
    assert names(tmp_path / "candles") == [
        "BTCUSDT-1h-2024-02.zip",
        "BTCUSDT-1h-2024-02.zip.CHECKSUM",
        "BTCUSDT-fundingRate-2024-02.zip",
        "BTCUSDT-fundingRate-2024-02.zip.CHECKSUM",
    ]


def test_no_network_is_one_line_and_exits_75(tmp_path):
    done = run_py(
        tmp_path,
        *("--symbols", "BTCUSDT", "--from", "2024-02-01", "--to", "2024-03-01"),
        *("--out", "candles", "--base", "http://127.0.0.1:9"),
        RETRY_DELAY="0",
    )
    assert done.returncode == 75
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the archive http://127.0.0.1:9 cannot be reached")
    assert "Fix:" in line


def test_a_full_disk_is_one_line_and_exits_64(tmp_path, archive):
    """A limit on the size of files stands for the disk: the same kind of error, without root."""
    path = archive.put_month("BTCUSDT", 2024, 2)
    archive.put(path, some_bytes())
    words = ["--symbols", "BTCUSDT", "--from", "2024-02-01", "--to", "2024-03-01"]
    words += ["--interval", "1h", "--out", "candles", "--base", archive.url]
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({MEGABYTE // 2},) * 2)"
    begin = "import sys; from actors.commands.cli import main"
    code = f"{limit}; {begin}; sys.exit(main({['download', *words]!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 64, line
    assert "--out candles cannot be written to (File too large" in line
