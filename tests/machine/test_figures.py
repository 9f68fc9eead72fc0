"""Handbook figures against the machine's own process: a tool that really cuts stock, tick by tick."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from opcua_server.machine.physics import Physics
from opcua_server.machine.process.blank import Blank
from opcua_server.machine.process.load import TICK_S, TICKS
from opcua_server.machine.process.materials import MATERIALS
from opcua_server.machine.process.process import CutBlock, Process, Tips
from opcua_server.machine.process.stock import Stock
from opcua_server.machine.process.wear import CRITERION_MM
from opcua_server.machine.tools import CUTTERS, Tool

Floats = npt.NDArray[np.float64]
Point = tuple[float, float, float]

SHIFTS = (0.0, 0.137, 0.311)
"""Where the cut lies against the cells of the height map, mm: no result may depend on it."""


def _tool(diameter: float, teeth: int, fz: float = 0.1, edge: str = "carbide", kind: str = "end_mill") -> Tool:
    type_ = replace(CUTTERS[5], diameter_mm=diameter, teeth=teeth, nominal_fz_mm=fz, edge=edge, kind=kind)
    return Tool(type_, seed=1, machine=1)


def _process(material: str, x: float = 120.0, y: float = 100.0) -> Process:
    return Process(Stock(Blank(MATERIALS[material], (0.0, 0.0, -25.0), (x, y, 0.0))))


def _line(start: Point, end: Point, feed_mm_min: float) -> Floats:
    """Tip at each tick of the way at a steady feed, (n, 3) with n a multiple of a block's ticks; it stands at the end."""
    length, step = math.dist(start, end), feed_mm_min / 60.0 * TICK_S
    ticks = math.ceil(length / step / TICKS) * TICKS
    way = np.minimum(np.arange(1, ticks + 1) * step / length, 1.0)[:, None]
    return np.array(start) + way * (np.array(end) - np.array(start))


def _cut(process: Process, tool: Tool, path: Floats, speed_rpm: float, physics: Physics | None = None) -> list[CutBlock]:
    physics = physics or Physics()
    return [process.step(Tips(path[k : k + TICKS]), tool, speed_rpm, physics, 1.0) for k in range(0, len(path), TICKS)]


def _removed(blocks: Iterable[CutBlock]) -> float:
    return sum(block.removed_mm3 for block in blocks)


def _side_cut(
    material: str, tool: Tool, ap: float, ae: float, fz: float, vc: float, shift: float = 0.0, physics: Physics | None = None
) -> list[CutBlock]:
    """The steady part of a straight side cut with depth ``ap`` and width ``ae``."""
    d, z = tool.type.diameter_mm, tool.type.teeth
    speed = vc * 1000.0 / (math.pi * d)
    feed = fz * z * speed
    process = _process(material, 200.0)
    face = ae - d / 2.0 + shift
    assert process.stock is not None
    process.stock.stamp(_line((-d, face - ae, -ap), (200.0 + d, face - ae, -ap), 3000.0), d / 2.0)
    blocks = _cut(process, tool, _line((-d / 2.0 - 1.0, face, -ap), (200.0 - d, face, -ap), feed), speed, physics)
    run_in = math.ceil((1.5 * d + 3.0) / (feed / 60.0 * TICK_S * TICKS))
    return blocks[run_in:-2]


# --- forces -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(
    ("material", "d", "z", "ap", "ae", "fz", "vc", "power_kw", "torque_nm"),
    [
        ("42CrMo4", 10.0, 4, 10.0, 1.0, 0.05, 150.0, 1.18, 2.35),
        ("C45", 63.0, 5, 2.0, 45.0, 0.15, 200.0, 3.51, 33.2),
        ("AlMgSi", 16.0, 3, 10.0, 8.0, 0.12, 400.0, 5.09, 6.1),
        ("GG25", 80.0, 6, 2.5, 60.0, 0.2, 180.0, 4.13, 55.0),
    ],
)
def test_a_side_cut_takes_the_power_torque_and_volume_of_the_worked_case(
    shift: float, material: str, d: float, z: int, ap: float, ae: float, fz: float, vc: float, power_kw: float, torque_nm: float
) -> None:
    tool = _tool(d, z)
    tool.life_scatter = 1e9  # an edge that stays new
    blocks = _side_cut(material, tool, ap, ae, fz, vc, shift)
    assert len(blocks) > 15
    assert np.mean([block.power_w for block in blocks]) / 1000.0 == pytest.approx(power_kw, rel=0.01)
    assert np.mean([np.mean(block.torque_nm) for block in blocks]) == pytest.approx(torque_nm, rel=0.01)
    feed_mm_s = fz * z * vc * 1000.0 / (math.pi * d) / 60.0
    rate = _removed(blocks) / (len(blocks) * TICKS * TICK_S)
    assert rate == pytest.approx(ap * ae * feed_mm_s, rel=0.01)


FEEDS_MM = (0.16, 0.25, 0.4, 0.63, 1.0, 1.6)
"""Columns of the table below: feed at a setting angle of 45 degrees, so that the chip is 0.707 of it."""


@pytest.mark.parametrize(
    ("material", "kc_kn_mm2"),
    # Specific cutting force in kN/mm2 as a lathe chuck's maker tabulates it (Roehm RN-1391, table 2; steps of 0.05).
    [
        ("St50", (3.50, 3.10, 2.75, 2.45, 2.15, 1.95)),
        ("C45", (3.05, 2.80, 2.60, 2.40, 2.20, 2.05)),
        ("42CrMo4", (4.35, 3.90, 3.45, 3.10, 2.75, 2.45)),
        ("16MnCr5", (3.75, 3.30, 2.95, 2.60, 2.30, 2.05)),
        ("GG25", (2.05, 1.80, 1.60, 1.45, 1.30, 1.15)),
    ],
)
def test_specific_force_agrees_with_a_makers_table(material: str, kc_kn_mm2: tuple[float, ...]) -> None:
    for feed, kc in zip(FEEDS_MM, kc_kn_mm2, strict=True):
        chip = feed * math.sin(math.radians(45.0))
        assert MATERIALS[material].specific_force(chip) / 1000.0 == pytest.approx(kc, rel=0.03)


# --- volume -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("angle_deg", [0.0, 17.0, 45.0, 90.0])
def test_a_slot_in_any_direction_removes_its_width_times_its_way(angle_deg: float, shift: float) -> None:
    tool, process, ap = _tool(10.0, 3), _process("AlMgSi"), 3.0
    turn = math.radians(angle_deg)
    way = np.array([30.0 * math.cos(turn), 30.0 * math.sin(turn), 0.0])
    start = np.array([45.0 + shift, 35.0 + shift, -ap])
    assert process.stock is not None
    process.stock.stamp(start[None, :], 5.0)
    blocks = _cut(process, tool, _line(tuple(start), tuple(start + way), 900.0), 6000.0)
    assert _removed(blocks) == pytest.approx(30.0 * 10.0 * ap, rel=0.01)


@pytest.mark.parametrize("d", [5.0, 6.8, 10.2, 16.0])
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_plunge_removes_its_cylinder_at_the_rate_of_its_feed(d: float, shift: float) -> None:
    tool, process = _tool(d, 2, kind="drill"), _process("C45")
    x, y = 50.0 + shift, 40.0 + 2.0 * shift
    blocks = _cut(process, tool, _line((x, y, 0.0), (x, y, -12.0), 600.0), 3000.0)
    assert _removed(blocks) == pytest.approx(math.pi * d * d / 4.0 * 12.0, rel=0.01)
    rates = [block.removed_mm3 / (TICKS * TICK_S) for block in blocks]
    assert rates == pytest.approx([math.pi * d * d / 4.0 * 10.0] * len(rates), rel=0.01)


def test_a_slot_that_turns_a_right_corner_removes_what_geometry_says() -> None:
    """After the turn the tool is r + sqrt(2 r s - s^2) wide in the material at a way s <= r, and 2 r from then on."""
    r, ap, totals, halves = 8.0, 4.0, [], []
    for shift in SHIFTS:
        tool, process = _tool(2.0 * r, 3), _process("AlMgSi")
        x, y = 70.0 + shift, 30.0 + shift
        _cut(process, tool, _line((20.0, y, -ap), (x, y, -ap), 900.0), 6000.0)
        blocks = _cut(process, tool, _line((x, y, -ap), (x, y + r, -ap), 960.0), 6000.0)
        assert len(blocks) == 5
        totals.append(_removed(blocks))
        blocks = _cut(process, tool, _line((x, y + r, -ap), (x, y + 5.0 * r, -ap), 960.0), 6000.0)
        halves.append(_removed(blocks))
        assert totals[-1] == pytest.approx(ap * r * r * (1.0 + math.pi / 4.0), rel=0.01)
        assert halves[-1] == pytest.approx(ap * 2.0 * r * 4.0 * r, rel=0.01)


def test_the_wider_cut_in_an_inside_corner_is_felt() -> None:
    """A pocket's wall is followed at a width of 2 mm; in the corner the next wall stands in front of the tool."""
    tool, process, ap, r = _tool(10.0, 4), _process("C45"), 5.0, 5.0
    for wall in (40.0, 42.0):
        x, y = 90.0 - r + wall - 42.0, wall
        along = _cut(process, tool, _line((-12.0, y, -ap), (x - 12.0, y, -ap), 600.0), 4000.0)
        corner = _cut(process, tool, _line((x - 12.0, y, -ap), (x, y, -ap), 600.0), 4000.0)
        _cut(process, tool, _line((x, y, -ap), (x, y - 20.0, -ap), 600.0), 4000.0)
    steady = np.mean([block.area_mm2 for block in along[-50:]])
    assert steady == pytest.approx(2.0 * ap, rel=0.03)
    assert max(block.area_mm2 for block in corner) > 1.5 * steady
    assert max(block.power_w for block in corner) > 1.4 * np.mean([block.power_w for block in along[-50:]])


# --- wear -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("minutes", [15.0, 60.0])
@pytest.mark.parametrize(
    ("material", "edge", "n"), [("St50", "carbide", 0.25), ("AlMgSi", "carbide", 0.25), ("St50", "hss", 0.125)]
)
def test_an_edge_that_cuts_lives_as_long_as_taylor_says(minutes: float, material: str, edge: str, n: float) -> None:
    """Life at half immersion and nominal feed per tooth, by the share of it that some seconds of cutting use up."""
    tool = _tool(16.0, 3, fz=0.1, edge=edge)
    tool.life_scatter = 1.0
    c = MATERIALS[material].taylor_c * (0.16 if edge == "hss" else 1.0)
    blocks = _side_cut(material, tool, 3.0, 8.0, 0.1, vc=c * minutes**-n)
    assert len(blocks) > 10
    before = tool.used
    tool.used = tool.cutting_time_s = 0.0
    assert before > 0.0
    _side_cut(material, tool, 3.0, 8.0, 0.1, vc=c * minutes**-n)
    assert tool.cutting_time_s / 60.0 / tool.used == pytest.approx(minutes, rel=0.02)
    tool.used = 1.0
    assert tool.flank_wear_mm == pytest.approx(CRITERION_MM, rel=1e-6)


def test_lives_of_a_thousand_edges_in_the_same_cut_scatter_like_real_ones() -> None:
    """One tool each of a thousand machines, worn by the process itself."""
    lives = []
    for machine in range(1000):
        tool = Tool(CUTTERS[5], seed=1, machine=machine)
        process = _process("C45", 40.0, 40.0)
        _cut(process, tool, _line((-5.0, 20.0, -2.0), (0.0, 20.0, -2.0), 3000.0), 3000.0)
        lives.append(tool.cutting_time_s / tool.used)
    assert 0.2 <= np.std(lives) / np.mean(lives) <= 0.35
    logs = np.log(lives)
    assert abs(float(np.mean((logs - logs.mean()) ** 3) / logs.std() ** 3)) < 0.3  # lognormal: its logarithm is even
