"""The modal state of the interpreter and the chain of coordinates.

    program --G16, G51, G68, G51.1--> work --+ G52 + G92, system's rotation, + work zero, + tool offset--> machine

``x``, ``y``, ``z`` are program coordinates in mm and are the truth between blocks; whatever shifts the chain (offsets, tool
length) recomputes them so that the machine stands still.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from opcua_server.machine.gcode import modal
from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.dialect import Dialect
from opcua_server.machine.gcode.rotation import Rotation
from opcua_server.machine.gcode.scaling import Scaling
from opcua_server.machine.gcode.tables import ZERO, Limits, ToolTable, WorkOffsets
from opcua_server.machine.moves import Modal, Move, MoveKind, Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from opcua_server.machine.gcode.compensation import Compensation
    from opcua_server.machine.gcode.corners import Corner

PLANES = {170: (0, 1, 2), 180: (2, 0, 1), 190: (1, 2, 0)}
"""First, second and perpendicular axis; G18 is ZX, so that G2 is clockwise seen against +Y."""
NORMALS: dict[int, Point] = {170: (0.0, 0.0, 1.0), 180: (0.0, 1.0, 0.0), 190: (1.0, 0.0, 0.0)}


ControlPoint = tuple[float, float, float]
"""First and second axis in mm, weight."""


class State:
    __slots__ = (
        "absolute",
        "angle_deg",
        "block_text",
        "compensation",
        "control_points",
        "corner",
        "cycle",
        "dialect",
        "diameter_mode",
        "direction",
        "exact_once",
        "exact_stop",
        "exit_place",
        "feed",
        "feed_mode",
        "feed_required",
        "flood",
        "g52",
        "g68",
        "g92",
        "g92_kept",
        "groups",
        "h",
        "ijk_absolute",
        "initial_level",
        "inverse_time",
        "label_of",
        "limits",
        "line",
        "middle",
        "mirror",
        "mist",
        "modal_cache",
        "motion",
        "next_tool",
        "offset_number",
        "offset_unit",
        "offsets",
        "overrides",
        "ox",
        "oy",
        "oz",
        "plain",
        "plane",
        "polar",
        "probe",
        "program",
        "retract_initial",
        "rigid_tap",
        "scaling",
        "skip",
        "skip_hit",
        "speed",
        "spline_order",
        "spline_tail",
        "surface_speed",
        "system",
        "thread_begins",
        "tool",
        "tool_offset",
        "tools",
        "turn",
        "unit",
        "x",
        "y",
        "z",
    )

    def __init__(self, dialect: Dialect, tools: ToolTable, offsets: WorkOffsets, start: Point, limits: Limits | None) -> None:
        self.dialect = dialect
        self.tools = tools
        self.offsets = offsets
        self.limits = limits
        self.motion: int = -1 if dialect.motion_at_start is None else dialect.motion_at_start
        """Active G0-G3, G33 or cycle, times 10; -1 after LinuxCNC's G80."""
        self.plane = 170
        self.absolute = True
        self.ijk_absolute = False
        self.unit = 1.0
        """mm per programmed unit: 1 or 25.4."""
        self.feed_mode = 940
        self.feed = 0.0
        """mm/min; mm/rev with G95."""
        self.feed_required = dialect.feed_required
        """A cutting block without a feed is an alarm."""
        self.inverse_time = 0.0
        self.speed = 0.0
        self.surface_speed = 0.0
        self.direction = 0
        self.angle_deg: float | None = None
        """At which the spindle is to stand while ``direction`` is 0: as of M19."""
        self.overrides = True
        self.mist = False
        self.flood = False
        self.tool = 0
        self.next_tool = 0
        self.h = 0
        self.offset_number: int | None = None
        """D; None until the program gives one."""
        self.tool_offset: Point = ZERO
        self.offset_unit = 1.0
        """mm per unit when the length offset was chosen."""
        self.system = 1
        self.g92: Point = ZERO
        self.g92_kept: Point = ZERO
        self.g52: Point = ZERO
        self.turn: tuple[float, float] | None = None
        """Cosine and sine of the work system's rotation; None without."""
        self.g68: Rotation | None = None
        self.scaling: Scaling | None = None
        self.mirror: Scaling | None = None
        self.polar = False
        self.middle: Point | None = None
        """Intermediate point of the last G28 or G30, which G29 goes back over; program coordinates."""
        self.exact_stop = False
        self.exact_once = False
        self.retract_initial = dialect.retract_initial_at_start
        self.initial_level: float | None = None
        self.rigid_tap = False
        self.thread_begins = True
        """G33 did not hold before: its next stroke does not go on with a thread."""
        self.cycle: dict[str, float] = {}
        self.compensation: Compensation | None = None
        self.corner: Corner | None = None
        """A move that waits for the next one: ",R" and ",C"."""
        self.exit_place: Point | None = None
        """Programmed point at G40, program coordinates, until a move in the plane has gone there."""
        self.control_points: list[ControlPoint] = []
        self.spline_order = 3
        self.spline_tail = (0.0, 0.0)
        """P, Q of the last G5 in a row, mm."""
        self.diameter_mode = False
        self.skip: Point = ZERO
        self.skip_hit = False
        self.probe: Callable[[Point, Point], Point | None] | None = None
        self.label_of: Callable[[str], int] = lambda letter: 0
        """Number of the last N, or of the program (O)."""
        self.groups: dict[str, int] = {}
        self.modal_cache: Modal | None = None
        self.line = 0
        self.program = ""
        self.block_text = ""
        self.plain = True
        self.x = self.y = self.z = 0.0
        self.ox = self.oy = self.oz = 0.0
        self.refresh()
        self.stand_at(start)

    # The chain

    def refresh(self) -> None:
        """Recompute what is kept of the chain after one of its links changed."""
        self.exit_place = None
        zero, g92, g52, tool = self.offsets.zero(self.system), self.g92, self.g52, self.tool_offset
        self.ox = zero[0] + g92[0] + g52[0] + tool[0]
        self.oy = zero[1] + g92[1] + g52[1] + tool[1]
        self.oz = zero[2] + g92[2] + g52[2] + tool[2]
        angle = self.offsets.rotations_deg.get(self.system, 0.0)
        self.turn = (math.cos(math.radians(angle)), math.sin(math.radians(angle))) if angle else None
        self.changed()

    def changed(self) -> None:
        """Call after any change of modal state."""
        self.modal_cache = None
        self.plain = (
            self.turn is None
            and self.g68 is None
            and self.scaling is None
            and self.mirror is None
            and not self.polar
            and self.compensation is None
            and self.corner is None
            and self.feed_mode == 940
            and not self.diameter_mode
            and self.exit_place is None
        )

    def to_work(self, point: Point) -> Point:
        return self.scaled_to_work(point if self.scaling is None else self.scaling(point))

    def scaled_to_work(self, point: Point) -> Point:
        """The rest of the way of a point that is scaled already."""
        if self.g68 is not None:
            point = self.g68.to_work(point)
        return point if self.mirror is None else self.mirror(point)

    def from_work(self, point: Point) -> Point:
        if self.mirror is not None:
            point = self.mirror.back(point)
        if self.g68 is not None:
            point = self.g68.from_work(point)
        return point if self.scaling is None else self.scaling.back(point)

    def stretch(self, axis: int) -> float:
        """By how much an axis is scaled."""
        return 1.0 if self.scaling is None else abs(self.scaling.factors[axis])

    @property
    def is_mirrored(self) -> bool:
        """Whether what turns one way in the plane turns the other way in work coordinates, for G51.1 or factors of G51."""
        first, second, _ = PLANES[self.plane]
        return sum(one is not None and one.turns_over(first, second) for one in (self.scaling, self.mirror)) == 1

    def to_machine(self, work: Point) -> Point:
        x, y, z = work
        if self.turn is None:
            return (x + self.ox, y + self.oy, z + self.oz)
        cosine, sine = self.turn
        zero, tool = self.offsets.zero(self.system), self.tool_offset
        x += self.g92[0] + self.g52[0]
        y += self.g92[1] + self.g52[1]
        return (
            x * cosine - y * sine + zero[0] + tool[0],
            x * sine + y * cosine + zero[1] + tool[1],
            z + self.oz,
        )

    def from_machine(self, machine: Point) -> Point:
        x, y, z = machine
        if self.turn is None:
            return (x - self.ox, y - self.oy, z - self.oz)
        cosine, sine = self.turn
        zero, tool = self.offsets.zero(self.system), self.tool_offset
        x -= zero[0] + tool[0]
        y -= zero[1] + tool[1]
        return (
            x * cosine + y * sine - self.g92[0] - self.g52[0],
            -x * sine + y * cosine - self.g92[1] - self.g52[1],
            z - self.oz,
        )

    def stand_at(self, machine: Point) -> None:
        """Set the program coordinates so that the programmed point's machine position is ``machine``."""
        work = self.from_machine(machine)
        self.exit_place = None
        if self.compensation is not None:
            before = self.work_now()
            self.compensation.shift((work[0] - before[0], work[1] - before[1], work[2] - before[2]))
        self.x, self.y, self.z = self.from_work(work)

    def programmed_now(self) -> Point:
        """Machine position of the programmed point (without cutter compensation)."""
        return self.to_machine(self.to_work((self.x, self.y, self.z)))

    def work_now(self) -> Point:
        """Work coordinates of the programmed point."""
        return self.to_work((self.x, self.y, self.z))

    def actual_work_now(self) -> Point:
        """Work coordinates of the tool: beside the programmed point in cutter compensation."""
        compensation = self.compensation
        if compensation is None or compensation.position is None:
            return self.work_now()
        return compensation.measured(compensation.position)

    def machine_now(self) -> Point:
        return self.to_machine(self.actual_work_now())

    def set_work_zero(self, system: int, zero: Point) -> None:
        """Write a work zero (0: the external one); a change of the active system leaves the machine where it is."""
        here = self.programmed_now()
        if system == 0:
            self.offsets.external = zero
        else:
            self.offsets.systems[system] = zero
        self.refresh()
        self.stand_at(here)

    def leave_cycle(self) -> None:
        """No canned cycle holds any more: what was said of its holes is forgotten, and rigid tapping, if it had begun, is over."""
        self.rigid_tap = self.rigid_tap and self.motion not in (740, 840)
        self.cycle = {}
        self.initial_level = None

    # Moves

    def modal(self) -> Modal:
        cache = self.modal_cache
        if cache is None:
            zero = self.from_zero()
            cache = self.modal_cache = Modal(
                tuple(sorted(modal.g_codes(self))),
                self.system + 53 if self.system <= 6 else 54,
                zero,
                self.speed,
                self.direction,
                self.mist,
                self.flood,
                self.tool,
                self.tool_offset[2],
                self.exact_stop or self.exact_once,
                self.feed_mode == 950,
                None if self.direction else self.angle_deg,
                self.overrides,
            )
        return cache

    def from_zero(self) -> Point:
        """Machine coordinates of the active work zero, without tool length."""
        x, y, z = self.to_machine(ZERO)
        tool = self.tool_offset
        return (x - tool[0], y - tool[1], z - tool[2])

    def emit(
        self,
        out: list[Move],
        kind: MoveKind,
        work: Point,
        feed: float = 0.0,
        centre: Point | None = None,
        turns: float = 0.0,
        *,
        line: int = 0,
        text: str = "",
    ) -> None:
        """Append one move to ``work`` (work coordinates), checked against the soft limits. ``centre`` in work coordinates."""
        machine = self.to_machine(work)
        if self.limits is not None:
            self.check_limits(machine)
        out.append(
            Move(
                kind,
                line or self.line,
                machine,
                work,
                feed,
                None if centre is None else self.to_machine(centre),
                None if centre is None else self.normal(),
                turns,
                0.0,
                0,
                text,
                self.program,
                self.block_text,
                self.modal(),
            )
        )

    def normal(self) -> Point:
        """Of the plane of arcs, in work coordinates."""
        if self.g68 is None:
            return NORMALS[self.plane]
        x, y, z = self.g68.direction(NORMALS[self.plane])
        if self.mirror is None:
            return (x, y, z)
        f, g, h = self.mirror.factors
        side = self.mirror.factors[PLANES[self.plane][2]]
        return (f * x * side, g * y * side, h * z * side)

    def emit_still(self, out: list[Move], kind: MoveKind, *, dwell_s: float = 0.0, tool: int = 0, text: str = "") -> None:
        """Append something that happens where the machine stands."""
        work = self.actual_work_now()
        move = Move(
            kind,
            self.line,
            self.to_machine(work),
            work,
            dwell_s=dwell_s,
            tool=tool,
            text=text,
            program=self.program,
            block=self.block_text,
            modal=self.modal(),
        )
        if self.compensation is None or not self.compensation.hold(move):
            out.append(move)

    def check_limits(self, machine: Point) -> None:
        limits = self.limits
        if limits is None:
            return
        for axis, value, low, high in zip("XYZ", machine, limits.lower, limits.upper, strict=True):
            if value > high:
                raise BlockFault("OT0500", f"{axis} {value:.3f} > {high:.3f}")
            if value < low:
                raise BlockFault("OT0501", f"{axis} {value:.3f} < {low:.3f}")
