"""Confidence: the probability that a prediction has the right sign, learned out of fold.

Platt's logistic curve over the size of the prediction: two numbers, so that the rare largest
predictions cannot be remembered one by one.  The slope is never negative (a bolder prediction is
never trusted less), and with too few rows the curve is flat at one half.
"""

import math
from dataclasses import dataclass

import numpy as np

from core.symbol.indicators import FloatArray

CONFIDENCE_MIN = 0.1
CONFIDENCE_MAX = 1.0
_ROWS_MIN = 100
_SIZE_MAX = 5.0  # scaled sizes above this count as this: beyond lies extrapolation
_ODDS_MAX = 30.0
_STEPS_MAX = 50
_CONVERGED = 1e-10
_RIDGE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """`1 / (1 + exp(-(intercept + slope * min(|prediction| / scale, 5))))`, clipped to [0.1, 1]."""

    intercept: float
    slope: float
    scale: float  # mean size of the predictions it was fitted on

    def confidence(self, prediction: float) -> float:
        """Return the confidence in one prediction; 0.1 for a prediction of 0 or NaN."""
        size = abs(prediction)
        if not size > 0.0:
            return CONFIDENCE_MIN
        odds = self.intercept + self.slope * min(size / self.scale, _SIZE_MAX)
        probability = 1.0 / (1.0 + math.exp(-min(max(odds, -_ODDS_MAX), _ODDS_MAX)))
        return min(max(probability, CONFIDENCE_MIN), CONFIDENCE_MAX)

    def confidences(self, predictions: FloatArray) -> FloatArray:
        """Return `confidence` of every prediction (n,): the same scalar code, equal in all bits."""
        return np.array([self.confidence(value) for value in predictions.tolist()])


FLAT = Calibration(intercept=0.0, slope=0.0, scale=1.0)
"""Knows nothing: one half for every prediction, which never passes a limit of 0.5."""


def fit_calibration(predictions: FloatArray, labels: FloatArray) -> Calibration:
    """Fit the curve on out-of-fold predictions and what then happened (both (n,)).

    Rows without a move or a prediction say nothing about direction and are left out.
    """
    told = (predictions != 0.0) & (labels != 0.0) & np.isfinite(predictions) & np.isfinite(labels)
    if int(told.sum()) < _ROWS_MIN:
        return FLAT
    sizes = np.abs(predictions[told])
    scale = float(sizes.mean())
    right = (np.sign(predictions[told]) == np.sign(labels[told])).astype(np.float64)
    sizes = np.minimum(sizes / scale, _SIZE_MAX)
    intercept, slope = _logistic(sizes, right)
    if slope < 0.0:
        share = float(np.clip(right.mean(), 1e-6, 1.0 - 1e-6))
        intercept, slope = float(np.log(share / (1.0 - share))), 0.0
    return Calibration(intercept=intercept, slope=slope, scale=scale)


def _logistic(sizes: FloatArray, right: FloatArray) -> tuple[float, float]:
    """Newton's method on the log loss of two parameters, the slope lightly held towards 0."""
    design = np.column_stack([np.ones_like(sizes), sizes])
    weights = np.zeros(2)
    penalty = np.diag([0.0, _RIDGE])
    for _ in range(_STEPS_MAX):
        probability = 1.0 / (1.0 + np.exp(-design @ weights))
        gradient = design.T @ (right - probability) - penalty @ weights
        curvature = (design * (probability * (1.0 - probability))[:, None]).T @ design + penalty
        move = np.linalg.solve(curvature, gradient)
        weights = np.clip(weights + move, -20.0, 20.0)
        if float(np.abs(move).max()) < _CONVERGED:
            break
    return float(weights[0]), float(weights[1])
