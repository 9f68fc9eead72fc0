"""Overrides, hold, single block, dry run and reset act in the middle of a move, within the limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opcua_server.machine.moves import Move
from opcua_server.machine.parameters import REFERENCE, VF2, MachineParameters
from tests.machine.motion.paths import (
    ACTIONS,
    MACHINES,
    act,
    arc,
    assert_within_limits,
    feed,
    let_run,
    programs,
    rapid,
    run,
    start,
)

machines = st.sampled_from(MACHINES)
calm = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

actions = st.lists(st.tuples(st.integers(1, 120), st.sampled_from(ACTIONS)), max_size=25)


@settings(calm, max_examples=150)
@given(programs(), machines, actions)
def test_an_operator_at_play_cannot_break_a_limit_or_lose_the_end_point(
    moves: list[Move], machine: MachineParameters, played: list[tuple[int, str]]
) -> None:
    recorder = start(moves, machine)
    for wait, action in played:
        act(recorder, action)
        recorder.advance(wait)
    let_run(recorder)
    result = recorder.run
    assert_within_limits(result, machine)
    assert np.abs(result.position_mm[-1] - moves[-1].end).max() < 1e-9
    plain = [event.move for _, event in run(moves, machine).events if event.kind == "finished"]
    assert [event.move for _, event in result.events if event.kind == "finished"] == plain


@calm
@given(programs(), machines, st.integers(1, 400))
def test_hold_stands_and_cycle_start_ends_at_the_same_point(moves: list[Move], machine: MachineParameters, when: int) -> None:
    recorder = start(moves, machine)
    recorder.advance(when)
    if recorder.motion.idle:
        return
    recorder.motion.feed_hold()
    recorder.advance(600)
    if any(move.kind == "tap" for move in moves):
        # A stroke is finished: up to 104 mm at 1 mm/s here.
        while not recorder.motion.held and recorder.samples < 200_000:
            recorder.advance(1000)
    assert recorder.motion.held
    held = recorder.motion.position_mm
    recorder.advance(300)
    assert recorder.motion.position_mm == held
    recorder.motion.cycle_start()
    recorder.until("done")
    assert np.abs(recorder.run.position_mm[-1] - moves[-1].end).max() < 1e-9


def test_hold_brakes_in_the_middle_of_a_move_as_fast_as_the_axis_may() -> None:
    recorder = start([feed(1, 500, 0, f=24000.0)])
    recorder.advance(500)
    recorder.motion.feed_hold()
    recorder.until("held")
    result = recorder.run
    # 400 mm/s at 4000 mm/s2
    assert result.at("held") - 500 == pytest.approx(100, abs=2)
    assert result.position_mm[-1][0] < 300.0


def test_half_the_feed_override_doubles_the_cutting_time() -> None:
    moves = [feed(1, 50, 0), feed(2, 50, 50), arc(3, (50.0, 50.0, 0.0), (45.0, 50.0, 0.0), 0.75)]
    full = run(moves).at("done")
    recorder = start(moves)
    recorder.motion.feed_override = 0.5
    assert recorder.until("done").run.at("done") == pytest.approx(2 * full, rel=0.01)


def test_feed_override_takes_effect_within_the_move() -> None:
    recorder = start([feed(1, 100, 0, f=6000.0)], VF2)
    recorder.advance(200)
    recorder.motion.feed_override = 0.3
    recorder.advance(100)
    assert recorder.run.velocity_mm_s[-1][0] == pytest.approx(30.0)
    recorder.motion.feed_override = 1.5
    recorder.advance(100)
    assert recorder.run.velocity_mm_s[-1][0] == pytest.approx(150.0)


def test_override_of_zero_stops_feed_and_not_rapid() -> None:
    recorder = start([rapid(1, 10, 0), feed(2, 20, 0)])
    recorder.motion.feed_override = 0.0
    recorder.advance(2000)
    assert recorder.motion.position_mm == (10.0, 0.0, 0.0)
    recorder.motion.feed_override = 1.0
    recorder.until("done")
    assert recorder.motion.position_mm == (20.0, 0.0, 0.0)


def test_rapid_override_slows_rapids_only() -> None:
    moves = [rapid(1, 200, 0), feed(2, 210, 0, f=6000.0)]
    recorder = start(moves)
    recorder.motion.rapid_override = 0.25
    result = recorder.until("done").run
    assert np.abs(result.velocity_mm_s[: result.at("finished")]).max() <= 0.25 * 423.333 * 3**0.5 + 1e-9
    assert np.abs(result.velocity_mm_s[result.at("finished") :]).max() == pytest.approx(100.0)


def test_tapping_ignores_the_feed_override_and_finishes_its_stroke_under_hold() -> None:
    tap = Move("tap", 1, (0.0, 0.0, -10.0), (0.0, 0.0, -10.0), feed=600.0)
    recorder = start([tap, feed(2, 5, 0, -10)])
    recorder.motion.feed_override = 0.5
    recorder.advance(100)
    recorder.motion.feed_hold()
    recorder.until("held")
    result = recorder.run
    assert np.abs(result.velocity_mm_s).max() == pytest.approx(10.0)
    assert result.position_mm[-1][2] == pytest.approx(-10.0)


def test_single_block_stands_at_the_end_of_each_block_exactly() -> None:
    recorder = start([feed(1, 10, 0), feed(2, 10, 10), feed(2, 0, 10), feed(3, 0, 0)])
    recorder.motion.single_block = True
    for end in ((10.0, 0.0, 0.0), (0.0, 10.0, 0.0)):
        recorder.until("block")
        assert recorder.motion.between_blocks
        assert np.abs(np.subtract(recorder.motion.position_mm, end)).max() < 1e-9
        recorder.motion.cycle_start()
    recorder.until("done")


def test_dry_run_cuts_at_its_own_feed() -> None:
    recorder = start([feed(1, 200, 0, f=60.0)], VF2)
    recorder.motion.dry_run = True
    recorder.advance(1000)
    assert recorder.run.velocity_mm_s[-1][0] == pytest.approx(VF2.path.dry_run_mm_s)


def test_reset_brakes_drops_everything_and_leaves_the_motion_ready() -> None:
    recorder = start([feed(1, 500, 0, f=24000.0), feed(2, 500, 500)], VF2)
    recorder.advance(700)
    recorder.motion.reset()
    recorder.until("reset")
    assert recorder.motion.idle
    assert_within_limits(recorder.run, VF2)
    recorder.motion.load([feed(1, 0, 0, 0, f=6000.0)])
    recorder.until("done")
    assert_within_limits(recorder.run, VF2)
    assert recorder.motion.position_mm == (0.0, 0.0, 0.0)


def test_a_dwell_does_not_count_down_under_hold() -> None:
    recorder = start([Move("dwell", 1, (0, 0, 0), (0, 0, 0), dwell_s=0.5), feed(2, 1, 0)], REFERENCE)
    recorder.advance(100)
    recorder.motion.feed_hold()
    recorder.advance(2000)
    assert recorder.motion.held
    recorder.motion.cycle_start()
    recorder.until("finished")
    assert recorder.run.at("finished") == 2500
