"""LinuxCNC's lathe roughing G71 and G72 along a contour of straight lines, given as a subroutine (Q).

    G72:   S---------------------> .      passes across, one depth of cut I further each time, from the approach S-P1
           |---------------------> .      to where the contour is met; out by R, back, down the approach
           P1______                .
                   \\______________ Pn    the last pass follows the contour and closes at the starting level

Contours with arcs, pockets, or a finishing allowance D are alarm PS0010: this is a mill, which only needs what a turned part's
simple program asks for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.blocks import Parser
from opcua_server.machine.gcode.motion import cutting_feed
from opcua_server.machine.gcode.program import Program
from opcua_server.machine.gcode.state import State
from opcua_server.machine.moves import Move

ROUGHING = {710: 0, 720: 1}
"""Code, and whether the passes go along X (facing) rather than along Z."""
MOST_PASSES = 10_000
Place = tuple[float, float]
"""Along the pass, and across it (the level); mm."""


def roughing(state: State, program: Program, parser: Parser, code: int, words: dict[str, float]) -> Iterator[Move]:
    """The moves of a G71 or G72 block. Raises what speaks against it before the first of them."""
    if code not in ROUGHING:
        raise BlockFault("PS0010", f"G{code / 10:g}")
    if state.plane != 180 or not state.absolute or state.compensation is not None:
        raise BlockFault("PS0021", "a contour cycle needs G18, G90 and G40")
    if "Q" not in words:
        raise BlockFault("PS0009", "a contour cycle without Q")
    unit = state.unit
    if words.get("D", 0.0) or words.get("U", 0.0) or words.get("W", 0.0):
        raise BlockFault("PS0010", "a contour cycle with an allowance")
    facing = code == 720
    x, z = words.get("X", state.x / unit) * unit, words.get("Z", state.z / unit) * unit
    start = (x, z) if facing else (z, x)
    contour = _contour(program, parser, str(round(words["Q"])), (x, z), unit, facing=facing)
    step, escape = words.get("I", 1.0) * unit, words.get("R", 0.5) * unit
    if step <= 0.0 or escape < 0.0:
        raise BlockFault("PS0009", "I and R of a contour cycle")
    if abs(contour[0][1] - start[1]) / step > MOST_PASSES:
        raise BlockFault("PS0009", "I too small")
    down = 1.0 if contour[0][1] > start[1] else -1.0
    levels = [place[1] * down for place in (start, *contour)]
    along = [place[0] for place in contour]
    forth = 1.0 if along[-1] > along[0] else -1.0
    if any((b - a) * forth < 0.0 for a, b in itertools.pairwise(along)) or max(levels) > levels[1]:
        raise BlockFault("PS0010", "a contour with a pocket")
    cutting_feed(state, 1.0)
    return _cut(state, start, contour, step, escape, facing=facing)


def _contour(program: Program, parser: Parser, name: str, at: Place, unit: float, *, facing: bool) -> list[Place]:
    """The contour's points after the start: (along the pass, level)."""
    places = program.labels(name)
    begin = next((index for index, word in places if word == "sub"), None)
    end = next((index for index, word in places if word == "endsub"), None)
    if begin is None or end is None:
        raise BlockFault("PS0078", f"O{name}")
    x, z = at
    points: list[Place] = []
    for line in program.lines[begin + 1 : end]:
        block = parser.parse(line)
        if block.computed or any(code not in (0, 10) for code in block.g):
            raise BlockFault("PS0010", "a contour of other than straight lines")
        if "X" in block.words or "Z" in block.words:
            x, z = block.words.get("X", x / unit) * unit, block.words.get("Z", z / unit) * unit
            points.append((x, z) if facing else (z, x))
    if not points:
        raise BlockFault("PS0058", "an empty contour")
    return points


def _cut(state: State, start: Place, contour: list[Place], step: float, escape: float, *, facing: bool) -> Iterator[Move]:
    def go(rapid: bool, along: float, level: float) -> Iterator[Move]:
        end = (along, state.y, level) if facing else (level, state.y, along)
        out: list[Move] = []
        state.emit(out, "rapid" if rapid else "feed", state.to_work(end), 0.0 if rapid else state.feed)
        state.x, state.y, state.z = end
        return iter(out)

    first, last = contour[0], contour[-1]
    down = 1.0 if first[1] > start[1] else -1.0
    yield from go(True, *start)
    yield from go(True, *start)
    level = start[1]
    while (first[1] - level) * down > 1e-6:
        share = (level - start[1]) / (first[1] - start[1])
        entry = start[0] + (first[0] - start[0]) * share
        meet = _meet(contour, level, down)
        distance = abs(meet - entry)
        if distance > 1e-6:
            back = escape * min(1.0, distance / 2.0 / escape) if escape else 0.0
            forth = 1.0 if meet > entry else -1.0
            yield from go(True, entry, level)
            yield from go(False, meet, level)
            yield from go(True, meet - forth * back, level - down * back)
            yield from go(True, entry + forth * back, level - down * back)
            yield from go(True, entry, level)
        level += down * step
    yield from go(True, *first)
    for place in contour[1:]:
        yield from go(False, *place)
    if (last[1] - start[1]) * down > 0.0:
        yield from go(False, last[0], start[1])


def _meet(contour: list[Place], level: float, down: float) -> float:
    """How far along a pass at that level comes: to the contour, else to where it closes upwards."""
    for (a, la), (b, lb) in itertools.pairwise(contour):
        if (la - level) * down > 0.0 >= (lb - level) * down:
            return a + (b - a) * (level - la) / (lb - la)
    return contour[-1][0]
