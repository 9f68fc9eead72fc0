"""A turned part's profile as lines and arcs in the plane of Z and X, and what lies beside it at a distance.

Places are complex numbers z + x i: mirroring is conjugation, a quarter turn a factor i. Worked out, a profile always falls and
runs towards -Z; ``Frame`` says how it came to do so and leads moves back.

        |  climbs   pocket   dives   \\      the cutter comes from +Z, level by level
        +-----.    /-----\\    .------'
               \\__/       \\__/
   <- Z
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise

from opcua_server.machine.gcode.alarms import BlockFault

Place = complex
NEAR = 1e-6
COARSE = 1e-3
"""Program units: pieces shorter than this vanish, slopes flatter than this are level."""
GAP = 1e-2
"""Program units: two offset pieces that part by more are joined by an arc."""
MOST_STEPS = 10_000


@dataclass(slots=True)
class Piece:
    """A line, or with ``centre`` an arc (``ccw``: G3).

    ``finish`` above 0: a corner that is still to be rounded (with ``centre``) or chamfered with that measure.
    """

    start: Place
    end: Place
    centre: Place | None = None
    ccw: bool = False
    finish: float = 0.0

    @property
    def size(self) -> float:
        """Length of a line; of an arc the lesser of chord and radius."""
        chord = abs(self.start - self.end)
        return chord if self.centre is None else min(chord, abs(self.start - self.centre))

    @property
    def falls_back(self) -> bool:
        """Whether it never turns back towards +Z."""
        way = (self.end - self.start).real
        if self.centre is None or self.finish:
            return self.centre is not None or way <= COARSE
        sign = 1.0 if self.ccw else -1.0
        above = (sign * (place - self.centre).imag >= -COARSE for place in (self.start, self.end))
        return all(above) and way <= -COARSE

    def at_level(self, x: float) -> list[float]:
        """Where (z) it has that height."""
        if self.centre is None:
            low, high = sorted((self.start.imag, self.end.imag))
            if low > x + NEAR or high < x - NEAR:
                return []
            rise = self.end.imag - self.start.imag
            if abs(rise) < NEAR:
                return [self.start.real, self.end.real]
            return [self.start.real + (x - self.start.imag) / rise * (self.end.real - self.start.real)]
        height, radius = x - self.centre.imag, abs(self.start - self.centre)
        square = radius * radius - height * height
        if square < -NEAR:
            return []
        reach = math.sqrt(max(square, 0.0))
        return [z for z in (self.centre.real + reach, self.centre.real - reach) if self._passes(complex(z, x))]

    def _passes(self, place: Place) -> bool:
        centre = self.centre or 0j
        sign = 1.0 if self.ccw else -1.0
        after = ((self.start - centre).conjugate() * (place - centre)).imag * sign
        before = ((self.end - centre).conjugate() * (place - centre)).imag * sign
        return after >= -NEAR and before <= NEAR

    def aside(self, distance: float) -> Piece:
        """The same, moved to its side; positive is away from the part."""
        if self.centre is None:
            step = 1j * distance * (self.start - self.end) / abs(self.start - self.end)
            return Piece(self.start + step, self.end + step)
        radius = abs(self.start - self.centre)
        grow = (radius + (distance if self.ccw else -distance)) / radius
        around = self.centre
        return replace(self, start=around + grow * (self.start - around), end=around + grow * (self.end - around))


@dataclass(slots=True)
class Frame:
    """How a profile was turned and mirrored so that it falls towards -Z."""

    turned: bool = False
    mirrored_z: bool = False
    mirrored_x: bool = False

    def back(self, place: Place) -> Place:
        """A place of the worked-out profile where the program has it."""
        if self.mirrored_z:
            place = -place.conjugate()
        if self.mirrored_x:
            place = place.conjugate()
        return 1j * place if self.turned else place

    @property
    def reversed(self) -> bool:
        """Whether a left turn has become a right turn."""
        return self.mirrored_z != self.mirrored_x


@dataclass(slots=True)
class Profile:
    """The first piece is the way from the cycle's start to the contour."""

    pieces: list[Piece]
    frame: Frame = field(default_factory=Frame)

    def copy(self) -> Profile:
        return Profile([replace(piece) for piece in self.pieces], replace(self.frame))

    def turn(self) -> None:
        """A quarter turn: facing becomes turning."""
        for piece in self.pieces:
            piece.start, piece.end = -1j * piece.start, -1j * piece.end
            if piece.centre is not None:
                piece.centre *= -1j
        self.frame.turned = not self.frame.turned

    def mirror(self, *, x: bool) -> None:
        def other(place: Place) -> Place:
            return place.conjugate() if x else -place.conjugate()

        for piece in self.pieces:
            piece.start, piece.end = other(piece.start), other(piece.end)
            if piece.centre is not None:
                piece.centre, piece.ccw = other(piece.centre), not piece.ccw
        if x:
            self.frame.mirrored_x = not self.frame.mirrored_x
        else:
            self.frame.mirrored_z = not self.frame.mirrored_z

    def orient(self) -> None:
        """Mirror it so that it ends higher in X and farther in -Z than it begins."""
        way = self.pieces[0].end - self.pieces[-1].end
        if way.imag > 0.0:
            self.mirror(x=True)
        if way.real < 0.0:
            self.mirror(x=False)

    def move(self, step: Place) -> None:
        for piece in self.pieces:
            piece.start, piece.end = piece.start + step, piece.end + step
            if piece.centre is not None:
                piece.centre += step

    def finish_corners(self) -> None:
        """Put in the roundings and chamfers."""
        for before, corner, after in zip(self.pieces, self.pieces[1:], self.pieces[2:], strict=False):
            if corner.finish:
                _finish_corner(before, corner, after)
        self.pieces = [piece for piece in self.pieces if piece.size >= COARSE]
        if len(self.pieces) < 2:
            raise BlockFault("PS0058", "an empty contour")

    def settle(self) -> None:
        """Begin no farther in -Z than the contour does. Raises PS0010 if it turns back."""
        first = self.pieces[0]
        if first.end.real > first.start.real:
            first.start = complex(first.end.real, first.start.imag)
        if not all(piece.falls_back for piece in self.pieces):
            raise BlockFault("PS0010", "a contour that turns back")

    def leave(self, distance: float) -> None:
        """Keep that distance from the contour, away from the part, in steps that no piece is too small for."""
        entry, *pieces = self.pieces
        if not pieces:
            raise BlockFault("PS0058", "a contour of one move")
        over = pieces[-1].start - entry.start
        if over != 0.0 and ((entry.end - entry.start) / over).imag < 0.0:
            distance = -distance
        done, steps = 0.0, 0
        while done != distance:
            steps += 1
            if steps > MOST_STEPS or not pieces:
                raise BlockFault("PS0010", "an allowance that leaves nothing of the contour")
            step = min(*(piece.size / 2.0 for piece in pieces), abs(distance - done), 1e9)
            step = math.copysign(step, distance)
            pieces = _bridged([moved for piece in pieces if (moved := piece.aside(step)).size >= COARSE], step)
            _join(pieces)
            done += step
        if not pieces:
            raise BlockFault("PS0010", "an allowance that leaves nothing of the contour")
        for one, following in pairwise(pieces):
            one.end = following.start = (one.end + following.start) / 2.0
        entry.end = pieces[0].start
        self.pieces = [entry, *pieces]


def _finish_corner(before: Piece, corner: Piece, after: Piece) -> None:
    """Between the two moves, at that distance from both, lies the centre; the corner touches both below it."""
    for measure in (corner.finish, -corner.finish):
        one, other = before.aside(measure), after.aside(measure)
        if (one.end - other.start).real <= GAP:
            break
    else:
        raise BlockFault("PS0010", "a corner too tight for its rounding or chamfer")
    _meet(one, other)
    centre = (one.end + other.start) / 2.0
    corner.start = before.end = one.aside(-measure).end
    corner.end = after.start = other.aside(-measure).start
    corner.finish = 0.0
    if corner.centre is not None:
        corner.centre = centre
        corner.ccw = (corner.start - centre).imag > 0.0 or (corner.end - centre).imag > 0.0


def _bridged(pieces: list[Piece], step: float) -> list[Piece]:
    """Arcs where two neighbours were moved apart, about the corner they had."""
    made: list[Piece] = []
    for index, piece in enumerate(pieces):
        made.append(piece)
        if index + 1 < len(pieces):
            following = pieces[index + 1]
            if (piece.end - following.start).real > GAP:
                corner = (piece.aside(-step).end + following.aside(-step).start) / 2.0
                made.append(Piece(piece.end, following.start, corner, step > 0.0))
    return made


def _join(pieces: list[Piece]) -> None:
    """Let neighbours end where they meet; what has turned round or vanished is taken out."""
    index = steps = 0
    while index < len(pieces) - 1:
        steps += 1
        if steps > MOST_STEPS:
            raise BlockFault("PS0010", "a contour that crosses itself")
        if not pieces[index].falls_back:
            lesser = index if index == 0 or pieces[index].size < pieces[index - 1].size else index - 1
            del pieces[lesser]
            index = 0
            if len(pieces) < 2:
                return
        if pieces[index].size < COARSE:
            del pieces[index]
            index = 0
        else:
            _meet(pieces[index], pieces[index + 1])
        index += 1


def _meet(one: Piece, other: Piece) -> None:
    """End ``one`` and begin ``other`` where their curves cross."""
    if one.centre is not None and other.centre is not None:
        apart = abs(other.centre - one.centre)
        if apart == 0.0:
            return
        radius, first = abs(other.start - other.centre), abs(one.start - one.centre)
        cosine = (apart * apart + radius * radius - first * first) / 2.0 / radius / apart
        lean = complex(cosine, math.sqrt(1.0 - min(cosine * cosine, 1.0)))
        one.end = other.start = other.centre + lean * (one.centre - other.centre) / apart * radius
    elif one.centre is None and other.centre is None:
        along = (other.start - other.end).conjugate() / abs(other.start - other.end)
        a, b = (one.start - other.end) * along, (one.end - other.end) * along
        if a.imag == b.imag:
            raise BlockFault("PS0010", "parallel lines in a row")
        one.end = other.start = other.end + (a + (b - a) * a.imag / (a.imag - b.imag)) / along
    elif abs(other.start - one.end) >= NEAR:
        line, arc, foot = (other, one, other.end) if one.centre is not None else (one, other, one.end)
        along = (line.start - line.end).conjugate() / abs(line.start - line.end)
        centre = ((arc.centre or 0j) - foot) * along
        # The arc's end lies on its circle.
        reach = math.sqrt(max(abs(centre - (arc.end - foot) * along) ** 2 - centre.imag**2, 0.0))
        places = [foot + (centre.real + side) / along for side in (reach, -reach)]
        one.end = other.start = min(places, key=lambda place: abs(other.start - place))
