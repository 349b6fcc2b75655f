"""Turn a fitted scikit-learn boosting model into the plain arrays that `core/` can walk."""

from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor

from core.symbol.trees import TreeEnsemble


def tree_ensemble(model: Any) -> TreeEnsemble:
    """Return the trees of a fitted regressor; predictions stay equal to its own, bit for bit.

    Raises TypeError for a model whose trees are not known here.
    """
    if isinstance(model, HistGradientBoostingRegressor):
        return _from_histogram(model)
    if isinstance(model, GradientBoostingRegressor):
        return _from_exact(model)
    raise TypeError(f"trees of a {type(model).__name__} cannot be read")


def _from_histogram(model: HistGradientBoostingRegressor) -> TreeEnsemble:
    tables = [stage[0].nodes for stage in model._predictors]  # noqa: SLF001 -- no public way
    roots = np.cumsum([0, *(len(table) for table in tables[:-1])]).astype(np.int32)
    nodes = np.concatenate(tables)
    if nodes["is_categorical"].any():
        raise TypeError("categorical splits cannot be read")
    shift = np.repeat(roots, [len(table) for table in tables])
    leaf = nodes["is_leaf"].astype(bool)
    return TreeEnsemble(
        roots=roots,
        feature=nodes["feature_idx"].astype(np.int32),
        threshold=nodes["num_threshold"].astype(np.float64),
        missing_left=nodes["missing_go_to_left"].astype(np.bool_),
        left=np.where(leaf, -1, nodes["left"].astype(np.int64) + shift).astype(np.int32),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64) + shift).astype(np.int32),
        value=nodes["value"].astype(np.float64),
        baseline=float(np.asarray(model._baseline_prediction).ravel()[0]),  # noqa: SLF001
        scale=1.0,
        features=int(model.n_features_in_),
        single_precision=False,
    )


def _from_exact(model: GradientBoostingRegressor) -> TreeEnsemble:
    trees = [stage[0].tree_ for stage in model.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])]).astype(np.int32)
    shift = np.repeat(roots, [tree.node_count for tree in trees])
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    return TreeEnsemble(
        roots=roots,
        feature=np.concatenate([tree.feature for tree in trees]).astype(np.int32),
        threshold=np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        missing_left=np.zeros(len(left), dtype=np.bool_),
        left=np.where(left < 0, -1, left + shift).astype(np.int32),
        right=np.where(right < 0, -1, right + shift).astype(np.int32),
        value=np.concatenate([tree.value[:, 0, 0] for tree in trees]).astype(np.float64),
        baseline=float(model.init_.constant_.ravel()[0]),
        scale=float(model.learning_rate),
        features=int(model.n_features_in_),
        single_precision=True,
    )
