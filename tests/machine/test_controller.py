"""The control: what each command does in each state, alarms, holds, part change."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodesets.methods import METHODS
from nodesets.states import MachineState
from opcua_server.machine.controller import ALLOWED
from opcua_server.machine.faults import FAULTS
from opcua_server.sources.source import CommandRefused

from .running import COLUMN, SHORT, now, run, run_until, source

S = MachineState
ARGUMENTS: dict[str, list[Any]] = {
    "LoadProgram": ["short.nc"],
    "LoadProgramText": ["other.nc", "M30\n"],
    "ChangeTool": [5],
    "SetFeedOverride": [90.0],
    "SetRapidOverride": [50.0],
    "SetSpindleOverride": [100.0],
    "SetSpindleSpeed": [1000.0],
    "SetModifier": ["OptionalStop", True],
    "BeginMaintenance": ["Inspection"],
    "ReplaceTool": [3],
    "InjectFault": ["coolant", 0.5, 10.0],
    "ClearFault": ["All"],
}


def state(machine: Any) -> MachineState:
    return MachineState(int(now(machine, "Machine/State")))


def in_state(wanted: MachineState) -> Any:
    machine = source()
    run(machine, 7.0)
    match wanted:
        case S.RUNNING:
            pass
        case S.IDLE:
            machine.call("Stop", [])
        case S.HELD:
            machine.call("Hold", [])
        case S.LOADING:
            run_until(machine, "Machine/State", S.LOADING)
        case S.MANUAL:
            machine.call("Stop", [])
            machine.call("SetSpindleSpeed", [500.0])
        case S.EMERGENCY_STOP:
            machine.call("EmergencyStop", [])
        case S.OFF | S.MAINTENANCE:
            machine.call("Stop", [])
            machine.call(*(("SwitchOff", []) if wanted is S.OFF else ("BeginMaintenance", ["Service"])))
        case S.ALARM:
            machine.call("Stop", [])
            machine.call("LoadProgramText", ["bad.nc", "G0 X-10\nG2 X5 Y5\nM30\n"])
            machine.call("Start", [])
            run_until(machine, "Machine/State", S.ALARM)
    run(machine, 0.5)
    assert state(machine) is wanted
    return machine


REACHABLE = [S.RUNNING, S.IDLE, S.HELD, S.LOADING, S.MANUAL, S.EMERGENCY_STOP, S.ALARM, S.OFF, S.MAINTENANCE]


def test_every_method_is_in_the_table() -> None:
    assert set(ALLOWED) == {method.name for method in METHODS}


@pytest.mark.parametrize("wanted", REACHABLE)
def test_a_command_is_refused_exactly_where_the_table_says(wanted: MachineState) -> None:
    for method in METHODS:
        machine = in_state(wanted)
        arguments = ARGUMENTS.get(method.name, [])
        if wanted in ALLOWED[method.name]:
            machine.call(method.name, arguments)
        else:
            with pytest.raises(CommandRefused) as refused:
                machine.call(method.name, arguments)
            assert refused.value.reason == "state"
        run(machine, 0.3)


@pytest.mark.parametrize("wanted", [one for one in REACHABLE if one is not S.OFF])
def test_reset_brings_every_state_back_to_rest_without_alarms(wanted: MachineState) -> None:
    machine = in_state(wanted)
    machine.call("Reset", [])
    run(machine, 6.0)
    assert state(machine) is (S.MAINTENANCE if wanted is S.MAINTENANCE else S.IDLE)
    assert now(machine, "Machine/AlarmCount") == 0
    assert now(machine, "Spindle/ActSpeed") == 0
    assert now(machine, "Channel/ActFeedrate") == 0


@pytest.mark.parametrize(
    ("method", "arguments", "reason"),
    [
        ("SetFeedOverride", [151.0], "argument"),
        ("SetFeedOverride", [float("nan")], "argument"),
        ("SetFeedOverride", ["fast"], "argument"),
        ("SetFeedOverride", [], "argument"),
        ("SetFeedOverride", [True], "argument"),
        ("ChangeTool", [25], "argument"),
        ("ChangeTool", [0], "argument"),
        ("SetModifier", ["Turbo", True], "argument"),
        ("LoadProgram", ["nothing.nc"], "not_found"),
        ("LoadProgramText", ["../x", "M30"], "argument"),
        ("InjectFault", ["gremlins", 0.5, 1.0], "not_found"),
        ("ClearFault", ["gremlins"], "not_found"),
        ("Explode", [], "not_found"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_reason(method: str, arguments: list[Any], reason: str) -> None:
    machine = in_state(S.IDLE)
    with pytest.raises(CommandRefused) as refused:
        machine.call(method, arguments)
    assert refused.value.reason == reason


def test_hold_stands_and_start_goes_on_while_the_spindle_turns() -> None:
    machine = source()
    run_until(machine, "Tool/InCut", 1.0)
    machine.call("Hold", [])
    run(machine, 1.0)
    place = [now(machine, f"Axes/{axis}/CmdPos") for axis in "XYZ"]
    rows = run(machine, 3.0)
    assert [now(machine, f"Axes/{axis}/CmdPos") for axis in "XYZ"] == place
    assert rows[:, COLUMN["Spindle/ActSpeed"]].min() > 3900
    assert now(machine, "Channel/FeedHold") == 1
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)


def test_feed_override_slows_the_cut() -> None:
    machine = source()
    run_until(machine, "Tool/InCut", 1.0)
    run(machine, 1.0)
    assert now(machine, "Channel/ActFeedrate") == pytest.approx(1000.0)
    machine.call("SetFeedOverride", [50.0])
    run(machine, 1.0)
    assert now(machine, "Channel/ActFeedrate") == pytest.approx(500.0)


def test_spindle_override_changes_the_speed_under_way_and_of_the_next_start() -> None:
    machine = source()
    run_until(machine, "Tool/InCut", 1.0)
    machine.call("SetSpindleOverride", [80.0])
    run(machine, 2.0)
    assert now(machine, "Spindle/CmdSpeed") == pytest.approx(3200.0)
    run_until(machine, "Machine/State", S.LOADING)
    run_until(machine, "Tool/InCut", 1.0)
    assert now(machine, "Spindle/CmdSpeed") == pytest.approx(3200.0)


TAP = """%
O2
(STOCK C45 X0 Y0 Z-30 TO X60 Y40 Z0)
G21 G17 G90 G94
G53 G0 Z0
T14 M6
G54 G0 X20 Y20 S600 M3
G43 H14 Z10
RIGID
G98 G84 X20 Z-20 R5 P200 F600
G80
G53 G0 Z0
M30
%
"""


@pytest.mark.parametrize("rigid", ["M29 S600", ""])
def test_a_tap_comes_out_of_its_thread_whatever_the_operator_does(rigid: str) -> None:
    machine = source({"tap.nc": TAP.replace("RIGID", rigid)}, repeat=False)
    machine.call("Start", [])
    run_until(machine, "Tool/InCut", 1.0)
    pitch = {now(machine, "Spindle/CmdSpeed"): now(machine, "Channel/ActFeedrate")}
    assert pitch == {600.0: 600.0}
    for method, percent in (("SetFeedOverride", 50.0), ("SetSpindleOverride", 50.0)):
        machine.call(method, [percent])
    machine.call("Hold", [])
    rows = run(machine, 8.0)
    tip_mm, speed, turn = (rows[:, COLUMN[name]] for name in ("Axes/Z/CmdPos", "Spindle/CmdSpeed", "Spindle/ActTurnDirection"))
    tip_mm = tip_mm + 420.0 - 118.0
    assert tip_mm.min() == pytest.approx(-20.0, abs=0.01)
    assert tip_mm[-1] >= 5.0 - 1e-6, "it stands above the hole"
    assert np.all(tip_mm[-10:] == tip_mm[-1])
    down, up = int(np.argmax(tip_mm < -1.0)), len(tip_mm) - int(np.argmax(tip_mm[::-1] < -1.0)) - 1
    assert np.all(speed[down:up] == 600.0), "the pitch is that of the tap"
    assert (turn[down], turn[up]) == (1.0, 2.0), "it is turned out the other way"
    assert state(machine) is S.HELD
    machine.call("Start", [])
    rows = run(machine, 0.5)
    assert now(machine, "Spindle/CmdSpeed") == (0.0 if rigid else 300.0), "after M29 it turns in the holes only"
    run_until(machine, "Machine/PartsProduced", 1.0)
    assert now(machine, "Machine/AlarmCount") == 0.0


@pytest.mark.parametrize("rigid", ["M29 S600", ""])
@pytest.mark.parametrize("method", ["Reset", "Stop", "EmergencyStop"])
def test_whoever_ends_a_program_in_a_thread_stops_the_spindle_too(rigid: str, method: str) -> None:
    machine = source({"tap.nc": TAP.replace("RIGID", rigid)}, repeat=False)
    machine.call("Start", [])
    run_until(machine, "Tool/InCut", 1.0)
    machine.call(method, [])
    run(machine, 2.0)
    assert now(machine, "Spindle/CmdSpeed") == 0.0
    assert now(machine, "Spindle/ActSpeed") == 0.0


def test_part_change_takes_time_and_the_next_part_follows() -> None:
    machine = source()
    run_until(machine, "Machine/State", S.LOADING)
    before = machine.machine.time_s
    run_until(machine, "Machine/State", S.RUNNING)
    assert 7.9 <= machine.machine.time_s - before <= 8.3
    run_until(machine, "Tool/InCut", 1.0)
    assert now(machine, "Machine/PartsProduced") == 1
    assert now(machine, "Machine/OperationCycleCounter") == 2


def test_without_repeat_the_machine_waits_for_start() -> None:
    machine = source(repeat=False)
    run(machine, 1.0)
    assert state(machine) is S.IDLE
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)
    run(machine, 20.0)
    assert state(machine) is S.IDLE
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 2.0)


def test_bad_program_gives_a_fanuc_alarm_at_its_line_and_everything_else_goes_on() -> None:
    machine = source()
    machine.call("Stop", [])
    machine.call("LoadProgramText", ["bad.nc", "G21 G90 G94\nG1 X-50 F2000\nG2 X-60 Y-60\nM30\n"])
    machine.call("Start", [])
    run_until(machine, "Machine/State", S.ALARM)
    objects = machine.columns().objects
    assert objects["Machine/AlarmCode"] == "PS0022"
    assert "line 3" in str(objects["Machine/AlarmText"])
    assert now(machine, "Axes/X/CmdPos") == pytest.approx(-490.0)  # the block before is finished
    alarms = [event for event in machine.take_events() if event.kind == "alarm"]
    assert [event.code for event in alarms] == ["PS0022"]
    assert alarms[0].severity > 333
    energy = now(machine, "Power/Energy")
    run(machine, 2.0)
    assert now(machine, "Power/Energy") > energy
    machine.call("Reset", [])
    machine.call("LoadProgram", ["short.nc"])
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)
    assert [event.code for event in machine.take_events() if event.kind == "alarm_cleared"] == ["PS0022"]


def test_tool_that_is_not_in_the_magazine_is_an_alarm() -> None:
    machine = source()
    machine.call("Stop", [])
    machine.call("LoadProgramText", ["t99.nc", "T99 M6\nM30\n"])
    machine.call("Start", [])
    run_until(machine, "Machine/State", S.ALARM)


def test_a_cut_that_is_too_heavy_stalls_the_spindle_and_is_an_alarm() -> None:
    heavy = SHORT.replace("C45", "42CrMo4").replace("G1 Z-2 F1500\nG1 X72 F1000", "G1 Z-18 F1500\nG1 X72 F6000")
    heavy = heavy.replace("T4 M6", "T1 M6").replace("G43 H4", "G43 H1")  # an end mill would break before the spindle stalls
    machine = source({"heavy.nc": heavy})
    run_until(machine, "Machine/State", S.ALARM)
    assert machine.columns().objects["Machine/AlarmCode"] == "EX1005"
    run(machine, 5.0)
    assert now(machine, "Spindle/ActSpeed") == 0
    assert now(machine, "Channel/ActFeedrate") == 0


def test_a_cut_that_is_too_heavy_for_its_tool_breaks_it_and_the_program_goes_on_through_air() -> None:
    heavy = SHORT.replace("C45", "42CrMo4").replace("G1 Z-2 F1500\nG1 X72 F1000", "G1 Z-18 F1500\nG1 X72 F6000")
    machine = source({"heavy.nc": heavy}, repeat=False)
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)
    assert now(machine, "Machine/AlarmCount") == 0
    assert now(machine, "Tool/WearPercent") in (0.0, 200.0)  # the setter found it, and it may be renewed already
    assert machine.machine.magazine[4].edges + machine.machine.magazine[4].broken == 1


def test_dry_run_moves_at_its_own_feed_and_cuts_nothing() -> None:
    machine = source(repeat=False)
    machine.call("SetModifier", ["DryRun", True])
    machine.call("Start", [])
    rows = run(machine, 20.0)
    assert rows[:, COLUMN["Tool/InCut"]].max() == 0
    assert now(machine, "Machine/PartsProduced") == 1


def test_emergency_stop_stops_all_drives() -> None:
    machine = source()
    run_until(machine, "Tool/InCut", 1.0)
    machine.call("EmergencyStop", [])
    run(machine, 4.0)
    assert now(machine, "Spindle/ActSpeed") == 0
    assert now(machine, "Channel/ActFeedrate") == 0
    assert now(machine, "Coolant/IsOn") == 0
    assert now(machine, "Machine/AlarmCount") == 1


def test_tool_change_takes_its_time_and_shows_the_tool() -> None:
    machine = in_state(S.IDLE)
    machine.call("ChangeTool", [12])
    run_until(machine, "Magazine/IsMoving", 1.0)
    run(machine, 4.3)
    assert now(machine, "Tool/Number") == 4
    assert state(machine) is S.MANUAL
    run(machine, 0.4)
    assert now(machine, "Tool/Number") == 12
    assert machine.columns().objects["Tool/Type"] == "drill"
    assert state(machine) is S.IDLE


@pytest.mark.parametrize("by_hand", [False, True])
def test_tools_are_changed_where_the_arm_reaches_the_spindle(by_hand: bool) -> None:
    """Z rises first, in a program and by hand, and the program goes on from there."""
    program = SHORT.replace("G0 Z50\n", "T5 M6\nG0 X30\n")
    machine = source({"o.nc": program}, repeat=False)
    machine.call("Start", [])
    run_until(machine, "Tool/InCut", 1.0)
    if by_hand:
        machine.call("Stop", [])
        machine.call("ChangeTool", [5])
    rows = run(machine, 30.0 if not by_hand else 8.0)
    moving = rows[:, COLUMN["Magazine/IsMoving"]] == 1.0
    height = rows[:, COLUMN["Axes/Z/CmdPos"]]
    assert height[0] < -250.0
    assert moving.any()
    assert np.all(height[moving] == 0.0)
    assert now(machine, "Tool/Number") == 5.0
    behind = int(np.flatnonzero(moving)[-1])
    assert np.all(height[behind:] == 0.0)
    if not by_hand:
        assert now(machine, "Machine/PartsProduced") == 1.0
        assert now(machine, "Axes/X/CmdPos") == -410.0
    else:
        assert state(machine) is S.IDLE


@pytest.mark.parametrize("method", ["Reset", "EmergencyStop"])
def test_a_change_by_hand_that_is_stopped_while_z_rises_brings_no_tool(method: str) -> None:
    machine = source(repeat=False)
    machine.call("Start", [])
    run_until(machine, "Tool/InCut", 1.0)
    machine.call("Stop", [])
    run(machine, 1.0)
    machine.call("ChangeTool", [5])
    run(machine, 0.3)
    with pytest.raises(CommandRefused, match="under way"):
        machine.call("ChangeTool", [6])
    machine.call(method, [])
    run(machine, 8.0)
    assert now(machine, "Tool/Number") == 4.0
    assert now(machine, "Magazine/IsMoving") == 0.0
    assert -290.0 < now(machine, "Axes/Z/CmdPos") < 0.0


def test_worn_edge_is_reported_and_renewed_between_parts() -> None:
    machine = source()
    tool = machine.machine.magazine[4]
    tool.used = 1.4
    run_until(machine, "Machine/State", S.LOADING)
    assert tool.edges == 1
    assert tool.used == 0.0
    assert any("New edge" in event.text for event in machine.take_events())


def test_manual_replacement_starts_wear_from_zero() -> None:
    machine = in_state(S.IDLE)
    machine.machine.magazine[4].used = 0.5
    machine.call("ReplaceTool", [4])
    assert machine.machine.magazine[4].flank_wear_mm == 0.0


COMMANDS = st.one_of(
    [st.tuples(st.just(method.name), st.just(ARGUMENTS.get(method.name, []))) for method in METHODS]
    + [st.tuples(st.just("InjectFault"), st.tuples(st.sampled_from(sorted(FAULTS)), st.floats(0, 1), st.floats(0, 5)))]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(COMMANDS, st.integers(1, 60)), min_size=1, max_size=25))
def test_no_order_of_commands_breaks_the_machine(script: list[tuple[tuple[str, Any], int]]) -> None:
    machine = source()
    for (method, arguments), blocks in script:
        with contextlib.suppress(CommandRefused):
            machine.call(method, list(arguments))
        run(machine, blocks / 10.0)
        assert state(machine) in REACHABLE
    for method in ("SwitchOn", "Reset", "EndMaintenance"):
        with contextlib.suppress(CommandRefused):
            machine.call(method, [])
    machine.call("ClearFault", ["All"])  # one without air never makes a part
    run(machine, 6.0)
    assert state(machine) is S.IDLE
    machine.call("LoadProgram", ["short.nc"])
    for name, on in (("SingleBlock", False), ("OptionalStop", False)):
        machine.call("SetModifier", [name, on])
    parts = now(machine, "Machine/PartsProduced")
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", parts + 1)
