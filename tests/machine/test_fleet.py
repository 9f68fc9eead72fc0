"""A fleet in step is so many machines, each as if it were alone."""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from nodesets.states import MachineState
from opcua_server.machine import fleet
from opcua_server.machine.begun import Passed
from opcua_server.machine.fleet import Group, groups
from opcua_server.machine.machine import Machine
from opcua_server.machine.process.process import CutBlock
from opcua_server.machine.signals import View, numbers, objects
from opcua_server.machine.steady import Acted, act_all
from opcua_server.sources.simulated import SHIPPED, read_programs

from .running import SHORT

PROGRAMS = read_programs(SHIPPED)


def machines() -> list[Machine]:
    """Five, the second with a worn nut and the third with a scale that loses counts; the others with what sensors see."""
    made = [Machine(number, 5, PROGRAMS) for number in range(1, 6)]
    for machine in made:
        machine.controller.start_program()
    for number, fault, severity, onset_s in (
        (2, "axis_backlash", 0.8, 20.0), (3, "encoder", 0.3, 5.0), (4, "spindle_bearing", 1.0, 15.0), (4, "chatter", 0.9, 0.0),
        (4, "sensor_stuck", 0.9, 0.0), (4, "thermal_drift", 0.9, 5.0), (5, "imbalance", 0.7, 10.0), (5, "sensor_spike", 0.8, 0.0),
        (5, "accelerated_tool_wear", 0.9, 10.0), (5, "coolant", 0.9, 5.0), (5, "air_pressure", 0.9, 10.0),
    ):  # fmt: skip
        made[number - 1].faults.inject(fault, severity, onset_s, 0.0)
    return made


@pytest.mark.parametrize(("pieces", "blocks"), [([1], 100), ([3, 17, 1, 40, 10], 300)])
def test_machines_in_step_show_what_each_shows_alone(pieces: list[int], blocks: int) -> None:
    """Whether they are asked block by block or for seconds at a time, and wherever their own seconds begin."""
    together, alone = machines(), machines()
    for made in (together, alone):
        made[0].run(7)
    group, left = Group(together), blocks
    for piece in itertools.cycle(pieces):
        some = min(piece, left)
        rows = group.run(some)
        for k in range(some):
            for one, row in zip(alone, rows[k], strict=True):
                one.step()
                assert row.tobytes() == numbers(View(one)).tobytes()
        for one, other in zip(together, alone, strict=True):
            assert numbers(View(one)).tobytes() == numbers(View(other)).tobytes()
            assert objects(View(one)) == objects(View(other))
        left -= some
        if not left:
            break
    for one, other in zip(together, alone, strict=True):
        one.step()
        other.run(1)
        assert one.save() == other.save()


def test_what_machines_in_step_show_does_not_hang_on_how_a_python_sums_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since 3.12 ``sum`` of floats makes up for what is rounded off."""
    plain = sum

    def careful(numbers: Iterable[Any], start: Any = 0) -> Any:
        given = list(numbers)
        return math.fsum(given) if any(isinstance(one, float) for one in given) else plain(given, start)

    before, after = machines(), machines()
    for one in before:
        one.run(100)
    monkeypatch.setattr(builtins, "sum", careful)
    for one, other in zip(before, after, strict=True):
        other.run(100)
        assert numbers(View(one)).tobytes() == numbers(View(other)).tobytes()


def test_what_machines_in_step_show_at_the_end_of_some_blocks_is_what_each_shows_alone() -> None:
    together, alone = machines(), machines()
    group = Group(together, started=[40] * len(together), speed=2.0)
    for piece in (1, 1, 26, 10, 3, 60, 1, 90):
        for one, row in zip(alone, group.advance(piece), strict=True):
            one.run(piece)
            assert isinstance(row, np.ndarray)
            assert row.tobytes() == numbers(View(one, started_block=40, speed=2.0)).tobytes()
    for one, other in zip(together, alone, strict=True):
        assert objects(View(one)) == objects(View(other))
        assert one.save() == other.save()


def test_whatever_happens_within_a_second_in_step_shows_as_it_does_alone() -> None:
    """Parts, tools and the spindle's speed change, programs end and begin, a tool breaks, the air fails, a block makes no sense,
    and somebody presses emergency stop while the axes move."""
    made: list[list[Machine]] = [[], []]
    for those in made:
        for number in range(1, 5):
            machine = Machine(number, 2, {"short.nc": SHORT if number < 4 else SHORT.replace("G0 Z50", "G999")})
            machine.controller.start_program()
            machine.run(17 * number)
            those.append(machine)
        those[1].faults.inject("tool_breakage", 1.0, 0.0, 0.0)
        those[2].faults.inject("air_pressure", 1.0, 0.0, 0.0)
    together, alone = made
    group, states = Group(together), set()
    for second in range(35):
        if second == 30:
            for one in (together[0], alone[0]):
                one.controller.call("EmergencyStop", [])
        for rows in group.run(10):
            for one, row in zip(alone, rows, strict=True):
                one.step()
                states.add(one.controller.state)
                assert row.tobytes() == numbers(View(one)).tobytes()
    assert states == {MachineState.RUNNING, MachineState.LOADING, MachineState.ALARM, MachineState.EMERGENCY_STOP}
    assert alone[0].controller.parts > 0
    assert [one.save() for one in together] == [one.save() for one in alone]


def test_what_happens_to_many_that_cut_along_is_worked_out_for_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges wear, coolant is filled up, stocks and edges differ; one tool is about to break, one spindle is nearly overloaded."""
    done: list[int] = []

    def counted(those: Sequence[Machine], passed: Sequence[Sequence[Passed]], noted: int) -> list[Acted]:
        done.append(len(those) * len(passed[0]))
        return act_all(those, passed, noted)

    monkeypatch.setattr(fleet, "act_all", counted)
    monkeypatch.setattr(fleet, "FEW", 2)
    made: list[list[Machine]] = [[], []]
    for those in made:
        for number in range(1, 8):
            machine = Machine(number, 3, PROGRAMS if number % 3 else {"short.nc": SHORT})
            machine.controller.start_program()
            machine.run(90 + 20 * number)
            for tool in machine.magazine.values():
                tool.used = 0.1 * number**1.3
            machine.coolant.level_percent = 62.3 if number < 5 else 9.4
            machine.coolant.filter_load, machine.upkeep.lube_percent = 0.9999, 94.01 if number == 3 else 50.0
            machine.upkeep.filter_percent = 94.01 if number == 5 else 94.99999 if number == 6 else 50.0
            machine.controller.hydraulics.take(machine.time_s)
            those.append(machine)
    together, alone = made
    group = Group(together)
    for piece in (10, 3, 1, 10, 16, 40, 10, 50):
        rows = group.run(piece) if piece < 40 else np.array([group.advance(piece)])
        for k in range(piece):
            for at, one in enumerate(alone):
                one.step()
                if len(rows) == piece or k == piece - 1:
                    assert rows[k if len(rows) == piece else 0, at].tobytes() == numbers(View(one)).tobytes()
        assert [objects(View(one)) for one in together] == [objects(View(one)) for one in alone]
        assert [one.save() for one in together] == [one.save() for one in alone]
    assert sum(done) > 0.5 * 7 * 140, done


@pytest.mark.parametrize("where", ["control", "cut", "meter"])
def test_a_machine_that_fails_in_step_fails_alone(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, among and after what is worked out for all at once."""
    together, alone = machines(), machines()
    group = Group(together)
    group.advance(7)
    bad = together[0]
    if where == "control":
        monkeypatch.setattr(bad.controller, "step", _broken)
    elif where == "cut":
        monkeypatch.setattr(bad, "_cut", lambda *_: CutBlock(ticks=_Crooked()))  # type: ignore[arg-type]
    else:
        monkeypatch.setattr(bad, "meter", None)
    shown = group.advance(15)
    assert isinstance(shown[0], Exception)
    rest = Group(together[1:])
    for row, after, one in zip(shown[1:], rest.advance(4), alone[1:], strict=True):
        one.run(22)
        assert isinstance(row, np.ndarray)
        assert row.tobytes() == numbers(View(one)).tobytes()
        one.run(4)
        assert isinstance(after, np.ndarray)
        assert after.tobytes() == numbers(View(one)).tobytes()
    with pytest.raises((RuntimeError, ValueError, AttributeError)):
        group.run(1)


def _broken(*_: object) -> None:
    raise RuntimeError("broken on purpose")


class _Crooked:
    """Ticks of a cut whose forces are none."""

    is_plain, tooth_n = False, 0.0
    force_n = np.zeros((3, 7))


def test_a_fleet_is_cut_into_groups_of_a_good_size() -> None:
    made = [Machine(number, 1, {}) for number in range(70)]
    assert [len(group.machines) for group in groups(made)] == [70]
    assert [len(group.machines) for group in groups(made, 10)] == [64, 6]
    assert [len(group.machines) for group in groups(made[:2], 1000)] == [1, 1]
