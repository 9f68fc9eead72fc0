"""Tapping: spindle and axis go in step within every block, whoever looks, and whatever happens on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from nodesets.states import MachineState
from opcua_server.machine.fleet import Group
from opcua_server.machine.machine import Machine
from opcua_server.machine.signals import View, numbers
from opcua_server.machine.spindle import PEAK, RATED_TORQUE_NM
from opcua_server.sources.simulated import SimulatedSource

from .running import COLUMN, now, run_until, source

RIGID = """%
O2
(STOCK C45 X0 Y0 Z-30 TO X60 Y40 Z0)
G21 G17 G90 G94
G53 G0 Z0
T14 M6
G54 G0 X20 Y20 S900 M3
G43 H14 Z10
M29 S900
G98 CYCLE X20 Z-20 R5 P200 F900
X30
G80
G53 G0 Z0
M30
%
"""
R_MM, BOTTOM_MM, LEAD_MM = 5.0, -20.0, 1.0
TIP_OF_Z_MM = 420.0 - 118.0
"""Work zero and length of the tap."""
STRAYS_MM = 0.02
"""What friction, backlash and the cutting force make of an axis, most of it for 20 ms behind the reversal."""
NAMES = ("Axes/Z/ActPos", "Spindle/AnglePos", "Spindle/ActSpeed", "Spindle/ActTurnDirection", "Axes/Z/CmdPos")

Floats = npt.NDArray[np.float64]


def looked_at(machine: SimulatedSource, seconds: float) -> list[Floats]:
    """Every 10 ms of its time: columns of ``NAMES``, height of the tip in work coordinates, angle without its turns in degrees."""
    rows = []
    for _ in range(round(seconds * 100)):
        machine.advance(0.01, round(machine.machine.time_s * 1e9))
        rows.append([machine.columns().numbers[COLUMN[name]] for name in NAMES])
    height, angle, speed, way, told = np.array(rows).T
    return [height + TIP_OF_Z_MM, np.degrees(np.unwrap(np.radians(angle))), speed, way, told + TIP_OF_Z_MM]


def at_the_hole(cycle: str) -> SimulatedSource:
    """A machine that is about to go into its first hole."""
    machine = source({"tap.nc": RIGID.replace("CYCLE", cycle)}, repeat=False)
    machine.call("Start", [])
    run_until(machine, "Tool/Number", 14.0)
    run_until(machine, "Spindle/CmdSpeed", 0.0)
    return machine


def off_the_thread(height: Floats, angle: Floats, sign: float) -> float:
    """How far the tap strays from the thread that its angle makes, mm, while it is below the height at which it begins."""
    inside = height < R_MM - 0.05
    thread = height[inside] + sign * angle[inside] / 360.0 * LEAD_MM
    return float(np.abs(thread - np.median(thread)).max())


@pytest.mark.parametrize(("cycle", "sign"), [("G84", 1.0), ("G74", -1.0)])
def test_the_tap_turns_as_far_as_it_goes_at_every_moment(cycle: str, sign: float) -> None:
    """At the start, at full speed, through the reversal at the bottom and up to the end, in both holes."""
    machine = at_the_hole(cycle)
    height, angle, speed, way, _ = looked_at(machine, 12.0)
    assert height.min() == pytest.approx(BOTTOM_MM, abs=0.05)
    below = height < R_MM - 0.05
    starts = np.flatnonzero(below[1:] & ~below[:-1]) + 1
    assert len(starts) == 2, "two holes"
    for first in starts.tolist():
        last = first + int(np.argmin(below[first:]))
        assert off_the_thread(height[first:last], angle[first:last], sign) < STRAYS_MM
        assert speed[first:last].max() == pytest.approx(900.0, rel=0.02)
        down, up = (1.0, 2.0) if sign > 0.0 else (2.0, 1.0)
        assert {down, up} <= set(way[first:last].tolist())
    assert np.ptp(angle[starts[0] - 20 : starts[0] - 5]) == 0.0, "after M29 it stands until the tap goes in"


def test_reset_in_a_thread_brakes_tap_and_spindle_in_step() -> None:
    machine = at_the_hole("G84")
    before = looked_at(machine, 0.01)
    rows = [before]
    while rows[-1][4][-1] > -5.0:
        rows.append(looked_at(machine, 0.01))
    machine.call("Reset", [])
    rows.append(looked_at(machine, 2.0))
    height = np.concatenate([one[0] for one in rows])
    angle = np.degrees(np.unwrap(np.radians(np.concatenate([one[1] for one in rows]) % 360.0)))
    assert off_the_thread(height, angle, 1.0) < STRAYS_MM
    assert BOTTOM_MM + 2.0 < height[-1] < -5.0
    assert now(machine, "Machine/State") == MachineState.IDLE
    assert now(machine, "Spindle/IsRotating") == 0.0


def test_the_drive_can_turn_a_tap_as_the_axis_goes() -> None:
    machine = at_the_hole("G84").machine
    most = 0.0
    for _ in range(120):
        machine.step()
        most = max(most, abs(machine.spindle.torque_nm))
        assert np.isfinite(numbers(View(machine))).all()
    assert 5.0 < most < PEAK * RATED_TORQUE_NM


@pytest.mark.parametrize("rigid", ["M29 S900", ""])
@pytest.mark.parametrize("override", [100.0, 80.0])
def test_machines_in_step_tap_as_each_does_alone(rigid: str, override: float) -> None:
    made: list[Sequence[Machine]] = []
    for _ in range(2):
        those = [Machine(number, 5, {"tap.nc": RIGID.replace("M29 S900", rigid).replace("CYCLE", "G84")}) for number in range(1, 8)]
        for machine in those:
            machine.controller.start_program()
            machine.controller.call("SetSpindleOverride", [override])
        made.append(those)
    together, alone = made
    group = Group(together)
    for _ in range(25):
        for rows in group.run(10):
            for one, row in zip(alone, rows, strict=True):
                one.step()
                assert row.tobytes() == numbers(View(one)).tobytes()
    assert [one.save() for one in together] == [one.save() for one in alone]
