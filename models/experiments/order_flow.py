"""Asks whether it helps to know who was in a hurry, and how the book leaned."""

import numpy as np

from core.symbol.indicators import FloatArray
from models.experiments.market import Market, lagged, trailing_mean
from models.experiments.variant import Idea, Variant

_MEANS = (3, 10, 30)  # bars


def flow_columns(market: Market) -> FloatArray:
    """Return, for taker, trade and book imbalance where known, now, before, on average, unusual.

    Last comes how far the taker imbalance disagrees with the bar's own return.
    """
    parts = []
    for values in market.flow.values():
        parts += [values, lagged(values, 1), lagged(values, 2)]
        parts += [trailing_mean(values, bars) for bars in _MEANS]
        parts.append(values - trailing_mean(values, _MEANS[-1]))
    signs = np.sign(market.returns())
    parts.append(market.flow["taker_imbalance"] * signs)
    return np.stack(parts, axis=2)


IDEA = Idea(
    name="order flow",
    question="Do taker share, trade imbalance and book imbalance tell the next bar?",
    variants=(
        Variant(name="flow beside the features", columns=flow_columns),
        Variant(name="flow, classifier", columns=flow_columns, learner="cautious classifier"),
        Variant(
            name="flow alone, linear", columns=flow_columns, columns_only=True, learner="logistic"
        ),
    ),
    needs="taker_imbalance",
)
