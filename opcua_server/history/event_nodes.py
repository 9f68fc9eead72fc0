"""What the address space says of the history of events (OPC 10000-11, 5.4): whose can be read, and what there is to ask for.

notifier   HistoryRead and HistoryWrite bits of EventNotifier, HistoricalEventFilter,
           HasHistoricalConfiguration --> HE Configuration, one for all
Server     HistoryServerCapabilities
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from asyncua import ua

from nodesets.space_access import References
from opcua_server.history.nodes import HAS_CONFIGURATION, HISTORY_READ, HISTORY_WRITE, OURS, Configurations, capability, held
from opcua_server.space.instances import Builder
from opcua_server.space.types import HAS_PROPERTY, TypeSpace

_A: Final = ua.AttributeIds
_O: Final = ua.ObjectIds
_CONFIGURATION: Final = ua.NodeId(_O.HistoricalEventConfigurationType, 0)
_PROPERTY_TYPE, _EVENT_FILTER = ua.NodeId(_O.PropertyType, 0), ua.NodeId(_O.EventFilter, 0)
FIELDS: Final = {
    "0:BaseEventType": (
        "EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "LocalTime", "Message", "Severity",
    ),
    "0:ConditionType": (
        "ConditionClassId", "ConditionClassName", "ConditionName", "BranchId", "Retain", "EnabledState/Id", "Quality",
        "LastSeverity", "Comment", "ClientUserId",
    ),
    "0:AcknowledgeableConditionType": ("AckedState/Id", "ConfirmedState/Id"),
    "0:AlarmConditionType": ("ActiveState/Id", "InputNode", "SuppressedOrShelved"),
    "MT:NotificationEventType": ("Identifier",),
    "MT:AlertType": ("ErrorCode",),
    "JC:ISA95JobOrderStatusEventType": ("JobOrder", "JobState", "JobResponse"),
    "MR:ResultReadyEventType": ("Result",),
}  # fmt: skip
"""Type -> the fields of it that most are asked for; all that an event had is kept."""


def show_events(aspace: Any, types: TypeSpace, notifiers: Iterable[Any]) -> None:
    """Let clients know that notifiers' events can be read later, what there is of them, and that they may be changed."""
    references = References(aspace)
    kept = ua.EventFilter(list(_operands(types)), ua.ContentFilter())
    configuration: Any = None
    for node_id in notifiers:
        attributes = aspace[node_id].attributes
        notifier = int(attributes[_A.EventNotifier].value.Value.Value) | HISTORY_READ | HISTORY_WRITE
        attributes[_A.EventNotifier] = held(notifier, ua.VariantType.Byte)
        builder = Builder(types, references, node_id.NamespaceIndex or OURS, {})
        name = ua.QualifiedName("HistoricalEventFilter", 0)
        builder.variable(node_id, HAS_PROPERTY, name, _PROPERTY_TYPE, _EVENT_FILTER, kept)
        if configuration is None:
            configuration = _configuration(types, references, node_id)
        else:
            references.add(node_id, HAS_CONFIGURATION, configuration)
    for capable in ("AccessHistoryEvents", "InsertEvent", "ReplaceEvent", "UpdateEvent", "DeleteEvent"):
        capability(aspace, f"{capable}Capability", True, ua.VariantType.Boolean)


def _operands(types: TypeSpace) -> Iterable[Any]:
    for kind, paths in FIELDS.items():
        for path in paths if _is_there(types, kind) else ():
            names = [ua.QualifiedName(name, 0) for name in path.split("/")]
            names[0].NamespaceIndex = types.index[kind.partition(":")[0]] if len(names) == 1 else 0
            yield ua.SimpleAttributeOperand(types.type_id(kind), names, _A.Value)


def _configuration(types: TypeSpace, references: References, node_id: Any) -> Any:
    """The "HE Configuration" of a notifier, which others share.

    Its folder EventTypes stays empty: types below Objects would lead whoever looks at all values there on to what types declare,
    which has none. HistoricalEventFilter names the types.
    """
    builder = Configurations(types, references, "Events")
    return builder.instance(node_id, HAS_CONFIGURATION, ua.QualifiedName("HE Configuration", 0), _CONFIGURATION)


def _is_there(types: TypeSpace, kind: str) -> bool:
    return kind.partition(":")[0] in types.index
