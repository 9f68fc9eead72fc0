"""Moves become samples: within the limits, to the programmed points, the same however time is cut."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opcua_server.machine.motion.estimate import estimate
from opcua_server.machine.motion.motion import Motion
from opcua_server.machine.moves import Move, NcAlarm
from opcua_server.machine.parameters import REFERENCE, VF2, MachineParameters
from tests.machine.motion.paths import MACHINES, arc, assert_within_limits, feed, programs, rapid, run, start, still

machines = st.sampled_from(MACHINES)
NOWHERE_MM = 1e-9
"""A full circle ends as far from where it began as rounding has it, and from there to the very point is no way."""
calm = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@calm
@given(programs(), machines)
def test_no_axis_exceeds_velocity_acceleration_or_jerk(moves: list[Move], machine: MachineParameters) -> None:
    assert_within_limits(run(moves, machine), machine)


@calm
@given(programs(), machines)
def test_motion_ends_exactly_at_the_last_programmed_point(moves: list[Move], machine: MachineParameters) -> None:
    result = run(moves, machine)
    assert np.abs(result.position_mm[-1] - moves[-1].end).max() < 1e-9
    assert not result.velocity_mm_s[-1].any()


@calm
@given(programs(), machines)
def test_every_move_that_goes_somewhere_begins_and_finishes_once_in_order(moves: list[Move], machine: MachineParameters) -> None:
    result = run(moves, machine)
    passed = machine.path.stops_at_m_codes
    expected, here = [], (0.0, 0.0, 0.0)
    for move in moves:
        if (
            move.kind == "dwell"
            or (move.kind == "coolant" and passed)
            or (move.kind != "coolant" and (move.turns or math.dist(move.end, here) > NOWHERE_MM))
        ):
            expected.append(move)
        here = move.end
    assert [event.move for _, event in result.events if event.kind == "begin"] == expected
    assert [event.move for _, event in result.events if event.kind == "finished"] == expected


@calm
@given(programs(), machines, st.lists(st.integers(1, 333), min_size=1, max_size=8))
def test_the_same_moves_give_the_same_bytes_however_time_is_cut(
    moves: list[Move], machine: MachineParameters, cuts: list[int]
) -> None:
    whole = run(moves, machine, step=1000)
    recorder, turn = start(moves, machine), 0
    while recorder.samples < len(whole.position_mm) - 1:
        recorder.advance(min(cuts[turn % len(cuts)], len(whole.position_mm) - 1 - recorder.samples))
        turn += 1
    pieces = recorder.run
    assert pieces.position_mm.tobytes() == whole.position_mm.tobytes()
    assert pieces.velocity_mm_s.tobytes() == whole.velocity_mm_s.tobytes()
    assert [(at, event.kind, event.move) for at, event in pieces.events] == [
        (at, event.kind, event.move) for at, event in whole.events
    ]


@calm
@given(programs(), machines)
def test_the_estimate_is_the_time_motion_takes(moves: list[Move], machine: MachineParameters) -> None:
    result = estimate(moves, machine)
    assert run(moves, machine).at("done") * 1e-3 == pytest.approx(result.motion_s + result.dwell_s, abs=2.5e-3)


def test_a_queue_that_has_run_empty_stands_and_the_estimate_knows() -> None:
    """A straight chain of short blocks: nothing but the queue of the reference's planner makes it stand."""
    moves: list[Move] = [feed(line, 0.1 * line, 0) for line in range(1, 251)]
    result = run(moves)
    finished = {event.move.line: at for at, event in result.events if event.kind == "finished" and event.move is not None}
    assert [line for line, at in finished.items() if np.abs(result.velocity_mm_s[at]).max() < 1e-9] == [101, 202, 250]
    assert result.at("done") * 1e-3 == pytest.approx(estimate(moves, REFERENCE).motion_s, abs=2.5e-3)


@pytest.mark.parametrize("turns", [0.3, 2.5])
def test_a_helix_between_lines_keeps_the_limits(turns: float) -> None:
    first: list[Move] = [feed(1, 10, 0, 4, f=30000.0), arc(2, (10.0, 0.0, 4.0), (10.0, 9.0, 4.0), turns, 20.0, f=30000.0)]
    moves = [*first, feed(3, 30, 10, 24, f=30000.0)]
    result = run(moves)
    assert_within_limits(result, REFERENCE)
    assert result.at("done") * 1e-3 == pytest.approx(estimate(moves, REFERENCE).motion_s, abs=2.5e-3)


def test_a_corner_between_feeds_is_cut_by_no_more_than_the_tolerance() -> None:
    result = run([feed(1, 10, 0), feed(2, 10, 10), feed(3, 12, 20)])
    x, y = result.position_mm[:, 0], result.position_mm[:, 1]
    cut = np.minimum(10.0 - x, y)[y < 5.0].max()
    assert 0.0 < cut <= REFERENCE.path.corner_tolerance_mm
    assert np.hypot(10.0 - x, y).min() < 0.05


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_an_arc_stays_on_its_circle_within_the_tolerance(machine: MachineParameters) -> None:
    result = run([arc(1, (0.0, 0.0, 0.0), (5.0, 0.0, 0.0), 1.0, f=30000.0)], machine)
    radius = np.hypot(result.position_mm[:, 0] - 5.0, result.position_mm[:, 1])
    allowed = 1e-9 if machine.path.jerk_mm_s3 is None else machine.path.corner_tolerance_mm
    assert np.abs(radius - 5.0).max() <= allowed


def test_exact_stop_reaches_the_corner_and_stands_there() -> None:
    result = run([feed(1, 10, 0, exact_stop=True), feed(2, 10, 10)])
    at = result.at("finished")
    assert np.abs(result.position_mm[at] - (10.0, 0.0, 0.0)).max() < 1e-9
    assert np.abs(result.velocity_mm_s[at]).max() < 1e-9


def test_a_rapid_ends_standing_at_its_point() -> None:
    result = run([rapid(1, 20, 0), feed(2, 20, 5)], VF2)
    at = result.at("finished")
    assert np.abs(result.position_mm[at] - (20.0, 0.0, 0.0)).max() < 1e-9


def test_a_dwell_stands_for_its_time() -> None:
    result = run([feed(1, 1, 0), still("dwell", 2, dwell_s=0.25), feed(3, 2, 0)])
    began = next(sample for sample, event in result.events if event.kind == "begin" and event.move.line == 2)
    ended = next(sample for sample, event in result.events if event.kind == "finished" and event.move.line == 2)
    assert ended - began == pytest.approx(250, abs=1)
    assert not np.diff(result.position_mm[began : ended + 1], axis=0).any()


def test_feed_per_revolution_follows_the_spindle() -> None:
    per_rev = feed(1, 10, 0, f=0.1)
    modal = type(per_rev.modal)(feed_per_rev=True, spindle_speed=3000.0)
    result = run([Move("feed", 1, per_rev.end, per_rev.work, feed=0.1, modal=modal)])
    assert np.abs(result.velocity_mm_s).max() == pytest.approx(0.1 * 3000.0 / 60.0)


def test_motion_waits_at_a_tool_change_until_it_is_resumed() -> None:
    motion = Motion(VF2)
    motion.load([feed(1, 1, 0), Move("toolchange", 2, (1, 0, 0), (1, 0, 0), tool=3), feed(3, 2, 0)])
    events = [event for _ in range(20) for event in motion.advance(100).events]
    assert events[-1].kind == "sync"
    assert motion.waiting_for is events[-1].move is motion.active
    assert not motion.advance(500).events
    motion.resume()
    assert [event.kind for event in motion.advance(1).events] == ["finished", "begin"]


def test_the_wait_of_a_synchronising_move_can_be_given_in_advance() -> None:
    motion = Motion(REFERENCE, wait=lambda move: 4.5 if move.kind == "toolchange" else None)
    motion.load([Move("toolchange", 1, (0, 0, 0), (0, 0, 0), tool=3), feed(2, 2, 0)])
    block = motion.advance(4600)
    assert [(event.kind, event.sample) for event in block.events if event.kind != "begin"][:2] == [("sync", 0), ("finished", 4500)]


def test_an_alarm_of_the_interpreter_comes_after_the_blocks_before_it_are_done() -> None:
    def moves() -> Iterator[Move]:
        yield feed(1, 5, 0)
        yield feed(2, 5, 5)
        raise NcAlarm("PS0020", "over tolerance of radius", 3)

    motion = Motion(VF2)
    motion.load(moves())
    blocks = [motion.advance(100) for _ in range(12)]
    events = [event for block in blocks for event in block.events]
    assert [event.kind for event in events][-2:] == ["finished", "alarm"]
    assert events[-1].alarm is motion.alarm is not None
    assert motion.idle
    assert motion.position_mm == (5.0, 5.0, 0.0)


def test_moves_are_pulled_no_further_than_the_window() -> None:
    pulled = 0

    def moves() -> Iterator[Move]:
        nonlocal pulled
        for k in range(1, 10_000):
            pulled += 1
            yield feed(k, k * 0.5, 0.0)

    motion = Motion(REFERENCE)
    motion.load(moves())
    motion.advance(100)
    assert pulled <= REFERENCE.path.lookahead_blocks


def test_remaining_distance_counts_down_to_the_end_of_the_active_move() -> None:
    motion = Motion(REFERENCE)
    motion.load([feed(1, 10, -4)])
    block = motion.advance(100)
    moving = block.move_index >= 0
    assert moving.all()
    remaining = np.array([block.at(sample)[1] for sample in range(len(block))])
    assert np.allclose(block.position_mm + remaining, (10.0, -4.0, 0.0))
    assert (np.diff(remaining[:, 0]) < 0.0).all()
    assert (np.diff(remaining[:, 1]) > 0.0).all()


def test_loading_while_something_runs_is_refused() -> None:
    motion = Motion(REFERENCE)
    motion.load([feed(1, 10, 0)])
    motion.advance(10)
    with pytest.raises(RuntimeError):
        motion.load([])
    with pytest.raises(RuntimeError):
        motion.set_position((1, 2, 3))
