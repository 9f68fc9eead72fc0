"""A tool that is fed into the work while the spindle stands breaks; one that only stands, or is drawn out, does not."""

from __future__ import annotations

import pytest

from opcua_server.machine import fleet
from opcua_server.machine.fleet import Group
from opcua_server.machine.machine import Machine
from opcua_server.machine.signals import View, numbers, objects

from .running import SHORT, now, run_until, source

DRILLED = SHORT.replace("T4", "T11").replace("H4", "H11").replace("G0 X-12", "G0 X20")
PLUNGED = "G1 Z-2 F1500\nG1 X72 F1000"
IN = SHORT.replace(PLUNGED, "M5\n" + PLUNGED)


@pytest.mark.parametrize(
    ("program", "tool"),
    [
        (IN, 4),
        (SHORT.replace("S4000 M3", "S0 M3"), 4),
        (SHORT.replace(" S4000 M3", ""), 4),
        (SHORT.replace("T4", "T1").replace("H4", "H1").replace("S4000 M3", "").replace("Z-2", "Z-10"), 1),
        (DRILLED.replace(PLUNGED, "M5\nG1 Z-10 F100"), 11),
        (DRILLED.replace(PLUNGED, "G1 Z-10 F100\nM5\nG0 X60"), 11),
    ],
    ids=["M5", "S0", "never on", "face mill", "drill", "rapid in the hole"],
)
def test_a_tool_fed_into_the_work_by_a_spindle_that_stands_breaks(program: str, tool: int) -> None:
    machine = source({"short.nc": program}, repeat=False)
    machine.call("Start", [])
    broke = 0
    for _ in range(600):
        machine.advance(0.1, 1)
        broke += machine.machine.shown.cut.broke
        if now(machine, "Machine/PartsProduced"):
            break
    assert broke == 1
    cutter = machine.machine.magazine[tool]
    assert cutter.edges + cutter.broken == 1  # the setter found it, and it may be renewed already


@pytest.mark.parametrize(
    "program",
    [
        SHORT,
        SHORT.replace("G1 X72 F1000", "G1 X30 F1000\nM5\nG4 P500\nG0 Z50\nS4000 M3\nG0 Z5"),
        SHORT.replace(PLUNGED, "M5\nG1 Z1 F1500\nG1 X72 F1000"),
        DRILLED.replace(PLUNGED, "G1 Z-10 F300\nM5\nG1 Z5\nG1 Z-10"),
        DRILLED.replace(PLUNGED, "G86 Z-10 R2 F300\nG80"),
        DRILLED.replace(PLUNGED, "G84 Z-10 R2 F300 S300\nG80").replace("11", "15"),
        DRILLED.replace(PLUNGED, "G0 Z50\nM5\nT22 M6\nG43 H22 Z5 S800 M3\nG76 Z-1 R0.5 Q1 F8\nG80\nM5\nG1 Z-1 F100\nX21"),
    ],
    ids=["turning", "M5 in the cut", "above the work", "in and out of its hole", "G86", "G84", "one edge turned away"],
)
def test_a_tool_that_stands_where_nothing_is_to_be_cut_is_spared(program: str) -> None:
    machine = source({"short.nc": program}, repeat=False)
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)
    assert not any(tool.broken or tool.edges for tool in machine.machine.magazine.values())
    assert now(machine, "Machine/AlarmCount") == 0


def test_a_new_blank_around_the_tool_of_a_program_that_was_stopped_breaks_nothing() -> None:
    machine = source(repeat=False)
    machine.call("Start", [])
    for _ in range(200):
        machine.advance(0.1, 1)
        if machine.machine.shown.cut.in_cut_s:
            break
    assert machine.machine.shown.cut.in_cut_s
    for _ in range(5):
        machine.advance(0.1, 1)
    machine.call("Stop", [])
    for _ in range(20):
        machine.advance(0.1, 1)
    machine.call("LoadProgram", ["short.nc"])
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)
    assert not any(tool.broken or tool.edges for tool in machine.machine.magazine.values())


def test_it_breaks_in_step_with_others_as_it_does_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FEW", 2)
    together, alone = ([Machine(number, 2, {"short.nc": IN if number % 2 else SHORT}) for number in range(1, 5)] for _ in range(2))
    for one in (*together, *alone):
        one.controller.start_program()
    group, broke = Group(together), set()
    for _ in range(30):
        for rows in group.run(10):
            for one, row in zip(alone, rows, strict=True):
                one.step()
                broke |= {one.number} if one.shown.cut.broke else set()
                assert row.tobytes() == numbers(View(one)).tobytes()
        assert [objects(View(one)) for one in together] == [objects(View(one)) for one in alone]
        assert [one.save() for one in together] == [one.save() for one in alone]
    assert broke == {1, 3}
