"""What clients do with conditions: Enable, AddComment, Acknowledge, shelve, suppress ... (OPC 10000-9, 5.5 to 5.8).

A call names the condition (or its ShelvingState) as object and, as method, the node at the type, which is also what an instance
has. Operators may call; what they say is kept with their name, and told to administrators as an audit event of the method's own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.alarms.branch import Branch, Comment, Refused
from opcua_server.alarms.condition import Condition
from opcua_server.alarms.dialog import Dialog
from opcua_server.alarms.nodes import METHODS, RESPOND
from opcua_server.alarms.refresh import Refresh
from opcua_server.alarms.registry import Held, Registry
from opcua_server.engine.contract import Core, Request, Service, ServiceFault
from opcua_server.security.audit import Fields
from opcua_server.sources.source import CommandRefused

_C: Final = ua.StatusCodes
_O: Final = ua.ObjectIds
_V: Final = ua.VariantType
_log = logging.getLogger("opcua_server.audit")
Act = Callable[[Condition, list[Any], str, int], list[Branch]]
"""(condition, values of the arguments, user, now) -> branches to tell."""


def _comment(given: Any) -> Comment:
    return Comment(given.Text, given.Locale) if given is not None else Comment(None)


_PLAIN: Final[dict[str, Act]] = {
    "TimedShelve": lambda condition, given, _user, now: condition.timed_shelve(given[0], now),
    "OneShotShelve": lambda condition, _given, _user, now: condition.one_shot_shelve(now),
    "Unshelve": lambda condition, _given, _user, now: condition.unshelve(now),
    "Suppress": lambda condition, _given, _user, now: condition.suppress(True, now),
    "Unsuppress": lambda condition, _given, _user, now: condition.suppress(False, now),
    "RemoveFromService": lambda condition, _given, _user, now: condition.take_out(True, now),
    "PlaceInService": lambda condition, _given, _user, now: condition.take_out(False, now),
    "Reset": lambda condition, _given, _user, now: condition.reset(now),
}
"""Those that have a twin with a comment behind the other arguments: TimedShelve2 ..."""


def _commented(act: Act) -> Act:
    return lambda condition, given, user, now: condition.remark(
        lambda: act(condition, given, user, now), _comment(given[-1]), user, now
    )


_ACTS: Final[dict[str, Act]] = {
    "Enable": lambda condition, _given, _user, now: condition.enable(now),
    "Disable": lambda condition, _given, _user, now: condition.disable(now),
    "AddComment": lambda condition, given, user, now: condition.add_comment(given[0] or b"", _comment(given[1]), user, now),
    "Acknowledge": lambda condition, given, user, now: condition.acknowledge(given[0] or b"", _comment(given[1]), user, now),
    "Confirm": lambda condition, given, user, now: condition.confirm(given[0] or b"", _comment(given[1]), user, now),
    **_PLAIN,
    **{f"{name}2": _commented(act) for name, act in _PLAIN.items()},
}
_AUDIT_TYPES: Final = {
    "Enable": _O.AuditConditionEnableEventType,
    "Disable": _O.AuditConditionEnableEventType,
    "AddComment": _O.AuditConditionCommentEventType,
    "Acknowledge": _O.AuditConditionAcknowledgeEventType,
    "Confirm": _O.AuditConditionConfirmEventType,
    "TimedShelve": _O.AuditConditionShelvingEventType,
    "OneShotShelve": _O.AuditConditionShelvingEventType,
    "Unshelve": _O.AuditConditionShelvingEventType,
    "Suppress": _O.AuditConditionSuppressionEventType,
    "Unsuppress": _O.AuditConditionSuppressionEventType,
    "RemoveFromService": _O.AuditConditionOutOfServiceEventType,
    "PlaceInService": _O.AuditConditionOutOfServiceEventType,
    "Reset": _O.AuditConditionResetEventType,
}
"""A method with a comment is told as its plain twin is."""


@dataclass(frozen=True, slots=True)
class ConditionMethod:
    """Carries out one method for whichever condition a call names."""

    name: str
    core: Core
    registry: Registry
    wall_ns: Callable[[], int] = time.time_ns

    def check_object(self, object_id: Any) -> None:
        """Raise ServiceFault when a call names no condition."""
        if object_id in self.registry.by_id:
            return
        node = self.core.aspace.get(object_id)
        if node is None:
            raise ServiceFault(_C.BadNodeIdUnknown)
        is_type = int(node.attributes[ua.AttributeIds.NodeClass].value.Value.Value) == int(ua.NodeClass.ObjectType)
        raise ServiceFault(_C.BadNodeIdInvalid if is_type else _C.BadMethodInvalid)

    async def __call__(self, request: Request, object_id: Any, given: list[Any]) -> Any:
        held: Held = self.registry.by_id[object_id]
        if self.name in ("Reset", "Reset2") and not held.condition.latches:
            raise ServiceFault(_C.BadMethodInvalid, "It never latches")
        if isinstance(held.condition, Dialog) and self.name not in ("Enable", "Disable", "AddComment"):
            raise ServiceFault(_C.BadMethodInvalid)
        user = (request.session.user if request.session is not None else None) or "anonymous"
        try:
            branches = _ACTS[self.name](held.condition, [one.Value for one in given], user, self.wall_ns())
        except Refused as refused:
            raise ServiceFault(getattr(_C, refused.status), refused.text) from None
        if branches:  # what was so already is told to nobody
            held.tell(held, branches)
            await held.flush()
        return ua.CallMethodResult(ua.StatusCode(0), [], [], [])

    def audit(self, request: Request, object_id: Any, method_id: Any, given: list[Any], status: int, reason: str) -> None:
        """Tell administrators who did it, or tried to, and why not."""
        held = self.registry.by_id.get(object_id)
        values = [one.Value for one in given]
        fields: Fields = {}
        if self.name in ("AddComment", "Acknowledge", "Confirm") and len(values) == 2:
            event_id, comment = values
            if isinstance(event_id, bytes) and isinstance(comment, ua.LocalizedText):
                fields["ConditionEventId"] = (event_id[:64], _V.ByteString)
                fields["Comment"] = (ua.LocalizedText((comment.Text or "")[:1000], (comment.Locale or "")[:64]), _V.LocalizedText)
        elif self.name in ("TimedShelve", "TimedShelve2") and values and isinstance(values[0], float):
            fields["ShelvingTime"] = (values[0], _V.Double)
        source = held.face.node_id if held is not None else object_id
        user = request.session.user if request.session is not None else None
        _log.info(
            "%s on %s by %s from %s: %s",
            self.name,
            source.to_string(),
            user or "anonymous",
            request.peer,
            ua.StatusCode(status).name,
        )
        kind = _AUDIT_TYPES[self.name.removesuffix("2")]
        self.core.audit.did(kind, self.name, request, source, method_id, given, status, fields, reason)


@dataclass(frozen=True, slots=True)
class Respond:
    """Respond and Respond2 (5.6.3, 5.6.4): an operator answers what the machine asks."""

    name: str
    core: Core
    registry: Registry
    wall_ns: Callable[[], int] = time.time_ns

    def check_object(self, object_id: Any) -> None:
        """Raise ServiceFault when a call names no condition."""
        if object_id not in self.registry.by_id:
            raise ServiceFault(_C.BadNodeIdInvalid if object_id in self.core.aspace else _C.BadNodeIdUnknown)

    async def __call__(self, request: Request, object_id: Any, given: list[Any]) -> Any:
        held: Held = self.registry.by_id[object_id]
        dialog = held.condition
        if not isinstance(dialog, Dialog):
            raise ServiceFault(_C.BadMethodInvalid)
        user = (request.session.user if request.session is not None else None) or "anonymous"
        comment = _comment(given[1].Value) if len(given) > 1 else None
        try:
            branches = await dialog.respond(int(given[0].Value), comment, user, self.wall_ns())
        except Refused as refused:
            raise ServiceFault(getattr(_C, refused.status), refused.text) from None
        except CommandRefused as refused:
            raise ServiceFault(_C.BadInvalidState, str(refused)) from None
        held.tell(held, branches)
        await held.flush()
        return ua.CallMethodResult(ua.StatusCode(0), [], [], [])

    def audit(self, request: Request, object_id: Any, method_id: Any, given: list[Any], status: int, reason: str) -> None:
        """Tell administrators who answered, or tried to, and why not."""
        choice = given[0].Value if given else None
        fields: Fields = {"SelectedResponse": (choice, _V.Int32)} if isinstance(choice, int) and abs(choice) < 1 << 31 else {}
        kind = _O.AuditConditionRespondEventType
        self.core.audit.did(kind, self.name, request, object_id, method_id, given, status, fields, reason)


@dataclass(frozen=True, slots=True)
class GroupMemberships:
    """GetGroupMemberships (5.8.16): the groups of an alarm. Whoever may see it may ask."""

    registry: Registry

    async def __call__(self, _request: Request, object_id: Any, _given: list[Any]) -> Any:
        held = self.registry.by_id.get(object_id)
        if held is None:
            raise ServiceFault(_C.BadNodeIdInvalid)
        groups = ua.Variant(list(held.groups), _V.NodeId, is_array=True)
        return ua.CallMethodResult(ua.StatusCode(0), [], [], [groups])


def services(core: Core) -> list[Service]:
    """The room of alarms: no services of its own, methods only."""
    registry: Registry = core.server.conditions
    for name, numbers in METHODS.items():
        method = ConditionMethod(name, core, registry)
        for number in numbers:
            core.methods[ua.NodeId(number, 0)] = method
    for name, number in RESPOND.items():
        core.methods[ua.NodeId(number, 0)] = Respond(name, core, registry)
    core.methods.update(Refresh(core, registry).methods())
    core.methods[ua.NodeId(_O.AlarmConditionType_GetGroupMemberships, 0)] = GroupMemberships(registry)
    return []


def operator_methods() -> set[Any]:
    """The methods that change a condition, by their nodes at the types."""
    return {ua.NodeId(number, 0) for numbers in (*METHODS.values(), RESPOND.values()) for number in numbers}
