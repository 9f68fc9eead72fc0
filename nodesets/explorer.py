"""The browse services of a connected client in batches, and the type hierarchy that they reveal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from asyncua import Client, ua

from nodesets.namespaces import URI
from nodesets.paths import Path, QName, Step

_A = ua.AttributeIds
_O = ua.ObjectIds
_HIERARCHICAL: Final = ua.NodeId(33, 0)
_HAS_SUBTYPE: Final = ua.NodeId(45, 0)
_LIMITS: Final = {
    "browse": _O.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "translate": _O.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    "read": _O.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
}
_BATCH: Final = 1000
"""Operations per request when the server names no limit."""


def plain(node_id: ua.NodeId) -> ua.NodeId:
    """A NodeId of an ExpandedNodeId that points into the same server."""
    return ua.NodeId(node_id.Identifier, node_id.NamespaceIndex)


class Explorer:
    """Batched services of one client, with the types that it has learnt. Batches respect the server's OperationLimits."""

    def __init__(self, client: Client) -> None:
        self._session = client.uaclient
        self._index: dict[str, int] = {}
        self._prefix: dict[int, str] = {}
        self._limits = dict.fromkeys(_LIMITS, _BATCH)
        self._supertypes: dict[ua.NodeId, tuple[QName, ua.NodeId | None]] = {}

    async def begin(self) -> None:
        array, *limits = await self.read([ua.NodeId(_O.Server_NamespaceArray), *(ua.NodeId(i) for i in _LIMITS.values())])
        uris = array or []
        self._index = {prefix: uris.index(uri) for prefix, uri in URI.items() if uri in uris}
        self._prefix = {index: prefix for prefix, index in self._index.items()}
        for name, limit in zip(_LIMITS, limits, strict=True):
            self._limits[name] = min(int(limit or _BATCH), _BATCH)

    def knows(self, prefix: str) -> bool:
        return prefix in self._index

    def speaks(self, path: Path) -> bool:
        """Whether the server has all namespaces of a path."""
        return all((step.type.prefix if step.type else step.prefix) in self._index for step in path)

    async def _batched(self, service: str, items: Sequence[Any], call: Callable[[list[Any]], Any]) -> list[Any]:
        results: list[Any] = []
        size = self._limits[service]
        for start in range(0, len(items), size):
            results += await call(list(items[start : start + size]))
        return results

    async def read(self, nodes: Sequence[ua.NodeId], attribute: ua.AttributeIds = _A.Value) -> list[Any]:
        """Values, None where one is not Good."""

        async def call(batch: list[ua.NodeId]) -> list[ua.DataValue]:
            values = [ua.ReadValueId(NodeId=node_id, AttributeId=attribute) for node_id in batch]
            parameters = ua.ReadParameters(NodesToRead=values)
            found: list[ua.DataValue] = await self._session.read(parameters)
            return found

        values = await self._batched("read", nodes, call)
        return [v.Value.Value if v.Value is not None and (v.StatusCode is None or v.StatusCode.is_good()) else None for v in values]

    async def browse(
        self, nodes: Sequence[ua.NodeId], reference: ua.NodeId = _HIERARCHICAL, forward: bool = True
    ) -> list[list[ua.ReferenceDescription]]:
        async def call(batch: list[ua.NodeId]) -> list[list[ua.ReferenceDescription]]:
            parameters = ua.BrowseParameters()
            parameters.RequestedMaxReferencesPerNode = 0
            parameters.NodesToBrowse = [self._description(node_id, reference, forward) for node_id in batch]
            results = await self._session.browse(parameters)
            found = [list(result.References) for result in results]
            open_points = {i: r.ContinuationPoint for i, r in enumerate(results) if r.ContinuationPoint}
            while open_points:
                following = ua.BrowseNextParameters()
                following.ContinuationPoints = list(open_points.values())
                more = await self._session.browse_next(following)
                for i, result in zip(list(open_points), more, strict=True):
                    found[i] += result.References
                    if result.ContinuationPoint:
                        open_points[i] = result.ContinuationPoint
                    else:
                        del open_points[i]
            return found

        return await self._batched("browse", nodes, call)

    @staticmethod
    def _description(node_id: ua.NodeId, reference: ua.NodeId, forward: bool) -> ua.BrowseDescription:
        description = ua.BrowseDescription()
        description.NodeId = node_id
        description.BrowseDirection = ua.BrowseDirection.Forward if forward else ua.BrowseDirection.Inverse
        description.ReferenceTypeId = reference
        description.IncludeSubtypes = True
        description.NodeClassMask = 0
        description.ResultMask = ua.BrowseResultMask.All
        return description

    async def translate(self, paths: Sequence[tuple[ua.NodeId, Path]]) -> list[ua.NodeId | None]:
        """The first target of each path of qualified names, None where there is none."""

        async def call(batch: list[tuple[ua.NodeId, Path]]) -> list[ua.BrowsePathResult]:
            wanted = []
            for start, path in batch:
                browse_path = ua.BrowsePath()
                browse_path.StartingNode = start
                browse_path.RelativePath.Elements = [self._element(step) for step in path]
                wanted.append(browse_path)
            found: list[ua.BrowsePathResult] = await self._session.translate_browsepaths_to_nodeids(wanted)
            return found

        results = await self._batched("translate", paths, call)
        return [plain(r.Targets[0].TargetId) if r.StatusCode.is_good() and r.Targets else None for r in results]

    def _element(self, step: Step) -> ua.RelativePathElement:
        element = ua.RelativePathElement()
        element.ReferenceTypeId = _HIERARCHICAL
        element.IsInverse = False
        element.IncludeSubtypes = True
        element.TargetName = ua.QualifiedName(step.name, self._index[step.prefix])
        return element

    def _qname(self, name: ua.QualifiedName) -> QName:
        return QName(self._prefix.get(name.NamespaceIndex, ""), name.Name)

    async def learn_types(self, types: Iterable[ua.NodeId]) -> None:
        """Fetch names and supertypes of types, up to the roots."""
        unknown = [t for t in dict.fromkeys(types) if t not in self._supertypes and not t.is_null()]
        names = await self.read(unknown, _A.BrowseName) if unknown else []
        found = {t: self._qname(name) if name is not None else QName("", "") for t, name in zip(unknown, names, strict=True)}
        while found:
            above = await self.browse(list(found), _HAS_SUBTYPE, forward=False)
            following: dict[ua.NodeId, QName] = {}
            for (type_id, name), references in zip(found.items(), above, strict=True):
                parent = plain(references[0].NodeId) if references else None
                self._supertypes[type_id] = (name, parent)
                if parent is not None and parent not in self._supertypes:
                    following[parent] = self._qname(references[0].BrowseName)
            found = following

    def is_a(self, type_id: ua.NodeId, name: QName) -> bool:
        """Whether a learnt type is ``name`` or a subtype of it."""
        known: ua.NodeId | None = type_id
        while known is not None and known in self._supertypes:
            own, known = self._supertypes[known]
            if own == name:
                return True
        return False
