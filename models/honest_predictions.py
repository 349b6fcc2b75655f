"""Predictions for the past as a model could have made them then.

A saved model has seen its training range, so on those rows (and on any before them) it may not be
asked: there a walk-forward refit with the same settings predicts each block from the rows before
it.  Later rows, after an embargo of the horizon, are the saved model's own.  `evaluate` and
`backtest` both read this.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import DataError
from core.symbol.features import FEATURE_NAMES, bars_of, feature_matrix
from core.symbol.indicators import FloatArray, IntArray
from models.calibration import CONFIDENCE_MIN
from models.evaluation import Evaluation, evaluate_predictions
from models.labels import future_returns, interval_ms
from models.price_predictor import PricePredictor

OUT_OF_FOLD = "out_of_fold"
SAVED_MODEL = "saved_model"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HonestPredictions:
    """One row per bar; a bar that nobody could predict has prediction 0 and confidence 0.1."""

    open_ms: IntArray
    predictions: FloatArray
    confidences: FloatArray
    labels: FloatArray  # what came; NaN where not known yet
    last_returns: FloatArray
    source: NDArray[np.str_]  # out_of_fold, saved_model or "" per row

    def evaluate(
        self, horizon: int, source: str | None = None, *, tested_together: int = 1
    ) -> Evaluation:
        """Score all rows, or those of one source; DataError if there are none."""
        chosen = (self.source != "") if source is None else (self.source == source)
        chosen &= np.isfinite(self.labels)
        if not chosen.any():
            raise DataError("evaluate: no row can be scored honestly. Fix: give more candles")
        kinds, counts = np.unique(self.source[chosen], return_counts=True)
        return evaluate_predictions(
            self.predictions[chosen],
            self.confidences[chosen],
            self.labels[chosen],
            self.last_returns[chosen],
            horizon=horizon,
            tested_together=tested_together,
            scored_by={str(kind): int(count) for kind, count in zip(kinds, counts, strict=True)},
        )


def honest_predictions(predictor: PricePredictor, df: pd.DataFrame) -> HonestPredictions:
    """Predict every bar of `df` without knowledge of its future.

    Raises DataError if the candles have another interval than the model was trained on, and
    ModelRefusedError without a model.
    """
    bars = bars_of(df)
    features = feature_matrix(df)
    labels = future_returns(bars.close, bars.open_ms, predictor.horizon)
    known = np.isfinite(features).all(axis=1)
    predictions = np.zeros(len(df), dtype=np.float64)
    confidences = np.full(len(df), CONFIDENCE_MIN)
    source = np.full(len(df), "", dtype="<U11")

    saved_from_ms = _saved_model_from_ms(predictor, bars.open_ms)
    later = known & (bars.open_ms > saved_from_ms)
    if later.any():
        every, sure = predictor.predict_rows(df)
        predictions[later], confidences[later] = every[later], sure[later]
        source[later] = SAVED_MODEL

    rows = np.flatnonzero(known & (bars.open_ms <= saved_from_ms) & np.isfinite(labels))
    try:
        told = predictor.out_of_fold(features[rows], labels[rows])
    except DataError:  # too few rows to refit: they stay unscored, unless they are all there is
        if not later.any():
            raise
    else:
        judged = np.isfinite(told.confidences)
        places = rows[judged]
        predictions[places] = told.predictions[judged]
        confidences[places] = told.confidences[judged]
        source[places] = OUT_OF_FOLD
    return HonestPredictions(
        open_ms=bars.open_ms,
        predictions=predictions,
        confidences=confidences,
        labels=labels,
        last_returns=features[:, FEATURE_NAMES.index("price_change")],
        source=source,
    )


def _saved_model_from_ms(predictor: PricePredictor, open_ms: IntArray) -> int:
    """Return the last open time on which the saved model may not be asked."""
    seen = predictor.train_range_ms
    trained_on = predictor.manifest.get("interval_ms")
    if seen is None or trained_on is None:
        return int(open_ms[-1])
    here = interval_ms(open_ms)
    if here not in {0, trained_on}:
        raise DataError(
            f"evaluate: candles are {here} ms apart, the model was trained on {trained_on}. "
            "Fix: give data of the same interval"
        )
    return seen[1] + predictor.horizon * int(trained_on)
