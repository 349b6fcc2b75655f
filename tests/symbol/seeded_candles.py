"""Candle frames for the tests of the symbol room and the models: seeded, or real ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

REAL = Path(__file__).parents[2] / "../shared/data/um-1m/2025q2/BTCUSDT-1m.csv.gz"
START = "2025-05-04 15:33"


def seeded_candles(rows: int, seed: int = 7, *, rhythm: float = 0.0) -> pd.DataFrame:
    """A random walk in minutes; `rhythm` deviations of drift, up one half hour, down the next."""
    rng = np.random.default_rng(seed)
    index = pd.date_range(START, periods=rows, freq="min", tz="UTC", unit="ms")
    drift = np.where(index.minute < 30, rhythm, -rhythm)
    returns = (rng.normal(0.0, 1.0, rows) + drift) * 8e-4
    close = 100.0 * np.exp(np.cumsum(returns))
    opened = np.concatenate([[100.0], close[:-1]])
    reach = np.abs(rng.normal(0.0, 4e-4, (2, rows)))
    frame = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * (1.0 + reach[0]),
            "low": np.minimum(opened, close) * (1.0 - reach[1]),
            "close": close,
            "volume": rng.gamma(2.0, 50.0, rows),
        },
        index=index,
    )
    return frame.round(6)


def real_candles(rows: int) -> pd.DataFrame:
    """The first rows of a recorded futures minute series; skips where it is not at hand."""
    if not REAL.exists():
        pytest.skip("recorded candles (../shared/data) are not here")
    frame = pd.read_csv(REAL, nrows=rows)
    frame.index = pd.to_datetime(frame.pop("open_time"), unit="ms", utc=True)
    return frame.astype(np.float64)
