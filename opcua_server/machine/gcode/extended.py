"""Motion codes of LinuxCNC's dialect beyond G0-G3: threading, probing, splines; and FANUC's G33.

    G5   cubic:     start, start + (I, J), end + (P, Q), end        G5.1 quadratic: start, start + (I, J), end
    G5.2 P L / X Y P ... / G5.3   NURBS: control points with weights, of order L

Every spline is a NURBS on the clamped uniform knots 0 0 0 1 2 .. n n n and is given out as 15 straight pieces a control point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.motion import cutting_feed, target
from opcua_server.machine.gcode.refused import standing_spindle
from opcua_server.machine.gcode.state import ControlPoint, State
from opcua_server.machine.moves import Move, Point

PIECES_PER_POINT = 15
MOST_CONTROL_POINTS = 10_000
MOST_PASSES = 10_000
RETURN_STROKE = "return stroke"


def move(state: State, out: list[Move], code: int, words: dict[str, float]) -> Iterator[Move] | None:
    """The moves of one block in one of these modes."""
    if state.compensation is not None:
        raise BlockFault("PS0037", f"G{code / 10:g} in cutter compensation")
    if code in (330, 331):
        _synchronised(state, out, words, there_and_back=code == 331)
    elif 382 <= code <= 385:
        _probe(state, out, words, must_move=code == 382)
    elif code == 52:
        _control_point(state, words)
    elif code == 760:
        return _threading(state, words)
    else:
        raise BlockFault("PS0010", f"G{code / 10:g}")
    return None


def _synchronised(state: State, out: list[Move], words: dict[str, float], *, there_and_back: bool) -> None:
    """G33 K: one stroke in step with the spindle. G33.1 K: rigid tapping, in and out again."""
    standing_spindle(state)
    pitch = words.get("F", state.feed / state.unit) if state.dialect.macro_b else words.get("K", 0.0)
    if pitch <= 0.0:
        raise BlockFault("PS0011", "pitch")
    start = (state.x, state.y, state.z)
    end = target(state, words)
    if there_and_back:
        state.emit(out, "tap", state.to_work(end), state.feed)
        state.emit(out, "tap", state.to_work(start), state.feed, text=RETURN_STROKE)
        return
    feed = state.feed
    if state.dialect.macro_b:
        # F is the lead: the axis follows the spindle, and stands beside one that stands.
        feed = pitch * state.unit * state.speed
        if feed <= 0.0:
            raise BlockFault("PS0011", "G33 without S")
    first = len(out)
    if state.dialect.macro_b and state.thread_begins:
        state.emit_still(out, "index")
        state.thread_begins = False
    state.emit(out, "feed", state.to_work(end), feed)
    out[first:] = [replace(one, thread="in") for one in out[first:]]  # no override acts, and a hold waits for the block after it
    state.x, state.y, state.z = end


def _probe(state: State, out: list[Move], words: dict[str, float], *, must_move: bool) -> None:
    from opcua_server.machine.gcode.execute import probe_to

    end = target(state, words)
    work = state.to_work(end)
    length = math.dist(state.work_now(), work)
    if must_move and length < 0.254:
        raise BlockFault("PS0009", "probing from closer than 0.254 mm")
    probe_to(state, out, state.machine_now(), work, cutting_feed(state, length))


# Splines


def spline(state: State, words: dict[str, float], *, cubic: bool) -> Iterator[Move]:
    """G5 and G5.1."""
    if state.compensation is not None:
        raise BlockFault("PS0037", "G5 in cutter compensation")
    if state.plane != 170:
        raise BlockFault("PS0021")
    unit = state.unit
    end = target(state, words)
    i, j = words.get("I"), words.get("J")
    if cubic:
        p, q = words.get("P"), words.get("Q")
        if p is None or q is None:
            raise BlockFault("PS0022", "P and Q of G5")
        if (i is None) != (j is None):
            raise BlockFault("PS0022", "I and J of G5")
        first = (-state.spline_tail[0], -state.spline_tail[1])
        if i is not None and j is not None:
            first = (i * unit, j * unit)
        state.spline_tail = (p * unit, q * unit)
        points: list[ControlPoint] = [
            (state.x, state.y, 1.0),
            (state.x + first[0], state.y + first[1], 1.0),
            (end[0] + p * unit, end[1] + q * unit, 1.0),
            (end[0], end[1], 1.0),
        ]
    else:
        if not i and not j:
            raise BlockFault("PS0022", "I and J of G5.1")
        points = [
            (state.x, state.y, 1.0),
            (state.x + (i or 0.0) * unit, state.y + (j or 0.0) * unit, 1.0),
            (end[0], end[1], 1.0),
        ]
    cutting_feed(state, 1.0)
    return _nurbs(state, points, len(points))


def _control_point(state: State, words: dict[str, float]) -> None:
    """One block of G5.2."""
    weight = words.get("P", 1.0)
    if weight <= 0.0:
        raise BlockFault("PS0009", "P of G5.2")
    if not state.control_points:
        order = round(words.get("L", 3.0))
        if not 2 <= order <= 100:
            raise BlockFault("PS0009", "L of G5.2")
        state.spline_order = order
        state.control_points.append((state.x, state.y, weight))
    if "X" in words or "Y" in words:
        if not ("X" in words and "Y" in words):
            raise BlockFault("PS0022", "X and Y of a control point")
        end = target(state, words)
        if len(state.control_points) >= MOST_CONTROL_POINTS:
            raise BlockFault("PS0009", "too many control points")
        state.control_points.append((end[0], end[1], weight))


def finish_nurbs(state: State) -> Iterator[Move]:
    """G5.3: the curve through what G5.2 gathered."""
    points, state.control_points = state.control_points, []
    if len(points) < state.spline_order:
        raise BlockFault("PS0009", f"{len(points)} control points for order {state.spline_order}")
    cutting_feed(state, 1.0)
    return _nurbs(state, points, state.spline_order)


def _nurbs(state: State, points: list[ControlPoint], order: int) -> Iterator[Move]:
    spans = len(points) - order + 1
    knots = [0.0] * order + [float(k) for k in range(1, spans)] + [float(spans)] * order
    pieces = PIECES_PER_POINT * len(points)
    z = state.z
    for piece in range(1, pieces + 1):
        if piece == pieces:
            x, y = points[-1][0], points[-1][1]
        else:
            x, y = _point_of(points, order, knots, spans * piece / pieces)
        end: Point = (x, y, z)
        out: list[Move] = []
        work = state.to_work(end)
        state.emit(out, "feed", work, cutting_feed(state, math.dist(state.work_now(), work)))
        state.x, state.y, state.z = end
        yield from out


def _point_of(points: list[ControlPoint], order: int, knots: list[float], u: float) -> tuple[float, float]:
    """De Boor's algorithm on weighted points."""
    span = min(int(u), len(points) - order)
    degree = order - 1
    near = [(x * w, y * w, w) for x, y, w in points[span : span + order]]
    base = span + degree
    for level in range(1, order):
        for j in range(degree, level - 1, -1):
            low = knots[base - degree + j]
            high = knots[base + 1 + j - level]
            share = 0.0 if high == low else (u - low) / (high - low)
            near[j] = (
                near[j - 1][0] + (near[j][0] - near[j - 1][0]) * share,
                near[j - 1][1] + (near[j][1] - near[j - 1][1]) * share,
                near[j - 1][2] + (near[j][2] - near[j - 1][2]) * share,
            )
    x, y, weight = near[degree]
    return (x / weight, y / weight)


# Threading


def _threading(state: State, words: dict[str, float]) -> Iterator[Move]:
    """LinuxCNC's G76 in G18: passes of falling depth along Z, at the compound slide's angle, with tapered ends."""
    if state.plane != 180:
        raise BlockFault("PS0021")
    unit = state.unit
    for address in "IJKP":
        if address not in words:
            raise BlockFault("PS0009", f"G76 without {address}")
    peak, first_cut, height = (abs(words[a]) * unit for a in "IJK")
    if first_cut <= 0.0 or height <= 0.0 or words["P"] <= 0.0:
        raise BlockFault("PS0009", "J, K and P of G76 are above zero")
    if (height / first_cut) ** max(words.get("R", 1.0), 1.0) > MOST_PASSES:
        raise BlockFault("PS0009", "too many passes")
    spring = round(words.get("H", 0.0))
    if not 0 <= spring <= MOST_PASSES:
        raise BlockFault("PS0009", "H")
    return _passes(state, words, target(state, words), peak, first_cut, height, spring)


def _passes(
    state: State,
    words: dict[str, float],
    end: Point,
    peak: float,
    first_cut: float,
    height: float,
    spring: int,
) -> Iterator[Move]:
    outwards = 1.0 if words["I"] < 0.0 else -1.0
    fall = max(words.get("R", 1.0), 1.0)
    taper = max(words.get("E", 0.0), 0.0) * state.unit
    ends = round(words.get("L", 0.0)) if taper else 0
    slope = math.tan(math.radians(words.get("Q", 0.0)))
    safe_x, y, start_z = state.x, state.y, state.z
    bottom, last_z = peak + height, end[2] + height * slope
    depths: list[float] = []
    while (depth := peak + first_cut * (len(depths) + 1) ** (1.0 / fall)) < bottom:
        depths.append(depth)
    depths.extend([bottom] * (spring + 1))
    for depth in depths:
        shift = (depth - peak) * slope
        deep, clear = safe_x - outwards * depth, safe_x - outwards * (depth - bottom)
        half_out = deep + outwards * height
        yield from _go(state, "rapid", (clear, y, start_z - shift))
        if ends & 1:
            yield from _go(state, "rapid", (half_out, y, start_z - shift))
            yield from _go(state, "feed", (deep, y, start_z - shift - taper))
        else:
            yield from _go(state, "rapid", (deep, y, start_z - shift))
        if ends & 2:
            yield from _go(state, "feed", (deep, y, last_z - shift + taper))
            yield from _go(state, "feed", (half_out, y, last_z - shift))
        else:
            yield from _go(state, "feed", (deep, y, last_z - shift))
        yield from _go(state, "rapid", (clear, y, last_z - shift))
    yield from _go(state, "rapid", end)


def _go(state: State, kind: str, end: Point) -> Iterator[Move]:
    out: list[Move] = []
    if kind == "rapid":
        state.emit(out, "rapid", state.to_work(end))
    else:
        state.emit(out, "feed", state.to_work(end), state.feed)
    state.x, state.y, state.z = end
    return iter(out)
