"""Metering points of OPC 34100: what their profiles prescribe is there, is described, and is possible.

ECM:EnergyMeasurementType --HasInterface--> ECM:IEnergyProfileE3Type ... --mandatory--> names that the metering point must have
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any, Final

from cnctwin.check.caller import Caller, ua
from cnctwin.check.check import NotOffered, check, expect
from cnctwin.check.space import crawl
from nodesets.explorer import plain
from nodesets.namespaces import URI

_METERING_POINT: Final = 1006
"""ECM:EnergyMeasurementType."""
_HAS_INTERFACE, _HAS_MODELLING_RULE, _AGGREGATES = 17603, 37, 44
_MANDATORY: Final = ua.NodeId(78)
_DESCRIBED: Final = ("EngineeringUnits", "AccuracyDomain", "AccuracyClass", "Resource")
_WITHOUT_UNIT: Final = "AcPowerFactorPe"
"""A number of dimension one: the profile gives it no unit."""
_PER_PHASE: Final = ("AcVoltagePe", "AcCurrentPe", "AcActivePowerPe", "AcReactivePowerPe", "AcPowerFactorPe")
_TOLERANCE: Final = 0.03
"""Of apparent power: two classes of accuracy and the rounding of floats."""


@dataclass
class _Point:
    """A metering point. ``profiles``: names of its interfaces; ``needed``: names that they prescribe."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    profiles: list[str] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)


async def _points(server: Caller) -> list[_Point]:
    uris = await server.value(ua.NodeId(2255)) or []
    seen = await crawl(server)
    wanted = ua.NodeId(_METERING_POINT, uris.index(URI["ECM"])) if URI["ECM"] in uris else None
    found = [node for node, kind in seen.types.items() if wanted is not None and plain(kind) == wanted]
    if not found:
        raise NotOffered("no metering points")
    points = []
    interfaces = await server.references(found, reference=_HAS_INTERFACE)
    children = await server.references(found, reference=_AGGREGATES)
    for node, claimed, below in zip(found, interfaces, children, strict=True):
        point = _Point(f"{seen.names[node]} ({node.to_string()})", {one.BrowseName.Name: plain(one.NodeId) for one in below})
        for interface in claimed:
            point.profiles.append(str(interface.BrowseName.Name))
            (members,) = await server.references([plain(interface.NodeId)], reference=_AGGREGATES)
            rules = await server.references([plain(one.NodeId) for one in members], reference=_HAS_MODELLING_RULE)
            point.needed |= {
                str(one.BrowseName.Name)
                for one, rule in zip(members, rules, strict=True)
                if rule and plain(rule[0].NodeId) == _MANDATORY
            }
        points.append(point)
    return points


@check("Energy", "metering points have what the profiles that they claim prescribe", "34100 8")
async def profiles(server: Caller) -> str:
    points = await _points(server)
    wrong = [f"{one.name} claims no profile" for one in points if not one.profiles]
    wrong += [f"{one.name} has no {name}" for one in points for name in sorted(one.needed - set(one.values))]
    expect(not wrong, f"{len(wrong)}: {'; '.join(wrong[:5])}")
    claimed = sorted({name.removeprefix("IEnergyProfile").removesuffix("Type") for one in points for name in one.profiles})
    return f"{len(points)} metering points: {', '.join(claimed)}"


@check("Energy", "measured values have unit, accuracy and resource", "34100 9")
async def described(server: Caller) -> str:
    points = await _points(server)
    wrong: list[str] = []
    measured = [(one, name, node) for one in points for name, node in one.values.items() if name in one.needed]
    below = await server.references([node for _, _, node in measured], reference=_AGGREGATES)
    for (point, name, _), references in zip(measured, below, strict=True):
        there = {one.BrowseName.Name: plain(one.NodeId) for one in references}
        for one in _DESCRIBED:
            if one == "EngineeringUnits" and name == _WITHOUT_UNIT:
                continue
            if one not in there or await server.value(there[one]) is None:
                wrong.append(f"{name} of {point.name} has no {one}")
    expect(not wrong, f"{len(wrong)}: {'; '.join(wrong[:5])}")
    return f"{len(measured)} values"


@check("Energy", "voltages, currents and powers of the phases agree", "34100 8")
async def phases(server: Caller) -> str:
    whole = [one for one in await _points(server) if set(_PER_PHASE) <= set(one.values)]
    if not whole:
        raise NotOffered("no metering point shows phases")
    wrong = []
    for point in whole:  # in one request: of one moment
        read = await server.read(*(point.values[name] for name in _PER_PHASE))
        if any(not one.StatusCode.is_good() for one in read):
            raise NotOffered("the values are not good")
        rows = zip(*(_three(one.Value.Value) for one in read), strict=True)
        for number, (u, i, p, q, factor) in enumerate(rows, 1):
            apparent = u * i
            if abs(apparent - math.hypot(p, q)) > _TOLERANCE * max(apparent, 1.0):
                wrong.append(f"{point.name} L{number}: {u:.1f} V x {i:.2f} A is not the hypotenuse of {p:.0f} W and {q:.0f} var")
            if abs(factor) > 1.0 or abs(abs(factor) * apparent - abs(p)) > _TOLERANCE * max(apparent, 1.0):
                wrong.append(f"{point.name} L{number}: power factor {factor:.3f} of {p:.0f} W and {apparent:.0f} VA")
    expect(not wrong, f"{len(wrong)}: {'; '.join(wrong[:3])}")
    return f"{len(whole)} metering points"


def _three(value: Any) -> tuple[float, float, float]:
    """L1, L2 and L3 of an AcPeDataType, whether or not this client knows the type."""
    if hasattr(value, "L1"):
        return value.L1, value.L2, value.L3
    first, second, third = struct.unpack("<3f", value.Body)
    return first, second, third
