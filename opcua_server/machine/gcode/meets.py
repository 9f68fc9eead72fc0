"""Where lines and circles of a plane meet. Lengths in mm."""

from __future__ import annotations

import math

Vector = tuple[float, float]
Circle = tuple[Vector, float]
"""(centre, radius)."""


def line_line(point: Vector, direction: Vector, other: Vector, other_direction: Vector) -> list[Vector]:
    """None for parallels."""
    cross = direction[0] * other_direction[1] - direction[1] * other_direction[0]
    if abs(cross) < 1e-12:
        return []
    across = (other[0] - point[0], other[1] - point[1])
    s = (across[0] * other_direction[1] - across[1] * other_direction[0]) / cross
    return [(point[0] + s * direction[0], point[1] + s * direction[1])]


def line_circle(point: Vector, direction: Vector, circle: Circle) -> list[Vector]:
    """In the order of ``direction`` (of length 1)."""
    (a, b), radius = circle
    across = (point[0] - a, point[1] - b)
    middle = -(across[0] * direction[0] + across[1] * direction[1])
    rest = middle * middle - (across[0] ** 2 + across[1] ** 2 - radius * radius)
    if rest < 0.0:
        return []
    root = math.sqrt(rest)
    return [(point[0] + s * direction[0], point[1] + s * direction[1]) for s in (middle - root, middle + root)]


def circle_circle(one: Circle, two: Circle) -> list[Vector]:
    """Left of the way from one centre to the other first."""
    (a, b), r = one
    (c, d), s = two
    distance = math.hypot(c - a, d - b)
    if distance < 1e-12 or distance > r + s or distance < abs(r - s):
        return []
    along = (r * r - s * s + distance * distance) / (2.0 * distance)
    height = math.sqrt(max(r * r - along * along, 0.0))
    u, v = (c - a) / distance, (d - b) / distance
    return [(a + along * u - side * height * v, b + along * v + side * height * u) for side in (1.0, -1.0)]
