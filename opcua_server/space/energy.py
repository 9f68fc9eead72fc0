"""MA:Monitoring/Consumption: what the machine draws, one metering point for each resource (OPC 40001-4 and OPC 34100).

    ME:Electricity/Main        ECM:IEnergyProfileE0Type   currents
                               ECM:IEnergyProfileE2Type   power, energy taken from the mains and given back to it
                               ECM:IEnergyProfileE3Type   voltages, powers, power factors of the phases, energies as Double
    ME:CompressedAir/Main      ME:IBaseFlowType           pressure
    ME:CoolingLubricant/Main   ME:IVolumeFlowType         flow, pressure and temperature

Every value is that of a signal of the catalogue, or of the phases (phases.py), in the type and the unit that the interface wants,
and has its status. The drives share a DC link and brake into a resistor, and no load is capacitive, so nothing is ever given
back to the mains: those values are 0 because it is so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from asyncua import ua

from nodesets import units
from nodesets.units import Unit
from opcua_server.space.instances import Builder, wanted
from opcua_server.space.nameplate import set_unit
from opcua_server.space.phases import OF_PHASES, PHASE_TO_PHASE, TOTAL, Phases
from opcua_server.space.publish import put, shown
from opcua_server.space.signals import SignalWriter
from opcua_server.space.types import HAS_COMPONENT, HAS_PROPERTY, ORGANIZES

_A: Final = ua.AttributeIds
_V: Final = ua.VariantType
_DOUBLE: Final = ua.NodeId(ua.ObjectIds.Double, 0)
_CAPABILITIES: Final = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities, 0)
_OF_READING, _OF_FULL_SCALE = "ACCURACY_DOMAIN_PERCENT_ACTUAL_READING", "ACCURACY_DOMAIN_PERCENT_FULL_SCALE"
_HALF, _ONE, _TWO, _FIVE = 6, 7, 9, 12
"""Accuracy classes of both domains: 0.5, 1, 2 and 5 per cent."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """``signal`` times ``factor`` is the value; without a signal it is 0, or belongs to the phases. ``accuracy``: domain and class
    that the meter keeps."""

    name: str
    signal: str
    factor: float
    unit: Unit
    high: float
    accuracy: tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Point:
    """``resource``: its number in the enumeration of ECM:EnergyMeasurementValueType (OPC 34100, table 41)."""

    folder: str
    interfaces: tuple[str, ...]
    resource: int
    values: tuple[_Measured, ...]


_POINTS: Final = (
    _Point("Electricity", tuple(f"ECM:IEnergyProfile{profile}Type" for profile in ("E0", "E2", "E3")), 1, (
        _Measured("AcActivePowerTotal", "", 0.0, units.WATT, 60e3, (_OF_READING, _HALF)),
        _Measured("AcActiveEnergyTotalImportLp", "Power/Energy", 1e3, units.WATT_HOUR, 1e12, (_OF_READING, _HALF)),
        _Measured("AcActiveEnergyTotalExportLp", "", 0.0, units.WATT_HOUR, 1e12, (_OF_READING, _HALF)),
        _Measured("AcActiveEnergyTotalImportHp", "Power/Energy", 1e3, units.WATT_HOUR, 1e12, (_OF_READING, _HALF)),
        _Measured("AcActiveEnergyTotalExportHp", "", 0.0, units.WATT_HOUR, 1e12, (_OF_READING, _HALF)),
        _Measured("AcReactiveEnergyTotalImportHp", "Power/ReactiveEnergy", 1e3, units.VAR_HOUR, 1e12, (_OF_READING, _TWO)),
        _Measured("AcReactiveEnergyTotalExportHp", "", 0.0, units.VAR_HOUR, 1e12, (_OF_READING, _TWO)),
        _Measured("AcCurrentPe", "", 0.0, units.AMPERE, 125.0, (_OF_READING, _HALF)),
        _Measured("AcVoltagePe", "", 0.0, units.VOLT, 300.0, (_OF_READING, _HALF)),
        _Measured("AcVoltagePp", "", 0.0, units.VOLT, 520.0, (_OF_READING, _HALF)),
        _Measured("AcActivePowerPe", "", 0.0, units.WATT, 20e3, (_OF_READING, _HALF)),
        _Measured("AcReactivePowerPe", "", 0.0, units.VAR, 20e3, (_OF_READING, _TWO)),
        _Measured("AcPowerFactorPe", "", 0.0, units.ONE, 1.0, (_OF_READING, _ONE)),
    )),
    _Point("CompressedAir", ("ME:IBaseFlowType",), 3, (
        _Measured("Pressure", "Air/Pressure", 1.0, units.BAR, 12.0, (_OF_FULL_SCALE, _ONE)),
    )),
    _Point("CoolingLubricant", ("ME:IVolumeFlowType",), 22, (
        _Measured("VolumeFlowRate", "Coolant/Flow", 1.0, units.LITRE_PER_MIN, 60.0, (_OF_READING, _FIVE)),
        _Measured("Pressure", "Coolant/Pressure", 1.0, units.BAR, 40.0, (_OF_FULL_SCALE, _TWO)),
        _Measured("Temperature", "Coolant/Temperature", 1.0, units.CELSIUS, 80.0, (_OF_FULL_SCALE, _ONE)),
    )),
)  # fmt: skip


def consumption(builder: Builder, monitoring: ua.NodeId, writer: SignalWriter) -> dict[str, ua.NodeId]:
    """Make the metering points below ``monitoring`` and let them follow the signals. Resource -> ApplicationTag, which says what
    whoever runs the machine calls the point."""
    place = builder.at(monitoring, "MA:Consumption")
    types = builder.types
    tags: dict[str, ua.NodeId] = {}
    for point in _POINTS:
        name = ua.QualifiedName(point.folder, types.index["ME"])
        folder = builder.instance(place, ORGANIZES, name, types.type_id("0:FolderType"))
        name = ua.QualifiedName("Main", types.index["ME"])
        meter = builder.instance(folder, HAS_COMPONENT, name, types.type_id("ECM:EnergyMeasurementType"))
        tags[point.folder] = builder.at(meter, "ECM:ApplicationTag")
        for interface in point.interfaces:
            builder.implement(meter, types.type_id(interface), wanted(f"ECM:{one.name}" for one in point.values))
        for one in point.values:
            node_id = builder.at(meter, f"ECM:{one.name}")
            if not builder.is_copied(node_id):
                _describe(builder, node_id, point, one)
            if one.signal:
                _follow(builder, node_id, one, writer)
    electricity = builder.at(builder.at(place, "ME:Electricity"), "ME:Main")
    names = (TOTAL, PHASE_TO_PHASE, *OF_PHASES)
    held = {name: builder.value(builder.at(electricity, f"ECM:{name}")) for name in names}
    classes = (ua.extension_objects_by_datatype[types.type_id(f"ECM:{name}")] for name in ("AcPeDataType", "AcPpDataType"))
    writer.after(Phases(held, *classes).write)
    return tags


def _follow(builder: Builder, node_id: ua.NodeId, one: _Measured, writer: SignalWriter) -> None:
    held, factor = builder.value(node_id), one.factor
    kind = _V.Double if builder.types.attribute(node_id, _A.DataType) == _DOUBLE else _V.Float

    def show(number: float, status: int, moment: datetime, server_time: datetime) -> None:
        put(held, shown(number * factor, kind, status, moment, server_time))

    writer.listen(one.signal, show)


def _describe(builder: Builder, node_id: ua.NodeId, point: _Point, one: _Measured) -> None:
    """Unit, range, accuracy and resource of a value."""
    set_unit(builder, node_id, one.unit, 0.0, one.high)
    domain, number = one.accuracy
    domain_id = _domain(builder, domain)
    builder.set(builder.at(node_id, "ECM:AccuracyDomain"), domain_id)
    classes = next(child for child in builder.types.targets(domain_id, HAS_PROPERTY))
    _discrete(builder, builder.at(node_id, "ECM:AccuracyClass"), number, builder.value(classes).value.Value.Value)
    resource = builder.at(node_id, "ECM:Resource")
    _discrete(builder, resource, point.resource, builder.value(builder.at(resource, "0:EnumValues")).value.Value.Value)


def _discrete(builder: Builder, node_id: ua.NodeId, number: int, known: list[Any]) -> None:
    """A MultiStateValueDiscreteType: its value, what all values mean, and what this one does (OPC 10000-8, 5.3.3.4). The files of
    the models name values without a locale."""
    known = [replace(row, DisplayName=ua.LocalizedText(row.DisplayName.Text, "en")) for row in known]
    builder.set(node_id, number)
    builder.set(builder.at(node_id, "0:EnumValues"), known)
    builder.set(builder.at(node_id, "0:ValueAsText"), next(row.DisplayName for row in known if row.Value == number))


def _domain(builder: Builder, name: str) -> ua.NodeId:
    """An accuracy domain of the server (OPC 34100, 10.1)."""
    types = builder.types
    organized = (one for entry in types.targets(_CAPABILITIES, ORGANIZES) for one in types.targets(entry, ORGANIZES))
    return next(one for one in organized if types.attribute(one, _A.BrowseName).Name == name)
