"""The compiled step against the `ta` library, against itself, and against damaged input."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigurationError, DataError
from core.symbol.features import (
    FEATURE_NAMES,
    FEATURES_EXACT,
    FeatureState,
    RollingFeatures,
    bars_of,
    compute_features,
    feature_matrix,
)
from core.symbol.indicators import FEATURES_WARMUP
from tests.symbol.seeded_candles import real_candles, seeded_candles

SPECIFIED = (
    "price_change price_change_2 price_change_5 price_change_10 price_change_20 volatility_5 "
    "volatility_10 volatility_20 volume_change volume_ratio volume_std ema_cross_9_21 "
    "ema_cross_21_50 bb_position bb_width rsi_7 rsi_14 rsi_21 macd macd_histogram stoch_k stoch_d "
    "atr_ratio williams_r cci mfi hour is_weekend is_london_open is_ny_open"
)


def stepped(df: pd.DataFrame) -> np.ndarray:
    bars, state = bars_of(df), FeatureState()
    return np.array(
        [
            state.step(open_ms, *bar)
            for open_ms, bar in zip(bars.open_ms.tolist(), bars.table.T.tolist(), strict=True)
        ]
    )


def assert_close_to_reference(df: pd.DataFrame, *, after: int) -> None:
    """1e-9 of the value, or of the feature's own size where the value crosses zero."""
    ours = compute_features(df).to_numpy()[after:]
    reference = compute_features(df, engine="ta").to_numpy()[after:]
    size = np.abs(reference).mean(axis=0)
    wrong = np.abs(ours - reference) > 1e-9 * np.maximum(np.abs(reference), size)
    assert not wrong.any(), [FEATURE_NAMES[i] for i in np.flatnonzero(wrong.any(axis=0))]


def test_names_begin_with_the_specified_ones_in_their_order():
    assert FEATURE_NAMES[:30] == tuple(SPECIFIED.split())
    assert len(FEATURE_NAMES) >= 38
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    market=st.sampled_from([(0.05, 6), (3.0, 4), (140.0, 2), (100_000.0, 1)]),
)
def test_agrees_with_ta_after_warm_up_on_any_walk(seed, market):
    price, digits = market
    df = seeded_candles(520, seed)
    columns = ["open", "high", "low", "close"]
    df[columns] = (df[columns] * (price / 100.0)).round(digits)
    assert_close_to_reference(df, after=400)


def test_agrees_with_ta_on_recorded_candles():
    assert_close_to_reference(real_candles(4_000), after=400)


def test_reference_reads_taker_volume_like_the_step():
    df = seeded_candles(200)
    df["taker_buy_volume"] = df["volume"] * 0.7
    df.iloc[150, -1] = np.nan
    features = compute_features(df)
    assert features["taker_imbalance"].iloc[199] == pytest.approx(0.4)
    assert features["taker_imbalance"].iloc[150] == 0.0
    reference = compute_features(df, engine="ta")["taker_imbalance"]
    np.testing.assert_array_equal(features["taker_imbalance"], reference)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 300))
def test_stepping_bar_by_bar_equals_the_history_in_every_bit(seed, rows):
    df = seeded_candles(rows, seed)
    np.testing.assert_array_equal(stepped(df), feature_matrix(df))


def test_past_features_do_not_change_when_bars_are_added():
    df = seeded_candles(400)
    whole = feature_matrix(df)
    for cut in (60, 133, 399):
        np.testing.assert_array_equal(feature_matrix(df.iloc[:cut]), whole[:cut])


def test_a_restart_after_the_exact_warm_up_forgets_the_first_bar():
    df = seeded_candles(3_000)
    late = feature_matrix(df.iloc[-FEATURES_EXACT:])[-1]
    whole = feature_matrix(df)
    size = np.abs(whole[FEATURES_WARMUP:]).mean(axis=0)
    assert (np.abs(late - whole[-1]) <= 1e-9 * np.maximum(np.abs(whole[-1]), size)).all()


def test_rows_are_nan_exactly_until_the_warm_up_is_over():
    values = feature_matrix(seeded_candles(120))
    assert np.isnan(values[: FEATURES_WARMUP - 1]).all()
    assert np.isfinite(values[FEATURES_WARMUP - 1 :]).all()


@settings(max_examples=40, deadline=None)
@given(
    data=st.lists(
        st.tuples(
            st.sampled_from([1e-8, 0.5, 1.0, 1.0, 7e4]),
            st.sampled_from([0.0, 0.0, 1e-9, 3.0, 1e12]),
        ),
        min_size=60,
        max_size=90,
    )
)
def test_every_value_is_finite_on_flat_empty_and_wild_bars(data):
    price = np.array([close for close, _ in data])
    df = seeded_candles(len(data))
    df["close"] = price
    df["open"] = np.concatenate([price[:1], price[:-1]])
    df["high"], df["low"] = df[["open", "close"]].max(axis=1), df[["open", "close"]].min(axis=1)
    df["volume"] = [volume for _, volume in data]
    assert np.isfinite(feature_matrix(df)[FEATURES_WARMUP - 1 :]).all()


def test_a_flat_series_is_neutral():
    df = seeded_candles(80)
    df[["open", "high", "low", "close"]] = 0.1  # not a binary fraction: sums of it round
    df["volume"] = 0.7
    last = compute_features(df).iloc[-1]
    expected = {"bb_position": 0.5, "bb_width": 0.0, "rsi_14": 50.0, "cci": 0.0, "stoch_k": 50.0}
    assert {name: last[name] for name in expected} == expected
    assert last["ema_cross_9_21"] == 0.0
    assert last["macd_histogram"] == 0.0
    assert last["volume_z"] == 0.0


@pytest.mark.parametrize(
    ("column", "value"),
    [("close", np.nan), ("high", np.inf), ("low", -1.0), ("volume", -1.0), ("close", 0.0)],
)
def test_a_damaged_bar_gives_nan_and_leaves_no_trace(column, value):
    df = seeded_candles(200)
    damaged = df.copy()
    damaged.loc[damaged.index[150], column] = value
    values = feature_matrix(damaged)
    assert np.isnan(values[150]).all()
    without = feature_matrix(df.drop(df.index[150]))
    np.testing.assert_array_equal(values[151:], without[150:])


def test_clock_features_read_utc_open_times():
    df = seeded_candles(60)
    df.index = pd.date_range(end="2025-05-09 13:07", periods=60, freq="min", tz="UTC")  # Friday
    last = compute_features(df).iloc[-1]
    names = ["hour", "minute", "is_weekend", "is_london_open", "is_ny_open"]
    assert last[names].tolist() == [13.0, 7.0, 0.0, 1.0, 1.0]
    df.index = df.index + pd.Timedelta(days=1)
    assert compute_features(df).iloc[-1][names].tolist() == [13.0, 7.0, 1.0, 0.0, 0.0]
    df.index = df.index.tz_convert("Asia/Tokyo").as_unit("ns")
    assert compute_features(df).iloc[-1][names].tolist() == [13.0, 7.0, 1.0, 0.0, 0.0]


def test_a_sliding_window_gives_the_rows_of_the_whole_history():
    df = seeded_candles(400)
    whole = feature_matrix(df)
    rolling = RollingFeatures()
    for end in range(100, 400):
        np.testing.assert_array_equal(
            rolling.latest(df.iloc[max(0, end - 120) : end]), whole[end - 1]
        )


def test_a_window_of_another_series_is_not_taken_for_a_continuation():
    first, second = seeded_candles(201, 1), seeded_candles(201, 2)
    rolling = RollingFeatures()
    rolling.latest(first.iloc[:200])
    np.testing.assert_array_equal(rolling.latest(second), feature_matrix(second)[-1])
    changed = second.copy()
    changed.iloc[150, 0] += 0.001
    np.testing.assert_array_equal(rolling.latest(changed), feature_matrix(changed)[-1])
    np.testing.assert_array_equal(
        rolling.latest(changed.iloc[:100]), feature_matrix(changed.iloc[:100])[-1]
    )


def test_a_buffer_reused_by_its_owner_does_not_deceive_the_window():
    values = seeded_candles(201)
    rolling = RollingFeatures()
    shared = values.iloc[:200].copy()
    rolling.latest(shared)
    shared.iloc[:, :] = values.iloc[1:].to_numpy()
    shared.index = values.index[1:]
    np.testing.assert_array_equal(rolling.latest(shared), feature_matrix(values)[-1])


def test_further_columns_and_their_order_do_not_matter():
    df = seeded_candles(60)
    mixed = df[["volume", "close", "low", "high", "open"]].copy()
    np.testing.assert_array_equal(feature_matrix(mixed), feature_matrix(df))
    mixed["count"] = 3
    mixed["note"] = "text"
    np.testing.assert_array_equal(feature_matrix(mixed), feature_matrix(df))


def test_frames_that_are_not_candles_are_named():
    df = seeded_candles(60)
    with pytest.raises(DataError, match="column volume is missing"):
        compute_features(df.drop(columns="volume"))
    with pytest.raises(DataError, match="not a number"):
        compute_features(df.assign(close="much"))
    with pytest.raises(DataError, match="RangeIndex"):
        compute_features(df.reset_index(drop=True))
    with pytest.raises(ConfigurationError, match="FEATURE_ENGINE is talib"):
        compute_features(df, engine="talib")
