"""Attribute, view and method services (OPC 10000-4, 5.9, 5.11 and 5.12)."""

from __future__ import annotations

from cnctwin.check.caller import Caller, ua
from cnctwin.check.check import Failed, check, expect, refused, status_is

NOWHERE = ua.NodeId("cnctwin check: no such node", 0)
TIME = ua.NodeId(2258)
SERVER = ua.NodeId(2253)
NAMESPACES = ua.NodeId(2255)
STATUS = ua.NodeId(2256)
OBJECTS = ua.NodeId(85)


# Read ---------------------------------------------------------------------------------------------------------------


@check("Read", "a value comes with status and both timestamps", "10000-4 5.11.2")
async def both_times(server: Caller) -> str:
    (found,) = await server.read(TIME)
    expect(found.StatusCode.is_good(), f"CurrentTime is {found.StatusCode.name}")
    expect(found.SourceTimestamp and found.ServerTimestamp, "a timestamp is missing")
    return str(found.Value.Value)


@check("Read", "only the timestamps asked for are there", "10000-4 7.40")
async def asked_times(server: Caller) -> None:
    (source,) = await server.read(TIME, timestamps=ua.TimestampsToReturn.Source)
    (neither,) = await server.read(TIME, timestamps=ua.TimestampsToReturn.Neither)
    expect(source.ServerTimestamp is None, "Source was asked for, the server's came too")
    expect(neither.SourceTimestamp is None and neither.ServerTimestamp is None, "Neither was asked for, one came")


@check("Read", "an unknown node, an unknown attribute", "10000-4 5.11.2.4")
async def unknown(server: Caller) -> None:
    node, attribute, other = await server.read(NOWHERE, ua.ReadValueId(TIME, 99), ua.ReadValueId(SERVER, 13))
    status_is(node.StatusCode, "BadNodeIdUnknown")
    status_is(attribute.StatusCode, "BadAttributeIdInvalid")
    status_is(other.StatusCode, "BadAttributeIdInvalid")


@check("Read", "index ranges", "10000-4 7.27")
async def ranges(server: Caller) -> None:
    part, beyond, wrong, scalar = await server.read(
        ua.ReadValueId(NAMESPACES, 13, "0"), ua.ReadValueId(NAMESPACES, 13, "100000"), ua.ReadValueId(NAMESPACES, 13, "2:1"),
        ua.ReadValueId(ua.NodeId(2267), 13, "0"),
    )  # fmt: skip
    expect(part.Value is not None and part.Value.Value == ["http://opcfoundation.org/UA/"], f"NamespaceArray[0] is {part.Value}")
    status_is(beyond.StatusCode, "BadIndexRangeNoData")
    status_is(wrong.StatusCode, "BadIndexRangeInvalid")
    status_is(scalar.StatusCode, "BadIndexRangeNoData", "BadIndexRangeInvalid", "BadIndexRangeDataMismatch")


@check("Read", "a data encoding that does not fit", "10000-4 5.11.2.4")
async def encodings(server: Caller) -> None:
    number, structure = await server.read(
        ua.ReadValueId(TIME, 13, None, ua.QualifiedName("Default Binary", 0)),
        ua.ReadValueId(STATUS, 13, None, ua.QualifiedName("no such encoding", 0)),
    )
    status_is(number.StatusCode, "BadDataEncodingInvalid")
    status_is(structure.StatusCode, "BadDataEncodingUnsupported", "BadDataEncodingInvalid")


@check("Read", "nothing to read, a negative age, timestamps that are none", "10000-4 5.11.2.3")
async def unreadable(server: Caller) -> None:
    await refused(server, "Read", "BadNothingToDo", NodesToRead=[], TimestampsToReturn=ua.TimestampsToReturn.Both)
    one = [ua.ReadValueId(TIME, 13)]
    await refused(server, "Read", "BadMaxAgeInvalid", NodesToRead=one, MaxAge=-1.0, TimestampsToReturn=ua.TimestampsToReturn.Both)
    invalid = ua.TimestampsToReturn.Invalid
    await refused(server, "Read", "BadTimestampsToReturnInvalid", NodesToRead=one, TimestampsToReturn=invalid)


@check("Read", "more nodes than MaxNodesPerRead", "10000-5 6.3.11")
async def too_many(server: Caller) -> str:
    most = await server.value(ua.NodeId(11705)) or 0
    if not 0 < most <= 100_000:
        return f"MaxNodesPerRead is {most}: no limit that could be tried"
    asked = [ua.ReadValueId(TIME, 13)] * (most + 1)
    return await refused(server, "Read", "BadTooManyOperations", NodesToRead=asked, TimestampsToReturn=ua.TimestampsToReturn.Both)


# Write --------------------------------------------------------------------------------------------------------------


def _write(node_id: object, value: object, attribute: int = 13) -> object:
    return ua.WriteValue(node_id, attribute, None, ua.DataValue(ua.Variant(value)))


@check("Write", "what cannot be written says why", "10000-4 5.11.4.4")
async def unwritable(server: Caller) -> None:
    asked = [_write(TIME, 1.0), _write(NOWHERE, 1.0), _write(TIME, 1.0, 99)]
    done = await server.results("Write", NodesToWrite=asked)
    status_is(done[0], "BadNotWritable", "BadUserAccessDenied")
    status_is(done[1], "BadNodeIdUnknown")
    status_is(done[2], "BadAttributeIdInvalid")


@check("Write", "nothing to write", "10000-4 5.11.4.3")
async def nothing_written(server: Caller) -> None:
    await refused(server, "Write", "BadNothingToDo", NodesToWrite=[])


# View ---------------------------------------------------------------------------------------------------------------


@check("Browse", "every reference has its target's class, names and type", "10000-4 7.29")
async def whole_references(server: Caller) -> str:
    result = await server.browse(OBJECTS)
    status_is(result.StatusCode, "Good")
    for one in result.References:
        expect(one.BrowseName.Name and one.DisplayName.Text, f"{one.NodeId.to_string()} has no name")
        expect(not one.TypeDefinition.is_null(), f"{one.BrowseName.Name} has no TypeDefinition")
    expect(any(one.NodeId == SERVER for one in result.References), "the Server object is not below Objects")
    return f"{len(result.References)} references below Objects"


@check("Browse", "a bounded answer goes on at its continuation point", "10000-4 5.9.3")
async def continuation(server: Caller) -> str:
    whole = (await server.browse(SERVER)).References
    first = await server.browse(SERVER, most=2)
    expect(len(first.References) == 2 and first.ContinuationPoint, f"{len(first.References)} references for a limit of 2")
    found, point, rounds = list(first.References), first.ContinuationPoint, 0
    while point:
        (more,) = await server.results("BrowseNext", ReleaseContinuationPoints=False, ContinuationPoints=[point])
        status_is(more.StatusCode, "Good")
        expect(len(more.References) <= 2, "BrowseNext forgot the limit")
        found += more.References
        point, rounds = more.ContinuationPoint, rounds + 1
        expect(rounds <= len(whole), "BrowseNext does not end")
    expect([one.NodeId for one in found] == [one.NodeId for one in whole], "the parts are not the whole")
    return f"{len(whole)} references in {rounds + 1} answers"


@check("Browse", "a continuation point that is released, or was never given", "10000-4 5.9.3")
async def released(server: Caller) -> None:
    first = await server.browse(SERVER, most=1)
    expect(first.ContinuationPoint, "no continuation point for a limit of 1")
    await server("BrowseNext", ReleaseContinuationPoints=True, ContinuationPoints=[first.ContinuationPoint])
    for point in (first.ContinuationPoint, b"never given"):
        (again,) = await server.results("BrowseNext", ReleaseContinuationPoints=False, ContinuationPoints=[point])
        status_is(again.StatusCode, "BadContinuationPointInvalid")


@check("Browse", "what cannot be browsed says why", "10000-4 5.9.2.4")
async def unbrowsable(server: Caller) -> None:
    status_is((await server.browse(NOWHERE)).StatusCode, "BadNodeIdUnknown")
    status_is((await server.browse(OBJECTS, reference=2253)).StatusCode, "BadReferenceTypeIdInvalid")
    await refused(server, "Browse", "BadNothingToDo", NodesToBrowse=[])


@check("Browse", "inverse references, and those of one class", "10000-4 5.9.2.2")
async def filters(server: Caller) -> None:
    parents = await server.browse(SERVER, forward=False)
    expect(any(one.NodeId == OBJECTS for one in parents.References), "Server has no way back to Objects")
    asked = ua.BrowseDescription(SERVER, ua.BrowseDirection.Forward, ua.NodeId(33), True, ua.NodeClass.Method, 63)
    (methods,) = await server.results("Browse", RequestedMaxReferencesPerNode=0, NodesToBrowse=[asked])
    classes = {int(one.NodeClass) for one in methods.References or []}
    expect(classes <= {int(ua.NodeClass.Method)}, f"a mask of Method gave classes {sorted(classes)}")


def _path(*names: str) -> object:
    elements = [ua.RelativePathElement(ua.NodeId(33), False, True, ua.QualifiedName(name, 0)) for name in names]
    return ua.BrowsePath(ua.NodeId(84), ua.RelativePath(elements))


@check("Browse", "paths are translated, wrong ones refused", "10000-4 5.9.4")
async def paths(server: Caller) -> None:
    right, wrong, nameless = await server.results(
        "TranslateBrowsePathsToNodeIds",
        BrowsePaths=[_path("Objects", "Server", "ServerStatus", "State"), _path("Objects", "no such thing"), _path()],
    )
    status_is(right.StatusCode, "Good")
    expect(right.Targets[0].TargetId == ua.NodeId(2259), f"ServerStatus.State is said to be {right.Targets[0].TargetId}")
    status_is(wrong.StatusCode, "BadNoMatch")
    status_is(nameless.StatusCode, "BadNothingToDo")


@check("Browse", "registered nodes can be read", "10000-4 5.9.5")
async def registered(server: Caller) -> None:
    done = await server("RegisterNodes", NodesToRegister=[TIME])
    known = getattr(done, "RegisteredNodeIds", done)
    (value,) = await server.read(known[0])
    expect(value.StatusCode.is_good(), f"the registered node is {value.StatusCode.name}")
    await server("UnregisterNodes", NodesToUnregister=known)


# Methods ------------------------------------------------------------------------------------------------------------


@check("Call", "unknown objects and methods, missing arguments", "10000-4 5.12.2.4")
async def uncallable(server: Caller) -> None:
    monitored_items = ua.NodeId(11492)
    calls = [
        ua.CallMethodRequest(NOWHERE, monitored_items, []), ua.CallMethodRequest(SERVER, NOWHERE, []),
        ua.CallMethodRequest(SERVER, TIME, []), ua.CallMethodRequest(SERVER, monitored_items, []),
        ua.CallMethodRequest(SERVER, monitored_items, [ua.Variant("text")]),
    ]  # fmt: skip
    results = await server.results("Call", MethodsToCall=calls)
    status_is(results[0].StatusCode, "BadNodeIdUnknown", "BadNodeIdInvalid")
    status_is(results[1].StatusCode, "BadMethodInvalid", "BadNodeIdUnknown")
    status_is(results[2].StatusCode, "BadMethodInvalid")
    if results[3].StatusCode.name in ("BadMethodInvalid", "BadNodeIdUnknown", "BadNotImplemented"):
        return  # GetMonitoredItems is optional
    status_is(results[3].StatusCode, "BadArgumentsMissing")
    status_is(results[4].StatusCode, "BadInvalidArgument", "BadTypeMismatch")


@check("Call", "nothing to call", "10000-4 5.12.2.3")
async def nothing_called(server: Caller) -> None:
    await refused(server, "Call", "BadNothingToDo", MethodsToCall=[])


# What is not there --------------------------------------------------------------------------------------------------


@check("Services", "a service that is not offered says so", "10000-4 7.39")
async def unsupported(server: Caller) -> str:
    try:
        await server("QueryFirst", View=ua.ViewDescription(), NodeTypes=[])
    except ua.UaStatusCodeError as error:
        name = str(ua.StatusCode(error.code).name)
        if name in ("BadServiceUnsupported", "BadNotImplemented", "BadNotSupported", "BadNothingToDo"):
            return name
        raise Failed(f"QueryFirst was refused with {name}") from error
    return "QueryFirst is offered"
