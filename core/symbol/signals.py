"""From a feature row to six technical signals, and from them to one side and strength.

Each signal is -1, 0 or +1; the weights sum to one.  They are kept as whole hundredths, so that
sums like 0.2 + 0.1 are the number written in the settings and "strictly above 0.3" means it.
"""

from collections.abc import Mapping

import numpy as np
from numba import njit

from core.symbol.indicators import FloatArray

SIGNAL_NAMES: tuple[str, ...] = (
    "ema_signal",
    "rsi_signal",
    "bb_signal",
    "macd_signal",
    "volume_signal",
    "momentum_signal",
)

WEIGHT_HUNDREDTHS: tuple[int, ...] = (30, 20, 15, 15, 10, 10)
"""Weights of `SIGNAL_NAMES` in hundredths."""

ML_WEIGHT_MAX = 0.8
RSI_OVERSOLD = 30.0
RSI_OVERBOUGHT = 70.0
VOLUME_SURGE = 1.5  # times the 20-bar mean

# Places in a feature row (core.symbol.features.FEATURE_NAMES).
_PRICE_CHANGE = 0
_PRICE_CHANGE_5 = 2
_VOLUME_RATIO = 9
_EMA_CROSS = 11
_BB_POSITION = 13
_RSI_14 = 16
_MACD_HISTOGRAM = 19


@njit(cache=True)
def _sign(value: float) -> float:
    if value > 0.0:
        return 1.0
    if value < 0.0:
        return -1.0
    return 0.0


@njit(cache=True)
def signal_row(row: FloatArray, out: FloatArray) -> None:
    """Write the six signals of one feature row to `out` (6,); a NaN feature gives 0."""
    out[0] = _sign(row[_EMA_CROSS])
    rsi = row[_RSI_14]
    out[1] = 1.0 if rsi < RSI_OVERSOLD else (-1.0 if rsi > RSI_OVERBOUGHT else 0.0)
    band = row[_BB_POSITION]
    out[2] = 1.0 if band < 0.0 else (-1.0 if band > 1.0 else 0.0)
    out[3] = _sign(row[_MACD_HISTOGRAM])
    out[4] = _sign(row[_PRICE_CHANGE]) if row[_VOLUME_RATIO] > VOLUME_SURGE else 0.0
    out[5] = _sign(row[_PRICE_CHANGE_5])


@njit(cache=True)
def combine(signals: FloatArray, prediction: float, confidence: float) -> float:
    """Return `w * sign(prediction) + (1 - w) * sum(weight * signal)`, w = min(confidence, 0.8).

    The result is in -1..1, rounded to 12 places: what is left of binary fractions must not decide
    whether a strength is above a limit.  A confidence of 0 gives the technical score alone.
    """
    score = 0.0
    for i in range(6):
        score += WEIGHT_HUNDREDTHS[i] * signals[i]
    score /= 100.0
    weight = min(max(confidence, 0.0), ML_WEIGHT_MAX)
    total = weight * _sign(prediction) + (1.0 - weight) * score
    rounded: float = np.floor(abs(total) * 1e12 + 0.5) / 1e12 * _sign(total)
    return rounded


@njit(cache=True)
def combine_rows(
    features: FloatArray, predictions: FloatArray, confidences: FloatArray, out: FloatArray
) -> None:
    """Write `combine` of every feature row (n, features) to `out` (n,)."""
    signals = np.zeros(6)
    for i in range(features.shape[0]):
        signal_row(features[i], signals)
        out[i] = combine(signals, predictions[i], confidences[i])


def technical_signals(row: FloatArray) -> dict[str, float]:
    """Return the six signals of one feature row by name."""
    values = np.zeros(6)
    signal_row(row, values)
    return dict(zip(SIGNAL_NAMES, values.tolist(), strict=True))


def combined_score(
    technical: Mapping[str, float], prediction: float, confidence: float | None
) -> float:
    """Return the signed strength of named signals; one that is missing counts as 0.

    `confidence` None means technical only.
    """
    values = np.array([technical.get(name, 0.0) for name in SIGNAL_NAMES], dtype=np.float64)
    if confidence is None:
        return float(combine(values, 0.0, 0.0))
    return float(combine(values, float(prediction), float(confidence)))


def score_rows(
    features: FloatArray, predictions: FloatArray, confidences: FloatArray
) -> FloatArray:
    """Return the signed strength of every feature row (n, features) -> (n,)."""
    scores = np.empty(len(features), dtype=np.float64)
    combine_rows(features, predictions, confidences, scores)
    return scores


def compile_scores(rows: FloatArray) -> None:
    """Compile the scoring functions on real argument types."""
    zeros = np.zeros(len(rows), dtype=np.float64)
    score_rows(rows, zeros, zeros)
    combined_score(technical_signals(rows[-1]), 0.0, None)
