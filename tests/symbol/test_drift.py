"""Drift: an unchanged market is left alone, a changed one and an overconfident model are named."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.symbol.drift import (
    CLOCK_FEATURES,
    WINDOW,
    DriftMonitor,
    DriftReference,
    reference_of,
    stability_index,
)
from core.symbol.features import FEATURE_NAMES, feature_matrix
from core.symbol.indicators import FEATURES_WARMUP
from tests.symbol.seeded_candles import seeded_candles

NAMES = ("calm", "count")


def population(rows: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.normal(shift, 1.0, rows), rng.integers(0, 3, rows)])


@pytest.fixture(scope="module")
def reference() -> DriftReference:
    return reference_of(population(10_000, 1), NAMES, brier=0.25)


def watched(reference: DriftReference, rows: np.ndarray, **options: Any) -> DriftMonitor:
    monitor = DriftMonitor(reference, **options)
    for row in rows:
        monitor.take_row(row)
    return monitor


def test_the_same_population_has_not_drifted(reference):
    report = watched(reference, population(WINDOW, 2)).report()
    assert [name for name, _ in report.psi] == sorted(NAMES, key=lambda n: -dict(report.psi)[n])
    assert max(value for _, value in report.psi) < 0.05
    assert report.drifted == ()
    assert report.in_words == ""


def test_another_population_is_named_with_its_number(reference):
    report = watched(reference, population(WINDOW, 2, shift=1.0)).report()
    assert [name for name, _ in report.drifted] == ["calm"]
    assert "1 of 2 features have PSI > 0.25 over 1440 bars" in report.in_words
    json.dumps(report.as_dict(), allow_nan=False)


def test_nothing_is_said_before_the_window_is_full(reference):
    report = watched(reference, population(WINDOW - 1, 2, shift=3.0)).report()
    assert report.psi == ()
    assert report.in_words == ""


def test_what_left_the_window_is_forgotten(reference):
    rows = np.concatenate([population(WINDOW, 2, shift=3.0), population(WINDOW, 3)])
    assert watched(reference, rows).report() == watched(reference, rows[WINDOW:]).report()


def test_what_the_market_did_in_training_is_no_drift():
    """Days that differ by themselves raise the bar for calling one unusual."""
    days = [population(WINDOW, day, shift=2.0 * (day % 2)) for day in range(8)]
    known = reference_of(np.concatenate(days), NAMES)
    assert dict(zip(known.names, known.usual, strict=True))["calm"] > 0.25
    usual_day = watched(known, population(WINDOW, 99)).report()
    assert dict(usual_day.psi)["calm"] > 0.25
    assert usual_day.drifted == ()
    assert watched(known, population(WINDOW, 99, shift=6.0)).report().drifted


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 90), window=st.integers(5, 40), seed=st.integers(0, 99))
def test_many_rows_at_once_count_as_one_by_one(rows, window, seed):
    known = reference_of(population(300, 1), NAMES)
    table = population(rows, seed, shift=0.5)
    table[::7, 0] = np.nan
    at_once = DriftMonitor(known, window=window)
    at_once.take_rows(table[: rows // 2])
    at_once.take_rows(table[rows // 2 :])
    assert at_once.report() == watched(known, table, window=window).report()


def test_clock_and_constant_features_are_left_out():
    features = feature_matrix(seeded_candles(600))[FEATURES_WARMUP:]
    known = reference_of(features, FEATURE_NAMES)
    left_out = {*CLOCK_FEATURES, "taker_imbalance"}  # no taker volume in these candles
    assert known.names == tuple(name for name in FEATURE_NAMES if name not in left_out)


def test_a_reference_survives_the_way_through_a_manifest(reference):
    assert DriftReference.from_dict(json.loads(json.dumps(reference.as_dict()))) == reference
    broken = reference.as_dict()
    broken["shares"][0] = [1.0]
    with pytest.raises(ValueError, match="one share more than edges"):
        DriftReference.from_dict(broken)


def predicted(reference: DriftReference, right_share: float, sure: float) -> DriftMonitor:
    rng = np.random.default_rng(4)
    monitor, close = DriftMonitor(reference), 100.0
    for right in rng.random(1_500) < right_share:
        monitor.take_prediction(close, 1e-3, sure)
        close += 0.1 if right else -0.1
    return monitor


def test_an_overconfident_model_is_named_and_an_honest_one_not(reference):
    honest = predicted(reference, 0.5, 0.52).report()
    assert honest.brier == pytest.approx(0.25, abs=0.003)
    assert not honest.brier_drifted
    boastful = predicted(reference, 0.5, 0.8).report()
    assert boastful.brier == pytest.approx(0.34, abs=0.01)
    assert boastful.brier_drifted
    assert "Brier score 0.3" in boastful.in_words


def test_few_predictions_prove_nothing(reference):
    monitor = DriftMonitor(reference)
    for minute in range(100):
        monitor.take_prediction(100.0 - minute, 1e-3, 0.9)
    assert monitor.report().brier_rows == 99
    assert not monitor.report().brier_drifted


def test_a_prediction_is_judged_by_the_bar_it_was_about(reference):
    monitor = DriftMonitor(reference, horizon=2)
    for close in (100.0, 90.0, 110.0, 80.0):
        monitor.take_prediction(close, 1e-3, 0.6)
    report = monitor.report()  # 100 to 110 was right, 90 to 80 wrong
    assert report.brier_rows == 2
    assert report.brier == pytest.approx((0.4**2 + 0.6**2) / 2)


def test_no_prediction_is_judged_across_a_hole(reference):
    monitor = DriftMonitor(reference)
    monitor.take_prediction(100.0, 1e-3, 0.6)
    monitor.interrupt()
    monitor.take_prediction(120.0, 1e-3, 0.6)
    assert monitor.report().brier_rows == 0


def test_the_index_is_zero_for_equal_shares_and_grows_both_ways():
    assert stability_index(np.array([25, 75]), (0.25, 0.75), 100, 100) == 0.0
    shares = (0.5, 0.5)
    few, many = (stability_index(np.array([n, 100 - n]), shares, 100, 1_000) for n in (20, 80))
    assert few == pytest.approx(many, rel=1e-9)
    assert stability_index(np.array([0, 100]), shares, 100, 1_000) > many
