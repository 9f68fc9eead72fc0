"""LinuxCNC's lathe cycles along a contour in a subroutine: G70 finishing, G71 roughing along Z, G72 roughing along X.

start o-------------------------->   rapid down the first piece to each level, cut along Z until the contour is met,
      |=====================>  /     off by R at 45 degrees, back at rapid
      |====================>  /
      |          .__________ /       then along what is left of the contour; where it dives again there is a pocket, which
      |=======> /                    .1 leaves and .2 alone cuts
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.motion import arc, straight
from opcua_server.machine.gcode.profile import COARSE, MOST_STEPS, NEAR, Piece, Place, Profile
from opcua_server.machine.gcode.state import State
from opcua_server.machine.moves import Move

CYCLES = frozenset((700, 701, 702, 710, 711, 712, 720, 721, 722))
MOST_PASSES = 10_000
Lines = Iterator[tuple[dict[str, float], tuple[int, ...]]]
"""Words and G codes of the contour's blocks, expressions worked out and assignments made, in the order they are run."""


def turning(state: State, lines: Callable[[str], Lines], code: int, words: dict[str, float]) -> Iterator[Move]:
    """The moves of one block with G70 to G72. ``lines`` runs the subroutine of a name without moving."""
    if state.plane != 180:
        raise BlockFault("PS0021", "a contour cycle needs G18")
    if state.compensation is not None and code >= 710:
        raise BlockFault("PS0037", "contour cycle in cutter compensation")
    if "Q" not in words:
        raise BlockFault("PS0009", "a contour cycle without Q")
    if words.get("I", 1.0) <= 0.0 or words.get("R", 0.5) < 0.0:
        raise BlockFault("PS0009", "I and R of a contour cycle")
    here = complex(state.z, state.x) / state.unit
    start = complex(words.get("Z", 0.0), words.get("X", 0.0) * _radii(state)) + (0.0 if state.absolute else here)
    start = complex(start.real if "Z" in words else here.real, start.imag if "X" in words else here.imag)
    return _cycle(state, lines(str(round(words["Q"]))), start, code, words)


def _contour(state: State, lines: Lines, at: Place) -> list[Piece]:
    """The contour's pieces from ``at`` on. While it is read, the position that programs can ask for follows it."""
    pieces: list[Piece] = []
    mode = max(state.motion, 0)
    for words, codes in lines:
        mode = next((code for code in codes if code in (0, 10, 20, 30)), mode)
        to = complex(words.get("Z", 0.0), words.get("X", 0.0) * _radii(state)) + (0.0 if state.absolute else at)
        to = complex(to.real if "Z" in words else at.real, to.imag if "X" in words else at.imag)
        to += complex(words.get("W", 0.0), words.get("U", 0.0) * _radii(state))
        if to == at:
            continue
        if mode in (0, 10):
            pieces.append(Piece(at, to))
        elif mode in (20, 30):
            pieces.append(Piece(at, to, _centre(state, words, at, to, mode), mode == 30))
        if "A" in words and "C" in words:
            raise BlockFault("PS0009", "A and C at one corner")
        if "A" in words:
            pieces.append(Piece(to, to, to, finish=words["A"]))
        elif "C" in words:
            pieces.append(Piece(to, to, finish=words["C"]))
        state.x, state.z = to.imag * state.unit, to.real * state.unit
        at = to
    return pieces


def _radii(state: State) -> float:
    """What makes a radius of an X: after G7 programs give diameters."""
    return 0.5 if state.diameter_mode else 1.0


def _centre(state: State, words: dict[str, float], at: Place, to: Place, mode: int) -> Place:
    if "R" in words:
        chord = abs(to - at)
        height2 = (words["R"] / chord) ** 2 - 0.25
        if height2 < 0.0:
            raise BlockFault("PS0023", f"R{words['R']:g}")
        aside = 1j * (to - at) * math.sqrt(height2)
        return (at + to) / 2.0 + (aside if mode == 30 else -aside)
    if "I" not in words and "K" not in words:
        raise BlockFault("PS0022")
    centre = complex(words.get("K", 0.0), words.get("I", 0.0))
    return centre if state.ijk_absolute else at + centre


def _cycle(state: State, lines: Lines, start: Place, code: int, words: dict[str, float]) -> Iterator[Move]:
    kind, variant = divmod(code, 10)
    yield from _Cutter(state, Profile([])).go(start, rapid=True)
    pieces = _contour(state, lines, start)
    end = state.work_now()
    state.x, state.z = start.imag * state.unit, start.real * state.unit
    if state.compensation is not None:
        state.compensation.mislead(state.work_now(), end)
    profile = Profile(pieces)
    cutter = _Cutter(state, profile)
    if len(pieces) < 2:
        return
    if kind == 70:
        yield from _finish(cutter, profile, words)
        return
    depth, escape = words.get("I", 1.0), words.get("R", 0.5)
    if kind == 72:
        profile.turn()
    profile.orient()
    profile.finish_corners()
    profile.settle()
    profile.leave(words.get("D", 0.0))
    profile.move(complex(words.get("W", 0.0), words.get("U", 0.0)))
    first, last = profile.pieces[0], profile.pieces[-1].end
    if abs(first.end.imag - first.start.imag) / depth > MOST_PASSES:
        raise BlockFault("PS0009", "I too small")
    yield from cutter.go(first.start, rapid=True)
    if last.imag < first.start.imag:
        profile.pieces.append(Piece(last, complex(last.real, first.start.imag)))
    cutter.tops = [first.start]
    yield from cutter.rough(0, variant, depth, complex(escape, escape))


def _finish(cutter: _Cutter, profile: Profile, words: dict[str, float]) -> Iterator[Move]:
    """Along the contour P times, from the distance D to the distance E."""
    contour = Profile(profile.copy().pieces[1:])
    contour.orient()
    if not all(piece.falls_back for piece in contour.pieces):
        profile.turn()
        contour.turn()
        contour.orient()
    contour.settle()
    profile.orient()
    profile.finish_corners()
    profile.settle()
    far, near, passes = words.get("D", 0.0), words.get("E", 0.0), int(words.get("P", 1.0))
    if passes > MOST_PASSES:
        raise BlockFault("PS0009", "P")
    for count in range(passes, 0, -1):
        path = profile.copy()
        path.leave((count - 1) * (far - near) / words.get("P", 1.0) + near)
        cutter.profile = path
        yield from cutter.go(path.pieces[0].start, rapid=True)
        yield from cutter.go(path.pieces[0].end, rapid=True)
        for piece in path.pieces[1:]:
            yield from cutter.go(piece.end) if piece.centre is None else cutter.around(piece, piece.end)


class _Cutter:
    """Where the tool is on a worked-out profile, and the moves that bring it on."""

    def __init__(self, state: State, profile: Profile) -> None:
        self.state = state
        self.profile = profile
        self.at: Place = 0j
        self.tops: list[Place] = []
        """Where the cut began, and where the pockets that are being cut do."""

    # Moves

    def go(self, to: Place, *, rapid: bool = False) -> Iterator[Move]:
        state, end = self.state, self.profile.frame.back(to)
        out: list[Move] = []
        straight(state, out, rapid=rapid, end=(end.imag * state.unit, state.y, end.real * state.unit))
        self.at = to
        return iter(out)

    def around(self, piece: Piece, to: Place) -> Iterator[Move]:
        if abs(to - self.at) < NEAR:
            return iter(())
        state, frame = self.state, self.profile.frame
        end, centre = frame.back(to), frame.back(piece.centre or 0j)
        out: list[Move] = []
        kept = state.ijk_absolute, state.diameter_mode, state.absolute
        state.ijk_absolute, state.diameter_mode, state.absolute = True, False, True
        try:
            words = {"X": end.imag, "Z": end.real, "I": centre.imag, "K": centre.real}
            arc(state, out, words, clockwise=piece.ccw == frame.reversed)
        finally:
            state.ijk_absolute, state.diameter_mode, state.absolute = kept
        self.at = to
        return iter(out)

    def _arc_unless_there(self, piece: Piece, to: Place) -> Iterator[Move]:
        if abs(self.at - to) > COARSE:
            yield from self.around(piece, to)
        self.at = to

    # Pieces. Each returns whether the path goes on as asked.

    def _dive(self, piece: Piece, level: float, *, rapid: bool) -> Generator[Move, None, bool]:
        """Down along a piece to a level or to its end; False when it does not lead down."""
        if piece.centre is None:
            if piece.start.imag <= piece.end.imag + NEAR:
                return False
            to = piece.end
            if level >= piece.end.imag:
                found = piece.at_level(level)
                if not found:
                    raise BlockFault("PS0010", "a contour cycle that begins too low")
                to = complex(found[0], level)
            yield from self.go(to, rapid=rapid)
            return True
        if self.at.real - piece.end.real <= NEAR:
            self.at = piece.end
            return True
        centre, found = piece.centre, piece.at_level(level) or piece.at_level(level - NEAR)
        if self.at.real - NEAR > centre.real if piece.ccw else self.at.real <= centre.real:
            return False
        if not found or (piece.ccw and found[-1] > centre.real):
            yield from self.around(piece, piece.end)
        elif piece.ccw or found[0] >= centre.real:
            yield from self.around(piece, complex(found[-1] if piece.ccw else found[0], level))
        return True

    def _climb(self, piece: Piece) -> Generator[Move, None, bool]:
        """Up along a piece; False where it leads down, and a pocket begins."""
        if piece.centre is None:
            if piece.end.imag + NEAR < piece.start.imag:
                return False
            if abs(self.at - piece.start) > NEAR:
                raise BlockFault("PS0010", "a contour with a gap")
            yield from self.go(piece.end)
            return True
        if not piece.ccw:
            if self.at.real > piece.centre.real:
                return False
            yield from self._arc_unless_there(piece, piece.end)
            return True
        if self.at.real >= piece.centre.real:
            yield from self._arc_unless_there(piece, _top_or_end(piece))
        return False

    def _climb_over(self, piece: Piece) -> Iterator[Move]:
        """Up along a piece from where it has the tool's height, over whatever lies before it."""
        found = piece.at_level(self.at.imag)
        if not found:
            return
        if piece.centre is None:
            if piece.end.imag < piece.start.imag:
                return
            yield from self.go(complex(found[0], self.at.imag))
            yield from self.go(piece.end)
        elif not piece.ccw:
            if found[-1] <= piece.centre.real:
                yield from self.go(complex(found[-1], self.at.imag))
                yield from self._arc_unless_there(piece, piece.end)
        elif found[0] >= piece.centre.real:
            yield from self.go(complex(found[0], self.at.imag))
            yield from self._arc_unless_there(piece, _top_or_end(piece))

    # Roughing

    def rough(self, first: int, variant: int, depth: float, escape: Place) -> Iterator[Move]:
        """Level by level from piece ``first`` on; variant 1 leaves pockets, 2 begins with them (and goes on as 3)."""
        pieces = self.profile.pieces
        level = self.tops[-1].imag
        index, idle = first, 0
        if variant == 2:
            while index < len(pieces) and (yield from self._dive(pieces[index], -1e9, rapid=index == 0)):
                index += 1
            variant = 3
        while index < len(pieces):
            idle += 1
            if idle > MOST_STEPS:
                raise BlockFault("PS0010", "a contour that cannot be cut")
            while level - NEAR > self.at.imag:
                level -= depth
            if not (yield from self._dive(pieces[index], level, rapid=index == 0)):
                yield from self._along(index, variant, depth, escape)
                return
            if abs(self.at.imag - level) > NEAR:
                index += 1
                continue
            for later, z in self._ahead(index):
                if abs(z - self.at.real) >= NEAR:
                    idle = 0
                    yield from self._pass(z, escape, rapid=index == 0)
                elif later == index:
                    continue
                elif abs(self.at - pieces[later].start) < NEAR:
                    index = later
                    break
                level -= depth
                break

    def _ahead(self, index: int) -> Iterator[tuple[int, float]]:
        """Pieces from ``index`` on and where a pass at the tool's height meets them, unless that is behind the tool."""
        for later in range(index, len(self.profile.pieces)):
            found = self.profile.pieces[later].at_level(self.at.imag)
            if found:
                z = found[-1] if later == index else found[0]
                if z - NEAR <= self.at.real:
                    yield later, z

    def _along(self, index: int, variant: int, depth: float, escape: Place) -> Iterator[Move]:
        """The rest of the contour from where it leads up."""
        for later in range(index, len(self.profile.pieces)):
            piece = self.profile.pieces[later]
            if variant == 1:
                yield from self._climb_over(piece)
            elif not (yield from self._climb(piece)):
                if variant == 3:
                    if len(self.tops) > 1 and self.at.imag > self.tops[-1].imag:
                        self.tops.pop()
                    if len(self.tops) == 1:
                        self.tops.append(self.at)
                yield from self.rough(later, variant, depth, escape)
                return

    def _pass(self, z: float, escape: Place, *, rapid: bool) -> Iterator[Move]:
        begin = self.at
        share = min(1.0, abs(z - begin.real) / 2.0 / escape.real) if escape.real else 0.0
        yield from self.go(complex(z, begin.imag))
        yield from self.go(self.at + share * escape, rapid=True)
        yield from self.go(begin - share * escape.conjugate(), rapid=True)
        yield from self.go(begin, rapid=rapid)


def _top_or_end(piece: Piece) -> Place:
    """End of a left turn, or its highest place if it leads down again behind it."""
    centre = piece.centre or 0j
    return complex(centre.real, centre.imag + abs(piece.start - centre)) if piece.end.real < centre.real else piece.end
