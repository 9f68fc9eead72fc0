"""Lines of NC program interpreted per CPU second, over programs given on the command line or one made here.

python benchmarks/gcode_speed.py [FILE ...]
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

from opcua_server.machine.gcode import interpret
from opcua_server.machine.gcode.trace import TRAVEL, trace_tools
from opcua_server.machine.moves import NcAlarm

MADE_LINES = 60_000


def made_program() -> str:
    """A finishing pass as CAM writes it: short straight moves, now and then an arc and a new feed."""
    lines = ["%", "O0001", "G21 G17 G40 G49 G80 G90 G94 G54", "T1 M6", "S8000 M3", "G43 H1 Z5.", "G1 Z0 F500."]
    for k in range(MADE_LINES):
        angle = k * 0.01
        x, y, z = 50.0 * math.cos(angle), 50.0 * math.sin(angle), -0.0001 * k
        if k % 40 == 0:
            lines.append(f"G1 X{x:.3f} Y{y:.3f} F{500 + k % 7}.")
            lines.append(f"G2 X{x + 1.0:.3f} I0.5 J0.")
        else:
            lines.append(f"{'G1 ' if k % 40 == 1 else ''}X{x:.3f} Y{y:.3f} Z{z:.4f}")
    lines += ["G0 Z50.", "M30", "%"]
    return "\n".join(lines)


def measure(name: str, text: str) -> tuple[int, float]:
    """Lines of the text, and the CPU seconds it took."""
    begin = time.process_time()
    moves = 0
    try:
        for _ in interpret(text, name=name, tools=trace_tools(), limits=TRAVEL):
            moves += 1
    except NcAlarm as alarm:
        print(f"{name}: {alarm.number} at line {alarm.line}")
    seconds = time.process_time() - begin
    lines = text.count("\n") + 1
    print(f"{name}: {lines} lines, {moves} moves, {seconds:.3f} s CPU, {lines / seconds:,.0f} lines per CPU second")
    return lines, seconds


def main() -> None:
    programs = [(path.name, path.read_text(encoding="utf-8", errors="replace")) for path in map(Path, sys.argv[1:])]
    total_lines, total_seconds = 0, 0.0
    for name, text in programs or [("made here", made_program())]:
        lines, seconds = measure(name, text)
        total_lines += lines
        total_seconds += seconds
    print(f"in all: {total_lines / total_seconds:,.0f} lines per CPU second")


if __name__ == "__main__":
    main()
