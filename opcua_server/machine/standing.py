"""What a block shows as soon as it has begun: what stands until a command or an event changes it, and what passes with time.

    state, settings, alarms, tool, spindle's way to turn --> of_standing: read anew where something happened in the block
    path, counters, spindle, coolant, cut -----------------> of_passing: read after each block

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
    Known("Upkeep/CoolantFilter", "coolant.filter_load", per=0.01, high=100.0),
    Known("Upkeep/WayLube", "upkeep.lube_percent"),
    Known("Lubrication/FallTime", "fall_timer.last_s", high=600.0),
)
_of_settings, _of_counters, _of_cut, _of_machine = (
    attrgetter(*(one.attribute for one in table)) for table in (SETTINGS, COUNTERS, CUT, MACHINE)
)

STANDING: Final = (
    "Machine/EndUserObligated", "Machine/BuilderObligated", "Machine/AlarmCount", "Channel/DryRunFeed",
    "Channel/SingleBlock", "Channel/DryRun", "Channel/OptionalStop", "Channel/BlockSkip", "Channel/TestMode",
    "Spindle/ActStatus", "Spindle/ActTurnDirection", "Spindle/IsRotating",
    "Tool/Diameter", "Tool/Teeth", "Tool/WearPercent", "Door/IsClosed", "Door/IsLocked", "Simulation/Speed",
)  # fmt: skip
PASSING: Final = (
    "Machine/PowerOnDuration", "Channel/ActFeedrate", "Channel/CmdFeedrate", "Channel/Progress", "Channel/RemainingTime",
    "Tool/CuttingTime", "Tool/InCut", "Lubrication/Level", "Simulation/Time",
    "Axes/X/RemDist", "Axes/Y/RemDist", "Axes/Z/RemDist",
    "Axes/X/ZeroOffset", "Axes/Y/ZeroOffset", "Axes/Z/ZeroOffset", "Tool/LengthOffset",
)  # fmt: skip
"""What has to be worked out for one machine, in the order of ``of_standing`` and ``of_passing``, behind what is known."""


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
    """``COUNTERS``, ``CUT``, ``MACHINE``, ``PASSING``."""
    machine, control, move, cut = v.machine, v.controller, v.move, v.cut
    tool = control.tool
    done_percent = control.progress.percent(control.job)
    left_s = control.remaining_s(done_percent)
    return (
        *_of_counters(control), *_of_cut(cut), *_of_machine(machine),
        (machine.block * BLOCK_S - control.off_s) / 3600.0,
        v.feed_mm_s * 60.0, min(move.feed, 25400.0) if move else 0.0,
        done_percent, left_s if left_s < 86400.0 else 86400.0,
        tool.cutting_time_s / 60.0 if tool else 0.0, cut.in_cut_s > 0.0,
        100.0 - machine.upkeep.lube_percent, v.since_start_s if v.since_start_s > 0.0 else 0.0,
        *v.remaining_mm,
        *control.modal.zero_offset, control.modal.tool_length,
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
PASSED: Final = len(COUNTERS) + len(CUT) + len(MACHINE) + len(PASSING)
"""How many values there are."""
