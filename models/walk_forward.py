"""Splits in time: always train on the past, judge on the future, never shuffle.

The rows are cut into `folds + 1` blocks of equal length.  Fold k trains on all blocks before block
k and is judged on block k.  Between the two lie `2 * horizon` rows that nobody uses: `horizon`
purged at the end of the training part, because their labels are made of prices inside the judged
block, and `horizon` embargoed at the start of the judged block, because returns remember.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Rows [0, train_end) train, rows [test_start, test_end) judge."""

    number: int  # from 1
    train_end: int
    test_start: int
    test_end: int


def walk_forward(rows: int, *, folds: int, horizon: int, train_rows_min: int = 200) -> list[Fold]:
    """Return the folds over `rows` rows in time order; ValueError if there are too few rows."""
    return list(_folds(rows, folds=folds, horizon=horizon, train_rows_min=train_rows_min))


def _folds(rows: int, *, folds: int, horizon: int, train_rows_min: int) -> Iterator[Fold]:
    if folds < 1 or horizon < 1:
        raise ValueError(f"folds {folds} and horizon {horizon} must be at least 1")
    block = rows // (folds + 1)
    if block - horizon < train_rows_min:
        needed = (train_rows_min + horizon) * (folds + 1)
        raise ValueError(f"{rows} rows are too few for {folds} folds, needs {needed}")
    for number in range(1, folds + 1):
        start = number * block
        end = rows if number == folds else start + block
        yield Fold(
            number=number,
            train_end=start - horizon,
            test_start=start + horizon,
            test_end=end,
        )
