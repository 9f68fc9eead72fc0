"""Makes values and puts them into the address space, without a suspension in between.

asyncua's ``write_attribute_value`` is a coroutine that checks types each time. Here the value is made once, checked once (when
the machine is built) and shared by all nodes that show it; the engine hears of it because it watches the place it is put into.
Values are never changed after they are made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue

_STATUS: Final[dict[int, ua.StatusCode]] = {}


def status_code(code: int) -> ua.StatusCode:
    """One object per code."""
    known = _STATUS.get(code)
    if known is None:
        known = _STATUS[code] = ua.StatusCode(code)
    return known


_NULL: Final = ua.Variant()
_new_variant: Final[Callable[..., Any]] = ua.Variant.__new__
_new_value: Final[Callable[..., Any]] = ua.DataValue.__new__


def shown(value: Any, kind: ua.VariantType, status: int, moment: datetime, server_time: datetime, is_array: bool = False) -> Any:
    """A DataValue made without the checks of its constructor. Under a Bad status the value is Null (OPC 10000-4, 7.11)."""
    made = _new_value(ua.DataValue)
    if status >> 31:
        made.Value = _NULL
    else:
        variant = _new_variant(ua.Variant)
        variant.Value = value
        variant.VariantType = kind
        variant.Dimensions = None
        variant.is_array = is_array
        made.Value = variant
    made.Encoding = 0
    made.StatusCode = status_code(status)
    made.SourceTimestamp = moment
    made.ServerTimestamp = server_time
    made.SourcePicoseconds = None
    made.ServerPicoseconds = None
    return made


def put(held: AttributeValue, value: ua.DataValue) -> None:
    """Show ``value`` to whoever reads or monitors the node."""
    held.value = value
