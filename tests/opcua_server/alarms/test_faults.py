"""Faults of the simulated machine that a limit tells: its alarm comes with the fault and not without."""

from __future__ import annotations

import pytest

from nodesets.catalogue import NUMERIC
from opcua_server.alarms.limits import Watch
from opcua_server.alarms.table import TABLE
from opcua_server.machine.auxiliaries import INTERVAL_S, FallTimer
from opcua_server.machine.faults import lube_starvation
from opcua_server.machine.machine import Machine
from opcua_server.machine.physics import Physics
from opcua_server.machine.signals import View, numbers
from opcua_server.sources.simulated import SHIPPED, read_programs

PLACE = {signal.name: index for index, signal in enumerate(NUMERIC)}
BLOCKS = 1_200
"""Two minutes of the machine."""


def first_raised(fault: str | None) -> str | None:
    """The limit alarm that comes first; None where none comes."""
    machine = Machine(7, 7, read_programs(SHIPPED), "contour.nc")
    machine.controller.start_program()
    if fault is not None:
        machine.controller.call("InjectFault", [fault, 1.0, 0.0])
    watches = [(row, Watch(row.limits)) for row in TABLE if row.signal in PLACE]
    for block in range(BLOCKS):
        machine.step()
        shown = numbers(View(machine))
        for row, watch in watches:
            is_meant = not row.only_while or shown[PLACE[row.only_while]]
            if is_meant and watch.see(float(shown[PLACE[row.signal]]), block / 10.0) is not None:
                return row.name
    return None


@pytest.mark.parametrize(("fault", "alarm"), [("spindle_bearing", "SpindleBearing"), ("imbalance", "SpindleUnbalance")])
def test_a_fault_raises_the_alarm_that_names_it(fault: str, alarm: str) -> None:
    assert first_raised(fault) == alarm


def test_a_healthy_machine_raises_none() -> None:
    assert first_raised(None) is None


@pytest.mark.parametrize("valves", [0.85, 1.0, 1.15])
def test_a_clogged_distributor_raises_its_alarm_with_the_next_stroke_and_a_clean_one_none(valves: float) -> None:
    """``valves``: time constant of the metering valves of the quickest machine of a fleet, of the middle one, of the slowest."""
    row = next(row for row in TABLE if row.name == "LubricationFall")
    timer, watch, clogged = FallTimer(), Watch(row.limits), Physics()
    lube_starvation.FAULT.act(clogged, 1.0)
    levels = []
    for second in range(round(4 * INTERVAL_S)):
        holding = clogged.oil_holding if second >= 2 * INTERVAL_S else 1.0
        timer.step(float(second), 0.25, valves * holding)
        levels.append(watch.see(timer.last_s, float(second)))
    assert set(levels[: round(2 * INTERVAL_S)]) == {None}
    assert levels[-1] == ("High" if valves < 1.0 else "HighHigh")
