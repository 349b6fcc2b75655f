"""Honest scores of predictions that were made without knowing what they predict.

Direction accuracy counts the rows on which the price moved and something was predicted.  A bar is
"acted on" when its confidence is above the limit (0.5).  Intervals are Wilson's at 95 %, on
`rows / horizon` independent rows, since labels of neighbouring bars overlap.

A model is *skilled* when the lower bound of its accuracy on the bars it acts on is above one half
and above every baseline on the same bars.  Of many symbols tested together one passes by luck, so
that bound is not at 95 % each but at `0.95 ** (1 / symbols)` (Sidak 1967, valid for correlated
symbols too): together they pass by luck as rarely as a single one.
"""

import math
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from core.symbol.indicators import FloatArray

CONFIDENCE_LIMIT = 0.5
ACCURACY_TARGET = 0.55
RMSE_TARGET = 0.002
_Z_95 = 1.959963984540054
_BINS = 10
THRESHOLDS = (0.5, 0.505, 0.51, 0.515, 0.52, 0.53, 0.54, 0.55, 0.575, 0.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores on rows whose outcome the predictions could not know."""

    rows: int  # scored rows
    moved_rows: int  # of them, rows with a move and a prediction: these have a direction
    direction_accuracy: float
    ci_low: float
    ci_high: float
    rmse: float  # of the return
    brier: float  # of the confidence, on rows with a direction
    coverage: float  # share of rows acted on
    accuracy_at_confidence: float | None  # on the bars acted on; None if there were none
    accuracy_at_confidence_low: float | None
    accuracy_at_confidence_high: float | None
    baselines: dict[str, dict[str, float | None]]
    calibration: list[dict[str, float]]  # confidence bins: mean confidence, share right, rows
    thresholds: list[dict[str, float | None]]  # by confidence limit: coverage, accuracy, interval
    tested_together: int  # symbols
    skill_low: float | None  # the bound that skill is judged by, corrected for them
    skilled: bool
    meets_targets: bool  # > 55 % on the bars acted on and RMSE < 0.002
    verdict: str
    scored_by: dict[str, int] = field(default_factory=dict)  # rows by kind of prediction

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON shape of `evaluate` for one symbol."""
        return asdict(self)


def deviations_of(tested_together: int) -> float:
    """Return the half width, in deviations, of intervals that all hold together at 95 %.

    >>> round(deviations_of(1), 2), round(deviations_of(5), 2)
    (1.96, 2.57)
    """
    if tested_together < 1:
        raise ValueError(f"tested_together must be at least 1, was {tested_together}")
    each = 0.95 ** (1.0 / tested_together)
    return NormalDist().inv_cdf((1.0 + each) / 2.0)


def wilson_interval(hits: float, rows: float, deviations: float = _Z_95) -> tuple[float, float]:
    """Return the interval of a share of `hits` in `rows` (Wilson 1927), by default at 95 %.

    (0, 1) without rows.

    >>> low, high = wilson_interval(50, 100)
    >>> round(low, 4), round(high, 4)
    (0.4038, 0.5962)
    """
    if rows <= 0:
        return 0.0, 1.0
    share = hits / rows
    square = deviations * deviations
    middle = (share + square / (2.0 * rows)) / (1.0 + square / rows)
    spread = deviations / (1.0 + square / rows)
    spread *= math.sqrt(share * (1.0 - share) / rows + square / (4.0 * rows * rows))
    return middle - spread, middle + spread


def evaluate_predictions(
    predictions: FloatArray,
    confidences: FloatArray,
    labels: FloatArray,
    last_returns: FloatArray,
    *,
    horizon: int = 1,
    tested_together: int = 1,
    scored_by: dict[str, int] | None = None,
) -> Evaluation:
    """Score rows of equal length (n,): what was said, how surely, what came, what had come before.

    All values must be finite.  `last_returns` is the return up to the decision, for the baseline
    that expects the last direction to go on; `tested_together` counts the symbols of which each may
    pass.  Raises ValueError without rows.
    """
    rows = len(labels)
    if rows == 0:
        raise ValueError("no rows to score")
    directed = (labels != 0.0) & (predictions != 0.0)
    right = np.sign(predictions) == np.sign(labels)
    acted = directed & (confidences > CONFIDENCE_LIMIT)
    accuracy, low, high = _accuracy(right, directed, horizon)
    acted_accuracy, acted_low, acted_high = _accuracy(right, acted, horizon)
    baselines = _baselines(labels, last_returns, directed, acted)
    rmse = float(np.sqrt(np.mean((predictions - labels) ** 2)))
    brier = float(np.mean((confidences[directed] - right[directed]) ** 2)) if accuracy else 0.25
    rivals = [0.5, *(b["accuracy_at_confidence"] or 0.0 for b in baselines.values())]
    deviations = deviations_of(tested_together)
    skill_low = _accuracy(right, acted, horizon, deviations)[1]
    skilled = skill_low is not None and skill_low > max(rivals)
    meets = (acted_accuracy or 0.0) > ACCURACY_TARGET and rmse < RMSE_TARGET
    return Evaluation(
        rows=rows,
        moved_rows=int(directed.sum()),
        direction_accuracy=0.5 if accuracy is None else accuracy,
        ci_low=0.0 if low is None else low,
        ci_high=1.0 if high is None else high,
        rmse=rmse,
        brier=brier,
        coverage=float(np.mean(confidences > CONFIDENCE_LIMIT)),
        accuracy_at_confidence=acted_accuracy,
        accuracy_at_confidence_low=acted_low,
        accuracy_at_confidence_high=acted_high,
        baselines=baselines,
        calibration=_calibration_curve(confidences[directed], right[directed]),
        thresholds=_by_threshold(confidences, right, directed, horizon),
        tested_together=tested_together,
        skill_low=skill_low,
        skilled=skilled,
        meets_targets=skilled and meets,
        verdict=_verdict(acted_accuracy, skill_low, max(rivals), rmse, skilled=skilled),
        scored_by=dict(scored_by or {}),
    )


def _accuracy(
    right: np.ndarray, chosen: np.ndarray, horizon: int, deviations: float = _Z_95
) -> tuple[float, float, float] | tuple[None, None, None]:
    count = int(chosen.sum())
    if count == 0:
        return None, None, None
    share = float(right[chosen].mean())
    independent = count / horizon
    low, high = wilson_interval(share * independent, independent, deviations)
    return share, low, high


def _baselines(
    labels: FloatArray, last_returns: FloatArray, directed: np.ndarray, acted: np.ndarray
) -> dict[str, dict[str, float | None]]:
    """Scores of predictors that need no model; zero-return has an error but no direction."""
    ups = labels > 0.0
    follows = (np.sign(last_returns) == np.sign(labels)) & (last_returns != 0.0)

    def shares(right: np.ndarray, rmse: float) -> dict[str, float | None]:
        return {
            "direction_accuracy": _accuracy(right, directed, 1)[0],
            "accuracy_at_confidence": _accuracy(right, acted, 1)[0],
            "rmse": rmse,
        }

    size = float(np.mean(np.abs(labels)))
    persistent = float(np.sqrt(np.mean((last_returns - labels) ** 2)))
    return {
        "always_up": shares(ups, float(np.sqrt(np.mean((size - labels) ** 2)))),
        "last_direction": shares(follows, persistent),
        "zero_return": {
            "direction_accuracy": None,
            "accuracy_at_confidence": None,
            "rmse": float(np.sqrt(np.mean(labels**2))),
        },
    }


def _calibration_curve(confidences: FloatArray, right: np.ndarray) -> list[dict[str, float]]:
    """Bins of equal count, fewest first confidence first."""
    if len(confidences) == 0:
        return []
    order = np.argsort(confidences, kind="stable")
    return [
        {
            "confidence": float(confidences[part].mean()),
            "right": float(right[part].mean()),
            "rows": float(len(part)),
        }
        for part in np.array_split(order, min(_BINS, len(order)))
    ]


def _by_threshold(
    confidences: FloatArray, right: np.ndarray, directed: np.ndarray, horizon: int
) -> list[dict[str, float | None]]:
    """Score the bars above each limit: a model that knows when it knows does better higher up."""
    rows = []
    for limit in THRESHOLDS:
        above = confidences > limit
        accuracy, low, high = _accuracy(right, directed & above, horizon)
        rows.append(
            {
                "confidence": limit,
                "coverage": float(np.mean(above)),
                "accuracy": accuracy,
                "low": low,
                "high": high,
            }
        )
    return rows


def _verdict(
    accuracy: float | None, low: float | None, rival: float, rmse: float, *, skilled: bool
) -> str:
    if accuracy is None or low is None:
        return "no proven skill: it is never confident enough to act, so it is not used"
    numbers = f"right in {accuracy:.1%} of the bars it acts on, at least {low:.1%} at 95 %"
    if not skilled:
        return f"no proven skill: {numbers}, must be above {rival:.1%}, so it is not used"
    misses = [
        text
        for text, missed in (
            (f"accuracy target {ACCURACY_TARGET:.0%}", accuracy <= ACCURACY_TARGET),
            (f"RMSE target {RMSE_TARGET} ({rmse:.4f})", rmse >= RMSE_TARGET),
        )
        if missed
    ]
    return f"skilled: {numbers}" + (f"; misses the {' and the '.join(misses)}" if misses else "")
