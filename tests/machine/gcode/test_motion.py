"""Straight moves, arcs, planes, units, coordinates and reference points."""

from __future__ import annotations

import math

import pytest

from opcua_server.machine.gcode import FANUC, WorkOffsets
from tests.machine.gcode.running import alarm_of, ends, run


def test_rapid_and_feed_keep_axes_that_are_not_named() -> None:
    assert ends("G0 X10 Y5|G1 Z-2 F100|X20|M30") == [(10, 5, 0), (10, 5, -2), (20, 5, -2)]


def test_incremental_adds_to_where_the_tool_is() -> None:
    assert ends("G91 G0 X10|X10 Y-5|G90 X1|M30") == [(10, 0, 0), (20, -5, 0), (1, -5, 0)]


def test_inch_programs_move_in_millimetres() -> None:
    moves, _ = run("G20|G1 X1 F10|G21|X1|M30")
    assert [m.end[0] for m in moves if m.kind == "feed"] == pytest.approx([25.4, 1.0])
    assert next(m.feed for m in moves if m.kind == "feed") == pytest.approx(254.0)


def test_arc_by_radius_has_its_centre_beside_the_chord() -> None:
    moves, _ = run("G0 X0 Y0|G2 X10 Y10 R10 F100|M30")
    arc = next(m for m in moves if m.kind == "arc")
    assert arc.centre == pytest.approx((10.0, 0.0, 0.0))
    assert arc.turns == pytest.approx(-0.25)


def test_negative_radius_takes_the_long_way_round() -> None:
    moves, _ = run("G2 X10 Y10 R-10 F100|M30")
    arc = next(m for m in moves if m.kind == "arc")
    assert arc.centre == pytest.approx((0.0, 10.0, 0.0))
    assert arc.turns == pytest.approx(-0.75)


def test_arc_ending_at_its_start_is_a_full_circle() -> None:
    moves, _ = run("G3 I5 F100|M30")
    assert [m.turns for m in moves if m.kind == "arc"] == pytest.approx([1.0])


def test_helix_of_several_turns_counts_them() -> None:
    moves, _ = run("G3 X0 Y0 Z-6 I5 P3 F100|M30")
    arc = next(m for m in moves if m.kind == "arc")
    assert arc.turns == pytest.approx(3.0)
    assert arc.end[2] == -6.0


def test_arc_in_the_zx_plane_turns_about_y() -> None:
    moves, _ = run("G18 G2 X20 Z0 I10 K0 F100|M30")
    arc = next(m for m in moves if m.kind == "arc")
    assert arc.normal == (0.0, 1.0, 0.0)
    assert arc.centre == (10.0, 0.0, 0.0)


def test_inverse_time_gives_the_feed_that_takes_one_part_of_a_minute() -> None:
    moves, _ = run("G93 G1 X100 F4|M30")
    assert next(m.feed for m in moves if m.kind == "feed") == pytest.approx(400.0)


def test_feed_per_revolution_is_told_to_the_motion() -> None:
    moves, _ = run("G95 G1 X100 F0.2|M30")
    move = next(m for m in moves if m.kind == "feed")
    assert (move.feed, move.modal.feed_per_rev) == (0.2, True)


def test_exact_stop_lasts_one_block_with_g9_and_stays_with_g61() -> None:
    moves, _ = run("G1 X1 F100|G9 X2|X3|G61 X4|X5|G64 X6|M30")
    assert [m.modal.exact_stop for m in moves if m.kind == "feed"] == [False, True, False, True, True, False]


def test_numbers_without_point_can_be_read_as_increments() -> None:
    from dataclasses import replace

    assert ends("G0 X1000 Y1.|M30", dialect=replace(FANUC, increment_mm=0.001)) == [(1, 1, 0)]


def test_work_offsets_length_and_local_shift_add_up() -> None:
    program = "G10 L2 P2 X100 Y50 Z-200|G55|G43 H3|G52 X1|G0 X10 Y0 Z5|G52 X0|X10|M30"
    assert ends(program) == [(111, 50, -92), (110, 50, -92)]


def test_extended_work_offsets_are_written_and_chosen() -> None:
    assert ends("G10 L20 P7 X12.|G54.1 P7|G0 X1|M30") == [(13, 0, 0)]


def test_g92_gives_the_position_a_new_name() -> None:
    assert ends("G0 X10|G92 X0|G0 X5|M30") == [(10, 0, 0), (15, 0, 0)]


def test_g53_is_in_machine_coordinates() -> None:
    assert ends("G10 L2 P1 X50|G54 G0 X10|G53 G0 X1|X10|M30") == [(60, 0, 0), (1, 0, 0), (60, 0, 0)]


def test_reference_return_goes_by_the_middle_point() -> None:
    offsets = WorkOffsets(references={1: (5.0, 6.0, 7.0), 3: (1.0, 2.0, 3.0)})
    assert ends("G0 X10 Z1|G91 G28 Z2|G90 G30 P3 X20|M30", offsets=offsets) == [
        (10, 0, 1),
        (10, 0, 3),
        (10, 0, 7),
        (20, 0, 7),
        (1, 0, 7),
    ]


def test_rotation_turns_about_its_centre_and_ends() -> None:
    program = "G68 X10 Y0 R90|G0 X20 Y0|G1 X20 Y5 F100|G69|G0 X0 Y0|M30"
    assert ends(program) == [(10, 10, 0), (5, 10, 0), (0, 0, 0)]


def test_polar_coordinates_are_radius_and_angle() -> None:
    half = round(10 * math.sqrt(0.5), 9)
    assert ends("G16|G0 X10 Y45|G91 Y45|G15 G90|G0 X1 Y1|M30") == [(half, half, 0), (0, 10, 0), (1, 1, 0)]


def test_skip_move_ends_where_the_probe_touches_and_tells_the_macro() -> None:
    program = "G31 Z-20 F100|#100=#5063|G1 X#100 F100|M30"
    moves, alarm = run(program, probe=lambda _start, _end: (0.0, 0.0, -7.5))
    assert alarm is None
    assert [m.end for m in moves if m.kind == "feed"] == [(-7.5, 0.0, -7.5)]


def test_block_skip_needs_its_own_switch() -> None:
    program = "/G0 X1|/2 G0 X2|G0 X3|M30"
    assert ends(program) == [(1, 0, 0), (2, 0, 0), (3, 0, 0)]
    assert ends(program, block_delete=frozenset((1,))) == [(2, 0, 0), (3, 0, 0)]
    assert ends(program, block_delete=frozenset((2,))) == [(1, 0, 0), (3, 0, 0)]


def test_dwell_is_milliseconds_without_and_seconds_with_a_point() -> None:
    moves, _ = run("G4 P1500|G4 P1.5|G4 X2.|M30")
    assert [m.dwell_s for m in moves if m.kind == "dwell"] == [1.5, 1.5, 2.0]
    # What is worked out carries no point: 500 is what P500 is, 0.5 can only be seconds.
    moves, _ = run("#1=500|#2=0.5|G4 P#1|G4 P[#1*2]|G4 P#2|M30")
    assert [m.dwell_s for m in moves if m.kind == "dwell"] == [0.5, 1.0, 0.5]
    moves, _ = run("#1=2|G4 P#1|M2", dialect="linuxcnc")
    assert [m.dwell_s for m in moves if m.kind == "dwell"] == [2.0]
    moves, _ = run("G80 G4 P2|M2", dialect="linuxcnc")
    assert [m.dwell_s for m in moves if m.kind == "dwell"] == [2.0]


def test_a_dwell_with_p_leaves_x_to_the_motion() -> None:
    assert ends("G4 P1 G0 X5 Y2|G4 X3.|M30") == [(5, 2, 0)]


def test_what_happens_beside_motion_is_told_in_order() -> None:
    moves, alarm = run("T3 M6|S2000 M3|M8|G4 P0|M0|M1|(MSG, LOOK)|M30", optional_stop=True)
    assert alarm is None
    assert [m.kind for m in moves] == [
        "toolchange", "spindle", "spindle", "coolant", "dwell", "stop", "stop", "message", "end",
    ]  # fmt: skip
    assert moves[0].tool == 3
    assert (moves[2].modal.spindle_speed, moves[2].modal.spindle_direction) == (2000.0, 1)
    assert moves[3].modal.coolant_flood
    assert moves[7].text == "LOOK"


def test_moves_know_their_line_block_and_program() -> None:
    moves, _ = run("%|O0007 (TITLE)|G0 X1|M30|%")
    assert (moves[0].line, moves[0].block, moves[0].program) == (3, "G0 X1", "O0007")


def test_a_comment_within_a_comment_is_one_comment() -> None:
    assert ends("G0 X1 (A (B) C) Y2|M30") == [(1, 2, 0)]


def test_g92_with_s_alone_limits_the_spindle_and_moves_no_zero() -> None:
    assert ends("G0 X5|G92 S2000|G96 S100|G0 X6|M30") == [(5, 0, 0), (6, 0, 0)]


@pytest.mark.parametrize(
    ("switches", "end"),
    [(frozenset(), (5, 7, 4)), (frozenset({3}), (5, 0, 0)), (frozenset({2}), (5, 7, 4)), (frozenset({1}), (5, 7, 4))],
)
def test_a_slash_within_a_block_skips_the_rest_of_it(switches: frozenset[int], end: tuple[float, float, float]) -> None:
    assert ends("N10 /2 G0 X1|G0 X5 /3 Y7|/3 G0 Z4|M30", block_delete=switches)[-1] == end
    assert ends("#1=6/2|G0 X#1|M30", block_delete=frozenset(range(1, 10))) == [(3, 0, 0)]


def test_an_arc_by_radius_that_ends_where_it_begins_goes_nowhere_on_a_fanuc() -> None:
    assert ends("G0 X1|G2 R5 X1 Y0 F100|G1 X3|M30") == [(1, 0, 0), (3, 0, 0)]
    assert alarm_of("G0 X1|F100 G2 R5 X1 Y0|M2", dialect="linuxcnc") == ("PS0020", 2)


def test_g4_alone_is_an_exact_stop_on_a_fanuc() -> None:
    moves, alarm = run("G1 X1 F100|G4|X2|M30")
    assert alarm is None
    assert [(move.kind, move.dwell_s) for move in moves][1] == ("dwell", 0.0)
    assert alarm_of("G1 X1 F100|G4|M2", dialect="linuxcnc") == ("PS0005", 2)


def test_additional_work_system_one_is_meant_without_p() -> None:
    assert ends("G10 L20 P1 X10|G54.1 G0 X0|M30") == [(10, 0, 0)]
    assert alarm_of("G54.1 P49 X0|M30") == ("PS0030", 1)


def test_threading_goes_by_its_lead() -> None:
    moves, _ = run("S500 M3|G33 Z-5 F1.5|M30")
    assert [move.feed for move in moves if move.kind == "feed"] == [750.0]
    assert [move.thread for move in moves if move.kind == "feed"] == ["in"], "no override acts, no hold stops it"
    assert alarm_of("G33 Z-5 F1.5|M30") == ("PS0011", 1)
