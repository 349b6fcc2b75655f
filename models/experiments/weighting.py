"""Asks whether some rows should count more in training."""

import numpy as np

from core.symbol.indicators import FloatArray, IntArray
from models.experiments.variant import Idea, Variant

_WEIGHT_MAX = 5.0
_HALF_LIVES = 4.0  # in the training range


def by_size(labels: FloatArray, open_ms: IntArray) -> FloatArray:  # noqa: ARG001 - a `Weighing`
    """Let large moves count more, up to five times the mean."""
    sizes = np.abs(labels)
    return np.minimum(sizes / max(float(sizes.mean()), 1e-12), _WEIGHT_MAX)


def against_size(labels: FloatArray, open_ms: IntArray) -> FloatArray:  # noqa: ARG001
    """Let large moves count less: a squared loss hears little else."""
    sizes = np.abs(labels)
    mean = max(float(sizes.mean()), 1e-12)
    return 1.0 / (1.0 + sizes / mean)


def recent(labels: FloatArray, open_ms: IntArray) -> FloatArray:  # noqa: ARG001
    """Let a row count half as much for each quarter of the training range that it is older."""
    ages = (open_ms.max() - open_ms) / max(float(open_ms.max() - open_ms.min()), 1.0)
    weights: FloatArray = 0.5 ** (_HALF_LIVES * ages)
    return weights


IDEA = Idea(
    name="sample weights",
    question="Does it help to let some rows count more?",
    variants=(
        Variant(name="large moves more", weighing=by_size, learner="classifier"),
        Variant(name="large moves less", weighing=against_size),
        Variant(name="newer rows more", weighing=recent),
    ),
)
