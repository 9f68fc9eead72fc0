"""What the Server object says while the server is healthy, when it is not, and when it ends (OPC 10000-4, 6.6.2; OPC 10000-5, 6.3).

ServiceLevel   255 all machines in service   100 some are not   1 none is   0 the server ends
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncua import ua

from opcua_server.space.publish import put

_V = ua.VariantType
_O = ua.ObjectIds
HEALTHY, DEGRADED, NO_DATA, ENDING = 255, 100, 1, 0
BACK_AFTER_S: Final = 10.0
"""A server that is told to end is mostly started again: what a supervisor or a container takes for that."""
HEARD_S: Final = 0.3
"""Time for notifications to go out before the connections close."""
REASON: Final = "The server is told to end"


def show_service_level(server: Any, in_service: Sequence[bool]) -> None:
    """By how many machines are in service; only where it changed."""
    _show_level(server, HEALTHY if all(in_service) else DEGRADED if any(in_service) else NO_DATA)


def _show_level(server: Any, level: int) -> None:
    held = _held(server, _O.Server_ServiceLevel)
    if held.value is None or held.value.Value is None or held.value.Value.Value != level:
        _show(server, _O.Server_ServiceLevel, level, _V.Byte)


async def announce_end(server: Any) -> None:
    """Tell clients that the server ends, and when to look for it again. Takes a moment only where somebody is connected."""
    now = datetime.now(UTC)
    _show_level(server, ENDING)
    _show(server, _O.Server_EstimatedReturnTime, now + timedelta(seconds=BACK_AFTER_S), _V.DateTime)
    _show(server, _O.Server_ServerStatus_SecondsTillShutdown, 0, _V.UInt32)
    _show(server, _O.Server_ServerStatus_ShutdownReason, ua.LocalizedText(REASON, "en"), _V.LocalizedText)
    _show(server, _O.Server_ServerStatus_State, int(ua.ServerState.Shutdown), _V.Int32)
    status = _held(server, _O.Server_ServerStatus).value.Value.Value
    ending = replace(status, State=ua.ServerState.Shutdown, CurrentTime=now, ShutdownReason=ua.LocalizedText(REASON, "en"))
    _show(server, _O.Server_ServerStatus, ending, _V.ExtensionObject)
    await asyncio.sleep(HEARD_S)


def _held(server: Any, number: int) -> Any:
    return server.iserver.aspace[ua.NodeId(number, 0)].attributes[ua.AttributeIds.Value]


def _show(server: Any, number: int, value: Any, kind: Any) -> None:
    now = datetime.now(UTC)
    put(_held(server, number), ua.DataValue(ua.Variant(value, kind), SourceTimestamp=now, ServerTimestamp=now))
