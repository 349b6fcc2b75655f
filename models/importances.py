"""What a model's accuracy rests on: permutation importances, out of fold.

A model that has not seen a block predicts it again and again, each time with one feature's values
in random order among the rows.  What the share of right directions loses by that is what the
feature is worth to this model there; next to nothing, or below, means it is not missed.  Features
that say the same stand in for one another, so each of them looks small.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.symbol.indicators import FloatArray

ROWS_MAX = 10_000
REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """What one feature is worth on rows the model had not seen."""

    feature: str
    accuracy_lost: float  # share of right directions, mean over the repeats
    spread: float  # standard deviation over the repeats
    rmse_gained: float  # of the return

    def as_dict(self) -> dict[str, Any]:
        """Return the shape in manifest and card."""
        return asdict(self)


def permutation_importances(
    predict: Callable[[FloatArray], FloatArray],
    x: FloatArray,
    y: FloatArray,
    names: Sequence[str],
    *,
    seed: int,
) -> tuple[Importance, ...]:
    """Return one importance a feature, largest first; of the newest `ROWS_MAX` rows of x (n, k).

    `predict` must be a model that was not fitted on these rows.
    """
    x, y = x[-ROWS_MAX:], y[-ROWS_MAX:]
    rng = np.random.default_rng(seed)
    whole = predict(x)
    found = []
    for column, name in enumerate(names):
        lost, gained = [], []
        for _ in range(REPEATS):
            mixed = x.copy()
            mixed[:, column] = rng.permutation(x[:, column])
            told = predict(mixed)
            lost.append(_right(whole, y) - _right(told, y))
            gained.append(_rmse(told, y) - _rmse(whole, y))
        found.append(
            Importance(
                feature=name,
                accuracy_lost=float(np.mean(lost)),
                spread=float(np.std(lost)),
                rmse_gained=float(np.mean(gained)),
            )
        )
    return tuple(sorted(found, key=lambda row: -row.accuracy_lost))


def _right(predictions: FloatArray, labels: FloatArray) -> float:
    told = (predictions != 0.0) & (labels != 0.0)
    if not told.any():
        return 0.5
    return float((np.sign(predictions[told]) == np.sign(labels[told])).mean())


def _rmse(predictions: FloatArray, labels: FloatArray) -> float:
    return float(np.sqrt(np.mean((predictions - labels) ** 2)))
