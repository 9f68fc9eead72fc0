"""Instances of condition types in the address space of a machine, and what they show.

Methods are not copied: an instance refers to the method nodes of its type (OPC 10000-3, 6.3.3.1 lets instances share them), which
is a third of the nodes a condition would have. A client that looks below the condition finds the same MethodIds that one
finds who goes by the type (OPC 10000-9, 5.7.3).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import utc
from nodesets.paths import qname
from opcua_server.alarms.fields import Rows

if TYPE_CHECKING:
    from opcua_server.space.instances import Builder, Wanted

_A: Final = ua.AttributeIds
_V: Final = ua.VariantType
HAS_CONDITION: Final = ua.NodeId(ua.ObjectIds.HasCondition, 0)
HAS_COMPONENT: Final = ua.NodeId(ua.ObjectIds.HasComponent, 0)
UNSHELVE_TIME: Final = "ShelvingState/UnshelveTime"
_PREFIXES: Final = {"ErrorCode": "MT"}
"""Browse names that are not in namespace 0."""
_NULL: Final = {_V.LocalizedText: ua.LocalizedText(None, None), _V.NodeId: ua.NodeId()}
"""How a state that is not there reads: the null of its type, never a value without one (OPC 10000-9, 5.8.19.3)."""
_SHELVING: Final = (
    "0:MaxTimeShelved", "0:ShelvingState", *(f"0:ShelvingState/0:{name}2" for name in ("TimedShelve", "OneShotShelve", "Unshelve")),
)  # fmt: skip
_PUT_ASIDE: Final = tuple(
    f"0:{name}{with_comment}"
    for name in ("Suppress", "Unsuppress", "RemoveFromService", "PlaceInService")
    for with_comment in ("", "2")
)
COMMON: Final = (
    "0:ConfirmedState", "0:Confirm", "0:ActiveState/0:TransitionTime", "0:ActiveState/0:EffectiveDisplayName", *_SHELVING,
    "0:SuppressedState", "0:OutOfServiceState", *_PUT_ASIDE, "0:GetGroupMemberships",
)  # fmt: skip
"""Optional members that all conditions here have."""
LATCHING: Final = ("0:LatchedState", "0:Reset", "0:Reset2")
"""And those of an alarm that latches."""


class ConditionNodes:
    """The nodes of one condition."""

    def __init__(self, node_id: ua.NodeId, shelving: ua.NodeId | None, held: dict[str, AttributeValue]) -> None:
        """``shelving``: None for what cannot be shelved."""
        self.node_id = node_id
        self.shelving = shelving
        self._held = held

    @classmethod
    def make(
        cls, builder: Builder, parent: ua.NodeId, name: str, type_id: ua.NodeId, source: ua.NodeId, want: Wanted, rows: Rows,
        about: str = "",
    ) -> ConditionNodes:  # fmt: skip
        """An instance below ``parent``, whose source refers to it; it shows ``rows``. ``about``: what it is an alarm of."""
        builder.shares_methods = True
        try:
            node_id = builder.instance(parent, HAS_COMPONENT, ua.QualifiedName(name, builder.namespace), type_id, want)
        finally:
            builder.shares_methods = False
        builder.references.add(source, HAS_CONDITION, node_id)
        if about:
            builder.describe(node_id, about)
        held: dict[str, AttributeValue] = {}
        for path in rows:
            try:
                held[path] = builder.value(builder.at(node_id, _qualified(path)))
            except KeyError:
                continue  # an event field without a node, such as the time of a confirmation
        return cls(node_id, builder.child(node_id, qname("0:ShelvingState")), held)

    def count_down(self, remaining_ms: Callable[[], float]) -> None:
        """UnshelveTime is what remains whenever somebody asks."""

        def now(_node: Any, _attribute: Any) -> ua.DataValue:
            moment = datetime.now(UTC)
            return ua.DataValue(ua.Variant(remaining_ms(), _V.Double), SourceTimestamp=moment, ServerTimestamp=moment)

        self._held[UNSHELVE_TIME].value_callback = now

    def show(self, rows: Rows, told_ns: int, *, is_enabled: bool) -> None:
        """Show the present state; nodes whose value stays the same are not touched."""
        moment, server_time = utc(told_ns), datetime.now(UTC)
        for path, held in self._held.items():
            if path == UNSHELVE_TIME:
                continue
            value, kind = rows[path]
            bad = value is None and not is_enabled
            if value is None and not bad:
                value = _NULL[kind]
            before = held.value
            if before is not None and before.Value.Value == value and before.StatusCode.is_bad() is bad:
                continue
            held.value = ua.DataValue(
                ua.Variant() if bad else ua.Variant(value, kind, is_array=isinstance(value, list)),
                ua.StatusCode(ua.StatusCodes.BadConditionDisabled if bad else 0),
                moment,
                server_time,
            )


@functools.cache
def _qualified(path: str) -> str:
    return "/".join(f"{_PREFIXES.get(part, '0')}:{part}" for part in path.split("/"))


def _of(type_name: str, *names: str) -> dict[str, tuple[int, ...]]:
    return {name: (getattr(ua.ObjectIds, f"{type_name}_{name}"),) for name in names}


def _of_shelves(*names: str) -> dict[str, tuple[int, ...]]:
    """At the type of the state machine, and at the state machine that the type of alarms declares."""
    types = ("ShelvedStateMachineType", "AlarmConditionType_ShelvingState")
    return {name: tuple(getattr(ua.ObjectIds, f"{where}_{name}") for where in types) for name in names}


RESPOND: Final = {name: getattr(ua.ObjectIds, f"DialogConditionType_{name}") for name in ("Respond", "Respond2")}
"""Methods of dialogs -> their nodes at the type."""
METHODS: Final[dict[str, tuple[int, ...]]] = {
    "Enable": (ua.ObjectIds.ConditionType_Enable,),
    "Disable": (ua.ObjectIds.ConditionType_Disable,),
    "AddComment": (ua.ObjectIds.ConditionType_AddComment,),
    "Acknowledge": (ua.ObjectIds.AcknowledgeableConditionType_Acknowledge,),
    "Confirm": (ua.ObjectIds.AcknowledgeableConditionType_Confirm,),
    **_of_shelves("TimedShelve", "OneShotShelve", "Unshelve"),
    **_of("ShelvedStateMachineType", "TimedShelve2", "OneShotShelve2", "Unshelve2"),
    **_of("AlarmConditionType", "Suppress", "Unsuppress", "RemoveFromService", "PlaceInService"),
    **_of("AlarmConditionType", "Reset", "Reset2"),
    **_of("AlarmConditionType", "Suppress2", "Unsuppress2", "RemoveFromService2", "PlaceInService2"),
}
"""Methods of conditions -> their nodes at the types: those that clients name, and those that instances share."""
