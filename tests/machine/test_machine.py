"""The machine as a whole: what it shows, that it repeats, and what survives a restart."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnctwin.reading import Value
from nodesets.catalogue import AXES, BY_NAME, NUMERIC, OBJECTS, TRAVEL_MM
from opcua_server.machine.machine import Machine
from opcua_server.machine.readings import SIGNALS
from opcua_server.machine.signals import ENDED, MAINS, MOVING, View, numbers, objects, state_rows
from opcua_server.machine.standing import (
    ALONG,
    COUNTERS,
    CUT,
    MACHINE,
    PASSED,
    PASSING,
    SETTINGS,
    STANDING,
    STOOD,
    of_passing,
    of_standing,
)
from opcua_server.sources.simulated import SimulatedSource, machine_number

from .running import COLUMN, DEMOS, now, run, source

TYPES: dict[str, type] = {"String": str, "LocalizedText": str}


def test_every_machine_signal_has_a_row_and_every_row_a_signal() -> None:
    view = View(Machine(1, 1, DEMOS))
    moving = [f"Axes/{axis}/{name}" for axis in AXES for name in MOVING]
    tables = (SETTINGS, COUNTERS, CUT, MACHINE, ENDED, MAINS)
    known = [one.signal for table in tables for one in table]
    assert (len(of_standing(view)), len(of_passing(view))) == (STOOD, PASSED)
    rows = [*known, *STANDING, *ALONG, *PASSING, *state_rows(view.state, False), *SIGNALS, *moving]
    assert sorted(rows) == sorted(signal.name for signal in NUMERIC)
    assert set(objects(view)) == {signal.name for signal in OBJECTS}


@pytest.mark.parametrize("name", sorted(DEMOS))
def test_demo_program_shows_every_signal_finite_and_in_its_range_and_makes_a_part(name: str) -> None:
    machine = source(DEMOS, program=name)
    parts = 0
    lows = np.array([-np.inf if signal.low is None else signal.low for signal in NUMERIC])
    highs = np.array([np.inf if signal.high is None else signal.high for signal in NUMERIC])
    for step in range(4000):
        machine.advance(0.1, step * 100_000_000)
        columns = machine.columns()
        assert np.isfinite(columns.numbers).all()
        outside = np.flatnonzero((columns.numbers < lows) | (columns.numbers > highs))
        assert not outside.size, [(NUMERIC[i].name, columns.numbers[i]) for i in outside]
        assert set(columns.objects) == {signal.name for signal in OBJECTS}
        assert not columns.statuses.any()
        if step % 50 == 0:
            _check_objects(dict(columns.objects))
        parts = int(columns.numbers[COLUMN["Machine/PartsProduced"]])
        if parts:
            break
    assert parts == 1
    assert now(machine, "Machine/AlarmCount") == 0
    assert 90.0 <= now(machine, "Machine/LastCycleTime") <= 300.0


def _check_objects(objects: dict[str, Value]) -> None:
    for name, value in objects.items():
        kind = BY_NAME[name].type
        if kind.endswith("[]"):
            assert isinstance(value, list), name
            element = {"String[]": str, "UInt32[]": int, "Double[]": float}[kind]
            assert all(isinstance(one, element) for one in value), name
        else:
            assert isinstance(value, TYPES[kind]), name


@pytest.mark.parametrize("name", sorted(DEMOS))
def test_demo_program_cuts_with_plausible_load_and_stays_in_the_travel(name: str) -> None:
    machine = source(DEMOS, program=name)
    rows = run(machine, 95.0)
    cut = rows[:, COLUMN["Tool/InCut"]] > 0
    assert cut.mean() > 0.2
    load = rows[cut, COLUMN["Spindle/ActLoad"]]
    assert 5.0 < np.median(load) < 60.0
    assert rows[~cut, COLUMN["Spindle/ActLoad"]].min() >= 0.0
    for axis, (low, high) in TRAVEL_MM.items():
        position = rows[:, COLUMN[f"Axes/{axis}/CmdPos"]]
        assert position.min() >= low
        assert position.max() <= high
        assert np.abs(rows[:, COLUMN[f"Axes/{axis}/FollowingError"]]).max() < 5.0


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 700), min_size=1, max_size=60))
def test_same_seed_gives_identical_bytes_however_time_is_cut(seed: int, steps_ms: list[int]) -> None:
    whole, pieces = source(seed=seed), source(seed=seed)
    total = sum(steps_ms)
    for step in steps_ms:
        pieces.advance(step / 1000.0, 5)
        pieces.columns()
    whole.advance(total / 1000.0, 5)
    one, other = whole.columns(), pieces.columns()
    assert one.numbers.tobytes() == other.numbers.tobytes()
    assert one.objects == other.objects


def test_position_moves_between_blocks() -> None:
    machine = source()
    machine.advance(6.03, 1)
    seen = set()
    for _ in range(8):
        machine.advance(0.01, 1)
        seen.add(tuple(machine.columns().numbers[COLUMN[f"Axes/{axis}/CmdPos"]] for axis in "XYZ"))
    assert len(seen) == 8


def test_machines_of_one_fleet_differ_in_noise_tools_and_order() -> None:
    machines = [SimulatedSource(f"CNC-{k:03d}", 1, DEMOS) for k in range(1, 7)]
    for machine in machines:
        machine.advance(1.0, 1)
    assert len({machine.columns().numbers[COLUMN["Environment/Temperature"]] for machine in machines}) == 6
    assert len({machine.machine.magazine[4].life_scatter for machine in machines}) == 6
    assert len({machine.machine.controller.library.selected for machine in machines}) > 1


def test_machine_number_comes_from_the_id() -> None:
    assert machine_number("CNC-001") == 1
    assert machine_number("CNC-050") == 50
    assert machine_number("Mill") != machine_number("Lathe")


def test_energy_equals_the_integral_of_total_power() -> None:
    machine = source()
    rows = run(machine, 40.0)
    integral = rows[:, COLUMN["Power/Total"]].sum() * 0.1 / 3600.0
    assert rows[-1, COLUMN["Power/Energy"]] == pytest.approx(integral, rel=1e-6)


def test_spindle_draws_more_in_cut_than_in_air() -> None:
    rows = run(source(), 14.0)
    cut = rows[:, COLUMN["Tool/InCut"]] > 0
    steady = rows[:, COLUMN["Spindle/ActStatus"]] == 1
    power = rows[:, COLUMN["Spindle/ActPower"]]
    assert np.median(power[cut & steady]) > 3 * np.median(power[~cut & steady])


def test_checkpoint_is_json_and_brings_back_counters_wear_faults_and_overrides() -> None:
    machine = source()
    machine.call("SetFeedOverride", [80.0])
    machine.call("SetSpindleOverride", [110.0])
    machine.call("SetModifier", ["OptionalStop", True])
    machine.call("InjectFault", ["spindle_bearing", 0.5, 1000.0])
    run(machine, 60.0)
    machine.call("Stop", [])
    machine.call("LoadProgramText", ["mine.nc", "G0 X-100\nM30\n"])
    saved = json.loads(json.dumps(machine.checkpoint()))
    again = SimulatedSource("CNC-001", 1, {"short.nc": "M30\n"}, None, False, saved)
    again.advance(0.1, 1)
    machine.advance(0.1, 1)
    for name in (
        "Machine/PartsProduced",
        "Machine/OperationCycleCounter",
        "Machine/OperationDuration",
        "Channel/FeedOverride",
        "Spindle/Override",
        "Channel/OptionalStop",
        "Machine/LastCycleTime",
        "Upkeep/SpindleBearing",
        "Upkeep/WayLube",
    ):
        assert now(again, name) == now(machine, name), name
    assert now(again, "Power/Energy") == pytest.approx(now(machine, "Power/Energy"), rel=0.01)
    assert [tool.wear_percent for tool in again.tools()] == [tool.wear_percent for tool in machine.tools()]
    assert [(tool.uses, tool.cut_m) for tool in again.tools()] == [(tool.uses, tool.cut_m) for tool in machine.tools()]
    assert any(tool.uses and tool.cut_m for tool in machine.tools())
    assert now(machine, "Upkeep/SpindleBearing") > 0.0
    assert again.columns().objects["Simulation/FaultSeverities"] == machine.columns().objects["Simulation/FaultSeverities"]
    assert again.columns().objects["Channel/ActMainProgramName"] == "mine.nc"
    assert again.program_names() == ["mine.nc", "short.nc"]


def test_a_state_from_before_later_fields_is_taken_up_with_their_defaults() -> None:
    machine = source()
    run(machine, 30.0)
    saved = json.loads(json.dumps(machine.checkpoint()))
    for added in ("tool_changes", "part_roughness_um", "chips_kg"):
        del saved[added]
    for tool in saved["tools"].values():
        del tool["broken"], tool["uses"], tool["cut_mm"], tool["last_used_s"]
    del saved["upkeep"], saved["repeat"]
    again = SimulatedSource("CNC-001", 1, {"short.nc": "M30\n"}, None, False, saved)
    again.advance(0.1, 1)
    assert now(again, "Part/Roughness") == 0.0
    assert [tool.wear_percent for tool in again.tools()] == [tool.wear_percent for tool in machine.tools()]
    assert all(math.isfinite(value) for value in again.columns().numbers)


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        SimulatedSource("CNC-001", 1, {}, None, True, {"version": 99})


def test_machine_without_programs_is_idle_and_shows_everything() -> None:
    machine = source({})
    machine.advance(1.0, 1)
    assert now(machine, "Machine/State") == 1
    assert all(math.isfinite(value) for value in machine.columns().numbers)


def test_tools_are_the_magazine_with_one_in_the_spindle() -> None:
    machine = source()
    machine.advance(6.0, 1)
    tools = machine.tools()
    assert len(tools) == 24
    assert [tool.number for tool in tools if tool.in_spindle] == [4]
    assert all(tool.life > 0 and tool.length > 0 for tool in tools)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 97), min_size=8, max_size=12))
def test_a_machine_that_nobody_looks_at_goes_on_as_one_that_is_looked_at_after_each_block(seed: int, pieces: list[int]) -> None:
    """Through tool changes, cuts and part changes, with faults of axes, sensors and edges: all it shows and all it keeps."""
    watched, alone = Machine(1, seed, DEMOS), Machine(1, seed, DEMOS)
    for machine in (watched, alone):
        machine.controller.start_program()
        for name, onset_s in (("sensor_spike", 20.0), ("axis_backlash", 40.0), ("tool_breakage", 30.0)):
            machine.faults.inject(name, 0.5, onset_s, 0.0)
    for blocks in pieces:
        for _ in range(blocks):
            watched.step()
            numbers(View(watched))
        alone.run(blocks)
        assert numbers(View(alone)).tobytes() == numbers(View(watched)).tobytes()
        assert objects(View(alone)) == objects(View(watched))
        assert alone.save() == watched.save()


def test_the_blank_lies_where_the_tool_cuts_it() -> None:
    machine = source()
    assert machine.columns().objects["Part/Material"] == "C45"
    objects = machine.columns().objects
    low, high = (np.array(objects[f"Part/Blank{which}"]) for which in ("Low", "High"))
    assert list(high - low) == [60.0, 40.0, 20.0]
    axes = [COLUMN[f"Axes/{axis}/CmdPos"] for axis in "XYZ"]
    shown = run(machine, 30.0)
    in_cut = shown[shown[:, COLUMN["Tool/InCut"]] > 0.0]
    assert len(in_cut) > 20
    tips = in_cut[:, axes] - in_cut[:, [COLUMN["Tool/LengthOffset"]]] * [0.0, 0.0, 1.0]
    radius = in_cut[:, [COLUMN["Tool/Diameter"]]] / 2.0 + 10.0  # and what is left of a tick's way behind the edge
    assert ((tips[:, :2] > low[:2] - radius) & (tips[:, :2] < high[:2] + radius)).all()
    assert np.allclose(tips[:, 2], high[2] - 2.0)


def test_a_program_that_cuts_nothing_has_no_blank() -> None:
    machine = source({"air.nc": "%\nO2\nG21 G90 G54 G0 X0 Y0\nG4 P5\nM30\n%\n"})
    machine.advance(2.0, 1)
    objects = machine.columns().objects
    assert (objects["Part/Material"], objects["Part/BlankLow"], objects["Part/BlankHigh"]) == ("", [], [])
