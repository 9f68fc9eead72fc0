"""G51, G51.1 and what is within: a program's picture, larger, smaller or mirrored."""

from __future__ import annotations

import dataclasses
import math

import pytest

from opcua_server.machine.gcode import FANUC
from opcua_server.machine.moves import Move
from tests.machine.gcode.running import MOTION, alarm_of, ends, run

PART = (
    "G1 X10 Y5 F300|G2 X20 Y15 R10|G3 X30 Y5 I10 J0|G3 X30 Y5 Z-2 I3 J-4|G1 X5 Y2 Z1|"
    "G68 X5 Y2 R30|G2 X12 Y2 I3.5|G1 X1 Y1|G69|G16 G1 X8 Y60|G15 X7 Y-3|"
)
BESIDE = "G41 D3 G1 X20 Y0 F100|X40|Y20|G2 X50 Y30 R10|G1 X60|Y-20|G40 G1 X80|"


def picture(part: str, before: str, scale: tuple[float, float, float], centre: tuple[float, float, float], turns: float) -> None:
    """``part`` with ``before`` in front of it is what it is without, drawn ``scale`` times from ``centre``."""
    plain, drawn = ([move for move in run(text + part + "M30")[0] if move.kind in MOTION] for text in ("G17|", before + "|"))
    assert len(plain) == len(drawn) > 3

    def seen(point: tuple[float, float, float]) -> tuple[float, ...]:
        return tuple(c + s * (v - c) for v, s, c in zip(point, scale, centre, strict=True))

    for one, other in zip(plain, drawn, strict=True):
        assert (other.kind, other.line - before.count("|")) == (one.kind, one.line)
        assert other.end == pytest.approx(seen(one.end), abs=1e-9)
        assert other.feed == one.feed
        if one.centre is not None and other.centre is not None:
            assert other.centre == pytest.approx(seen(one.centre), abs=1e-9)
            assert other.turns == pytest.approx(one.turns * turns)
            assert other.normal == pytest.approx(one.normal)


@pytest.mark.parametrize(
    ("before", "scale", "turns"),
    [
        ("G51.1 X0", (-1, 1, 1), -1), ("G51.1 Y0", (1, -1, 1), -1), ("G51.1 X0 Y0", (-1, -1, 1), 1), ("G51.1 Z0", (1, 1, -1), 1),
        ("G51 P2000", (2, 2, 2), 1), ("G51 P0.5", (0.5, 0.5, 0.5), 1), ("G51 I1.5 J1.5 K3.", (1.5, 1.5, 3), 1),
        ("G51 I1500 J1500 K3000", (1.5, 1.5, 3), 1), ("G51.1 X0 G17|G51 P2000", (-2, 2, 2), -1),
    ],
)  # fmt: skip
def test_a_part_is_drawn_larger_or_mirrored(before: str, scale: tuple[float, float, float], turns: float) -> None:
    picture(PART, before, scale, (0, 0, 0), turns)


def test_the_centre_is_where_the_block_says_or_where_the_tool_stands() -> None:
    assert ends("G0 X10 Y10|G51 X20 Y0 P2000|G1 X30 Y5 F100|M30")[1:] == [(40, 10, 0)]
    assert ends("G0 X10 Y10|G51 P2000|G1 X30 Y5 F100|M30")[1:] == [(50, 0, 0)]
    assert ends("G0 X10 Y10|G51.1 X50|G1 X30 Y5 F100|M30")[1:] == [(70, 5, 0)]
    assert ends("G0 X10 Y10|G91 G51.1 X5|G90 G1 X30 Y5 F100|M30")[1:] == [(0, 5, 0)]


def test_nothing_moves_when_it_is_switched_on_or_off() -> None:
    program = "G0 X10 Y10|G51.1 X50|G91 X1|G50.1|X1|G51 X0 Y0 P3000|X1|G50|X1|M30"
    assert ends(program) == [(10, 10, 0), (9, 10, 0), (10, 10, 0), (13, 10, 0), (14, 10, 0)]


def test_axes_are_mirrored_and_freed_one_by_one() -> None:
    program = "G51.1 X0|G51.1 Y10|G1 X5 Y3 F100|G50.1 X0|X5 Y4|G50.1 Y0|X5 Y5|M30"
    assert ends(program) == [(-5, 17, 0), (5, 16, 0), (5, 5, 0)]


@pytest.mark.parametrize(("mirror", "scale"), [("X0", (-1, 1, 1)), ("Y0", (1, -1, 1)), ("X0 Y0", (-1, -1, 1))])
def test_the_cutter_goes_on_the_other_side_of_a_mirrored_contour(mirror: str, scale: tuple[float, float, float]) -> None:
    picture("T3 M6|" + BESIDE, f"G51.1 {mirror}", scale, (0, 0, 0), scale[0] * scale[1])


def test_the_cutter_is_not_scaled() -> None:
    assert ends("T3 M6|G51 X0 Y0 P2000|G41 D3 G1 X20 Y0 F100|X40|M30") == [(40, 3, 0), (80, 3, 0)]


def test_a_peck_is_as_deep_as_it_says_and_the_hole_is_scaled() -> None:
    program = "G0 Z10|G51 X0 Y0 Z0 P2000|G83 X10 Y5 Z-5 R1 Q4 F100|M30"
    holes = [end for end in ends(program)[1:] if end[2] < 2.0]
    assert {end[:2] for end in holes} == {(20, 10)}
    assert [end[2] for end in holes if end[2] in (-2, -6, -10)] == [-2, -6, -10]
    gap = FANUC.peck_clearance_mm
    assert [end[2] for end in holes if end[2] not in (-2, -6, -10)] == pytest.approx([-2 + gap, -6 + gap])


def arc_and_rest(text: str) -> list[Move]:
    moves, alarm = run(text + "|M30")
    assert alarm is None, alarm
    return [move for move in moves if move.kind in MOTION]


def test_under_two_factors_an_arc_stays_one_and_the_rest_is_straight() -> None:
    _, arc, rest = arc_and_rest("G51 X0 Y0 I2. J1.|G0 X10|G3 X0 Y10 I-10 F100")
    assert (arc.kind, rest.kind) == ("arc", "feed")
    assert arc.centre == pytest.approx((0, 0, 0), abs=1e-9)
    assert arc.end == pytest.approx((0, 20, 0), abs=1e-9)
    assert rest.end == pytest.approx((0, 10, 0), abs=1e-9)
    # By R: the larger factor makes the radius, and the arc leads to its end.
    _, arc = arc_and_rest("G51 X0 Y0 I2. J1.|G0 X10|G3 X0 Y10 R10 F100")
    assert arc.end == pytest.approx((0, 10, 0), abs=1e-9)
    assert arc.centre is not None
    assert math.dist(arc.end, arc.centre) == pytest.approx(20)


def test_a_negative_factor_is_a_mirror() -> None:
    picture("G1 X10 Y5 F300|G2 X20 Y15 R10|G3 X30 Y5 I10 J0|G1 X3 Y1|", "G51 I-1. J1. K1.", (-1, 1, 1), (0, 0, 0), -1)


@pytest.mark.parametrize(
    ("program", "alarm"),
    [
        ("G51 P0|M30", ("PS0142", 1)), ("G51 X0 I0 J1.|M30", ("PS0142", 1)), ("G51 P20000000|M30", ("PS0142", 1)),
        ("G51 P2. I2.|M30", ("PS0142", 1)), ("T3 M6|G41 D3 G1 X20 F100|G51 P2000|M30", ("PS0141", 3)),
        ("G68 X0 Y0 R5|G51 P2000|M30", ("PS0412", 2)), ("G51 P2000|G51.1 X0|M30", ("PS0412", 2)),
        ("G51.1 X0|G68 X0 Y0 R5|G50.1|M30", ("PS0412", 3)), ("G51 P2000|G68 X0 Y0 R5|G50|M30", ("PS0412", 3)),
        ("G51 X0 G68 Y0 R3|M30", ("PS0010", 1)),
    ],
)  # fmt: skip
def test_what_is_refused(program: str, alarm: tuple[str, int]) -> None:
    assert alarm_of(program) == alarm


def test_linuxcnc_knows_none_of_them() -> None:
    for code in ("G51 P2", "G51.1 X0", "G60 X5"):
        assert alarm_of(f"{code}|M2", dialect="linuxcnc") == ("PS0010", 1)


def test_without_a_point_lengths_and_factors_are_in_thousandths() -> None:
    thousandths = dataclasses.replace(FANUC, increment_mm=0.001)
    for dialect in (FANUC, thousandths):
        assert ends("G51 X0 I1500 J2000|G1 X10. Y10. F100|M30", dialect=dialect) == [(15, 20, 0)]
    assert ends("#1=1500|G51 X0 P#1|G1 X10. Y10. F100|M30") == [(15, 15, 0)]


def test_macros_read_which_is_active() -> None:
    assert ends("G51.1 Y0|#1=#4022|G50.1|G51 P1000|#2=#4011|G50|G0 X#1 Y#2|X#4022 Y#4011|M30") == [(51.1, 51, 0), (50.1, 50, 0)]


def test_g60_positions_and_leaves_the_mode_as_it_was() -> None:
    moves, _ = run("G1 X5 F100|G60 X10|X20|M30")
    assert [(move.kind, move.end[0]) for move in moves if move.kind in MOTION] == [("feed", 5), ("rapid", 10), ("feed", 20)]
