"""The default strategy, and the protocol a strategy of one's own has to meet.

`EnhancedStrategy` weighs six technical signals against a learned prediction (weights and limits:
`core.symbol.signals`).  Every call leaves an `Assessment` behind that says what was decided and,
where nothing was, which number fell short of which limit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import ConfigurationError, DataError
from core.symbol.features import (
    FEATURE_NAMES,
    FEATURES_EXACT,
    FeatureEngine,
    RollingFeatures,
    feature_matrix,
)
from core.symbol.indicators import FEATURES_WARMUP, FloatArray
from core.symbol.signals import combined_score, score_rows, technical_signals

SignalArray = NDArray[np.object_]
Decision = tuple[str | None, float, dict[str, Any]]

NO_PREDICTION = (0.0, 0.0)
CLOSE_ROW = 2  # in DecidedRows


@runtime_checkable
class Strategy(Protocol):
    """What the bot asks of a strategy.

    `warmup` is the number of bars `generate_signal` wants to see; it gets the last
    max(warmup, KLINE_HISTORY) closed bars and answers BUY, SELL, CLOSE or None, a strength in 0..1
    and a dict of whatever explains it.  An optional `signals(df)` gives the same for every row at
    once (object array), which makes a backtest fast.
    """

    @property
    def warmup(self) -> int:
        """Bars wanted before the first decision."""
        ...

    def generate_signal(self, df: pd.DataFrame) -> Decision:
        """Decide on the last closed bar of `df`."""
        ...


class Predictor(Protocol):
    """A learned model, as the strategy sees it.

    Optional: `skilled` (False keeps it out of the decision) and `predict_rows(df)`, which returns
    (predictions, confidences) of every row and must agree with `predict` on each prefix.
    """

    def predict(self, df: pd.DataFrame) -> tuple[float, float]:
        """Return the predicted return and the confidence (0.1..1) for the bar after `df`."""
        ...


class Reason(StrEnum):
    """Stable code of why a bar did or did not give a signal."""

    SIGNAL = "signal"
    SHORT_HISTORY = "short_history"
    BAD_FRAME = "bad_frame"
    BAD_BAR = "bad_bar"
    NO_MODEL = "no_model"
    UNSKILLED_MODEL = "unskilled_model"
    BAD_PREDICTION = "bad_prediction"
    HOLD = "hold"
    WEAK_SIGNAL = "weak_signal"
    LOW_CONFIDENCE = "low_confidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the strategy made of one bar, and why."""

    signal: Literal["BUY", "SELL"] | None
    strength: float  # 0..1, before the limits
    raw_side: str  # BUY, SELL or HOLD, before the limits
    prediction: float  # predicted return; 0 where there was none
    confidence: float | None  # 0.1..1; None when technical only
    technical: Mapping[str, float] = field(default_factory=dict)  # signals, then features
    reason_code: Reason
    reason: str  # one clause with its numbers: "strength 0.22 <= 0.30"

    @property
    def features(self) -> dict[str, float]:
        """The feature row by name; empty where there was none."""
        return {name: self.technical[name] for name in FEATURE_NAMES if name in self.technical}


@dataclass(frozen=True, slots=True, eq=False)
class DecidedRows:
    """Decisions of many bars: 1 buys, -1 sells, `CLOSE_ROW` closes, 0 does nothing."""

    sides: NDArray[np.int8]  # (n,)
    strengths: FloatArray  # (n,), 0 where nothing is done
    confidences: FloatArray  # (n,), NaN where technical only

    @classmethod
    def none(cls, rows: int) -> "DecidedRows":
        """Return so many rows that do nothing."""
        return cls(np.zeros(rows, dtype=np.int8), np.zeros(rows), np.full(rows, np.nan))


class EnhancedStrategy:
    """Technical signals and a prediction, weighted into one decision per closed bar.

    `config` (keys in upper or lower case, all optional): `predictor` (a `Predictor` or None),
    `MIN_SIGNAL_STRENGTH` (0.3) and `MIN_ML_CONFIDENCE` (0.5), both to be exceeded strictly,
    `ALLOW_TECHNICAL_ONLY` (False): trade on the signals alone, with no confidence, where there is
    no predictor or an unskilled one, `KLINE_HISTORY` (200): bars before the first decision,
    `FEATURE_ENGINE` (numba).  Other keys are ignored.  Raises ConfigurationError for a value that
    cannot be used.  One instance serves one symbol.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        given = {key.upper(): value for key, value in config.items()}
        self._predictor: Predictor | None = given.get("PREDICTOR")
        self._strength_min = _fraction(given, "MIN_SIGNAL_STRENGTH", 0.3)
        self._confidence_min = _fraction(given, "MIN_ML_CONFIDENCE", 0.5)
        self._technical_only = bool(given.get("ALLOW_TECHNICAL_ONLY", False))
        self._bars_min = max(int(given.get("KLINE_HISTORY", 200)), FEATURES_WARMUP)
        self._engine: FeatureEngine = given.get("FEATURE_ENGINE", "numba")
        if self._engine not in ("numba", "ta"):
            raise ConfigurationError(f"FEATURE_ENGINE is {self._engine}. Fix: use numba or ta")
        self._rolling = RollingFeatures(self._engine)
        self.last_assessment: Assessment | None = None

    @property
    def warmup(self) -> int:
        """Bars wanted (1,000): from there on values do not depend on the first bar (1e-9).

        Deciding starts at `KLINE_HISTORY` bars already, with averages up to 3e-4 off.
        """
        return max(FEATURES_EXACT, self._bars_min)

    def take_model(self, predictor: Predictor | None) -> None:
        """Use another predictor from the next bar on.

        Optional in a strategy of one's own: without it a new model counts from the next start on.
        """
        self._predictor = predictor

    def calculate_technical_signals(self, df: pd.DataFrame) -> dict[str, float]:
        """Return the six signals (-1, 0, 1) and all features of the last bar, by name.

        The signals are 0 and the features NaN while fewer than `FEATURES_WARMUP` bars are there or
        the last bar is damaged.  Raises DataError for a frame that is no candle frame.
        """
        row = self._rolling.latest(df) if len(df) else np.full(len(FEATURE_NAMES), np.nan)
        named = dict(zip(FEATURE_NAMES, row.tolist(), strict=True))
        return technical_signals(row) | named

    def get_ml_prediction(self, df: pd.DataFrame) -> tuple[float, float]:
        """Return (predicted return of the next bar, confidence); (0.0, 0.0) without a model."""
        if self._predictor is None:
            return NO_PREDICTION
        prediction, confidence = self._predictor.predict(df)
        return float(prediction), float(confidence)

    def combine_signals(
        self,
        technical_signals: Mapping[str, float],
        ml_prediction: float,
        ml_confidence: float | None,
    ) -> tuple[str, float]:
        """Return ('BUY' | 'SELL' | 'HOLD', strength 0..1).

        `w * sign(ml_prediction) + (1 - w) * sum(weight * signal)` with w = min(confidence, 0.8):
        its sign is the side, its size the strength; 0 gives ('HOLD', 0.0), as does a NaN.
        `ml_confidence` None means technical only (w = 0).
        """
        score = combined_score(technical_signals, ml_prediction, ml_confidence)
        if not math.isfinite(score) or score == 0.0:
            return "HOLD", 0.0
        return ("BUY" if score > 0.0 else "SELL"), abs(score)

    def generate_signal(self, df: pd.DataFrame) -> Decision:
        """Decide on the last bar: (side, strength, info), or (None, 0.0, {}) below the limits.

        `info` holds `technical_signals`, `ml_prediction`, `ml_confidence` (None when technical
        only) and `reason`.  Never raises for a short or damaged frame; `last_assessment` says why
        there was no signal.
        """
        assessment = self._assess(df)
        self.last_assessment = assessment
        if assessment.signal is None:
            return None, 0.0, {}
        return (
            assessment.signal,
            assessment.strength,
            {
                "technical_signals": dict(assessment.technical),
                "ml_prediction": assessment.prediction,
                "ml_confidence": assessment.confidence,
                "reason": assessment.reason,
            },
        )

    def assess(self, df: pd.DataFrame) -> Assessment:
        """Decide on the last bar and return all that led to it."""
        self.generate_signal(df)
        assert self.last_assessment is not None
        return self.last_assessment

    def signals(self, df: pd.DataFrame) -> SignalArray:
        """Return the decision of every row (BUY, SELL or None), equal to the bar-by-bar path.

        Equal to calling `generate_signal` on each prefix of `df`.
        """
        sides = self.decide_rows(df).sides
        decisions: SignalArray = np.full(len(df), None, dtype=object)
        decisions[sides > 0] = "BUY"
        decisions[sides < 0] = "SELL"
        return decisions

    def decide_rows(
        self, df: pd.DataFrame, told: tuple[FloatArray, FloatArray] | None = None
    ) -> DecidedRows:
        """Return side, strength and confidence of every row, as `generate_signal` gives them.

        `told`: (predictions, confidences) of every row to use instead of asking the model, for
        histories that the model has learned from.
        """
        decided = DecidedRows.none(len(df))
        if len(df) < self._bars_min or self._refusal() is not None:
            return decided
        features = feature_matrix(df, engine=self._engine)
        technical = self._is_technical_only
        if told is None or technical:
            told = self._predictions_of(df)
        predictions, confidences = told
        scores = score_rows(features, predictions, confidences)
        rows = ~np.isnan(features[:, 0]) & (np.abs(scores) > self._strength_min)
        if not technical:
            rows &= np.isfinite(predictions) & (confidences > self._confidence_min)
            decided.confidences[rows] = confidences[rows]
        rows[: self._bars_min - 1] = False
        decided.sides[rows] = np.sign(scores[rows])
        decided.strengths[rows] = np.abs(scores[rows])
        return decided

    @property
    def _unskilled(self) -> bool:
        return self._predictor is not None and not getattr(self._predictor, "skilled", True)

    @property
    def _is_technical_only(self) -> bool:
        return self._technical_only and (self._predictor is None or self._unskilled)

    def _refusal(self) -> tuple[Reason, str] | None:
        """Why no bar at all may give a signal, as configured."""
        if self._technical_only:
            return None
        if self._predictor is None:
            return Reason.NO_MODEL, "no model, and ALLOW_TECHNICAL_ONLY is off"
        if self._unskilled:
            return Reason.UNSKILLED_MODEL, "model without skill, and ALLOW_TECHNICAL_ONLY is off"
        return None

    def _predictions_of(self, df: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Return (predictions, confidences) of every row, zeros where technical only."""
        predictions = np.zeros(len(df), dtype=np.float64)
        confidences = np.zeros(len(df), dtype=np.float64)
        if self._predictor is None or self._is_technical_only:
            return predictions, confidences
        predict_rows = getattr(self._predictor, "predict_rows", None)
        if predict_rows is not None:
            every_row: tuple[FloatArray, FloatArray] = predict_rows(df)
            return every_row
        for row in range(self._bars_min - 1, len(df)):
            predictions[row], confidences[row] = self.get_ml_prediction(df.iloc[: row + 1])
        return predictions, confidences

    def _assess(self, df: pd.DataFrame) -> Assessment:
        if len(df) < self._bars_min:
            return _nothing(Reason.SHORT_HISTORY, f"history {len(df)} < {self._bars_min} bars")
        try:
            technical = self.calculate_technical_signals(df)
        except DataError as error:
            return _nothing(Reason.BAD_FRAME, str(error))
        if math.isnan(technical["price_change"]):
            return _nothing(Reason.BAD_BAR, "last bar damaged or too few sound bars before it")
        prediction, confidence = self.get_ml_prediction(df)
        trusted = None if self._is_technical_only else confidence
        if trusted is None or (math.isfinite(prediction) and math.isfinite(trusted)):
            side, strength = self.combine_signals(technical, prediction, trusted)
            refusal = self._refusal() or self._below_limits(side, strength, trusted)
        else:
            side, strength = "HOLD", 0.0
            refusal = Reason.BAD_PREDICTION, f"prediction {prediction}, confidence {confidence}"
        chosen: Literal["BUY", "SELL"] | None = None
        if refusal is None:
            chosen = "BUY" if side == "BUY" else "SELL"
            refusal = Reason.SIGNAL, f"strength {strength:.2f} > {self._strength_min:.2f}"
        return Assessment(
            signal=chosen,
            strength=strength,
            raw_side=side,
            prediction=prediction,
            confidence=trusted,
            technical=technical,
            reason_code=refusal[0],
            reason=refusal[1],
        )

    def _below_limits(
        self, side: str, strength: float, confidence: float | None
    ) -> tuple[Reason, str] | None:
        if side == "HOLD":
            return Reason.HOLD, "signals cancel out: strength 0.00"
        if not strength > self._strength_min:
            return Reason.WEAK_SIGNAL, f"strength {strength:.2f} <= {self._strength_min:.2f}"
        if confidence is not None and not confidence > self._confidence_min:
            return (
                Reason.LOW_CONFIDENCE,
                f"confidence {confidence:.2f} <= {self._confidence_min:.2f}",
            )
        return None


def _nothing(code: Reason, reason: str) -> Assessment:
    return Assessment(
        signal=None,
        strength=0.0,
        raw_side="HOLD",
        prediction=0.0,
        confidence=None,
        reason_code=code,
        reason=reason,
    )


def _fraction(given: Mapping[str, Any], name: str, default: float) -> float:
    value = float(given.get(name, default))
    if not 0.0 <= value <= 1.0:
        raise ConfigurationError(f"{name} is {value}. Fix: set it between 0 and 1")
    return value
