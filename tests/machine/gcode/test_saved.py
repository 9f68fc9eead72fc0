"""M70 to M73: modal state kept for a level of subprogram."""

from __future__ import annotations

from tests.machine.gcode.running import alarm_of, ends


def test_what_was_kept_comes_back() -> None:
    program = "G21 G90|G0 X5|M70|G20 G91|G0 X1|M72|G0 X10|M2"
    assert ends(program, dialect="linuxcnc") == [(5, 0, 0), (30.4, 0, 0), (10, 0, 0)]


def test_a_subroutine_may_have_its_caller_find_all_as_it_was() -> None:
    program = "o1 sub|M73|G91|G0 X1|o1 endsub|G90 G0 X5|o1 call|G0 X7|M2"
    assert ends(program, dialect="linuxcnc") == [(5, 0, 0), (6, 0, 0), (7, 0, 0)]


def test_what_was_forgotten_cannot_be_brought_back() -> None:
    assert alarm_of("M70|M71|M72|M2", dialect="linuxcnc") == ("PS0010", 3)


def test_a_spline_leaves_the_motion_mode_as_it_was() -> None:
    moved = ends("G0 X1|G5.1 X3 Y2 I1 J1 F100|X5|M2", dialect="linuxcnc")
    assert moved[-2:] == [(3, 2, 0), (5, 2, 0)]


def test_forgetting_what_was_never_kept_is_nothing() -> None:
    assert ends("M71|G0 X1|M2", dialect="linuxcnc") == [(1, 0, 0)]


def test_bringing_back_switches_g92_as_it_was_but_keeps_its_values() -> None:
    assert ends("G21 G90|G0 X1|M70|G92 X3|M72|G0 X7|M2", dialect="linuxcnc")[-1] == (7, 0, 0)
    assert ends("G21 G90|G0 X1|G92 X3|M70|G92 X-1|M72|G0 X7|M2", dialect="linuxcnc")[-1] == (9, 0, 0)
