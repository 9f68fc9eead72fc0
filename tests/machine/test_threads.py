"""G33: every pass of a thread begins with the index pulse of the spindle, so that it cuts where the one before did."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from nodesets.states import MachineState
from opcua_server.machine import fleet
from opcua_server.machine.fleet import Group
from opcua_server.machine.machine import Machine
from opcua_server.machine.signals import View, numbers

from .running import SHORT, now, run, source

CUT = "G1 Z-2 F1500\nG1 X72 F1000"
LEAD_MM = 1.5
PASS = "G33 Z-20 F1.5\nG0 X1\nZ10\nX0\n"


def threaded(passes: str, speed: str = "S600 M3") -> str:
    return SHORT.replace(CUT, passes).replace("S4000 M3", speed).replace("G0 X-12 Y20", "G0 X0 Y20").replace("Z5 M8", "Z10 M8")


def phases(program: str, override: float = 100.0) -> npt.NDArray[np.float64]:
    """Of each pass: where the thread lies, in mm of its lead, as the control leads the axis at full speed."""
    machine = source({"short.nc": program}, repeat=False)
    machine.call("SetSpindleOverride", [override])
    machine.call("Start", [])
    found: list[list[float]] = []
    last = 0.0
    while not now(machine, "Machine/PartsProduced"):
        machine.advance(0.01, round(machine.machine.time_s * 1e9))
        z = now(machine, "Axes/Z/CmdPos") + 420.0 - 126.0
        step, last = z - last, z
        if abs(step + LEAD_MM * 600.0 / 60.0 * 0.01) < 1e-9:
            if z > found[-1][-1] if found else True:
                found.append([])
            found[-1].append(z)
            way = z + machine.machine.spindle.direction * now(machine, "Spindle/AnglePos") / 360.0 * LEAD_MM
            found[-1].insert(0, way % LEAD_MM)
        assert machine.machine.time_s < 90.0
    return np.array([one[len(one) // 2 - 1] for one in found if len(one) > 40])


@pytest.mark.parametrize("override", [100.0, 70.0])
@pytest.mark.parametrize("speed", ["S600 M3", "S600 M4"])
def test_passes_of_a_thread_lie_in_each_other_whenever_they_begin(override: float, speed: str) -> None:
    where = phases(threaded(PASS + "G4 P137\n" + PASS + "G4 P61\n" + PASS, speed), override)
    assert len(where) == 3
    apart = np.abs((where - where[0] + 0.5 * LEAD_MM) % LEAD_MM - 0.5 * LEAD_MM)
    assert apart.max() < 0.01


def test_a_thread_that_goes_on_in_the_next_block_does_not_wait_again() -> None:
    machine = source({"short.nc": threaded("G33 Z-10 F1.5\nZ-15\nG33 Z-20 F1.5\nG0 Z10\n")}, repeat=False)
    machine.call("Start", [])
    feeds = []
    while not now(machine, "Machine/PartsProduced"):
        assert machine.machine.time_s < 90.0
        run(machine, 0.1)
        active = machine.machine.controller.active
        if active is not None and ("G33" in active.block or active.block == "Z-15"):
            feeds.append(now(machine, "Channel/ActFeedrate"))
    inside = feeds[feeds.index(max(feeds)) : -2]
    assert min(inside) > 0.99 * 900.0


def test_beside_a_spindle_that_stands_the_axis_waits_until_somebody_resets() -> None:
    machine = source({"short.nc": threaded(PASS, "S600")}, repeat=False)
    machine.call("Start", [])
    run(machine, 15.0)
    assert now(machine, "Machine/State") == MachineState.RUNNING
    assert now(machine, "Axes/Z/CmdPos") + 420.0 - 126.0 == pytest.approx(10.0)
    machine.call("Reset", [])
    run(machine, 1.0)
    assert now(machine, "Machine/State") == MachineState.IDLE


def test_machines_in_step_thread_as_each_does_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FEW", 2)
    program = threaded(PASS + "G4 P137\n" + PASS)
    together, alone = ([Machine(number, 4, {"short.nc": program}) for number in range(1, 5)] for _ in range(2))
    for one in (*together, *alone):
        one.controller.start_program()
    group = Group(together)
    for _ in range(30):
        for rows in group.run(10):
            for one, row in zip(alone, rows, strict=True):
                one.step()
                assert row.tobytes() == numbers(View(one)).tobytes()
    assert [one.save() for one in together] == [one.save() for one in alone]
