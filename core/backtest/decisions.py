"""What a strategy decides on every bar of a history, as the live bot would have."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from core.backtest.tape import CLOSE, HIGH, LOW, OPEN, TAKER, VOLUME, Tape
from core.symbol.features import PRICE_COLUMNS, TAKER_COLUMN
from core.symbol.indicators import FloatArray
from core.symbol.strategy import CLOSE_ROW, DecidedRows, Strategy

Told = tuple[FloatArray, FloatArray]  # prediction and confidence of every row
_SIDES = {"BUY": 1, "SELL": -1, "CLOSE": CLOSE_ROW}


@runtime_checkable
class RowStrategy(Protocol):
    """A strategy that decides on all rows of a history at once, equal to one by one."""

    def decide_rows(self, df: pd.DataFrame, told: Told | None = None) -> DecidedRows:
        """Return the decision of every row."""
        ...


def frame_of(tape: Tape, symbol: str) -> pd.DataFrame:
    """Return a symbol's candles as strategies take them: UTC open times, float64 columns."""
    table = tape.bars[symbol]
    columns = dict(zip(PRICE_COLUMNS, (OPEN, HIGH, LOW, CLOSE, VOLUME), strict=True))
    index = pd.DatetimeIndex(tape.open_ms.astype("datetime64[ms]"), tz="UTC")
    values = {name: table[row] for name, row in columns.items()}
    if np.isfinite(table[TAKER]).any():
        values[TAKER_COLUMN] = table[TAKER]
    return pd.DataFrame(values, index=index, copy=False)


def decide(
    strategy: Strategy,
    frame: pd.DataFrame,
    *,
    bars_kept: int,
    bars_min: int,
    told: Told | None = None,
    done: Callable[[], None] = lambda: None,
) -> DecidedRows:
    """Return what a strategy decides on every row.

    One that has no `decide_rows` is asked bar by bar with the last `bars_kept` rows once there are
    `bars_min`, as the live bot asks it; `done` is called at each.  `told`: predictions to use
    instead of the model's own, where the strategy takes them.
    """
    if isinstance(strategy, RowStrategy):
        return strategy.decide_rows(frame, told)
    rows = DecidedRows.none(len(frame))
    for row in range(bars_min - 1, len(frame)):
        window = frame.iloc[max(0, row + 1 - bars_kept) : row + 1]
        said, strength, _ = strategy.generate_signal(window)
        side = _SIDES.get(said or "", 0)
        rows.sides[row] = side
        rows.strengths[row] = strength if side else 0.0
        assessment = getattr(strategy, "last_assessment", None)
        confidence = assessment.confidence if assessment is not None else None
        rows.confidences[row] = np.nan if confidence is None else confidence
        done()
    return rows
