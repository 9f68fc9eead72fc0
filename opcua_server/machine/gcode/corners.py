""" ",R" and ",C": a corner between two moves is rounded or cut off.

    G1 X10 ,R2        |       the first move ends where the corner begins, so it waits for the next one;
    Y10               | Y10   between them goes an arc that touches both, or a line from C before the corner to C behind it
                      )
         ---X10------'

Works in work coordinates, in the plane of arcs, on lines and arcs; cutter compensation is of the path that results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.meets import Circle, Vector, circle_circle, line_circle, line_line
from opcua_server.machine.gcode.state import PLANES
from opcua_server.machine.moves import Move, Point

if TYPE_CHECKING:
    from opcua_server.machine.gcode.state import State

ROUND, CUT = ",R", ",C"
MAY_CHANGE: Final = frozenset(("motion", "distance", "feed mode", "path"))
"""Groups of G codes that may stand in the block behind a corner."""
STRAIGHT_ON: Final = 1e-6
"""Sine of an angle between two moves that is no corner."""
NEAR_MM: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Leg:
    """One move in the plane, in work coordinates; ``centre`` of an arc. Of which block it is."""

    start: Point
    end: Point
    feed: float
    line: int
    program: str
    text: str
    centre: Point | None = None
    turns: float = 0.0


@dataclass(frozen=True, slots=True)
class Corner:
    """A move that waits for the one behind its corner. ``size`` in mm: radius, or what is cut off on each side."""

    leg: Leg
    size: float
    is_round: bool


def wanted(state: State, words: dict[str, float]) -> tuple[float, bool] | None:
    """Size in mm and whether it is a radius, where a block asks for a corner. Raises PS0006, PS0009."""
    if ROUND not in words and CUT not in words:
        return None
    if ROUND in words and CUT in words:
        raise BlockFault("PS0009", ",R and ,C in one block")
    is_round = ROUND in words
    size = words[ROUND if is_round else CUT] * state.unit * state.stretch(PLANES[state.plane][0])
    if size < 0.0:
        raise BlockFault("PS0006", ROUND if is_round else CUT)
    return (size, is_round) if size > 0.0 else None


def check_next(state: State, words: dict[str, float], groups: dict[str, int], once: list[int], m: tuple[int, ...]) -> None:
    """What the block behind a corner may say. Raises PS0051."""
    if not MAY_CHANGE.issuperset(groups) or any(code != 90 for code in once) or m or "S" in words or "T" in words:
        raise BlockFault("PS0051", "only a move may follow")


def go(state: State, out: list[Move], leg: Leg, corner: tuple[float, bool] | None) -> None:
    """Move along ``leg``, behind the corner that waits and up to its own one. Raises PS0055 where a move is too short."""
    waiting = state.corner
    if waiting is not None:
        first, between, leg = _joined(state, waiting, leg)
        state.corner = None
        _move(state, out, first)
        if between is not None:
            _move(state, out, between)
    if corner is None:
        _move(state, out, leg)
    else:
        state.corner = Corner(leg, *corner)
    state.changed()


def _move(state: State, out: list[Move], leg: Leg) -> None:
    block = state.line, state.program, state.block_text
    state.line, state.program, state.block_text = leg.line, leg.program, leg.text
    if state.compensation is not None and leg.centre is not None:
        state.compensation.arc(state, out, leg.start, leg.end, leg.centre, leg.turns, leg.feed)
    elif state.compensation is not None:
        state.compensation.line(state, out, leg.start, leg.end, leg.feed, rapid=False)
    else:
        state.emit(out, "feed" if leg.centre is None else "arc", leg.end, leg.feed, leg.centre, leg.turns)
    state.line, state.program, state.block_text = block


class _Flat:
    """A leg in its plane. ``spin`` of an arc: 1 counter-clockwise, -1 clockwise; 0 of a line."""

    def __init__(self, state: State, leg: Leg) -> None:
        self.axes = PLANES[state.plane]
        self.leg = leg
        first, second, third = self.axes
        if abs(leg.end[third] - leg.start[third]) > NEAR_MM:
            raise BlockFault("PS0021", "a corner lies in the plane")
        self.start: Vector = (leg.start[first], leg.start[second])
        self.end: Vector = (leg.end[first], leg.end[second])
        self.circle: Circle | None = None
        self.spin = 0.0
        if leg.centre is not None:
            centre = (leg.centre[first], leg.centre[second])
            self.circle = centre, math.dist(self.end, centre)
            self.spin = math.copysign(1.0, leg.turns)
        elif math.dist(self.start, self.end) < NEAR_MM:
            raise BlockFault("PS0055")

    def direction(self, place: Vector) -> Vector:
        """Of the path at one of its places; of length 1."""
        if self.circle is None:
            x, y = self.end[0] - self.start[0], self.end[1] - self.start[1]
        else:
            (a, b), _ = self.circle
            x, y = -self.spin * (place[1] - b), self.spin * (place[0] - a)
        length = math.hypot(x, y)
        return (x / length, y / length)

    def line_beside(self, distance: float) -> tuple[Vector, Vector]:
        """(place, direction) of what lies ``distance`` left of a line."""
        u = self.direction(self.end)
        return (self.end[0] - u[1] * distance, self.end[1] + u[0] * distance), u

    def circle_beside(self, circle: Circle, distance: float) -> Circle:
        """What lies ``distance`` left of an arc on ``circle``. Raises PS0055."""
        centre, radius = circle
        if radius - self.spin * distance < NEAR_MM:
            raise BlockFault("PS0055", "the corner is wider than the arc")
        return centre, radius - self.spin * distance

    def touched(self, centre: Vector) -> Vector:
        """Where a circle about ``centre`` touches it."""
        if self.circle is None:
            u = self.direction(self.end)
            s = (centre[0] - self.end[0]) * u[0] + (centre[1] - self.end[1]) * u[1]
            return (self.end[0] + s * u[0], self.end[1] + s * u[1])
        (a, b), radius = self.circle
        distance = math.hypot(centre[0] - a, centre[1] - b)
        if distance < NEAR_MM:
            raise BlockFault("PS0055", "the corner has the arc's own centre")
        return (a + (centre[0] - a) * radius / distance, b + (centre[1] - b) * radius / distance)

    def at(self, corner: Vector, distance: float, *, before: bool) -> Vector:
        """The place ``distance`` from the corner, as the crow flies."""
        sign = -1.0 if before else 1.0
        u = self.direction(corner)
        if self.circle is None:
            return (corner[0] + sign * distance * u[0], corner[1] + sign * distance * u[1])
        places = circle_circle(self.circle, (corner, distance))
        if not places:
            raise BlockFault("PS0055")
        return max(places, key=lambda place: sign * ((place[0] - corner[0]) * u[0] + (place[1] - corner[1]) * u[1]))

    def way(self, start: Vector, end: Vector) -> float:
        """Along it from one place to the other: mm of a line, negative against its direction; turns of an arc, up to one."""
        if self.circle is None:
            u = self.direction(end)
            return (end[0] - start[0]) * u[0] + (end[1] - start[1]) * u[1]
        (a, b), _ = self.circle
        angle = math.atan2(end[1] - b, end[0] - a) - math.atan2(start[1] - b, start[0] - a)
        return (self.spin * angle / (2.0 * math.pi)) % 1.0

    def part(self, start: Vector, end: Vector) -> Leg:
        """What is left of it between two of its places. Raises PS0055."""
        leg = self.leg
        if self.circle is None:
            left = self.way(start, end)
            if left < -NEAR_MM or self.way(self.start, start) < -NEAR_MM or self.way(end, self.end) < -NEAR_MM:
                raise BlockFault("PS0055")
            return replace(leg, start=self.point(start), end=self.point(end))
        whole = abs(leg.turns)
        cut = self.way(self.start, start) if math.dist(self.start, start) > NEAR_MM else 0.0
        cut += self.way(end, self.end) if math.dist(end, self.end) > NEAR_MM else 0.0
        if cut > whole + 1e-12:
            raise BlockFault("PS0055")
        return replace(leg, start=self.point(start), end=self.point(end), turns=self.spin * (whole - cut))

    def point(self, place: Vector) -> Point:
        values = list(self.leg.end)
        values[self.axes[0]], values[self.axes[1]] = place
        return (values[0], values[1], values[2])


def _joined(state: State, waiting: Corner, leg: Leg) -> tuple[Leg, Leg | None, Leg]:
    """The move before the corner, what is between, and the move behind it. Raises PS0055."""
    before, behind = _Flat(state, waiting.leg), _Flat(state, leg)
    corner = behind.start
    u, v = before.direction(corner), behind.direction(corner)
    cross, dot = u[0] * v[1] - u[1] * v[0], u[0] * v[0] + u[1] * v[1]
    if abs(cross) < STRAIGHT_ON and dot > 0.0:
        return waiting.leg, None, leg
    if not waiting.is_round:
        one, two = before.at(corner, waiting.size, before=True), behind.at(corner, waiting.size, before=False)
        between = replace(waiting.leg, start=before.point(one), end=before.point(two), centre=None, turns=0.0)
        return before.part(before.start, one), between, behind.part(two, behind.end)
    side = math.copysign(1.0, cross)
    places = _meet(before, behind, side * waiting.size)
    if not places:
        raise BlockFault("PS0055")
    centre = min(places, key=lambda place: math.dist(place, corner))
    one, two = before.touched(centre), behind.touched(centre)
    angle = math.atan2(two[1] - centre[1], two[0] - centre[0]) - math.atan2(one[1] - centre[1], one[0] - centre[0])
    turns = side * ((side * angle / (2.0 * math.pi)) % 1.0)
    between = replace(waiting.leg, start=before.point(one), end=before.point(two), centre=before.point(centre), turns=turns)
    return before.part(before.start, one), between, behind.part(two, behind.end)


def _meet(before: _Flat, behind: _Flat, distance: float) -> list[Vector]:
    """Places ``distance`` left of both."""
    both = (before, behind)
    lines = [flat.line_beside(distance) for flat in both if flat.circle is None]
    circles = [flat.circle_beside(flat.circle, distance) for flat in both if flat.circle is not None]
    if len(circles) == 2:
        return circle_circle(*circles)
    return line_circle(*lines[0], circles[0]) if circles else line_line(*lines[0], *lines[1])
