"""What the program reads and G10 writes: tool offsets, work offsets, reference points, travel limits. All in mm."""

from __future__ import annotations

from dataclasses import dataclass, field

from opcua_server.machine.moves import Point

ZERO: Point = (0.0, 0.0, 0.0)


@dataclass(slots=True)
class Tool:
    """One row of the offset memory: H geometry and wear, D geometry and wear; mm, D as a radius."""

    length: float = 0.0
    radius: float = 0.0
    length_wear: float = 0.0
    radius_wear: float = 0.0
    offset: Point = ZERO
    """Further offset of the tool's tip in X, Y, Z (LinuxCNC tool tables); Z adds to ``length``."""


@dataclass(slots=True)
class ToolTable:
    """Offset memory by number. ``largest`` is the largest tool number the magazine takes; None takes all of them."""

    tools: dict[int, Tool] = field(default_factory=dict)
    largest: int | None = None
    largest_offset: int = 400
    """H and D beyond it are alarm PS0030."""
    change_z_mm: float | None = None
    """Machine Z at which the arm reaches the spindle: M6 rises there first. None: tools are changed wherever Z is."""

    def row(self, number: int) -> Tool:
        """The row of that number, made when it is not there yet."""
        return self.tools.setdefault(number, Tool())

    def length(self, number: int) -> Point:
        """Offset that G43 H ``number`` applies, mm."""
        tool = self.tools.get(number)
        if tool is None:
            return ZERO
        x, y, z = tool.offset
        return (x, y, z + tool.length + tool.length_wear)

    def radius(self, number: int) -> float:
        """Cutter radius that G41/G42 D ``number`` uses, mm."""
        tool = self.tools.get(number)
        return 0.0 if tool is None else tool.radius + tool.radius_wear


@dataclass(slots=True)
class WorkOffsets:
    """Work zeros in machine coordinates. Keys: 1-6 are G54-G59, 7-9 are G59.1-G59.3, 101-148 are G54.1 P1-P48."""

    systems: dict[int, Point] = field(default_factory=dict)
    rotations_deg: dict[int, float] = field(default_factory=dict)
    """About Z, of a system (G10 L2 R)."""
    external: Point = ZERO
    """Added to every system."""
    references: dict[int, Point] = field(default_factory=dict)
    """Reference points in machine coordinates: 1 is G28, 2-4 are G30 P2-P4; (0, 0, 0) unless given."""

    def zero(self, system: int) -> Point:
        x, y, z = self.systems.get(system, ZERO)
        ex, ey, ez = self.external
        return (x + ex, y + ey, z + ez)


@dataclass(frozen=True, slots=True)
class Limits:
    """Soft limits in machine coordinates, mm: a move's end outside is OT0500 (plus side) or OT0501 (minus side)."""

    lower: Point
    upper: Point
