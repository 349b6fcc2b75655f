"""The rule of the comparison as a strategy of one's own, as a user of the bot writes one."""

from typing import Any

import numpy as np
import pandas as pd

from core.backtest.decisions import Told
from core.symbol.strategy import DecidedRows, Decision
from tests.benchmarks.peers.contract import FAST, SLOW, WARMUP


class EmaCross:
    """Buys where the fast average crosses above the slow one, sells where it falls below."""

    warmup = WARMUP

    def __init__(self, config: dict[str, Any]) -> None:
        pass

    def generate_signal(self, df: pd.DataFrame) -> Decision:
        """Decide on the last bar."""
        side = _sides(df)[-1]
        return ("BUY" if side > 0 else "SELL", 1.0, {}) if side else (None, 0.0, {})

    def decide_rows(self, df: pd.DataFrame, told: Told | None = None) -> DecidedRows:
        """Decide on every bar at once."""
        decided = DecidedRows.none(len(df))
        decided.sides[WARMUP - 1 :] = _sides(df)[WARMUP - 1 :]
        decided.strengths[:] = np.abs(decided.sides)
        return decided


def _sides(df: pd.DataFrame) -> np.ndarray:
    close = df["close"]
    fast = close.ewm(span=FAST, adjust=False).mean().to_numpy()
    slow = close.ewm(span=SLOW, adjust=False).mean().to_numpy()
    above = (fast > slow).astype(np.int8)
    return np.diff(above, prepend=above[:1])
