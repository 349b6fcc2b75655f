"""When a newly trained model takes the place of the one in use.

The rule: on the same later bars, which neither has seen, the new one must be better.  Later bars
are those after the old one's training range and an embargo; there the old model speaks itself, and
the new one by its walk-forward run, each block predicted from the rows before it.  Better is a
lower Brier score of the probability of a rise, by more than one standard error of the paired
difference, on at least `ROWS_MIN` bars with a move.  And never: one with a suspected leak for one
without, one without proven skill for one with.

The walk-forward run has less data than the new model itself, so the comparison leans a little
towards the old one.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.errors import DataError
from core.symbol.indicators import FloatArray
from models.honest_predictions import OUT_OF_FOLD, SAVED_MODEL, honest_predictions
from models.price_predictor import PricePredictor

ROWS_MIN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """Whether the new model replaces the old one, and why, in words with the numbers."""

    accepted: bool
    reason: str


def judge_succession(
    old: PricePredictor | None, new: PricePredictor, df: pd.DataFrame
) -> Succession:
    """Compare a model in use with one just trained on `df`; None for none in use."""
    if old is None:
        return Succession(accepted=True, reason="it is the first")
    if any(not test["passed"] for test in new.manifest["leak_tests"]):
        return Succession(accepted=False, reason="a leak is suspected in it")
    if old.skilled and not new.skilled:
        return Succession(accepted=False, reason="the old one has proven skill and it has none")
    if old.horizon != new.horizon or old.manifest.get("interval_ms") != new.manifest["interval_ms"]:
        return Succession(accepted=True, reason="the old one predicts other bars")
    told = honest_predictions(old, df)
    try:
        again = honest_predictions(new, df)
    except DataError as error:
        return Succession(accepted=False, reason=str(error))
    rows = (
        (told.source == SAVED_MODEL)
        & (again.source == OUT_OF_FOLD)
        & np.isfinite(told.labels)
        & (told.labels != 0.0)
    )
    count = int(rows.sum())
    if count < ROWS_MIN:
        reason = f"only {count} later bars to compare on, {ROWS_MIN} needed"
        return Succession(accepted=False, reason=reason)
    rises = (told.labels[rows] > 0.0).astype(np.float64)
    before = (_rise(told.predictions[rows], told.confidences[rows]) - rises) ** 2
    after = (_rise(again.predictions[rows], again.confidences[rows]) - rises) ** 2
    gain = float((before - after).mean())
    error = float((before - after).std()) / math.sqrt(count / new.horizon)
    better = gain > error and gain > 0.0
    return Succession(
        accepted=better,
        reason=(
            f"Brier score {after.mean():.5f} against {before.mean():.5f} of the old one on "
            f"{count} later bars, {'more' if better else 'not more'} than one standard error "
            f"({error:.5f}) better"
        ),
    )


def _rise(predictions: FloatArray, confidences: FloatArray) -> FloatArray:
    """Return the probability of a rise that a prediction and its confidence amount to."""
    up = np.where(predictions > 0.0, confidences, 1.0 - confidences)
    return np.where(predictions == 0.0, 0.5, up)
