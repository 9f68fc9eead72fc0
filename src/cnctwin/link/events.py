"""Events of the server as alarms of machines: what is selected, and what each field means here.

A field that an event does not have comes as null: a message without ActiveState is over as soon as it is said, a condition is
active until it says otherwise. A condition also says when somebody acknowledges it, comments on it or shelves it, and earlier
states of it have branches of their own (OPC 10000-9); that is no news of the machine, and goes to ``conditions`` alone. Nor is what
a refresh says again, nor what was put aside when it began: what follows from another alarm, or what somebody does not want to hear
of. When it is put aside no longer, and still active, it is.

Which machine an event belongs to: its source node's ancestor, else the machine whose id is in its source name, else the only
machine there is.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from asyncua import Client, ua

from cnctwin.link import conditions
from cnctwin.link.conditions import Conditions
from cnctwin.link.contract import LinkAlarm, LinkCondition
from cnctwin.link.values import is_beyond, nanoseconds, plain
from nodesets.namespaces import URI

MODEL_CHANGES: Final = frozenset(
    ua.NodeId(number)
    for number in (
        ua.ObjectIds.BaseModelChangeEventType,
        ua.ObjectIds.GeneralModelChangeEventType,
        ua.ObjectIds.SemanticChangeEventType,
    )
)
_PASSING: Final = (("0", 11575), ("MT", 6), ("MT", 29), ("MT", 37), ("MT", 1004), ("MR", 2001))
"""Types of nodes that come and go with files, job orders, prognoses, maintenance and results. No signal is below them: nothing has
to be bound anew for them."""
_NODES: Final = 3
"""Verbs of ModelChangeStructureDataType: a node came or went."""
_FIELDS: Final = (
    "EventType",
    "SourceNode",
    "SourceName",
    "Time",
    "Severity",
    "Message",
    "ConditionName",
    "ActiveState/Id",
    "BranchId",
    "Changes",
    *conditions.FIELDS,
)
_CONDITION_TYPE: Final = ua.NodeId(ua.ObjectIds.ConditionType)
_CODE_FIELDS: Final = (("MT", "ErrorCode"), ("X", "Code"), ("X", "Program"), ("X", "Line"))
_CODES: Final = ("ErrorCode", "Code", "ConditionName")
_NO_DETAILS: Final = frozenset(
    (
        *(
            "EventType",
            "SourceNode",
            "Time",
            "Severity",
            "Message",
            "ErrorCode",
            "Code",
            "ActiveState/Id",
            "BranchId",
            "ConditionId",
            "Changes",
        ),
        *conditions.FIELDS,
    )
)
_MOST_CONDITIONS: Final = 10_000
MOST_TEXT: Final = 4_096
"""Characters of a text of an event. What is said last of each condition is kept, by all who hear of it."""
_SUBTYPE: Final = ua.NodeId(ua.ObjectIds.HasSubtype)
_MAX_DEPTH: Final = 12


class Alarms:
    """Turns event fields into alarms; one for each session, because NodeIds hold only for one."""

    def __init__(
        self,
        client: Client,
        roots: Mapping[ua.NodeId, str],
        machine_ids: Sequence[str],
        handed: Callable[[LinkAlarm], None],
        model_changed: Callable[[], None],
        condition_changed: Callable[[LinkCondition], None],
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        """``refresh`` asks the server to tell once more what is retained."""
        self.conditions = Conditions(condition_changed)
        self._refresh = refresh
        self._client = client
        self._roots = roots
        self._machines: dict[ua.NodeId, str | None] = dict(roots)
        self._machine_ids = tuple(machine_ids)
        self._handed = handed
        self._model_changed = model_changed
        self._names: list[str] = []
        self._passing: frozenset[ua.NodeId] = frozenset()
        self._said: dict[tuple[Any, Any], tuple[Any, ...]] = {}
        """What each condition said last: active, severity, text."""

    async def event_filter(self) -> ua.EventFilter:
        """All events; ``BaseEventType`` as type lets the server evaluate the paths on any event (OPC 10000-4, 7.7.4.5)."""
        (array,) = await self._client.uaclient.read_attributes(
            [ua.NodeId(ua.ObjectIds.Server_NamespaceArray)], ua.AttributeIds.Value
        )
        uris = list(array.Value.Value or ()) if array.Value is not None else []
        self._passing = frozenset(
            ua.NodeId(number, uris.index(URI[prefix]) if prefix != "0" else 0)
            for prefix, number in _PASSING
            if prefix == "0" or URI[prefix] in uris
        )
        event_filter = ua.EventFilter()
        self._names = list(_FIELDS)
        paths = [[ua.QualifiedName(part, 0) for part in name.split("/")] for name in _FIELDS]
        for prefix, name in _CODE_FIELDS:
            if URI[prefix] in uris:
                self._names.append(name)
                paths.append([ua.QualifiedName(name, uris.index(URI[prefix]))])
        for path in paths:
            operand = ua.SimpleAttributeOperand()
            operand.TypeDefinitionId = ua.NodeId(ua.ObjectIds.BaseEventType)
            operand.BrowsePath = path
            operand.AttributeId = ua.AttributeIds.Value
            event_filter.SelectClauses.append(operand)
        self._names.append("ConditionId")  # it is no field but the NodeId of the condition itself (OPC 10000-9, 5.5.2)
        operand = ua.SimpleAttributeOperand()
        operand.TypeDefinitionId = _CONDITION_TYPE
        operand.AttributeId = ua.AttributeIds.NodeId
        event_filter.SelectClauses.append(operand)
        return event_filter

    async def receive(self, fields: Sequence[ua.Variant]) -> None:
        """One event."""
        event: dict[str, Any] = {name: _bounded(name, field.Value) for name, field in zip(self._names, fields, strict=False)}
        kind = event.get("EventType")
        if kind in MODEL_CHANGES:
            changes = event.get("Changes")
            nodes = [one for one in changes or () if getattr(one, "Verb", 0) & _NODES]  # what lists tell beside them is of them
            if not changes or any(getattr(one, "AffectedType", None) not in self._passing for one in nodes or changes):
                self._model_changed()
            return
        if kind == conditions.REFRESH_STARTS:
            self.conditions.refresh_starts(event.get("Time"))
            return
        if kind == conditions.REFRESH_ENDS:
            self.conditions.refresh_ends()
            return
        if kind == conditions.REFRESH_REQUIRED:
            await self._refresh()
            return
        machine_id = await self._machine_of(event.get("SourceNode"), event.get("SourceName"))
        if machine_id is None:
            return
        code = next((str(plain(event[name])) for name in _CODES if event.get(name) is not None), "")
        self.conditions.take(machine_id, code, event)
        if not self._is_news(event) or self.conditions.is_repeated(event):
            return
        active = event.get("ActiveState/Id")
        severity = event.get("Severity")
        details = {name: value for name in self._names if name not in _NO_DETAILS and (value := plain(event.get(name))) is not None}
        self._handed(
            LinkAlarm(
                machine_id=machine_id,
                source_time_ns=nanoseconds(event["Time"]) if event.get("Time") is not None else time.time_ns(),
                severity=severity if isinstance(severity, int) else 0,
                code=code,
                text=str(plain(event.get("Message")) or ""),
                active=bool(active),
                details=details,
            )
        )

    def _is_news(self, event: Mapping[str, Any]) -> bool:
        """Whether an event says anything of the machine that was not said before."""
        name, branch = event.get("ConditionName"), event.get("BranchId")
        if isinstance(branch, ua.NodeId) and not branch.is_null():
            return False
        if name is None:
            return True
        key = (event.get("SourceNode"), name)
        said = (event.get("ActiveState/Id"), event.get("Severity"), plain(event.get("Message")))
        before = self._said.get(key)
        if before == said:
            return False
        if event.get("SuppressedOrShelved") and not (before is not None and before[0]):
            return False
        if len(self._said) > _MOST_CONDITIONS:
            self._said.clear()
        self._said[key] = said
        return True

    async def _machine_of(self, node: Any, name: Any) -> str | None:
        if isinstance(node, ua.NodeId):
            if node not in self._machines:
                if len(self._machines) > _MOST_CONDITIONS:
                    self._machines = dict(self._roots)
                self._machines[node] = await self._ancestor(node)
            if (found := self._machines[node]) is not None:
                return found
        if isinstance(name, str):
            for machine_id in self._machine_ids:
                if machine_id in name:
                    return machine_id
        server = ua.NodeId(ua.ObjectIds.Server)
        return self._machine_ids[0] if len(self._machine_ids) == 1 and node != server else None

    async def _ancestor(self, node: ua.NodeId) -> str | None:
        """The machine above a node, by inverse hierarchical references."""
        level, seen = [node], {node}
        for _ in range(_MAX_DEPTH):
            parameters = ua.BrowseParameters()
            parameters.RequestedMaxReferencesPerNode = 0
            for one in level[:50]:
                wanted = ua.BrowseDescription()
                wanted.NodeId = one
                wanted.BrowseDirection = ua.BrowseDirection.Inverse
                wanted.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
                wanted.IncludeSubtypes = True
                wanted.ResultMask = ua.BrowseResultMask.None_
                parameters.NodesToBrowse.append(wanted)
            try:
                results = await self._client.uaclient.browse(parameters)
            except ua.UaError:
                return None
            level = []
            for result in results:
                for reference in result.References or ():
                    parent = ua.NodeId(reference.NodeId.Identifier, reference.NodeId.NamespaceIndex)
                    if self._machines.get(parent) is not None:
                        return self._machines[parent]
                    if parent not in seen:
                        seen.add(parent)
                        level.append(parent)
            if not level:
                return None
        return None


def _bounded(name: str, value: Any) -> Any:
    """A field of an event as it may be kept: of a text that is too long its beginning, which says so; of anything else nothing."""
    if name == "Changes" or not is_beyond(value, MOST_TEXT):
        return value
    text = value.Text if isinstance(value, ua.LocalizedText) else value
    return f"{text[:MOST_TEXT]}... (cut: {len(text)} characters)" if isinstance(text, str) else None
