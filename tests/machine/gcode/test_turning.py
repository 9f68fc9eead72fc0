"""LinuxCNC's G70 to G72, worked out by hand on a shaft of two steps: radius 4 to Z-5, radius 8 to Z-10."""

from __future__ import annotations

import itertools

import pytest

from opcua_server.machine.moves import Move
from tests.machine.gcode.running import MOTION, alarm_of, run

SHAFT = "G18 G21 G90 F100|o100 sub|G0 X4 Z2|G1 Z-5|X8|Z-10|o100 endsub|G0 X10 Z2|"


def turned(cycle: str) -> list[Move]:
    moves, alarm = run(SHAFT + cycle + "|M2", dialect="linuxcnc")
    assert alarm is None, alarm
    return [move for move in moves if move.kind in MOTION][1:]


def places(moves: list[Move], kind: str) -> list[tuple[float, float]]:
    return [(round(m.end[0], 6) + 0.0, round(m.end[2], 6) + 0.0) for m in moves if m.kind == kind]


def test_roughing_cuts_level_by_level_to_where_the_contour_is_met() -> None:
    feeds = places(turned("G71 Q100 X10 Z2 D0 I2 R1"), "feed")
    # At 10 the closing line behind the contour is met, from 8 on the first step; then along the contour.
    assert feeds == [(10, -10), (8, -5), (6, -5), (4, -5), (8, -5), (8, -10), (10, -10)]


def test_an_allowance_stays_on_the_contour() -> None:
    feeds = places(turned("G71 Q100 X10 Z2 D0.5 I2 R1"), "feed")
    assert all(x >= 4.5 - 1e-9 for x, _ in feeds)
    assert (6, -4.5) in feeds


def test_a_pass_is_left_at_45_degrees_and_returned_from_at_rapid() -> None:
    rapids = places(turned("G71 Q100 X10 Z2 D0 I2 R1"), "rapid")
    begin = rapids.index((8, 2))
    assert rapids[begin : begin + 4] == [(8, 2), (9, -4), (9, 1), (8, 2)]


def test_facing_goes_along_x() -> None:
    moves = turned("G72 Q100 X10 Z2 D0 I4 R1")
    cuts = [(a.end, b.end) for a, b in itertools.pairwise(moves) if b.kind == "feed"]
    assert any(a[2] == b[2] and a[0] != b[0] for a, b in cuts)
    assert all(b[0] >= 4.0 - 1e-9 for _, b in cuts)


def test_finishing_follows_the_contour_from_far_to_near() -> None:
    feeds = places(turned("G70 Q100 X10 Z2 D1 E0 P2"), "feed")
    assert feeds[-3:] == [(4, -5), (8, -5), (8, -10)]
    assert (4.5, -4.5) in feeds


def test_finishing_in_cutter_compensation_moves_as_linuxcnc_does() -> None:
    # LinuxCNC 2.9 believes to come from the contour's end; the first two rapids, to the start, end near there.
    program = SHAFT + "G0 X40 Z20|G42.1 D1 L2|G70 Q100 X10 Z2|G40|G0 X60 Z20|M2"
    moves, alarm = run(program, dialect="linuxcnc")
    assert alarm is None, alarm
    assert places(moves, "rapid")[2:] == [(7.540818, -10.506803), (7.540818, -10.506803), (4, 1), (60, 20)]
    assert places(moves, "feed") == [(4, -5), (7.5, -5), (8, -10.5)]
    assert places(moves, "arc") == [(8, -5.5)]


def test_after_g7_a_contour_and_its_start_are_given_in_diameters() -> None:
    program = "G18 G21 G90 F100 G7|o100 sub|G0 X8 Z2|G1 Z-5|X16|Z-10|o100 endsub|G0 X20 Z2|G70 Q100 X20 Z2|M2"
    moves, alarm = run(program, dialect="linuxcnc")
    assert alarm is None, alarm
    assert places(moves, "rapid") == [(10, 2), (10, 2), (10, 2), (4, 2)]
    assert places(moves, "feed") == places(turned("G70 Q100 X10 Z2"), "feed")


def test_a_rounded_corner_is_an_arc_about_a_place_of_equal_distance() -> None:
    program = SHAFT.replace("G1 Z-5|X8", "G1 Z-5 A1|X8") + "G70 Q100 X10 Z2|M2"
    moves, alarm = run(program, dialect="linuxcnc")
    assert alarm is None
    (arc,) = (move for move in moves if move.kind == "arc")
    assert arc.centre is not None
    assert (round(arc.centre[0], 6), round(arc.centre[2], 6)) == (5, -4)
    assert (round(arc.end[0], 6), round(arc.end[2], 6)) == (5, -5)


def test_the_contour_is_run_like_any_subroutine() -> None:
    program = (
        "G18 G90 F100|o100 sub|#5=0|G0 X4 Z2|o101 while [#5 LT 2]|#5=[#5+1]|G1 X[#<_x>+1] Z[#<_z>-3]|o101 endwhile|o100 endsub"
    )
    moves, alarm = run(program + "|G0 X10 Z2|G70 Q100 X10 Z2|M2", dialect="linuxcnc")
    assert alarm is None, alarm
    assert places(moves, "feed") == [(5, -1), (6, -4)]


@pytest.mark.parametrize(
    ("cycle", "number"),
    [
        ("G71 X10 Z2", "PS0009"),
        ("G71 Q7 X10 Z2", "PS0076"),
        ("G71 Q100 I0", "PS0009"),
        ("G17 G71 Q100", "PS0021"),
        ("G41.1 D1|G71 Q100 X10 Z2", "PS0037"),
        ("G71 Q100 X10 Z2 I0.00001", "PS0009"),
    ],
)
def test_what_cannot_be_cut_is_an_alarm(cycle: str, number: str) -> None:
    assert alarm_of(SHAFT + cycle + "|M2", dialect="linuxcnc")[0] == number
