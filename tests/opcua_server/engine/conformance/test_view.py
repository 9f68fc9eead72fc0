"""Browse, BrowseNext, TranslateBrowsePathsToNodeIds, RegisterNodes (OPC 10000-4, 5.9) by asyncua's client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.opcua_server.engine.conformance.plant import MANY, Caller, Plant, calling, item, node, run, ua

HIERARCHICAL, AGGREGATES, HAS_COMPONENT, ORGANIZES, HAS_PROPERTY = (ua.NodeId(number) for number in (33, 44, 47, 35, 46))
TYPE_DEFINITION = ua.NodeId(40)


def description(
    start: Any, direction: int = 0, kind: Any = HIERARCHICAL, subtypes: bool = True, classes: int = 0, mask: int = 63
) -> ua.BrowseDescription:
    target = start if isinstance(start, ua.NodeId) else node(start)
    return ua.BrowseDescription(target, ua.BrowseDirection(direction), kind, subtypes, classes, mask)


async def browse(call: Caller, *asked: ua.BrowseDescription, limit: int = 0) -> list[Any]:
    done = await call("Browse", RequestedMaxReferencesPerNode=limit, NodesToBrowse=list(asked))
    return list(done.Results)


async def following(call: Caller, *points: bytes, release: bool = False) -> list[Any]:
    done = await call("BrowseNext", ReleaseContinuationPoints=release, ContinuationPoints=list(points))
    return list(done.Results)


def names(result: Any) -> list[str]:
    return [reference.BrowseName.Name for reference in result.References]


def test_directions_types_and_classes_choose_the_references(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        forward, inverse, both, components, exact, properties, methods, any_type = await browse(
            call,
            description("Conformance"), description("Conformance", 1), description("Conformance", 2),
            description("Conformance", 0, HAS_COMPONENT), description("Conformance", 0, HIERARCHICAL, False),
            description("Analog", 0, HAS_PROPERTY), description("Conformance", classes=int(ua.NodeClass.Method)),
            description("Analog", 0, ua.NodeId()),
        )  # fmt: skip
        assert {"Double", "Many", "Hold", "Twins"} <= set(names(forward))
        assert names(inverse) == ["Objects"]
        assert not inverse.References[0].IsForward
        assert len(both.References) == len(forward.References) + 1
        assert set(names(components)) == set(names(forward))
        assert exact.References == []
        assert names(properties) == ["EURange"]
        assert set(names(methods)) == {"Hold", "SetFeedOverride", "InjectFault", "Undone"}
        assert set(names(any_type)) == {"EURange", "BaseDataVariableType"}

    run(plant, act)


@pytest.mark.parametrize("mask", [0, 1, 2, 4, 8, 16, 32, 63])
def test_only_the_fields_of_the_result_mask_are_filled(plant: Plant, mask: int) -> None:
    async def act(call: Caller) -> None:
        (result,) = await browse(call, description("Analog", 0, HAS_PROPERTY, mask=mask))
        (reference,) = result.References
        assert reference.NodeId == node("Analog.EURange")
        filled = [
            not reference.ReferenceTypeId.is_null(), bool(reference.IsForward), int(reference.NodeClass) != 0,
            bool(reference.BrowseName.Name), bool(reference.DisplayName.Text), not reference.TypeDefinition.is_null(),
        ]  # fmt: skip
        assert filled == [bool(mask >> bit & 1) for bit in range(6)]

    run(plant, act)


def test_each_node_to_browse_has_a_status_of_its_own(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        wrong = description("Conformance")
        wrong.BrowseDirection = ua.BrowseDirection.Invalid
        results = await browse(
            call, description("no such node"), description(ua.NodeId()), description("Conformance", 0, ua.NodeId(85)),
            description("Conformance", 0, ua.NodeId(99_999)), wrong, description("Conformance"),
        )  # fmt: skip
        assert [result.StatusCode.name for result in results] == [
            "BadNodeIdUnknown", "BadNodeIdUnknown", "BadReferenceTypeIdInvalid", "BadReferenceTypeIdInvalid",
            "BadBrowseDirectionInvalid", "Good",
        ]  # fmt: skip

    run(plant, act)


def test_a_browse_that_cannot_be_is_refused_as_a_whole(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        one = [description("Conformance")]
        assert await call.refused("Browse", NodesToBrowse=[]) == "BadNothingToDo"
        assert await call.refused("Browse", NodesToBrowse=one * 301) == "BadTooManyOperations"
        view = ua.ViewDescription(node("Conformance"))
        assert await call.refused("Browse", View=view, NodesToBrowse=one) == "BadViewIdUnknown"
        assert await call.refused("BrowseNext", ContinuationPoints=[]) == "BadNothingToDo"

    run(plant, act)


def test_pages_together_are_the_whole(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        (page,) = await browse(call, description("Many"), limit=60)
        found = names(page)
        assert len(found) == 60
        while page.ContinuationPoint:
            point = page.ContinuationPoint
            (page,) = await following(call, point)
            found += names(page)
        assert sorted(found) == sorted(f"Many{number}" for number in range(MANY))
        (again,) = await following(call, point)
        assert again.StatusCode.name == "BadContinuationPointInvalid"
        (exact,) = await browse(call, description("Many"), limit=MANY)
        assert not exact.ContinuationPoint

    run(plant, act)


def test_released_points_are_gone(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        (page,) = await browse(call, description("Many"), limit=1)
        released, unknown = await following(call, page.ContinuationPoint, b"nothing", release=True)
        assert released.StatusCode.is_good()
        assert not released.References
        assert unknown.StatusCode.name == "BadContinuationPointInvalid"
        (gone,) = await following(call, page.ContinuationPoint)
        assert gone.StatusCode.name == "BadContinuationPointInvalid"

    run(plant, act)


def test_points_of_another_session_are_nothing(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        (page,) = await browse(call, description("Many"), limit=1)

        async with calling(plant) as second:
            (result,) = await following(second, page.ContinuationPoint)
            assert result.StatusCode.name == "BadContinuationPointInvalid"
        (result,) = await following(call, page.ContinuationPoint)
        assert result.StatusCode.is_good()

    run(plant, act)


def test_within_a_request_points_run_out_and_earlier_ones_make_room(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        first = await browse(call, *[description("Many")] * 5, limit=1)  # four are to be had
        assert [page.StatusCode.name for page in first] == ["Good"] * 4 + ["BadNoContinuationPoints"]
        (second,) = await browse(call, description("Many"), limit=1)
        assert second.StatusCode.is_good()
        oldest, kept, new = await following(call, first[0].ContinuationPoint, first[1].ContinuationPoint, second.ContinuationPoint)
        assert oldest.StatusCode.name == "BadContinuationPointInvalid"
        assert kept.StatusCode.is_good()
        assert new.StatusCode.is_good()

    run(plant, act)


# Paths ---------------------------------------------------------------------------------------------------------------


def path(start: Any, *steps: tuple[Any, ...]) -> ua.BrowsePath:
    """Steps: (name, reference type, is inverse, with subtypes)."""
    elements = []
    for name, *rest in steps:
        kind, inverse, subtypes = (*rest, HIERARCHICAL, False, True)[: len(rest)] + (HIERARCHICAL, False, True)[len(rest) :]
        target = name if isinstance(name, ua.QualifiedName) else ua.QualifiedName(name, 2)
        elements.append(ua.RelativePathElement(kind, inverse, subtypes, target))
    target = start if isinstance(start, ua.NodeId) else node(start)
    return ua.BrowsePath(target, ua.RelativePath(elements))


async def translated(call: Caller, *paths: ua.BrowsePath) -> list[tuple[str, list[Any]]]:
    done = await call("TranslateBrowsePathsToNodeIds", BrowsePaths=list(paths))
    return [(one.StatusCode.name, [target.TargetId for target in one.Targets or []]) for one in done.Results]


def test_paths_lead_to_their_nodes_or_say_why_not(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        objects, server = ua.QualifiedName("Objects", 0), ua.NodeId(85)
        found = await translated(
            call,
            path(ua.NodeId(84), (objects,), ("Conformance",), ("Double",)),
            path("Double", ("Conformance", HAS_COMPONENT, True), (objects, ORGANIZES, True)),
            path("Conformance", ("Double", HIERARCHICAL, False, False)),
            path("Conformance", ("Double", HAS_COMPONENT, False, False)),
            path("Conformance", ("Double", ua.NodeId())),
            path("Conformance", ("Twins",), ("Twin",)),
            path("Conformance", ("nothing",)),
            path("Conformance", ("double",)),
            path("Conformance", (ua.QualifiedName("Double", 0),)),
            path("Conformance"),
            path("Conformance", (ua.QualifiedName("", 0),)),
            path("Conformance", (ua.QualifiedName("", 0),), ("Double",)),
            path("no such node", ("Double",)),
            path("Conformance", ("Double", ua.NodeId(85))),
        )
        assert found == [
            ("Good", [node("Double")]), ("Good", [server]), ("BadNoMatch", []), ("Good", [node("Double")]),
            ("Good", [node("Double")]), ("Good", [node("Twin0"), node("Twin1")]), ("BadNoMatch", []), ("BadNoMatch", []),
            ("BadNoMatch", []), ("BadNothingToDo", []), ("BadBrowseNameInvalid", []), ("BadBrowseNameInvalid", []),
            ("BadNodeIdUnknown", []), ("BadReferenceTypeIdInvalid", []),
        ]  # fmt: skip
        assert await call.refused("TranslateBrowsePathsToNodeIds", BrowsePaths=[]) == "BadNothingToDo"
        many = [path("Conformance", ("Double",))] * 301
        assert await call.refused("TranslateBrowsePathsToNodeIds", BrowsePaths=many) == "BadTooManyOperations"

    run(plant, act)


def test_registered_nodes_are_read_by_what_comes_back(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        done = await call("RegisterNodes", NodesToRegister=[node("Double"), node("Count")])
        results = await call.read(*[item(one) for one in done.RegisteredNodeIds])
        assert all(result.StatusCode.is_good() for result in results)
        await call("UnregisterNodes", NodesToUnregister=done.RegisteredNodeIds)
        assert (await call.read(item("Double")))[0].StatusCode.is_good()
        assert await call.refused("RegisterNodes", NodesToRegister=[]) == "BadNothingToDo"
        unknown = [node("Double"), node("nothing"), ua.NodeId()]
        assert (await call("RegisterNodes", NodesToRegister=unknown)).RegisteredNodeIds == unknown, "they are not validated"
        await call("UnregisterNodes", NodesToUnregister=unknown)
        assert await call.refused("RegisterNodes", NodesToRegister=[node("Double")] * 501) == "BadTooManyOperations"
        assert await call.refused("UnregisterNodes", NodesToUnregister=[]) == "BadNothingToDo"

    run(plant, act)
