"""Codes that shift, turn or leave the program's coordinates, with results worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest

from opcua_server.machine.gcode import FANUC
from tests.machine.gcode.running import alarm_of, ends, run

INCREMENTAL_R = dataclasses.replace(FANUC, rotation_r_incremental=True)


def test_g29_returns_over_the_intermediate_point() -> None:
    assert ends("G0 X5 Y5 Z5|G28 X20 Y10|G29 X30 Y40|M30")[1:] == [(20, 10, 5), (0, 0, 5), (20, 10, 5), (30, 40, 5)]


def test_g29_goes_over_the_axes_it_names_and_counts_from_the_intermediate_point() -> None:
    assert ends("G0 X5 Y5|G28 X20 Y10|G91 G29 X3|M30")[-2:] == [(20, 0, 0), (23, 0, 0)]


def test_g29_without_an_intermediate_point_is_an_alarm() -> None:
    assert alarm_of("G0 X5|G29 X1|M30") == ("PS0305", 2)


def test_g53_is_passed_over_in_incremental_mode() -> None:
    assert ends("G54 G0 X5|G91 G53 X40|G90 G53 X30|M30") == [(5, 0, 0), (30, 0, 0)]
    assert alarm_of("G0 X5|G91 G53 X40|M2", dialect="linuxcnc") == ("PS0010", 2)


def test_the_angle_of_g68_is_absolute_unless_the_parameter_says_otherwise() -> None:
    program = "G68 X0 Y0 R30|G91 G68 X0 Y0 R60|G90 G0 X10|M30"
    half, root = 5.0, round(5.0 * math.sqrt(3.0), 9)
    assert ends(program) == [(half, root, 0)]
    assert ends(program, dialect=INCREMENTAL_R) == [(0, 10, 0)]


def test_g68_with_a_direction_turns_in_space() -> None:
    # A quarter turn about X: the program's Y is the machine's Z, and its Z the machine's -Y.
    program = "G0 X1 Y2 Z3|G68 X1 Y2 Z3 I1 J0 K0 R90|G0 X2 Y4 Z10|G69|G0 X0 Y0 Z0|M30"
    assert ends(program)[1:] == [(2, -5, 5), (0, 0, 0)]


def test_a_second_turn_in_space_stands_within_the_first() -> None:
    program = "G68 X0 Y0 Z0 I1 J0 K0 R90|G68 X10 Y0 Z0 I0 J0 K1 R90|G0 X11 Y0 Z0|M30"
    # Within the first turn (10, 1, 0), which is (10, 0, 1) on the machine.
    assert ends(program) == [(10, 0, 1)]


def test_an_arc_in_a_tilted_plane_has_its_normal_and_centre() -> None:
    moves, alarm = run("G68 X0 Y0 Z0 I1 J0 K0 R90|G3 X0 Y10 I-5 J5 F100|M30")
    assert alarm is None
    (arc,) = (move for move in moves if move.kind == "arc")
    assert arc.normal == pytest.approx((0, -1, 0), abs=1e-12)
    assert arc.centre == pytest.approx((-5, 0, 5), abs=1e-9)
    assert arc.end == pytest.approx((0, 0, 10), abs=1e-9)


def test_a_drilling_cycle_follows_a_tilted_plane() -> None:
    drilled = ends("G68 X0 Y0 Z0 I1 J0 K0 R90|G81 X1 Y2 Z-5 R1 F100|M30")
    assert (1, 5, 2) in drilled


def test_cutter_compensation_in_a_tilted_plane_is_refused() -> None:
    assert alarm_of("G68 X0 Y0 Z0 I1 J0 K0 R90|G41 D1 G1 X5 F100|M30") == ("PS0037", 2)


def test_reference_return_leaves_the_other_axes_of_a_turned_work_system_alone() -> None:
    # LinuxCNC, G54 turned by 90 degrees: its X is the machine's Y.
    moved = ends("G10 L2 P1 R90|G0 X5 Y7|G28 X6|M2", dialect="linuxcnc")
    assert moved == [(-7, 5, 0), (-7, 6, 0), (-7, 0, 0)]


def test_a_row_of_polar_holes_turns_with_each_repeat() -> None:
    drilled = ends("G0 X10 Y0|G91 G81 ^90 R0 Z-1 L2 F100|M2", dialect="linuxcnc")
    assert {(x, y) for x, y, z in drilled if z == -1.0} == {(0, 10), (-10, 0)}


def test_a_tool_offset_given_in_the_block_moves_nothing() -> None:
    assert ends("G0 X1|G43.1 Z5|G0 Z0|M2", dialect="linuxcnc") == [(1, 0, 0), (1, 0, 5)]


def test_cycles_retract_to_r_in_linuxcnc_and_to_the_initial_level_in_fanuc_unless_told() -> None:
    cycle = "G0 Z10|G81 X1 Z-2 R1 F100|{end}"
    assert ends(cycle.format(end="M2"), dialect="linuxcnc")[-1] == (1, 0, 1)
    assert ends(cycle.format(end="M30"))[-1] == (1, 0, 10)


def test_linuxcnc_has_one_offset_for_g52_and_g92() -> None:
    program = "G21 G90|G0 X1 Y2 Z3|G92 X5 Y0|G52 X-1|G0 X7 Y7|G92.1|X7|M2"
    assert ends(program, dialect="linuxcnc") == [(1, 2, 3), (6, 9, 3), (7, 9, 3)]


def test_linuxcnc_s_5403_is_the_loaded_tool_s_length_in_force_or_not() -> None:
    assert ends("G21 G90|T3 M6|G0 X#5403|G43 H5|G0 X[#5403+1] Z60|M2", dialect="linuxcnc") == [(103, 0, 0), (104, 0, 165)]


def test_linuxcnc_forgets_the_feed_with_its_mode() -> None:
    assert alarm_of("G21 G90 F100|G1 X1|G94|G1 X2|M2", dialect="linuxcnc") == ("PS0011", 4)
    assert alarm_of("G21 G90|G95 F1|G1 X1|M2", dialect="linuxcnc") == ("PS0011", 3)
    assert ends("G21 G90|M3 S100|G95 F1|G1 X1|M2", dialect="linuxcnc") == [(1, 0, 0)]
