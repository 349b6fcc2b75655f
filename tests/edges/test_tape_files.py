"""From history frames to a tape: one grid, stated repairs, settlements at their bars."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from actors.edges.history_report import HistoryReport
from actors.edges.tape_files import Recording, tape_of
from config import Config
from core.backtest.tape import CLOSE, HIGH, LOW, OPEN, TAKER, VOLUME
from core.errors import DataError
from tests.symbol.seeded_candles import seeded_candles

BTC, ETH = "BTCUSDT", "ETHUSDT"
NOWHERE = Path("/nonexistent")


def recorded(
    frames: dict[str, pd.DataFrame], funding: Path | None = None, **bounds: Any
) -> Recording:
    config = Config(
        _env_file=None,
        _environ={},
        SYMBOLS=list(frames),
        ALLOW_TECHNICAL_ONLY=True,
        FUNDING="zero" if funding is None else "data",
    )
    return tape_of(config, frames, funding or NOWHERE, report=HistoryReport(), **bounds)


def later(frame: pd.DataFrame, minutes: int) -> pd.DataFrame:
    return frame.set_axis(frame.index + pd.Timedelta(minutes=minutes))


def test_symbols_share_their_common_window():
    recording = recorded({BTC: seeded_candles(50, 1), ETH: later(seeded_candles(60, 2), 7)})
    tape = recording.tape
    assert len(tape) == 43
    assert tape.open_ms[0] == later(seeded_candles(1), 7).index[0].value // 10**6
    assert tape.bars[BTC][CLOSE, 0] == seeded_candles(50, 1)["close"].iloc[7]
    assert recording.filled_bars == {BTC: 0, ETH: 0}


def test_missing_bars_are_flat_at_the_last_close_without_volume_and_counted():
    frame = seeded_candles(20, 1)
    recording = recorded({BTC: frame.drop(frame.index[[5, 6, 11]])})
    table = recording.tape.bars[BTC]
    for row in (OPEN, HIGH, LOW, CLOSE):
        assert table[row, [5, 6]].tolist() == [frame["close"].iloc[4]] * 2
        assert table[row, 11] == frame["close"].iloc[10]
    assert table[VOLUME, [5, 6, 11]].tolist() == [0.0, 0.0, 0.0]
    assert recording.filled_bars == {BTC: 3}


def test_a_hole_at_the_window_s_start_is_filled_from_before_it_never_from_its_end():
    btc, eth = seeded_candles(50, 1), later(seeded_candles(60, 2), -5)
    known = eth["close"].iloc[4]
    recording = recorded({BTC: btc, ETH: eth.drop(btc.index[:2])})
    assert recording.tape.bars[ETH][CLOSE, :2].tolist() == [known, known]
    assert recording.filled_bars[ETH] == 2


@pytest.mark.parametrize("first", [10, 0], ids=["inside", "over the window's start"])
def test_a_hole_of_more_than_a_day_is_refused_naming_it(first):
    btc, eth = seeded_candles(1_500, 1), later(seeded_candles(1_510, 2), -5)
    gone = btc.index[first : first + 1_441]
    with pytest.raises(DataError, match=r"ETHUSDT lacks more than a day after 2025-05-04 15:"):
        recorded({BTC: btc, ETH: eth.drop(gone)})
    filled = recorded({BTC: btc, ETH: eth.drop(gone[:-1])}).filled_bars  # a day is let pass
    assert filled[ETH] == 1_440


def test_a_symbol_without_a_single_bar_in_the_window_is_refused_in_a_line():
    btc, eth = seeded_candles(1_500, 1), seeded_candles(10_000, 2)
    eth = later(eth, -5)
    with pytest.raises(DataError, match="ETHUSDT lacks more than a day"):
        recorded({BTC: btc, ETH: eth.drop(btc.index)})


def test_symbols_of_different_times_have_no_common_window():
    with pytest.raises(DataError, match="no common window"):
        recorded({BTC: seeded_candles(50, 1), ETH: later(seeded_candles(50, 2), 60)})


def test_the_end_is_exclusive():
    until = datetime(2025, 5, 4, 15, 43, tzinfo=UTC)  # ten minutes after the first bar
    assert len(recorded({BTC: seeded_candles(50, 1)}, until=until).tape) == 10


# ---------------------------------------- funding
def rates(folder: Path, stamps: list[pd.Timestamp], late_ms: int = 0) -> Path:
    rows = [f"{stamp.value // 10**6 + late_ms},0.0001" for stamp in stamps]
    (folder / f"{BTC}-funding.csv").write_text("\n".join(["funding_time,funding_rate", *rows, ""]))
    return folder


@pytest.mark.parametrize("late_ms", [0, 4, 13, 900])
def test_a_settlement_recorded_some_ms_late_belongs_to_its_hour(tmp_path, late_ms):
    hour = pd.Timestamp("2025-05-04 16:00", tz="UTC")
    tape = recorded({BTC: seeded_candles(60, 1)}, rates(tmp_path, [hour], late_ms)).tape
    (one,) = tape.funding[BTC]
    assert tape.open_ms[one.bar] == hour.value // 10**6
    assert one.rate == Decimal("0.0001")


@pytest.mark.parametrize("late_ms", [0, 13])
def test_settlements_of_long_bars_fall_on_the_next_open(tmp_path, late_ms):
    index = pd.date_range("2025-05-04", periods=5, freq="D", tz="UTC", unit="ms")
    frame = seeded_candles(5, 1).set_axis(index)
    stamps = list(pd.date_range("2025-05-04 08:00", "2025-05-08", freq="8h", tz="UTC"))
    config = Config(
        _env_file=None,
        _environ={},
        SYMBOLS=[BTC],
        ALLOW_TECHNICAL_ONLY=True,
        KLINE_INTERVAL="1d",
    )
    folder = rates(tmp_path, stamps, late_ms)
    tape = tape_of(config, {BTC: frame}, folder, report=HistoryReport()).tape
    # 08:00 and 16:00 of a day lie inside its bar; its end is the first open after them.
    assert [one.bar for one in tape.funding[BTC]] == np.repeat([1, 2, 3, 4], 3).tolist()


def test_a_missing_rate_is_refused_naming_the_hour(tmp_path):
    frame = later(seeded_candles(60, 1), 0)
    folder = rates(tmp_path, [pd.Timestamp("2025-05-04 08:00", tz="UTC")])
    with pytest.raises(DataError, match="2025-05-04 16:00 is missing"):
        recorded({BTC: frame}, folder)


def test_taker_volume_is_kept_where_it_is_known():
    frame = seeded_candles(20, 1).assign(taker_buy_volume=3.0)
    assert recorded({BTC: frame}).tape.bars[BTC][TAKER].tolist() == [3.0] * 20
    assert np.isnan(recorded({BTC: seeded_candles(20, 1)}).tape.bars[BTC][TAKER]).all()
