"""Nobody may know the future: past signals and features stand when the future is cut off.

`check_prefix_invariance` runs on any strategy before it may trade.  At sampled bars three things
must hold: the vectorised signals of the cut history equal those of the whole one, the newest of
them equals what `generate_signal` says on the same bars, and asking again in another order gives
the same answer.  `changed_rows` asks the same of features, on the data a model is trained on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.symbol.strategy import Strategy

SAMPLES = 16
"""Bars at which the history is cut; half of them where the whole history has a signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixViolation:
    """One past signal that changed."""

    row: int  # place in the whole history
    time: str  # its open time
    expected: str | None  # as decided with the history cut there
    found: str | None  # as decided otherwise
    check: str  # what was compared

    def __str__(self) -> str:
        return (
            f"bar {self.row} ({self.time}): {self.expected} with the history cut there, "
            f"{self.found} {self.check}"
        )


def check_prefix_invariance(
    strategy: Strategy, df: pd.DataFrame, *, samples: int = SAMPLES
) -> list[PrefixViolation]:
    """Return every violation found at `samples` cuts of `df`; empty means the strategy is sound.

    `df` should hold more bars than the strategy needs for a decision.  What the strategy raises is
    passed on.
    """
    vectorised = getattr(strategy, "signals", None)
    whole: list[Any] = list(vectorised(df)) if vectorised is not None else []
    if whole and len(whole) != len(df):
        raise ValueError(f"signals() gave {len(whole)} rows for {len(df)} bars")
    cuts = _cuts(whole, len(df), samples)
    upward = {cut: strategy.generate_signal(df.iloc[:cut])[0] for cut in cuts}
    found: list[PrefixViolation] = []
    for cut in reversed(cuts):
        again = strategy.generate_signal(df.iloc[:cut])[0]
        if again != upward[cut]:
            found.append(_violation(df, cut - 1, upward[cut], again, "when asked again"))
        if vectorised is None:
            continue
        known = list(vectorised(df.iloc[:cut]))
        found += [
            _violation(df, row, known[row], whole[row], "with the bars after it known")
            for row in range(cut)
            if known[row] != whole[row]
        ]
        if known[-1] != upward[cut]:
            found.append(_violation(df, cut - 1, upward[cut], known[-1], "from signals()"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedRow:
    """One feature of one past bar that changed."""

    row: int  # place in the whole history
    time: str  # its open time
    name: str
    known: float  # with the history cut after some later bar, or after this one
    whole: float  # with all of it

    def __str__(self) -> str:
        return f"{self.name} of bar {self.row} ({self.time}): {self.known:g}, then {self.whole:g}"


def changed_rows(
    compute: Callable[[pd.DataFrame], pd.DataFrame],
    df: pd.DataFrame,
    *,
    cuts: int = SAMPLES // 2,
    looked_at: int = 200,
) -> list[ChangedRow]:
    """Return what `compute` says otherwise of past bars once later ones are known.

    At each of `cuts` places the last `looked_at` rows before it are compared bit for bit with those
    of the whole history; NaN equals NaN.  Empty means the features know nothing of the future.
    """
    whole = compute(df).to_numpy(dtype=np.float64)
    found: list[ChangedRow] = []
    for cut in _spread(list(range(max(len(df) // 3, 1), len(df))), cuts):
        table = compute(df.iloc[:cut])
        first = max(0, cut - looked_at)
        known, later = table.to_numpy(dtype=np.float64)[first:], whole[first:cut]
        differs = (known != later) & ~(np.isnan(known) & np.isnan(later))
        found += [
            ChangedRow(
                row=first + int(row),
                time=str(df.index[first + int(row)]),
                name=str(table.columns[column]),
                known=float(known[row, column]),
                whole=float(later[row, column]),
            )
            for row, column in np.argwhere(differs)
        ]
    return found


def _cuts(whole: list[Any], length: int, samples: int) -> list[int]:
    """Lengths to cut at: spread over the bars that have a signal, and over the later two thirds."""
    signalled = [row + 1 for row, signal in enumerate(whole) if signal is not None]
    half = max(samples // 2, 1)
    even = range(max(length // 3, 1), length + 1)
    return sorted({*_spread(signalled, half), *_spread(list(even), samples - half)})


def _spread(values: list[int], count: int) -> list[int]:
    if len(values) <= count:
        return values
    apart = (len(values) - 1) / max(count - 1, 1)
    return [values[round(place * apart)] for place in range(count)]


def _violation(
    df: pd.DataFrame, row: int, expected: Any, found: Any, check: str
) -> PrefixViolation:
    return PrefixViolation(
        row=row, time=str(df.index[row]), expected=expected, found=found, check=check
    )
