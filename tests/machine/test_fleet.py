"""A fleet in step is so many machines, each as if it were alone."""

from __future__ import annotations

from opcua_server.machine.fleet import Group, groups
from opcua_server.machine.machine import Machine
from opcua_server.machine.signals import View, numbers
from opcua_server.sources.simulated import SHIPPED, read_programs

PROGRAMS = read_programs(SHIPPED)


def machines() -> list[Machine]:
    """Five, the second with a worn nut and the third with a scale that loses counts; the others with what sensors see."""
    made = [Machine(number, 5, PROGRAMS) for number in range(1, 6)]
    for machine in made:
        machine.controller.start_program()
    for number, fault, severity, onset_s in (
        (2, "axis_backlash", 0.8, 20.0), (3, "encoder", 0.3, 5.0), (4, "spindle_bearing", 1.0, 15.0), (4, "chatter", 0.9, 0.0),
        (5, "imbalance", 0.7, 10.0), (5, "sensor_spike", 0.8, 0.0), (5, "accelerated_tool_wear", 0.9, 10.0),
    ):  # fmt: skip
        made[number - 1].faults.inject(fault, severity, onset_s, 0.0)
    return made


def test_machines_in_step_show_what_each_shows_alone() -> None:
    together, alone = machines(), machines()
    group = Group(together)
    for _ in range(300):
        group.step()
        for one in alone:
            one.step()
        rows = group.numbers()
        for row, one, other in zip(rows, together, alone, strict=True):
            expected = numbers(View(other)).tobytes()
            assert row.tobytes() == expected
            assert numbers(View(one)).tobytes() == expected
    for one, other in zip(together, alone, strict=True):
        one.step()
        other.run(1)
        assert one.save() == other.save()


def test_a_fleet_is_cut_into_groups_of_a_good_size() -> None:
    made = [Machine(number, 1, {}) for number in range(70)]
    assert [len(group.machines) for group in groups(made)] == [64, 6]
