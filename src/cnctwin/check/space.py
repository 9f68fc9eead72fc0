"""What browsers and control systems look for: the Server object, and every node of the address space (OPC 10000-3, -5, -8)."""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua.common.utils import NotEnoughData

from cnctwin.check.caller import Caller, ua
from cnctwin.check.check import Failed, NotOffered, check, expect
from cnctwin.check.services import SERVER

BATCH: Final = 200
MOST_NODES: Final = 200_000
_VARIABLE, _OBJECT, _METHOD = int(ua.NodeClass.Variable), int(ua.NodeClass.Object), int(ua.NodeClass.Method)
_NEEDED: Final = {  # name -> NodeId of what is read as a value
    "NamespaceArray": 2255, "ServerArray": 2254, "ServiceLevel": 2267, "ServerProfileArray": 2269, "LocaleIdArray": 2271,
    "MinSupportedSampleRate": 2272, "MaxBrowseContinuationPoints": 2735, "MaxArrayLength": 11702, "MaxStringLength": 11703,
    "State": 2259, "StartTime": 2257, "CurrentTime": 2258, "BuildInfo": 2260, "Auditing": 2994, "EnabledFlag": 2294,
    "RedundancySupport": 3709,
}  # fmt: skip
_LIMITS: Final = {
    "MaxNodesPerRead": 11705,
    "MaxNodesPerWrite": 11707,
    "MaxNodesPerBrowse": 11710,
    "MaxMonitoredItemsPerCall": 11714,
}


_OF_SESSIONS: Final = frozenset(map(ua.NodeId, (3706, 3707, 3708, 2290)))
"""SessionsDiagnosticsSummary and the arrays that refer to what sessions have."""
_SESSION: Final = ua.NodeId(2029)


@check("Server object", "what clients read first has a value", "10000-5 6.3")
async def first_read(server: Caller) -> str:
    found = await server.read(*(ua.NodeId(number) for number in _NEEDED.values()))
    missing = [
        name
        for name, value in zip(_NEEDED, found, strict=True)
        if not value.StatusCode.is_good() or value.Value is None or value.Value.Value is None
    ]
    expect(not missing, f"without a value: {', '.join(missing)}")
    return f"{len(_NEEDED)} values"


@check("Server object", "operation limits are said", "10000-5 6.3.11")
async def limits(server: Caller) -> str:
    found = [await server.value(ua.NodeId(number)) for number in _LIMITS.values()]
    missing = [name for name, value in zip(_LIMITS, found, strict=True) if value is None]
    if len(missing) == len(_LIMITS):
        raise NotOffered("no OperationLimits")
    expect(not missing, f"without a value: {', '.join(missing)}")
    return ", ".join(f"{name} {value}" for name, value in zip(_LIMITS, found, strict=True))


@check("Server object", "the product says who made it", "10000-5 12.4")
async def build_info(server: Caller) -> str:
    info = await server.value(ua.NodeId(2260))
    expect(info is not None, "no BuildInfo")
    empty = [name for name in ("ProductUri", "ManufacturerName", "ProductName", "SoftwareVersion") if not getattr(info, name)]
    expect(not empty, f"empty: {', '.join(empty)}")
    return f"{info.ProductName} {info.SoftwareVersion}, {info.ManufacturerName}"


@check("Server object", "namespace 0 and the server's own come first", "10000-5 6.3.1")
async def namespaces(server: Caller) -> str:
    uris = await server.value(ua.NodeId(2255))
    expect(uris and uris[0] == "http://opcfoundation.org/UA/", "namespace 0 is another")
    expect(len(set(uris)) == len(uris), "a namespace is there twice")
    own = {one.Server.ApplicationUri for one in server.endpoints}
    expect(len(uris) > 1 and uris[1] in own, f"namespace 1 is {uris[1] if len(uris) > 1 else 'missing'}, not the ApplicationUri")
    return f"{len(uris)} namespaces"


@check("Server object", "profiles are claimed", "10000-5 6.3.2")
async def profiles(server: Caller) -> str:
    found = await server.value(ua.NodeId(2269)) or []
    expect(found and all(found), "ServerProfileArray is empty")
    return f"{len(found)} profiles"


@check("Server object", "the Server object tells events", "10000-5 8.3.2")
async def notifier(server: Caller) -> None:
    (found,) = await server.read(ua.ReadValueId(SERVER, 12))
    expect(found.Value is not None and int(found.Value.Value or 0) & 1, "EventNotifier of Server is 0")


@check("Server object", "sessions are shown with what they asked for", "10000-5 6.3.4, 6.3.5")
async def sessions(server: Caller) -> str:
    (enabled,) = await server.read(ua.NodeId(2294))
    if not enabled.StatusCode.is_good() or not enabled.Value.Value:
        raise NotOffered("EnabledFlag is not true")
    ((*found,),) = await server.references([ua.NodeId(3706)])
    shown = [one for one in found if one.TypeDefinition == _SESSION]
    if not shown:
        raise NotOffered("no session is shown to this user")
    for one, (*parts,) in zip(shown, await server.references([one.NodeId for one in shown]), strict=True):
        names = {part.BrowseName.Name: part.NodeId for part in parts}
        lacking = {"SessionDiagnostics", "SubscriptionDiagnosticsArray"} - set(names)
        expect(not lacking, f"{one.BrowseName.Name} is without {', '.join(sorted(lacking))}")
        told = await server.value(names["SessionDiagnostics"])
        expect(told is not None and told.SessionName, f"SessionDiagnostics of {one.BrowseName.Name} has no value")
    return f"{len(shown)} sessions"


# The whole address space ---------------------------------------------------------------------------------------------


@dataclass
class Crawl:
    """Every node below Root by hierarchical references. ``classes``: NodeId -> NodeClass."""

    classes: dict[Any, int] = field(default_factory=dict)
    names: dict[Any, str] = field(default_factory=dict)
    types: dict[Any, Any] = field(default_factory=dict)
    instances: set[Any] = field(default_factory=set)
    """Below Objects, by way of which clients come."""
    values: dict[Any, Any] = field(default_factory=dict)
    undecoded: list[Any] = field(default_factory=list)
    """Values of structures that asyncua's decoder has wrong."""


async def crawl(server: Caller) -> Crawl:
    """The address space as a browser sees it; walked once for all checks of a session."""
    if isinstance(server.seen, Crawl):
        return server.seen
    made = Crawl()
    waiting = [ua.NodeId(85)]
    made.instances.add(waiting[0])
    while waiting and len(made.instances) < MOST_NODES:
        part, waiting = waiting[:BATCH], waiting[BATCH:]
        for source, references in zip(part, await server.references(part), strict=True):
            for one in references:
                if source in _OF_SESSIONS and one.NodeId not in _OF_SESSIONS:
                    continue  # comes and goes with somebody's session, perhaps between two looks at it
                if getattr(one.NodeId, "ServerIndex", 0) or one.NodeId in made.instances:
                    continue
                node_id = ua.NodeId(one.NodeId.Identifier, one.NodeId.NamespaceIndex)
                made.instances.add(node_id)
                made.classes[node_id] = int(one.NodeClass)
                made.names[node_id] = str(one.BrowseName.Name)
                made.types[node_id] = one.TypeDefinition
                waiting.append(node_id)
    variables = [node for node, kind in made.classes.items() if kind == _VARIABLE]
    for start in range(0, len(variables), BATCH):
        await _read(server, variables[start : start + BATCH], made)
    server.seen = made
    return made


async def _read(server: Caller, nodes: list[Any], made: Crawl) -> None:
    """Values of some nodes; halved where an answer cannot be decoded, until it is clear which of them it is."""
    try:
        made.values.update(zip(nodes, await server.read(*nodes), strict=True))
    except ua.UaStatusCodeError:
        raise
    except (ua.UaError, ValueError, TypeError, struct.error, NotEnoughData):
        if len(nodes) == 1:
            made.undecoded.append(nodes[0])
            return
        for half in (nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]):
            await _read(server, half, made)


def _some(found: list[str]) -> str:
    return f"{len(found)}: {', '.join(found[:5])}{' ...' if len(found) > 5 else ''}"


def _label(seen: Crawl, node_id: Any) -> str:
    return f"{seen.names.get(node_id, '?')} ({node_id.to_string()})"


@check("Address space", "every object and variable below Objects has a type", "10000-3 5.5.1")
async def typed(server: Caller) -> str:
    seen = await crawl(server)
    bare = [_label(seen, one) for one, kind in seen.classes.items() if kind in (_OBJECT, _VARIABLE) and seen.types[one].is_null()]
    expect(not bare, f"without TypeDefinition, {_some(bare)}")
    counts = Counter(seen.classes.values())
    return f"{counts[_OBJECT]} objects, {counts[_VARIABLE]} variables, {counts[_METHOD]} methods"


@check("Address space", "every readable variable can be read", "10000-4 5.11.2")
async def readable(server: Caller) -> str:
    seen = await crawl(server)
    allowed = ("BadNotReadable", "BadUserAccessDenied", "BadWaitingForInitialData", "BadOutOfService", "BadNotConnected")
    bad = [
        f"{_label(seen, one)} {value.StatusCode.name}"
        for one, value in seen.values.items()
        if value.StatusCode.is_bad() and value.StatusCode.name not in allowed
    ]
    expect(not bad, _some(bad))
    left_out = f", not decoded here: {_some([_label(seen, one) for one in seen.undecoded])}" if seen.undecoded else ""
    return f"{len(seen.values)} values{left_out}"


@check("Address space", "no value is Null with a Good status", "10000-4 7.11")
async def not_null(server: Caller) -> None:
    seen = await crawl(server)
    null = [
        _label(seen, one)
        for one, value in seen.values.items()
        if value.StatusCode.is_good() and (value.Value is None or value.Value.VariantType is ua.VariantType.Null)
    ]
    expect(not null, _some(null))


async def _attributes(server: Caller, nodes: list[Any], *attributes: int) -> list[tuple[Any, ...]]:
    found: list[Any] = []
    asked = [ua.ReadValueId(node, attribute) for node in nodes for attribute in attributes]
    for start in range(0, len(asked), BATCH):
        found += await server.read(*asked[start : start + BATCH])
    plain = [one.Value.Value if one.Value is not None and one.StatusCode.is_good() else None for one in found]
    width = len(attributes)
    return [tuple(plain[start : start + width]) for start in range(0, len(plain), width)]


@check("Address space", "values are of the data type and rank they declare", "10000-3 5.6.2")
async def declared(server: Caller) -> None:
    seen = await crawl(server)
    nodes = [node for node, value in seen.values.items() if value.StatusCode.is_good() and value.Value is not None]
    wrong = []
    for node, (rank,) in zip(nodes, await _attributes(server, nodes, 15), strict=True):
        is_array = isinstance(seen.values[node].Value.Value, list)
        if rank is None or (rank == -1 and is_array) or (rank >= 1 and not is_array and seen.values[node].Value.Value is not None):
            wrong.append(f"{_label(seen, node)} rank {rank}")
    expect(not wrong, _some(wrong))


@check("Address space", "access levels agree: no user may do more than anybody, history is where it is said to be", "10000-3 5.6.2")
async def access(server: Caller) -> str:
    seen = await crawl(server)
    nodes = list(seen.values)
    wrong, historizing = [], 0
    for node, (level, own, keeps) in zip(nodes, await _attributes(server, nodes, 17, 18, 20), strict=True):
        if level is None or own is None or keeps is None:
            wrong.append(f"{_label(seen, node)} says no access level, or not whether it keeps history")
            continue
        if int(own) & ~int(level):
            wrong.append(f"{_label(seen, node)} UserAccessLevel {own} beyond AccessLevel {level}")
        if keeps and not int(level) & 4:
            wrong.append(f"{_label(seen, node)} keeps history that cannot be read")
        historizing += bool(keeps)
    expect(not wrong, _some(wrong))
    return f"{historizing} variables keep history"


@check("Address space", "every analog has a range and a unit of the standard", "10000-8 5.3.2")
async def analogs(server: Caller) -> str:
    seen = await crawl(server)
    analog = [one for one, kind in seen.types.items() if kind in (ua.NodeId(2368), ua.NodeId(17497), ua.NodeId(17570))]
    if not analog:
        raise NotOffered("no analog items")
    wrong, properties = [], []
    for node, references in zip(analog, await server.references(analog, reference=46), strict=True):
        found = {one.BrowseName.Name: one.NodeId for one in references}
        ranged = seen.types[node] != ua.NodeId(17497)
        if ranged and "EURange" not in found:
            wrong.append(f"{_label(seen, node)} has no EURange")
        properties += [(node, name, found[name]) for name in ("EURange", "EngineeringUnits") if name in found]
    values = [await server.value(ua.NodeId(one.Identifier, one.NamespaceIndex)) for _, _, one in properties]
    for (node, name, _), value in zip(properties, values, strict=True):
        if name == "EURange" and not (value is not None and math.isfinite(value.High - value.Low) and value.High > value.Low):
            wrong.append(f"{_label(seen, node)} EURange {value}")
        named = value is not None and name == "EngineeringUnits" and (value.DisplayName.Text or value.Description.Text)
        if name == "EngineeringUnits" and not (named and value.NamespaceUri):
            wrong.append(f"{_label(seen, node)} EngineeringUnits {value}")
    expect(not wrong, _some(wrong))
    return f"{len(analog)} analog items"


@check("Address space", "methods say what they take", "10000-3 5.7")
async def arguments(server: Caller) -> str:
    seen = await crawl(server)
    methods = [one for one, kind in seen.classes.items() if kind == _METHOD]
    if not methods:
        raise NotOffered("no methods")
    wrong = []
    for method, references in zip(methods, await server.references(methods, reference=46), strict=True):
        for one in references:
            if one.BrowseName.Name in ("InputArguments", "OutputArguments"):
                value = await server.value(ua.NodeId(one.NodeId.Identifier, one.NodeId.NamespaceIndex))
                if value is None or any(not argument.Name or argument.DataType.is_null() for argument in value):
                    wrong.append(f"{_label(seen, method)} {one.BrowseName.Name}")
    expect(not wrong, _some(wrong))
    return f"{len(methods)} methods"


@check("Address space", "namespaces are described", "10000-5 6.3.13")
async def metadata(server: Caller) -> str:
    uris = await server.value(ua.NodeId(2255)) or []
    (references,) = await server.references([ua.NodeId(11715)])
    described = {str(one.BrowseName.Name) for one in references}
    if not references:
        raise NotOffered("no NamespaceMetadata")
    missing = [uri for uri in uris[2:] if uri not in described]
    if missing:
        raise Failed(f"without NamespaceMetadata: {', '.join(missing)}")
    return f"{len(described)} of {len(uris)} namespaces"
