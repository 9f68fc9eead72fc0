"""The server's own time zone, as events and the Server object tell it (OPC 10000-3, 8.57)."""

from __future__ import annotations

import functools
import time
from typing import Any

from asyncua import ua


def local_time(moment_s: float | None = None) -> Any:
    """A TimeZoneDataType as of a moment, in seconds since the epoch; now without one."""
    there = time.localtime(moment_s)
    return _zone(there.tm_gmtoff // 60, bool(there.tm_isdst))


@functools.cache
def _zone(offset_min: int, is_summer: bool) -> Any:
    """One object for all events: nobody changes it."""
    zone = ua.TimeZoneDataType()
    zone.Offset, zone.DaylightSavingInOffset = offset_min, is_summer
    return zone
