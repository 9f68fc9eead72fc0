"""What LinuxCNC refuses and a FANUC passes over."""

from __future__ import annotations

import pytest

from tests.machine.gcode.running import alarm_of, ends, run


@pytest.mark.parametrize(
    ("block", "number"),
    [
        ("X5 R3", "PS0009"),
        ("R3", "PS0009"),
        ("G1 X5 P1", "PS0009"),
        ("X5 L2", "PS0009"),
        ("X5 Q1", "PS0009"),
        ("H5", "PS0009"),
        ("G83 X1 Z-3 R2 Q1 P1", "PS0009"),
        ("G2 X5 Y0 R5 I2.5", "PS0022"),
        ("M8 M9", "PS5074"),
        ("M3 M5", "PS5074"),
        ("G9 X5", "PS0010"),
        ("G91 G53 G1 X5", "PS0010"),
        ("G33 Z-5 K1", "PS0200"),
        ("G84 X1 Z-3 R2", "PS0200"),
        ("G88 X1 Z-3 R2 P0", "PS0200"),
    ],
)
def test_words_without_a_use_stop_a_linuxcnc_program(block: str, number: str) -> None:
    assert alarm_of(f"G21 G90 G17 G1 F100 X1|{block}|M2", dialect="linuxcnc") == (number, 2)


@pytest.mark.parametrize("block", ["X5 R3", "X5 P1", "M8 M9 X5", "G9 X5", "G2 X5 Y0 R5 I2.5"])
def test_a_fanuc_passes_over_them(block: str) -> None:
    assert ends(f"G21 G90 G17 G1 F100 X1|{block}|M30")[-1][0] == 5


def test_words_that_an_m_code_uses_are_no_fault() -> None:
    moves, alarm = run("G21 G90 G1 F100 X1|M19 R90 P0|M61 Q3|M66 P0 L0|G64 P0.1 Q0.1|M3 S100|G84 X1 Z-3 R2|M2", dialect="linuxcnc")
    assert alarm is None
    assert len(moves) > 5


def test_storing_the_reference_point_leaves_the_axis_words_to_the_motion_that_holds() -> None:
    assert ends("G21 G90 G1 F100 X1|G28.1 X5 Y6|M2", dialect="linuxcnc") == [(1, 0, 0), (5, 6, 0)]


def test_an_arc_cut_back_behind_its_beginning_is_interference() -> None:
    # The short arc between two inside corners is no longer there at this radius.
    program = "G21 G90 G17 F100|G0 X0 Y0|G42 D2|G1 X-8.065 Y-15.463|G3 X-10.207 Y-10.667 R40|G1 X18.108 Y-8.631|G40|M2"
    assert alarm_of(program, dialect="linuxcnc")[0] == "PS0041"


def test_a_line_too_short_for_its_corners_is_found_at_the_next_corner_or_at_once() -> None:
    program = "G21 G90 G17 F100|G0 X0 Y0|G41 D3|G1 X20|Y1|X0|G40|M2"
    assert alarm_of(program, dialect="linuxcnc")[0] == "PS0041"
    assert alarm_of(program.replace("M2", "M30")) == ("PS0041", 5)


def test_an_entry_that_goes_nowhere_is_no_entry_in_linuxcnc() -> None:
    assert alarm_of("G21 G90 G1 F100 X1|G42 D1|X1|M2", dialect="linuxcnc") == ("PS0033", 3)
