"""Fitted boosted trees as plain arrays, walked by compiled code.

A learner elsewhere turns its fitted model into arrays (`models/tree_arrays.py`); here they are only
read, so `core/` needs no learning library and one row costs microseconds.  The sum runs tree by
tree in the order of training, which makes the result equal to the learner's own, bit for bit.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.symbol.indicators import FloatArray

NodeArray = NDArray[np.int32]
FlagArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TreeEnsemble:
    """A sum of regression trees: `baseline + scale * (tree 1 + tree 2 + ...)`.

    Nodes of all trees lie in one table; `roots` holds each tree's first node.  A node is a leaf
    where `left` is -1, and then `value` counts; else `x[feature] <= threshold` goes left.
    """

    roots: NodeArray  # (trees,)
    feature: NodeArray  # (nodes,)
    threshold: FloatArray  # (nodes,)
    missing_left: FlagArray  # (nodes,): where a NaN goes
    left: NodeArray  # (nodes,)
    right: NodeArray  # (nodes,)
    value: FloatArray  # (nodes,)
    baseline: float
    scale: float  # 1.0 where the leaves hold the learning rate already
    features: int  # length of a row
    single_precision: bool  # the learner compares float32 values

    def __post_init__(self) -> None:
        nodes = len(self.feature)
        columns = (self.threshold, self.missing_left, self.left, self.right, self.value)
        if any(len(column) != nodes for column in columns):
            raise ValueError(f"tree columns must all have {nodes} nodes")
        if nodes and (max(self.left.max(), self.right.max(), self.roots.max()) >= nodes):
            raise ValueError(f"a tree points past its {nodes} nodes")
        inner = self.left >= 0
        here = np.arange(nodes)
        # A child always comes later in the table, so that a walk must end.
        if (self.left[inner] <= here[inner]).any() or (self.right[inner] <= here[inner]).any():
            raise ValueError("a tree points back at itself")
        if (self.feature[inner] < 0).any() or (self.feature[inner] >= self.features).any():
            raise ValueError(f"a tree reads past its {self.features} features")

    def predict_row(self, x: FloatArray) -> float:
        """Return the prediction for one feature row (`features`,) of float64."""
        if x.shape != (self.features,):
            raise ValueError(f"a row must have {self.features} features, had shape {x.shape}")
        row = x.astype(np.float32).astype(np.float64) if self.single_precision else x
        return float(
            walk(
                np.ascontiguousarray(row, dtype=np.float64),
                self.roots,
                self.feature,
                self.threshold,
                self.missing_left,
                self.left,
                self.right,
                self.value,
                self.baseline,
                self.scale,
            )
        )


@njit(cache=True)
def walk(  # noqa: PLR0917 -- compiled: a table is passed as columns
    x: FloatArray,
    roots: NodeArray,
    feature: NodeArray,
    threshold: FloatArray,
    missing_left: FlagArray,
    left: NodeArray,
    right: NodeArray,
    value: FloatArray,
    baseline: float,
    scale: float,
) -> float:
    """Sum the leaves that `x` falls into (see `TreeEnsemble`)."""
    total = baseline
    for tree in range(roots.shape[0]):
        node = roots[tree]
        while left[node] >= 0:
            seen = x[feature[node]]
            goes_left = missing_left[node] if np.isnan(seen) else seen <= threshold[node]
            node = left[node] if goes_left else right[node]
        total += scale * value[node]
    return total


def compile_walk() -> None:
    """Compile the walk on real argument types."""
    leaf = np.full(1, -1, dtype=np.int32)
    zero = np.zeros(1, dtype=np.float64)
    TreeEnsemble(
        roots=np.zeros(1, dtype=np.int32),
        feature=np.zeros(1, dtype=np.int32),
        threshold=zero,
        missing_left=np.zeros(1, dtype=np.bool_),
        left=leaf,
        right=leaf,
        value=zero,
        baseline=0.0,
        scale=1.0,
        features=1,
        single_precision=False,
    ).predict_row(zero)
