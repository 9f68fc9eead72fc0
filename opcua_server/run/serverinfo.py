"""What the server says about itself: product, limits, time zone. Clients size their requests by it, so nothing of it is Null.

The limits are those that the engine enforces; a number here that the server does not keep would be a promise broken.
"""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua

from cnctwin import PRODUCT_URI
from opcua_server.engine.contract import Limits
from opcua_server.engine.subscriptions import revise
from opcua_server.engine.subscriptions.filters import ELEMENTS, FIELDS, OPERANDS
from opcua_server.security.server import SecureServer
from opcua_server.space.zone import local_time

PRODUCT: Final = "cnctwin server"
MANUFACTURER: Final = "cnctwin"
BUILD_DATE: Final = datetime(2026, 11, 24, tzinfo=UTC)
PROFILES: Final = (
    "http://opcfoundation.org/UA-Profile/Server/MicroEmbeddedDevice2017", "http://opcfoundation.org/UA-Profile/Server/EmbeddedUA2017",
    "http://opcfoundation.org/UA-Profile/Server/StandardUA2017", "http://opcfoundation.org/UA-Profile/Server/AggregateSubscription",
)  # fmt: skip
"""What is kept whole (OPC 10000-7, 6.6). Some clients ask for a deadband only where they find the standard one."""

_A = ua.AttributeIds
_O = ua.ObjectIds
_V = ua.VariantType
_EMPTY: Final[dict[ua.VariantType, Any]] = {_V.String: "", _V.ByteString: b""}
_CAPABILITIES: Final = "Server_ServerCapabilities_"
_OPERATIONS: Final = _CAPABILITIES + "OperationLimits_"


def _values(limits: Limits, now: datetime) -> dict[str, tuple[Any, ua.VariantType, bool]]:
    """Name in namespace 0 -> value, type, whether it is an array."""
    numbers: dict[str, int] = {
        "MaxArrayLength": limits.array_elements,
        "MaxStringLength": limits.string_bytes,
        "MaxByteStringLength": limits.message_bytes,
        "MaxSessions": limits.sessions,
        "MaxSubscriptions": limits.sessions * limits.subscriptions_per_session,
        "MaxMonitoredItems": limits.sessions * limits.items_per_session,
        "MaxSubscriptionsPerSession": limits.subscriptions_per_session,
        "MaxMonitoredItemsPerSubscription": limits.items_per_session,
        "MaxSelectClauseParameters": FIELDS,
        "MaxWhereClauseParameters": min(ELEMENTS, OPERANDS),
        "MaxMonitoredItemsQueueSize": revise.LONGEST_QUEUE,
        "OperationLimits_MaxNodesPerRead": limits.nodes_per_read,
        "OperationLimits_MaxNodesPerWrite": limits.nodes_per_write,
        "OperationLimits_MaxNodesPerMethodCall": limits.methods_per_call,
        "OperationLimits_MaxNodesPerBrowse": limits.nodes_per_browse,
        "OperationLimits_MaxNodesPerRegisterNodes": limits.nodes_per_read,
        "OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds": limits.nodes_per_browse,
        "OperationLimits_MaxMonitoredItemsPerCall": limits.items_per_session,
        "OperationLimits_MaxNodesPerHistoryReadData": limits.history_nodes,
        "OperationLimits_MaxNodesPerHistoryReadEvents": limits.history_nodes,
        "OperationLimits_MaxNodesPerHistoryUpdateData": limits.history_nodes,
        "OperationLimits_MaxNodesPerHistoryUpdateEvents": limits.history_nodes,
    }
    values: dict[str, tuple[Any, ua.VariantType, bool]] = {
        _CAPABILITIES + name: (number, _V.UInt32, False) for name, number in numbers.items()
    }
    for name, points in (("Browse", limits.continuation_points), ("Query", 0), ("History", limits.history_points)):
        values[f"{_CAPABILITIES}Max{name}ContinuationPoints"] = (points, _V.UInt16, False)
    values |= {
        _CAPABILITIES + "ServerProfileArray": (list(PROFILES), _V.String, True),
        _CAPABILITIES + "LocaleIdArray": (["en"], _V.String, True),
        _CAPABILITIES + "MinSupportedSampleRate": (revise.FASTEST_SAMPLING_MS, _V.Double, False),
        "Server_Auditing": (True, _V.Boolean, False),
        "Server_ServerRedundancy_RedundancySupport": (0, _V.Int32, False),
        "Server_EstimatedReturnTime": (now, _V.DateTime, False),
        "Server_ServerStatus_SecondsTillShutdown": (0, _V.UInt32, False),
        "Server_ServerStatus_ShutdownReason": (ua.LocalizedText("", "en"), _V.LocalizedText, False),
        "Server_ServerDiagnostics_ServerDiagnosticsSummary": (ua.ServerDiagnosticsSummaryDataType(), _V.ExtensionObject, False),
    }
    return values


async def describe(server: SecureServer, limits: Limits, now: datetime) -> None:
    """Fill the Server object. ``now`` is for time zone and start."""
    version = importlib.metadata.version("cnctwin")
    server.product_uri, server.manufacturer_name = PRODUCT_URI, MANUFACTURER
    server.set_server_name(PRODUCT)
    await server.set_build_info(PRODUCT_URI, MANUFACTURER, PRODUCT, version, version, BUILD_DATE)
    for name, (value, kind, is_array) in _values(limits, now).items():
        _put(server, getattr(_O, name), ua.Variant(value, kind, is_array=is_array), now)
    _show_local_time(server)
    for name, number in vars(_O).items():
        if name.startswith(("Server_", "HistoryServerCapabilities_", "OPCUANamespaceMetadata_")):
            _neutral(server, number, now)


def _show_local_time(server: SecureServer) -> None:
    """As of whenever somebody looks: the server may run over a change of the clocks."""

    def now(_node: Any, _attribute: Any) -> ua.DataValue:
        moment = datetime.now(UTC)
        return ua.DataValue(ua.Variant(local_time(), _V.ExtensionObject), SourceTimestamp=moment, ServerTimestamp=moment)

    server.iserver.aspace[ua.NodeId(_O.Server_LocalTime, 0)].attributes[_A.Value].value_callback = now


def _put(server: SecureServer, number: int, variant: Any, now: datetime) -> None:
    node = server.iserver.aspace.get(ua.NodeId(number, 0))
    if node is not None and _A.Value in node.attributes:
        node.attributes[_A.Value].value = ua.DataValue(variant, SourceTimestamp=now, ServerTimestamp=now)


def _neutral(server: SecureServer, number: int, now: datetime) -> None:
    """Give a variable that is still Null the neutral value of its type: 0, "", or an empty array."""
    node = server.iserver.aspace.get(ua.NodeId(number, 0))
    if node is None or _A.Value not in node.attributes:
        return
    held = node.attributes[_A.Value].value
    if held is not None and held.Value is not None and held.Value.Value is not None:
        return
    kind = _builtin(server, node.attributes[_A.DataType].value.Value.Value)
    rank = node.attributes[_A.ValueRank].value.Value.Value
    if rank >= 1:
        _put(server, number, ua.Variant([], kind, is_array=True), now)
    elif kind is not _V.ExtensionObject and kind is not _V.Variant:
        value = _EMPTY.get(kind)
        _put(server, number, ua.Variant(ua.get_default_value(kind) if value is None else value, kind), now)


def _builtin(server: SecureServer, data_type: Any) -> ua.VariantType:
    """The built-in type behind a data type of namespace 0."""
    for _ in range(20):
        if isinstance(data_type.Identifier, int) and data_type.NamespaceIndex == 0:
            if data_type.Identifier == _O.Enumeration:
                return _V.Int32
            if 0 < data_type.Identifier <= 25:
                return _V(data_type.Identifier)
        node = server.iserver.aspace.get(data_type)
        supertypes = [
            ref.NodeId
            for ref in (node.references if node is not None else ())
            if not ref.IsForward and ref.ReferenceTypeId == ua.NodeId(_O.HasSubtype, 0)
        ]
        if not supertypes:
            break
        data_type = supertypes[0]
    return _V.Variant
