"""Which optional nodes a machine has, beyond what the catalogue's paths ask for, and the constants that they show.

Claimed is only what is there and driven: an optional node whose value nothing knows is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from nodesets.catalogue import AXES, SIGNALS, STACKLIGHT

TOOL_COUNT: Final = 24
TOOL_LIVES: Final = ("CuttingTime", "Usages", "CuttingDistance")
SOFTWARE: Final = ("NC", "PLC", "Simulator")
COMPONENTS: Final = ("Spindle1", "AxisX", "AxisY", "AxisZ", "ToolMagazine", "CoolantUnit")
POSITIONS: Final = tuple(f"{frame}{letter}" for frame in ("PosTcpBcs", "PosTcpWcs") for letter in "XYZABC")

BLOCKS: Final = "MA:MachineryBuildingBlocks"
ITEM_STATE: Final = f"{BLOCKS}/MA:MachineryItemState"
OPERATION_MODE: Final = f"{BLOCKS}/MA:MachineryOperationMode"
COUNTERS: Final = f"{BLOCKS}/DI:OperationCounters"
LIFETIME: Final = f"{BLOCKS}/MA:LifetimeCounters"
PROGRAM: Final = "MT:Production/MT:ActiveProgram"
PLAN: Final = "MT:Production/MT:ProductionPlan"
STACK: Final = "MT:Monitoring/MT:Stacklight"
TOOLS: Final = "MT:Equipment/MT:Tools"
MESSAGES: Final = "MT:Notification/MT:Messages"
MACHINE_TOOL: Final = "MT:Monitoring/MT:MachineTool"
CHANNEL: Final = "CNC:CncInterface/CNC:CncChannelList/{CNC:CncChannelType}Channel1"
SPINDLE: Final = "CNC:CncInterface/CNC:CncSpindleList/{CNC:CncSpindleType}S1"
MONITORED_CHANNEL: Final = "MT:Monitoring/{MT:ChannelMonitoringType}Channel1"
MONITORED_SPINDLE: Final = "MT:Monitoring/{MT:SpindleMonitoringType}Spindle1"
TOOL_CHANGE: Final = "MT:Notification/MT:Prognoses/{MT:ToolChangePrognosisType}NextToolChange"
PROGNOSES: Final = "MT:Notification/MT:Prognoses"
MAINTENANCE_MODE: Final = f"{OPERATION_MODE}/MT:MaintenanceMode"
MAINTENANCE: Final = "MT:Notification/MT:Prognoses/{MT:MaintenancePrognosisType}NextMaintenance"
STATE_MACHINES: Final = (ITEM_STATE, OPERATION_MODE, f"{PROGRAM}/MT:State")


def _listed() -> Iterator[tuple[str, str]]:
    names = {signal.name: (signal.group, _browse_name(signal.nodes[0])) for signal in SIGNALS if signal.nodes}
    known = Counter(names.values())
    for signal in SIGNALS:
        if signal.nodes:
            path = signal.nodes[0]
            is_clear = known[names[signal.name]] == 1 or names[signal.name][1] == signal.tag
            yield signal.name, path if is_clear else path.rpartition("/")[0]


def _browse_name(path: str) -> str:
    return path.rpartition("/")[2].rpartition(":")[2].rpartition("}")[2]


LISTED: Final = dict(_listed())
"""Signal with a node in an official model -> the path of what is below Signals. A tree shows nodes by their browse names, and two
of one name in a folder are one tag to some clients: of four lamps that are all SignalOn, it is what each is in (Red ...)."""


def axis(letter: str) -> str:
    return f"CNC:CncInterface/CNC:CncAxisList/{{CNC:CncAxisType}}{letter}"


def software(name: str) -> str:
    return f"DI:Identification/MT:SoftwareIdentification/{{MT:SoftwareIdentificationType}}{name}"


def lamp(name: str) -> str:
    return f"{STACK}/{{IA:StackElementLightType}}{name}"


def tool(number: int) -> str:
    return f"{TOOLS}/{{MT:ToolType}}T{number}"


def lifetime(name: str) -> str:
    return f"{LIFETIME}/{{DI:LifetimeVariableType}}{name}"


def component(name: str) -> str:
    return f"MA:Components/{{0:BaseObjectType}}{name}/DI:Identification"


def wanted_paths(component_names: tuple[str, ...]) -> Iterator[str]:
    """Paths of all optional nodes and placeholders of one machine, building blocks first: they give shared nodes their ids."""
    for machine in STATE_MACHINES:
        yield f"{machine}/0:CurrentState/0:Number"
        for part in ("Id", "Number", "TransitionTime"):
            yield f"{machine}/0:LastTransition/0:{part}"
    for counter in ("DI:PowerOnDuration", "DI:OperationDuration", "DI:OperationCycleCounter"):
        yield f"{COUNTERS}/{counter}"
    for name in (
        "DI:Model", "DI:ProductCode", "DI:SoftwareRevision", "DI:DeviceClass", "DI:ComponentName",
        "DI:ManufacturerUri", "DI:HardwareRevision", "DI:DeviceRevision", "DI:AssetId", "MA:MonthOfConstruction",
        "MA:InitialOperationDate", "MA:YearOfConstruction", "MA:Location",
    ):  # fmt: skip
        yield f"DI:Identification/{name}"
    for name in SOFTWARE:
        yield f"{software(name)}/DI:Manufacturer"
    for name in component_names:
        for part in ("DI:Model", "DI:ComponentName"):
            yield f"{component(name)}/{part}"
    for name in ("MA:MachineryItemState", "MA:MachineryOperationMode", "DI:OperationCounters"):
        yield f"{MACHINE_TOOL}/{name}"
    yield f"{MACHINE_TOOL}/DI:OperationCounters/MT:PartsProducedInLifetime"
    for signal in SIGNALS:
        yield from signal.nodes
    for name, _colour in STACKLIGHT:
        yield lamp(name)
    for part in ("Identifier", "Name", "Location", "LastUsage", "PlannedForOperating"):
        yield f"{tool(1)}/MT:{part}"  # the other pockets are copies of the first
    life = f"{tool(1)}/MT:ToolLife/{{MT:ToolLifeType}}"
    for name in TOOL_LIVES:
        yield f"{life}{name}/MT:StartValue"
    yield f"{life}CuttingTime/MT:LimitValue"
    yield f"{life}CuttingTime/MT:WarningValue"
    yield f"{PLAN}/0:NodeVersion"
    yield f"{PROGNOSES}/0:NodeVersion"
    yield f"{PROGRAM}/MT:JobIdentifier"
    yield f"{PROGRAM}/MT:JobNodeId"
    yield "MT:Production/MT:Statistics/MT:PartsProducedInLifetime"
    yield f"{TOOLS}/0:NodeVersion"
    yield f"{MACHINE_TOOL}/MT:PowerOnDuration"
    yield f"{MACHINE_TOOL}/MT:IsWarmUp"
    yield f"{MONITORED_SPINDLE}/MT:IsUsedAsAxis"
    yield MESSAGES
    yield f"{TOOL_CHANGE}/MT:ToolIdentifier"
    yield f"{TOOL_CHANGE}/MT:ToolName"
    for letter in AXES:
        yield axis(letter)
