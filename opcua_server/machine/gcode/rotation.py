"""G68: a turn of the program's coordinates, in a plane or about any line (three-dimensional coordinate conversion)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from opcua_server.machine.moves import Point
from opcua_server.machine.sums import added

Rows = tuple[Point, Point, Point]


@dataclass(frozen=True, slots=True)
class Rotation:
    """work = place + rows * (program - centre), both in mm. ``rows`` is orthonormal."""

    centre: Point
    place: Point
    """Where ``centre`` lies in work coordinates: elsewhere when this turn stands within another."""
    rows: Rows
    angle_deg: float = 0.0

    def to_work(self, point: Point) -> Point:
        x, y, z = (point[i] - self.centre[i] for i in range(3))
        (a, b, c), (d, e, f), (g, h, i) = self.rows
        return (
            self.place[0] + a * x + b * y + c * z,
            self.place[1] + d * x + e * y + f * z,
            self.place[2] + g * x + h * y + i * z,
        )

    def from_work(self, point: Point) -> Point:
        x, y, z = (point[i] - self.place[i] for i in range(3))
        (a, b, c), (d, e, f), (g, h, i) = self.rows
        return (
            self.centre[0] + a * x + d * y + g * z,
            self.centre[1] + b * x + e * y + h * z,
            self.centre[2] + c * x + f * y + i * z,
        )

    def direction(self, vector: Point) -> Point:
        """A direction of the program in work coordinates."""
        x, y, z = vector
        return tuple(row[0] * x + row[1] * y + row[2] * z for row in self.rows)  # type: ignore[return-value]

    def keeps(self, axis: int) -> bool:
        """Whether planes upright to that axis stay upright to it."""
        return abs(self.rows[axis][axis] - 1.0) < 1e-12


def about(centre: Point, axis: Point, angle_deg: float, within: Rotation | None = None) -> Rotation:
    """By ``angle_deg`` about the line through ``centre`` along ``axis`` (of length 1), by the right hand; ``within`` another."""
    turn = math.radians(angle_deg)
    c, s = math.cos(turn), math.sin(turn)
    u, v, w = axis
    rows: Rows = (
        (c + u * u * (1.0 - c), u * v * (1.0 - c) - w * s, u * w * (1.0 - c) + v * s),
        (v * u * (1.0 - c) + w * s, c + v * v * (1.0 - c), v * w * (1.0 - c) - u * s),
        (w * u * (1.0 - c) - v * s, w * v * (1.0 - c) + u * s, c + w * w * (1.0 - c)),
    )
    if within is None:
        return Rotation(centre, centre, rows, angle_deg)
    columns = tuple(zip(*rows, strict=True))
    product = tuple(tuple(added(p * q for p, q in zip(row, column, strict=True)) for column in columns) for row in within.rows)
    return Rotation(centre, within.to_work(centre), product, angle_deg)  # type: ignore[arg-type]
