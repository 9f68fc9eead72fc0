"""The signal catalogue: the one hand-written truth of what the machine shows.

Everything that speaks of a signal is derived from this table: our NodeSet2, the address space, the client's binding, the
REST schema, the MQTT topics, docs/signals.md and the conformance test. A name is the same everywhere: ``Spindle/ActSpeed`` is
the browse path below ``<machine>/Signals``, a topic tail, a REST path and a docs heading.

A row's ``nodes`` say where the signal appears in the official models, as a path from the machine object:

    CNC:CncInterface/CNC:CncSpindleList/{CNC:CncSpindleType}S1/CNC:ActSpeed
    '-- namespace prefix                '-- "the instance of this type": ours is called S1,
                                            a foreign server's may have any name

Prefixes are those of ``nodesets.namespaces``. The first node is where the signal's variable lives; the others are further nodes
driven by the same value. A signal without nodes exists only in our own namespace, at ``X:Signals/<name>``; a signal with
nodes is also organized there, so that every signal can be browsed in one place.

Adding a signal: one row here, and the machine state that it shows (``opcua_server/machine/signals.py``).
"""

# ruff: noqa: E501 - a table: one signal, one row

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from nodesets import units as u
from nodesets.units import Unit

DataType = Literal[
    "Double", "Boolean", "Int32", "UInt16", "UInt32", "Byte", "String", "LocalizedText", "DateTime",
    "String[]", "UInt32[]", "Double[]",
]  # fmt: skip
Access = Literal["r", "rw", "result"]
"""r: read only. rw: an operator may write it. result: only the Analytics role writes it."""

NUMERIC_TYPES: Final = frozenset({"Double", "Boolean", "Int32", "UInt16", "UInt32", "Byte"})


@dataclass(frozen=True, slots=True)
class Signal:
    """One row. ``low`` and ``high`` are the EURange, in ``unit``; both None for what is no measured quantity."""

    name: str
    type: DataType
    doc: str
    unit: Unit | None = None
    low: float | None = None
    high: float | None = None
    access: Access = "r"
    historized: bool = False
    nodes: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        return self.type in NUMERIC_TYPES

    @property
    def is_analog(self) -> bool:
        """Whether the variable carries EngineeringUnits and EURange."""
        return self.unit is not None

    @property
    def group(self) -> str:
        return self.name.rsplit("/", 1)[0]

    @property
    def tag(self) -> str:
        return self.name.rsplit("/", 1)[1]


AXES: Final = ("X", "Y", "Z")
PHASES: Final = ("L1", "L2", "L3")
"""Of the mains."""
TRAVEL_MM: Final = {"X": (-762.0, 0.0), "Y": (-406.0, 0.0), "Z": (-508.0, 0.0)}
"""Machine coordinates that each axis can reach, mm: a 40-taper vertical mill of the 762 x 406 x 508 class, home at 0, 0, 0."""

GROUPS: Final = {
    "Machine": "The machine as a whole: its state, its counters, its first alarm, its stack light",
    "Channel": "The control's channel: program, mode, overrides, what is executed",
    "Axes": "The linear axes and their drives",
    "Axes/X": "Axis X: the table, left and right",
    "Axes/Y": "Axis Y: the saddle, to and from the operator",
    "Axes/Z": "Axis Z: the spindle head, up and down",
    "Spindle": "The main spindle: speed, load, temperatures, vibration",
    "Tool": "The tool in the spindle",
    "Coolant": "Coolant: pump, filter, tank",
    "Upkeep": "Counters of use, each towards what is to be done about it",
    "Air": "Compressed air",
    "Hydraulics": "The hydraulics that clamp the work",
    "Lubrication": "The lubrication of the guide ways",
    "Door": "The door of the working area",
    "Fixture": "The fixture that holds the work",
    "Magazine": "The tool magazine",
    "ChipConveyor": "The chip conveyor",
    "Part": "The part that was finished last, as gauged beside the machine",
    "Power": "Electrical power and energy, as the meter ahead of the main switch shows them",
    "Environment": "The shop around the machine",
    "Structure": "The machine's frame: how warm it is, and how it grows with that",
    "Simulation": "What only a simulated machine has: its time, its faults, what the analytics are judged by",
    "Analytics": "What the analytics found, written by them",
}
"""Group of signals -> what it is about."""

_CHANNEL = "CNC:CncInterface/CNC:CncChannelList/{CNC:CncChannelType}Channel1/CNC:"
_SPINDLE = "CNC:CncInterface/CNC:CncSpindleList/{CNC:CncSpindleType}S1/CNC:"
_MONITORED_CHANNEL = "MT:Monitoring/{MT:ChannelMonitoringType}Channel1/MT:"
_MONITORED_SPINDLE = "MT:Monitoring/{MT:SpindleMonitoringType}Spindle1/MT:"
_MACHINE_TOOL = "MT:Monitoring/MT:MachineTool/MT:"
_PROGRAM = "MT:Production/MT:ActiveProgram/MT:"
_STACKLIGHT = "MT:Monitoring/MT:Stacklight/"
_LIFETIME = "MA:MachineryBuildingBlocks/MA:LifetimeCounters/{DI:LifetimeVariableType}"

# A table: one signal, one row.
# fmt: off


def _axis(axis: str) -> Iterator[Signal]:
    base = f"CNC:CncInterface/CNC:CncAxisList/{{CNC:CncAxisType}}{axis}/CNC:"
    low, high = TRAVEL_MM[axis]
    shown_low, shown_high = low - 1.0, high + 1.0  # the scale sees micrometres of overshoot at the ends of the travel
    name = f"Axes/{axis}"
    yield Signal(f"{name}/ActPos", "Double", f"Actual position of axis {axis} at the scale, machine coordinates",
                 u.MILLIMETRE, shown_low, shown_high, historized=True, nodes=(base + "PosDirect/CNC:ActPos",))
    yield Signal(f"{name}/CmdPos", "Double", f"Commanded position of axis {axis}, machine coordinates",
                 u.MILLIMETRE, shown_low, shown_high, nodes=(base + "PosDirect/CNC:CmdPos", base + "PosIndirect/CNC:CmdPos"))
    yield Signal(f"{name}/RemDist", "Double", f"Distance to go of axis {axis} in the active block",
                 u.MILLIMETRE, low - high, high - low, nodes=(base + "PosDirect/CNC:RemDist", base + "PosIndirect/CNC:RemDist"))
    yield Signal(f"{name}/MotorPos", "Double", f"Actual position of axis {axis} at the motor encoder, before backlash and screw growth",
                 u.MILLIMETRE, shown_low, shown_high, nodes=(base + "PosIndirect/CNC:ActPos",))
    yield Signal(f"{name}/ZeroOffset", "Double", f"Active work offset of axis {axis}",
                 u.MILLIMETRE, low - high, high - low, nodes=(base + "ZeroOffset",))
    yield Signal(f"{name}/ActVelocity", "Double", f"Actual velocity of axis {axis}, signed",
                 u.MM_PER_MIN, -26000.0, 26000.0, historized=True)
    yield Signal(f"{name}/FollowingError", "Double", f"Commanded minus actual position of axis {axis}",
                 u.MILLIMETRE, -15.0, 15.0, historized=True)
    yield Signal(f"{name}/ActLoad", "Double", f"Load of the drive of axis {axis}, of its rated torque",
                 u.PERCENT, 0.0, 200.0, historized=True, nodes=(base + "ActLoad",))
    yield Signal(f"{name}/ActTorque", "Double", f"Torque of the motor of axis {axis}",
                 u.NEWTON_METRE, -40.0, 40.0, nodes=(base + "ActTorque", base + "CmdTorque"))
    yield Signal(f"{name}/ActPower", "Double", f"Electrical power of the drive of axis {axis}; negative when it brakes",
                 u.WATT, -8000.0, 8000.0, nodes=(base + "ActPower",))
    yield Signal(f"{name}/Temperature", "Double", f"Temperature of the ball screw of axis {axis}",
                 u.CELSIUS, 0.0, 80.0, historized=True)
    yield Signal(f"{name}/ActStatus", "Int32", "In position 0, moving 1, parked 2", nodes=(base + "ActStatus",))
    yield Signal(f"{name}/IsReferenced", "Boolean", "Whether the axis knows its position", nodes=(base + "IsReferenced",))


def _rows() -> Iterator[Signal]:
    # Machine: the state that drives every state machine of the official models (nodesets/states.py).
    yield Signal("Machine/State", "Int32", "Off 0, idle 1, loading 2, running 3, held 4, jog or MDI 5, alarm 6, emergency stop 7, maintenance 8",
                 historized=True)
    yield Signal("Machine/MaintenanceMode", "String", "Service, Inspection, Repair, Upgrade or Other from BeginMaintenance to EndMaintenance; empty otherwise",
                 historized=True)
    yield Signal("Machine/EndUserObligated", "Boolean", "Whether what goes on is the responsibility of the end user", nodes=(_MACHINE_TOOL + "Obligation/MT:EndUserObligated",))
    yield Signal("Machine/BuilderObligated", "Boolean", "Whether what goes on is the responsibility of the machine's builder",
                 nodes=(_MACHINE_TOOL + "Obligation/MT:MachineBuilderObligated",))
    yield Signal("Machine/PowerOnDuration", "Double", "Time for which the machine was switched on, over all restarts",
                 u.HOUR, 0.0, 1e6)
    yield Signal("Machine/OperationDuration", "Double", "Time in which programs were running, over all restarts",
                 u.HOUR, 0.0, 1e6)
    yield Signal("Machine/OperationCycleCounter", "UInt32", "Programs started, over all restarts")
    yield Signal("Machine/PartsProduced", "UInt32", "Parts finished (programs that reached M2 or M30), over all restarts",
                 historized=True)
    yield Signal("Machine/CycleTime", "Double", "Run time of the active program since its start, holds included",
                 u.SECOND, 0.0, 86400.0)
    yield Signal("Machine/LastCycleTime", "Double", "Run time of the last program that reached its end",
                 u.SECOND, 0.0, 86400.0, historized=True)
    yield Signal("Machine/AlarmCount", "UInt32", "Alarms that are active now")
    yield Signal("Machine/AlarmCode", "String", 'Number of the first active alarm, such as "PS0020"; empty when there is none')
    yield Signal("Machine/AlarmText", "String", "Text, program and line of the first active alarm; empty when there is none")
    for number, (light, _colour) in enumerate(STACKLIGHT):
        yield Signal(f"Machine/Stacklight{light}", "Boolean", f"Stack light, lamp {number + 1} from below: {light.lower()} is on",
                     nodes=(f"{_STACKLIGHT}{{IA:StackElementLightType}}{light}/IA:SignalOn",))
    # Channel: what the control does.
    yield Signal("Channel/ActFeedrate", "Double", "Actual path feed", u.MM_PER_MIN, 0.0, 44000.0, historized=True, nodes=(_CHANNEL + "ActFeedrate",))
    yield Signal("Channel/CmdFeedrate", "Double", "Programmed path feed (F)", u.MM_PER_MIN, 0.0, 25400.0, nodes=(_CHANNEL + "CmdFeedrate",))
    yield Signal("Channel/FeedOverride", "Double", "Feed override", u.PERCENT, 0.0, 150.0, historized=True,
                 nodes=(_MONITORED_CHANNEL + "FeedOverride", _MACHINE_TOOL + "FeedOverride", _CHANNEL + "ActOverride", _CHANNEL + "CmdOverride"))
    yield Signal("Channel/RapidOverride", "Double", "Rapid override", u.PERCENT, 0.0, 100.0, nodes=(_MONITORED_CHANNEL + "RapidOverride",))
    yield Signal("Channel/DryRunFeed", "Double", "Path feed used in a dry run", u.MM_PER_MIN, 0.0, 25400.0, nodes=(_CHANNEL + "DryRunFeed",))
    yield Signal("Channel/ChannelState", "Int32", "Active 0, interrupted 1, reset 2", nodes=(_MONITORED_CHANNEL + "ChannelState",))
    yield Signal("Channel/ChannelMode", "Int32", "Automatic 0, MDA 1, jog manual 2, jog increment 3, teaching handle 4, remote 5, reference 6, other 7",
                 nodes=(_MONITORED_CHANNEL + "ChannelMode",))
    yield Signal("Channel/ActStatus", "Int32", "Active 0, interrupted 1, reset 2", nodes=(_CHANNEL + "ActStatus",))
    yield Signal("Channel/ActProgramStatus", "Int32", "Stopped 0, running 1, waiting 2, interrupted 3, canceled 4", nodes=(_CHANNEL + "ActProgramStatus",))
    yield Signal("Channel/ActOperationMode", "Int32", "Manual 0, MDA 1, automatic 2", nodes=(_CHANNEL + "ActOperationMode", _CHANNEL + "CmdOperationMode"))
    yield Signal("Channel/FeedHold", "Boolean", "Whether feed hold is on", nodes=(_CHANNEL + "FeedHold",))
    yield Signal("Channel/SingleBlock", "Boolean", "Whether the control stops after each block",
                 nodes=(_MONITORED_CHANNEL + "ChannelModifiers/MT:SingleStep", _CHANNEL + "BlockMode"))
    yield Signal("Channel/DryRun", "Boolean", "Whether the program runs at the dry-run feed", nodes=(_MONITORED_CHANNEL + "ChannelModifiers/MT:DryRun",))
    yield Signal("Channel/OptionalStop", "Boolean", "Whether M1 stops the program", nodes=(_MONITORED_CHANNEL + "ChannelModifiers/MT:OptionalStop",))
    yield Signal("Channel/BlockSkip", "Boolean", "Whether blocks that begin with / are skipped", nodes=(_MONITORED_CHANNEL + "ChannelModifiers/MT:BlockSkip",))
    yield Signal("Channel/TestMode", "Boolean", "Whether machine lock is on: the program runs, no axis moves", nodes=(_MONITORED_CHANNEL + "ChannelModifiers/MT:TestMode",))
    yield Signal("Channel/ActProgramName", "String", "Program or subprogram that is active", historized=True, nodes=(_CHANNEL + "ActProgramName", _CHANNEL + "ActProgramFile"))
    yield Signal("Channel/ActMainProgramName", "String", "Main program that is loaded",
                 nodes=(_CHANNEL + "ActMainProgramName", _CHANNEL + "ActMainProgramFile", _PROGRAM + "Name"))
    yield Signal("Channel/ProgramNames", "String[]", "Programs on the machine that LoadProgram takes, by name")
    yield Signal("Channel/ActProgramLine", "String", "Number of the line that is executed, from 1, as text (OPC 40502 types it String)",
                 nodes=(_CHANNEL + "ActProgramLine", _CHANNEL + "ActMainProgramLine"))
    yield Signal("Channel/ActProgramBlock", "String[]", "The block that is executed and the two after it", nodes=(_CHANNEL + "ActProgramBlock",))
    yield Signal("Channel/ActGFunctions", "UInt32[]", "Active G codes times 10 (G54.1 is 541), one of each modal group", nodes=(_CHANNEL + "ActGFunctions",))
    yield Signal("Channel/ActMFunctions", "UInt32[]", "Active M codes", nodes=(_CHANNEL + "ActMFunctions",))
    yield Signal("Channel/ActModalOffsetFunction", "UInt32", "Active work offset, 54 to 59", nodes=(_CHANNEL + "ActModalOffsetFunction",))
    yield Signal("Channel/Progress", "Double", "Share of the active program that is done, by planned time", u.PERCENT, 0.0, 100.0)
    yield Signal("Channel/RemainingTime", "Double", "Run time of the active program that is left, by its last run or by plan; 0 when none runs",
                 u.SECOND, 0.0, 86400.0)
    # Axes.
    for axis in AXES:
        yield from _axis(axis)
    # Spindle.
    yield Signal("Spindle/ActSpeed", "Double", "Actual spindle speed", u.RPM, 0.0, 12000.0, historized=True, nodes=(_SPINDLE + "ActSpeed",))
    yield Signal("Spindle/CmdSpeed", "Double", "Commanded spindle speed (S times the override)", u.RPM, 0.0, 12000.0, nodes=(_SPINDLE + "CmdSpeed",))
    yield Signal("Spindle/Override", "Double", "Spindle override", u.PERCENT, 50.0, 120.0,
                 nodes=(_SPINDLE + "ActOverride", _SPINDLE + "CmdOverride", _MONITORED_SPINDLE + "Override"))
    yield Signal("Spindle/AnglePos", "Double", "Angle of the spindle", u.DEGREE, 0.0, 360.0,
                 nodes=(_SPINDLE + "AnglePos/CNC:ActPos", _SPINDLE + "AnglePos/CNC:CmdPos"))
    yield Signal("Spindle/ActLoad", "Double", "Spindle load, of the rated power at this speed", u.PERCENT, 0.0, 200.0, historized=True, nodes=(_SPINDLE + "ActLoad",))
    yield Signal("Spindle/ActPower", "Double", "Electrical power of the spindle drive", u.WATT, 0.0, 30000.0, historized=True, nodes=(_SPINDLE + "ActPower",))
    yield Signal("Spindle/ActTorque", "Double", "Torque of the spindle motor", u.NEWTON_METRE, -150.0, 150.0, historized=True,
                 nodes=(_SPINDLE + "ActTorque", _SPINDLE + "CmdTorque"))
    yield Signal("Spindle/ActStatus", "Int32", "Stopped 0, in target area 1, accelerating 2, decelerating 3, parked 4", nodes=(_SPINDLE + "ActStatus",))
    yield Signal("Spindle/ActTurnDirection", "Int32", "None 0, clockwise (M3) 1, counter-clockwise (M4) 2", nodes=(_SPINDLE + "ActTurnDirection",))
    yield Signal("Spindle/ActGear", "UInt32", "Gear stage", nodes=(_SPINDLE + "ActGear", _SPINDLE + "CmdGear"))
    yield Signal("Spindle/IsRotating", "Boolean", "Whether the spindle turns", nodes=(_MONITORED_SPINDLE + "IsRotating",))
    yield Signal("Spindle/Temperature", "Double", "Temperature at the front bearing", u.CELSIUS, 0.0, 120.0, historized=True)
    yield Signal("Spindle/MotorTemperature", "Double", "Temperature of the motor winding", u.CELSIUS, 0.0, 180.0, historized=True)
    yield Signal("Spindle/VibrationVelocity", "Double", "RMS of vibration velocity at the front bearing, 10-1000 Hz (ISO 20816 band)",
                 u.MM_PER_S, 0.0, 20.0, historized=True)
    yield Signal("Spindle/VibrationAcceleration", "Double", "RMS of vibration acceleration at the front bearing, to 10 kHz",
                 u.M_PER_S2, 0.0, 200.0, historized=True)
    yield Signal("Spindle/VibrationKurtosis", "Double", "Kurtosis of vibration acceleration; 3 for noise without shocks", u.ONE, 0.0, 50.0, historized=True)
    yield Signal("Spindle/VibrationBearing", "Double", "Amplitude of the outer-race line (BPFO) in the envelope spectrum",
                 u.M_PER_S2, 0.0, 100.0, historized=True)
    yield Signal("Spindle/VibrationTooth", "Double", "Amplitude at the tooth-passing frequency", u.M_PER_S2, 0.0, 100.0, historized=True)
    yield Signal("Spindle/VibrationUnbalance", "Double", "Amplitude of vibration velocity at the speed of rotation", u.MM_PER_S, 0.0, 20.0, historized=True)
    # Tool in the spindle.
    yield Signal("Tool/Number", "UInt32", "Tool in the spindle, 0 for none", historized=True, nodes=(_CHANNEL + "ToolId",))
    yield Signal("Tool/Type", "String", "Kind of the tool: end_mill, face_mill, drill, tap, boring_bar, or none")
    yield Signal("Tool/Diameter", "Double", "Nominal diameter of the tool", u.MILLIMETRE, 0.0, 200.0)
    yield Signal("Tool/LengthOffset", "Double", "Active length compensation of the tool along Z (G43, G44); 0 without", u.MILLIMETRE, -400.0, 400.0,
                 historized=True)
    yield Signal("Tool/Teeth", "UInt32", "Number of cutting edges; 0 without a tool")
    yield Signal("Tool/WearPercent", "Double", "Flank wear as last measured by the tool setter, of the criterion 0.3 mm (ISO 8688-2)",
                 u.PERCENT, 0.0, 200.0, historized=True)
    yield Signal("Tool/CuttingTime", "Double", "Time in cut of this tool since it was new", u.MINUTE, 0.0, 100000.0, historized=True)
    yield Signal("Tool/CuttingSpeed", "Double", "Speed of the cutting edge", Unit("m/min", "2X", "metre per minute"), 0.0, 3000.0)
    yield Signal("Tool/ChipLoad", "Double", "Feed per tooth", u.MILLIMETRE, 0.0, 2.0)
    yield Signal("Tool/IsClamped", "Boolean", "Whether the drawbar holds the tool")
    yield Signal("Tool/InCut", "Boolean", "Whether the tool removes material", historized=True)
    # Coolant, power, environment.
    yield Signal("Coolant/IsOn", "Boolean", "Whether the coolant pump runs (M7, M8)", historized=True)
    yield Signal("Coolant/Flow", "Double", "Coolant flow", u.LITRE_PER_MIN, 0.0, 60.0, historized=True)
    yield Signal("Coolant/Pressure", "Double", "Coolant pressure behind the pump", u.BAR, 0.0, 40.0, historized=True)
    yield Signal("Coolant/Temperature", "Double", "Temperature in the coolant tank", u.CELSIUS, 0.0, 80.0, historized=True)
    yield Signal("Coolant/Level", "Double", "Fill level of the coolant tank", u.PERCENT, 0.0, 100.0, historized=True)
    # Upkeep: counters of use, each towards a limit (OPC 10000-100, LifetimeVariableType).
    yield Signal("Upkeep/SpindleBearing", "Double", "Hours that the spindle turned since its bearings were new", u.HOUR, 0.0, 1e6,
                 nodes=(_LIFETIME + "SpindleBearing",))
    yield Signal("Upkeep/CoolantFilter", "Double", "Life of the coolant filter that is used up", u.PERCENT, 0.0, 100.0,
                 nodes=(_LIFETIME + "CoolantFilter",))
    yield Signal("Upkeep/WayLube", "Double", "Way oil of a filled tank that is used up", u.PERCENT, 0.0, 100.0, nodes=(_LIFETIME + "WayLube",))
    yield Signal("Air/Pressure", "Double", "Pressure of the compressed air behind the regulator", u.BAR, 0.0, 12.0, historized=True)
    yield Signal("Hydraulics/Pressure", "Double", "Pressure of the hydraulics that clamp the work, at the accumulator", u.BAR, 0.0, 100.0, historized=True)
    yield Signal("Hydraulics/IsCharging", "Boolean", "Whether the hydraulic pump charges the accumulator")
    yield Signal("Lubrication/Pressure", "Double", "Pressure in the main line of the way lubrication: a stroke every twelve minutes", u.BAR, 0.0, 40.0,
                 historized=True)
    yield Signal("Lubrication/FallTime", "Double", "Time in which the pressure fell from 12 to 4 bar after the last stroke of oil, by the PLC's timer; 0 before the first",
                 u.SECOND, 0.0, 600.0, historized=True)
    yield Signal("Lubrication/Level", "Double", "Fill level of the tank of way oil", u.PERCENT, 0.0, 100.0, historized=True)
    yield Signal("Door/IsClosed", "Boolean", "Whether the door of the working area is closed", historized=True)
    yield Signal("Door/IsLocked", "Boolean", "Whether the guard locking holds the door: a program is active, the spindle turns or an axis moves")
    yield Signal("Fixture/IsClamped", "Boolean", "Whether the fixture holds the work", historized=True)
    yield Signal("Magazine/Pocket", "UInt32", "Tool whose pocket is at the change position; 0 for none")
    yield Signal("Magazine/IsMoving", "Boolean", "Whether a tool change is under way", historized=True)
    yield Signal("ChipConveyor/Current", "Double", "Current of the chip conveyor's motor", u.AMPERE, 0.0, 10.0, historized=True)
    yield Signal("Part/Material", "String", "What the part is cut from, such as C45; empty when no program is read")
    yield Signal("Part/BlankLow", "Double[]", "Lowest corner of the blank, X, Y and Z in mm as the tool's tip reaches it, machine coordinates; empty when there is none")
    yield Signal("Part/BlankHigh", "Double[]", "Highest corner of the blank, the same way")
    yield Signal("Part/Roughness", "Double", "Roughness Ra of the last finished part, as gauged beside the machine; 0 before the first one",
                 u.MICROMETRE, 0.0, 25.0, historized=True)
    yield Signal("Power/EnergyState", "Int32", "Operating state by ISO 14955-1: off 0, standby 1, ready 2, working 3", historized=True)
    yield Signal("Power/Total", "Double", "Electrical power of the whole machine", u.KILOWATT, 0.0, 60.0, historized=True)
    yield Signal("Power/Spindle", "Double", "Electrical power of the spindle drive", u.KILOWATT, 0.0, 30.0)
    yield Signal("Power/Servo", "Double", "Electrical power of the axis drives together", u.KILOWATT, -24.0, 24.0)
    yield Signal("Power/Auxiliary", "Double", "Electrical power of control, pumps, hydraulics and conveyor", u.KILOWATT, 0.0, 10.0)
    yield Signal("Power/Energy", "Double", "Electrical energy since first power-on", u.KILOWATT_HOUR, 0.0, 1e9, historized=True)
    # What the power meter ahead of the main switch shows, once a second: means of the last one.
    for phase in PHASES:
        yield Signal(f"Power/Voltage{phase}", "Double", f"Voltage from phase {phase} to neutral, mean of a second", u.VOLT, 0.0, 300.0)
    for phase in PHASES:
        yield Signal(f"Power/Current{phase}", "Double", f"Current of phase {phase}, mean of a second", u.AMPERE, 0.0, 125.0, historized=True)
    for phase in PHASES:
        yield Signal(f"Power/Active{phase}", "Double", f"Active power of phase {phase}, mean of a second", u.KILOWATT, 0.0, 20.0)
    yield Signal("Power/Reactive", "Double", "Power of all phases that does no work, that of harmonics too, mean of a second", u.KILOVAR, 0.0, 60.0)
    yield Signal("Power/Factor", "Double", "Active power by apparent power, of all phases together; 1 where nothing flows", u.ONE, 0.0, 1.0, historized=True)
    yield Signal("Power/ReactiveEnergy", "Double", "Reactive energy since first power-on", u.KILOVAR_HOUR, 0.0, 1e9)
    yield Signal("Environment/Temperature", "Double", "Temperature of the shop floor", u.CELSIUS, -10.0, 60.0, historized=True)
    yield Signal("Structure/Temperature", "Double", "Temperature of the column", u.CELSIUS, -10.0, 80.0, historized=True)
    yield Signal("Structure/ThermalGrowthZ", "Double", "Growth of spindle and column in Z as the compensation's model estimates it",
                 u.MICROMETRE, -200.0, 200.0, historized=True)
    # The simulation itself: absent on a real machine.
    yield Signal("Simulation/Time", "Double", "Simulated time since the start of the program", u.SECOND, 0.0, 1e12)
    yield Signal("Simulation/Speed", "Double", "Simulated seconds per second", u.ONE, 0.0, 10000.0)
    yield Signal("Simulation/FaultNames", "String[]", "The faults that can be injected")
    yield Signal("Simulation/FaultSeverities", "Double[]", "Ground truth: present severity of each fault, 0 to 1, in the order of FaultNames")
    # Results, written by the analytics.
    yield Signal("Analytics/AnomalyScore", "Double", "How unusual the machine behaves: 1 is the alarm threshold", u.ONE, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/RuleScore", "Double", "Score of the limit rules: 1 is the alarm threshold", u.ONE, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/ZScore", "Double", "Score of the robust z-score detector: 1 is the alarm threshold", u.ONE, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/ForestScore", "Double", "Score of the Isolation Forest: 1 is the alarm threshold", u.ONE, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/DriftScore", "Double", "Score of slow drift over a quarter of an hour: 1 is the alarm threshold", u.ONE, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/WearScore", "Double", "Score of tool wear against expectation: 1 is the alarm threshold", u.ONE, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/ChatterScore", "Double", "Score of how rough cuts sound for their teeth: 1 is the alarm threshold", u.ONE, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/LubricationScore", "Double", "Score of how long a stroke of way oil takes: 1 is the alarm threshold", u.ONE, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/SensorScore", "Double", "Score of a sensor against what others say of the same heat: 1 is the alarm threshold", u.ONE, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/Anomalous", "Boolean", "Whether an anomaly is present (latched until the score stays low)", access="result", historized=True)
    yield Signal("Analytics/Explanation", "String", "Signals that contribute most to the anomaly score, with sign; empty when there is none", access="result")
    yield Signal("Analytics/ToolRul", "Double", "Remaining useful life of the tool in the spindle, time in cut", u.MINUTE, 0.0, 100000.0, "result", historized=True)
    yield Signal("Analytics/ToolRulLow", "Double", "Lower bound of the tool's remaining life (90 % interval)", u.MINUTE, 0.0, 100000.0, "result", historized=True)
    yield Signal("Analytics/ToolRulHigh", "Double", "Upper bound of the tool's remaining life (90 % interval)", u.MINUTE, 0.0, 100000.0, "result", historized=True)
    yield Signal("Analytics/SpindleHealth", "Double", "Health of the spindle: 100 as new, 0 at the end of life", u.PERCENT, 0.0, 100.0, "result", historized=True)
    yield Signal("Analytics/SpindleDaysLeft", "Double", "Days until the spindle should be serviced, by the trend of its health", u.DAY, 0.0, 10000.0, "result")
    yield Signal("Analytics/NextToolChange", "DateTime", "When the tool in the spindle will be worn out at the present rate of use", access="result",
                 nodes=("MT:Notification/MT:Prognoses/{MT:ToolChangePrognosisType}NextToolChange/MT:PredictedTime",))
    yield Signal("Analytics/NextMaintenance", "DateTime", "When the spindle should be serviced", access="result",
                 nodes=("MT:Notification/MT:Prognoses/{MT:MaintenancePrognosisType}NextMaintenance/MT:PredictedTime",))


# fmt: on

STACKLIGHT: Final = (("Red", 1), ("Yellow", 4), ("Green", 2), ("Blue", 3))
"""Lamps from below, with the SignalColor value of OPC 10000-200 (red 1, green 2, blue 3, yellow 4)."""

SIGNALS: Final[tuple[Signal, ...]] = tuple(_rows())
BY_NAME: Final[dict[str, Signal]] = {signal.name: signal for signal in SIGNALS}
INDEX: Final[dict[str, int]] = {signal.name: index for index, signal in enumerate(SIGNALS)}
RESULTS: Final = tuple(signal for signal in SIGNALS if signal.access == "result")
MACHINE: Final = tuple(signal for signal in SIGNALS if signal.access != "result")
NUMERIC: Final = tuple(signal for signal in MACHINE if signal.is_numeric)
OBJECTS: Final = tuple(signal for signal in MACHINE if not signal.is_numeric)
