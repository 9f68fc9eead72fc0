"""G0 to G3: where a block's words lead, and the arc through them.

Arc given by R: the centre lies on the perpendicular through the chord's middle, on the side that the turn and R's sign say.

           h = sqrt(r^2 - (c/2)^2)
    start -----c-----> end        G2, R > 0: centre right of the chord
              | h
              v centre
"""

from __future__ import annotations

import math

from opcua_server.machine.gcode import corners
from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.state import PLANES, State
from opcua_server.machine.moves import Move, Point

CENTRE_ADDRESSES = "IJK"
ARC_TOLERANCE_MM = {1.0: 0.02 * math.sqrt(2.0), 25.4: 0.0508 * math.sqrt(2.0)}
"""By mm per unit: a difference of start and end radius that always passes."""
ARC_TOLERANCE_MOST = 100.0
"""Times the tolerance above: a larger difference never passes; between, it may be 0.1 % of the radius."""
ARC_TOLERANCE_RELATIVE = 0.001
HALF_CHORD_TOLERANCE_MM = {1.0: 0.005, 25.4: 0.0127}
FULL_TURN_WITHIN_RAD = 1e-6
MOST_TURNS = 9999
REST_MM = 1e-6
"""An end that lies nearer to the circle lies on it."""


def target(state: State, words: dict[str, float]) -> Point:
    """Programmed end point of a block, program coordinates in mm."""
    unit = state.unit
    x, y, z = state.x, state.y, state.z
    if state.polar or "@" in words or "^" in words:
        return _polar_target(state, words)
    if state.absolute:
        if "X" in words:
            x = words["X"] * unit
            if state.diameter_mode:
                x *= 0.5
        if "Y" in words:
            y = words["Y"] * unit
        if "Z" in words:
            z = words["Z"] * unit
    else:
        if "X" in words:
            x += words["X"] * unit * (0.5 if state.diameter_mode else 1.0)
        if "Y" in words:
            y += words["Y"] * unit
        if "Z" in words:
            z += words["Z"] * unit
    return (x, y, z)


def _polar_target(state: State, words: dict[str, float]) -> Point:
    """G16: the plane's first axis is the radius, the second the angle in degrees. LinuxCNC says @ and ^ instead."""
    here = [state.x, state.y, state.z]
    first, second, third = PLANES[state.plane]
    radius = math.hypot(here[first], here[second])
    angle = math.degrees(math.atan2(here[second], here[first]))
    names = ("@", "^") if "@" in words or "^" in words else ("XYZ"[first], "XYZ"[second])
    if names[0] in words:
        radius = words[names[0]] * state.unit + (0.0 if state.absolute else radius)
    if names[1] in words:
        angle = words[names[1]] + (0.0 if state.absolute else angle)
    here[first] = radius * math.cos(math.radians(angle))
    here[second] = radius * math.sin(math.radians(angle))
    address = "XYZ"[third]
    if address in words:
        here[third] = words[address] * state.unit + (0.0 if state.absolute else here[third])
    return (here[0], here[1], here[2])


def cutting_feed(state: State, length: float) -> float:
    """Feed of a cutting move of that length, mm/min (mm/rev with G95). Raises PS0011."""
    if state.feed_mode == 930:
        if state.inverse_time <= 0.0:
            raise BlockFault("PS0011")
        return state.inverse_time * length
    if state.feed <= 0.0 and state.feed_required:
        raise BlockFault("PS0011")
    if state.feed_mode == 950 and state.speed <= 0.0 and not state.dialect.macro_b:
        raise BlockFault("PS0011", "feed per revolution without S")
    return state.feed


def straight(state: State, out: list[Move], *, rapid: bool, end: Point, corner: tuple[float, bool] | None = None) -> None:
    """Straight move to ``end`` in program coordinates. ``corner``: corners.wanted."""
    work = state.to_work(end)
    if not rapid and (corner is not None or state.corner is not None):
        start = state.work_now()
        feed = cutting_feed(state, math.dist(start, work))
        corners.go(state, out, corners.Leg(start, work, feed, state.line, state.program, state.block_text), corner)
    elif state.compensation is not None:
        start = state.work_now()
        feed = 0.0 if rapid else cutting_feed(state, math.dist(start, work))
        state.compensation.line(state, out, start, work, feed, rapid=rapid)
    else:
        feed = 0.0 if rapid else cutting_feed(state, math.dist(state.work_now(), work))
        state.emit(out, "rapid" if rapid else "feed", work, feed)
    state.x, state.y, state.z = end


def arc(
    state: State, out: list[Move], words: dict[str, float], *, clockwise: bool, corner: tuple[float, bool] | None = None
) -> None:
    """G2 and G3 with R or I, J, K; a helix when the third axis moves. ``corner``: corners.wanted."""
    first, second, third = PLANES[state.plane]
    start, goal = (state.x, state.y, state.z), target(state, words)
    end, along, across, is_even = goal, state.unit, state.unit, True
    if state.scaling is not None:
        # Its shape is found where it is scaled already: under two factors a circle is none any more.
        start, end = state.scaling(start), state.scaling(goal)
        factors = state.scaling.factors
        along, across = along * factors[first], across * factors[second]
        is_even = abs(along) == abs(across)
        clockwise = clockwise != state.scaling.turns_over(first, second)
    if CENTRE_ADDRESSES[third] in words:
        raise BlockFault("PS0021", f"{CENTRE_ADDRESSES[third]} is not in the plane")
    has_centre = CENTRE_ADDRESSES[first] in words or CENTRE_ADDRESSES[second] in words
    if "R" in words and has_centre and not state.dialect.macro_b:
        raise BlockFault("PS0022", "R beside a centre")
    if "R" in words and not (has_centre and words["R"] == 0.0):
        if state.dialect.macro_b and math.dist(start, end) < 1e-12:
            return  # A FANUC takes it for an arc of no angle.
        radius = words["R"] * max(abs(along), abs(across))
        a, b = _centre_by_radius(state, start, end, radius, clockwise=clockwise)
    elif has_centre:
        a = words.get(CENTRE_ADDRESSES[first], 0.0) * along
        b = words.get(CENTRE_ADDRESSES[second], 0.0) * across
        if not state.ijk_absolute:
            a += start[first]
            b += start[second]
        elif not (CENTRE_ADDRESSES[first] in words and CENTRE_ADDRESSES[second] in words):
            raise BlockFault("PS0022")
        if is_even:
            _check_radii(state, start, end, a, b)
    else:
        raise BlockFault("PS0022")
    turns = _turns(start, end, (a, b), first, second, clockwise=clockwise)
    if "P" in words:
        count = round(words["P"])
        if not 1 <= count <= MOST_TURNS or abs(count - words["P"]) > 1e-6:
            raise BlockFault("PS0009", "P")
        turns += (count - 1) * (-1.0 if clockwise else 1.0)
    to = end if is_even else _on_circle(start, end, (a, b), first, second)
    centre = [0.0, 0.0, 0.0]
    centre[first], centre[second], centre[third] = a, b, end[third]
    length = math.hypot(2.0 * math.pi * math.hypot(to[first] - a, to[second] - b) * turns, end[third] - start[third])
    rest = math.dist(to, end)
    feed = cutting_feed(state, length + rest)
    if state.mirror is not None and state.mirror.turns_over(first, second):
        turns = -turns
    work_end, work_centre = state.scaled_to_work(to), state.scaled_to_work((centre[0], centre[1], centre[2]))
    if corner is not None or state.corner is not None:
        block = state.line, state.program, state.block_text
        corners.go(state, out, corners.Leg(state.work_now(), work_end, feed, *block, work_centre, turns), corner)
    elif state.compensation is not None:
        state.compensation.arc(state, out, state.work_now(), work_end, work_centre, turns, feed)
    else:
        state.emit(out, "arc", work_end, feed, work_centre, turns)
    if rest > REST_MM:
        if state.compensation is not None or corner is not None:
            raise BlockFault("PS0020", "an arc scaled by two factors, in cutter compensation or with a corner")
        state.emit(out, "feed", state.scaled_to_work(end), feed)
    state.x, state.y, state.z = goal


def _on_circle(start: Point, end: Point, centre: tuple[float, float], first: int, second: int) -> Point:
    """Where the ray from the centre to the end leaves the start's circle: a control goes the rest in a straight line."""
    across, up = end[first] - centre[0], end[second] - centre[1]
    distance = math.hypot(across, up)
    radius = math.hypot(start[first] - centre[0], start[second] - centre[1])
    if distance < REST_MM or radius < REST_MM:
        raise BlockFault("PS0020", "radius zero")
    place = list(end)
    place[first], place[second] = centre[0] + across * radius / distance, centre[1] + up * radius / distance
    return (place[0], place[1], place[2])


def _centre_by_radius(state: State, start: Point, end: Point, radius: float, *, clockwise: bool) -> tuple[float, float]:
    first, second, _ = PLANES[state.plane]
    across, up = end[first] - start[first], end[second] - start[second]
    chord = math.hypot(across, up)
    if chord < 1e-12 or radius == 0.0:
        raise BlockFault("PS0020", "R arc whose end is its start" if chord < 1e-12 else "R0")
    half, size = chord / 2.0, abs(radius)
    if half - size > HALF_CHORD_TOLERANCE_MM[state.unit]:
        raise BlockFault("PS0020", f"R{size:g} for a chord of {chord:g} mm")
    height = math.sqrt(max(size * size - half * half, 0.0))
    # Left of the chord for a counter-clockwise short arc; each of G2 and a negative R changes the side.
    side = 1.0 if (radius > 0.0) != clockwise else -1.0
    return (
        start[first] + across / 2.0 - side * height * up / chord,
        start[second] + up / 2.0 + side * height * across / chord,
    )


def _check_radii(state: State, start: Point, end: Point, a: float, b: float) -> None:
    first, second, _ = PLANES[state.plane]
    at_start = math.hypot(start[first] - a, start[second] - b)
    at_end = math.hypot(end[first] - a, end[second] - b)
    if at_start < 1e-12 or at_end < 1e-12:
        raise BlockFault("PS0020", "radius zero")
    error = abs(at_start - at_end)
    tolerance = ARC_TOLERANCE_MM[state.unit]
    if error > tolerance * ARC_TOLERANCE_MOST or (error > tolerance and error > ARC_TOLERANCE_RELATIVE * max(at_start, at_end)):
        raise BlockFault("PS0020", f"start {at_start:.4f} mm, end {at_end:.4f} mm")


def _turns(start: Point, end: Point, centre: tuple[float, float], first: int, second: int, *, clockwise: bool) -> float:
    return sweep(
        (start[first] - centre[0], start[second] - centre[1]),
        (end[first] - centre[0], end[second] - centre[1]),
        clockwise=clockwise,
    ) / (2.0 * math.pi)


def sweep(start: tuple[float, float], end: tuple[float, float], *, clockwise: bool) -> float:
    """Angle from one radius to the other, radians, negative clockwise; a full circle when they agree."""
    angle = math.atan2(end[1], end[0]) - math.atan2(start[1], start[0])
    if clockwise:
        while angle > -FULL_TURN_WITHIN_RAD:
            angle -= 2.0 * math.pi
        while angle < -2.0 * math.pi - FULL_TURN_WITHIN_RAD:
            angle += 2.0 * math.pi
    else:
        while angle < FULL_TURN_WITHIN_RAD:
            angle += 2.0 * math.pi
        while angle > 2.0 * math.pi + FULL_TURN_WITHIN_RAD:
            angle -= 2.0 * math.pi
    return angle
