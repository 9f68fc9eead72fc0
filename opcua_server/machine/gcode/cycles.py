"""Canned drilling, tapping and boring cycles: G73, G74, G76, G80 to G89.

    initial level ---o . . . . . . . o---   over (first, second axis) at rapid
                     :               ^
    R level       ---v               :      G98 returns to the initial level, G99 to R
                     |               :
    bottom        ---v . . . dwell . .

A cycle is a generator: a repeat count or a fine peck may ask for many thousand moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.motion import cutting_feed, target
from opcua_server.machine.gcode.refused import standing_spindle
from opcua_server.machine.gcode.state import PLANES, State
from opcua_server.machine.moves import ORIENTED_DEG, Move, MoveKind, Point

CYCLES = frozenset((730, 740, 760, 810, 820, 830, 840, 850, 860, 870, 880, 890))
MOST_REPEATS = 9999
MOST_PECKS = 100_000
KEPT = "RQPIJXYZ"


@dataclass(slots=True)
class _Hole:
    """What one stroke of a cycle needs; lengths in mm, program coordinates along the cycle's axis."""

    at: tuple[float, float]
    r: float
    bottom: float
    clear: float
    q: float
    dwell_s: float


class _Strokes:
    """Makes the moves of one cycle block; keeps the state's position in step."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.axes = PLANES[state.plane]
        self.gap = state.dialect.peck_clearance_mm / state.stretch(self.axes[2])

    def _go(self, kind: MoveKind, first: float, second: float, third: float, text: str = "") -> Iterator[Move]:
        state = self.state
        here = [state.x, state.y, state.z]
        here[self.axes[0]], here[self.axes[1]], here[self.axes[2]] = first, second, third
        end: Point = (here[0], here[1], here[2])
        out: list[Move] = []
        length = abs(end[0] - state.x) + abs(end[1] - state.y) + abs(end[2] - state.z)
        feed = 0.0 if kind == "rapid" else cutting_feed(state, length)
        state.emit(out, kind, state.to_work(end), feed, text=text)
        state.x, state.y, state.z = end
        return iter(out)

    def rapid(self, at: tuple[float, float], level: float) -> Iterator[Move]:
        return self._go("rapid", at[0], at[1], level)

    def feed(self, at: tuple[float, float], level: float, kind: MoveKind = "feed", text: str = "") -> Iterator[Move]:
        return self._go(kind, at[0], at[1], level, text)

    def tap(self, at: tuple[float, float], level: float, kind: MoveKind) -> Iterator[Move]:
        """A tapping stroke. With a floating tap holder outside G17 the reference interpreter (LinuxCNC 2.9) takes the
        axes in a shifted order; the dialects say whether to follow it. Rigid tapping (M29) never does."""
        state = self.state
        if not state.dialect.tap_axes_shifted or kind == "tap" or state.plane == 170:
            yield from self.feed(at, level, kind)
            return
        places = (level, at[0], at[1]) if state.plane == 190 else (at[1], level, at[0])
        yield from self._go(kind, *places)
        # The next stroke starts from where the cycle means to be.
        meant = [0.0, 0.0, 0.0]
        meant[self.axes[0]], meant[self.axes[1]], meant[self.axes[2]] = at[0], at[1], level
        state.x, state.y, state.z = meant

    def dwell(self, seconds: float) -> Iterator[Move]:
        out: list[Move] = []
        self.state.emit_still(out, "dwell", dwell_s=seconds)
        return iter(out)

    def spindle(self, direction: int, angle_deg: float | None = None) -> Iterator[Move]:
        """Turn it on, or let it stand: at an angle, or anywhere."""
        self.state.direction, self.state.angle_deg = direction, angle_deg
        self.state.changed()
        out: list[Move] = []
        self.state.emit_still(out, "spindle")
        return iter(out)


def cycle(state: State, words: dict[str, float], pointless: str) -> Iterator[Move]:
    """The moves of one block in the mode of a cycle. All alarms are raised before the first move is made."""
    code = state.motion
    dialect = state.dialect
    if state.compensation is not None:
        raise BlockFault("PS0037" if not dialect.macro_b else "PS0034", "canned cycle in cutter compensation")
    first, second, third = state_axes = PLANES[state.plane]
    letters = tuple("XYZ"[axis] for axis in state_axes)
    kept = state.cycle
    for address in KEPT:
        if address in words and address not in letters[:2]:
            kept[address] = words[address]
            if address == "P":
                kept["P ms"] = 1.0 if dialect.dwell_p_ms and "P" in pointless else 0.0
    depth = letters[2]
    if depth not in kept:
        raise BlockFault("PS0058", depth)
    if "R" not in kept:
        raise BlockFault("PS0022" if not dialect.macro_b else "PS0009", "R")
    unit = state.unit
    here = (state.x, state.y, state.z)
    repeats = 1
    for address in dialect.cycle_repeat:
        if address in words:
            repeats = round(words[address])
            break
    if not 0 <= repeats <= MOST_REPEATS or (repeats == 0 and not dialect.macro_b):
        raise BlockFault("PS0009", "repeat count")
    level = here[third]
    initial = state.initial_level = level if state.initial_level is None else state.initial_level
    ways = {a: v for a, v in words.items() if a != depth}
    aim = target(state, ways)
    if state.absolute:
        r, bottom = kept["R"] * unit, kept[depth] * unit
        at, step = (aim[first], aim[second]), (0.0, 0.0)
    else:
        r = kept["R"] * unit + initial
        bottom = r + kept[depth] * unit
        at = (here[first], here[second])
        step = (aim[first] - at[0], aim[second] - at[1])
    if r < bottom and code != 870:
        raise BlockFault("PS0009", "R below the bottom")
    # What a peck takes, its clearance and a shift aside are not scaled; all else is.
    stretch = state.stretch(third if code in (730, 830) else first)
    q = abs(kept.get("Q", 0.0)) * unit / stretch
    if code in (730, 830):
        if q == 0.0:
            raise BlockFault("PS0045")
        if (r - bottom) / q > MOST_PECKS:
            raise BlockFault("PS0045", "Q too small")
    if code in (740, 840, 860, 880):
        standing_spindle(state)
    if code in (740, 840) and state.rigid_tap and state.speed <= 0.0:
        raise BlockFault("PS0203")
    cutting_feed(state, 1.0)
    dwell_s = kept.get("P", 0.0) * (0.001 if kept.get("P ms") else 1.0)
    if dwell_s < 0.0:
        raise BlockFault("PS0006", "P")
    if state.limits is not None:
        for count in (1, repeats):
            check = list(here)
            check[first], check[second] = at[0] + step[0] * count, at[1] + step[1] * count
            for height in (r, bottom):
                check[third] = height
                state.check_limits(state.to_machine(state.to_work((check[0], check[1], check[2]))))
    hole = _Hole(at, r, bottom, r, q, dwell_s)
    polar = not state.absolute and (state.polar or "@" in words or "^" in words)
    if initial >= r:
        level = max(level, r)  # A tool that the hole before left below R rises to it on the way.
    return _repeat(state, code, hole, step, repeats, level, ways if polar else None)


def _repeat(
    state: State,
    code: int,
    hole: _Hole,
    step: tuple[float, float],
    repeats: int,
    level: float,
    polar: dict[str, float] | None,
) -> Iterator[Move]:
    """``polar``: words of which each repeat makes a further radius and angle, so that the holes lie on a circle or a ray."""
    strokes = _Strokes(state)
    first, second, _third = strokes.axes
    here = (state.x, state.y, state.z)
    initial = level if state.initial_level is None else state.initial_level
    if repeats and initial < hole.r:
        yield from strokes.rapid((here[first], here[second]), hole.r)
        level = initial = hole.r
    hole.clear = initial if state.retract_initial else hole.r
    for _ in range(repeats):
        if polar is not None:
            aim = target(state, polar)
            hole.at = (aim[first], aim[second])
        else:
            hole.at = (hole.at[0] + step[0], hole.at[1] + step[1])
        yield from strokes.rapid(hole.at, level)
        if level != hole.r and code != 870:
            yield from strokes.rapid(hole.at, hole.r)
        yield from _STROKE[code](strokes, hole)
        level = hole.clear


def _drill(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    yield from strokes.feed(hole.at, hole.bottom)
    yield from strokes.rapid(hole.at, hole.clear)


def _spot(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    yield from strokes.feed(hole.at, hole.bottom)
    yield from strokes.dwell(hole.dwell_s)
    yield from strokes.rapid(hole.at, hole.clear)


def _peck(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    """G83: out to R after each peck, back to just above the last depth."""
    gap = strokes.gap
    depth = hole.r - hole.q
    while depth > hole.bottom:
        yield from strokes.feed(hole.at, depth)
        yield from strokes.rapid(hole.at, hole.r)
        yield from strokes.rapid(hole.at, depth + gap)
        depth -= hole.q
    yield from strokes.feed(hole.at, hole.bottom)
    yield from strokes.rapid(hole.at, hole.clear)


def _chip_break(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    """G73: a short lift after each peck."""
    gap = strokes.gap
    depth = hole.r - hole.q
    while depth > hole.bottom:
        yield from strokes.feed(hole.at, depth)
        yield from strokes.rapid(hole.at, depth + gap)
        depth -= hole.q
    yield from strokes.feed(hole.at, hole.bottom)
    yield from strokes.rapid(hole.at, hole.clear)


def _tap(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    """G84 and G74: down, spindle reversed, up at feed. After M29 spindle and axis go in step, from stand to stand."""
    state = strokes.state
    turning = -1 if state.motion == 740 else 1
    if state.rigid_tap:
        lead_mm = turning * cutting_feed(state, 1.0) / (1.0 if state.feed_mode == 950 else state.speed)
        if state.direction:
            yield from strokes.spindle(0)
        yield from _threading(strokes.tap(hole.at, hole.bottom, "tap"), "in", lead_mm)
        yield from _threading(strokes.dwell(hole.dwell_s), "in")
        yield from _threading(strokes.tap(hole.at, hole.r, "tap"), "out", lead_mm)
        if hole.clear != hole.r:
            yield from strokes.rapid(hole.at, hole.clear)
    else:
        yield from _threading(strokes.tap(hole.at, hole.bottom, "feed"), "in")
        yield from _threading(strokes.dwell(hole.dwell_s), "in")
        yield from _threading(strokes.spindle(-turning), "in")
        yield from _threading(strokes.tap(hole.at, hole.clear, "feed"), "out")
        yield from strokes.spindle(turning)


def _threading(moves: Iterator[Move], thread: Literal["in", "out"], lead_mm: float = 0.0) -> Iterator[Move]:
    for move in moves:
        yield replace(move, thread=thread, lead_mm=lead_mm)


def _bore(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    yield from strokes.feed(hole.at, hole.bottom)
    yield from strokes.feed(hole.at, hole.r)
    yield from strokes.rapid(hole.at, hole.clear)


def _bore_dwell(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    yield from strokes.feed(hole.at, hole.bottom)
    yield from strokes.dwell(hole.dwell_s)
    yield from strokes.feed(hole.at, hole.clear)


def _bore_stop(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    """G86: the spindle stands while the tool is drawn out."""
    direction = strokes.state.direction
    yield from strokes.feed(hole.at, hole.bottom)
    yield from strokes.dwell(hole.dwell_s)
    yield from strokes.spindle(0)
    yield from strokes.rapid(hole.at, hole.clear)
    yield from strokes.spindle(direction)


def _fine_bore(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    """G76: oriented stop, the tip leaves the wall by Q along the first axis (FANUC parameter 5101 as delivered), out, back."""
    direction = strokes.state.direction
    aside = (hole.at[0] + hole.q, hole.at[1])
    yield from strokes.feed(hole.at, hole.bottom)
    yield from strokes.dwell(hole.dwell_s)
    yield from strokes.spindle(0, ORIENTED_DEG)
    if hole.q:
        yield from strokes.rapid(aside, hole.bottom)
        yield from strokes.rapid(aside, hole.clear)
    yield from strokes.rapid(hole.at, hole.clear)
    yield from strokes.spindle(direction)


def _back_bore(strokes: _Strokes, hole: _Hole) -> Iterator[Move]:
    """G87: shifted at the initial level, past the hole to R below, cut upwards to Z, shifted out again to the initial level."""
    state = strokes.state
    direction = state.direction
    top = state.initial_level if state.initial_level is not None else hole.clear
    aside = (hole.at[0] + hole.q, hole.at[1])
    yield from strokes.spindle(0, ORIENTED_DEG)
    yield from strokes.rapid(aside, top)
    yield from strokes.rapid(aside, hole.r)
    yield from strokes.rapid(hole.at, hole.r)
    yield from strokes.spindle(direction)
    yield from strokes.feed(hole.at, hole.bottom)
    yield from strokes.dwell(hole.dwell_s)
    yield from strokes.spindle(0, ORIENTED_DEG)
    yield from strokes.rapid(aside, hole.bottom)
    yield from strokes.rapid(aside, top)
    yield from strokes.rapid(hole.at, top)
    yield from strokes.spindle(direction)


_STROKE = {
    730: _chip_break,
    740: _tap,
    760: _fine_bore,
    810: _drill,
    820: _spot,
    830: _peck,
    840: _tap,
    850: _bore,
    860: _bore_stop,
    870: _back_bore,
    880: _bore_stop,
    890: _bore_dwell,
}
