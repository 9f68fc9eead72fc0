"""Methods of the Server object about subscriptions: GetMonitoredItems and ResendData (OPC 10000-5, 9.1 and 9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import MethodHandler, Request, ServiceFault
from opcua_server.engine.subscriptions.subscription import Subscription

if TYPE_CHECKING:
    from opcua_server.engine.subscriptions.service import Hub

_C: Final = ua.StatusCodes
_GET_MONITORED_ITEMS, _RESEND_DATA = ua.NodeId(11492, 0), ua.NodeId(12873, 0)


def methods(hub: Hub) -> dict[Any, MethodHandler]:
    """Method -> who carries it out. Their arguments are checked before (engine/methods.py)."""

    def of_caller(request: Request, arguments: list[Any]) -> Subscription:
        number = arguments[0].Value
        if number in hub.subscriptions and number not in hub.desk(request).subscriptions:
            raise ServiceFault(_C.BadUserAccessDenied)  # another session's
        return hub.owned(request, number)

    def get_monitored_items(request: Request, _object: Any, arguments: list[Any]) -> Any:
        """Server handles and client handles."""
        found = of_caller(request, arguments)
        numbers, handles = list(found.items), [item.handle for item in found.items.values()]
        outputs = [ua.Variant(values, ua.VariantType.UInt32, is_array=True) for values in (numbers, handles)]
        return ua.CallMethodResult(ua.StatusCode(0), [], [], outputs)

    def resend_data(request: Request, _object: Any, arguments: list[Any]) -> Any:
        of_caller(request, arguments).resend()
        return ua.CallMethodResult(ua.StatusCode(0), [], [], [])

    return {_GET_MONITORED_ITEMS: get_monitored_items, _RESEND_DATA: resend_data}
