"""Commands that read history say on stderr what was odd in it; the venue among its first lines."""

from pathlib import Path

import pytest

from actors.commands.reading import read_and_say
from actors.edges.history_files import read_history
from actors.edges.venue_source import VenueSettings, open_source

START = 1_746_372_780_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [f"{START + m * 60_000},100,101,99,100,{m + 1}" for m in range(90) if m != 7]
    header = "open_time,open,high,low,close,volume"
    (tmp_path / "BTCUSDT-1m.csv").write_text("\n".join([header, *rows, ""]))
    return tmp_path


def test_a_command_says_a_line_per_kind_on_stderr_and_nothing_on_stdout(folder, capsys):
    frames = read_and_say(folder, None)
    assert len(frames["BTCUSDT"]) == 89
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[1] for line in err.splitlines()] == [
        " 1 symbols with six columns only",
        " 1 missing bars",
    ]


def test_the_venue_says_the_same_lines_before_it_plays(folder):
    settings = VenueSettings(
        symbols=(),
        seed=7,
        balance="10000",
        history=10,
        data=str(folder),
        funding="",
        start_ms=START,
    )
    _, notices = open_source(settings)
    assert notices[1] == (
        "history: 1 missing bars: left missing; BTCUSDT-1m.csv (1, first 2025-05-04 15:40)"
    )
    assert notices[2].startswith("replays ")


def test_a_reader_is_told_how_many_files_of_all_are_read(folder):
    other = folder / "ETHUSDT-1m.csv"
    other.write_text((folder / "BTCUSDT-1m.csv").read_text())
    seen: list[tuple[int, int]] = []
    read_history(folder, None, told=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
