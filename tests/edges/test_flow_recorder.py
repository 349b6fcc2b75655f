"""Order flow on disk: the bot at a real venue fills files that training reads as they are."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from actors.edges.flow_recorder import HEADER, FlowRecorder, flow_streams, row_of
from actors.edges.history_files import read_history
from config import Config
from core.clock import NS_PER_MS
from core.errors import DataError
from core.feed.order_flow import FlowBar
from core.messages import Candle, KlineFrame, StreamDown, StreamUp
from models.experiments.market import market_of
from tests.edges.gateway_desk import PATIENCE_S, Desk, Simulated

OPENED_MS = 1_748_736_000_000  # 2025-06-01 00:00
COLUMNS = HEADER.split(",")[1:]


def config() -> Config:
    return Config(_env_file=None, SYMBOLS=["BTCUSDT"])


def a_frame(minute: int, *, taker: float = 1.0) -> KlineFrame:
    candle = Candle(
        open_time_ns=(OPENED_MS + minute * 60_000) * NS_PER_MS,
        open=100.0,
        high=101.5,
        low=99.25,
        close=101.0,
        volume=2.0,
        taker_buy_volume=taker,
    )
    end_ns = candle.open_time_ns + 60_000 * NS_PER_MS
    return KlineFrame(symbol="BTCUSDT", candle=candle, closed=True, event_ns=end_ns)


def a_recorder(folder: Path, heard_from: int = -1) -> FlowRecorder:
    """One that listens since that minute."""
    recorder = FlowRecorder(config(), folder, lambda _news: None)
    at_ms = OPENED_MS + heard_from * 60_000
    quote = {"e": "bookTicker", "s": "BTCUSDT", "u": 1, "B": "3", "A": "1", "T": at_ms}
    recorder.frame({"stream": "btcusdt@bookTicker", "data": quote})
    return recorder


def recorded(folder: Path) -> list[str]:
    return (folder / "BTCUSDT-1m-2025-06.csv").read_text("ascii").splitlines()


@pytest.fixture
def venue():
    venue = Simulated(speed=300.0)
    venue.start()
    yield venue
    venue.stop()


def test_a_bot_at_a_venue_records_bars_that_training_reads(venue, tmp_path):
    desk = Desk(venue, RECORD_ORDER_FLOW=True, STATE_DIR=str(tmp_path))
    folder = tmp_path / "history" / "embedded"
    desk.start()
    try:
        heard: dict[tuple[str, int], Candle] = {}
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and len(heard) < 30:
            frame = desk.hear(KlineFrame, closed=True)
            heard[frame.symbol, frame.candle.open_time_ns // NS_PER_MS] = frame.candle
    finally:
        desk.gateway.stop()
    frames = read_history(folder, ("BTCUSDT", "ETHUSDT"))
    for symbol, df in frames.items():
        assert list(df.columns) == COLUMNS
        assert len(df) >= 5
        assert df["book_imbalance"].abs().max() <= 1.0
        assert df["trade_imbalance"].abs().max() > 0.0
        for opened_ms, close in zip(df.index.as_unit("ms").asi8, df["close"], strict=True):
            candle = heard.get((symbol, int(opened_ms)))
            assert candle is None or candle.close == close
    assert set(market_of(frames).flow) == {"taker_imbalance", "trade_imbalance", "book_imbalance"}


def test_nothing_more_is_listened_to_unless_it_is_wanted(venue, tmp_path):
    desk = Desk(venue, STATE_DIR=str(tmp_path))
    desk.start()
    try:
        desk.hear(KlineFrame, closed=True)
    finally:
        desk.gateway.stop()
    assert not (tmp_path / "history").exists()


def test_trades_and_quotes_never_share_a_socket():
    for names in flow_streams(config()):
        assert len({name.partition("@")[2] for name in names}) == 1


def test_rows_are_read_back_as_they_were(tmp_path):
    recorder = a_recorder(tmp_path)
    for minute in range(3):
        recorder.kline(a_frame(minute))
    recorder.close()
    df = read_history(tmp_path, None)["BTCUSDT"]
    assert df.index.as_unit("ms").asi8.tolist() == [OPENED_MS + k * 60_000 for k in range(3)]
    assert df.iloc[1].tolist() == [100.0, 101.5, 99.25, 101.0, 2.0, 1.0, 0.0, 0.5]


def test_a_successor_continues_the_file_and_repeats_no_bar(tmp_path):
    first = a_recorder(tmp_path)
    first.kline(a_frame(0))
    first.close()
    second = a_recorder(tmp_path)
    second.kline(a_frame(0))
    second.kline(a_frame(1))
    second.close()
    assert len(recorded(tmp_path)) == 3


def test_half_a_line_of_a_killed_process_is_cut_off(tmp_path):
    first = a_recorder(tmp_path)
    for minute in range(2):
        first.kline(a_frame(minute))
    first.close()
    path = tmp_path / "BTCUSDT-1m-2025-06.csv"
    path.write_bytes(path.read_bytes()[:-9])
    second = a_recorder(tmp_path)
    second.kline(a_frame(2))
    second.close()
    stamps = [row.split(",")[0] for row in recorded(tmp_path)]
    assert stamps == ["open_time", str(OPENED_MS), str(OPENED_MS + 120_000)]


def test_a_lost_stream_leaves_a_hole_and_is_nobody_elses_trouble(tmp_path):
    recorder = a_recorder(tmp_path)
    recorder.kline(a_frame(0))
    recorder.told(StreamDown(stream="flow", reason="the connection ended"))
    recorder.told(StreamUp(stream="flow", connection=2))
    recorder.kline(a_frame(1))
    recorder.close()
    assert len(recorded(tmp_path)) == 2


def test_a_candle_without_taker_volume_is_not_recorded(tmp_path):
    recorder = a_recorder(tmp_path)
    recorder.kline(a_frame(0, taker=float("nan")))
    recorder.close()
    assert not list(tmp_path.iterdir())


def test_what_the_disk_does_not_take_is_written_later(tmp_path):
    folder = tmp_path / "history"
    folder.write_text("in the way")
    recorder = a_recorder(folder)
    recorder.kline(a_frame(0))
    recorder.write()
    folder.unlink()
    recorder.kline(a_frame(1))
    recorder.close()
    assert len(recorded(folder)) == 3


def test_an_imbalance_beyond_one_is_refused(tmp_path):
    bar = FlowBar(
        symbol="BTCUSDT", candle=a_frame(0).candle, trade_imbalance=0.0, book_imbalance=-1.0
    )
    path = tmp_path / "BTCUSDT-1m.csv"
    path.write_text(f"{HEADER}\n{row_of(bar)}\n")
    assert len(read_history(tmp_path, None)["BTCUSDT"]) == 1
    path.write_text(f"{HEADER}\n{row_of(replace(bar, book_imbalance=-1.5))}\n")
    with pytest.raises(DataError, match="row 2: an imbalance is beyond 1"):
        read_history(tmp_path, None)
