"""G51 and G51.1: a part of the program larger, smaller or mirrored.

    program --G51 scaling--> --G68 rotation--> --G51.1 mirror--> work

The mirror stands outside, as of a picture of all that is within: arcs turn the other way, the cutter goes on the other side and a
rotation turns back, where one axis of the plane is mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.moves import Point

if TYPE_CHECKING:
    from opcua_server.machine.gcode.state import State

AXES: Final = "XYZ"
CENTRES: Final = "IJK"
THOUSANDTH: Final = 0.001
"""Unit of a factor without a decimal point; with one it is the factor itself."""
LARGEST: Final = 10_000.0
NONE: Final = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Each coordinate times its factor, counted from ``centre`` (mm), which stays where it is. A factor of -1 is a mirror."""

    centre: Point
    factors: Point

    def __call__(self, point: Point) -> Point:
        (x, y, z), (a, b, c), (f, g, h) = point, self.centre, self.factors
        return (a + f * (x - a), b + g * (y - b), c + h * (z - c))

    def back(self, point: Point) -> Point:
        """The point that goes to ``point``."""
        (x, y, z), (a, b, c), (f, g, h) = point, self.centre, self.factors
        return (a + (x - a) / f, b + (y - b) / g, c + (z - c) / h)

    def turns_over(self, first: int, second: int) -> bool:
        """Whether what turns one way in the plane of these axes turns the other way after it."""
        return self.factors[first] * self.factors[second] < 0.0


def select(state: State, groups: dict[str, int], words: dict[str, float], pointless: str) -> bool:
    """G50 and G51, G50.1 and G51.1; whether they leave the block's axis words to others. Raises PS0010 where two use them, and
    what the four raise."""
    if sum(group in groups for group in ("scaling", "mirror", "rotation")) > 1:
        raise BlockFault("PS0010", "two G codes that use the axis words")
    code = groups.get("scaling", groups.get("mirror"))
    if code == 511:
        mirror(state, words)
    elif code == 501:
        unmirror(state, words)
    elif code == 510:
        scale(state, words, pointless)
    else:
        unscale(state)
    return code == 500


def scale(state: State, words: dict[str, float], pointless: str) -> None:
    """G51: X, Y, Z is the centre (the tool's place where not given); P one factor, or I, J, K one for each axis. Raises PS0141
    in cutter compensation, PS0142 for a factor that is none, PS0412 under rotation."""
    if state.compensation is not None:
        raise BlockFault("PS0141")
    if state.g68 is not None:
        raise BlockFault("PS0412", "G51 under G68")
    if "P" in words:
        factors = [words["P"] * (THOUSANDTH if "P" in pointless else 1.0)] * 3
    else:
        # Where lengths are written without a point, the parser has put it in already.
        whole = THOUSANDTH if state.dialect.increment_mm is None else 1.0
        factors = [words.get(address, 1.0) * (whole if address in pointless else 1.0) for address in CENTRES]
    if "P" in words and any(address in words for address in CENTRES):
        raise BlockFault("PS0142", "P and I, J, K")
    for factor in factors:
        if not 0.0 < abs(factor) < LARGEST or ("P" in words and factor < 0.0):
            raise BlockFault("PS0142", f"{factor:g}")
    here = state.programmed_now()
    state.scaling = None
    state.stand_at(here)
    centre = _place(state, words)
    _take(state, here, scaling=Scaling(centre, (factors[0], factors[1], factors[2])), mirror=state.mirror)
    state.groups["scaling"] = 510


def unscale(state: State) -> None:
    """G50. Raises PS0141 and PS0412 as ``scale`` does."""
    if state.scaling is not None:
        if state.compensation is not None:
            raise BlockFault("PS0141", "G50")
        if state.g68 is not None:
            raise BlockFault("PS0412", "G50 under G68")
        _take(state, state.programmed_now(), scaling=None, mirror=state.mirror)
    state.groups["scaling"] = 500


def mirror(state: State, words: dict[str, float]) -> None:
    """G51.1: the axes given are mirrored about the values given, besides those that are already. Raises PS0412 in scaling,
    rotation and cutter compensation."""
    _check_mirror(state, "G51.1")
    here = state.programmed_now()
    before = state.mirror or Scaling((0.0, 0.0, 0.0), NONE)
    centre, factors = list(before.centre), list(before.factors)
    state.mirror = None
    state.stand_at(here)
    given = _place(state, words)
    for axis, address in enumerate(AXES):
        if address in words:
            centre[axis], factors[axis] = given[axis], -1.0
    _mirrored(state, here, centre, factors)


def unmirror(state: State, words: dict[str, float]) -> None:
    """G50.1: the axes given are mirrored no longer; all of them where none is given. Raises PS0412 as ``mirror`` does."""
    if state.mirror is None:
        state.groups["mirror"] = 501
        return
    _check_mirror(state, "G50.1")
    named = [address in words for address in AXES]
    factors = [1.0 if is_named or not any(named) else f for is_named, f in zip(named, state.mirror.factors, strict=True)]
    _mirrored(state, state.programmed_now(), list(state.mirror.centre), factors)


def _mirrored(state: State, here: Point, centre: list[float], factors: list[float]) -> None:
    is_mirrored = any(factor < 0.0 for factor in factors)
    made = Scaling((centre[0], centre[1], centre[2]), (factors[0], factors[1], factors[2])) if is_mirrored else None
    _take(state, here, scaling=state.scaling, mirror=made)
    state.groups["mirror"] = 511 if is_mirrored else 501


def _check_mirror(state: State, code: str) -> None:
    for active, what in ((state.compensation, "cutter compensation"), (state.g68, "G68"), (state.scaling, "G51")):
        if active is not None:
            raise BlockFault("PS0412", f"{code} under {what}")


def _place(state: State, words: dict[str, float]) -> Point:
    """X, Y and Z of the block as a place, mm; where the tool stands for those that are not given."""
    here = (state.x, state.y, state.z)
    x, y, z = (
        words[address] * state.unit + (0.0 if state.absolute else at) if address in words else at
        for address, at in zip(AXES, here, strict=True)
    )
    return (x, y, z)


def _take(state: State, here: Point, *, scaling: Scaling | None, mirror: Scaling | None) -> None:
    """From now on; the machine stays ``here``."""
    state.scaling, state.mirror = scaling, mirror
    state.initial_level = None
    state.changed()
    state.stand_at(here)
