"""What the address space says of the history of values (OPC 10000-11, 5): which have one, how it is kept, what may be asked of it.

variable   Historizing, the HistoryRead bits, HasHistoricalConfiguration --> HA Configuration, shared by all that are kept alike
Server     HistoryServerCapabilities, and AggregateFunctions in the three places where clients look for them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from cnctwin.wire.scalars import to_datetime
from nodesets.sharing import FixedValue, OwnNodeId, SharedValues
from nodesets.space_access import References
from opcua_server.history.aggregate_words import WORDS
from opcua_server.history.aggregates import AGGREGATES
from opcua_server.history.annotations import nothing_said
from opcua_server.history.archive import Tag
from opcua_server.history.asked import DEFAULTS, takes
from opcua_server.history.recorder import REFRESH
from opcua_server.history.series import TICKS_PER_MS
from opcua_server.history.service import MOST_PER_NODE
from opcua_server.security.access import may_change_history
from opcua_server.security.roles import ROLE_IDS
from opcua_server.space.instances import Builder, wanted
from opcua_server.space.types import HAS_PROPERTY, ORGANIZES, TypeSpace

_A = ua.AttributeIds
_O = ua.ObjectIds
_V = ua.VariantType
HAS_CONFIGURATION: Final = ua.NodeId(_O.HasHistoricalConfiguration, 0)
_CONFIGURATION: Final = ua.NodeId(_O.HistoricalDataConfigurationType, 0)
_OF_HISTORIES: Final = ua.NodeId(_O.HistoryServerCapabilities_AggregateFunctions, 0)
_OF_ALL: Final = ua.NodeId(_O.Server_ServerCapabilities_AggregateFunctions, 0)
_OPTIONAL: Final = (
    "AggregateFunctions", "Definition", "MaxTimeInterval", "StartOfArchive", "StartOfOnlineArchive", "ServerTimestampSupported",
)  # fmt: skip
HISTORY_READ: Final = 4
"""Of AccessLevel and of EventNotifier."""
HISTORY_WRITE: Final = 8
"""Of AccessLevel; of UserAccessLevel it is taken away from those who may not."""
_CHANGERS: Final = frozenset(role_id for role, role_id in ROLE_IDS.items() if may_change_history(role))
_ANNOTATIONS: Final = "Annotations"
_PROPERTY_TYPE, _ANNOTATION = ua.NodeId(_O.PropertyType, 0), ua.NodeId(_O.Annotation, 0)
OURS: Final = 1
"""Namespace of the server's own nodes."""


def show(aspace: Any, types: TypeSpace, tags: Mapping[Any, Tag], oldest: Callable[[], int]) -> None:
    """``tags``: variable -> what is kept of it. ``oldest``: when the archive begins, 100 ns since 1601, 0 where it is empty."""
    references = References(aspace)
    alike: dict[tuple[Any, ...], Any] = {}
    of_kind: dict[tuple[str, bool], Any] = {}
    permitted: dict[Any, FixedValue] = {}
    for node_id, tag in tags.items():
        attributes = aspace[node_id].attributes
        for attribute in (_A.AccessLevel, _A.UserAccessLevel):
            level = int(attributes[attribute].value.Value.Value) | HISTORY_READ | HISTORY_WRITE
            attributes[attribute] = held(level, _V.Byte)
        attributes[_A.Historizing] = held(True, _V.Boolean)
        _permit(attributes, permitted)
        kind = (tag.kind, tag.is_stepped)
        if kind not in of_kind:
            aggregates = tuple(one.node_id for one in AGGREGATES if takes(one, tag.kind))
            key = (tag.is_stepped, aggregates)
            if key not in alike:
                alike[key] = of_kind[kind] = _configuration(types, references, node_id, len(alike) + 1, tag, aggregates, oldest)
                continue
            of_kind[kind] = alike[key]
        references.add_new(node_id, HAS_CONFIGURATION, of_kind[kind], True)
        references.add_new(of_kind[kind], HAS_CONFIGURATION, node_id, False)
    for aggregate in AGGREGATES:
        references.add(_OF_HISTORIES, ORGANIZES, ua.NodeId(aggregate.node_id, 0))
    _capabilities(aspace, has_data=bool(tags))


def show_aggregates(aspace: Any) -> None:
    """Say what is worked out, if not of a history then of monitored items."""
    references = References(aspace)
    for aggregate in AGGREGATES:
        node_id = ua.NodeId(aggregate.node_id, 0)
        aspace[node_id].attributes[_A.Description] = held(ua.LocalizedText(WORDS[aggregate.name], "en"), _V.LocalizedText)
        references.add(_OF_ALL, ORGANIZES, node_id)


def show_annotations(aspace: Any, types: TypeSpace, tags: Mapping[Any, Tag]) -> dict[Any, tuple[Tag, AttributeValue]]:
    """Give variables their Annotations property, one for all that show the same: property -> tag, and the place of its value."""
    references = References(aspace)
    of_tag: dict[int, Any] = {}
    made: dict[Any, tuple[Tag, AttributeValue]] = {}
    first = None
    for node_id, tag in tags.items():
        if (known := of_tag.get(tag.number)) is None:
            if first is None:
                known = first = _annotations(aspace, types, references, node_id)
            else:
                known = _more_annotations(aspace, references, node_id, first)
            of_tag[tag.number] = known
            made[known] = (tag, aspace[known].attributes[_A.Value])
        else:
            references.add_new(node_id, HAS_PROPERTY, known, True)
            references.add_new(known, HAS_PROPERTY, node_id, False)
    capability(aspace, "InsertAnnotationCapability", bool(made), _V.Boolean)
    return made


def _annotations(aspace: Any, types: TypeSpace, references: References, node_id: Any) -> Any:
    builder = Builder(types, references, node_id.NamespaceIndex, {})
    place = builder.variable(node_id, HAS_PROPERTY, ua.QualifiedName(_ANNOTATIONS, 0), _PROPERTY_TYPE, _ANNOTATION, nothing_said())
    attributes = aspace[place].attributes
    for attribute in (_A.AccessLevel, _A.UserAccessLevel):
        attributes[attribute] = held(1 | HISTORY_READ | HISTORY_WRITE, _V.Byte)
    return place


def _more_annotations(aspace: Any, references: References, node_id: Any, first: Any) -> Any:
    """A property like the first one, which says nothing of its own yet."""
    place = ua.NodeId(f"{node_id.Identifier}.{_ANNOTATIONS}", node_id.NamespaceIndex)
    node, like = NodeData(place), aspace[first]
    attributes = node.attributes = like.attributes.copy()
    attributes[_A.NodeId] = OwnNodeId(place)
    attributes[_A.Value] = AttributeValue(like.attributes[_A.Value].value)
    node.references = [one for one in like.references if one.IsForward]
    aspace[place] = node
    references.add_new(node_id, HAS_PROPERTY, place, True)
    references.add_new(place, HAS_PROPERTY, node_id, False)
    return place


def _permit(attributes: Any, known: dict[Any, FixedValue]) -> None:
    """Where permissions are shown, whoever may read may read what was, and who may change it is told so. ``known``: what was
    shown -> what is shown then."""
    for attribute in (_A.RolePermissions, _A.UserRolePermissions):
        held = attributes.get(attribute)
        if held is None:
            continue
        if held not in known:
            rows = [ua.RolePermissionType(row.RoleId, _with_history(row)) for row in held.value.Value.Value]
            known[held] = FixedValue(ua.DataValue(ua.Variant(rows, _V.ExtensionObject, is_array=True)))
        attributes[attribute] = known[held]


def _with_history(row: Any) -> Any:
    permissions = row.Permissions
    if permissions & ua.PermissionType.Read:
        permissions |= ua.PermissionType.ReadHistory
    if row.RoleId in _CHANGERS:
        permissions |= ua.PermissionType.InsertHistory | ua.PermissionType.ModifyHistory | ua.PermissionType.DeleteHistory
    return permissions


class Configurations(Builder):
    """Names a configuration after its number, or what it is of, as it belongs to no variable more than to others."""

    def __init__(self, types: TypeSpace, references: References, number: int | str) -> None:
        super().__init__(types, references, OURS, {})
        self._number = number

    def _new_id(self, parent: ua.NodeId, name: ua.QualifiedName) -> ua.NodeId:
        ours = parent.NamespaceIndex == OURS
        return super()._new_id(parent, name) if ours else ua.NodeId(f"History.Configuration{self._number}", OURS)


def _configuration(
    types: TypeSpace,
    references: References,
    node_id: Any,
    number: int,
    tag: Tag,
    aggregates: Iterable[int],
    oldest: Callable[[], int],
) -> Any:
    """An "HA Configuration" of the variable, which others may share."""
    builder = Configurations(types, references, number)
    browse_name = ua.QualifiedName("HA Configuration", 0)
    made = builder.instance(node_id, HAS_CONFIGURATION, browse_name, _CONFIGURATION, wanted(f"0:{name}" for name in _OPTIONAL))
    values = {
        "Stepped": tag.is_stepped,
        "Definition": "Changes, and how long the value before them had held",
        "MaxTimeInterval": REFRESH / TICKS_PER_MS,
        "ServerTimestampSupported": True,
    }
    children = {r.BrowseName.Name: r.NodeId for r in types.aspace[made].references if r.IsForward}
    for child, value in values.items():
        builder.set(children[child], value)
    defaults = {
        "TreatUncertainAsBad": DEFAULTS.treat_uncertain_as_bad, "PercentDataBad": DEFAULTS.percent_bad,
        "PercentDataGood": DEFAULTS.percent_good, "UseSlopedExtrapolation": DEFAULTS.sloped_extrapolation,
    }  # fmt: skip
    for reference in types.aspace[children["AggregateConfiguration"]].references:
        if reference.IsForward and reference.BrowseName.Name in defaults:
            builder.set(reference.NodeId, defaults[reference.BrowseName.Name])
    for one in aggregates:
        references.add(children["AggregateFunctions"], ORGANIZES, ua.NodeId(one, 0))
    since = datetime.now(UTC)

    def begin(_node: Any, _attribute: Any) -> Any:
        moment = to_datetime(oldest()) if oldest() else since
        return ua.DataValue(ua.Variant(moment, _V.DateTime), SourceTimestamp=since, ServerTimestamp=datetime.now(UTC))

    for child in ("StartOfArchive", "StartOfOnlineArchive"):
        builder.value(children[child]).value_callback = begin
    return made


def _capabilities(aspace: Any, *, has_data: bool) -> None:
    capability(aspace, "AccessHistoryDataCapability", has_data, _V.Boolean)
    capability(aspace, "MaxReturnDataValues", MOST_PER_NODE, _V.UInt32)
    capability(aspace, "MaxReturnEventValues", MOST_PER_NODE, _V.UInt32)
    capability(aspace, "ServerTimestampSupported", has_data, _V.Boolean)
    for name in ("InsertData", "ReplaceData", "UpdateData", "DeleteRaw", "DeleteAtTime"):
        capability(aspace, f"{name}Capability", has_data, _V.Boolean)


def capability(aspace: Any, name: str, value: Any, kind: Any) -> None:
    """Say something of HistoryServerCapabilities."""
    node = aspace.get(ua.NodeId(getattr(_O, f"HistoryServerCapabilities_{name}"), 0))
    now = datetime.now(UTC)
    if node is not None:
        node.attributes[_A.Value].value = ua.DataValue(ua.Variant(value, kind), SourceTimestamp=now, ServerTimestamp=now)


held: Final = SharedValues().attribute
