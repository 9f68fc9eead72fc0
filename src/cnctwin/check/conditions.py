"""Alarms, where a server has them (OPC 10000-9). Nothing of them is changed: what is tried names what is not there."""

from __future__ import annotations

from typing import Any, Final

from cnctwin.check.caller import Caller, monitored, ua
from cnctwin.check.check import NotOffered, check, expect, status_is
from cnctwin.check.services import SERVER
from cnctwin.check.space import crawl
from cnctwin.check.subscriptions import subscribed

CONDITION_TYPE: Final = ua.NodeId(2782)
REFRESH: Final = ua.NodeId(3875)
REFRESH2: Final = ua.NodeId(12912)
ACKNOWLEDGE, CONFIRM, ADD_COMMENT = (ua.NodeId(number) for number in (9111, 9113, 9029))
HAS_CONDITION: Final = 9006
_MANDATORY: Final = frozenset(
    {"EventId", "Retain", "EnabledState", "Quality", "LastSeverity", "Comment", "ClientUserId", "AddComment"}
)
_CHANGED_BY: Final = {
    "AckedState": ("Acknowledge",), "ConfirmedState": ("Confirm",), "SuppressedState": ("Suppress", "Unsuppress"),
    "OutOfServiceState": ("RemoveFromService", "PlaceInService"),
}  # fmt: skip
"""A state that clients may change, and the methods without which they cannot; AckedState only where a condition has one."""
_NO_METHOD: Final = ("BadMethodInvalid", "BadNotImplemented", "BadNodeIdUnknown", "BadServiceUnsupported", "BadNotSupported")
_UNKNOWN: Final = ua.Variant(4_000_000_000, ua.VariantType.UInt32)
_STARTS, _ENDS = ua.NodeId(2787), ua.NodeId(2788)
MOST_TRIED: Final = 10
_OBJECT: Final = 1


def _filter() -> Any:
    """EventType, Retain and ConditionId (the NodeId attribute of a condition)."""
    names = [("EventType", ua.NodeId(2041)), ("Retain", CONDITION_TYPE)]
    fields = [ua.SimpleAttributeOperand(kind, [ua.QualifiedName(name, 0)], 13) for name, kind in names]
    return ua.EventFilter([*fields, ua.SimpleAttributeOperand(CONDITION_TYPE, [], 1)])


@check("Alarms", "ConditionRefresh brings what is retained, between its two marks", "10000-9 5.5.7")
async def refresh(server: Caller) -> str:
    async with subscribed(server) as made:
        (item,) = await server.monitor(made, monitored(SERVER, attribute=12, queue=1000, wanted=_filter()))
        status_is(item.StatusCode, "Good")
        status = await _called(server, CONDITION_TYPE, REFRESH, ua.Variant(made.SubscriptionId, ua.VariantType.UInt32))
        _offered(status, "ConditionRefresh")
        expect(status.name == "Good", f"ConditionRefresh answers {status.name}")
        kinds: list[Any] = []
        while _ENDS not in kinds:
            for data in (await server.publish()).NotificationMessage.NotificationData or []:
                for event in getattr(data, "Events", None) or []:
                    kind, retain, condition = (field.Value for field in event.EventFields)
                    kinds.append(kind)
                    if _STARTS in kinds and kind not in (_STARTS, _ENDS):
                        expect(retain is True, f"{condition} came without Retain")
                        expect(condition is not None and not condition.is_null(), "a condition without ConditionId")
        expect(kinds.count(_STARTS) == 1, f"{kinds.count(_STARTS)} RefreshStartEvents")
        return f"{len(kinds) - 2} retained conditions"


@check("Alarms", "a refresh of a subscription or item that is not there is refused", "10000-9 5.5.7, 5.5.8")
async def refresh_of_nothing(server: Caller) -> str:
    async with subscribed(server) as made:
        whole = await _called(server, CONDITION_TYPE, REFRESH, _UNKNOWN)
        _offered(whole, "ConditionRefresh")
        status_is(whole, "BadSubscriptionIdInvalid")
        one = await _called(server, CONDITION_TYPE, REFRESH2, ua.Variant(made.SubscriptionId, ua.VariantType.UInt32), _UNKNOWN)
        if one.name not in _NO_METHOD:
            status_is(one, "BadMonitoredItemIdInvalid")
        return f"{whole.name}, {one.name}"


@check("Alarms", "what no event told of cannot be acknowledged", "10000-9 5.7.3")
async def unknown_event(server: Caller) -> str:
    conditions = await _instances(server)
    said = [ua.Variant(b"cnctwin check-server", ua.VariantType.ByteString), ua.Variant(ua.LocalizedText("check", "en"))]
    for method in (ACKNOWLEDGE, CONFIRM, ADD_COMMENT):
        status = await _called(server, conditions[0], method, *said)
        if method != CONFIRM or status.name not in _NO_METHOD:  # Confirm is optional
            status_is(status, "BadEventIdUnknown", "BadUserAccessDenied", "BadConditionDisabled")
    of_type = await _called(server, ua.NodeId(2881), ACKNOWLEDGE, *said)
    status_is(of_type, "BadNodeIdInvalid", "BadUserAccessDenied", "BadMethodInvalid")
    return f"{len(conditions)} conditions in the address space"


@check("Alarms", "a condition has its states, and the methods that change them", "10000-9 5.5.2, 5.7.2, 5.8.2")
async def states(server: Caller) -> str:
    conditions = await _instances(server)
    found = 0
    for condition, children in zip(conditions, await server.references(conditions[:MOST_TRIED]), strict=False):
        names = {one.BrowseName.Name for one in children}
        missing = sorted(_MANDATORY - names)
        expect(not missing, f"{condition.to_string()} has no {', '.join(missing)}")
        for state, methods in _CHANGED_BY.items():
            if state in names:
                found += 1
                without = [name for name in methods if name not in names]
                expect(not without, f"{condition.to_string()} has {state} and no {', '.join(without)}")
    return f"{min(len(conditions), MOST_TRIED)} conditions, {found} optional states"


def _offered(status: Any, name: str) -> None:
    if status.name in _NO_METHOD:
        raise NotOffered(f"{name} answers {status.name}")


async def _called(server: Caller, object_id: Any, method: Any, *arguments: Any) -> Any:
    call = ua.CallMethodRequest(object_id, method, list(arguments))
    return (await server.results("Call", MethodsToCall=[call]))[0].StatusCode


async def _instances(server: Caller) -> list[Any]:
    """Conditions in the address space: what a source refers to by HasCondition."""
    seen = await crawl(server)
    objects = [node for node, kind in seen.classes.items() if kind == _OBJECT]
    found: dict[Any, None] = {}
    for start in range(0, len(objects), 200):
        for references in await server.references(objects[start : start + 200], reference=HAS_CONDITION):
            found |= {one.NodeId: None for one in references if int(one.NodeClass) == _OBJECT}
    if not found:
        raise NotOffered("no condition in the address space")
    return list(found)
