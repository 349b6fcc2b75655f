"""What a strategy decides on every bar of a history, as the live bot would have."""

from collections.abc import Callable, Iterable
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
_SILENT = 64  # rows without a word, twice, that are asked all the same
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
    rows once there are `bars_min`, as the live bot asks it; `done` is called at each.  If it has
    `signals(df)`, only where that says something, and where it is put to the test.  `told`:
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
    said = _said(strategy, frame)
    asked: Iterable[int] = range(bars_min - 1, len(frame))
    if said is not None:
        asked = _worth_asking(said, frame, bars_min - 1)
    for row in asked:
        word, strength, _ = strategy.generate_signal(_window(frame, row, bars_kept))
        if said is not None and word != said[row]:
            raise _differ(strategy, frame.index[row], "signals", (said[row], word))
        side = _SIDES.get(word or "", 0)
        rows.sides[row] = side
        rows.strengths[row] = strength if side else 0.0
        assessment = getattr(strategy, "last_assessment", None)
        confidence = assessment.confidence if assessment is not None else None
        rows.confidences[row] = np.nan if confidence is None else confidence
        done()
    return rows


def decides_rows(strategy: type, by: str = "decide_rows") -> bool:
    """Tell whether a strategy decides on all rows at once by its own rule.

    A subclass that changes the rule and inherits the method does not: that one knows the old.
    """
    for owner in strategy.__mro__:
        if by in vars(owner):
            return True
        if any(name in vars(owner) for name in _RULES):
            return False
    return False


def _said(strategy: Strategy, frame: pd.DataFrame) -> list[str | None] | None:
    """Return what `signals` says of every row, None where the strategy has none to its rule."""
    if not decides_rows(type(strategy), "signals"):
        return None
    said = list(strategy.signals(frame))  # type: ignore[attr-defined]
    if len(said) != len(frame):
        name = type(strategy).__name__
        raise SelfCheckError(
            f"STRATEGY {name}: signals gave {len(said)} rows for {len(frame)} bars. Fix: give one"
            " for each bar, BUY, SELL, CLOSE or None"
        )
    return said


def _worth_asking(said: list[str | None], frame: pd.DataFrame, first: int) -> list[int]:
    """Return the rows with a word, and silent ones: before the greatest moves, and spread evenly.

    A word that knows the future is found out wherever it is said, for each is asked again without
    it.  Silence that knows the future, the losses left out, would lie before great moves.
    """
    rows = np.arange(first, len(frame))
    spoken = np.array([said[row] is not None for row in rows], dtype=bool)
    silent = rows[~spoken]
    moves = np.abs(np.diff(np.log(frame["close"].to_numpy()), append=np.nan))
    by_move = silent[np.argsort(-np.nan_to_num(moves[silent]), kind="stable")]
    even = silent[:: max(1, len(silent) // _SILENT)]
    return sorted({*rows[spoken].tolist(), *by_move[:_SILENT].tolist(), *even.tolist()})


def _window(frame: pd.DataFrame, row: int, bars_kept: int) -> pd.DataFrame:
    return frame.iloc[max(0, row + 1 - bars_kept) : row + 1]


def _differ(
    strategy: Strategy, when: pd.Timestamp, method: str, said: tuple[object, object]
) -> SelfCheckError:
    return SelfCheckError(
        f"STRATEGY {type(strategy).__name__}: {method} and generate_signal differ at"
        f" {when:%Y-%m-%d %H:%M} ({said[0]}, {said[1]}). Fix: use nothing later than the bar"
        f" decided on, or leave {method} out"
    )


def _compare(
    strategy: Strategy, frame: pd.DataFrame, rows: DecidedRows, bars_kept: int, bars_min: int
) -> None:
    """Hold sampled rows, half of them with a decision, against what `generate_signal` says."""
    first = max(bars_min, strategy.warmup, 1) - 1
    wished = first + np.flatnonzero(rows.sides[first:])
    for among in (np.arange(first, len(frame)), wished):
        picked = np.linspace(0, len(among) - 1, min(_SAMPLES // 2, len(among))).astype(np.int64)
        for row in among[picked].tolist():
            said, strength, _ = strategy.generate_signal(_window(frame, row, bars_kept))
            side = _SIDES.get(said or "", 0)
            if side != rows.sides[row] or (side and strength != rows.strengths[row]):
                both = (rows.sides[row], said)
                raise _differ(strategy, frame.index[row], "decide_rows", both)
