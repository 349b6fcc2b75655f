"""A trial: how labels, columns, learner and the rule of acting differ from the product's model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from core.symbol.indicators import FloatArray, IntArray
from models.experiments.market import Market
from models.price_predictor import DEPTH, LEARNING_RATE, TREES

SEED = 42
_SIZES_MAX = 4.0  # standardised inputs of the linear learner are cut here: returns have long tails


class Weighing(Protocol):
    """Tells how much each training row counts."""

    def __call__(self, labels: FloatArray, open_ms: IntArray) -> FloatArray:
        """Return weights (rows,) of training rows, never of judged ones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One trial.  The defaults are the product's model."""

    name: str
    learner: str = "regression"
    horizon: int = 1  # bars
    pooled: bool = False  # one model for all symbols
    scaled: bool = False  # labels in units of the bar's volatility: symbols become comparable
    columns: Callable[[Market], FloatArray] | None = None  # more features, (s, n, k)
    columns_only: bool = False  # without the product's features
    weighing: Weighing | None = None
    act_share: float | None = None  # act on the boldest share; None: on calibrated confidence > 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Idea:
    """One experiment: a question, and the trials that may answer it."""

    name: str
    question: str
    variants: tuple[Variant, ...]
    needs: str = ""  # a column of `Market.flow` without which there is nothing to try


def boosting(**changes: Any) -> dict[str, Any]:
    """Return the product's settings of the histogram learner, with changes."""
    return {
        "learning_rate": LEARNING_RATE,
        "max_depth": DEPTH,
        "max_iter": TREES,
        "max_leaf_nodes": None,
        "early_stopping": False,
        "random_state": SEED,
    } | changes


def learned_scores(
    variant: Variant, x: FloatArray, y: FloatArray, weights: FloatArray | None, judged: FloatArray
) -> FloatArray:
    """Fit on rows x (n, k) with returns y (n,); score `judged` (m, k): above 0 means a rise.

    The classifiers leave out rows without a move, and score the probability of a rise less 1/2.
    """
    with threadpool_limits(limits=1):
        if variant.learner == "regression":
            model: Any = HistGradientBoostingRegressor(**boosting())
            scores: FloatArray = model.fit(x, y, sample_weight=weights).predict(judged)
            return scores
        moved = y != 0.0
        if variant.learner == "logistic":
            scaler = make_pipeline(StandardScaler())
            model = LogisticRegression(C=0.01, max_iter=200)
            model.fit(_cut(scaler.fit_transform(x[moved])), y[moved] > 0.0)
            judged = _cut(scaler.transform(judged))
        else:
            model = HistGradientBoostingClassifier(**CLASSIFIERS[variant.learner])
            kept = None if weights is None else weights[moved]
            model.fit(x[moved], y[moved] > 0.0, sample_weight=kept)
        probability: FloatArray = model.predict_proba(judged)[:, 1]
    return probability - 0.5


CLASSIFIERS: dict[str, dict[str, Any]] = {
    "classifier": boosting(),
    "cautious classifier": boosting(learning_rate=0.03, max_depth=3, min_samples_leaf=500),
}


def _cut(x: FloatArray) -> NDArray[np.float64]:
    return np.clip(x, -_SIZES_MAX, _SIZES_MAX)
