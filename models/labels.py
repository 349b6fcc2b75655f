"""What a model learns to say: the return of the bars after this one."""

import numpy as np

from core.symbol.indicators import FloatArray, IntArray


def future_returns(close: FloatArray, open_ms: IntArray, horizon: int) -> FloatArray:
    """Return `close[i + horizon] / close[i] - 1` for every row (n,).

    NaN where it is not known yet, and where bars are missing in between: what follows a gap is not
    the next bar.  Known only `horizon` bars later: splits keep that distance
    (`models.walk_forward`).
    """
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1 bar, was {horizon}")
    labels = np.full(len(close), np.nan)
    if len(close) > horizon:
        with np.errstate(divide="ignore", invalid="ignore"):
            labels[:-horizon] = close[horizon:] / close[:-horizon] - 1.0
        span = open_ms[horizon:] - open_ms[:-horizon]
        labels[:-horizon][span != horizon * interval_ms(open_ms)] = np.nan
    labels[~np.isfinite(labels)] = np.nan
    return labels


def interval_ms(open_ms: IntArray) -> int:
    """Return the usual distance of open times; 0 for fewer than two."""
    return int(np.median(np.diff(open_ms))) if len(open_ms) > 1 else 0
