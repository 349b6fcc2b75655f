"""Walked trees against scikit-learn's own predictions: no difference at all."""

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)

from core.symbol.trees import TreeEnsemble
from models.tree_arrays import tree_ensemble


def rows(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6)) * np.array([1.0, 1e-4, 1e3, 1.0, 1.0, 1.0])
    x[:, 5] = rng.integers(0, 3, count)
    return x, x[:, 0] * 1e-3 + np.sin(x[:, 2] / 500.0) * 1e-3 + rng.normal(size=count) * 1e-3


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingRegressor(
            max_iter=100, max_depth=5, max_leaf_nodes=None, early_stopping=False, random_state=42
        ),
        GradientBoostingRegressor(n_estimators=60, max_depth=5, random_state=42),
    ],
)
def test_every_row_equals_the_learners_own_prediction(model):
    x, y = rows(1_500)
    model.fit(x, y)
    trees = tree_ensemble(model)
    fresh = np.concatenate([rows(500, 2)[0], x[:300], rows(50, 3)[0] * 1e6, np.zeros((1, 6))])
    expected = model.predict(fresh)
    assert [trees.predict_row(row) for row in fresh] == expected.tolist()


def test_missing_values_go_where_the_learner_sends_them():
    x, y = rows(1_500)
    x[::7, 2] = np.nan
    model = HistGradientBoostingRegressor(max_iter=30, early_stopping=False).fit(x, y)
    trees = tree_ensemble(model)
    fresh = rows(200, 4)[0]
    fresh[::3, 2] = np.nan
    assert [trees.predict_row(row) for row in fresh] == model.predict(fresh).tolist()


def test_other_learners_are_named_not_guessed():
    x, y = rows(50)
    with pytest.raises(TypeError, match="RandomForestRegressor"):
        tree_ensemble(RandomForestRegressor(n_estimators=2, random_state=0).fit(x, y))


def arrays(**changed: object) -> dict[str, object]:
    """One split on feature 0 with two leaves."""
    return {
        "roots": np.array([0], dtype=np.int32),
        "feature": np.array([0, 0, 0], dtype=np.int32),
        "threshold": np.array([0.5, 0.0, 0.0]),
        "missing_left": np.array([True, False, False]),
        "left": np.array([1, -1, -1], dtype=np.int32),
        "right": np.array([2, -1, -1], dtype=np.int32),
        "value": np.array([0.0, -1.0, 1.0]),
        "baseline": 0.25,
        "scale": 0.5,
        "features": 2,
        "single_precision": False,
    } | changed


def test_a_single_split_is_walked_by_hand():
    trees = TreeEnsemble(**arrays())
    assert trees.predict_row(np.array([0.5, 9.0])) == 0.25 - 0.5
    assert trees.predict_row(np.array([0.6, 9.0])) == 0.25 + 0.5
    assert trees.predict_row(np.array([np.nan, 9.0])) == 0.25 - 0.5


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"left": np.array([0, -1, -1], dtype=np.int32)}, "points back"),
        ({"right": np.array([3, -1, -1], dtype=np.int32)}, "past its 3 nodes"),
        ({"feature": np.array([2, 0, 0], dtype=np.int32)}, "past its 2 features"),
        ({"value": np.zeros(2)}, "must all have 3 nodes"),
    ],
)
def test_arrays_that_would_walk_astray_are_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        TreeEnsemble(**arrays(**changed))


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="must have 2 features"):
        TreeEnsemble(**arrays()).predict_row(np.zeros(3))
