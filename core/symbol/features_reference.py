"""The same features by the `ta` library and pandas: the reference (`FEATURE_ENGINE=ta`).

Written from the definitions with whole-column operations and sharing no line with the compiled
step, so that the two agreeing means something.  Undefined values (a flat window, no volume) follow
the same neutral rules as the step.  pandas' rolling deviation drifts by up to 2.5e-9 relative, so
bands and deviations are taken two-pass over explicit windows.
"""

import numpy as np
import pandas as pd
from ta.momentum import RSIIndicator, StochasticOscillator, WilliamsRIndicator
from ta.trend import MACD, CCIIndicator, EMAIndicator
from ta.volatility import AverageTrueRange
from ta.volume import MFIIndicator

from core.symbol.indicators import FEATURES_WARMUP, FloatArray


def reference_features(df: pd.DataFrame, stepped: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """Return (rows, features) by the reference; rows that `stepped` leaves NaN are NaN here too.

    `df` must hold no impossible bar: `ta` has no rule for one.
    """
    columns = _price_columns(df) | _indicator_columns(df) | _bar_columns(df) | _clock_columns(df)
    values = np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in names])
    values[: FEATURES_WARMUP - 1] = np.nan
    values[np.isnan(stepped).all(axis=1)] = np.nan
    return values


def _windows(values: pd.Series, size: int) -> FloatArray:
    """Return (rows, size) windows ending at each row; the first rows are NaN-padded."""
    padded = np.concatenate([np.full(size - 1, np.nan), values.to_numpy(dtype=np.float64)])
    return np.lib.stride_tricks.sliding_window_view(padded, size)


def _deviation(values: pd.Series, size: int, *, ddof: int) -> FloatArray:
    return np.asarray(_windows(values, size).std(axis=1, ddof=ddof), dtype=np.float64)


def _filled(values: FloatArray | pd.Series, neutral: float) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, neutral)


def _price_columns(df: pd.DataFrame) -> dict[str, FloatArray]:
    close, volume = df["close"], df["volume"]
    change = close.pct_change().fillna(0.0)
    columns: dict[str, FloatArray] = {}
    for bars in (1, 2, 5, 10, 20):
        name = "price_change" if bars == 1 else f"price_change_{bars}"
        columns[name] = np.asarray(close.pct_change(bars), dtype=np.float64)
    for size in (5, 10, 20):
        columns[f"volatility_{size}"] = _deviation(change, size, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        windows = _windows(volume, 20)
        mean, deviation = windows.mean(axis=1), windows.std(axis=1, ddof=1)
        columns["volume_change"] = _filled(volume.pct_change(), 0.0)
        columns["volume_ratio"] = _filled(volume.to_numpy() / mean, 0.0)
        columns["volume_std"] = deviation
        columns["volume_z"] = _filled((volume.to_numpy() - mean) / deviation, 0.0)
        scale = columns["volatility_20"] * np.sqrt(20.0)
        columns["momentum_z"] = _filled(columns["price_change_20"] / scale, 0.0)
        path = _windows(close.diff().abs(), 20).sum(axis=1)
        columns["trend_efficiency_20"] = _filled(close.diff(20).to_numpy() / path, 0.0)
        signed = np.sign(change) * volume
        traded = windows.sum(axis=1)
        flow = _windows(signed, 20).sum(axis=1)
        columns["signed_volume_ratio"] = _filled(flow / traded, 0.0)
        typical = (df["high"] + df["low"] + close) / 3.0
        worth = _windows(typical * volume, 20).sum(axis=1)
        columns["vwap_distance_20"] = _filled(close.to_numpy() * traded / worth - 1.0, 0.0)
        returns = _windows(change, 20)
        gaps = returns - returns.mean(axis=1, keepdims=True)
        second = (gaps**2).mean(axis=1)
        columns["return_skew_20"] = _filled((gaps**3).mean(axis=1) / second**1.5, 0.0)
        lagged = (gaps[:, 1:] * gaps[:, :-1]).sum(axis=1)
        columns["return_autocorrelation_20"] = _filled(lagged / (20.0 * second), 0.0)
    return columns


def _indicator_columns(df: pd.DataFrame) -> dict[str, FloatArray]:
    high, low, close, volume = df["high"], df["low"], df["close"], df["volume"]
    ema = {n: EMAIndicator(close, n).ema_indicator() for n in (9, 21, 50)}
    columns = {
        f"ema_cross_{a}_{b}": ((ema[a] - ema[b]) / close).to_numpy() for a, b in ((9, 21), (21, 50))
    }
    never_moved = (close == close.iloc[0]).cummin().to_numpy()
    for n in (7, 14, 21):
        columns[f"rsi_{n}"] = np.where(never_moved, 50.0, RSIIndicator(close, n).rsi())
    macd = MACD(close)
    columns["macd"] = macd.macd().to_numpy()
    columns["macd_histogram"] = macd.macd_diff().to_numpy()
    stoch = pd.Series(_filled(StochasticOscillator(high, low, close).stoch(), 50.0))
    columns["stoch_k"] = stoch.to_numpy()
    columns["stoch_d"] = _windows(stoch, 3).mean(axis=1)
    atr = AverageTrueRange(high, low, close).average_true_range()
    columns["atr_ratio"] = (atr / close).to_numpy()
    columns["williams_r"] = _filled(WilliamsRIndicator(high, low, close).williams_r(), -50.0)
    columns["cci"] = _filled(CCIIndicator(high, low, close).cci(), 0.0)
    columns["mfi"] = _filled(MFIIndicator(high, low, close, volume).money_flow_index(), 50.0)
    # Two passes over differences to the newest close: exact where a window is flat.
    offsets = _windows(close, 20)
    offsets = offsets - offsets[:, -1:]
    middle, deviation = offsets.mean(axis=1), offsets.std(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns["bb_position"] = _filled((2.0 * deviation - middle) / (4.0 * deviation), 0.5)
        columns["bb_width"] = 400.0 * deviation / (close.to_numpy() + middle)
        columns["range_ratio"] = _filled((high - low) / atr, 0.0)
    return columns


def _bar_columns(df: pd.DataFrame) -> dict[str, FloatArray]:
    opened, high, low, close = df["open"], df["high"], df["low"], df["close"]
    reach = high - low
    highest, lowest = high.rolling(20).max(), low.rolling(20).min()
    columns = {
        "body_share": _filled((close - opened) / reach, 0.0),
        "upper_wick_share": _filled((high - np.maximum(opened, close)) / reach, 0.0),
        "lower_wick_share": _filled((np.minimum(opened, close) - low) / reach, 0.0),
        "range_position_20": _filled((close - lowest) / (highest - lowest), 0.5),
        "taker_imbalance": np.zeros(len(df)),
    }
    if "taker_buy_volume" in df.columns:
        taker, volume = df["taker_buy_volume"], df["volume"]
        known = taker.between(0.0, volume) & (volume > 0.0)
        share = _filled(2.0 * taker / volume - 1.0, 0.0)
        columns["taker_imbalance"] = np.where(known, share, 0.0)
    return columns


def _clock_columns(df: pd.DataFrame) -> dict[str, FloatArray]:
    index = pd.DatetimeIndex(df.index)
    hour = index.hour.to_numpy()
    working = index.day_of_week.to_numpy() < 5
    columns = {
        "hour": hour,
        "minute": index.minute.to_numpy(),
        "is_weekend": ~working,
        "is_london_open": working & (hour >= 8) & (hour < 16),
        "is_ny_open": working & (hour >= 13) & (hour < 21),
    }
    return {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
