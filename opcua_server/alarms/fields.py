"""The state of a condition as event fields: path below the condition -> value and type (OPC 10000-9, 5.5.2, 5.7.2, 5.8).

The same rows are what its nodes show. A state that is not there, such as the LimitState of what is within its limits, or what a
disabled condition no longer knows, is a Null field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import utc
from opcua_server.alarms.branch import Branch
from opcua_server.alarms.condition import Condition
from opcua_server.alarms.dialog import CANCEL, OK, OPTIONS, Dialog
from opcua_server.alarms.health import WORDS
from opcua_server.space.zone import local_time

_V: Final = ua.VariantType
_O: Final = ua.ObjectIds
Rows = dict[str, tuple[Any, ua.VariantType]]
CLASSES: Final = {
    "Process": ua.NodeId(_O.ProcessConditionClassType, 0),
    "Maintenance": ua.NodeId(_O.MaintenanceConditionClassType, 0),
    "System": ua.NodeId(_O.SystemConditionClassType, 0),
    "Statistical": ua.NodeId(_O.StatisticalConditionClassType, 0),
}
"""What kind of matter a condition is (5.9): of what is made and how, of upkeep, of the control itself, of what was worked out."""
LIMIT_STATES: Final = {
    "HighHigh": ua.NodeId(_O.ExclusiveLimitStateMachineType_HighHigh, 0),
    "High": ua.NodeId(_O.ExclusiveLimitStateMachineType_High, 0),
    "Low": ua.NodeId(_O.ExclusiveLimitStateMachineType_Low, 0),
    "LowLow": ua.NodeId(_O.ExclusiveLimitStateMachineType_LowLow, 0),
}
SHELVED_STATES: Final = {
    "Unshelved": ua.NodeId(_O.ShelvedStateMachineType_Unshelved, 0),
    "TimedShelved": ua.NodeId(_O.ShelvedStateMachineType_TimedShelved, 0),
    "OneShotShelved": ua.NodeId(_O.ShelvedStateMachineType_OneShotShelved, 0),
}
_SHELVED_TEXTS: Final = {"Unshelved": "Unshelved", "TimedShelved": "Timed Shelved", "OneShotShelved": "One Shot Shelved"}
NOT_KNOWN_WHILE_DISABLED: Final = ("ActiveState", "LimitState", "Quality")
"""What is judged by the process; the other fields keep their last value (5.5.2)."""


@dataclass(frozen=True, slots=True)
class Face:
    """What never changes of a condition. ``constants``: fields of its own, such as limits or the code. ``matter``: of CLASSES.
    ``about``: what it is an alarm of, in a sentence."""

    node_id: ua.NodeId
    type_id: ua.NodeId
    source: ua.NodeId
    source_name: str
    input_node: ua.NodeId
    is_limit: bool = False
    constants: Mapping[str, tuple[Any, ua.VariantType]] = field(default_factory=dict)
    matter: str = "Process"
    about: str = ""


def text(value: str, locale: str = "en") -> ua.LocalizedText:
    return ua.LocalizedText(value, locale)


def _two_state(name: str, is_true: bool, words: tuple[str, str], moment_ns: int) -> Rows:
    return {
        name: (text(words[0] if is_true else words[1]), _V.LocalizedText),
        f"{name}/Id": (is_true, _V.Boolean),
        f"{name}/TransitionTime": (utc(moment_ns), _V.DateTime),
    }


def rows(face: Face, condition: Condition, branch: Branch, now_ns: int) -> Rows:
    """All fields of one branch, now."""
    branch_id = (
        ua.NodeId() if not branch.number else ua.NodeId(f"{face.node_id.Identifier}#{branch.number}", face.node_id.NamespaceIndex)
    )
    found: Rows = {
        "EventId": (branch.event_id, _V.ByteString),
        "EventType": (face.type_id, _V.NodeId),
        "SourceNode": (face.source, _V.NodeId),
        "SourceName": (face.source_name, _V.String),
        "Time": (utc(branch.told_ns), _V.DateTime),
        "ReceiveTime": (datetime.now(UTC), _V.DateTime),
        "LocalTime": (local_time(branch.told_ns / 1e9), _V.ExtensionObject),
        "Message": (text(branch.message), _V.LocalizedText),
        "Severity": (min(max(branch.severity, 1), 1000), _V.UInt16),
        "ConditionClassId": (CLASSES[face.matter], _V.NodeId),
        "ConditionClassName": (text(f"{face.matter}ConditionClassType"), _V.LocalizedText),
        "ConditionName": (condition.name, _V.String),
        "BranchId": (branch_id, _V.NodeId),
        "Retain": (condition.retains(branch), _V.Boolean),
        **_two_state("EnabledState", condition.enabled, ("Enabled", "Disabled"), condition.enabled_ns),
        "Quality": (ua.StatusCode(condition.quality), _V.StatusCode),
        "Quality/SourceTimestamp": (utc(condition.quality_ns), _V.DateTime),
        "LastSeverity": (branch.last_severity, _V.UInt16),
        "LastSeverity/SourceTimestamp": (utc(branch.severity_ns), _V.DateTime),
        "Comment": (text(branch.comment, branch.locale or "en"), _V.LocalizedText),
        "Comment/SourceTimestamp": (utc(branch.comment_ns), _V.DateTime),
        "ClientUserId": (branch.user, _V.String),
    }
    if isinstance(condition, Dialog):
        return found | _dialog_rows(condition, branch)
    found |= _alarm_rows(face, condition, branch, now_ns)
    if not condition.enabled:
        for name in found:
            if name.split("/", 1)[0] in NOT_KNOWN_WHILE_DISABLED:
                found[name] = (None, found[name][1])
    return found


def _dialog_rows(dialog: Dialog, branch: Branch) -> Rows:
    return {
        **_two_state("DialogState", dialog.asks and dialog.enabled, ("Active", "Inactive"), branch.active_ns),
        "Prompt": (text(dialog.prompt), _V.LocalizedText),
        "ResponseOptionSet": ([text(option) for option in OPTIONS], _V.LocalizedText),
        "DefaultResponse": (OK, _V.Int32),
        "OkResponse": (OK, _V.Int32),
        "CancelResponse": (CANCEL, _V.Int32),
        "LastResponse": (dialog.last, _V.Int32),
    }


def _alarm_rows(face: Face, condition: Condition, branch: Branch, now_ns: int) -> Rows:
    is_active = branch.level is not None
    found: Rows = {
        **_two_state("AckedState", branch.acked, ("Acknowledged", "Unacknowledged"), branch.acked_ns),
        **_two_state("ConfirmedState", branch.confirmed, ("Confirmed", "Unconfirmed"), branch.confirmed_ns),
        **_two_state("ActiveState", is_active, ("Active", "Inactive"), branch.active_ns),
        "ActiveState/EffectiveDisplayName": (text(_effective(face, branch)), _V.LocalizedText),
        "InputNode": (face.input_node, _V.NodeId),
        **_two_state("SuppressedState", condition.is_suppressed, (_suppressed(condition), "Unsuppressed"), condition.suppressed_ns),
        **_two_state("OutOfServiceState", condition.out_of_service, ("Out of Service", "In Service"), condition.out_of_service_ns),
        "SuppressedOrShelved": (condition.is_put_aside, _V.Boolean),
        "MaxTimeShelved": (condition.max_shelved_ms, _V.Double),
        "ShelvingState/CurrentState": (text(_SHELVED_TEXTS[condition.shelving]), _V.LocalizedText),
        "ShelvingState/CurrentState/Id": (SHELVED_STATES[condition.shelving], _V.NodeId),
        "ShelvingState/UnshelveTime": (condition.unshelve_ms(now_ns), _V.Double),
        **face.constants,
    }
    if condition.latches:
        found |= _two_state("LatchedState", condition.latched, ("Latched", "Unlatched"), condition.latched_ns)
    if face.is_limit:
        level = branch.level or ""
        found["LimitState/CurrentState"] = (text(level) if is_active else None, _V.LocalizedText)
        found["LimitState/CurrentState/Id"] = (LIMIT_STATES.get(level), _V.NodeId)
    return found


def _suppressed(condition: Condition) -> str:
    """The name of the state, with what explains it."""
    return f"Suppressed: {WORDS.get(condition.explained, condition.explained)}" if condition.explained else "Suppressed"


def _effective(face: Face, branch: Branch) -> str:
    if branch.level is None:
        return "Inactive"
    return f"Active/{branch.level}" if face.is_limit else "Active"
