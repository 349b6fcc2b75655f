"""Training, predicting, and the refusal to be impressed by luck."""

import numpy as np
import pytest

from core.errors import ConfigurationError, DataError, ModelRefusedError
from core.symbol.features import FEATURE_NAMES
from core.symbol.strategy import EnhancedStrategy
from models.honest_predictions import OUT_OF_FOLD, SAVED_MODEL, honest_predictions
from models.price_predictor import PricePredictor
from tests.symbol.seeded_candles import seeded_candles


@pytest.fixture(scope="module")
def learnable():
    """A market that rises in one half hour and falls in the next: something honest to learn."""
    return seeded_candles(6_000, 11, rhythm=0.4)


@pytest.fixture(scope="module")
def trained(learnable):
    predictor = PricePredictor()
    predictor.train(learnable.iloc[:4_500])
    return predictor


def test_learns_what_is_there_and_says_so(trained):
    scores = trained.evaluation
    assert scores.direction_accuracy > 0.55
    assert scores.ci_low > 0.5
    assert scores.rmse < 0.002
    assert scores.scored_by == {OUT_OF_FOLD: scores.rows}
    assert trained.skilled


def test_training_returns_plain_numbers(learnable):
    scores = PricePredictor().train(learnable.iloc[:1_000])
    assert {"direction_accuracy", "ci_low", "ci_high", "rmse", "brier", "coverage"} <= set(scores)
    assert all(type(value) is float for value in scores.values())


def test_shuffled_outcomes_score_as_chance(learnable):
    """The leak test: with labels in random order nothing may be left to find."""
    predictor = PricePredictor()
    features, labels = predictor.prepare_features(learnable)
    x, y = features.to_numpy(), np.random.default_rng(8).permutation(labels.to_numpy())
    told = predictor.out_of_fold(x, y)
    judged = np.isfinite(told.predictions)
    accuracy = (np.sign(told.predictions[judged]) == np.sign(y[judged])).mean()
    assert accuracy == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(judged.sum()))


def test_a_random_walk_shows_no_skill():
    predictor = PricePredictor()
    scores = predictor.train(seeded_candles(4_000, 21))
    assert scores["direction_accuracy"] == pytest.approx(0.5, abs=0.04)
    assert not predictor.skilled


def test_a_leaked_future_would_be_seen_at_once(learnable):
    """The check bites: the outcome among the features scores far above anything honest."""
    predictor = PricePredictor()
    features, labels = predictor.prepare_features(learnable)
    x, y = features.to_numpy().copy(), labels.to_numpy()
    x[:, 0] = y
    told = predictor.out_of_fold(x, y)
    judged = np.isfinite(told.predictions)
    assert (np.sign(told.predictions[judged]) == np.sign(y[judged])).mean() > 0.95


def test_features_and_outcomes_line_up(learnable):
    df = learnable.iloc[:300]
    features, labels = PricePredictor(horizon=3).prepare_features(df)
    assert tuple(features.columns) == FEATURE_NAMES
    assert features.index.equals(labels.index)
    assert labels.index[-1] == df.index[-4]
    at = df.index.get_loc(labels.index[0])
    assert labels.iloc[0] == df["close"].iloc[at + 3] / df["close"].iloc[at] - 1.0


def test_the_last_row_equals_the_batch_in_every_bit(trained, learnable):
    predictions, confidences = trained.predict_rows(learnable.iloc[:700])
    for end in (10, 49, 50, 51, 333, 334, 335, 700):
        assert trained.predict(learnable.iloc[:end]) == (
            predictions[end - 1],
            confidences[end - 1],
        )
    assert ((confidences >= 0.1) & (confidences <= 1.0)).all()


def test_warm_up_and_damaged_bars_are_predicted_with_no_confidence(trained, learnable):
    assert trained.predict(learnable.iloc[:20]) == (0.0, 0.1)
    assert trained.predict(learnable.iloc[:0]) == (0.0, 0.1)
    damaged = learnable.iloc[:300].copy()
    damaged.iloc[-1, 0] = np.nan
    assert trained.predict(damaged) == (0.0, 0.1)


def test_the_same_seed_trains_the_same_model(learnable):
    df = learnable.iloc[:1_500]
    first, second = PricePredictor(), PricePredictor()
    assert first.train(df) == second.train(df)
    np.testing.assert_array_equal(first.predict_rows(df)[0], second.predict_rows(df)[0])


def test_the_exact_form_is_selected_by_name(learnable):
    predictor = PricePredictor(model_type="exact")
    df = learnable.iloc[:400]
    predictor.train(df)
    predictions, _ = predictor.predict_rows(df)
    assert predictor.predict(df)[0] == predictions[-1]


def test_a_skilled_model_drives_the_strategy(trained, learnable):
    df = learnable.iloc[4_500:5_200]
    strategy = EnhancedStrategy({"predictor": trained})
    at_once = strategy.signals(df)
    assert {"BUY", "SELL"} <= set(at_once.tolist())
    live = [strategy.generate_signal(df.iloc[: end + 1])[0] for end in range(len(df))]
    assert at_once.tolist() == live


def test_rows_of_the_training_range_are_never_scored_with_the_saved_model(trained, learnable):
    told = honest_predictions(trained, learnable)
    last_seen = trained.train_range_ms[1]
    saved = told.source == SAVED_MODEL
    assert saved.sum() == 1_500 - 1  # one bar of embargo
    assert (told.open_ms[saved] > last_seen).all()
    out_of_fold = told.source == OUT_OF_FOLD
    assert (told.open_ms[out_of_fold] <= last_seen + 60_000).all()
    fitted, _ = trained.predict_rows(learnable)
    assert (told.predictions[out_of_fold] != fitted[out_of_fold]).mean() > 0.95
    np.testing.assert_array_equal(told.predictions[saved], fitted[saved])
    scores = told.evaluate(1)
    assert set(scores.scored_by) == {OUT_OF_FOLD, SAVED_MODEL}
    assert told.evaluate(1, SAVED_MODEL).direction_accuracy > 0.53


def test_candles_of_another_interval_are_not_scored(trained):
    df = seeded_candles(400)
    df.index = df.index[0] + (df.index - df.index[0]) * 5
    with pytest.raises(DataError, match="candles are 300000 ms apart"):
        honest_predictions(trained, df)


def test_too_few_candles_and_wrong_settings_are_named():
    with pytest.raises(DataError, match="training: 70 rows are too few"):
        PricePredictor().train(seeded_candles(120))
    with pytest.raises(ConfigurationError, match="MODEL_TYPE is lstm"):
        PricePredictor(model_type="lstm")
    with pytest.raises(ConfigurationError, match="horizon is 0"):
        PricePredictor(horizon=0)


def test_nothing_is_predicted_or_saved_before_training(tmp_path):
    predictor = PricePredictor()
    with pytest.raises(ModelRefusedError, match=r"call train\(df\)"):
        predictor.predict(seeded_candles(100))
    with pytest.raises(ModelRefusedError):
        predictor.save_model(str(tmp_path / "models" / "BTCUSDT_gradient_boosting.joblib"))
    assert not predictor.skilled
    assert predictor.train_range_ms is None
