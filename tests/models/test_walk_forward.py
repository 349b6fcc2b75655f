"""Splits and labels: the past trains, the future judges, and they do not touch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.labels import future_returns
from models.walk_forward import walk_forward


@given(
    rows=st.integers(300, 5_000),
    folds=st.integers(1, 5),
    horizon=st.integers(1, 15),
)
def test_no_label_of_the_training_part_reaches_the_judged_block(rows, folds, horizon):
    splits = walk_forward(rows, folds=folds, horizon=horizon, train_rows_min=10)
    assert [fold.number for fold in splits] == list(range(1, folds + 1))
    for fold in splits:
        last_label_row = fold.train_end - 1 + horizon  # the close a label is made of
        assert last_label_row < fold.test_start - horizon + 1
        assert fold.test_start < fold.test_end <= rows
    assert splits[-1].test_end == rows
    judged = [set(range(fold.test_start, fold.test_end)) for fold in splits]
    assert len(set().union(*judged)) == sum(map(len, judged))


def test_too_few_rows_are_named():
    with pytest.raises(ValueError, match="300 rows are too few for 5 folds, needs 1206"):
        walk_forward(300, folds=5, horizon=1)


def test_labels_are_the_return_over_the_horizon_and_unknown_at_the_end():
    close, minutes = np.array([100.0, 110.0, 99.0, 99.0]), np.arange(4) * 60_000
    np.testing.assert_allclose(future_returns(close, minutes, 1), [0.1, -0.1, 0.0, np.nan])
    np.testing.assert_allclose(future_returns(close, minutes, 2), [-0.01, -0.1, np.nan, np.nan])
    assert np.isnan(future_returns(close, minutes, 9)).all()
    with pytest.raises(ValueError, match="horizon must be at least 1"):
        future_returns(close, minutes, 0)


def test_a_return_over_a_gap_is_no_label():
    minutes = np.array([0, 1, 2, 5, 6, 7]) * 60_000
    close = np.arange(100.0, 106.0)
    unknown = [bool(x) for x in np.isnan(future_returns(close, minutes, 1))]
    assert unknown == [False, False, True, False, False, True]
