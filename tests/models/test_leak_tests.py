"""Leak tests pass what is honest, and each planted leak fails the test made for it."""

import numpy as np
import pandas as pd
import pytest

from core.symbol.features import bars_of
from models.leak_tests import LeakTest, run_leak_tests
from models.price_predictor import PricePredictor
from models.walk_forward import Fold, walk_forward
from tests.symbol.seeded_candles import seeded_candles


@pytest.fixture(scope="module")
def candles():
    return seeded_candles(2_500, 31)


class KnowsNextReturn(PricePredictor):
    def create_features(self, df: pd.DataFrame) -> pd.DataFrame:
        features = super().create_features(df)
        features["price_change"] = (df["close"].shift(-1) / df["close"] - 1.0).fillna(0.0)
        return features


class KnowsCentredMean(PricePredictor):
    def create_features(self, df: pd.DataFrame) -> pd.DataFrame:
        features = super().create_features(df)
        centred = df["close"].rolling(5, center=True, min_periods=1).mean()
        features["vwap_distance_20"] = df["close"] / centred - 1.0
        return features


class KnowsTwoBarsAhead(PricePredictor):
    """As if the candles of one column were stamped two bars early."""

    def create_features(self, df: pd.DataFrame) -> pd.DataFrame:
        features = super().create_features(df)
        change = df["close"].pct_change()
        features["taker_imbalance"] = change.shift(-2).fillna(0.0)
        return features


class KnowsALittleOfTwoBarsAhead(PricePredictor):
    """As above, and right in `right` of the bars only."""

    def __init__(self, right: float) -> None:
        super().__init__()
        self.right = right

    def create_features(self, df: pd.DataFrame) -> pd.DataFrame:
        features = super().create_features(df)
        # Drawn by the bar's time, so that a cut changes nothing but the end.
        drawn = np.random.default_rng(5).random(100_000)[df.index.asi8 // 60_000 % 100_000]
        ahead = np.sign(df["close"].pct_change().shift(-2)).fillna(0.0)
        features["taker_imbalance"] = np.where(drawn < self.right, ahead, -ahead)
        return features


def a_random_walk(bars: int) -> pd.DataFrame:
    """A market of which nothing can be known."""
    rng = np.random.default_rng(8)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 5e-4, bars)))
    opened = np.concatenate([[100.0], close[:-1]])
    reach = 0.01 * rng.random((2, bars))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) + reach[0],
            "low": np.minimum(opened, close) - reach[1],
            "close": close,
            "volume": rng.uniform(5.0, 50.0, bars),
        },
        index=pd.date_range("2026-01-01", periods=bars, freq="min", tz="UTC", unit="ms"),
    )


def with_a_column_stamped_one_bar_early(df: pd.DataFrame) -> pd.DataFrame:
    """The buyers' volume of each candle is that of the next: no feature is made wrongly."""
    early = df.copy()
    ahead = np.sign(df["close"].shift(-1) / df["close"] - 1.0).fillna(0.0)
    early["taker_buy_volume"] = df["volume"] * (0.5 + 0.3 * ahead)
    return early


class ForgetsToPurge(PricePredictor):
    def folds(self, rows: int) -> list[Fold]:
        return [
            Fold(
                number=fold.number,
                train_end=fold.train_end + self.horizon,
                test_start=fold.test_start - self.horizon,
                test_end=fold.test_end,
            )
            for fold in walk_forward(rows, folds=3, horizon=self.horizon)
        ]


class TrainsOnWhatItJudges(PricePredictor):
    def folds(self, rows: int) -> list[Fold]:
        return [Fold(number=n, train_end=rows, test_start=rows // 2, test_end=rows) for n in (1, 2)]


def told(subject: PricePredictor, df: pd.DataFrame) -> dict[str, LeakTest]:
    return {test.name: test for test in run_leak_tests(subject, df)}


@pytest.mark.parametrize("horizon", [1, 5])
def test_honest_features_and_splits_pass(candles, horizon):
    tests = told(PricePredictor(horizon=horizon), candles)
    assert list(tests) == ["prefix", "purge", "shuffle", "shift", "plausible"]
    assert {name for name, test in tests.items() if not test.passed} == set()


@pytest.mark.parametrize(
    ("subject", "failed"),
    [
        (KnowsNextReturn(), "prefix"),
        (KnowsCentredMean(), "prefix"),
        (KnowsTwoBarsAhead(), "shift"),
        (ForgetsToPurge(horizon=5), "purge"),
        (TrainsOnWhatItJudges(), "shuffle"),
    ],
)
def test_a_planted_leak_fails_the_test_made_for_it(candles, subject, failed):
    test = told(subject, candles)[failed]
    assert not test.passed
    assert test.value > test.limit
    assert any(character.isdigit() for character in test.detail)


@pytest.mark.parametrize(("right", "found"), [(0.5, False), (0.6, True)])
def test_a_weak_lead_of_two_bars_is_found_and_none_is_not(right, found):
    test = told(KnowsALittleOfTwoBarsAhead(right), a_random_walk(10_000))["shift"]
    assert test.passed is not found, test.detail


def test_a_leaking_model_is_not_skilled_however_well_it_scores(candles):
    predictor = KnowsNextReturn()
    scores = predictor.train(candles)
    assert scores["direction_accuracy"] > 0.95
    assert scores["skilled"] == 0.0
    assert not predictor.skilled
    assert predictor.evaluation is not None
    assert predictor.evaluation.verdict.startswith("a leak is suspected (prefix: ")


def test_a_market_that_always_rises_is_no_leak():
    """Chance is not one half where most labels are up."""
    df = seeded_candles(1_500, 3)
    climb = np.exp(np.arange(len(df)) * 1.2e-3)
    df[["open", "high", "low", "close"]] = df[["open", "high", "low", "close"]].mul(climb, axis=0)
    assert (np.diff(bars_of(df).close) > 0).mean() > 0.8
    tests = told(PricePredictor(), df)
    assert tests["shuffle"].passed
    assert tests["shift"].passed


def test_gaps_do_not_stand_in_for_the_bar_before(candles):
    holed = candles.drop(candles.index[np.arange(200, 2_400, 37)])
    assert all(test.passed for test in told(PricePredictor(), holed).values())


def test_a_column_of_the_candles_that_is_one_bar_early_is_suspected_and_named(candles):
    tests = told(PricePredictor(), with_a_column_stamped_one_bar_early(candles))
    assert {name for name, test in tests.items() if not test.passed} == {"plausible"}
    assert tests["plausible"].value > 0.9
    assert "taker" in tests["plausible"].detail
