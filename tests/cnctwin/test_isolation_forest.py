"""Our Isolation Forest, judged by scikit-learn's: the same trees score the same, and trees of our own rank alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnctwin.isolation_forest import FlatForest, average_path, grow, restored


def flatten(model: Any) -> FlatForest:
    """The arrays of a fitted scikit-learn IsolationForest."""
    trees = [estimator.tree_ for estimator in model.estimators_]
    shape = (len(trees), max(tree.node_count for tree in trees))
    feature, threshold, path = np.full(shape, -1, dtype=np.int32), np.zeros(shape), np.zeros(shape)
    left = np.tile(np.arange(shape[1], dtype=np.int32), (len(trees), 1))
    right = left.copy()
    deepest = 0
    for number, (tree, columns) in enumerate(zip(trees, model.estimators_features_, strict=True)):
        count, inner = tree.node_count, tree.children_left >= 0
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


def fitted(rows: Any, **given_: Any) -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(max_samples=min(256, len(rows)), random_state=3, **given_).fit(rows)


@pytest.mark.parametrize("rows", [40, 700])
def test_the_same_trees_score_as_those_of_scikit_learn(rows: int) -> None:
    rng = np.random.default_rng(2)
    train = rng.standard_normal((rows, 12)) * np.logspace(-3, 3, 12)
    model = fitted(train, n_estimators=60)
    forest = flatten(model)
    tests = np.concatenate([train[:50], rng.standard_normal((50, 12)) * 100.0, np.zeros((1, 12))])
    theirs = -model.score_samples(tests)
    assert np.abs(np.array([forest.score(row) for row in tests]) - theirs).max() < 1e-12
    assert np.abs(forest.scores(tests) - theirs).max() < 1e-12


@pytest.mark.parametrize("rows", [60, 2000])
def test_a_forest_of_ours_ranks_rows_as_one_of_scikit_learn(rows: int) -> None:
    rng = np.random.default_rng(7)
    train = rng.standard_normal((rows, 8)).astype(np.float32)
    train[:, 1] += 2.0 * train[:, 0]
    tests = np.concatenate([train[:50], 3.0 * rng.standard_normal((150, 8))]).astype(np.float32)
    ours = grow(train, 1).scores(tests)
    theirs = -fitted(train, n_estimators=100).score_samples(tests)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95
    assert abs(ours.mean() - theirs.mean()) < 0.02


@settings(max_examples=40, deadline=None)
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(2, 40), st.integers(1, 4)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    st.integers(0, 9),
)
def test_any_finite_rows_make_a_forest_that_scores_between_0_and_1(rows: Any, seed: int) -> None:
    forest = grow(rows, seed, trees=5)
    scores = forest.scores(rows)
    assert ((scores > 0.0) & (scores <= 1.0)).all()
    assert scores.tolist() == pytest.approx([forest.score(row) for row in rows], abs=1e-12)
    assert grow(rows, seed, trees=5).scores(rows).tolist() == scores.tolist()
    again = restored(forest.state())
    assert again.scores(rows).tolist() == scores.tolist()


def test_a_row_apart_scores_high_and_only_features_that_cut_get_credit() -> None:
    train = np.random.default_rng(1).standard_normal((500, 6)).astype(np.float32)
    train[:, 2] = 1.0
    forest = grow(train, 1)
    odd = np.full(6, 9.0)
    assert forest.score(odd) > forest.scores(train).max()
    credits = forest.credits(odd, 6)
    assert credits[2] == 0.0
    assert (np.delete(credits, 2) > 0.0).all()


def test_one_row_makes_no_forest_and_a_damaged_state_none_either() -> None:
    with pytest.raises(ValueError, match="two rows"):
        grow(np.zeros((1, 3), dtype=np.float32), 1)
    state = grow(np.eye(4, dtype=np.float32), 1, trees=3).state()
    for wrong in ({}, {**state, "left": state["left"] + 1000}, {**state, "path": state["path"][:1]}):
        with pytest.raises((KeyError, ValueError)):
            restored(wrong)
