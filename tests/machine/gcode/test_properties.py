"""What holds for every program."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opcua_server.machine.gcode import Budget, interpret_steps
from opcua_server.machine.moves import NcAlarm
from tests.machine.gcode.running import ends, run, tools

coordinate = st.floats(-500, 500).map(lambda v: round(v, 4))
points = st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=12)
PIECES = """
G0 G1 G2 G3 X1 Y-2.5 Z I5 R10 R-3 F100 G41 D3 G40 G81 #1=2 #1 [ ] G91 G68 G16 M98P2 M99 O2 WHILE[1]DO1 END1 GOTO1 N1
% ( ) / ; IF[#1EQ1]THEN G65P2A1 G10L2P1X5 G92X0 G43H1 o1|sub o1|call o1|while|[1] o1|endwhile #<a>=1 1 . - + G5.2P1
G5.3 G33K1 G76 G83Q1 SIN[ ** MOD é EXISTS[#<a>] L9999 K9999 G72Q1 G18 G66P2 G38.2 S100 M29
G71Q1 G70Q1P2 G72.1Q1D.5 M70 M72 M73 G68I1J1K0R30 G29X1 G5.1I1J1 T1 M6 M30 99999999999999999999
G51P2000 G51I2.J-1. G50 G51.1X0 G50.1 G60 ,R2 ,C1 ,R#1 ,
"""
pieces = st.sampled_from(PIECES.split()).map(lambda piece: piece.replace("|", " "))
programs = st.lists(st.lists(pieces, max_size=8).map(" ".join), max_size=25).map("\n".join)


@settings(max_examples=300)
@given(st.one_of(programs, st.text(max_size=200)), st.sampled_from(["fanuc", "linuxcnc"]))
def test_any_text_ends_or_raises_an_nc_alarm_at_one_of_its_lines(text: str, dialect: str) -> None:
    budget = Budget(blocks=3000, idle_blocks=1000)
    count = 0
    raised: NcAlarm | None = None
    try:
        for move in interpret_steps(text, dialect=dialect, tools=tools(), budget=budget):
            count += 1
            if move is not None:
                assert all(math.isfinite(v) for v in (*move.end, *move.work, move.feed))
            if count > 20_000:
                break
    except NcAlarm as alarm:
        raised = alarm
    if raised is not None:
        assert raised.number[:2] in ("PS", "MC", "EX", "OT")
        assert 1 <= raised.line <= text.count("\n") + text.count("\r") + 1


@given(points)
def test_incremental_and_absolute_programs_of_one_path_agree(path: list[tuple[float, float, float]]) -> None:
    absolute = "G90 G1 F100|" + "|".join(f"X{x:.4f} Y{y:.4f} Z{z:.4f}" for x, y, z in path) + "|M30"
    steps = [
        tuple(b - a for a, b in zip(before, after, strict=True))
        for before, after in zip([(0.0, 0.0, 0.0), *path], path, strict=False)
    ]
    incremental = "G91 G1 F100|" + "|".join(f"X{x:.4f} Y{y:.4f} Z{z:.4f}" for x, y, z in steps) + "|M30"
    for one, other in zip(ends(absolute), ends(incremental), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@given(points)
def test_an_inch_program_is_the_metric_one_times_25_4(path: list[tuple[float, float, float]]) -> None:
    body = "|".join(f"G0 X{x:.4f} Y{y:.4f} Z{z:.4f}" for x, y, z in path) + "|M30"
    for inch, metric in zip(ends("G20|" + body), ends("G21|" + body), strict=True):
        assert inch == pytest.approx(tuple(25.4 * v for v in metric), abs=1e-6)


@given(coordinate, coordinate, st.floats(0.5, 400), st.floats(0, 360), st.floats(1, 359), st.booleans())
def test_an_arc_ends_where_it_is_programmed_and_keeps_its_radius(
    x: float, y: float, radius: float, from_deg: float, sweep_deg: float, clockwise: bool
) -> None:
    sign = -1 if clockwise else 1
    end_deg = from_deg + sign * sweep_deg
    centre = (x - radius * math.cos(math.radians(from_deg)), y - radius * math.sin(math.radians(from_deg)))
    aim = (centre[0] + radius * math.cos(math.radians(end_deg)), centre[1] + radius * math.sin(math.radians(end_deg)))
    program = (
        f"G0 X{x:.6f} Y{y:.6f}|G{2 if clockwise else 3} X{aim[0]:.6f} Y{aim[1]:.6f} "
        f"I{centre[0] - x:.6f} J{centre[1] - y:.6f} F100|M30"
    )
    moves, alarm = run(program)
    assert alarm is None
    move = next(m for m in moves if m.kind == "arc")
    assert move.end[:2] == pytest.approx(aim, abs=1e-5)
    assert move.centre is not None
    assert math.dist(move.centre[:2], move.end[:2]) == pytest.approx(radius, abs=1e-4)
    assert move.turns * 360 == pytest.approx(sign * sweep_deg, abs=0.01)


@given(st.integers(1, 200))
def test_a_caller_gets_control_at_least_every_256_blocks(idle: int) -> None:
    text = "N1 #100=#100+1\nGOTO1\n" + "\n" * idle
    steps = interpret_steps(text)
    assert [next(steps) for _ in range(5)] == [None] * 5


def test_a_long_run_of_digits_is_refused_at_once() -> None:
    _, alarm = run("G0 X" + "1" * 200_000 + "!|M30", dialect="linuxcnc")
    assert alarm is not None


def test_deep_brackets_are_an_alarm_and_not_a_crash() -> None:
    _, alarm = run("G0 X" + "[" * 50_000 + "1" + "]" * 50_000 + "|M30")
    assert alarm is not None
    assert alarm.number == "PS0118"


def test_a_long_sum_is_computed() -> None:
    assert ends("#1=1" + "+1" * 20_000 + "|G0 X#1|M30") == [(20_001, 0, 0)]
