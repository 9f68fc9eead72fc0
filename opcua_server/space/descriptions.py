"""What the nodes that a machine has a name of its own for are, in a sentence: browsers show it beside the name.

Nodes of the official models say it themselves; signals, commands and groups of signals have it from the catalogue, tools, alarms
and files where they are made.
"""

from __future__ import annotations

from typing import Final

from asyncua import ua

from nodesets.catalogue import AXES, STACKLIGHT
from opcua_server.sources.source import Identity
from opcua_server.space import layout
from opcua_server.space.instances import Builder

TEXTS: Final = {
    "MT:Notification/{0:FolderType}Conditions": "The alarms of the machine and its control, and what it asks",
    "MT:Notification/{0:FolderType}AlarmGroups": "Alarms by parts of the machine, and which alarms explain others",
    layout.MONITORED_CHANNEL: "The one channel of the control",
    layout.MONITORED_SPINDLE: "The main spindle",
    layout.CHANNEL: "The one channel of the control",
    layout.SPINDLE: "The main spindle",
    layout.TOOL_CHANGE: "When the tool that wears out first will have to be changed, by the analytics",
    layout.MAINTENANCE: "When the spindle will need its bearings changed, by the analytics",
    layout.software("NC"): "The numerical control",
    layout.software("PLC"): "The programmable logic of the machine",
    layout.software("Simulator"): "The simulation that stands for the machine",
    layout.lifetime("SpindleBearing"): "Hours that the spindle turned since its bearings were new",
    layout.lifetime("CoolantFilter"): "Life of the coolant filter that is used up",
    layout.lifetime("WayLube"): "Way oil of a filled tank that is used up",
    **{layout.axis(letter): f"Axis {letter} and its drive" for letter in AXES},
    **{layout.lamp(name): f"The {name.lower()} lamp of the stack light" for name, _colour in STACKLIGHT},
}
"""Path in a machine -> what is there."""
_COMPONENTS: Final = {
    "Spindle1": "The main spindle, a part with a name plate of its own", "AxisX": "Axis X", "AxisY": "Axis Y", "AxisZ": "Axis Z",
    "ToolMagazine": "The tool magazine", "CoolantUnit": "Pump, filter and tank of the coolant",
}  # fmt: skip


def describe(builder: Builder, machine: ua.NodeId, identity: Identity, *, is_copy: bool) -> None:
    """``is_copy``: of another machine, whose words are its own."""
    builder.describe(machine, f"{identity.manufacturer} {identity.model}, a CNC milling machine")
    if is_copy:
        return
    for path, text in TEXTS.items():
        builder.describe(builder.at(machine, path), text)
    for name, _manufacturer, _number in identity.components:
        component = builder.at(machine, layout.component(name).rpartition("/")[0])
        builder.describe(component, _COMPONENTS.get(name, f"A part of the machine: {name}"))
