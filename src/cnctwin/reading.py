"""One unit of data: a value, how far it can be trusted, and when it was true.

Quality is data, not an exception. A sensor fault is a Bad status, a lost link makes everything Uncertain and keeps
value and source time, and a detector that warms up says BadWaitingForInitialData instead of a made-up 0.

    Good       0x00......   the value is what the source measured
    Uncertain  0x40......   the value was true once; the reason is in the code
    Bad        0x80......   there is no usable value

Status codes are those of OPC 10000-4, 7.38; times are UTC nanoseconds since the Unix epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
Value = bool | int | float | str | datetime | list[str] | list[int] | list[float]

GOOD = 0x00000000
UNCERTAIN_LAST_USABLE = 0x40900000
UNCERTAIN_INITIAL_VALUE = 0x40920000
UNCERTAIN_NO_COMMUNICATION = 0x408F0000
BAD = 0x80000000
BAD_NO_COMMUNICATION = 0x80310000
BAD_WAITING_FOR_INITIAL_DATA = 0x80320000
BAD_SENSOR_FAILURE = 0x808C0000
BAD_TYPE_MISMATCH = 0x80740000
BAD_NODE_ID_UNKNOWN = 0x80340000
BAD_NOT_READABLE = 0x803A0000
BAD_NOT_CONNECTED = 0x808A0000
BAD_OUT_OF_SERVICE = 0x808D0000

_SEVERITY = ("Good", "Uncertain", "Bad", "Bad")


def quality(status: int) -> str:
    """The severity of an OPC UA status code: "Good", "Uncertain" or "Bad"."""
    return _SEVERITY[(status >> 30) & 3]


_LEAP_SECOND: Final = re.compile(r"(T\d\d:[0-5]9):60")
"""At the end of a UTC month; in a zone half an hour off the minute is another one."""


def utc(time_ns: int) -> datetime:
    """An aware UTC datetime of nanoseconds since the epoch, cut to microseconds."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).replace(microsecond=time_ns % 1_000_000_000 // 1000)


def iso(time_ns: int) -> str:
    """RFC 3339 text of a time, UTC with microseconds: ``2026-11-24T07:00:00.100000Z``. One form, wherever it is shown."""
    return utc(time_ns).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def without_leap_second(text: str) -> str:
    """RFC 3339 text in which a leap second, ``23:59:60`` (5.7 there), is the second before it, as datetime and clocks have none."""
    return _LEAP_SECOND.sub(r"\1:59", text, count=1)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one signal said at one moment.

    ``signal`` is a catalogue name such as ``Spindle/ActSpeed``; ``value`` is None only under a Bad status; ``status`` is
    an OPC UA status code; times are nanoseconds since the epoch, UTC.
    """

    signal: str
    value: Value | None
    status: int
    source_time_ns: int
    server_time_ns: int

    @property
    def quality(self) -> str:
        return quality(self.status)

    @property
    def is_good(self) -> bool:
        return self.status >> 30 == 0

    def degraded(self, status: int = UNCERTAIN_NO_COMMUNICATION) -> Reading:
        """The same value and source time under a worse status; a reading that is worse already stays as it is."""
        return self if self.status >> 30 >= status >> 30 else replace(self, status=status)


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings of one machine that share one source time, in catalogue order. ``gap`` is set where data before it was lost.

    ``sampled_ns``: the newest source time of the sample it is part of, where that is another. A server gives what has not changed
    the time at which it last did, so that one sample comes as several batches, the older ones first.
    """

    machine_id: str
    source_time_ns: int
    readings: tuple[Reading, ...]
    gap: str | None = None
    sampled_ns: int | None = None

    def __iter__(self) -> Iterator[Reading]:
        return iter(self.readings)


@dataclass(slots=True)
class Columns:
    """All signals of one machine at one moment, in bulk.

    numbers: (n_numeric,) float64, in the order of ``catalogue.NUMERIC``; booleans are 0.0 or 1.0.
    objects: values of the other signals by name (text, arrays, times).
    statuses: (n_machine,) uint32, in the order of ``catalogue.MACHINE`` (all signals but the analytics' results).
    source_time_ns: the moment all of them describe.
    """

    numbers: npt.NDArray[np.float64]
    objects: Mapping[str, Value]
    statuses: npt.NDArray[np.uint32]
    source_time_ns: int
