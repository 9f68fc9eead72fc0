"""Where a program stops and what is skipped of it, and which program, block and codes are shown meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from nodesets.states import MachineState

from .running import SHORT, now, run, run_until, source

S = MachineState


def test_blocks_with_a_slash_are_skipped_only_when_block_skip_is_on() -> None:
    machine = source({"s.nc": SHORT.replace("G1 X72", "/G4 P20000\nG1 X72")}, repeat=False)
    times = []
    for on in (True, False):
        machine.call("SetModifier", ["BlockSkip", on])
        machine.call("Start", [])
        run_until(machine, "Machine/PartsProduced", len(times) + 1)
        times.append(now(machine, "Machine/LastCycleTime"))
        run_until(machine, "Machine/State", S.IDLE)
    assert times[1] - times[0] > 10.0  # the first run changes the tool as well, which takes 4.5 s


def test_optional_stop_stops_only_when_it_is_on() -> None:
    program = SHORT.replace("G1 Z-2", "M1\nG1 Z-2")
    machine = source({"o.nc": program}, repeat=False)
    machine.call("SetModifier", ["OptionalStop", True])
    machine.call("Start", [])
    run_until(machine, "Machine/State", S.HELD)
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)
    machine.call("SetModifier", ["OptionalStop", False])
    run(machine, 10.0)
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 2.0)


def test_optional_stop_may_be_switched_until_its_block_is_reached() -> None:
    machine = source({"o.nc": SHORT.replace("G1 X72", "M1\nG1 X72")}, repeat=False)
    machine.call("Start", [])
    run(machine, 3.0)
    machine.call("SetModifier", ["OptionalStop", True])
    run_until(machine, "Machine/State", S.HELD)
    assert [event.text for event in machine.take_events() if event.code == "M1"] == ["Optional stop in line 10"]
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)
    run(machine, 10.0)
    machine.call("Start", [])
    run(machine, 1.0)
    machine.call("SetModifier", ["OptionalStop", False])
    run_until(machine, "Machine/PartsProduced", 2.0)
    assert not [event for event in machine.take_events() if event.code == "M1"]


@pytest.mark.parametrize("stop", ["M0", "M1"])
def test_a_program_stop_needs_one_start_in_single_block_too(stop: str) -> None:
    machine = source({"o.nc": SHORT.replace("G1 X72", f"{stop}\nG1 X72")}, repeat=False)
    machine.call("SetModifier", ["OptionalStop", True])
    machine.call("SetModifier", ["SingleBlock", True])
    lines = []
    for _ in range(9):
        machine.call("Start", [])
        run(machine, 0.3)
        run_until(machine, "Machine/State", S.HELD)
        lines.append(str(machine.columns().objects["Channel/ActProgramLine"]))
        if lines[-1] == "11":
            break
    assert lines[-3:] == ["9", "10", "11"]


def test_what_is_shown_is_of_the_program_that_runs_and_of_the_block_that_ends_it() -> None:
    """Not of what ran before it, and not of the block before the one that makes no sense."""
    broken = "%\nO7\nG54 G0 X0\nG0 X5\nM98 P8\nM30\nO8\n#1=0\nG1 X10 F500\n#2=1/#1\nM99\n%\n"
    machine = source(
        {"short.nc": SHORT, "broken.nc": broken, "none.nc": "%\nO9\nM98 P99\nM30\n%\n"}, repeat=False, program="short.nc"
    )
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)
    run(machine, 10.0)
    for name, shown in (("none.nc", ("O0009", "3", "M98 P99")), ("broken.nc", ("O0008", "10", "#2=1/#1"))):
        machine.call("LoadProgram", [name])
        machine.call("Start", [])
        run(machine, 0.1)
        objects = machine.columns().objects
        assert objects["Channel/ActMainProgramName"] == name
        assert objects["Channel/ActProgramName"] in (name, "O0007", "O0009")
        run_until(machine, "Machine/State", S.ALARM)
        objects = machine.columns().objects
        block = objects["Channel/ActProgramBlock"]
        assert isinstance(block, list)
        assert (objects["Channel/ActProgramName"], objects["Channel/ActProgramLine"], block[0]) == shown
        machine.call("Reset", [])
        run(machine, 1.0)


def test_modal_codes_are_those_that_hold_from_the_main_switch_on() -> None:
    machine = source(repeat=False)
    run(machine, 0.5)

    def codes(kind: str) -> Any:
        return machine.columns().objects[f"Channel/Act{kind}Functions"]

    at_power_on = codes("G")
    assert {170, 210, 400, 490, 540, 900, 940} <= set(at_power_on)
    assert codes("M") == [5, 9]
    assert now(machine, "Axes/X/ZeroOffset") == -440.0
    machine.call("Start", [])
    run_until(machine, "Tool/InCut", 1.0)
    assert codes("M") == [3, 8]
    assert {10, 430} <= set(codes("G"))
    machine.call("EmergencyStop", [])
    run(machine, 1.0)
    assert codes("M") == [5, 9]
    machine.call("Reset", [])
    machine.call("SwitchOff", [])
    run(machine, 1.0)
    machine.call("SwitchOn", [])
    run(machine, 0.1)
    assert codes("G") == at_power_on


def test_single_block_stops_after_each_block() -> None:
    machine = source(repeat=False)
    machine.call("SetModifier", ["SingleBlock", True])
    machine.call("Start", [])
    lines = []
    for _ in range(5):
        run_until(machine, "Machine/State", S.HELD)
        lines.append(int(str(machine.columns().objects["Channel/ActProgramLine"])))
        machine.call("Start", [])
        run(machine, 0.2)
    assert lines == sorted(lines)
    assert len(set(lines)) >= 4


def stops(program: str, limit: int = 60) -> list[str]:
    """Blocks behind which a program stops in single block, as the control shows them, up to its M30."""
    machine = source({"one.nc": program}, repeat=False)
    machine.call("SetModifier", ["SingleBlock", True])
    shown: list[str] = []
    while len(shown) < limit:
        machine.call("Start", [])
        run(machine, 0.1)
        for _ in range(600):
            if now(machine, "Machine/State") != S.RUNNING:
                break
            run(machine, 0.1)
        if now(machine, "Machine/State") != S.HELD:
            assert not machine.machine.controller.alarms
            return shown
        line = int(str(machine.columns().objects["Channel/ActProgramLine"]))
        name = str(machine.columns().objects["Channel/ActProgramName"])
        shown.append(f"{name} {program.splitlines()[line - 1]}")
    raise AssertionError(f"it does not end: {shown[-5:]}")


def test_single_block_stops_at_the_end_of_every_block() -> None:
    """Also of one with nothing but G, T, F or N, and of a move that goes nowhere."""
    blocks = ["G21 G90", "T5", "G54 G0 X5 Y5", "G0 X5 Y5", "N7 F500", "G91", "G1 X1", "G90 G1 X6.", "G10 L2 P2 X0", "G4 P100", "M8"]
    program = "%\nO3\n(a comment)\n\n" + "\n".join(blocks) + "\nM30\n%\n"
    assert stops(program) == [f"O0003 {block}" for block in blocks]


def test_single_block_stops_each_time_a_loop_or_a_subprogram_comes_to_a_block() -> None:
    program = "%\nO3\nG54 G0 X5 Y5\n#1=0\nWHILE[#1LT3]DO1\n#1=#1+1\nG91 X1\nEND1\nG90\nM98 P4 L3\nM30\nO4\nG91 Y-1\nM99\n%\n"
    assert stops(program) == ["O0003 G54 G0 X5 Y5", *["O0003 G91 X1"] * 3, "O0003 G90", *["O0004 G91 Y-1"] * 3]


def test_single_block_stops_once_at_each_block_of_a_compensated_contour() -> None:
    blocks = ["G0 X0 Y0 Z0", "G41 D6", "G1 X10 Y0 F2000", "Y20", "F1500", "X30 ,R8", "Y40", "G1 Y40", "G40 X0", "G0 X0"]
    program = "%\nO3\nG54\n" + "\n".join(blocks) + "\nM30\n%\n"
    assert [one for one in stops(program) if one[6:] in blocks] == [f"O0003 {block}" for block in blocks]


def test_a_block_that_does_nothing_does_not_stop_what_is_not_in_single_block() -> None:
    taken = []
    for between in ("", "F900\nG90 G17\nT5\nG1 X30\n"):
        machine = source({"short.nc": SHORT.replace("G1 X72", f"G1 X30 F900\n{between}G1 X72")}, repeat=False)
        machine.call("Start", [])
        run_until(machine, "Machine/PartsProduced", 1.0)
        taken.append(now(machine, "Machine/LastCycleTime"))
    assert taken[0] == taken[1]


def test_no_override_of_feed_and_spindle_acts_between_m49_and_m48() -> None:
    machine = source({"short.nc": SHORT.replace("G1 X72", "M49\nG1 X30 F1000\nM48\nG1 X72")}, repeat=False)
    machine.call("SetFeedOverride", [50.0])
    machine.call("SetSpindleOverride", [80.0])
    machine.call("Start", [])
    seen: dict[str, tuple[float, float]] = {}
    for _ in range(400):
        run(machine, 0.1)
        active = machine.machine.controller.active
        if active is not None and active.kind == "feed":
            if active.block == "G1 X30 F1000":  # while he turns it
                machine.call("SetFeedOverride", [40.0])
                machine.call("SetSpindleOverride", [70.0])
            before = seen.get(active.block, (0.0, 0.0))
            feed, speed = now(machine, "Channel/ActFeedrate"), now(machine, "Spindle/CmdSpeed")
            seen[active.block] = (max(before[0], feed), speed)
    assert seen["G1 X30 F1000"] == (pytest.approx(1000.0), 4000.0)
    assert seen["G1 X72 F1000"] == (pytest.approx(400.0), 2800.0)
