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


def test_after_cancelling_linuxcnc_keeps_an_axis_that_is_not_named() -> None:
    assert ends("G90 G21 T3 M6|G41 D3 G1 X20 Y0 F100|X40|G40|X50|M2", dialect="linuxcnc")[-1] == (50, 3, 0)


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
