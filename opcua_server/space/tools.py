"""The tool magazine: MT:Equipment/MT:Tools with one MT:ToolType instance per pocket, and what we add to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import utc
from nodesets import units
from nodesets.paths import qname
from nodesets.units import Unit
from opcua_server.sources.source import ToolState
from opcua_server.space import layout
from opcua_server.space.copies import Pattern
from opcua_server.space.instances import Builder
from opcua_server.space.nameplate import set_unit, unit_information
from opcua_server.space.publish import put, shown
from opcua_server.space.types import HAS_COMPONENT

_V = ua.VariantType
_ANALOG: Final = ua.NodeId(17570, 0)
_VARIABLE: Final = ua.NodeId(63, 0)
_TYPES: Final = {_V.Double: ua.NodeId(11, 0), _V.UInt32: ua.NodeId(7, 0), _V.Boolean: ua.NodeId(1, 0), _V.String: ua.NodeId(12, 0)}
_REASON_UNKNOWN, _REASON_BY_OPERATOR, _REASON_TOOL_BREAK, _REASON_TOOL_LIFE = 0, 1, 2, 3
"""MT:ToolLocked."""
_TIME, _USAGES, _FEED_DISTANCE = 0, 2, 3
"""MT:ToolLifeIndication."""
_LIVES: Final[dict[str, tuple[Unit, int, float | int, str]]] = {
    "CuttingTime": (units.HOUR, _TIME, 0.0, "Time in cut since it was new"),
    "Usages": (units.ONE, _USAGES, 0, "How often it was changed into the spindle since it was new"),
    "CuttingDistance": (units.METRE, _FEED_DISTANCE, 0.0, "Feed path in cut since it was new"),
}
CRITERION_MM, CLEARANCE_DEG = 0.3, 7.0
"""Flank wear at 100 % (ISO 8688-2), and the clearance angle of the edges: by how much a worn flank stands back."""
WARNING_SHARE: Final = 0.9
"""Of the life in cut, at which a tool is to be laid ready."""
NEVER: Final = datetime(1601, 1, 1, tzinfo=UTC)
"""The first moment that OPC UA knows: no such event yet."""

_OWN: Final[tuple[tuple[str, ua.VariantType, Unit | None, float, float, str], ...]] = (
    ("Kind", _V.String, None, 0, 0, "Kind of the tool: end_mill, face_mill, drill, tap or boring_bar"),
    ("Teeth", _V.UInt32, None, 0, 0, "Number of cutting edges"),
    ("Diameter", _V.Double, units.MILLIMETRE, 0, 200, "Nominal diameter"),
    ("Radius", _V.Double, units.MILLIMETRE, 0, 100, "Nominal radius"),
    ("Length", _V.Double, units.MILLIMETRE, 0, 400, "Length from the gauge line of the taper to the tip"),
    ("LengthWear", _V.Double, units.MILLIMETRE, 0, 1, "By how much the worn edge stands back at the tip"),
    ("RadiusWear", _V.Double, units.MILLIMETRE, 0, 1, "By how much the worn edge stands back at the side"),
    ("WearPercent", _V.Double, units.PERCENT, 0, 200, "Flank wear as last measured, of the criterion 0.3 mm (ISO 8688-2)"),
    ("InSpindle", _V.Boolean, None, 0, 0, "Whether the tool is in the spindle"),
)
_LIFE: Final = "MT:ToolLife/{MT:ToolLifeType}"
_SHOWN: Final = {
    "name": "MT:Name", "place": "MT:Location/MT:Name", "locked": "MT:Locked", "reason": "MT:Locked/MT:ReasonForLocking",
    "life": f"{_LIFE}CuttingTime", "limit": f"{_LIFE}CuttingTime/MT:LimitValue", "warning": f"{_LIFE}CuttingTime/MT:WarningValue",
    "uses": f"{_LIFE}Usages", "distance": f"{_LIFE}CuttingDistance", "last": "MT:LastUsage", "planned": "MT:PlannedForOperating",
}  # fmt: skip
"""What changes -> where it shows, below a tool."""


def _describe(builder: Builder, tool: ua.NodeId) -> None:
    """What all pockets have in common: units and kinds of their lives, and our own variables."""
    builder.set(builder.at(tool, "MT:ControlIdentifierInterpretation"), 0)
    builder.set(builder.at(tool, "MT:Location/MT:Name"), "Magazine")
    builder.set(builder.at(tool, "MT:LastUsage"), NEVER)
    for name, (unit, indication, start, doc) in _LIVES.items():
        life = builder.at(tool, _LIFE + name)
        number = _TYPES[_V.UInt32 if name == "Usages" else _V.Double]  # the type leaves open which kind of number it is
        for part in ("", "StartValue", "LimitValue", "WarningValue"):
            if (found := builder.child(life, qname(f"MT:{part}")) if part else life) is not None:
                builder.types_as(found, number)
        builder.describe(life, doc)
        for part, value in (
            ("EngineeringUnits", unit_information(unit)), ("Indication", indication), ("IsCountingUp", True), ("StartValue", start),
        ):  # fmt: skip
            builder.set(builder.at(life, f"MT:{part}"), value)
    for name, kind, own_unit, low, high, doc in _OWN:
        type_id = _VARIABLE if own_unit is None else _ANALOG
        empty = {_V.Double: 0.0, _V.UInt32: 0, _V.Boolean: False, _V.String: ""}[kind]
        qualified = ua.QualifiedName(name, builder.types.index["X"])
        node = builder.variable(tool, HAS_COMPONENT, qualified, type_id, _TYPES[kind], empty)
        builder.describe(node, doc)
        if own_unit is not None:
            set_unit(builder, node, own_unit, low, high)


def _number(builder: Builder, tool: ua.NodeId, number: int) -> None:
    """What a pocket is called by."""
    for path, value in (("ControlIdentifier1", number), ("Identifier", f"T{number}"), ("Location/MT:PlaceNumber", number)):
        builder.set(builder.at(tool, f"MT:{path}"), value)
    builder.describe(tool, f"Pocket {number} of the magazine, and its tool")


class Magazine:
    """The 24 tools of one machine; `write` shows what changed since the last call."""

    def __init__(self, builder: Builder, machine: ua.NodeId) -> None:
        self._seen: dict[int, ToolState] = {}
        first = builder.at(machine, layout.tool(1))
        if not builder.is_copied(first):
            _describe(builder, first)
            pattern = Pattern(builder, first)
            for number in range(2, layout.TOOL_COUNT + 1):
                builder.children.update(pattern.make(builder, f"T{number}").families())
            for number in range(1, layout.TOOL_COUNT + 1):
                _number(builder, builder.at(machine, layout.tool(number)), number)
        paths = {**_SHOWN, **{name: f"X:{name}" for name, *_ in _OWN}}
        self._nodes: dict[int, dict[str, Any]] = {}
        for number in range(1, layout.TOOL_COUNT + 1):
            tool = builder.at(machine, layout.tool(number))
            self._nodes[number] = {name: builder.value(builder.at(tool, path)) for name, path in paths.items()}

    def write(self, tools: Sequence[ToolState], moment: datetime, server_time: datetime) -> ToolState | None:
        """Show the tools; returns the one in the spindle."""
        in_spindle = None
        for tool in tools:
            if tool.in_spindle:
                in_spindle = tool
            nodes = self._nodes.get(tool.number)
            if nodes is None or self._seen.get(tool.number) == tool:
                continue
            before = self._seen.get(tool.number)
            old = {} if before is None else dict(self._rows(before))
            self._seen[tool.number] = tool
            for name, (value, kind) in self._rows(tool):
                if name not in old or old[name][0] != value:
                    put(nodes[name], shown(value, kind, 0, moment, server_time))
        return in_spindle

    @staticmethod
    def _rows(tool: ToolState) -> list[tuple[str, tuple[Any, ua.VariantType]]]:
        worn_out = tool.life > 0 and tool.cutting_time >= tool.life
        reason = _REASON_UNKNOWN
        if tool.locked:
            reason = _REASON_TOOL_BREAK if tool.broken else _REASON_TOOL_LIFE if worn_out else _REASON_BY_OPERATOR
        return [
            ("name", (tool.name, _V.String)),
            ("place", ("Spindle" if tool.in_spindle else "Magazine", _V.String)),
            ("locked", (tool.locked, _V.Boolean)),
            ("reason", (reason, _V.Int32)),
            ("life", (tool.cutting_time / 60.0, _V.Double)),
            ("limit", (tool.life / 60.0, _V.Double)),
            ("warning", (WARNING_SHARE * tool.life / 60.0, _V.Double)),
            ("uses", (int(tool.uses), _V.UInt32)),
            ("distance", (float(tool.cut_m), _V.Double)),
            ("last", (utc(tool.last_used_ns) if tool.last_used_ns else NEVER, _V.DateTime)),
            ("planned", (tool.planned, _V.Boolean)),
            ("Kind", (tool.kind, _V.String)),
            ("Teeth", (int(tool.teeth), _V.UInt32)),
            ("Diameter", (float(tool.diameter), _V.Double)),
            ("Radius", (tool.diameter / 2.0, _V.Double)),
            ("Length", (float(tool.length), _V.Double)),
            ("LengthWear", (_stands_back_mm(tool), _V.Double)),
            ("RadiusWear", (_stands_back_mm(tool), _V.Double)),
            ("WearPercent", (float(tool.wear_percent), _V.Double)),
            ("InSpindle", (tool.in_spindle, _V.Boolean)),
        ]


def _stands_back_mm(tool: ToolState) -> float:
    """How far the worn edge is behind the new one, at the tip and at the side: a flank of width VB at the clearance angle, mm."""
    return CRITERION_MM * tool.wear_percent / 100.0 * math.tan(math.radians(CLEARANCE_DEG))
