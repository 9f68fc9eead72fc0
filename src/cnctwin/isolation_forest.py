"""An Isolation Forest as flat arrays: grown and scored by numpy alone, all trees in a few steps.

    node:   feature[tree, node], threshold[tree, node], left/right[tree, node]     a leaf is its own child
    depth:  path[tree, node] = depth + c(samples in the leaf)                      0 for inner nodes

A row that a few random cuts set apart from all others lies on short paths: its score is near 1. Scikit-learn's own score of one row
costs 5 ms of checks and copies and its import a second and 90 MB; the walk below gives the same numbers for the same trees, because
it compares as those do: the row in float32 against thresholds in float64. Pure. Liu, Ting and Zhou, Isolation Forest, 2008.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Row = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

TREES: Final = 100
SAMPLES: Final = 256
"""Rows each tree is grown from: more make trees deeper and anomalies swamped by their like (section 3 of the paper)."""
_EULER: Final = np.euler_gamma


@dataclass(frozen=True, slots=True)
class FlatForest:
    """Arrays are (n_trees, n_nodes); ``depth_limit`` is the longest way down; ``norm`` is n_trees times c(samples of a tree)."""

    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    path: npt.NDArray[np.float64]
    depth_limit: int
    norm: float

    def score(self, row: Row) -> float:
        """0 to 1 for (n_features,), near 1 for a row that is isolated by few cuts; -score_samples of scikit-learn."""
        depths = self._walk(row, None)
        return float(2.0 ** (-depths.sum() / self.norm))

    def scores(self, rows: npt.NDArray[Any]) -> Row:
        """(n,) scores of (n, n_features)."""
        x = rows.astype(np.float32).astype(np.float64)
        trees, each = np.arange(len(self.feature)), np.arange(len(x))[:, None]
        node = np.zeros((len(x), len(self.feature)), dtype=np.int32)
        for _ in range(self.depth_limit):
            goes_left = x[each, self.feature[trees, node]] <= self.threshold[trees, node]
            node = np.where(goes_left, self.left[trees, node], self.right[trees, node])
        depths: Row = self.path[trees, node].sum(axis=1)
        return 2.0 ** (-depths / self.norm)

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


def grow(rows: Rows, seed: int, *, trees: int = TREES, samples: int = SAMPLES) -> FlatForest:
    """A forest of (n, n_features) finite rows, n > 1; the same rows and seed give the same forest. Half a second for 100 trees.

    Raises ValueError for fewer than two rows. Trees end at the depth at which ``samples`` rows are apart on average.
    """
    if len(rows) < 2:
        raise ValueError("a forest needs two rows at least")
    rng = np.random.default_rng(seed)
    samples = min(samples, len(rows))
    limit = math.ceil(math.log2(max(samples, 2)))
    made = [_Tree(rows[rng.choice(len(rows), samples, replace=False)], rng, limit) for _ in range(trees)]
    size = max(len(tree.feature) for tree in made)
    feature = np.full((trees, size), -1, dtype=np.int32)
    left = np.tile(np.arange(size, dtype=np.int32), (trees, 1))
    right = left.copy()
    threshold, path = np.zeros((trees, size)), np.zeros((trees, size))
    for number, tree in enumerate(made):
        count = len(tree.feature)
        feature[number, :count], threshold[number, :count] = tree.feature, tree.threshold
        left[number, :count], right[number, :count], path[number, :count] = tree.left, tree.right, tree.path
    norm = float(trees * average_path(np.array([float(samples)]))[0])
    return FlatForest(feature, threshold, left, right, path, limit, norm)


class _Tree:
    """One tree while it grows: each node cuts its rows at a random place of a random feature in which they differ."""

    def __init__(self, rows: Rows, rng: np.random.Generator, limit: int) -> None:
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.left: list[int] = []
        self.right: list[int] = []
        self.path: list[float] = []
        waiting = [(self._leaf(), rows, 0)]
        while waiting:
            node, here, depth = waiting.pop()
            low, high = here.min(axis=0), here.max(axis=0)
            differ = np.flatnonzero(high > low)
            if depth == limit or len(differ) == 0:
                self.path[node] = depth + float(average_path(np.array([float(len(here))]))[0])
                continue
            feature = int(differ[rng.integers(len(differ))])
            bottom, top = float(low[feature]), float(high[feature])
            # Rounded to the highest value the cut would leave the right side empty.
            cut = min(bottom + rng.random() * (top - bottom), float(np.nextafter(high[feature], low[feature])))
            goes_left = here[:, feature] <= cut
            self.feature[node], self.threshold[node] = feature, cut
            self.left[node], self.right[node] = self._leaf(), self._leaf()
            waiting.append((self.left[node], here[goes_left], depth + 1))
            waiting.append((self.right[node], here[~goes_left], depth + 1))

    def _leaf(self) -> int:
        node = len(self.feature)
        self.feature.append(-1)
        self.threshold.append(0.0)
        self.left.append(node)
        self.right.append(node)
        self.path.append(0.0)
        return node
