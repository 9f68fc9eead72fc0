"""An Isolation Forest as flat arrays: trained by scikit-learn, scored by numpy in a few steps for all trees at once.

    node:   feature[tree, node], threshold[tree, node], left/right[tree, node]     a leaf is its own child
    depth:  path[tree, node] = depth + c(samples in the leaf)                      0 for inner nodes

Scikit-learn's own score of one row costs 5 ms of checks and copies; this walk takes a fraction of that and gives the same numbers,
because it compares as the trees do: the row in float32 against thresholds in float64. Liu, Ting and Zhou, Isolation Forest, 2008.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.frames import Row

_EULER = np.euler_gamma


@dataclass(frozen=True, slots=True)
class FlatForest:
    """Arrays are (n_trees, n_nodes); ``depth_limit`` is the longest way down; ``norm`` is n_trees times c(max_samples)."""

    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    path: npt.NDArray[np.float64]
    depth_limit: int
    norm: float

    def score(self, row: Row) -> float:
        """-score_samples of scikit-learn: 0 to 1, near 1 for a row that is isolated by few cuts."""
        depths = self._walk(row, None)
        return float(2.0 ** (-depths.sum() / self.norm))

    def credits(self, row: Row, n_features: int) -> Row:
        """(n_features,): how often, and how early, each feature cut this row off; 1 over the depth of the cut."""
        credit = np.zeros(n_features)
        self._walk(row, credit)
        return credit

    def _walk(self, row: Row, credit: Row | None) -> Row:
        x = row.astype(np.float32).astype(np.float64)
        trees = np.arange(len(self.feature))
        node = np.zeros(len(self.feature), dtype=np.int32)
        for step in range(self.depth_limit):
            feature = self.feature[trees, node]
            if credit is not None:
                inner = feature >= 0
                np.add.at(credit, feature[inner], 1.0 / (step + 1.0))
            # A leaf's feature is -1; it reads some column and goes to itself either way.
            node = np.where(x[feature] <= self.threshold[trees, node], self.left[trees, node], self.right[trees, node])
        return self.path[trees, node]

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def restored(state: Mapping[str, Any]) -> FlatForest:
    """The forest of a state. Raises KeyError, TypeError or ValueError when it is none."""
    forest = FlatForest(
        np.array(state["feature"], dtype=np.int32),
        np.array(state["threshold"], dtype=np.float64),
        np.array(state["left"], dtype=np.int32),
        np.array(state["right"], dtype=np.int32),
        np.array(state["path"], dtype=np.float64),
        int(state["depth_limit"]),
        float(state["norm"]),
    )
    shape = forest.feature.shape
    if len(shape) != 2 or any(a.shape != shape for a in (forest.threshold, forest.left, forest.right, forest.path)):
        raise ValueError("arrays of different shapes")
    for child in (forest.left, forest.right):
        if child.min() < 0 or child.max() >= shape[1]:
            raise ValueError("a child that is no node")
    return forest


def average_path(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """c(n): mean depth of an unsuccessful search in a binary tree of n keys; 0 for 1 and 1 for 2."""
    return np.where(
        samples <= 1,
        0.0,
        np.where(
            samples == 2,
            1.0,
            2.0 * (np.log(np.maximum(samples, 2) - 1.0) + _EULER) - 2.0 * (samples - 1.0) / np.maximum(samples, 1),
        ),
    )


def flatten(model: Any) -> FlatForest:
    """The arrays of a fitted scikit-learn IsolationForest that uses all features in every tree."""
    trees = [estimator.tree_ for estimator in model.estimators_]
    size = max(tree.node_count for tree in trees)
    shape = (len(trees), size)
    feature = np.full(shape, -1, dtype=np.int32)
    threshold = np.zeros(shape)
    left = np.tile(np.arange(size, dtype=np.int32), (len(trees), 1))
    right = left.copy()
    path = np.zeros(shape)
    deepest = 0
    for number, (tree, columns) in enumerate(zip(trees, model.estimators_features_, strict=True)):
        count = tree.node_count
        inner = tree.children_left >= 0
        feature[number, :count] = np.where(inner, np.asarray(columns)[np.maximum(tree.feature, 0)], -1)
        threshold[number, :count] = np.where(inner, tree.threshold, 0.0)
        left[number, :count] = np.where(inner, tree.children_left, np.arange(count))
        right[number, :count] = np.where(inner, tree.children_right, np.arange(count))
        depth = np.zeros(count)
        # Children come after their parent in scikit-learn's arrays.
        for node in np.flatnonzero(inner):
            depth[tree.children_left[node]] = depth[tree.children_right[node]] = depth[node] + 1
        path[number, :count] = np.where(inner, 0.0, depth + average_path(tree.n_node_samples.astype(np.float64)))
        deepest = max(deepest, int(depth.max()))
    norm = float(len(trees) * average_path(np.array([float(model.max_samples_)]))[0])
    return FlatForest(feature, threshold, left, right, path, deepest, norm)
