""",R" and ",C": corners that are rounded or cut off, with results worked out by hand and by what a fillet is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.machine.moves import Move, Point
from tests.machine.gcode.running import MOTION, alarm_of, ends, run


def path(text: str) -> list[Move]:
    moves, alarm = run(text)
    assert alarm is None, alarm
    return [move for move in moves if move.kind in MOTION]


def test_a_corner_between_lines_is_rounded_or_cut_off() -> None:
    rounded = path("G1 X10 F100 ,R2|Y10 ,C1|X0|M30")
    assert [(move.kind, move.line, move.end[:2]) for move in rounded] == [
        ("feed", 1, pytest.approx((8, 0))), ("arc", 1, pytest.approx((10, 2))), ("feed", 2, pytest.approx((10, 9))),
        ("feed", 2, pytest.approx((9, 10))), ("feed", 3, pytest.approx((0, 10))),
    ]  # fmt: skip
    assert rounded[1].centre == pytest.approx((8, 2, 0))
    assert rounded[1].turns == pytest.approx(0.25)


def test_it_turns_the_way_the_path_does_and_stands_in_every_plane() -> None:
    assert path("G1 X10 F100 ,R2|Y-10|M30")[1].turns == pytest.approx(-0.25)
    _, arc, _ = path("G18 G1 Z10 F100 ,R2|X10|M30")
    assert arc.end == pytest.approx((2, 0, 10))
    assert arc.centre == pytest.approx((2, 0, 8))
    assert arc.turns == pytest.approx(0.25)


def test_the_moves_at_an_arc_are_shortened_where_the_circle_touches_them() -> None:
    line, corner, arc, last, _ = path("G1 X10 F100 ,R2|G3 X0 Y10 I-10 J0 ,R1|G1 X0 Y0|M30")
    assert line.end == pytest.approx((math.sqrt(60), 0, 0))
    assert corner.centre == pytest.approx((math.sqrt(60), 2, 0))
    assert corner.end == pytest.approx((math.sqrt(60) * 1.25, 2.5, 0))
    assert arc.centre == pytest.approx((0, 0, 0), abs=1e-9)
    assert last.end == pytest.approx((0, math.sqrt(80), 0), abs=1e-9)


def test_a_corner_is_cut_off_at_the_same_distance_on_an_arc() -> None:
    line, cut, _ = path("G1 X10 F100 ,C2|G3 X0 Y10 I-10 J0|M30")
    assert line.end == pytest.approx((8, 0, 0))
    assert math.dist(cut.end, (10, 0, 0)) == pytest.approx(2)
    assert math.hypot(*cut.end) == pytest.approx(10)


def test_increments_count_from_the_corner_that_was_programmed() -> None:
    assert ends("G91 G1 X10 F100 ,R2|Y10|X5|M30")[2:] == [(10, 10, 0), (15, 10, 0)]


def test_it_follows_rotation_scale_mirror_and_inches() -> None:
    turned = path("G68 X0 Y0 R90|G1 X10 F100 ,R2|Y10|M30")
    assert turned[1].centre == pytest.approx((-2, 8, 0), abs=1e-9)
    scaled = path("G51 X0 Y0 P2000|G1 X10 F100 ,R2|Y10|M30")
    assert scaled[1].centre == pytest.approx((16, 4, 0))
    mirrored = path("G51.1 X0|G1 X10 F100 ,R2|Y10|M30")
    assert (mirrored[1].centre, mirrored[1].turns) == (pytest.approx((-8, 2, 0)), pytest.approx(-0.25))
    assert path("G20|G1 X1 F10 ,R.1|Y1|M30")[1].centre == pytest.approx((0.9 * 25.4, 0.1 * 25.4, 0))


def test_the_cutter_is_beside_the_rounded_path() -> None:
    program = "T3 M6|G41 D3 G1 X20 F100|X50 ,R5|Y40 ,C4|X0|G40 Y60|M30"
    inside = 3 * math.tan(math.pi / 8)
    assert [tuple(move.end[:2]) for move in path(program)] == [
        pytest.approx(place) for place in (
            (20, 3), (45, 3), (47, 5), (47, 36 - inside), (46 - inside, 37), (0, 37), (0, 60),
        )
    ]  # fmt: skip


def test_where_the_path_goes_straight_on_there_is_no_corner() -> None:
    assert ends("G1 X10 F100 ,R2|X20|M30") == [(10, 0, 0), (20, 0, 0)]
    assert ends("G1 X10 F100 ,R0|Y10|M30") == [(10, 0, 0), (10, 10, 0)]


def test_its_size_may_be_worked_out_and_comments_and_statements_may_stand_between() -> None:
    assert ends("#1=2|G1 X10 F100 ,R#1|(NOTE)|N5|#2=10|Y#2|M30")[1] == (10, 2, 0)


@pytest.mark.parametrize(
    ("program", "alarm"),
    [
        ("G1 X10 F100 ,R2|M30", ("PS0051", 2)), ("G1 X10 F100 ,R2|M8|Y10|M30", ("PS0051", 2)),
        ("G1 X10 F100 ,R2|G0 Y10|M30", ("PS0051", 2)), ("G1 X10 F100 ,R2|G4 P1|M30", ("PS0051", 2)),
        ("G1 X10 F100 ,R2|G18 G1 Y5|M30", ("PS0051", 2)), ("G1 X10 F100 ,R2|F50|Y10|M30", ("PS0051", 2)),
        ("G1 X10 F100 ,R20|Y10|M30", ("PS0055", 2)), ("G1 X10 F100 ,C9|Y5|M30", ("PS0055", 2)),
        ("G1 X10 F100 ,R2|X0|M30", ("PS0055", 2)), ("G1 X10 F100 ,R2|G3 X8 R1|M30", ("PS0055", 2)),
        ("G1 X10 F100 ,R2|Y10 Z5|M30", ("PS0021", 2)), ("G0 X10 ,R2|G1 Y5|M30", ("PS0009", 1)),
        ("G1 X10 F100 ,R2 ,C1|Y10|M30", ("PS0009", 1)), ("G1 X10 F100 ,R-2|Y10|M30", ("PS0006", 1)),
    ],
)  # fmt: skip
def test_what_is_refused(program: str, alarm: tuple[str, int]) -> None:
    assert alarm_of(program) == alarm


def tangent(move: Move, start: Point, place: Point) -> tuple[float, float]:
    """Direction of a move at a place, in the plane."""
    if move.centre is None:
        x, y = move.end[0] - start[0], move.end[1] - start[1]
    else:
        spin = math.copysign(1.0, move.turns)
        x, y = -spin * (place[1] - move.centre[1]), spin * (place[0] - move.centre[0])
    length = math.hypot(x, y)
    return x / length, y / length


legs = st.one_of(
    st.tuples(st.floats(20, 60), st.floats(-150, 150)).map(lambda leg: (leg[0], leg[1], None)),
    st.tuples(st.floats(20, 60), st.floats(-150, 150), st.sampled_from([-1, 1]), st.floats(1.2, 5.0)).map(
        lambda leg: (leg[0], leg[1], leg[2] * leg[3] * leg[0] / 2.0)
    ),
)


@given(st.lists(legs, min_size=2, max_size=5), st.floats(0.05, 2.0))
def test_a_rounded_path_has_no_kink_and_each_arc_its_radius(shape: list[tuple[float, float, float | None]], size: float) -> None:
    x = y = heading = 0.0
    lines = []
    for length, turn, radius in shape:
        heading += turn
        x, y = x + length * math.cos(math.radians(heading)), y + length * math.sin(math.radians(heading))
        code = "G1" if radius is None else f"{'G2' if radius < 0 else 'G3'} R{abs(radius):.6f}"
        lines.append(f"{code} X{x:.6f} Y{y:.6f} F100 ,R{size:.4f}")
    lines[-1] = lines[-1].split(" ,")[0]
    moves, alarm = run("|".join(lines) + "|M30")
    if alarm is not None:  # A corner so sharp that the circle does not reach both moves.
        assert alarm.number == "PS0055"
        return
    moves = [move for move in moves if move.kind in MOTION]
    assert len(moves) <= 2 * len(shape) - 1
    starts = [(0.0, 0.0, 0.0), *(move.end for move in moves)]
    for before, behind, start, place in zip(moves, moves[1:], starts, starts[1:], strict=False):
        assert tangent(before, start, place) == pytest.approx(tangent(behind, place, place), abs=1e-3)
    for move, start in zip(moves, starts, strict=False):
        if move.centre is not None:
            assert math.dist(start, move.centre) == pytest.approx(math.dist(move.end, move.centre), abs=1e-4)
    fillets = [move for move in moves if move.centre is not None and abs(math.dist(move.end, move.centre) - round(size, 4)) < 1e-5]
    assert len(fillets) >= len(moves) - len(shape)
