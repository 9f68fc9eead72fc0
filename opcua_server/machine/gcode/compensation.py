"""Cutter radius compensation (G41, G42): the tool's centre beside the programmed contour.

    outside corner: an arc of the tool radius about the programmed corner
    inside corner:  the offset curves' intersection; the move before it ends there

                 new
                 ^        The last move in the plane is held back until the next one says how it ends; what happens
    prev  ------>S        meanwhile (moves along the tool axis, dwells, M codes) waits behind it and ends at the same place.

A lathe's insert (LinuxCNC, G18) is not measured at the centre of its nose but at a corner of the square around it, or at the middle
of one side, as its orientation says; the whole offset path moves by as much.

    Z+ right, X+ up       2---6---1
                          |       |
                          7   0   5
                          |       |
                          3---8---4

Works in work coordinates, in the plane selected when it was switched on. Radii and lengths in mm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.meets import Vector, circle_circle, line_circle
from opcua_server.machine.gcode.motion import sweep
from opcua_server.machine.gcode.state import PLANES
from opcua_server.machine.moves import Move, MoveKind, Point

if TYPE_CHECKING:
    from opcua_server.machine.gcode.state import State

LONGER_BY_RAD = 0.0254
"""An arc that turns by more than this beyond what is programmed has been cut back behind its own beginning."""
TANGENT_WITHIN_RAD = 0.05
"""Corners flatter than this get no arc, and no trim: the next offset point is reached directly."""
NOTHING_MM = 1e-9
NOSE: dict[int, Vector] = {
    1: (1.0, -1.0), 2: (-1.0, -1.0), 3: (-1.0, 1.0), 4: (1.0, 1.0), 5: (1.0, 0.0), 6: (0.0, -1.0), 7: (-1.0, 0.0), 8: (0.0, 1.0),
}  # fmt: skip
"""By orientation: what is added to the place of the nose's centre, in radii along Z and X."""


@dataclass(slots=True)
class _Segment:
    """A move held back; ends may still change. ``curve`` is the offset curve's centre and radius when it is an arc."""

    kind: MoveKind
    end: Point
    feed: float
    centre: Point | None
    clockwise: bool
    extra_turns: int
    line: int
    program: str
    text: str
    in_plane: bool
    entry: bool
    full: bool = False
    sweep_rad: float = 0.0
    """How far an arc turns as programmed."""


class Compensation:
    def __init__(self, plane: int, side: int, radius: float, orientation: int = 0) -> None:
        self.axes = PLANES[plane]
        self.side = side
        """1 left of the path, -1 right of it."""
        self.radius = radius
        self.orientation = orientation
        self.position: Point | None = None
        """The nose's centre at the end of what is held, once compensation has begun."""
        self._from: Point | None = None
        self._held: list[_Segment | Move] = []
        self._direction: Vector = (0.0, 0.0)
        self._spin = 0.0
        self._arc: tuple[Vector, float] | None = None
        """Offset circle of the last move in the plane, when it was an arc."""
        self._astray: Vector = (0.0, 0.0)
        """How far the tool is believed to be from where the last move in the plane ends."""

    # Points in the plane

    def _plane(self, point: Point) -> Vector:
        return (point[self.axes[0]], point[self.axes[1]])

    def _point(self, place: Vector, third: float) -> Point:
        values = [0.0, 0.0, 0.0]
        values[self.axes[0]], values[self.axes[1]], values[self.axes[2]] = place[0], place[1], third
        return (values[0], values[1], values[2])

    def _normal(self, direction: Vector) -> Vector:
        return (-direction[1] * self.side, direction[0] * self.side)

    def _beside(self, place: Vector, direction: Vector) -> Vector:
        normal = self._normal(direction)
        return (place[0] + self.radius * normal[0], place[1] + self.radius * normal[1])

    def measured(self, centre: Point) -> Point:
        """Where what the tool's lengths are measured to is with the nose's centre at ``centre``; of a mill both are one."""
        if self.orientation not in NOSE:
            return centre
        first, second = NOSE[self.orientation]
        place = self._plane(centre)
        return self._point((place[0] + first * self.radius, place[1] + second * self.radius), centre[self.axes[2]])

    # Moves

    def line(self, state: State, out: list[Move], start: Point, end: Point, feed: float, *, rapid: bool) -> None:
        """A programmed straight move."""
        a, b = self._plane(start), self._plane(end)
        length = math.dist(a, b)
        kind: MoveKind = "rapid" if rapid else "feed"
        third = end[self.axes[2]]
        if length < NOTHING_MM:
            if self._from is None:
                self._check_entry(state, length)
            here = self._plane(self.position) if self.position is not None else a
            self._hold(state, _segment(state, kind, self._point(here, third), feed, in_plane=False), out)
            return
        direction = ((b[0] - a[0]) / length, (b[1] - a[1]) / length)
        goal = self._beside(b, direction)
        entry = self._from is None
        if entry:
            self._check_entry(state, length)
            self._from = start
        else:
            self._corner(state, out, a, direction, None, third_start=start[self.axes[2]], feed=feed, rapid=rapid)
            begin = self._plane(self.position) if self.position is not None else a
            # LinuxCNC finds out only at the next corner, and follows the move backwards if there is none.
            way = (goal[0] - begin[0]) * direction[0] + (goal[1] - begin[1]) * direction[1]
            if way < -NOTHING_MM and state.dialect.macro_b:
                raise BlockFault("PS0041")
        self._hold(state, _segment(state, kind, self._point(goal, third), feed, in_plane=True, entry=entry), out)
        self._direction, self._arc, self._spin, self._astray = direction, None, 0.0, (0.0, 0.0)

    def arc(self, state: State, out: list[Move], start: Point, end: Point, centre: Point, turns: float, feed: float) -> None:
        """A programmed arc or helix."""
        a, b, c = self._plane(start), self._plane(end), self._plane(centre)
        spin = -1.0 if turns < 0.0 else 1.0
        before, after = math.dist(a, c), math.dist(b, c)
        inward = self.side * spin * self.radius
        if after - inward < NOTHING_MM or before - inward < NOTHING_MM:
            raise BlockFault("PS0041", "tool radius not less than arc radius")
        first = (-(a[1] - c[1]) / before * spin, (a[0] - c[0]) / before * spin)
        last = (-(b[1] - c[1]) / after * spin, (b[0] - c[0]) / after * spin)
        goal = (c[0] + (b[0] - c[0]) * (1.0 - inward / after), c[1] + (b[1] - c[1]) * (1.0 - inward / after))
        third = end[self.axes[2]]
        # The end's radius stands for the whole arc: the start's may differ by the programmed rounding.
        offset = (c, after - inward)
        entry = self._from is None
        if entry:
            self._check_entry(state, math.dist(a, b))
            self._from = start
            c = _entry_centre(a, goal, last)
            offset = (c, math.dist(goal, c))
        else:
            self._programmed_radius = after
            self._corner(state, out, a, first, offset, third_start=start[self.axes[2]], feed=feed, spin=spin)
        segment = _segment(state, "arc", self._point(goal, third), feed, in_plane=True, entry=entry)
        segment.centre, segment.clockwise = self._point(c, third), turns < 0.0
        segment.extra_turns = max(math.ceil(abs(turns) - 1e-6) - 1, 0)
        segment.full = math.dist(a, b) < NOTHING_MM
        segment.sweep_rad = 2.0 * math.pi * abs(turns)
        self._hold(state, segment, out)
        self._direction, self._arc, self._spin = last, offset, spin

    def _check_entry(self, state: State, length: float) -> None:
        if length < self.radius and not state.dialect.macro_b:
            raise BlockFault("PS0033", "entry move is not longer than the tool radius")

    def _corner(
        self,
        state: State,
        out: list[Move],
        corner: Vector,
        direction: Vector,
        curve: tuple[Vector, float] | None,
        *,
        third_start: float,
        feed: float,
        spin: float = 0.0,
        rapid: bool = False,
    ) -> None:
        """End what is held so that the curve beginning at ``corner`` in ``direction`` can follow."""
        cross = self._direction[0] * direction[1] - self._direction[1] * direction[0]
        dot = self._direction[0] * direction[0] + self._direction[1] * direction[1]
        outward = -self.side * math.atan2(cross, dot)
        if outward < TANGENT_WITHIN_RAD - math.pi:
            outward += 2.0 * math.pi
        # A path that turns back on itself goes round its end, unless a curve that bulges towards the tool is in the way.
        back = outward > math.pi - TANGENT_WITHIN_RAD
        bulges = _bulges(curve, self.side, spin) if curve is not None else _bulges(self._arc, self.side, self._spin)
        if outward < -TANGENT_WITHIN_RAD or (back and bulges):
            self._end_held_at(self._inside(corner, direction, curve, spin))
            self.flush(state, out)
            return
        if outward > TANGENT_WITHIN_RAD and not state.dialect.corner_arcs:
            self._straight_round(state, out, corner, direction, outward, feed, into_arc=curve is not None, rapid=rapid)
            return
        if outward > TANGENT_WITHIN_RAD and curve is None and self.position is not None:
            self._check_held(self._plane(self.position))
        self.flush(state, out)
        if outward > TANGENT_WITHIN_RAD:
            goal = self._point(self._beside(corner, direction), third_start)
            around = _segment(state, "rapid" if rapid else "arc", goal, feed)
            if not rapid:
                around.centre, around.clockwise = self._point(corner, third_start), self.side > 0
            self._emit(state, out, around)

    def _straight_round(
        self,
        state: State,
        out: list[Move],
        corner: Vector,
        direction: Vector,
        outward: float,
        feed: float,
        *,
        into_arc: bool,
        rapid: bool,
    ) -> None:
        """Round an outside corner on straight lines: over the offset lines' intersection up to 90 degrees, beyond that over
        two points, each one radius further along its line."""
        old, new = self._direction, direction
        a, b = self._normal(old), self._normal(new)
        if outward <= 0.5 * math.pi + 1e-9:
            scale = self.radius / (1.0 + a[0] * b[0] + a[1] * b[1])
            places = [(corner[0] + scale * (a[0] + b[0]), corner[1] + scale * (a[1] + b[1]))]
        else:
            places = [
                (corner[0] + self.radius * (a[0] + old[0]), corner[1] + self.radius * (a[1] + old[1])),
                (corner[0] + self.radius * (b[0] - new[0]), corner[1] + self.radius * (b[1] - new[1])),
            ]
        third = self.position[self.axes[2]] if self.position is not None else 0.0
        if self._arc is None:
            self._end_held_at(places.pop(0))
        self.flush(state, out)
        if into_arc:
            places.append(self._beside(corner, new))
        for place in places:
            self._emit(state, out, _segment(state, "rapid" if rapid else "feed", self._point(place, third), feed))

    def _inside(self, corner: Vector, direction: Vector, curve: tuple[Vector, float] | None, spin: float) -> Vector:
        """Where the last and the next offset curve meet."""
        places: list[Vector] = []
        index = 0
        if curve is None and self._arc is None:
            a, b = self._normal(self._direction), self._normal(direction)
            scale = 1.0 + a[0] * b[0] + a[1] * b[1]
            if scale < 1e-9:
                raise BlockFault("PS0033")
            return (
                corner[0] + self.radius * (a[0] + b[0]) / scale + self._astray[0],
                corner[1] + self.radius * (a[1] + b[1]) / scale + self._astray[1],
            )
        if curve is not None and self._arc is not None:
            places = circle_circle(self._arc, curve)
            left = (self.side * self._spin > 0.0) == (spin > 0.0)
            index = 0 if left else 1
        elif curve is not None:
            # Onto an arc: where the line first meets it from outside, or where it leaves through it from inside.
            begin = self._beside(self._on_circle(corner, curve), self._direction)
            places = line_circle(begin, self._direction, curve)
            index = 1 if self.side * spin > 0.0 else 0
        elif self._arc is not None:
            places = line_circle(self._beside(corner, direction), direction, self._arc)
            index = 0 if self.side * self._spin > 0.0 else 1
        if not places:
            raise BlockFault("PS0033")
        return places[index]

    def _on_circle(self, corner: Vector, curve: tuple[Vector, float]) -> Vector:
        """The corner moved onto the programmed circle that the arc's end gives; its start may lie beside it."""
        (a, b), _ = curve
        distance = math.hypot(corner[0] - a, corner[1] - b)
        scale = self._programmed_radius / distance if distance > 0.0 else 1.0
        return (a + (corner[0] - a) * scale, b + (corner[1] - b) * scale)

    _programmed_radius = 0.0

    def _end_held_at(self, place: Vector) -> None:
        for item in self._held:
            if isinstance(item, _Segment):
                item.end = self._point(place, item.end[self.axes[2]])
        self._check_held(place)
        if self.position is not None:
            self.position = self._point(place, self.position[self.axes[2]])

    _start_of_held: Point | None = None

    def _check_held(self, place: Vector) -> None:
        """Raises PS0041 if the move that is held would have to go backwards to end at ``place``."""
        if not self._held or not isinstance(self._held[0], _Segment):
            return
        held, start = self._held[0], self._start_of_held
        if held.entry or start is None or not held.in_plane:
            return
        if held.centre is None:
            a = self._plane(start)
            if (place[0] - a[0]) * self._direction[0] + (place[1] - a[1]) * self._direction[1] < -NOTHING_MM:
                raise BlockFault("PS0041")
        elif self._turned(held, start)[0] > held.sweep_rad + LONGER_BY_RAD:
            raise BlockFault("PS0041")

    def _hold(self, state: State, segment: _Segment, out: list[Move]) -> None:
        if segment.in_plane:
            self._start_of_held = self.position
            self._held.append(segment)
        elif self._held:
            self._held.append(segment)
        else:
            self._emit(state, out, segment)
        self.position = segment.end

    def hold(self, move: Move) -> bool:
        """Keep a move that happens in place behind what is held; False when nothing is held."""
        if not self._held:
            return False
        self._held.append(move)
        return True

    def flush(self, state: State, out: list[Move]) -> None:
        """Let go of everything held."""
        held, self._held = self._held, []
        for item in held:
            if isinstance(item, Move):
                work = self.measured(self._last) if self._last is not None else item.work
                out.append(replace(item, end=state.to_machine(work), work=work))
            else:
                self._emit(state, out, item)

    def close(self, state: State, out: list[Move]) -> None:
        """Nothing follows in compensation: let go of everything held, if it does not go backwards."""
        if self.position is not None:
            self._check_held(self._plane(self.position))
        self.flush(state, out)

    _last: Point | None = None

    def _emit(self, state: State, out: list[Move], segment: _Segment) -> None:
        start = self._last if self._last is not None else self._from
        turns = 0.0
        if segment.centre is not None and start is not None:
            angle, sign = self._turned(segment, start)
            turns = sign * angle / (2.0 * math.pi)
        kept = (state.program, state.block_text)
        state.program, state.block_text = segment.program, segment.text
        try:
            centre = None if segment.centre is None else self.measured(segment.centre)
            state.emit(out, segment.kind, self.measured(segment.end), segment.feed, centre, turns, line=segment.line)
        finally:
            state.program, state.block_text = kept
        self._last = segment.end
        if not self._held:
            self.position = segment.end

    def _turned(self, segment: _Segment, start: Point) -> tuple[float, float]:
        """How far the arc turns from ``start`` to its end, rad, and the sign of it."""
        centre = segment.centre or start
        a, b, c = self._plane(start), self._plane(segment.end), self._plane(centre)
        angle = sweep((a[0] - c[0], a[1] - c[1]), (b[0] - c[0], b[1] - c[1]), clockwise=segment.clockwise)
        return abs(angle) + 2.0 * math.pi * segment.extra_turns, math.copysign(1.0, angle)

    def finish(self, state: State, out: list[Move]) -> None:
        """G40: the tool stays where it is until a move takes the offset back, also of an axis that it does not name.

        In LinuxCNC that is any move, as the program is at the programmed point at once; on a FANUC it is the next one in the plane,
        and until then the tool's place is the programmed point.
        """
        self.close(state, out)
        if self.position is not None and self._from is not None:
            state.exit_place = (state.x, state.y, state.z)
            if state.dialect.macro_b:
                state.x, state.y, state.z = state.from_work(self.measured(self.position))

    def mislead(self, corner: Point, place: Point) -> None:
        """LinuxCNC's G70 goes through its contour's blocks from ``corner`` on and forgets to come back: until the next corner the
        tool is taken to be at the contour's end, ``place``."""
        (a, b), (c, d) = self._plane(corner), self._plane(place)
        distance = math.hypot(c - a, d - b)
        if self.position is None or distance < NOTHING_MM:
            return
        # The direction whose normal points from the corner to the tool.
        self._direction, self._arc, self._spin = ((d - b) / distance * self.side, (a - c) / distance * self.side), None, 0.0
        beside = self._beside((a, b), self._direction)
        self._astray = (c - beside[0], d - beside[1])
        self.position = self._point((c, d), self.position[self.axes[2]])

    def set_radius(self, radius: float) -> None:
        if radius < 0.0:
            self.side, radius = -self.side, -radius
        self.radius = radius

    def shift(self, delta: Point) -> None:
        """The work coordinates moved under the standing machine."""

        def moved(point: Point | None) -> Point | None:
            return None if point is None else (point[0] + delta[0], point[1] + delta[1], point[2] + delta[2])

        self.position, self._last, self._from = moved(self.position), moved(self._last), moved(self._from)
        self._start_of_held = moved(self._start_of_held)
        for item in self._held:
            if isinstance(item, _Segment):
                item.end = moved(item.end) or item.end
                item.centre = moved(item.centre)
        if self._arc is not None:
            step = self._plane(delta)
            (a, b), radius = self._arc
            self._arc = ((a + step[0], b + step[1]), radius)


def _segment(state: State, kind: MoveKind, end: Point, feed: float, *, in_plane: bool = True, entry: bool = False) -> _Segment:
    return _Segment(kind, end, feed, None, False, 0, state.line, state.program, state.block_text, in_plane, entry)


def _bulges(curve: tuple[Vector, float] | None, side: int, spin: float) -> bool:
    """Whether the curve is an arc with the tool outside it."""
    return curve is not None and side * spin < 0.0


def _entry_centre(start: Vector, goal: Vector, tangent: Vector) -> Vector:
    """Centre of the arc from ``start`` that reaches ``goal`` in the direction ``tangent``."""
    normal = (-tangent[1], tangent[0])
    across = (start[0] - goal[0], start[1] - goal[1])
    reach = normal[0] * across[0] + normal[1] * across[1]
    if abs(reach) < 1e-12:
        raise BlockFault("PS0034")
    distance = (across[0] ** 2 + across[1] ** 2) / (2.0 * reach)
    return (goal[0] + distance * normal[0], goal[1] + distance * normal[1])
