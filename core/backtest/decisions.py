"""What a strategy decides on every bar of a history, as the live bot would have."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from core.backtest.tape import CLOSE, HIGH, LOW, OPEN, TAKER, VOLUME, Tape
from core.errors import SelfCheckError
from core.symbol.features import PRICE_COLUMNS, TAKER_COLUMN
from core.symbol.indicators import FloatArray
from core.symbol.strategy import CLOSE_ROW, DecidedRows, EnhancedStrategy, Strategy

Told = tuple[FloatArray, FloatArray]  # prediction and confidence of every row
_SIDES = {"BUY": 1, "SELL": -1, "CLOSE": CLOSE_ROW}
_RULES = ("generate_signal", "calculate_technical_signals", "get_ml_prediction", "combine_signals")
_SAMPLES = 16  # rows at which decisions at once are held against single ones


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

    One that has no `decide_rows` to match its rule is asked bar by bar with the last `bars_kept`
    rows once there are `bars_min`, as the live bot asks it; `done` is called at each.  `told`:
    predictions to use instead of the model's own, where the strategy takes them.  Raises
    SelfCheckError if decisions at once differ from single ones, as those that know the future do.
    """
    proven = type(strategy) is EnhancedStrategy  # its rows are held against its rule by tests
    if isinstance(strategy, RowStrategy) and decides_rows(type(strategy)):
        rows = strategy.decide_rows(frame, told)
        if told is None and not proven:
            _compare(strategy, frame, rows, bars_kept, bars_min)
        return rows
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


def decides_rows(strategy: type) -> bool:
    """Tell whether a strategy decides on all rows at once by its own rule.

    A subclass that changes the rule and inherits `decide_rows` does not: that one knows the old.
    """
    for owner in strategy.__mro__:
        if "decide_rows" in vars(owner):
            return True
        if any(name in vars(owner) for name in _RULES):
            return False
    return False


def _compare(
    strategy: Strategy, frame: pd.DataFrame, rows: DecidedRows, bars_kept: int, bars_min: int
) -> None:
    """Hold sampled rows, half of them with a decision, against what `generate_signal` says."""
    first = max(bars_min, strategy.warmup, 1) - 1
    wished = first + np.flatnonzero(rows.sides[first:])
    for among in (np.arange(first, len(frame)), wished):
        picked = np.linspace(0, len(among) - 1, min(_SAMPLES // 2, len(among))).astype(np.int64)
        for row in among[picked].tolist():
            said, strength, _ = strategy.generate_signal(
                frame.iloc[max(0, row + 1 - bars_kept) : row + 1]
            )
            side = _SIDES.get(said or "", 0)
            if side != rows.sides[row] or (side and strength != rows.strengths[row]):
                name = type(strategy).__name__
                raise SelfCheckError(
                    f"STRATEGY {name}: decide_rows and generate_signal differ at"
                    f" {frame.index[row]:%Y-%m-%d %H:%M} ({rows.sides[row]}, {said}). Fix: use"
                    " nothing later than the bar decided on, or leave decide_rows out"
                )
