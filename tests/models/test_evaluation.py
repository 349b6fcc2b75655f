"""Scores, their intervals, and the verdict on skill."""

import numpy as np
import pytest

from models.calibration import FLAT, fit_calibration
from models.evaluation import deviations_of, evaluate_predictions, wilson_interval


def outcome(right_share: float, rows: int = 2_000, seed: int = 5):
    """Predictions of the right sign that often, against evenly mixed moves."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1e-3, 1e-3], rows)
    right = rng.random(rows) < right_share
    return np.where(right, labels, -labels), labels, rng.choice([-1e-3, 1e-3], rows)


def test_a_model_right_in_60_of_100_is_skilled_and_meets_the_targets():
    predictions, labels, last = outcome(0.6)
    scores = evaluate_predictions(predictions, np.full(2_000, 0.6), labels, last)
    assert scores.direction_accuracy == pytest.approx(0.6, abs=0.03)
    assert scores.ci_low < scores.direction_accuracy < scores.ci_high
    assert scores.coverage == 1.0
    assert scores.skilled
    assert scores.meets_targets
    assert scores.verdict.startswith("skilled: right in ")


def test_a_coin_is_not_skilled():
    predictions, labels, last = outcome(0.5)
    scores = evaluate_predictions(predictions, np.full(2_000, 0.6), labels, last)
    assert not scores.skilled
    assert "not used" in scores.verdict


def test_a_rising_market_is_no_skill():
    rng = np.random.default_rng(1)
    labels = np.where(rng.random(2_000) < 0.7, 1e-3, -1e-3)
    scores = evaluate_predictions(np.full(2_000, 1e-4), np.full(2_000, 0.7), labels, labels)
    assert scores.direction_accuracy == pytest.approx(0.7, abs=0.03)
    assert scores.baselines["always_up"]["direction_accuracy"] == scores.direction_accuracy
    assert not scores.skilled


def test_a_model_that_never_dares_is_not_skilled():
    predictions, labels, last = outcome(0.9)
    scores = evaluate_predictions(predictions, np.full(2_000, 0.5), labels, last)
    assert scores.coverage == 0.0
    assert scores.accuracy_at_confidence is None
    assert not scores.skilled


def test_skilled_but_wide_of_the_targets_says_so():
    predictions, labels, last = outcome(0.54, rows=20_000)
    labels, predictions = labels * 4, predictions * 4
    scores = evaluate_predictions(predictions, np.full(20_000, 0.54), labels, last)
    assert scores.skilled
    assert not scores.meets_targets
    assert "misses the accuracy target 55% and the RMSE target 0.002" in scores.verdict


def test_rows_without_a_move_have_no_direction():
    labels = np.array([0.0, 1e-3, -1e-3, 0.0])
    predictions = np.array([1e-3, 1e-3, 1e-3, 0.0])
    scores = evaluate_predictions(predictions, np.full(4, 0.6), labels, labels)
    assert scores.moved_rows == 2
    assert scores.direction_accuracy == 0.5
    assert scores.baselines["zero_return"]["direction_accuracy"] is None


def test_overlapping_labels_widen_the_interval():
    predictions, labels, last = outcome(0.55)
    confidences = np.full(2_000, 0.6)
    narrow = evaluate_predictions(predictions, confidences, labels, last, horizon=1)
    wide = evaluate_predictions(predictions, confidences, labels, last, horizon=10)
    assert wide.ci_high - wide.ci_low > 2.5 * (narrow.ci_high - narrow.ci_low)


def test_intervals_stay_inside_zero_and_one():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 10)[0] == pytest.approx(0.0, abs=1e-12)
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0, abs=1e-12)


def test_calibration_learns_that_bold_predictions_are_right_more_often():
    rng = np.random.default_rng(2)
    predictions = rng.normal(size=20_000) * 1e-4
    chance = 0.5 + 0.1 * np.minimum(np.abs(predictions) / 1e-4, 3.0)
    labels = np.where(rng.random(20_000) < chance, np.sign(predictions), -np.sign(predictions))
    calibration = fit_calibration(predictions, labels)
    told = calibration.confidences(np.array([1e-6, 1e-4, 2e-4]))
    assert told == pytest.approx([0.5, 0.6, 0.7], abs=0.03)


def test_calibration_of_a_coin_stays_near_one_half_and_of_a_liar_below():
    rng = np.random.default_rng(3)
    predictions = rng.normal(size=5_000)
    coin = fit_calibration(predictions, rng.choice([-1.0, 1.0], 5_000))
    assert coin.confidence(1.0) == pytest.approx(0.5, abs=0.05)
    liar = fit_calibration(predictions, -np.sign(predictions))
    assert liar.confidence(1.0) == 0.1


def test_confidence_is_clipped_and_never_falls_with_boldness():
    rng = np.random.default_rng(4)
    predictions = rng.normal(size=5_000)
    timid = np.where(np.abs(predictions) < 0.5, np.sign(predictions), -np.sign(predictions))
    calibration = fit_calibration(predictions, timid)
    assert calibration.slope == 0.0
    sure = fit_calibration(predictions, np.sign(predictions))
    assert sure.confidence(3.0) <= 1.0
    assert sure.confidence(0.0) == 0.1
    assert sure.confidence(float("nan")) == 0.1
    assert fit_calibration(predictions[:50], predictions[:50]) is FLAT


def test_the_more_symbols_the_more_each_must_show():
    predictions, labels, last = outcome(0.525, rows=4_000, seed=9)
    confidences = np.full(4_000, 0.53)
    alone = evaluate_predictions(predictions, confidences, labels, last)
    among_many = evaluate_predictions(predictions, confidences, labels, last, tested_together=500)
    assert alone.skilled
    assert not among_many.skilled
    assert among_many.skill_low < alone.skill_low == alone.accuracy_at_confidence_low
    assert among_many.ci_low == alone.ci_low


def test_of_five_coins_together_one_is_as_rarely_skilled_as_a_single_one_alone():
    rng = np.random.default_rng(12)
    rows, rounds, lucky = 400, 400, {1: 0, 5: 0}
    for together in lucky:
        for _ in range(rounds):
            any_skilled = False
            for _ in range(together):
                hits = rng.random(rows) < 0.5
                low = wilson_interval(hits.sum(), rows, deviations_of(together))[0]
                any_skilled = any_skilled or low > 0.5
            lucky[together] += any_skilled
    assert lucky[1] <= 0.05 * rounds
    assert lucky[5] <= 0.05 * rounds


def test_thresholds_show_whether_it_knows_when_it_knows():
    rng = np.random.default_rng(6)
    labels = rng.choice([-1e-3, 1e-3], 20_000)
    confidences = rng.uniform(0.5, 0.6, 20_000)
    predictions = np.where(rng.random(20_000) < confidences, labels, -labels)
    rows = evaluate_predictions(predictions, confidences, labels, labels).thresholds
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    coverages = [row["coverage"] for row in rows]
    assert coverages == sorted(coverages, reverse=True)
    by_limit = {row["confidence"]: row for row in rows}
    assert by_limit[0.575]["accuracy"] > by_limit[0.5]["accuracy"] + 0.02
    assert by_limit[0.6]["accuracy"] is None
    assert by_limit[0.5]["low"] < by_limit[0.5]["accuracy"] < by_limit[0.5]["high"]


def test_no_symbol_at_all_cannot_be_tested():
    with pytest.raises(ValueError, match="tested_together must be at least 1"):
        deviations_of(0)
