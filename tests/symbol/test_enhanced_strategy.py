"""The default strategy: limits, reasons, and bar by bar equal to all at once."""

import math

import numpy as np
import pytest

from core.errors import ConfigurationError
from core.symbol.features import FEATURE_NAMES
from core.symbol.signals import SIGNAL_NAMES
from core.symbol.strategy import Assessment, EnhancedStrategy, Reason, Strategy
from tests.symbol.seeded_candles import seeded_candles

ROWS = 320


class FixedPredictor:
    """Says the same about every bar."""

    def __init__(self, prediction: float, confidence: float, *, skilled: bool = True) -> None:
        self.answer = (prediction, confidence)
        self.skilled = skilled

    def predict(self, df):
        return self.answer


class CloseDigitPredictor:
    """Reads its answer off the last close: some bars up, some down, some unsure."""

    def predict(self, df):
        digit = int(df["close"].iloc[-1] * 1e4) % 10
        return (1e-4 if digit % 2 else -1e-4), 0.1 * digit


def assess(df, **config) -> Assessment:
    strategy = EnhancedStrategy(config)
    assessment = strategy.assess(df)
    assert strategy.last_assessment is assessment
    assert strategy.generate_signal(df)[0] == assessment.signal
    return assessment


def test_works_without_any_setting_and_then_needs_a_model():
    strategy = EnhancedStrategy({})
    assert isinstance(strategy, Strategy)
    df = seeded_candles(ROWS)
    assert strategy.get_ml_prediction(df) == (0.0, 0.0)
    assert strategy.generate_signal(df) == (None, 0.0, {})
    assert not any(strategy.signals(df))


def test_says_no_model_only_where_a_signal_would_have_been():
    reasons = {assess(seeded_candles(ROWS, seed)).reason_code for seed in range(6)}
    assert reasons == {Reason.NO_MODEL}


def test_technical_values_hold_six_signals_and_every_feature():
    values = EnhancedStrategy({}).calculate_technical_signals(seeded_candles(ROWS))
    assert tuple(values)[:6] == SIGNAL_NAMES
    assert set(FEATURE_NAMES) <= set(values)
    assert all(type(value) is float and math.isfinite(value) for value in values.values())


def test_combines_side_and_strength():
    combine = EnhancedStrategy({}).combine_signals
    assert combine({"ema_signal": 1.0, "macd_signal": 1.0}, 0.0, 0.0) == ("BUY", 0.45)
    assert combine({"ema_signal": 1.0}, -0.001, 0.8) == ("SELL", 0.74)
    assert combine({}, 0.0, 0.9) == ("HOLD", 0.0)
    assert combine({"rsi_signal": math.nan}, 0.001, 0.6) == ("HOLD", 0.0)
    assert combine({"ema_signal": 1.0}, -0.001, None) == ("BUY", 0.3)


def test_a_confident_prediction_gives_a_signal_with_its_story():
    df = seeded_candles(ROWS)
    strategy = EnhancedStrategy({"predictor": FixedPredictor(0.0007, 0.9)})
    side, strength, info = strategy.generate_signal(df)
    assert side == "BUY"
    assert strength > 0.6
    assert info["ml_prediction"] == 0.0007
    assert info["ml_confidence"] == 0.9
    assert info["technical_signals"]["ema_signal"] in {-1.0, 0.0, 1.0}
    assessment = strategy.last_assessment
    assert assessment is not None
    assert (assessment.signal, assessment.raw_side) == ("BUY", "BUY")
    assert assessment.features["rsi_14"] == info["technical_signals"]["rsi_14"]


def test_confidence_must_be_strictly_above_its_limit():
    df = seeded_candles(ROWS)
    at_limit = assess(df, predictor=FixedPredictor(0.001, 0.5), MIN_SIGNAL_STRENGTH=0.0)
    assert at_limit.signal is None
    assert at_limit.reason_code is Reason.LOW_CONFIDENCE
    assert at_limit.reason == "confidence 0.50 <= 0.50"
    above = assess(df, predictor=FixedPredictor(0.001, 0.50001), MIN_SIGNAL_STRENGTH=0.0)
    assert above.signal is not None


def test_strength_must_be_strictly_above_its_limit():
    df = seeded_candles(ROWS)
    strength = assess(df, ALLOW_TECHNICAL_ONLY=True, MIN_SIGNAL_STRENGTH=0.0).strength
    at_limit = assess(df, ALLOW_TECHNICAL_ONLY=True, MIN_SIGNAL_STRENGTH=strength)
    assert (at_limit.signal, at_limit.reason_code) == (None, Reason.WEAK_SIGNAL)
    assert at_limit.reason == f"strength {strength:.2f} <= {strength:.2f}"
    below = assess(df, ALLOW_TECHNICAL_ONLY=True, MIN_SIGNAL_STRENGTH=strength - 1e-9)
    assert below.signal == below.raw_side


@pytest.mark.parametrize("predictor", [None, FixedPredictor(0.001, 0.9, skilled=False)])
def test_technical_only_has_no_confidence_and_no_weight_of_the_model(predictor):
    df = seeded_candles(ROWS)
    assessment = assess(df, predictor=predictor, allow_technical_only=True)
    assert assessment.confidence is None
    technical = EnhancedStrategy({}).combine_signals(assessment.technical, 0.0, None)
    assert (assessment.raw_side, assessment.strength) == technical
    strict = assess(df, predictor=predictor)
    assert strict.signal is None
    expected = Reason.NO_MODEL if predictor is None else Reason.UNSKILLED_MODEL
    assert strict.reason_code is expected


def test_short_and_damaged_frames_give_no_signal_and_a_reason():
    df = seeded_candles(ROWS)
    config = {"allow_technical_only": True}
    assert assess(df.iloc[:199], **config).reason == "history 199 < 200 bars"
    assert assess(df.iloc[:0], **config).reason_code is Reason.SHORT_HISTORY
    damaged = df.copy()
    damaged.iloc[-1, 3] = np.nan
    assert assess(damaged, **config).reason_code is Reason.BAD_BAR
    all_nan = df * np.nan
    assert assess(all_nan, **config).reason_code is Reason.BAD_BAR
    assert assess(df.drop(columns="close"), **config).reason_code is Reason.BAD_FRAME
    assert EnhancedStrategy(config).generate_signal(all_nan) == (None, 0.0, {})


@pytest.mark.parametrize("answer", [(math.nan, 0.9), (0.001, math.nan), (math.inf, 0.9)])
def test_a_prediction_that_is_no_number_gives_no_signal(answer):
    strategy = EnhancedStrategy({"predictor": FixedPredictor(*answer)})
    df = seeded_candles(ROWS)
    assert strategy.generate_signal(df) == (None, 0.0, {})
    assert not any(strategy.signals(df))
    assert strategy.last_assessment is not None
    assert strategy.last_assessment.reason_code is Reason.BAD_PREDICTION


@pytest.mark.parametrize(
    "config",
    [
        {"allow_technical_only": True},
        {"predictor": CloseDigitPredictor()},
        {"predictor": CloseDigitPredictor(), "MIN_ML_CONFIDENCE": 0.3, "KLINE_HISTORY": 60},
    ],
)
def test_all_rows_at_once_equal_bar_by_bar(config):
    df = seeded_candles(700)
    at_once = EnhancedStrategy(config).signals(df)
    live = EnhancedStrategy(config)
    bar_by_bar = [live.generate_signal(df.iloc[: end + 1])[0] for end in range(len(df))]
    assert at_once.tolist() == bar_by_bar
    assert {"BUY", "SELL", None} == set(bar_by_bar)


def test_a_sliding_window_decides_like_the_whole_history():
    df = seeded_candles(900)
    config = {"allow_technical_only": True}
    at_once, live = EnhancedStrategy(config).signals(df), EnhancedStrategy(config)
    window = 300
    for end in range(window, len(df) + 1):
        assert live.generate_signal(df.iloc[end - window : end])[0] == at_once[end - 1]


def test_the_ta_engine_decides_the_same():
    df = seeded_candles(ROWS)
    ours = EnhancedStrategy({"allow_technical_only": True}).signals(df)
    reference = EnhancedStrategy({"allow_technical_only": True, "feature_engine": "ta"}).signals(df)
    assert ours.tolist() == reference.tolist()


def test_settings_that_cannot_be_used_are_named():
    with pytest.raises(ConfigurationError, match=r"MIN_SIGNAL_STRENGTH is 1\.5"):
        EnhancedStrategy({"MIN_SIGNAL_STRENGTH": 1.5})
    with pytest.raises(ConfigurationError, match="FEATURE_ENGINE is talib"):
        EnhancedStrategy({"FEATURE_ENGINE": "talib"})
