"""A run can be kept and served again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from cnctwin.reading import BAD_NOT_CONNECTED, Columns
from nodesets.catalogue import MACHINE
from opcua_server.sources import recording as recordings
from opcua_server.sources.recording import ReplaySource, load, record
from opcua_server.sources.simulated import SimulatedSource
from opcua_server.sources.source import CommandRefused

from .running import DEMOS, SHORT, source


def _shown(columns: Columns) -> tuple[bytes, bytes, dict[str, object]]:
    return columns.numbers.tobytes(), columns.statuses.tobytes(), dict(columns.objects)


def test_a_replay_shows_row_by_row_what_the_machine_showed_and_begins_anew_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    record(source(), 20.0).save(path)
    replay, machine = ReplaySource("CNC-009", load(path)), source()
    for step in range(1, 201):
        now_ns = step * 100_000_000
        machine.advance(0.1, now_ns)
        replay.advance(0.1, now_ns)
        assert _shown(replay.columns()) == _shown(machine.columns())
        assert replay.columns().source_time_ns == now_ns
        assert [event.text for event in replay.take_events()] == [event.text for event in machine.take_events()]
    assert replay.identity.machine_id == "CNC-009"
    assert [tool.wear_percent for tool in replay.tools()] == [tool.wear_percent for tool in machine.tools()]
    first = ReplaySource("CNC-009", load(path))
    first.advance(0.1, 1)
    replay.advance(0.1, 1)
    assert replay.columns().numbers.tobytes() == first.columns().numbers.tobytes()
    with pytest.raises(CommandRefused, match="recording"):
        replay.call("Start", [])


@pytest.mark.parametrize(("programs", "fault"), [(DEMOS, ""), ({"short.nc": SHORT}, ""), ({"short.nc": SHORT}, "axis_backlash")])
def test_a_run_that_is_kept_a_second_at_a_time_is_that_of_block_by_block(
    programs: Mapping[str, str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over tools and parts that change, commands and alarms, from within a second on; a fault makes it go block by block."""
    kept, machines = [], []
    for ahead in (True, False):
        if not ahead:
            monkeypatch.setattr(SimulatedSource, "runs_ahead", False)
        machine = source(programs, seed=4)
        parts = []
        machine.call("SetModifier", ["OptionalStop", True])
        for seconds, command in (
            (3.7, ["Hold"]), (1.0, ["Start"]), (41.3, ["InjectFault", fault, 0.8, 0.0]), (20.0, ["EmergencyStop"]), (2.5, []),
        ):  # fmt: skip
            parts.append(record(machine, seconds))
            if command and (fault or command[0] != "InjectFault"):
                machine.call(command[0], command[1:])
        kept.append(parts)
        machines.append(machine)
    for one, other in zip(*kept, strict=True):
        assert one.numbers.tobytes() == other.numbers.tobytes()
        assert one.statuses.tobytes() == other.statuses.tobytes()
        assert (one.changes, one.events, one.tools) == (other.changes, other.events, other.tools)
    assert sum(len(one.events) for one in kept[0]) > 4
    assert machines[0].checkpoint() == machines[1].checkpoint()


def test_a_replay_may_be_asked_in_other_steps_than_it_was_made_in(tmp_path: Path) -> None:
    kept = record(source(), 10.0)
    fine, coarse = ReplaySource("A", kept), ReplaySource("B", kept)
    for _ in range(160):
        fine.advance(0.03, 5)
    for _ in range(6):
        coarse.advance(0.8, 5)
    assert _shown(fine.columns()) == _shown(coarse.columns())


def test_a_file_of_another_catalogue_is_served_as_far_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.npz"
    full = record(source(), 2.0)
    gone = "Air/Pressure"
    with monkeypatch.context() as patch:
        kept = [k for k, signal in enumerate(MACHINE) if signal.name != gone]
        numeric = [k for k, signal in enumerate(recordings.NUMERIC) if signal.name != gone]
        patch.setattr(recordings, "MACHINE", tuple(MACHINE[k] for k in kept))
        patch.setattr(recordings, "NUMERIC", tuple(recordings.NUMERIC[k] for k in numeric))
        dataclasses.replace(full, numbers=full.numbers[:, numeric], statuses=full.statuses[:, kept]).save(path)
    replay = ReplaySource("CNC-001", load(path))
    replay.advance(0.1, 1)
    names = [signal.name for signal in MACHINE]
    bad = [names[k] for k in np.flatnonzero(replay.columns().statuses)]
    assert bad == [gone]
    assert replay.columns().statuses[names.index(gone)] == BAD_NOT_CONNECTED


def test_what_is_no_recording_is_said_in_one_line(tmp_path: Path) -> None:
    for name, content in (("text.npz", b"G0 X0"), ("empty.npz", b""), ("archive.npz", b"PK\x05\x06" + bytes(18))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is no recording"):
            load(tmp_path / name)
