"""Audit events (OPC 10000-5, 6.4.3 ff.; OPC 10000-4, 6.5): who did what to the security of the server, for who may see them.

    channel, session, certificate, trust list --+
    write, command ---------------------------- +--> within the rate? --> Server object --> items of role Admin, nobody else's
                                                      '-- counted, and said with the next one

An event holds no password, no key and no token; what a stranger sent is cut to a bounded length. Events are made only while
somebody who may see them listens. The log lines of ``opcua_server.audit`` do not depend on it.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from asyncua.common.events import Event

from cnctwin.wire.scalars import ua

_V: Final = ua.VariantType
_O: Final = ua.ObjectIds
SERVER: Final = ua.NodeId(2253, 0)
PER_SECOND: Final = 100
"""Events of one kind (security, update) in a second."""
MAX_TEXT: Final = 512
MAX_VALUE: Final = 4_096
"""Characters of a text, bytes of a value or certificate in an event."""
MAX_LIST: Final = 64
_LEFT_OUT: Final = ua.Variant("(left out: too long)")
_CERTIFICATE_EVENTS: Final = {
    "BadCertificateTimeInvalid": _O.AuditCertificateExpiredEventType,
    "BadCertificateIssuerTimeInvalid": _O.AuditCertificateExpiredEventType,
    "BadCertificateUntrusted": _O.AuditCertificateUntrustedEventType,
    "BadCertificateChainIncomplete": _O.AuditCertificateUntrustedEventType,
    "BadCertificateRevoked": _O.AuditCertificateRevokedEventType,
    "BadCertificateIssuerRevoked": _O.AuditCertificateRevokedEventType,
    "BadCertificateRevocationUnknown": _O.AuditCertificateRevokedEventType,
    "BadCertificateIssuerRevocationUnknown": _O.AuditCertificateRevokedEventType,
    "BadCertificateUseNotAllowed": _O.AuditCertificateMismatchEventType,
    "BadCertificateIssuerUseNotAllowed": _O.AuditCertificateMismatchEventType,
    "BadCertificateUriInvalid": _O.AuditCertificateDataMismatchEventType,
}
"""Why a certificate was refused -> the type of event; anything else is AuditCertificateInvalidEventType."""
Fields = dict[str, "tuple[Any, Any]"]


class _Rate:
    """At most so many in each second; ``left_out`` counts the others until they are told."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.left_out = 0
        self._clock = clock
        self._since_s = clock()
        self._count = 0

    def take(self) -> bool:
        now_s = self._clock()
        if now_s - self._since_s >= 1.0:
            self._since_s, self._count = now_s, 0
        self._count += 1
        if self._count > PER_SECOND:
            self.left_out += 1
            return False
        return True


class Audit:
    """Where the doors report. ``tell`` hands an event to those who listen, ``listening`` says whether there is anybody."""

    def __init__(self, server_id: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self.tell: Callable[[Any], None] | None = None
        self.listening: Callable[[], bool] = lambda: False
        self._server_id = server_id
        self._security, self._update = _Rate(clock), _Rate(clock)

    # Channels -------------------------------------------------------------------------------------------------------

    def certificate_refused(self, certificate: bytes, status: str, text: str) -> bytes:
        """A certificate that was turned away; the EventId, empty when nobody listens."""
        kind = _CERTIFICATE_EVENTS.get(status, _O.AuditCertificateInvalidEventType)
        code = int(getattr(ua.StatusCodes, status, ua.StatusCodes.BadSecurityChecksFailed))
        fields: Fields = {"Certificate": (certificate[:MAX_VALUE], _V.ByteString), "StatusCodeId": _status(code)}
        return self._say(self._security, kind, "Security/Certificate", text, code, fields)

    def channel_opened(self, channel: Any, opening: Any, status: int = 0, text: str = "", because: bytes = b"") -> None:
        """An OPN was answered or refused. ``opening`` is None when it could not be read; ``because``: EventId about it."""
        params = opening.params if opening is not None else None
        certificate = opening.leaf if opening is not None else b""
        policy = opening.policy.uri if opening is not None and opening.policy is not None else ""
        fields: Fields = {
            "StatusCodeId": _status(status),
            "SecureChannelId": (str(channel.number), _V.String),
            "ClientCertificate": (certificate[:MAX_VALUE], _V.ByteString),
            "ClientCertificateThumbprint": (thumbprint(certificate), _V.String),
            "RequestType": (int(params.RequestType) if params is not None else 0, _V.Int32),
            "SecurityPolicyUri": (policy, _V.String),
            "SecurityMode": (int(params.SecurityMode) if params is not None else 0, _V.Int32),
            "RequestedLifetime": (float(params.RequestedLifetime) if params is not None else 0.0, _V.Double),
            "CertificateErrorEventId": (because, _V.ByteString),
        }
        kind = _O.AuditOpenSecureChannelEventType
        self._say(self._security, kind, "SecureChannel/OpenSecureChannel", text or "channel opened", status, fields)

    def channel_closed(self, channel: Any, status: int = 0, text: str = "") -> None:
        fields: Fields = {"StatusCodeId": _status(status), "SecureChannelId": (str(channel.number), _V.String)}
        kind = _O.AuditChannelEventType
        self._say(self._security, kind, "SecureChannel/CloseSecureChannel", text or "channel closed", status, fields)

    # Sessions -------------------------------------------------------------------------------------------------------

    def session_created(self, request: Any, channel: Any, session: Any, status: int = 0) -> None:
        certificate = channel.certificate or b""
        fields: Fields = {
            "SessionId": (session.session_id if session is not None else ua.NodeId(), _V.NodeId),
            "SecureChannelId": (str(channel.number), _V.String),
            "ClientCertificate": (certificate[:MAX_VALUE], _V.ByteString),
            "ClientCertificateThumbprint": (thumbprint(certificate), _V.String),
            "RevisedSessionTimeout": (session.timeout_ms if session is not None else 0.0, _V.Double),
        }
        text = "session created" if not status else "session refused"
        self._session(_O.AuditCreateSessionEventType, "Session/CreateSession", text, status, fields, request)

    def session_activated(self, request: Any, channel: Any, session: Any, token: Any, roles: list[Any], status: int = 0) -> None:
        """Somebody logged in, or tried to. The token is told without its secret."""
        user = session.user if session is not None and not status else _named(token)
        fields: Fields = {
            "SessionId": (session.session_id if session is not None else ua.NodeId(), _V.NodeId),
            "SecureChannelId": (str(channel.number), _V.String),
            "ClientSoftwareCertificates": (ua.Variant([], _V.ExtensionObject, is_array=True), _V.ExtensionObject),
            "UserIdentityToken": (without_secret(token), _V.ExtensionObject),
            "CurrentRoleIds": (ua.Variant(roles, _V.NodeId, is_array=True), _V.NodeId),
        }
        text = "user logged in" if not status else "login refused"
        self._session(_O.AuditActivateSessionEventType, "Session/ActivateSession", text, status, fields, request, user)

    def session_ended(self, session: Any, why: str) -> None:
        """``why``: CloseSession, Timeout or Terminated (OPC 10000-5, 6.4.7)."""
        fields: Fields = {"SessionId": (session.session_id, _V.NodeId)}
        self._session(_O.AuditSessionEventType, f"Session/{why}", "session ended", 0, fields, None, session.user)

    def cancelled(self, request: Any, handle: int) -> None:
        """A client took back requests of its session that waited."""
        fields: Fields = {"SessionId": (request.session.session_id, _V.NodeId), "RequestHandle": (handle, _V.UInt32)}
        self._session(_O.AuditCancelEventType, "Session/Cancel", "requests cancelled", 0, fields, request)

    def _session(self, kind: int, name: str, text: str, status: int, fields: Fields, request: Any, user: str | None = None) -> None:
        self._say(self._security, kind, name, text, status, {"StatusCodeId": _status(status), **fields}, request, user)

    # What was changed -----------------------------------------------------------------------------------------------

    def wrote(self, request: Any, item: Any, old: Any, status: int) -> None:
        """One node of a Write. ``old``: its DataValue before, None where it had none or the writer may not know it."""
        if not self.is_heard:
            return
        fields: Fields = {
            "AttributeId": (item.AttributeId, _V.UInt32),
            "IndexRange": ((item.IndexRange or "")[:MAX_TEXT], _V.String),
            "OldValue": (_bounded(old), _V.Variant),
            "NewValue": (_bounded(item.Value), _V.Variant),
        }
        self._say(
            self._update,
            _O.AuditWriteUpdateEventType,
            "Attribute/Write",
            "value written",
            status,
            fields,
            request,
            source=item.NodeId,
        )

    def changed_history(self, request: Any, details: Any, old: list[Any], status: int) -> None:
        """One operation of a HistoryUpdate (OPC 10000-5, 6.4.19 ff.). ``old``: the values, events or annotations before, as far as
        they are told."""
        if not self.is_heard or not isinstance(details, ua.HistoryUpdateDetails):
            return
        structures = (ua.UpdateEventDetails, ua.DeleteEventDetails, ua.UpdateStructureDataDetails)
        before = _V.ExtensionObject if isinstance(details, structures) else _V.DataValue
        fields: Fields = {
            "UpdatedNode": (details.NodeId, _V.NodeId),
            "OldValues": (ua.Variant(old[:MAX_LIST], before, is_array=True), before),
        }
        if isinstance(details, ua.UpdateDataDetails):
            kind, number = _O.AuditHistoryValueUpdateEventType, _O.UpdateDataDetails
            fields["PerformInsertReplace"] = (int(details.PerformInsertReplace), _V.Int32)
            fields["NewValues"] = (ua.Variant((details.UpdateValues or [])[:MAX_LIST], _V.DataValue, is_array=True), _V.DataValue)
        elif isinstance(details, ua.DeleteRawModifiedDetails):
            kind, number = _O.AuditHistoryRawModifyDeleteEventType, _O.DeleteRawModifiedDetails
            fields["IsDeleteModified"] = (bool(details.IsDeleteModified), _V.Boolean)
            fields["StartTime"], fields["EndTime"] = (details.StartTime, _V.DateTime), (details.EndTime, _V.DateTime)
        elif isinstance(details, ua.DeleteAtTimeDetails):
            kind, number = _O.AuditHistoryAtTimeDeleteEventType, _O.DeleteAtTimeDetails
            fields["ReqTimes"] = (ua.Variant((details.ReqTimes or [])[:MAX_LIST], _V.DateTime, is_array=True), _V.DateTime)
        elif isinstance(details, ua.UpdateEventDetails):
            kind, number = _O.AuditHistoryEventUpdateEventType, _O.UpdateEventDetails
            fields["PerformInsertReplace"] = (int(details.PerformInsertReplace), _V.Int32)
            fields["Filter"] = (details.Filter, _V.ExtensionObject)
            fields["NewValues"] = _structures(details.EventData)
        elif isinstance(details, ua.DeleteEventDetails):
            kind, number = _O.AuditHistoryEventDeleteEventType, _O.DeleteEventDetails
            ids = [bytes(one or b"")[:MAX_VALUE] for one in details.EventIds or []]
            fields["EventIds"] = (ua.Variant(ids[:MAX_LIST], _V.ByteString, is_array=True), _V.ByteString)
        elif isinstance(details, ua.UpdateStructureDataDetails):
            kind, number = _O.AuditHistoryAnnotationUpdateEventType, _O.UpdateStructureDataDetails
            fields["PerformInsertReplace"] = (int(details.PerformInsertReplace), _V.Int32)
            given = [one.Value.Value for one in details.UpdateValues or [] if one.Value is not None]
            fields["NewValues"] = _structures([one for one in given if isinstance(one, ua.Annotation)])
        else:
            return
        fields["ParameterDataTypeId"] = (ua.NodeId(number, 0), _V.NodeId)
        text = "history changed" if not status else "history not changed"
        self._say(self._update, kind, "Attribute/HistoryUpdate", text, status, fields, request, source=details.NodeId)

    def called(self, request: Any, object_id: Any, method_id: Any, given: list[Any], status: int, reason: str = "") -> None:
        """A method that changes something was called, or refused. ``given``: input arguments, without secrets; ``reason``: why it
        was refused, in words, also where the answer says so with a Good status and an output argument."""
        if not self.is_heard:
            return
        fields = _call(method_id, given, status)
        self._say(
            self._update,
            _O.AuditUpdateMethodEventType,
            "Attribute/Call",
            _said("method called", "method refused", status, reason),
            status or int(bool(reason)),
            fields,
            request,
            source=object_id,
        )

    def did(
        self, kind: int, name: str, request: Any, condition_id: Any, method_id: Any, given: list[Any], status: int, more: Fields,
        reason: str = "",
    ) -> None:  # fmt: skip
        """A method of a condition was called, or refused (OPC 10000-9, 5.10). ``more``: fields of the event type ``kind``."""
        if not self.is_heard:
            return
        fields = {**_call(method_id, given, status), **more}
        text = _said("alarm handled", "alarm not handled", status, reason)
        self._say(self._update, kind, f"Method/{name}", text, status, fields, request, source=condition_id)

    def changed_trust(self, request: Any, trust_list: Any, method_id: Any) -> None:
        fields: Fields = {"TrustListId": (trust_list, _V.NodeId), "MethodId": (method_id, _V.NodeId)}
        kind = _O.TrustListUpdatedAuditEventType
        self._say(self._security, kind, "Security/TrustList", "trust list changed", 0, fields, request, source=trust_list)

    def changed_certificate(self, request: Any, group: Any, kind_of_certificate: Any, method_id: Any) -> None:
        fields: Fields = {
            "CertificateGroup": (group, _V.NodeId),
            "CertificateType": (kind_of_certificate, _V.NodeId),
            "MethodId": (method_id, _V.NodeId),
        }
        kind = _O.CertificateUpdatedAuditEventType
        self._say(self._security, kind, "Security/Certificate", "own certificate replaced", 0, fields, request, source=group)

    # ----------------------------------------------------------------------------------------------------------------

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens who may see the events."""
        return self.tell is not None and self.listening()

    def _say(
        self, rate: _Rate, kind: int, name: str, text: str, status: int, fields: Fields, request: Any = None,
        user: str | None = None, source: Any = SERVER,
    ) -> bytes:  # fmt: skip
        """Tell one event; its EventId, empty when nobody was told."""
        if self.tell is None or not self.listening() or not rate.take():
            return b""
        left_out, rate.left_out = rate.left_out, 0
        session = request.session if request is not None else None
        if user is None and session is not None:
            user = session.user
        now = datetime.now(UTC)
        event_id = uuid.uuid4().bytes
        more = f"; {left_out} events before it were left out" if left_out else ""
        rows: Fields = {
            "EventId": (event_id, _V.ByteString),
            "EventType": (ua.NodeId(kind, 0), _V.NodeId),
            "SourceNode": (source, _V.NodeId),
            "SourceName": (name, _V.String),
            "Time": (now, _V.DateTime),
            "ReceiveTime": (now, _V.DateTime),
            "Message": (ua.LocalizedText((text + more)[:MAX_TEXT], "en"), _V.LocalizedText),
            "Severity": (500 if status else 100, _V.UInt16),
            "ActionTimeStamp": (now, _V.DateTime),
            "Status": (not status, _V.Boolean),
            "ServerId": (self._server_id(), _V.String),
            "ClientAuditEntryId": (((request.header.audit_entry_id if request else None) or "")[:MAX_TEXT], _V.String),
            "ClientUserId": ((user or "")[:MAX_TEXT], _V.String),
            **fields,
        }
        made = Event(SERVER)
        for field, (value, variant_type) in rows.items():
            made.add_property(field, value, variant_type)
        self.tell(made)
        return event_id


def _structures(values: list[Any] | None) -> tuple[Any, Any]:
    return ua.Variant((values or [])[:MAX_LIST], _V.ExtensionObject, is_array=True), _V.ExtensionObject


def _said(done: str, refused: str, status: int, reason: str) -> str:
    """The message: what was done, or that it was refused and why."""
    return f"{refused}: {reason}" if reason else refused if status else done


def _call(method_id: Any, given: list[Any], status: int) -> Fields:
    """Fields of AuditUpdateMethodEventType (OPC 10000-5, 6.4.27)."""
    small = [_LEFT_OUT if _is_long(one.Value) else one for one in given[:20]]
    return {
        "MethodId": (method_id, _V.NodeId),
        "StatusCodeId": _status(status),
        "InputArguments": (ua.Variant(small, _V.Variant, is_array=True), _V.Variant),
        "OutputArguments": (ua.Variant([], _V.Variant, is_array=True), _V.Variant),
    }


def thumbprint(certificate: bytes) -> str:
    """SHA-1 in hex, as OPC UA names certificates; empty for none."""
    return hashlib.sha1(certificate, usedforsecurity=False).hexdigest().upper() if certificate else ""


def without_secret(token: Any) -> Any:
    """A UserIdentityToken as an event may show it: whose it is said to be, and nothing that proves it."""
    if isinstance(token, ua.UserNameIdentityToken):
        return ua.UserNameIdentityToken((token.PolicyId or "")[:MAX_TEXT], (token.UserName or "")[:MAX_TEXT], b"", "")
    if isinstance(token, ua.X509IdentityToken):
        return ua.X509IdentityToken((token.PolicyId or "")[:MAX_TEXT], bytes(token.CertificateData or b"")[:MAX_VALUE])
    if isinstance(token, ua.IssuedIdentityToken):
        return ua.IssuedIdentityToken((token.PolicyId or "")[:MAX_TEXT], b"", "")
    return ua.AnonymousIdentityToken(str(getattr(token, "PolicyId", "") or "")[:MAX_TEXT])


def _named(token: Any) -> str:
    return str(getattr(token, "UserName", "") or "")


def _status(status: int) -> tuple[Any, Any]:
    return ua.StatusCode(status), _V.StatusCode


def _bounded(value: Any) -> Any:
    """The Variant of a DataValue as an event may carry it; a long one is left out."""
    variant = value.Value if value is not None else None
    if variant is None or variant.Value is None:
        return ua.Variant()
    return _LEFT_OUT if _is_long(variant.Value) else variant


def _is_long(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > MAX_LIST or any(_is_long(one) for one in value)
    return isinstance(value, str | bytes) and len(value) > MAX_VALUE
