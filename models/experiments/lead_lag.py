"""Asks whether some symbols move first."""

import numpy as np

from core.symbol.indicators import FloatArray
from models.experiments.market import Market
from models.experiments.variant import Idea, Variant

_LAGS = (0, 1, 2)  # 0 is the bar that has just closed, as for the symbol itself


def others_mean(market: Market) -> FloatArray:
    """Return the mean return of the other symbols over the last bars, and how far ahead it is."""
    parts = []
    for lag in _LAGS:
        returns = market.returns(lag)
        mean = (returns.sum(axis=0) - returns) / max(len(market.symbols) - 1, 1)
        parts += [mean, mean - returns]
    return np.stack(parts, axis=2)


def each_other(market: Market) -> FloatArray:
    """Return the last returns of the symbol itself and then of each other symbol, in order."""
    returns = [market.returns(lag) for lag in _LAGS]
    count = len(market.symbols)
    tables = []
    for row in range(count):
        order = [row, *(other for other in range(count) if other != row)]
        tables.append(np.stack([past[other] for past in returns for other in order], axis=1))
    return np.stack(tables)


IDEA = Idea(
    name="lead and lag",
    question="Do the other symbols' last bars tell this one's next?",
    variants=(
        Variant(name="mean of the others", columns=others_mean),
        Variant(name="each other symbol", columns=each_other),
        Variant(name="each, classifier", columns=each_other, learner="cautious classifier"),
        Variant(
            name="each alone, linear", columns=each_other, columns_only=True, learner="logistic"
        ),
    ),
)
