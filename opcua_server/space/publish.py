"""Puts values into the address space and tells the subscriptions, without a suspension in between.

asyncua's ``write_attribute_value`` is a coroutine that checks types and awaits each subscriber, and the monitored item copies
the value deeply: ~60 µs a value. Here the value is made once, checked once (when the machine is built), shared by all nodes
that show it, and handed to the monitored items synchronously, so one tick of the machine is in one notification.

Values are never changed after they are made; that is why a copy of one may be itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue

_logger = logging.getLogger(__name__)
_STATUS: Final[dict[int, ua.StatusCode]] = {}
_tasks: Final[set[asyncio.Task[None]]] = set()


class Shown(ua.DataValue):  # type: ignore[misc]
    """A DataValue that is not changed after it is made, so that asyncua's deep copies of it cost nothing."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Shown:
        return self


def status_code(code: int) -> ua.StatusCode:
    """One object per code."""
    known = _STATUS.get(code)
    if known is None:
        known = _STATUS[code] = ua.StatusCode(code)
    return known


_NULL: Final = ua.Variant()
_new_variant: Final[Callable[..., Any]] = ua.Variant.__new__
_new_shown: Final[Callable[..., Any]] = Shown.__new__


def shown(value: Any, kind: ua.VariantType, status: int, moment: datetime, server_time: datetime, is_array: bool = False) -> Shown:
    """A DataValue made without the checks of its constructor. Under a Bad status the value is Null (OPC 10000-4, 7.11)."""
    made: Shown = _new_shown(Shown)
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
    """Show ``value`` and queue it for every monitored item of the node."""
    held.value = value
    if held.datachange_callbacks:
        for handle, callback in list(held.datachange_callbacks.items()):
            _notify(callback, handle, value)


def _notify(callback: Callable[..., Any], handle: int, value: ua.DataValue) -> None:
    subscription = getattr(getattr(callback, "__self__", None), "isub", None)
    if subscription is None or subscription.data.RevisedPublishingInterval <= 0:
        # Publishes at once, which suspends: it gets a task of its own.
        task = asyncio.get_running_loop().create_task(callback(handle, value))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        return
    coroutine = callback(handle, value)
    try:
        coroutine.send(None)
    except StopIteration:
        return
    except Exception:
        _logger.exception("a monitored item did not take its value")
        return
    coroutine.close()
    _logger.error("a monitored item suspended while it took its value; the notification is lost")
