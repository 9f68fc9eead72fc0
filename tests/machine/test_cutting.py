"""Cutting forces and stock removal: laws that hold for every cut. The handbook's figures are in test_figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opcua_server.machine.physics import Physics
from opcua_server.machine.process.blank import Blank, read_blank
from opcua_server.machine.process.cutting import milling
from opcua_server.machine.process.materials import MATERIALS
from opcua_server.machine.process.process import Process, Tips
from opcua_server.machine.process.removals import Removals
from opcua_server.machine.process.stock import Engagement, Stock
from opcua_server.machine.tools import CUTTERS, Tool


@given(
    st.sampled_from(sorted(MATERIALS)),
    st.floats(0.5, 20.0),
    st.floats(0.05, 1.0),
    st.floats(0.01, 0.4),
    st.floats(0.0, 0.6),
)
def test_worn_edges_need_more_power_and_power_is_torque_times_speed(
    name: str, ap: float, width_share: float, fz: float, wear_mm: float
) -> None:
    d, z, speed = 16.0, 3, 3000.0
    new = milling(MATERIALS[name], d, z, speed, fz * z * speed, ap, width_share * d)
    worn = milling(MATERIALS[name], d, z, speed, fz * z * speed, ap, width_share * d, wear_mm)
    assert worn.power_w >= new.power_w
    assert worn.power_w == pytest.approx(worn.torque_nm * speed * 2 * math.pi / 60.0)
    assert worn.teeth_in_cut == pytest.approx(new.teeth_in_cut)


def _blank(x: float = 60.0, y: float = 40.0) -> Blank:
    return Blank(MATERIALS["C45"], (0.0, 0.0, -20.0), (x, y, 0.0))


def test_a_straight_slot_removes_exactly_its_volume() -> None:
    stock, radius, depth = Stock(_blank()), 5.0, 3.0
    removed = 0.0
    for x in np.arange(-20.0, 90.0, 1.7):
        path = np.stack([np.linspace(x, x + 1.7, 10), np.full(10, 20.0), np.full(10, -depth)], axis=1)
        removed += float(stock.stamp(path, radius)[0].sum())
    assert removed == pytest.approx(60.0 * 2 * radius * depth, rel=0.01)
    assert float((0.0 - stock.heights).sum()) * stock.cell_area_mm2 == pytest.approx(removed, rel=1e-9)


def test_what_is_cut_twice_is_only_removed_once() -> None:
    stock = Stock(_blank())
    path = np.stack([np.linspace(10.0, 50.0, 10), np.full(10, 20.0), np.full(10, -2.0)], axis=1)
    assert stock.stamp(path, 6.0)[0].sum() > 0.0
    assert stock.stamp(path, 6.0)[0].sum() == 0.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(1.0, 15.0))
def test_volume_does_not_depend_on_how_a_path_is_cut_into_stamps(seed: int, radius: float) -> None:
    path = np.random.default_rng(seed).uniform((-10, -10, -18), (70, 50, 3), (20, 3))
    whole, pieces = Stock(_blank()), Stock(_blank())
    volume = whole.stamp(path, radius)[0]
    apart = np.concatenate([pieces.stamp(path[k : k + 5], radius)[0] for k in range(0, 20, 5)])
    np.testing.assert_allclose(volume, apart, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(whole.heights, pieces.heights)


def test_a_part_that_is_cut_again_takes_the_same_without_working_it_out() -> None:
    memory, blank = Removals(), _blank()
    path = np.linspace((0.0, 20.0, -2.0), (40.0, 25.0, -2.0), 10)
    other = path + np.array([0.0, 0.1, 0.0])
    first, again, apart = (Stock(blank, memory) for _ in range(3))
    taken = [first.stamp(each, 5.0)[0].sum() for each in (path, other)]
    known = len(memory)
    assert [again.stamp(each, 5.0)[0].sum() for each in (path, other)] == taken
    assert len(memory) == known
    np.testing.assert_array_equal(first.heights, again.heights)
    # From another state the same stamp takes something else.
    assert apart.stamp(other, 5.0)[0].sum() > taken[1]
    assert len(memory) == known + 1


def test_what_is_remembered_is_bounded() -> None:
    memory = Removals(most=5)
    stock = Stock(_blank(), memory)
    for k in range(20):
        stock.stamp(np.array([[2.0 * k, 20.0, -1.0]]), 5.0)
    assert len(memory) <= 5


def test_engagement_finds_depth_and_width_of_a_steady_cut() -> None:
    stock, engagement, radius, depth = Stock(_blank()), Engagement(), 5.0, 3.0
    areas = []
    for k in range(280):
        x = -8.0 + 0.2 * k
        volume, moment = stock.stamp(np.array([[x, 20.0, -depth]]), radius)
        engagement.follow(volume, moment, np.array([0.2]), 2.0 * stock.cell_mm)
        if 5.0 < x < 45.0:
            areas.append(engagement.area_mm2)
            assert engagement.depth_mm == pytest.approx(depth, rel=1e-6)
    assert np.mean(areas) == pytest.approx(2 * radius * depth, rel=0.01)
    assert np.std(areas) < 0.2 * np.mean(areas)


def test_stock_comment_is_read_and_nonsense_is_not() -> None:
    blank = read_blank("%\nO1\n(STOCK almgsi X-75 Y-50 Z-25 TO X75 Y50 Z2.5)\n")
    assert blank is not None
    assert blank.material.name == "AlMgSi"
    assert blank.low == (-75.0, -50.0, -25.0)
    assert blank.high == (75.0, 50.0, 2.5)
    assert read_blank("(STOCK CHEESE X0 Y0 Z0 TO X1 Y1 Z1)") is None
    assert read_blank("(STOCK C45 X0 Y0 Z0 TO X-1 Y1 Z1)") is None
    assert read_blank("(STOCK C45 X0 Y-.- Z0 TO X1 Y1 Z1)") is None
    assert read_blank("G0 X0") is None


def test_the_cut_of_a_part_before_is_the_cut_that_would_be_worked_out_again() -> None:
    """Looked up beside the stamp, taken as what follows the way before, or worked out: the same bytes, for an edge that wears on
    from part to part, and whose spindle is faster for a while in the third."""
    x = [np.linspace(-8.0 + 1.5 * k, -6.65 + 1.5 * k, 10) for k in range(40)]
    along = [Tips(np.stack([at, 20.0 + 0.2 * at, np.where(at < 0.0, 1.0, -2.0 - 0.02 * at)], axis=1)) for at in x]

    def parts(memories: list[Removals], *, known: bool) -> list[tuple[float, ...]]:
        tool, found = Tool(CUTTERS[6], 1, 1), []
        for part, memory in enumerate(memories):
            process = Process(Stock(_blank(), memory))
            for k, tips in enumerate(along if known else [Tips(one.places_mm.copy()) for one in along]):
                speed_rpm, physics = 6600.0 if part == 2 and 20 < k < 25 else 6000.0, Physics(edge_chipped=0.3 if k > 30 else 0.0)
                cut = process.step(tips, tool, speed_rpm, physics, 1.3)
                found.append(
                    (*cut.torque_nm, *cut.force_n.ravel().tolist(), cut.tooth_force_n, cut.chip_load_mm, cut.once_per_turn_n)
                )
        return [*found, (tool.used, tool.nominal_used, tool.cut_mm)]

    memory = Removals()
    again, anew = parts([memory] * 4, known=True), parts([Removals() for _ in range(4)], known=False)
    assert again == anew
    assert any(row[-1] > 0.0 for row in anew[:-1])
    assert len(memory) <= 40
