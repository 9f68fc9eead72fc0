"""An object for each session, below SessionsDiagnosticsSummary (OPC 10000-5, 6.3.4 and 6.3.5), made when somebody looks.

    SessionsDiagnosticsSummary
      <name of the session>                       ns=1;g=<id of the session>, as CreateSession tells it
        SessionDiagnostics                        ns=1;s=<id>/SessionDiagnostics
          ReadCount ...                           ns=1;s=<id>/SessionDiagnostics/ReadCount
        SessionSecurityDiagnostics ...
        SubscriptionDiagnosticsArray
          <number of the subscription> ...        ns=1;s=<id>/SubscriptionDiagnosticsArray/7
        CurrentRoleIds

The three arrays of the server refer to the same variables, as their types say (7.11 to 7.15). Administrators see all of them. A
session sees itself (OPC 10000-4, 6.6.3), but not SessionSecurityDiagnostics.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from asyncua.server.address_space import AttributeValue, NodeData

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import Core, Session
from opcua_server.engine.fits import Fits
from opcua_server.security.access import may_configure
from opcua_server.security.roles import roles_of

_A = ua.AttributeIds
_O = ua.ObjectIds
_V = ua.VariantType
OURS: Final = 1
"""Namespace of the server's own nodes, and of sessions' ids."""
_GUID: Final = 36
"""Characters of the id of a session."""
_SECURITY: Final = "SessionSecurityDiagnostics"
_SUBSCRIPTIONS: Final = "SubscriptionDiagnosticsArray"
_ROLES: Final = "CurrentRoleIds"
_HAS_COMPONENT, _HAS_PROPERTY, _HAS_TYPE = (ua.NodeId(number, 0) for number in (47, 46, 40))
_SUMMARY: Final = ua.NodeId(_O.Server_ServerDiagnostics_SessionsDiagnosticsSummary, 0)
_OBJECT_TYPE: Final = ua.NodeId(_O.SessionDiagnosticsObjectType, 0)
_ARRAYS: Final = {
    ua.NodeId(_O.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray, 0): "SessionDiagnostics",
    ua.NodeId(_O.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray, 0): _SECURITY,
    ua.NodeId(_O.Server_ServerDiagnostics_SubscriptionDiagnosticsArray, 0): _SUBSCRIPTIONS,
}
_VARIABLES: Final[dict[str, tuple[int, int]]] = {
    "SessionDiagnostics": (_O.SessionDiagnosticsVariableType, _O.SessionDiagnosticsDataType),
    _SECURITY: (_O.SessionSecurityDiagnosticsType, _O.SessionSecurityDiagnosticsDataType),
    _SUBSCRIPTIONS: (_O.SubscriptionDiagnosticsArrayType, _O.SubscriptionDiagnosticsDataType),
    _ROLES: (_O.PropertyType, _O.NodeId),
}
"""Of a session: its variables with their types and data types."""
_SUBSCRIPTION: Final = (_O.SubscriptionDiagnosticsType, _O.SubscriptionDiagnosticsDataType)
_UNKNOWN: Final = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))
Parts = tuple[str, ...]


class SessionNodes:
    """``is_enabled``: whether diagnostics are collected. ``of_session``, ``security`` and ``of_subscription`` work out the
    structures; ``security`` gives it as its fields and as what is encoded."""

    places: frozenset[Any] = frozenset({_SUMMARY, *_ARRAYS})

    def __init__(
        self,
        core: Core,
        is_enabled: Callable[[], bool],
        of_session: Callable[[Any], Any],
        security: Callable[[Any], tuple[Any, Any]],
        of_subscription: Callable[[Any, Any], Any],
    ) -> None:
        self._core = core
        self._is_enabled = is_enabled
        self._of_session = of_session
        self._security = security
        self._of_subscription = of_subscription
        self._fits = Fits(core.aspace, 0)
        self._fields = lru_cache(maxsize=None)(self._declared)

    # What is there -----------------------------------------------------------------------------------------------------

    def _sessions(self) -> list[Any]:
        return [one for one in self._core.sessions_by_id.values() if one.is_activated] if self._is_enabled() else []

    def _find(self, node_id: Any) -> tuple[Any, Parts]:
        """The session that a node is about, None where there is none, and the way from its object to the node."""
        if node_id.NamespaceIndex != OURS or not self._is_enabled():
            return None, ()
        name = node_id.Identifier
        parts: Parts = ()
        if isinstance(name, str):
            if len(name) <= _GUID or name[_GUID] != "/":
                return None, ()
            parts = tuple(name[_GUID + 1 :].split("/"))
            try:
                name = uuid.UUID(name[:_GUID])
            except ValueError:
                return None, ()
        session = self._core.sessions_by_id.get(name) if isinstance(name, uuid.UUID) else None
        return (session, parts) if session is not None and session.is_activated and self._has(session, parts) else (None, ())

    def _has(self, session: Any, parts: Parts) -> bool:
        if not parts:
            return True
        if parts[0] not in _VARIABLES or len(parts) > 3:
            return False
        if parts[0] != _SUBSCRIPTIONS:
            return len(parts) == 1 or (len(parts) == 2 and parts[1] in self._fields(_VARIABLES[parts[0]][0]))
        return len(parts) == 1 or (
            parts[1] in self._subscriptions(session) and (len(parts) == 2 or parts[2] in self._fields(_SUBSCRIPTION[0]))
        )

    def _subscriptions(self, session: Any) -> dict[str, Any]:
        hub = self._core.subscriptions
        desk = hub.desks.get(session) if hub is not None else None
        return {str(number): one for number, one in desk.subscriptions.items()} if desk is not None else {}

    def _declared(self, kind: int) -> dict[str, Any]:
        """Field -> its declaration at a variable type."""
        references = self._core.aspace[ua.NodeId(kind, 0)].references
        return {r.BrowseName.Name: r.NodeId for r in references if r.IsForward and r.ReferenceTypeId == _HAS_COMPONENT}

    # Nodes -------------------------------------------------------------------------------------------------------------

    def node(self, node_id: Any) -> Any:
        session, parts = self._find(node_id)
        if session is None:
            return None
        made = NodeData(node_id)
        attributes: dict[Any, tuple[Any, Any]] = {
            _A.NodeId: (node_id, _V.NodeId),
            _A.BrowseName: (ua.QualifiedName(parts[-1] if parts else session.name, 0 if parts else OURS), _V.QualifiedName),
            _A.DisplayName: (ua.LocalizedText(parts[-1] if parts else session.name, "en"), _V.LocalizedText),
            _A.NodeClass: (ua.NodeClass.Variable if parts else ua.NodeClass.Object, _V.Int32),
            _A.WriteMask: (0, _V.UInt32),
            _A.UserWriteMask: (0, _V.UInt32),
        }
        if not parts:
            attributes[_A.EventNotifier] = (0, _V.Byte)
        else:
            _, data_type, rank = self._shape(parts)
            attributes |= {
                _A.DataType: (data_type, _V.NodeId),
                _A.ValueRank: (rank, _V.Int32),
                _A.AccessLevel: (1, _V.Byte),
                _A.UserAccessLevel: (1, _V.Byte),
                _A.MinimumSamplingInterval: (0.0, _V.Double),
                _A.Historizing: (False, _V.Boolean),
            }
            if rank == 1:
                attributes[_A.ArrayDimensions] = ([0], _V.UInt32)
        for attribute, (value, kind) in attributes.items():
            made.attributes[attribute] = self._held(ua.DataValue(ua.Variant(value, kind, is_array=isinstance(value, list))))
        if parts:
            made.attributes[_A.Value] = self._live()
        made.references = self._references(session, parts)
        return made

    def _held(self, value: Any) -> AttributeValue:
        """What an attribute says while the node is there."""
        held = AttributeValue(value)
        held.value_callback = lambda node_id, _attribute: value if self._find(node_id)[0] is not None else _UNKNOWN
        return held

    def _live(self) -> AttributeValue:
        held = AttributeValue(None)
        held.value_callback = lambda node_id, _attribute: self._value(node_id)
        return held

    def _shape(self, parts: Parts) -> tuple[Any, Any, int]:
        """TypeDefinition, DataType and ValueRank."""
        if len(parts) == 1:
            kind, data_type = _VARIABLES[parts[0]]
            return ua.NodeId(kind, 0), ua.NodeId(data_type, 0), 1 if parts[0] in (_SUBSCRIPTIONS, _ROLES) else -1
        if parts[0] == _SUBSCRIPTIONS and len(parts) == 2:
            return ua.NodeId(_SUBSCRIPTION[0], 0), ua.NodeId(_SUBSCRIPTION[1], 0), -1
        kind = _SUBSCRIPTION[0] if parts[0] == _SUBSCRIPTIONS else _VARIABLES[parts[0]][0]
        declared = self._core.aspace[self._fields(kind)[parts[-1]]].attributes
        data_type, rank = (declared[one].value.Value.Value for one in (_A.DataType, _A.ValueRank))
        return ua.NodeId(_O.BaseDataVariableType, 0), data_type, int(rank)

    def _value(self, node_id: Any) -> Any:
        session, parts = self._find(node_id)
        if session is None:
            return _UNKNOWN
        _, data_type, rank = self._shape(parts)
        value, (kind, *_) = self._content(session, parts), self._fits.kinds_of(data_type)
        if value is None:  # nobody has said it
            value = b"" if kind is _V.ByteString else ""
        now = datetime.now(UTC)
        return ua.DataValue(ua.Variant(value, kind, is_array=rank == 1), SourceTimestamp=now, ServerTimestamp=now)

    def _content(self, session: Any, parts: Parts) -> Any:
        if parts[0] == _ROLES:
            return roles_of(session.user, session.role)
        if parts[0] == _SUBSCRIPTIONS:
            found = self._subscriptions(session)
            if len(parts) == 1:
                return [self._of_subscription(session, one) for one in found.values()]
            whole = self._of_subscription(session, found[parts[1]])
            return whole if len(parts) == 2 else getattr(whole, parts[2])
        if parts[0] == _SECURITY:
            fields, encoded = self._security(session)
            return encoded if len(parts) == 1 else getattr(fields, parts[1])
        whole = self._of_session(session)
        return whole if len(parts) == 1 else getattr(whole, parts[1])

    # References --------------------------------------------------------------------------------------------------------

    def _references(self, session: Any, parts: Parts) -> list[Any]:
        type_definition = self._shape(parts)[0] if parts else _OBJECT_TYPE
        found = [self._static(_HAS_TYPE, type_definition, True)]
        if not parts:
            found.append(self._static(_HAS_COMPONENT, _SUMMARY, False))
            found += [self._to(session, (name,)) for name in _VARIABLES]
            return found
        kind = _HAS_PROPERTY if parts == (_ROLES,) else _HAS_COMPONENT
        found.append(self._to(session, parts[:-1], kind, is_forward=False))
        if parts[0] == _SUBSCRIPTIONS:
            if len(parts) == 1:
                return found + [self._to(session, (*parts, name)) for name in self._subscriptions(session)]
            if len(parts) == 2:
                found += [self._static(_HAS_COMPONENT, array, False) for array, name in _ARRAYS.items() if name == _SUBSCRIPTIONS]
                found += [self._to(session, (*parts, name)) for name in self._fields(_SUBSCRIPTION[0])]
        elif len(parts) == 1 and parts != (_ROLES,):
            found += [self._static(_HAS_COMPONENT, array, False) for array, name in _ARRAYS.items() if name == parts[0]]
            found += [self._to(session, (*parts, name)) for name in self._fields(_VARIABLES[parts[0]][0])]
        return found

    def _to(self, session: Any, parts: Parts, kind: Any = None, *, is_forward: bool = True) -> Any:
        """A reference to a node of a session."""
        node_id = ua.NodeId("/".join((str(session.session_id.Identifier), *parts)), OURS) if parts else session.session_id
        name = parts[-1] if parts else session.name
        return ua.ReferenceDescription(
            kind or (_HAS_PROPERTY if parts == (_ROLES,) else _HAS_COMPONENT),
            is_forward,
            node_id,
            ua.QualifiedName(name, 0 if parts else OURS),
            ua.LocalizedText(name, "en"),
            ua.NodeClass.Variable if parts else ua.NodeClass.Object,
            self._shape(parts)[0] if parts else _OBJECT_TYPE,
        )

    def _static(self, kind: Any, target: Any, is_forward: bool) -> Any:
        attributes = self._core.aspace[target].attributes
        name, text, node_class = (attributes[one].value.Value.Value for one in (_A.BrowseName, _A.DisplayName, _A.NodeClass))
        type_definition = next(
            (r.NodeId for r in self._core.aspace[target].references if r.IsForward and r.ReferenceTypeId == _HAS_TYPE), ua.NodeId()
        )
        return ua.ReferenceDescription(kind, is_forward, target, name, text, ua.NodeClass(node_class), type_definition)

    def more(self, node_id: Any, session: Session | None) -> Sequence[Any]:
        shown = [one for one in self._sessions() if may_see(one, (), session)]
        if node_id == _SUMMARY:
            return [self._to(one, ()) for one in shown]
        name = _ARRAYS[node_id]
        if session is None or not may_configure(session.role):
            return []
        if name != _SUBSCRIPTIONS:
            return [self._to(one, (name,)) for one in shown]
        return [self._to(one, (name, number)) for one in shown for number in self._subscriptions(one)]

    def hides(self, node_id: Any, session: Session | None) -> bool:
        owner, parts = self._find(node_id)
        return owner is not None and not may_see(owner, parts, session)


def may_see(owner: Session, parts: Parts, session: Session | None) -> bool:
    """Whether a session may see a node of ``owner``."""
    if session is None:
        return False
    return may_configure(session.role) or (session is owner and parts[:1] != (_SECURITY,))
