"""ServerDiagnostics (OPC 10000-5, 6.3.3 to 6.3.5 and 12.9 to 12.16): worked out when it is read.

The summary is for everybody; what tells of others (sessions, their users and certificates, subscriptions) is for administrators.

EnabledFlag is theirs to write. While it is false the variables answer BadNotReadable, and objects of sessions are not there. Set to
true it begins to count anew, also when it was; so what would have been counted meanwhile is never seen.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncua.server.address_space import AttributeValue

from cnctwin.wire import encode
from cnctwin.wire.scalars import ua
from nodesets.sharing import FixedValue
from opcua_server.engine.contract import Core, Service
from opcua_server.engine.discovery import BINARY
from opcua_server.engine.policies import NONE
from opcua_server.engine.session_nodes import SessionNodes
from opcua_server.engine.sessions import OpenSession
from opcua_server.engine.subscriptions.regular import PUBLISH_REQUEST
from opcua_server.engine.tally import Tally
from opcua_server.engine.values import failed

_O = ua.ObjectIds
_V = ua.VariantType
_PREFIX: Final = "Server_ServerDiagnostics_"
_SUMMARY: Final = _PREFIX + "ServerDiagnosticsSummary"
_SESSIONS: Final = _PREFIX + "SessionsDiagnosticsSummary_"
_SECURITY_ENCODING: Final = ua.NodeId(_O.SessionSecurityDiagnosticsDataType_Encoding_DefaultBinary, 0)
_MODES: Final = {"None": 1, "Sign": 2, "SignAndEncrypt": 3}
_COUNTED: Final = [
    name.removesuffix("Count") for name in ua.SessionDiagnosticsDataType.__dataclass_fields__ if name.endswith("Count")
]
_REQUESTS: Final = {
    name: int(getattr(_O, f"{name}Request_Encoding_DefaultBinary"))
    for name in _COUNTED
    if hasattr(_O, f"{name}Request_Encoding_DefaultBinary")
}
"""Services that have a counter -> request type."""


@dataclass
class SessionSecurity:
    """SessionSecurityDiagnosticsDataType (12.12). asyncua's class takes the text ``Encoding`` for the mask of optional fields."""

    SessionId: ua.NodeId
    ClientUserIdOfSession: ua.String
    ClientUserIdHistory: list[ua.String]
    AuthenticationMechanism: ua.String
    Encoding: ua.String
    TransportProtocol: ua.String
    SecurityMode: ua.MessageSecurityMode
    SecurityPolicyUri: ua.String
    ClientCertificate: ua.ByteString


class Diagnostics:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._enabled: Any = None
        """Slot of EnabledFlag."""
        self._before = Tally()
        self._sessions_before = self._subscriptions_before = 0
        """What was counted when counting last began anew, and how many of them were still there."""

    @property
    def is_enabled(self) -> bool:
        return self._enabled is None or bool(self._enabled.value.Value.Value)

    def show(self) -> None:
        """Let the nodes of the address space answer with what is the case."""
        for field in ua.ServerDiagnosticsSummaryDataType.__dataclass_fields__:
            self._live(f"{_SUMMARY}_{field}", lambda field=field: getattr(self.summary(), field), _V.UInt32)
        self._live(_SUMMARY, self.summary, _V.ExtensionObject)
        self._show_switch()
        for name, make in (
            (_SESSIONS + "SessionDiagnosticsArray", self.sessions),
            (_SESSIONS + "SessionSecurityDiagnosticsArray", self.security),
            (_PREFIX + "SubscriptionDiagnosticsArray", self.subscriptions),
            (_PREFIX + "SamplingIntervalDiagnosticsArray", self.sampling),
        ):
            self._live(name, make, _V.ExtensionObject, is_array=True)
            self._core.rights.private.add(ua.NodeId(getattr(_O, name), 0))
        self._core.values.passing = SessionNodes(
            self._core, lambda: self.is_enabled, self._session, self._security_of, self._subscription
        )

    def _show_switch(self) -> None:
        node_id = ua.NodeId(getattr(_O, _PREFIX + "EnabledFlag"), 0)
        node = self._core.aspace.get(node_id)
        if node is None:
            return
        now = datetime.now(UTC)
        node.attributes[ua.AttributeIds.Value] = AttributeValue(
            ua.DataValue(ua.Variant(True, _V.Boolean), SourceTimestamp=now, ServerTimestamp=now)
        )
        level = FixedValue(ua.DataValue(ua.Variant(3, _V.Byte)))
        for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
            node.attributes[attribute] = level
        self._core.rights.switches.add(node_id)
        self._enabled = self._core.values.slot(node_id)
        self._enabled.watch(lambda _slot: self._begin_anew() if self.is_enabled else None)

    def _begin_anew(self) -> None:
        self._before = copy(self._core.tally)
        self._sessions_before = len(self._activated())
        for session in self._core.sessions.values():
            if isinstance(session, OpenSession):
                session.requests.clear()
                session.refusals.clear()
                session.unauthorized = session.regular = 0
        if self._hub is not None:
            self._subscriptions_before = self._hub.made - len(self._hub.subscriptions)
            for one in self._hub.subscriptions.values():
                one.count_anew()

    def _live(self, name: str, make: Callable[[], Any], kind: Any, *, is_array: bool = False) -> None:
        node = self._core.aspace.get(ua.NodeId(getattr(_O, name), 0))
        if node is None:
            return

        def value(_node_id: Any, _attribute: Any) -> Any:
            if not self.is_enabled:
                return failed(ua.StatusCodes.BadNotReadable)
            now = datetime.now(UTC)
            return ua.DataValue(ua.Variant(make(), kind, is_array=is_array), SourceTimestamp=now, ServerTimestamp=now)

        node.attributes[ua.AttributeIds.Value].value_callback = value

    def _activated(self) -> list[OpenSession]:
        return [one for one in self._core.sessions.values() if isinstance(one, OpenSession) and one.is_activated]

    @property
    def _hub(self) -> Any:
        return self._core.subscriptions

    def summary(self) -> Any:
        tally, hub, before = self._core.tally, self._hub, self._before
        made = ua.ServerDiagnosticsSummaryDataType()
        made.CurrentSessionCount = len(self._activated())
        made.CumulatedSessionCount = tally.sessions - before.sessions + self._sessions_before
        made.SecurityRejectedSessionCount = tally.security_rejected_sessions - before.security_rejected_sessions
        made.RejectedSessionCount = tally.rejected_sessions - before.rejected_sessions
        made.SessionTimeoutCount = tally.timed_out_sessions - before.timed_out_sessions
        made.SessionAbortCount = tally.aborted_sessions - before.aborted_sessions
        made.SecurityRejectedRequestsCount = tally.security_rejected_requests - before.security_rejected_requests
        made.RejectedRequestsCount = tally.rejected_requests - before.rejected_requests
        if hub is not None:
            made.CurrentSubscriptionCount = len(hub.subscriptions)
            made.CumulatedSubscriptionCount = hub.made - self._subscriptions_before
            made.PublishingIntervalCount = len({one.terms.interval_ms for one in hub.subscriptions.values()})
        return made

    def sessions(self) -> list[Any]:
        return [self._session(one) for one in self._activated()]

    def _session(self, session: OpenSession) -> Any:
        made = ua.SessionDiagnosticsDataType()
        made.SessionId, made.SessionName = session.session_id, session.name
        made.ClientDescription = ua.ApplicationDescription(
            session.client_uri, ApplicationType=ua.ApplicationType.Client, ApplicationName=ua.LocalizedText(session.client_name)
        )
        made.ServerUri = ""  # clients say it where there is a gateway between
        made.EndpointUrl, made.LocaleIds = session.endpoint_url, list(session.locale_ids)
        made.ActualSessionTimeout = session.timeout_ms
        made.MaxResponseMessageSize = session.max_response_size
        made.ClientConnectionTime = session.created
        made.ClientLastContactTime = datetime.now(UTC) - timedelta(seconds=self._core.clock() - session.last_s)
        desk = self._hub.desks.get(session) if self._hub is not None else None
        if desk is not None:
            made.CurrentSubscriptionsCount = len(desk.subscriptions)
            made.CurrentMonitoredItemsCount = desk.item_count()
            made.CurrentPublishRequestsInQueue = len(desk.requests)
        asked = {**session.requests, PUBLISH_REQUEST: session.requests.get(PUBLISH_REQUEST, 0) + session.regular}
        made.TotalRequestCount = _counter(sum(asked.values()), sum(session.refusals.values()))
        made.UnauthorizedRequestCount = session.unauthorized
        for name, kind in _REQUESTS.items():
            setattr(made, f"{name}Count", _counter(asked.get(kind, 0), session.refusals.get(kind, 0)))
        return made

    def security(self) -> list[Any]:
        return [self._security_of(session)[1] for session in self._activated()]

    @staticmethod
    def _security_of(session: OpenSession) -> tuple[SessionSecurity, Any]:
        """The structure, and as what it is encoded."""
        channel = session.connection.channel if session.connection is not None else None
        made = SessionSecurity(
            session.session_id,
            session.user,
            [session.user] if session.user is not None else [],
            session.mechanism,
            "UA Binary",
            BINARY,
            ua.MessageSecurityMode(_MODES[channel.mode] if channel is not None else 0),
            None if channel is None else NONE if channel.policy is None else channel.policy.uri,
            session.certificate,
        )
        return made, ua.ExtensionObject(_SECURITY_ENCODING, encode(made))

    def subscriptions(self) -> list[Any]:
        if self._hub is None:
            return []
        return [
            self._subscription(session, one) for session, desk in self._hub.desks.items() for one in desk.subscriptions.values()
        ]

    @staticmethod
    def _subscription(session: Any, one: Any) -> Any:
        made, terms = ua.SubscriptionDiagnosticsDataType(), one.terms
        made.SessionId, made.SubscriptionId = session.session_id, one.number
        made.Priority, made.PublishingInterval = terms.priority, terms.interval_ms
        made.MaxKeepAliveCount, made.MaxLifetimeCount = terms.keep_alive, terms.lifetime
        made.MaxNotificationsPerPublish, made.PublishingEnabled = terms.limit, one.enabled
        made.CurrentKeepAliveCount, made.CurrentLifetimeCount = one.cycles()
        made.UnacknowledgedMessageCount, made.NextSequenceNumber = len(one.sent), one.next_number
        made.MonitoredItemCount = len(one.items)
        made.DisabledMonitoredItemCount = sum(item.mode == 0 for item in one.items.values())
        made.PublishRequestCount, made.NotificationsCount = one.messages, one.notifications
        for name, count in one.tally.items():
            setattr(made, name, count)
        made.MonitoringQueueOverflowCount += sum(item.overflows for item in one.items.values())
        made.DataChangeNotificationsCount = made.NotificationsCount - made.EventNotificationsCount
        return made

    def sampling(self) -> list[Any]:
        if self._hub is None:
            return []
        items: dict[float, list[Any]] = {}
        for one in self._hub.subscriptions.values():
            for item in one.items.values():
                if item.query is None:
                    items.setdefault(item.interval_ms, []).append(item)
        return [
            ua.SamplingIntervalDiagnosticsDataType(interval, len(found), len(found), sum(item.mode == 0 for item in found))
            for interval, found in sorted(items.items())
        ]


def _counter(total: int, errors: int) -> Any:
    return ua.ServiceCounterDataType(total, errors)


def services(core: Core) -> list[Service]:
    """The room of diagnostics; it brings no services."""
    Diagnostics(core).show()
    return []
