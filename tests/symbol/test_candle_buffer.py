"""The candle buffer: order, holes, and the frame it gives."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.symbol.candles import Appended, CandleBuffer
from tests.symbol.seeded_candles import seeded_candles

MINUTE = 60_000


def filled(df: pd.DataFrame, capacity: int) -> CandleBuffer:
    buffer = CandleBuffer(capacity, MINUTE)
    for open_ms, row in zip(df.index.asi8.tolist(), df.to_numpy().tolist(), strict=True):
        assert buffer.append(open_ms, *row) is Appended.APPENDED
    return buffer


@given(rows=st.integers(1, 40), capacity=st.integers(1, 12))
def test_keeps_the_newest_candles_in_order(rows, capacity):
    df = seeded_candles(rows)
    buffer = filled(df, capacity)
    expected = df.iloc[-capacity:]
    assert len(buffer) == len(expected)
    frame = buffer.frame()
    pd.testing.assert_frame_equal(frame[list(df.columns)], expected, check_freq=False)
    assert buffer.last_close_ms == int(df.index.asi8[-1]) + MINUTE - 1


def test_says_what_became_of_each_candle():
    buffer = CandleBuffer(5, MINUTE)
    bar = (1.0, 1.0, 1.0, 1.0, 1.0)
    assert buffer.append(10 * MINUTE, *bar) is Appended.APPENDED
    assert buffer.append(10 * MINUTE, *bar) is Appended.DUPLICATE
    assert buffer.append(9 * MINUTE, *bar) is Appended.STALE
    assert buffer.append(12 * MINUTE, *bar) is Appended.GAP
    assert buffer.append(10 * MINUTE + 1, *bar) is Appended.GAP
    assert buffer.append(11 * MINUTE, *bar) is Appended.APPENDED
    assert len(buffer) == 2


def test_an_empty_buffer_has_no_close_and_an_empty_frame():
    buffer = CandleBuffer(3, MINUTE)
    assert buffer.last_close_ms == 0
    assert len(buffer.frame()) == 0
    assert str(buffer.frame().index.tz) == "UTC"


def test_replace_forgets_and_takes_the_newest_rows():
    df = seeded_candles(50)
    buffer = filled(df.iloc[:20], 10)
    buffer.replace(df.iloc[20:])
    pd.testing.assert_frame_equal(buffer.frame(4)[list(df.columns)], df.iloc[-4:], check_freq=False)
    assert len(buffer) == 10
    buffer.replace(df.iloc[:0])
    assert len(buffer) == 0


def test_replace_refuses_a_history_with_a_hole_and_keeps_the_old_one():
    df = seeded_candles(20)
    buffer = filled(df, 10)
    with pytest.raises(ValueError, match="jumps by 120000 ms"):
        buffer.replace(df.drop(df.index[15]))
    assert len(buffer) == 10


def test_the_frame_is_a_copy_with_float_columns_and_utc_open_times():
    df = seeded_candles(10)
    df["taker_buy_volume"] = 1.5
    buffer = filled(df, 10)
    frame = buffer.frame()
    frame.iloc[:, :] = 0.0
    assert buffer.frame()["close"].iloc[-1] == df["close"].iloc[-1]
    assert buffer.frame()["taker_buy_volume"].tolist() == [1.5] * 10
    assert (frame.dtypes == np.float64).all()
    without = filled(df.drop(columns="taker_buy_volume"), 10).frame()
    assert math.isnan(without["taker_buy_volume"].iloc[0])
