"""What of a machine never changes while it runs: name plates, names, constants, units and ranges."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from operator import is_
from typing import Any, Final

from asyncua import ua

from nodesets import units
from nodesets.catalogue import AXES, SIGNALS, STACKLIGHT, TRAVEL_MM, Signal
from nodesets.namespaces import URI
from nodesets.paths import QName
from nodesets.units import Unit
from opcua_server.sources.source import Identity
from opcua_server.space import layout
from opcua_server.space.instances import Builder, wanted
from opcua_server.space.types import HAS_ADD_IN, HAS_PROPERTY

_A = ua.AttributeIds
_PROPERTY_TYPE: Final = ua.NodeId(68, 0)
_UNITS: Final = (("EngineeringUnits", ua.NodeId(887, 0)), ("EURange", ua.NodeId(884, 0)))
JOG_INCREMENT_MM: Final = 0.1


@functools.cache
def unit_information(unit: Unit) -> ua.EUInformation:
    """One object per unit, for all nodes that have it."""
    return ua.EUInformation(
        NamespaceUri=unit.namespace,
        UnitId=unit.unit_id,
        DisplayName=ua.LocalizedText(unit.symbol, "en"),
        Description=ua.LocalizedText(unit.description, "en"),
    )


@functools.cache
def _range(low: float, high: float) -> ua.Range:
    return ua.Range(Low=low, High=high)


def set_unit(builder: Builder, node_id: ua.NodeId, unit: Unit, low: float, high: float) -> None:
    """EngineeringUnits and EURange in namespace 0, made where the type has none, and in CNC's where its file put them. A copy has
    those of its pattern."""
    if builder.is_copied(node_id):
        return
    values: dict[str, Any] = {"EngineeringUnits": unit_information(unit), "EURange": _range(low, high)}
    for name, data_type in _UNITS:
        if (other := builder.child(node_id, QName("CNC", name))) is not None:
            builder.set(other, values[name])
        existing = builder.child(node_id, QName("0", name))
        if existing is None:
            qualified = ua.QualifiedName(name, 0)
            builder.variable(node_id, HAS_PROPERTY, qualified, _PROPERTY_TYPE, data_type, values[name])
        else:
            builder.set(existing, values[name])


def set_signal_unit(builder: Builder, node_id: ua.NodeId, signal: Signal) -> None:
    if signal.unit is not None and signal.low is not None and signal.high is not None:
        set_unit(builder, node_id, signal.unit, signal.low, signal.high)


def identification(builder: Builder, machine: ua.NodeId, identity: Identity) -> None:
    """The machine's name plate and those of its components."""
    text = ua.LocalizedText
    rows: dict[str, Any] = {
        "DI:Manufacturer": text(identity.manufacturer, "en"),
        "DI:Model": text(identity.model, "en"),
        "DI:ProductCode": identity.model,
        "DI:SerialNumber": identity.serial_number,
        "DI:ProductInstanceUri": identity.product_instance_uri,
        "DI:SoftwareRevision": identity.software_revision,
        "DI:DeviceClass": "Machining centre",
        "DI:ComponentName": text(identity.machine_id, "en"),
        "MA:YearOfConstruction": identity.year_of_construction,
        "MA:Location": identity.location,
        "DI:ManufacturerUri": identity.manufacturer_uri,
        "DI:HardwareRevision": identity.hardware_revision,
        "DI:DeviceRevision": identity.device_revision,
        "DI:AssetId": identity.asset_id or identity.machine_id,
        "MA:MonthOfConstruction": identity.month_of_construction,
        "MA:InitialOperationDate": datetime(identity.year_of_construction, identity.month_of_construction, 1, tzinfo=UTC),
    }
    for path, value in rows.items():
        builder.set(builder.at(machine, f"DI:Identification/{path}"), value)
    for name in layout.SOFTWARE:
        for part, value in (
            ("MT:Identifier", name),
            ("DI:SoftwareRevision", identity.software_revision),
            ("DI:Manufacturer", text(identity.manufacturer, "en")),
        ):
            builder.set(builder.at(machine, f"{layout.software(name)}/{part}"), value)
    for name, manufacturer, serial in identity.components:
        plate = builder.at(machine, layout.component(name))
        builder.set(builder.at(plate, "DI:Manufacturer"), text(manufacturer, "en"))
        builder.set(builder.at(plate, "DI:SerialNumber"), serial)
        builder.set(builder.at(plate, "DI:Model"), text(f"{identity.model} {name}", "en"))
        builder.set(builder.at(plate, "DI:ComponentName"), text(name, "en"))


class OwnPlate:
    """What is left to whoever runs the machine: writable, and kept over restarts. Of the name plate (OPC 40001-1, 8.2), and what
    the metering points are called (OPC 34100, 7.1.1). These properties say what their owner means, so their AccessLevel has the bit
    SemanticChange, and a change is told (OPC 10000-3, 8.57 and 9.33)."""

    NAMES: Final = ("DI:AssetId", "DI:ComponentName", "MA:Location")

    def __init__(self, builder: Builder, machine: ua.NodeId, tags: Mapping[str, ua.NodeId]) -> None:
        """``tags``: resource -> ApplicationTag of its metering point."""
        nodes = {name.partition(":")[2]: builder.at(machine, f"DI:Identification/{name}") for name in self.NAMES}
        nodes |= {f"{name} ApplicationTag": node_id for name, node_id in tags.items()}
        self.nodes = tuple(nodes.values())
        for node_id in self.nodes:
            builder.writable(node_id, means_something=True)
        self._held = {name: builder.value(node_id) for name, node_id in nodes.items()}
        self._owners = [builder.owner(node_id) for node_id in self.nodes]
        self._first = self.save()
        self._told = [held.value for held in self._held.values()]

    def changed_owners(self) -> list[ua.NodeId]:
        """Whose properties were written since this was asked last."""
        now = [held.value for held in self._held.values()]
        if all(map(is_, now, self._told)):
            return []
        before, self._told = self._told, now
        return list(dict.fromkeys(owner for owner, new, old in zip(self._owners, now, before, strict=True) if new is not old))

    def save(self) -> dict[str, str]:
        """Names and texts, as they are."""
        values = {name: held.value.Value.Value for name, held in self._held.items()}
        return {name: str(getattr(value, "Text", value)) for name, value in values.items()}

    @property
    def is_changed(self) -> bool:
        return self.save() != self._first

    def restore(self, saved: Mapping[str, Any]) -> None:
        for name, held in self._held.items():
            if name in saved:
                before = held.value.Value
                is_text = before.VariantType is ua.VariantType.LocalizedText
                value = ua.LocalizedText(str(saved[name]), "en") if is_text else str(saved[name])
                held.value = replace(held.value, Value=ua.Variant(value, before.VariantType))
        self._told = [held.value for held in self._held.values()]


def constants(builder: Builder, machine: ua.NodeId, identity: Identity) -> None:
    """Names and values of the CNC interface, monitoring and stack light that no signal drives."""
    channel = builder.at(machine, layout.CHANNEL)
    rows: dict[str, Any] = {
        "CNC:CncInterface/CNC:VendorName": identity.manufacturer,
        "CNC:CncInterface/CNC:VendorRevision": identity.software_revision,
        "CNC:CncInterface/CNC:Version": "1.0.0",
        f"{layout.CHANNEL}/CNC:Id": 1,
        f"{layout.CHANNEL}/CNC:ActJogIncrement": JOG_INCREMENT_MM,
        f"{layout.SPINDLE}/CNC:ActChannel": channel,
        f"{layout.MONITORED_CHANNEL}/MT:Name": "Channel 1",
        f"{layout.MONITORED_SPINDLE}/MT:Name": "Spindle 1",
        f"{layout.MONITORED_SPINDLE}/MT:IsUsedAsAxis": False,
        f"{layout.TOOLS}/0:NodeVersion": "1",
        f"{layout.STACK}/IA:StacklightMode": 0,
        f"{layout.PROGRAM}/0:NumberInList": 0,
        f"{layout.MAINTENANCE}/MT:Activity": ua.LocalizedText("Service the spindle", "en"),
        f"{layout.TOOL_CHANGE}/MT:Location": ua.LocalizedText("Spindle 1", "en"),
    }
    for drive in (layout.SPINDLE, *(layout.axis(letter) for letter in AXES)):
        rows[f"{drive}/CNC:ActChannel"] = channel
        rows[f"{drive}/CNC:IsInactive"] = False
        rows[f"{drive}/CNC:IsVirtual"] = False
    for letter in AXES:
        rows[f"{layout.axis(letter)}/CNC:IsRotational"] = False
    for number, (name, colour) in enumerate(STACKLIGHT):
        builder.types_as(builder.at(machine, f"{layout.lamp(name)}/0:NumberInList"), _UINT32)  # IA leaves open which integer it is
        rows[f"{layout.lamp(name)}/0:NumberInList"] = number
        rows[f"{layout.lamp(name)}/IA:SignalColor"] = colour
        rows[f"{layout.lamp(name)}/IA:SignalMode"] = 0
    for path, value in rows.items():
        builder.set(builder.at(machine, path), value)
    set_unit(builder, builder.at(machine, f"{layout.CHANNEL}/CNC:ActJogIncrement"), units.MILLIMETRE, 0.0, 100.0)


def signal_units(builder: Builder, machine: ua.NodeId) -> None:
    """Unit and range at every official node of a measured signal."""
    for signal in SIGNALS:
        for path in signal.nodes:
            set_signal_unit(builder, builder.at(machine, path), signal)


def required_namespaces() -> tuple[str, ...]:
    return tuple(uri for prefix, uri in URI.items() if prefix != "0")


def position_units(builder: Builder, position: ua.NodeId, letter: str, *, shifts: bool = False) -> None:
    """Unit and range of a position structure and of its sub-variables that no signal gives one. ``shifts``: its zero is elsewhere
    than the machine's, by up to the whole travel: a work offset, or a tool's length."""
    linear = letter in TRAVEL_MM
    unit = units.MILLIMETRE if linear else units.DEGREE
    low, high = TRAVEL_MM[letter] if linear else (0.0, 360.0)
    if shifts and linear:
        low, high = low - (high - low), high + (high - low)
    set_unit(builder, position, unit, low, high)
    for member in ("ActPos", "CmdPos", "RemDist"):
        node_id = builder.at(position, f"CNC:{member}")
        if builder.child(node_id, QName("0", "EURange")) is None:
            span = high - low
            limits = (-span, span) if member == "RemDist" else (low, high)
            set_unit(builder, node_id, unit, *limits)


_DOUBLE, _UINT32 = ua.NodeId(11, 0), ua.NodeId(7, 0)
LIMITS: Final[dict[str, tuple[float, str]]] = {
    "SpindleBearing": (20_000.0, "DI:TimeIndicationType"),
    "CoolantFilter": (100.0, "DI:BaseLifetimeIndicationType"),
    "WayLube": (100.0, "DI:SubstanceVolumeIndicationType"),
}
"""Lifetime counter -> where it ends, in its own unit, and what kind of use it counts."""


def lifetime_counters(builder: Builder, blocks: ua.NodeId) -> None:
    """MA:LifetimeCounters with what never changes of them: start, warning, end, kind."""
    names = [f"{{DI:LifetimeVariableType}}{name}" for name in LIMITS]
    counters = builder.instance(
        blocks,
        HAS_ADD_IN,
        ua.QualifiedName("LifetimeCounters", builder.types.index["MA"]),
        builder.types.type_id("MA:MachineryLifetimeCounterType"),
        wanted(f"{name}/DI:{part}" for name in names for part in ("WarningValues", "Indication")),
    )
    for name, (limit, kind) in LIMITS.items():
        counter = builder.at(counters, f"{{DI:LifetimeVariableType}}{name}")
        for node_id in (counter, *(builder.at(counter, f"DI:{part}") for part in ("StartValue", "LimitValue", "WarningValues"))):
            builder.types_as(node_id, _DOUBLE)  # the type leaves open which kind of number it is
        for part, value in (("StartValue", 0.0), ("LimitValue", limit), ("WarningValues", 0.9 * limit)):
            builder.set(builder.at(counter, f"DI:{part}"), value)
        builder.set(builder.at(counter, "DI:Indication"), builder.types.type_id(kind))
