"""The types as they were when they were loaded last: namespace 0, the official NodeSets and ours, ready to be taken over.

    NodeSet2 files --loader--> address space --keep--> __pycache__/types.*.kept --restore--> address space

Reading them from their sources is half of a start. What is kept lies beside the compiled modules, is made like those by whoever may
write there, and is as much to be trusted; it names nothing but what an address space is made of, and is not looked at when anything
that it was made from is another: the files, the modules here, asyncua, Python. Without it a start takes longer, no more.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pickle
import sys
from array import array
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final

from asyncua import ua
from asyncua.server.address_space import AddressSpace, NodeData

from nodesets.datatypes import DataType, DataTypes
from nodesets.sharing import FixedValue, OwnNodeId

_A: Final = ua.AttributeIds
_HAS_TYPE_DEFINITION: Final = ua.NodeId(40, 0)
_TYPED: Final = (ua.NodeClass.Object, ua.NodeClass.Variable)
_MODULES: Final = ("asyncua.ua.", "asyncua.server.address_space", "nodesets.sharing", "datetime", "dateutil.tz.tz", "uuid")
"""What may be named: the classes of an address space, and no function."""
_NOW, _CLASS = "now", "class"
_logger = logging.getLogger(__name__)


class _Unknown(Exception):
    """What is kept is of another version, or damaged."""


class _Pickler(pickle.Pickler):
    """Times since ``begun`` are those of loading, and become those of restoring. Classes of data types go by their NodeId."""

    def __init__(self, file: BinaryIO, begun: datetime) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._begun = begun
        self._classes = {cls: node_id for node_id, cls in ua.extension_objects_by_datatype.items() if node_id.NamespaceIndex}

    def persistent_id(self, value: Any) -> Any:
        if type(value) is datetime and value.tzinfo is not None and value >= self._begun:
            return (_NOW,)
        if isinstance(value, type) and (node_id := self._classes.get(value)) is not None:
            return _CLASS, node_id.NamespaceIndex, node_id.Identifier
        return None

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, OwnNodeId):
            return OwnNodeId, (value.value.Value.Value,)  # type: ignore[union-attr]
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._now = datetime.now(UTC)

    def persistent_load(self, told: Any) -> Any:
        if told[0] == _NOW:
            return self._now
        return ua.extension_objects_by_datatype[ua.NodeId(told[2], told[1])]

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module.startswith(_MODULES) and "." not in name else None
        if not isinstance(found, type) or not found.__module__.startswith(_MODULES):
            raise _Unknown(f"{module}.{name}")
        return found


def restore(aspace: AddressSpace, place: Path | None = None) -> bool:
    """Fill an empty address space with what is kept at ``place``; False, and nothing is changed, where there is nothing to use."""
    try:
        with (place or _place()).open("rb") as file:
            if file.read(len(_key())) != _key():
                raise _Unknown("made from something else")
            unpickler = _Unpickler(file)
            _register(*unpickler.load())
            nodes = unpickler.load()
    except OSError:
        return False
    except Exception as error:  # whatever damage makes of it: there is another way
        _logger.info("types are read from their NodeSets: what is kept of them is %s", error)
        return False
    ids = [node_id for node_id, _, _, _ in nodes]
    described = _Described(aspace, ids, [None if number is None else ids[number] for _, _, number, _ in nodes])
    for node_id, attributes, _, references in nodes:
        attributes[_A.NodeId] = OwnNodeId(node_id)
        aspace[node_id] = _KeptNode(node_id, attributes, references, described)
    return True


def keep(aspace: AddressSpace, types: DataTypes, begun: datetime, place: Path | None = None) -> bool:
    """Write down an address space in which nothing but types was loaded, since ``begun``; False where it cannot be written."""
    where = place or _place()
    rows = [(row.node_id, row.name, row.parent, row.binary, row.definition) for row in types.rows.values()]
    _unify(aspace)
    number = {node_id: position for position, node_id in enumerate(aspace.keys())}
    nodes = [
        (
            node_id,
            {attribute: held for attribute, held in aspace[node_id].attributes.items() if attribute != _A.NodeId},
            next((number[one.NodeId] for one in aspace[node_id].references if _tells_type(one)), None),
            array("I", (n for one in aspace[node_id].references for n in _numbers(one, number))).tobytes(),
        )
        for node_id in number
    ]
    part = where.with_suffix(f".{os.getpid()}")
    try:
        where.parent.mkdir(exist_ok=True)
        with part.open("wb") as file:
            file.write(_key())
            pickler = _Pickler(file, begun)  # one for both: what the second names is what the first has told
            pickler.dump((rows, types.parents))
            pickler.dump(nodes)
        part.replace(where)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        return False
    return True


def _unify(aspace: AddressSpace) -> None:
    """Let what is equal in all nodes be one object, which is written and read once."""
    good = ua.StatusCode()
    texts: dict[Any, ua.LocalizedText] = {}
    nulls: dict[Any, ua.DataValue] = {}
    for node_id in aspace.keys():  # noqa: SIM118 - no dictionary: it has no iterator
        for held in aspace[node_id].attributes.values():
            shown = held.value
            if shown is None or shown.Value is None or isinstance(held, OwnNodeId):
                continue
            if shown.StatusCode is not None and shown.StatusCode.value == 0:
                shown.StatusCode = good
            content = shown.Value.Value
            if isinstance(content, ua.LocalizedText):
                shown.Value.Value = texts.setdefault((content.Locale, content.Text), content)
            elif content is None and not isinstance(held, FixedValue):
                nothing = (shown.SourceTimestamp, shown.ServerTimestamp, shown.StatusCode and shown.StatusCode.value)
                held.value = nulls.setdefault(nothing, shown)


def _tells_type(reference: ua.ReferenceDescription) -> bool:
    return bool(reference.IsForward and reference.ReferenceTypeId == _HAS_TYPE_DEFINITION)


def _numbers(reference: ua.ReferenceDescription, number: dict[ua.NodeId, int]) -> tuple[int, int]:
    return number[reference.ReferenceTypeId] * 2 + reference.IsForward, number[reference.NodeId]


class _Described:
    """Descriptions of references, which all nodes share. ``ids``: nodes by their numbers; ``definitions``: their types."""

    def __init__(self, aspace: AddressSpace, ids: list[ua.NodeId], definitions: list[ua.NodeId | None]) -> None:
        self._aspace = aspace
        self._ids = ids
        self._definitions = definitions
        self._known: dict[tuple[int, int], ua.ReferenceDescription] = {}

    def all(self, numbers: bytes) -> list[ua.ReferenceDescription]:
        each = iter(array("I", numbers))
        return [self._known.get(key) or self._describe(key) for key in zip(each, each, strict=True)]

    def _describe(self, key: tuple[int, int]) -> ua.ReferenceDescription:
        kind, target = key
        attributes = self._aspace[self._ids[target]].attributes
        node_class = ua.NodeClass(attributes[_A.NodeClass].value.Value.Value)  # type: ignore[union-attr]
        definition = self._definitions[target] if node_class in _TYPED else None
        made = self._known[key] = ua.ReferenceDescription(
            self._ids[kind >> 1],
            bool(kind & 1),
            self._ids[target],
            attributes[_A.BrowseName].value.Value.Value,  # type: ignore[union-attr]
            attributes[_A.DisplayName].value.Value.Value,  # type: ignore[union-attr]
            node_class,
            definition or ua.NodeId(),
        )
        return made


class _KeptNode(NodeData):
    """Its references are described when somebody asks for them: of most types nobody does."""

    call = None

    def __init__(self, node_id: ua.NodeId, attributes: dict[Any, Any], numbers: bytes, described: _Described) -> None:
        self.nodeid = node_id
        self.attributes = attributes
        self._kept = numbers, described

    def __getattr__(self, name: str) -> Any:
        if name != "references":
            raise AttributeError(name)
        numbers, described = self._kept
        del self._kept
        made = self.references = described.all(numbers)
        return made


def _register(rows: list[Any], parents: dict[ua.NodeId, ua.NodeId]) -> None:
    """Make the classes of the data types, which values are read into."""
    types = DataTypes()
    for node_id, name, parent, binary, definition in rows:
        types.add(DataType(None, None, node_id, name, parent, binary, definition))
    types.register(parents)


@cache
def _key() -> bytes:
    """What the types are made from, in 32 bytes."""
    digest = hashlib.sha256()
    digest.update(f"{sys.version} {importlib.metadata.version('asyncua')}".encode())
    for file in sorted(Path(__file__).parent.glob("*")):
        if file.suffix in (".py", ".xml", ".json"):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.digest()


def _place() -> Path:
    return Path(importlib.util.cache_from_source(__file__)).with_name(f"types.{sys.implementation.cache_tag}.kept")
