"""Faults of the simulated machine that a limit tells: its alarm comes with the fault and not without."""

from __future__ import annotations

import pytest

from nodesets.catalogue import NUMERIC
from opcua_server.alarms.limits import Watch
from opcua_server.alarms.table import TABLE
from opcua_server.machine.machine import Machine
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
