"""Types that are kept: what is taken over is what was loaded, and what does not fit is not taken."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.address_space import AddressSpace

from nodesets import kept, loader
from nodesets.datatypes import DataTypes
from nodesets.typed import TypedServer

A = ua.AttributeIds


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AddressSpace, Path]]:
    """An address space that was loaded from the sources, and where it is kept."""
    place, server = tmp_path_factory.mktemp("kept") / "types", TypedServer()
    assert asyncio.run(server.load(keeps=True, place=place))
    yield server.aspace, place
    server.method_service.stop()


def said(aspace: AddressSpace, node_id: ua.NodeId) -> dict[str, Any]:
    """What a node says, with the times of loading written alike."""
    found = {}
    for attribute, held in aspace[node_id].attributes.items():
        value = held.value
        assert value is not None
        stamps = value.SourceTimestamp is not None, value.ServerTimestamp is not None
        status = value.StatusCode.value if value.StatusCode is not None else 0
        found[attribute.name] = (repr(value.Value), status, *stamps)
    return found


def led_to(aspace: AddressSpace, node_id: ua.NodeId) -> list[tuple[Any, ...]]:
    rows = aspace[node_id].references
    return [(r.ReferenceTypeId, r.IsForward, r.NodeId, r.BrowseName, r.DisplayName, r.NodeClass, r.TypeDefinition) for r in rows]


def test_what_is_taken_over_says_what_was_loaded(loaded: tuple[AddressSpace, Path]) -> None:
    aspace, place = loaded
    restored = AddressSpace()
    assert kept.restore(restored, place)
    assert list(restored.keys()) == list(aspace.keys())
    assert [node_id for node_id in aspace.keys() if said(restored, node_id) != said(aspace, node_id)] == []  # noqa: SIM118
    assert [node_id for node_id in aspace.keys() if led_to(restored, node_id) != led_to(aspace, node_id)] == []  # noqa: SIM118


def test_another_process_makes_the_classes_that_values_need(loaded: tuple[AddressSpace, Path]) -> None:
    aspace, place = loaded
    node_id, value = next(
        (node_id, held.value.Value.Value)
        for node_id in aspace.keys()  # noqa: SIM118
        if node_id.NamespaceIndex
        and (held := aspace[node_id].attributes.get(A.Value)) is not None
        and type(held.value.Value.Value).__module__ == "asyncua.common.structures104"
    )
    code = (
        "import sys; from pathlib import Path; from asyncua import ua; from asyncua.server.address_space import AddressSpace\n"
        "from nodesets import kept; aspace = AddressSpace(); assert kept.restore(aspace, Path(sys.argv[1]))\n"
        "print(aspace[ua.NodeId.from_string(sys.argv[2])].attributes[ua.AttributeIds.Value].value.Value.Value)"
    )
    told = subprocess.run([sys.executable, "-c", code, place, node_id.to_string()], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(value)


def test_times_of_what_is_taken_over_are_those_of_taking_it_over(loaded: tuple[AddressSpace, Path]) -> None:
    restored, begun = AddressSpace(), datetime.now(UTC)
    assert kept.restore(restored, loaded[1])
    stamps = [
        held.value.SourceTimestamp
        for node_id in restored.keys()  # noqa: SIM118
        if (held := restored[node_id].attributes.get(A.Value)) is not None and held.value is not None
    ]
    assert {stamp for stamp in stamps if stamp is not None and stamp < begun} == set()
    assert len(stamps) > 5_000


def test_a_model_of_the_user_is_loaded_beside_what_is_taken_over(loaded: tuple[AddressSpace, Path]) -> None:
    restored = AddressSpace()
    assert kept.restore(restored, loaded[1])
    assert loader.load_into(restored).nodes == 0


def test_a_reference_that_is_added_stands_beside_those_that_were_kept(loaded: tuple[AddressSpace, Path]) -> None:
    aspace, place = loaded
    restored, node_id = AddressSpace(), ua.NodeId(ua.ObjectIds.ObjectsFolder, 0)
    assert kept.restore(restored, place)
    restored[node_id].references.append(aspace[node_id].references[0])
    assert len(restored[node_id].references) == len(aspace[node_id].references) + 1


@pytest.mark.parametrize("damage", [b"", b"not what it was", b"\x80\x05."])
def test_what_is_not_whole_is_not_taken(loaded: tuple[AddressSpace, Path], tmp_path: Path, damage: bytes) -> None:
    content = loaded[1].read_bytes()
    place = tmp_path / "types"
    place.write_bytes(content[:32] + damage)
    aspace = AddressSpace()
    assert not kept.restore(aspace, place)
    place.write_bytes(content[: len(content) // 2])
    assert not kept.restore(aspace, place)
    place.write_bytes(b"x" + content[1:])
    assert not kept.restore(aspace, place)
    assert not kept.restore(aspace, tmp_path / "missing")
    assert list(aspace.keys()) == []


class Stranger:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("came"),)


def test_nothing_but_parts_of_an_address_space_is_made(
    loaded: tuple[AddressSpace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "types"
    place.write_bytes(loaded[1].read_bytes()[:32] + pickle.dumps(Stranger()))
    assert not kept.restore(AddressSpace(), place)
    assert not Path("came").exists()


def test_where_nothing_can_be_written_nothing_is_kept(loaded: tuple[AddressSpace, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not kept.keep(loaded[0], DataTypes(), datetime.now(UTC), tmp_path / "file" / "types")
