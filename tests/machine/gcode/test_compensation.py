"""Cutter radius compensation: corners, entry, exit, what it refuses."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.machine.gcode import FANUC
from tests.machine.gcode.running import alarm_of, ends, run

STRAIGHT = dataclasses.replace(FANUC, corner_arcs=False)

# Tool 3 has radius 3. Every contour begins with a straight entry along +X.
ENTRY = "T3 M6|G41 D3 G1 X20 Y0 F100|"


def test_entry_ends_beside_the_programmed_point() -> None:
    assert ends(ENTRY + "M30") == [(20, 3, 0)]
    assert ends(ENTRY.replace("G41", "G42") + "M30") == [(20, -3, 0)]


def test_inside_corner_ends_at_the_intersection() -> None:
    assert ends(ENTRY + "X40|Y40|X50|G40|M30")[1:3] == [(37, 3, 0), (37, 40, 0)]


def test_outside_corner_is_rounded_by_the_tool_radius() -> None:
    moves, _ = run(ENTRY + "X40|Y-40|G40|M30")
    arc = next(m for m in moves if m.kind == "arc")
    assert arc.centre == pytest.approx((40.0, 0.0, 0.0))
    assert arc.end == pytest.approx((43.0, 0.0, 0.0))
    assert arc.turns == pytest.approx(-0.25)


def test_outside_corners_may_be_straight_over_the_intersection_or_two_points() -> None:
    program = "T3 M6|G41 D3 G1 X20 Y0 F100|"
    assert ends(program + "X40|Y-40|G40|M30", dialect=STRAIGHT)[1:3] == [(43, 3, 0), (43, -40, 0)]
    # A turn of 135 degrees: each offset line runs on by the radius.
    along = round(3.0 * math.sqrt(0.5), 9)
    turned = ends(program + "X40|X30 Y-10|G40|M30", dialect=STRAIGHT)
    assert turned[1] == (43, 3, 0)
    assert turned[2] == pytest.approx((40 + along + along, -along + along, 0))


def test_straight_outside_corners_between_arcs_lie_on_their_tangents() -> None:
    # The quarter circle ends in direction -Y; the line leaves in direction -X.
    program = "T3 M6|G41 D3 G1 X20 Y0 F100|X40|G2 X50 Y-10 J-10|G1 X40|G40|M30"
    assert ends(program, dialect=STRAIGHT)[2:5] == [(53, -10, 0), (53, -13, 0), (40, -13, 0)]


def test_cancelling_alone_after_an_arc_is_no_alarm_but_an_arc_that_cancels_is() -> None:
    assert ends(ENTRY + "X40|G3 X50 Y10 J10|G40|G1 X60|M30")[-1] == (60, 10, 0)
    assert alarm_of(ENTRY + "X40|G40 G3 X50 Y10 J10|M30") == ("PS0034", 4)


def test_arc_outside_the_tool_shrinks_and_inside_it_grows() -> None:
    moves, _ = run(ENTRY + "X40|G3 X50 Y10 J10|G40 G1 X0|M30")
    assert next(m for m in moves if m.kind == "arc").end == pytest.approx((47.0, 10.0, 0.0))
    moves, _ = run(ENTRY + "X40|G2 X50 Y-10 J-10|G40 G1 X0|M30")
    assert next(m for m in moves if m.kind == "arc").end == pytest.approx((53.0, -10.0, 0.0))


def test_moves_along_the_tool_wait_at_the_corner_that_follows() -> None:
    assert ends(ENTRY + "X40|Z-5|Z-6|Y40|G40|M30")[1:4] == [(37, 3, 0), (37, 3, -5), (37, 3, -6)]


def test_what_happens_in_between_keeps_its_place_in_the_order() -> None:
    moves, _ = run(ENTRY + "X40|M8|Y40|G40|M30")
    kinds = [(m.kind, m.line) for m in moves]
    assert kinds.index(("coolant", 4)) == kinds.index(("feed", 3)) + 1


def test_negative_radius_changes_the_side() -> None:
    assert ends("G10 L12 P9 R-3.|G41 D9 G1 X20 F100|M30") == [(20, -3, 0)]


def test_after_cancelling_the_next_move_goes_to_the_programmed_point() -> None:
    assert ends(ENTRY + "X40|G40|X50 Y10|M30")[-1] == (50, 10, 0)


@pytest.mark.parametrize(
    ("exit_block", "end"),
    [
        ("G40 X50", (50, 0, 0)),
        ("G40|X50", (50, 0, 0)),
        ("G40|G91 X10|G90", (50, 0, 0)),
        ("G40 Y9", (40, 9, 0)),
        ("G40 Z5", (40, 3, 5)),
        ("G40 Z5|X50", (50, 0, 5)),
    ],
)
def test_the_move_that_cancels_takes_back_the_offset_of_both_axes(exit_block: str, end: tuple[float, float, float]) -> None:
    assert ends(f"{ENTRY}X40|{exit_block}|M30")[-1] == end


LINUXCNC = "G90 G21 F100 T3 M6|G41 D3 G1 X20 Y0|X40|"


def test_after_cancelling_linuxcnc_is_at_the_programmed_point_with_any_move() -> None:
    assert ends(LINUXCNC + "G40|X50|M2", dialect="linuxcnc")[-1] == (50, 0, 0)
    assert ends(LINUXCNC + "G40|Z-3|M2", dialect="linuxcnc")[-1] == (40, 0, -3)
    assert ends(LINUXCNC + "G40|G1 Z#5421|M2", dialect="linuxcnc")[-1] == (40, 0, 0)
    assert alarm_of(LINUXCNC + "G40|G2 X50 Y10 R10|M2", dialect="linuxcnc") == ("PS0034", 5)


def test_linuxcnc_does_not_look_beyond_a_stop_for_the_next_corner() -> None:
    inside = LINUXCNC + "{}|Y40|X50|G40|M2"
    assert ends(inside.format("G4 P1"), dialect="linuxcnc")[1:3] == [(37, 3, 0), (37, 40, 0)]
    assert ends(inside.format("M1"), dialect="linuxcnc")[1:3] == [(40, 3, 0), (37, 40, 0)]


@pytest.mark.parametrize(
    "block", ["G64", "G55", "G43 H2", "G99", "G92 X1", "G52 X1", "G10 L2 P1 X1", "G10 L20 P0 X1", "M48", "M64 P1"]
)
def test_linuxcnc_changes_neither_offsets_nor_modes_of_the_path_in_compensation(block: str) -> None:
    assert alarm_of(LINUXCNC + block + "|Y40|G40|M2", dialect="linuxcnc") == ("PS0037", 4)


def test_an_inside_corner_after_an_entry_on_an_arc_lies_on_the_arc_that_is_cut() -> None:
    program = "G21 G90 F300|G0 X0 Y0|G41.1 D4|G3 X20 Y0 I10 J0|G1 X10 Y5|G1 X10 Y30|G40|M2"
    moves, _ = run(program, dialect="linuxcnc")
    entry = next(move for move in moves if move.kind == "arc")
    assert entry.centre is not None
    assert entry.centre == pytest.approx((9.0, 0.0, 0.0))
    assert math.dist(entry.end[:2], entry.centre[:2]) == pytest.approx(9.0)
    # Beside the line that follows, from (20, 0) to (10, 5), by the tool's radius.
    assert (entry.end[0] - 20.0) * 5.0 + entry.end[1] * 10.0 == pytest.approx(-2.0 * math.hypot(5.0, 10.0))


@pytest.mark.parametrize(
    ("orientation", "z", "x"),
    [(0, 0, 0), (1, 1, -1), (2, -1, -1), (3, -1, 1), (4, 1, 1), (5, 1, 0), (6, 0, -1), (7, -1, 0), (8, 0, 1), (9, 0, 0)],
)
def test_a_lathe_s_insert_is_measured_where_its_orientation_says(orientation: int, z: int, x: int) -> None:
    # As LinuxCNC 2.9 moves; the nose has a radius of 1, its centre goes to X11 Z-10, X15 Z-14 and X20 Z-14.
    contour = "G18 G21 G90 F100|G0 X20 Z5|G42.1 D2 L{}|G1 X10 Z0|G1 Z-10|G2 X15 Z-15 R5|G1 X20|G40|G0 X30|M2"
    moves, alarm = run(contour.format(orientation), dialect="linuxcnc")
    assert alarm is None
    places = [(round(move.end[0], 9), round(move.end[2], 9)) for move in moves if move.kind in ("feed", "arc", "rapid")]
    assert places[2:5] == [(11 + x, -10 + z), (15 + x, -14 + z), (20 + x, -14 + z)]
    assert places[5] == (30, -15)  # G40 forgets the nose.
    (arc,) = (move for move in moves if move.kind == "arc")
    assert arc.centre == pytest.approx((15 + x, 0, -10 + z))


def test_an_orientation_needs_the_lathe_s_plane() -> None:
    assert alarm_of("G21 G90 F100|G42.1 D2 L2|G1 X10|M2", dialect="linuxcnc") == ("PS0021", 2)


def test_inside_arc_smaller_than_the_tool_is_alarm_41() -> None:
    assert alarm_of(ENTRY + "X40|G3 X42 Y2 J2|G40|M30")[0] == "PS0041"


def test_plane_change_is_alarm_37_after_the_moves_before_it() -> None:
    moves, alarm = run(ENTRY + "X40|G18|M30")
    assert alarm is not None
    assert (alarm.number, alarm.line) == ("PS0037", 4)
    assert moves[-1].end == (40.0, 3.0, 0.0)


def test_start_in_arc_mode_is_alarm_34() -> None:
    assert alarm_of("G1 X5 F100|G41 D3 G2 X15 I5|M30") == ("PS0034", 2)


def test_offset_number_beyond_the_memory_is_alarm_30() -> None:
    assert alarm_of("G41 D999 G1 X5 F100|M30") == ("PS0030", 1)


@given(st.floats(-170, 170).filter(lambda a: abs(a) > 5), st.sampled_from([1, -1]))
def test_the_tool_never_comes_nearer_to_a_corner_than_its_radius(turn_deg: float, side: int) -> None:
    x, y = 40 + 60 * math.cos(math.radians(turn_deg)), 60 * math.sin(math.radians(turn_deg))
    code = "G41" if side > 0 else "G42"
    moves, alarm = run(f"T3 M6|{code} D3 G1 X20 F100|X40|X{x:.6f} Y{y:.6f}|G40|M30")
    if alarm is not None:
        assert alarm.number in ("PS0041", "PS0033")
        return
    straight = [m for m in moves if m.kind == "feed"]
    for before, after in itertools.pairwise(moves):
        if after not in straight or before.kind not in ("feed", "arc") or before is moves[0]:
            continue
        if before.line <= 2 and after.line <= 2:
            continue
        (ax, ay, _), (bx, by, _) = before.end, after.end
        length = math.hypot(bx - ax, by - ay)
        if length < 1e-9:
            continue
        along = max(0.0, min(1.0, ((40 - ax) * (bx - ax) + (0 - ay) * (by - ay)) / length**2))
        assert math.hypot(ax + along * (bx - ax) - 40, ay + along * (by - ay)) >= 3.0 - 1e-6
