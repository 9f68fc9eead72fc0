"""Which alarm a bad block raises, where, and that blocks before it are executed."""

from __future__ import annotations

import pytest

from opcua_server.machine.gcode import Limits
from tests.machine.gcode.running import alarm_of, run

BAD_BLOCKS = {
    "G200 X1": "PS0010",
    "G1 X F100": "PS0005",
    "G1 X123456789. F100": "PS0003",
    "G1 X1 F-5": "PS0006",
    "G1 X--5 F100": "PS0006",
    "G1 X1.2.3 F100": "PS0007",
    "T1.5 M6": "PS0007",
    "M3.5": "PS0007",
    "12 G1": "PS0004",
    "G1 X1 W5 F100": "PS0009",
    "G1 X1": "PS0011",
    "G2 X20 I8 J0 F100": "PS0020",
    "G2 X10 K5 F100": "PS0021",
    "G2 X10 Y10 F100": "PS0022",
    "G2 X50 R10 F100": "PS0020",
    "G43 H999 Z5": "PS0030",
    "G10 L10 P1": "PS0031",
    "G83 X1 Z-5 R1 F100": "PS0045",
    "M98 P7777": "PS0076",
    "M98": "PS0076",
    "#1=5/0": "PS0112",
    "#1=[5": "PS0118",
    "#1=5+": "PS0114",
    "#1=SQRT[-1]": "PS0119",
    "#1=ACOS[2]": "PS0119",
    "#1=LN[0]": "PS0119",
    "#1=FOO[1]": "PS0199",
    "#999999=1": "PS0115",
    "#0=1": "PS0116",
    "#5041=1": "PS0116",
    "X[1+[2": "PS0118",
    "GOTO777": "PS0128",
    "WHILE[1EQ1]DO1": "PS0124",
    "END1": "PS0124",
    "WHILE[1EQ1]DO4": "PS0126",
    "IF[1EQ1]G0X1": "PS0125",
    "WHILE[1EQ1]DO1 G0X1": "PS0127",
    "G1 X1 #1=5 F100": "PS0127",
    "T99 M6": "EX1001",
    "M29 S0": "PS0203",
    "G31 G41 D1 X5 F100": "PS0035",
    "G1 X1 (open": "PS0009",
}


@pytest.mark.parametrize(("block", "number"), BAD_BLOCKS.items())
def test_a_bad_block_raises_its_alarm_after_the_moves_before_it(block: str, number: str) -> None:
    moves, alarm = run(f"%|O1|G0 X1 Y2|{block}|M30|%")
    assert alarm is not None
    assert (alarm.number, alarm.line, alarm.program) == (number, 4, "O0001")
    assert [m.end for m in moves if m.kind == "rapid"] == [(1.0, 2.0, 0.0)]


def test_a_program_without_an_end_is_alarm_5010_after_its_last_move() -> None:
    moves, alarm = run("G0 X1")
    assert alarm is not None
    assert alarm.number == "PS5010"
    assert len(moves) == 1


def test_soft_limits_stop_a_block_on_either_side_before_it_moves() -> None:
    limits = Limits((-10.0, -10.0, -10.0), (10.0, 10.0, 10.0))
    assert alarm_of("G0 X11|M30", limits=limits) == ("OT0500", 1)
    assert alarm_of("G91 G0 Z-6|G1 Z-6 F100|M30", limits=limits) == ("OT0501", 2)
    assert alarm_of("G0 Z5|G81 X1 Z-20 R1 F100|M30", limits=limits) == ("OT0501", 2)


def test_without_limits_there_is_no_overtravel() -> None:
    _, alarm = run("G0 Z-99999|M30")
    assert alarm is None
