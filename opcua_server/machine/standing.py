"""What a block shows as soon as it has begun: what stands until a command or an event changes it, and what passes with time.

    state, settings, alarms, tool, spindle's way to turn --> of_standing: read anew where something happened in the block
    path, counters ---------.
    spindle, coolant, cut --+------------------------------> of_passing: read after each block

Most blocks of a program that runs are like the one before in half of what they show (``stands``).
"""

from __future__ import annotations

from math import inf
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from nodesets.states import MachineState
from opcua_server.machine import guard
from opcua_server.machine.machine import BLOCK_S, Machine
from opcua_server.machine.maintenance import obligated

if TYPE_CHECKING:
    from opcua_server.machine.controller import Controller
    from opcua_server.machine.moves import Move, Point
    from opcua_server.machine.signals import View

_RUNNING: Final = MachineState.RUNNING


class Known(NamedTuple):
    """An attribute that a signal shows, in units of ``per``, at most ``high``."""

    signal: str
    attribute: str
    per: float = 1.0
    high: float = inf


SETTINGS: Final = (
    Known("Machine/OperationCycleCounter", "cycles_started"),
    Known("Machine/PartsProduced", "parts"),
    Known("Machine/LastCycleTime", "last_cycle_s", high=86_400.0),
    Known("Channel/FeedOverride", "feed_override"),
    Known("Channel/RapidOverride", "rapid_override"),
    Known("Channel/FeedHold", "motion.holding"),
    Known("Spindle/Override", "spindle_override"),
    Known("Spindle/CmdSpeed", "spindle.commanded_rpm"),
    Known("Tool/Number", "tool_number"),
    Known("Tool/IsClamped", "is_tool_clamped"),
    Known("Fixture/IsClamped", "part_change.is_clamped"),
    Known("Magazine/Pocket", "pocket"),
    Known("Magazine/IsMoving", "changing_tool"),
    Known("Coolant/IsOn", "coolant.on"),
)
"""Of the control, that stand."""
COUNTERS: Final = (
    Known("Machine/OperationDuration", "operation_s", per=3600.0),
    Known("Machine/CycleTime", "cycle_s", high=86_400.0),
    Known("Channel/ActModalOffsetFunction", "modal.work_offset"),
)
"""Of the control, that pass."""
CUT: Final = (
    Known("Tool/CuttingSpeed", "cutting_speed_m_min"),
    Known("Tool/ChipLoad", "chip_load_mm"),
)
MACHINE: Final = (
    Known("Spindle/AnglePos", "spindle.angle_deg"),
    Known("Hydraulics/IsCharging", "shown.hydraulics_charge"),
    Known("Part/Roughness", "shown.part_roughness_um", high=25.0),
    Known("Upkeep/SpindleBearing", "upkeep.spindle_h"),
    Known("Upkeep/CoolantFilter", "upkeep.filter_percent"),
    Known("Upkeep/WayLube", "upkeep.lube_percent"),
    Known("Lubrication/FallTime", "fall_timer.last_s", high=600.0),
)
_of_settings, _of_cut, _of_machine = (attrgetter(*(one.attribute for one in table)) for table in (SETTINGS, CUT, MACHINE))

STANDING: Final = (
    "Machine/EndUserObligated", "Machine/BuilderObligated", "Machine/AlarmCount", "Channel/DryRunFeed",
    "Channel/SingleBlock", "Channel/DryRun", "Channel/OptionalStop", "Channel/BlockSkip", "Channel/TestMode",
    "Spindle/ActStatus", "Spindle/ActTurnDirection", "Spindle/IsRotating",
    "Tool/Diameter", "Tool/Teeth", "Tool/WearPercent", "Door/IsClosed", "Door/IsLocked", "Simulation/Speed",
)  # fmt: skip
ALONG: Final = (
    "Machine/PowerOnDuration", "Channel/ActFeedrate", "Channel/CmdFeedrate", "Channel/Progress", "Channel/RemainingTime",
    "Simulation/Time",
    "Axes/X/RemDist", "Axes/Y/RemDist", "Axes/Z/RemDist",
    "Axes/X/ZeroOffset", "Axes/Y/ZeroOffset", "Axes/Z/ZeroOffset", "Tool/LengthOffset",
)  # fmt: skip
PASSING: Final = ("Tool/CuttingTime", "Tool/InCut", "Lubrication/Level")
"""What has to be worked out for one machine, in the order of ``of_standing``, ``of_path``, ``of_physics``, behind what is known."""


def of_standing(v: View) -> tuple[float, ...]:
    """Number of the state, ``SETTINGS``, ``STANDING``."""
    machine, control, state = v.machine, v.controller, v.state
    spindle, tool, runs = machine.spindle, control.tool, state is _RUNNING
    locked = runs or guard.is_locked(control)
    single_block, dry_run, optional_stop, block_skip, test_mode = _modifiers(control.modifiers)
    return (
        state, *_of_settings(control),
        *(_USER if runs else obligated(state, control.maintenance, machine.upkeep)),
        len(control.alarms), control.motion.machine.path.dry_run_mm_s * 60.0,
        single_block, dry_run, optional_stop, block_skip, test_mode,
        v.spindle_status(), spindle.direction % 3, spindle.speed_rpm > 0.0,
        *((tool.type.diameter_mm, tool.type.teeth, tool.measured_percent) if tool else _NO_TOOL),
        locked or guard.is_closed(control, locked), locked, v.speed,
    )  # fmt: skip


def of_passing(v: View) -> tuple[float, ...]:
    """``of_path`` and ``of_physics``."""
    return (*of_path(v), *of_physics(v))


def of_path(v: View) -> tuple[float, ...]:
    """``COUNTERS``, ``ALONG``: what is known of a block as soon as control and path have passed it."""
    return path(v.controller, v.move, v.remaining_mm, v.feed_mm_s, v.machine.block, v.since_start_s)


def path(
    control: Controller, move: Move | None, remaining_mm: Point, feed_mm_s: float, block: int, since_start_s: float
) -> tuple[float, ...]:
    """As ``of_path``, of the move that is on, at the end of a block or within it."""
    modal, done_percent = control.modal, control.progress.percent(control.job)
    left_s, feed = control.remaining_s(done_percent), move.feed if move is not None else 0.0
    return (
        control.operation_s, control.cycle_s, modal.work_offset,
        (block * BLOCK_S - control.off_s) / 3600.0,
        feed_mm_s * 60.0, feed if feed < 25400.0 else 25400.0,
        done_percent, left_s if left_s < 86400.0 else 86400.0,
        since_start_s if since_start_s > 0.0 else 0.0,
        *remaining_mm, *modal.zero_offset, modal.tool_length,
    )  # fmt: skip


def of_physics(v: View) -> tuple[float, ...]:
    """``CUT``, ``MACHINE``, ``PASSING``."""
    machine, cut, tool = v.machine, v.cut, v.controller.tool
    return (
        *_of_cut(cut), *_of_machine(machine),
        tool.cutting_time_s / 60.0 if tool else 0.0, cut.in_cut_s > 0.0,
        100.0 - machine.upkeep.lube_percent,
    )  # fmt: skip


def stands(machine: Machine, speed_rpm: float) -> bool:
    """Whether the last block left all as it was that ``of_standing`` shows, where the spindle turned at ``speed_rpm`` before it."""
    control = machine.controller
    return control.goes_on and control.state is _RUNNING and machine.spindle.speed_rpm == speed_rpm


_modifiers: Final = itemgetter("SingleBlock", "DryRun", "OptionalStop", "BlockSkip", "TestMode")
_NO_TOOL: Final = (0.0, 0, 0.0)
_USER: Final = (True, False)
"""Who has to act while a program runs."""
STOOD: Final = 1 + len(SETTINGS) + len(STANDING)
PATH: Final = len(COUNTERS) + len(ALONG)
PASSED: Final = PATH + len(CUT) + len(MACHINE) + len(PASSING)
"""How many values there are."""
