"""The six signals, their weights and their sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.symbol.features import FEATURE_NAMES, feature_matrix
from core.symbol.signals import (
    SIGNAL_NAMES,
    WEIGHT_HUNDREDTHS,
    combined_score,
    score_rows,
    technical_signals,
)
from tests.symbol.seeded_candles import seeded_candles

WEIGHTS = {
    "ema_signal": 0.3,
    "rsi_signal": 0.2,
    "bb_signal": 0.15,
    "macd_signal": 0.15,
    "volume_signal": 0.1,
    "momentum_signal": 0.1,
}
NEUTRAL = {"rsi_14": 50.0, "bb_position": 0.5, "volume_ratio": 1.0}


def signals_of(**features: float) -> dict[str, float]:
    named = NEUTRAL | features
    return technical_signals(np.array([named.get(name, 0.0) for name in FEATURE_NAMES]))


@pytest.mark.parametrize("name", SIGNAL_NAMES)
def test_each_signal_weighs_what_the_specification_says(name):
    assert combined_score({name: 1.0}, 0.0, None) == pytest.approx(WEIGHTS[name], abs=1e-15)
    assert combined_score({name: -1.0}, 0.0, None) == pytest.approx(-WEIGHTS[name], abs=1e-15)


def test_weights_sum_to_one():
    assert sum(WEIGHT_HUNDREDTHS) == 100


@pytest.mark.parametrize(
    ("signal", "features", "value"),
    [
        ("ema_signal", {"ema_cross_9_21": 1e-9}, 1.0),
        ("ema_signal", {"ema_cross_9_21": -1e-9}, -1.0),
        ("rsi_signal", {"rsi_14": 29.99}, 1.0),
        ("rsi_signal", {"rsi_14": 30.0}, 0.0),
        ("rsi_signal", {"rsi_14": 70.0}, 0.0),
        ("rsi_signal", {"rsi_14": 70.01}, -1.0),
        ("bb_signal", {"bb_position": -0.01}, 1.0),
        ("bb_signal", {"bb_position": 0.0}, 0.0),
        ("bb_signal", {"bb_position": 1.0}, 0.0),
        ("bb_signal", {"bb_position": 1.01}, -1.0),
        ("macd_signal", {"macd_histogram": 0.5}, 1.0),
        ("macd_signal", {"macd_histogram": -0.5}, -1.0),
        ("volume_signal", {"volume_ratio": 1.51, "price_change": 1e-6}, 1.0),
        ("volume_signal", {"volume_ratio": 1.51, "price_change": -1e-6}, -1.0),
        ("volume_signal", {"volume_ratio": 1.5, "price_change": 1e-6}, 0.0),
        ("momentum_signal", {"price_change_5": 1e-6}, 1.0),
        ("momentum_signal", {"price_change_5": -1e-6}, -1.0),
    ],
)
def test_a_signal_follows_its_rule_and_no_other_does(signal, features, value):
    expected = dict.fromkeys(SIGNAL_NAMES, 0.0) | {signal: value}
    assert signals_of(**features) == expected


def test_confidence_is_the_weight_of_the_prediction_up_to_four_fifths():
    assert combined_score({}, 0.001, 0.6) == 0.6
    assert combined_score({}, -0.001, 0.95) == -0.8
    assert combined_score({"ema_signal": 1.0}, -0.001, 0.5) == pytest.approx(-0.35)
    assert combined_score(dict.fromkeys(SIGNAL_NAMES, 1.0), 0.001, 0.4) == 1.0


@pytest.mark.parametrize("names", [("rsi_signal", "volume_signal"), ("bb_signal", "macd_signal")])
def test_weights_that_sum_to_the_limit_are_not_above_it(names):
    assert combined_score(dict.fromkeys(names, 1.0), 0.0, None) == 0.3


@given(
    signals=st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=6, max_size=6),
    prediction=st.floats(-0.01, 0.01),
    confidence=st.floats(0.1, 1.0),
)
def test_the_score_is_odd_bounded_and_the_formula(signals, prediction, confidence):
    named = dict(zip(SIGNAL_NAMES, signals, strict=True))
    score = combined_score(named, prediction, confidence)
    weight = min(confidence, 0.8)
    technical = sum(WEIGHTS[name] * value for name, value in named.items())
    assert score == pytest.approx(
        weight * np.sign(prediction) + (1 - weight) * technical, abs=1e-11
    )
    assert -1.0 <= score <= 1.0
    mirrored = {name: -value for name, value in named.items()}
    assert combined_score(mirrored, -prediction, confidence) == -score


def test_rows_at_once_equal_one_by_one():
    features = feature_matrix(seeded_candles(300))[60:]
    rng = np.random.default_rng(3)
    predictions, confidences = rng.normal(size=len(features)), rng.uniform(0.1, 1.0, len(features))
    one_by_one = [
        combined_score(technical_signals(row), float(p), float(c))
        for row, p, c in zip(features, predictions, confidences, strict=True)
    ]
    assert score_rows(features, predictions, confidences).tolist() == one_by_one
