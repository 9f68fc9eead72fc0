"""Canned cycles: levels, pecks, repeats, taps."""

from __future__ import annotations

import pytest

from tests.machine.gcode.running import MOTION, alarm_of, ends, run

START = "G0 X0 Y0 Z20|S500 M3|"


def heights(program: str, **settings: object) -> list[tuple[str, float]]:
    moves, alarm = run(START + program + "|M30", **settings)
    assert alarm is None, alarm
    return [(m.kind, round(m.end[2], 9)) for m in moves if m.kind in MOTION][1:]


def test_g98_returns_to_the_initial_level_and_g99_to_r() -> None:
    assert heights("G98 G81 X5 Z-3 R2 F100") == [("rapid", 20), ("rapid", 2), ("feed", -3), ("rapid", 20)]
    assert heights("G99 G81 X5 Z-3 R2 F100|G80") == [("rapid", 20), ("rapid", 2), ("feed", -3), ("rapid", 2)]


def test_last_hole_with_g98_returns_to_where_the_cycle_began() -> None:
    assert heights("G99 G81 X5 Z-3 R2 F100|G98 X9")[-1] == ("rapid", 20)


def test_deep_drilling_leaves_the_hole_after_each_peck() -> None:
    assert heights("G99 G83 X0 Z-5 R1 Q2.5 F100") == [
        ("rapid", 20), ("rapid", 1), ("feed", -1.5), ("rapid", 1), ("rapid", -1.246), ("feed", -4), ("rapid", 1),
        ("rapid", -3.746), ("feed", -5), ("rapid", 1),
    ]  # fmt: skip


def test_chip_breaking_lifts_a_little() -> None:
    assert heights("G99 G73 X0 Z-3 R1 Q2 F100") == [
        ("rapid", 20), ("rapid", 1), ("feed", -1), ("rapid", -0.746), ("feed", -3), ("rapid", 1),
    ]  # fmt: skip


def test_repeats_step_on_in_incremental_mode() -> None:
    moves, _ = run(START + "G91 G99 G81 X10 Z-5 R-18 K3 F100|M30")
    assert [m.end[0] for m in moves if m.kind == "feed"] == [10, 20, 30]
    assert {m.end[2] for m in moves if m.kind == "feed"} == {-3.0}


def test_no_repeat_keeps_the_data_and_drills_nothing() -> None:
    moves, _ = run(START + "G99 G81 X10 Z-5 R1 K0 F100|X20|M30")
    assert [m.end[0] for m in moves if m.kind == "feed"] == [20]


def test_rigid_tapping_is_two_synchronised_strokes() -> None:
    moves, _ = run(START + "M29 S500|G98 G84 X5 Z-10 R2 F500|G80|M30")
    assert [(m.kind, m.end[2]) for m in moves if m.kind in ("tap", "feed")] == [("tap", -10.0), ("tap", 2.0)]
    assert [m.turns_per_mm for m in moves if m.kind == "tap"] == [1.0, -1.0]


@pytest.mark.parametrize("tail", ["G80", "G0 X9"])
def test_after_m29_the_spindle_stands_but_in_the_holes_until_it_is_started_anew(tail: str) -> None:
    """Whatever ends the cycle ends rigid tapping, and S and M3 after it are those of a spindle again."""
    moves, _ = run(START + f"M29 S500|G99 G74 X5 Z-10 R2 F750|{tail}|S800 M3|G84 X12 Z-10 R2 F800|M30")
    spindle = [m.modal.spindle_direction for m in moves if m.kind == "spindle"]
    assert spindle[-4:] == [0, 1, -1, 1]
    assert [round(m.turns_per_mm, 9) for m in moves if m.kind == "tap"] == [round(-1 / 1.5, 9), round(1 / 1.5, 9)]


def test_floating_tap_reverses_the_spindle_at_the_bottom() -> None:
    moves, _ = run(START + "G99 G84 X5 Z-10 R2 F500|M30")
    assert [m.modal.spindle_direction for m in moves if m.kind == "spindle"][-2:] == [-1, 1]


def test_fine_boring_leaves_the_wall_before_it_draws_out() -> None:
    moves, _ = run(START + "G99 G76 X5 Z-10 R2 Q0.5 F50|M30")
    assert [(m.end[0], m.end[2]) for m in moves if m.kind in MOTION][-3:] == [(5.5, -10.0), (5.5, 2.0), (5.0, 2.0)]


@pytest.mark.parametrize("code", ["G81", "G82", "G85", "G86", "G89"])
def test_every_cycle_drills_each_named_position(code: str) -> None:
    moves, alarm = run(START + f"G99 {code} X5 Y5 Z-4 R1 P100 F100|X6|Y7|G80|G0 X0|M30")
    assert alarm is None
    assert [m.end[:2] for m in moves if m.kind == "feed" and m.end[2] == -4.0] == [(5, 5), (6, 5), (6, 7)]


def test_pecking_without_depth_of_peck_is_alarm_45() -> None:
    assert alarm_of(START + "G83 X1 Z-5 R1 F100|M30") == ("PS0045", 3)


def test_reference_return_in_a_cycle_is_alarm_44() -> None:
    assert alarm_of(START + "G81 X1 Z-5 R1 F100|G28 Z0|M30") == ("PS0044", 4)


def test_a_hole_with_a_higher_r_is_gone_to_at_that_height() -> None:
    program = "G90 G99 F100|G0 Z20|G81 X1 Z-2 R1|G82 X5 Z-2 R6 P1|{end}"
    for dialect, end in (("fanuc", "M30"), ("linuxcnc", "M2")):
        assert ends(program.format(end=end), dialect=dialect)[5:7] == [(5, 0, 6), (5, 0, -2)]


def test_fanuc_keeps_the_hole_s_data_from_cycle_to_cycle_until_g80() -> None:
    assert ends("G90 G99 F100|G81 X1 Z-5 R1|G89 X2 P100|M30")[-3:] == [(2, 0, 1), (2, 0, -5), (2, 0, 1)]
    assert alarm_of("G90 G99 F100|G81 X1 Z-5 R1|G80|G89 X2 P100|M30") == ("PS0058", 4)
    assert alarm_of("G90 G99 F100|G81 X1 Z-5 R1|G89 X2 P1|M2", dialect="linuxcnc") == ("PS0058", 3)


def test_back_boring_passes_the_hole_only_beside_its_axis() -> None:
    places = ends("G0 Z10|G87 X1 Z5 R-5 Q0.5 F50|M30")
    assert places == [
        (0, 0, 10),
        (1, 0, 10),
        (1.5, 0, 10),
        (1.5, 0, -5),
        (1, 0, -5),
        (1, 0, 5),
        (1.5, 0, 5),
        (1.5, 0, 10),
        (1, 0, 10),
    ]


def test_the_sign_of_a_peck_is_passed_over() -> None:
    assert ends("G83 X1 Z-3 R0 Q-2 F100|M30") == ends("G83 X1 Z-3 R0 Q2 F100|M30")


def test_work_zeros_of_g10_l2_end_with_g59() -> None:
    assert alarm_of("G10 L2 P7 X1|M30") == ("PS0031", 1)
    assert ends("G10 L2 P9 X1|G59.3 G0 X0|M2", dialect="linuxcnc") == [(1, 0, 0)]
