"""What a model learns to say: the return of the bars after this one."""

import numpy as np

from core.symbol.indicators import FloatArray


def future_returns(close: FloatArray, horizon: int) -> FloatArray:
    """Return `close[i + horizon] / close[i] - 1` for every row (n,); NaN where it is not known yet.

    Known only `horizon` bars later: splits must keep that distance (`models.walk_forward`).
    """
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1 bar, was {horizon}")
    labels = np.full(len(close), np.nan)
    if len(close) > horizon:
        labels[:-horizon] = close[horizon:] / close[:-horizon] - 1.0
    labels[~np.isfinite(labels)] = np.nan
    return labels
