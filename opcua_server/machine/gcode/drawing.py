"""A program's path as a drawing (SVG): from above, and below that from the front, both to one scale.

    +-----------+   Y
    |   above   |   ^
    +-----------+   +--> X
    |   front   |   Z over X
    +-----------+

Cutting moves are solid, rapids dashed. In machine coordinates: the work's would jump with each change of the zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from math import ceil, cos, hypot, pi, sin
from typing import Final

from opcua_server.machine.moves import Move, Point
from opcua_server.machine.sums import added

MOVES: Final = {"rapid": "rapid", "feed": "cut", "arc": "cut", "tap": "cut", "probe": "cut"}
PIECES_PER_TURN: Final = 72
MOST_PIECES: Final = 20_000
"""Of one arc: a helix of very many turns is drawn coarser."""
WIDTH: Final = 1000.0
MARGIN: Final = 30.0
STYLE: Final = (
    "path{fill:none;vector-effect:non-scaling-stroke}.cut{stroke:#0b5cad;stroke-width:1.2}"
    ".rapid{stroke:#999;stroke-width:.8;stroke-dasharray:4 3}text{font:14px sans-serif;fill:#333}"
)


class Drawing:
    """Gathers a path, then is one text. ``start`` in machine coordinates, mm."""

    def __init__(self, title: str, start: Point = (0.0, 0.0, 0.0)) -> None:
        self.title = title
        self._at = start
        self._low, self._high = list(start), list(start)
        self._ways: list[tuple[str, list[Point]]] = []

    def through(self, moves: Iterable[Move]) -> Iterator[Move]:
        """The same moves, drawn on the way."""
        for move in moves:
            self._add(move)
            yield move

    def _add(self, move: Move) -> None:
        kind = MOVES.get(move.kind)
        if kind is None:
            return
        if not self._ways or self._ways[-1][0] != kind:
            self._ways.append((kind, [self._at]))
        points = self._ways[-1][1]
        for point in _arc(self._at, move) if move.kind == "arc" else (move.end,):
            points.append(point)
            for axis, value in enumerate(point):
                self._low[axis] = min(self._low[axis], value)
                self._high[axis] = max(self._high[axis], value)
        self._at = move.end

    def svg(self) -> str:
        """The drawing; a path of no width has one of a millimetre."""
        wide, deep, tall = (max(high - low, 1.0) for low, high in zip(self._low, self._high, strict=True))
        scale = (WIDTH - 2.0 * MARGIN) / max(wide, deep, tall)
        above, front = deep * scale, tall * scale
        height = above + front + 4.0 * MARGIN
        x, y, z = (f"{low:.3f} to {high:.3f}" for low, high in zip(self._low, self._high, strict=True))
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:.1f}">',
            f"<title>{escape(self.title)}</title><style>{STYLE}</style>",
            f'<text x="{MARGIN:g}" y="20">{escape(self.title)}: X {x}, Y {y} mm, from above</text>',
            f'<text x="{MARGIN:g}" y="{above + 2.0 * MARGIN + 15.0:.1f}">Z {z} mm, from the front</text>',
        ]
        for kind, points in self._ways:
            for axis, bottom in ((1, above + MARGIN), (2, above + front + 3.0 * MARGIN)):
                low, base = self._low[axis], self._low[0]
                way = " ".join(f"{MARGIN + (p[0] - base) * scale:.2f},{bottom - (p[axis] - low) * scale:.2f}" for p in points)
                lines.append(f'<path class="{kind}" d="M{way}"/>')
        return "\n".join([*lines, "</svg>", ""])


def _arc(start: Point, move: Move) -> Iterator[Point]:
    """Points along an arc or helix, the last one its end."""
    if move.centre is None or move.normal is None:
        yield move.end
        return
    size = hypot(*move.normal)
    n = (move.normal[0] / size, move.normal[1] / size, move.normal[2] / size)
    a = tuple(p - q for p, q in zip(start, move.centre, strict=True))
    up = added(p * q for p, q in zip(a, n, strict=True))
    first = tuple(p - up * q for p, q in zip(a, n, strict=True))
    second = (n[1] * first[2] - n[2] * first[1], n[2] * first[0] - n[0] * first[2], n[0] * first[1] - n[1] * first[0])
    rise = added((e - s) * q for e, s, q in zip(move.end, start, n, strict=True))
    count = min(max(1, ceil(abs(move.turns) * PIECES_PER_TURN)), MOST_PIECES)
    for k in range(1, count):
        angle, height = 2.0 * pi * move.turns * k / count, up + rise * k / count
        c, s = cos(angle), sin(angle)
        x, y, z = (o + p * c + q * s + height * r for o, p, q, r in zip(move.centre, first, second, n, strict=True))
        yield (x, y, z)
    yield move.end
