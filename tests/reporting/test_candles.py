"""Candles for the page: bounded in number, true in what they show."""

import base64
import json

import numpy as np
import pytest

from actors.reporting.candles import (
    COARSE_MAX,
    FINE_MAX,
    NEAR_MAX,
    TRADES_MAX,
    chart_of,
    grouped,
    near_trades,
    step_for,
)
from tests.reporting.made import MINUTE, MONDAY, a_trade, some_prices


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=kind)


@pytest.mark.parametrize("step", [5 * MINUTE, 60 * MINUTE])
def test_a_merged_candle_opens_first_closes_last_and_spans_high_and_low(step):
    prices = some_prices(247)
    merged = grouped(prices, step)
    per = step // MINUTE
    for place, at in enumerate(merged.open_ms):
        part = prices.ohlc[:, place * per : (place + 1) * per]
        expected = [part[0][0], part[1].max(), part[2].min(), part[3][-1]]
        assert merged.ohlc[:, place].tolist() == expected
        assert at == MONDAY + place * step


def test_merged_candles_stand_on_round_times_whenever_the_history_begins():
    prices = some_prices(100)
    late = type(prices)(step_ms=MINUTE, open_ms=prices.open_ms[7:], ohlc=prices.ohlc[:, 7:])
    assert (grouped(late, 15 * MINUTE).open_ms % (15 * MINUTE) == 0).all()


def test_a_short_history_is_shown_bar_by_bar():
    chart = chart_of(some_prices(500), [a_trade()])
    assert [level["step"] for level in chart["levels"]] == [MINUTE]


def test_half_a_million_bars_stay_small_and_keep_the_true_bars_around_trades():
    count = 500_000
    trades = [a_trade(str(k % 13 - 6), entry_bar=50 * k) for k in range(1, 9_000)]
    chart = chart_of(some_prices(count), trades)
    coarse, fine, near = chart["levels"]
    assert len(unpacked(coarse["at"], "<u4")) <= COARSE_MAX
    assert COARSE_MAX < len(unpacked(fine["at"], "<u4")) <= FINE_MAX
    assert near["step"] == MINUTE
    assert not near["whole"]
    assert NEAR_MAX <= len(unpacked(near["at"], "<u4")) <= NEAR_MAX + 200
    assert len(json.dumps(chart)) < 2_500_000


def test_what_a_level_holds_is_what_was_given():
    prices = some_prices(300)
    (level,) = chart_of(prices, [])["levels"]
    at = level["start"] + unpacked(level["at"], "<u4").astype(np.int64) * level["step"]
    assert at.tolist() == prices.open_ms.tolist()
    for row, packed in zip(prices.ohlc, level["ohlc"], strict=True):
        assert unpacked(packed, "<f4") == pytest.approx(row, rel=1e-6)


def test_the_bars_around_the_largest_results_come_first():
    opens = some_prices(200_000).open_ms
    small = [a_trade("1", entry_bar=300 * k, bars=100) for k in range(1, 400)]
    large = a_trade("-900", entry_bar=150_000, bars=100)
    near = near_trades(opens, [*small, large])
    assert near[149_941:150_160].all()


def test_a_long_trade_keeps_the_true_bars_of_its_ends_only():
    near = near_trades(some_prices(20_000).open_ms, [a_trade(entry_bar=1_000, bars=10_000)])
    assert near[1_000]
    assert near[11_000]
    assert not near[6_000]


def test_only_closes_are_drawn_where_nothing_else_was_stored():
    prices = some_prices(5_000)
    closes = type(prices)(step_ms=MINUTE, open_ms=prices.open_ms, ohlc=prices.ohlc[3:])
    chart = chart_of(closes, [])
    assert all(len(level["ohlc"]) == 1 for level in chart["levels"])


def test_a_symbol_without_prices_shows_its_trades_alone():
    chart = chart_of(None, [a_trade()])
    assert chart["levels"] == []
    assert len(chart["trades"]) == 1


def test_the_oldest_of_too_many_trades_are_left_out_and_counted():
    trades = [a_trade(entry_bar=k) for k in range(TRADES_MAX + 3)]
    chart = chart_of(None, trades)
    assert chart["left_out"] == 3
    assert chart["trades"][0][2] == trades[3].entry_ms


@pytest.mark.parametrize("count", [1, 1_200, 1_201, 50_000, 3_000_000])
def test_the_step_is_long_enough_for_any_history(count):
    prices = some_prices(2)
    opens = MONDAY + MINUTE * np.arange(count, dtype=np.int64)
    long = type(prices)(step_ms=MINUTE, open_ms=opens, ohlc=np.zeros((4, count)))
    assert count * MINUTE / step_for(long, COARSE_MAX) <= COARSE_MAX
