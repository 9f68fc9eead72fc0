"""Browse, BrowseNext, TranslateBrowsePathsToNodeIds, RegisterNodes (OPC 10000-4, 5.9).

A reference is encoded once per set of fields, and a node's answer to the same question is kept for as long as the node has the
same references. What a request costs is bounded, and long ones are sliced.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

from cnctwin.wire import encoder
from cnctwin.wire.encode import node_id_bytes
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import Limits, Request, Service, ServiceFault, Session
from opcua_server.engine.points import Points
from opcua_server.engine.shares import Shares
from opcua_server.engine.turns import Turn
from opcua_server.engine.values import Values

_C = ua.StatusCodes
_NULL_STRING: Final = b"\xff\xff\xff\xff"
_NULL_NODE: Final = b"\x00\x00"
_COUNT: Final = struct.Struct("<i").pack
_HAS_SUBTYPE: Final = ua.NodeId(ua.ObjectIds.HasSubtype, 0)
_write_name: Final = encoder(ua.QualifiedName)
_write_text: Final = encoder(ua.LocalizedText)
STATE: Final = "engine.browse"
MAX_KEPT: Final = 16 << 20
"""Bytes of the answers that are kept, about."""
_OVERHEAD: Final = 200
"""What an answer takes beside its references, and a reference a quarter of it."""
MAX_PER_NODE: Final = 10_000
"""References of one node in one response, where the client sets no limit."""
MAX_TARGETS: Final = 1_000
MAX_ELEMENTS: Final = 100
SLICE: Final = 50
_CLASSES: Final = sum(int(one) for one in ua.NodeClass)
_NO_CLASS: Final = _CLASSES + 1
_FIELDS: Final = 63
"""Bits of a NodeClassMask and of a ResultMask that mean something."""


class ReferenceTypes:
    """Which reference types are subtypes of which; worked out once."""

    def __init__(self, aspace: Any) -> None:
        self._aspace = aspace
        self._below: dict[Any, frozenset[Any]] = {}

    def below(self, kind: Any) -> frozenset[Any]:
        """A reference type and all its subtypes. Raises ServiceFault when it is none."""
        known = self._below.get(kind)
        if known is None:
            node = self._aspace.get(kind)
            attribute = node.attributes.get(ua.AttributeIds.NodeClass) if node is not None else None
            if attribute is None or int(attribute.value.Value.Value) != int(ua.NodeClass.ReferenceType):
                raise ServiceFault(_C.BadReferenceTypeIdInvalid)
            found, waiting = {kind}, [kind]
            while waiting:
                current = self._aspace.get(waiting.pop())
                for reference in current.references if current is not None else ():
                    if reference.IsForward and reference.ReferenceTypeId == _HAS_SUBTYPE and reference.NodeId not in found:
                        found.add(reference.NodeId)
                        waiting.append(reference.NodeId)
            known = self._below[kind] = frozenset(found)
        return known


class View:
    """The view services over one address space, and over the nodes that come and go beside it."""

    def __init__(self, values: Values, limits: Limits, shares: Shares) -> None:
        self._values = values
        self._points: Points[tuple[list[bytes], int, int]] = Points(STATE, limits.continuation_points, shares)
        self._aspace = aspace = values.aspace
        self._limits = limits
        self._types = ReferenceTypes(aspace)
        self._answers: dict[tuple[Any, ...], tuple[Any, int, list[bytes]]] = {}
        self._kept = 0

    def services(self) -> list[Service]:
        return [
            Service("Browse", 527, 530, self.browse, ua.BrowseParameters),
            Service("BrowseNext", 533, 536, self.browse_next, ua.BrowseNextParameters),
            Service("TranslateBrowsePathsToNodeIds", 554, 557, self.translate, ua.TranslateBrowsePathsToNodeIdsParameters),
            Service("RegisterNodes", 560, 563, self.register, ua.RegisterNodesParameters),
            Service("UnregisterNodes", 566, 569, self.unregister, ua.UnregisterNodesParameters),
        ]

    # Browse ---------------------------------------------------------------------------------------------------------

    def browse(self, request: Request, params: Any) -> Any:
        nodes = params.NodesToBrowse
        self._bounded(nodes, self._limits.nodes_per_browse)
        if not params.View.ViewId.is_null():
            raise ServiceFault(_C.BadViewIdUnknown)
        limit = params.RequestedMaxReferencesPerNode
        if len(nodes) <= SLICE:
            made: set[bytes] = set()
            found = (self._result(request, place, one, limit, made) for place, one in enumerate(nodes))
            return b"".join([_COUNT(len(nodes)), *found, _COUNT(0)])
        return self._browse_long(request, nodes, limit)

    async def _browse_long(self, request: Request, nodes: list[Any], limit: int) -> bytes:
        parts = [_COUNT(len(nodes))]
        made: set[bytes] = set()
        size, turn = 0, Turn()
        for place, one in enumerate(nodes):
            parts.append(self._result(request, place, one, limit, made))
            size += len(parts[-1])
            if size > 4 * self._limits.message_bytes:
                raise ServiceFault(_C.BadResponseTooLarge)
            if turn.is_over:
                await turn.rest()
        parts.append(_COUNT(0))
        return b"".join(parts)

    def _result(self, request: Request, place: int, one: Any, limit: int, made: set[bytes]) -> bytes:
        try:
            references = self._references(one, request.session)
        except ServiceFault as fault:
            request.answer.reasons.fault(place, fault)
            return struct.pack("<IiI", fault.status, -1, 0)
        return self._page(request, place, made, references, 0, limit or MAX_PER_NODE)

    def _page(self, request: Request, place: int, made: set[bytes], references: list[bytes], start: int, limit: int) -> bytes:
        """A BrowseResult with the references from ``start`` on, and a continuation point when there are more.

        ``made``: the continuation points of this response.
        """
        end = start + limit
        if end >= len(references):
            shown = references[start:] if start else references
            return b"".join([struct.pack("<Iii", 0, -1, len(shown)), *shown])
        point = self._points.keep(request.session, (references, end, limit), sum(map(len, references)), made)
        if point is None:
            request.answer.reasons.note(place, _C.BadNoContinuationPoints)
            return struct.pack("<Iii", _C.BadNoContinuationPoints, -1, 0)
        shown = references[start:end]
        return b"".join([struct.pack("<Ii", 0, len(point)), point, _COUNT(len(shown)), *shown])

    def _references(self, one: Any, session: Session | None) -> list[bytes]:
        """The encoded references of a node that a BrowseDescription asks for. Raises ServiceFault."""
        node = self._aspace.get(one.NodeId)
        if node is None:
            return self._chosen(one, self._passing(one.NodeId, session))
        direction = int(one.BrowseDirection)
        if direction not in (0, 1, 2):
            raise ServiceFault(_C.BadBrowseDirectionInvalid)
        classes = int(one.NodeClassMask)
        if classes:
            classes = classes & _CLASSES or _NO_CLASS  # of 32 bits most are of no NodeClass
        key = (one.NodeId, direction, one.ReferenceTypeId, one.IncludeSubtypes, classes, int(one.ResultMask) & _FIELDS)
        known = self._answers.get(key)
        if known is None or known[0] is not node.references or known[1] != len(node.references):
            chosen = self._chosen(one, node.references)
            self._kept += _OVERHEAD + sum(map(len, chosen)) + len(chosen) * _OVERHEAD // 4
            if self._kept > MAX_KEPT:  # those that are asked for again are soon there again
                self._answers.clear()
                self._kept = 0
            known = self._answers[key] = (node.references, len(node.references), chosen)
        if one.NodeId in self._values.passing.places:
            return known[2] + self._chosen(one, self._values.passing.more(one.NodeId, session))
        return known[2]

    def _passing(self, node_id: Any, session: Session | None) -> list[Any]:
        """References of a node that comes and goes. Raises ServiceFault where it does not, or is not for who asks."""
        passing = self._values.passing
        node = self._values.node(node_id, session)
        return [one for one in node.references if one.NodeId in self._aspace or not passing.hides(one.NodeId, session)]

    def _chosen(self, one: Any, references: Iterable[Any]) -> list[bytes]:
        """Those that a BrowseDescription asks for, encoded. Raises ServiceFault."""
        direction = int(one.BrowseDirection)
        if direction not in (0, 1, 2):
            raise ServiceFault(_C.BadBrowseDirectionInvalid)
        kinds: frozenset[Any] | None = None
        if not one.ReferenceTypeId.is_null():
            below = self._types.below(one.ReferenceTypeId)
            kinds = below if one.IncludeSubtypes else frozenset((one.ReferenceTypeId,))
        classes, mask = int(one.NodeClassMask), int(one.ResultMask)
        found = []
        for reference in references:
            if direction != 2 and reference.IsForward != (direction == 0):
                continue
            if kinds is not None and reference.ReferenceTypeId not in kinds:
                continue
            if classes and not classes & int(reference.NodeClass):
                continue
            found.append(encode_reference(reference, mask))
        return found

    def browse_next(self, request: Request, params: Any) -> bytes:
        given = params.ContinuationPoints
        self._bounded(given, self._limits.nodes_per_browse)
        parts = [_COUNT(len(given))]
        made: set[bytes] = set()
        for place, point in enumerate(given):
            held = self._points.take(request.session, point)
            if held is None:
                request.answer.reasons.note(place, _C.BadContinuationPointInvalid)
            if params.ReleaseContinuationPoints:
                parts.append(struct.pack("<Iii", 0 if held else _C.BadContinuationPointInvalid, -1, 0))
            elif held is None:
                parts.append(struct.pack("<Iii", _C.BadContinuationPointInvalid, -1, 0))
            else:
                parts.append(self._page(request, place, made, *held))
        parts.append(_COUNT(0))
        return b"".join(parts)

    # Paths ----------------------------------------------------------------------------------------------------------

    async def translate(self, request: Request, params: Any) -> bytes:
        paths = params.BrowsePaths
        self._bounded(paths, self._limits.nodes_per_browse)
        parts, turn = [_COUNT(len(paths))], Turn()
        for place, path in enumerate(paths):
            if turn.is_over:
                await turn.rest()
            try:
                targets = self._follow(path, request.session)
                parts.append(struct.pack("<Ii", 0, len(targets)))
                for node_id in targets:
                    parts += (node_id_bytes(node_id), b"\xff\xff\xff\xff")
            except ServiceFault as fault:
                request.answer.reasons.fault(place, fault)
                parts.append(struct.pack("<Ii", fault.status, 0))
        parts.append(_COUNT(0))
        return b"".join(parts)

    def _follow(self, path: Any, session: Session | None) -> list[Any]:
        elements = path.RelativePath.Elements
        self._all_references(path.StartingNode, session)
        if not elements:
            raise ServiceFault(_C.BadNothingToDo, "The path is empty")
        if len(elements) > MAX_ELEMENTS:
            raise ServiceFault(_C.BadTooManyOperations, f"A path has up to {MAX_ELEMENTS} elements")
        here = [path.StartingNode]
        for element in elements:
            name = element.TargetName
            if name is None or not name.Name:  # also the last one, which a RelativePath elsewhere may leave open
                raise ServiceFault(_C.BadBrowseNameInvalid)
            kinds = None
            if not element.ReferenceTypeId.is_null():
                below = self._types.below(element.ReferenceTypeId)
                kinds = below if element.IncludeSubtypes else frozenset((element.ReferenceTypeId,))
            found: dict[Any, None] = {}
            for node_id in here:
                for reference in self._all_references(node_id, session):
                    if (
                        reference.BrowseName.Name == name.Name
                        and reference.BrowseName.NamespaceIndex == name.NamespaceIndex
                        and reference.IsForward != element.IsInverse
                        and (kinds is None or reference.ReferenceTypeId in kinds)
                    ):
                        found[reference.NodeId] = None
            if len(found) > MAX_TARGETS:
                raise ServiceFault(_C.BadTooManyMatches)
            if not found:
                raise ServiceFault(_C.BadNoMatch, f"{name.NamespaceIndex}:{name.Name[:100]} is not there")
            here = list(found)
        return here

    def _all_references(self, node_id: Any, session: Session | None) -> Sequence[Any]:
        """Raises ServiceFault where there is no such node."""
        node = self._aspace.get(node_id)
        if node is None:
            return self._passing(node_id, session)
        if node_id in self._values.passing.places:
            return [*node.references, *self._values.passing.more(node_id, session)]
        return node.references  # type: ignore[no-any-return]

    def register(self, _request: Request, params: Any) -> bytes:
        """The ids as they are, unknown ones too (OPC 10000-4, 5.9.5.1): a lookup by any of them costs the same."""
        nodes = params.NodesToRegister
        self._bounded(nodes, self._limits.nodes_per_read)
        return b"".join([_COUNT(len(nodes)), *(node_id_bytes(node_id) for node_id in nodes)])

    def unregister(self, _request: Request, params: Any) -> bytes:
        self._bounded(params.NodesToUnregister, self._limits.nodes_per_read)
        return b""

    @staticmethod
    def _bounded(items: Any, most: int) -> None:
        if not items:
            raise ServiceFault(_C.BadNothingToDo)
        if len(items) > most:
            raise ServiceFault(_C.BadTooManyOperations, f"{len(items)} are more than {most}")


def encode_reference(reference: Any, mask: int) -> bytes:
    """A ReferenceDescription with the fields of a ResultMask (OPC 10000-4, 5.9.2.2); the others are null."""
    parts: list[bytes] = [
        node_id_bytes(reference.ReferenceTypeId) if mask & 1 else _NULL_NODE,
        b"\x01" if mask & 2 and reference.IsForward else b"\x00",
        node_id_bytes(reference.NodeId),
    ]
    if mask & 8:
        _write_name(reference.BrowseName, parts.append)
    else:
        parts.append(b"\x00\x00" + _NULL_STRING)
    if mask & 16:
        _write_text(reference.DisplayName, parts.append)
    else:
        parts.append(b"\x00")
    parts.append(_COUNT(int(reference.NodeClass) if mask & 4 else 0))
    type_definition = reference.TypeDefinition
    parts.append(node_id_bytes(type_definition) if mask & 32 and type_definition is not None else _NULL_NODE)
    return b"".join(parts)
