"""Play of axes, worked out in three ways: each is its definition, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.machine.motion.block import Floats
from opcua_server.machine.motion.play import MANY_ROWS, carried, play


def by_definition(drive: Floats, width: float, at: float) -> list[float]:
    """Each sample clamps what was there into its slack."""
    out = []
    for value in drive.tolist():
        at = min(max(at, value - 0.5 * width), value + 0.5 * width)
        out.append(at)
    return out


def of_rows(drive: Floats, width: Floats, before: Floats) -> Floats:
    steps = np.diff(drive, axis=1, prepend=drive[:, :1])
    return carried(drive, steps, width[:, None], before, lambda: np.empty_like(drive))


MOVES = st.lists(st.sampled_from([-0.2, -0.01, -1e-16, 0.0, 0.0, 1e-16, 0.01, 0.3]), min_size=1, max_size=80)


@given(MOVES, st.floats(0.0, 0.4), st.floats(-1.0, 1.0))
def test_a_row_that_turns_now_and_then_is_carried_as_defined(moves: list[float], width: float, before: float) -> None:
    drive = np.cumsum(np.array([moves, moves[::-1]]), axis=1)
    carry = of_rows(drive, np.array([width, 0.5 * width]), np.array([before, -before]))
    assert carry[0].tolist() == by_definition(drive[0], width, before)
    assert carry[1].tolist() == by_definition(drive[1], 0.5 * width, -before)


@given(MOVES, st.floats(0.0, 0.4), st.floats(-1.0, 1.0))
def test_whatever_a_row_does_doubling_finds_what_is_defined(moves: list[float], width: float, before: float) -> None:
    drive = np.cumsum(np.array(moves))
    assert play(drive - 0.5 * width, drive + 0.5 * width, before).tolist() == by_definition(drive, width, before)


@pytest.mark.parametrize("scale", [1e-12, 0.02, 1.0])
def test_many_rows_are_carried_as_each_alone(scale: float) -> None:
    """Rows that turn by less than the slack, by about as much and by far more; some that drift up or down meanwhile."""
    chance, axes = np.random.default_rng(7), 24
    drive = np.cumsum(chance.normal(0.0, scale, (axes, 257)), axis=1)
    drive += np.repeat([-1.0, 0.0, 1.0], axes // 3)[:, None] * np.linspace(0.0, 3.0, 257)
    width, before = chance.uniform(0.0, 0.5, axes), chance.uniform(-1.0, 1.0, axes)
    assert axes > MANY_ROWS
    together = of_rows(drive, width, before)
    for k in range(axes):
        alone = of_rows(drive[k : k + 1], width[k : k + 1], before[k : k + 1])[0]
        assert together[k].tobytes() == alone.tobytes()
        assert alone.tolist() == by_definition(drive[k], width[k], before[k])
