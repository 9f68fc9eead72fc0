"""What a result shows before anybody has worked it out: UncertainInitialValue, and a value that says nothing.

A Bad status is what a browser counts, a historian alarms at and a list of tags turns red for, and nothing is wrong: not enough has
been seen yet. So nobody is told a number: NaN is none, and the earliest DateTime is the standard's own "not known" (OPC 10000-6,
5.2.2.5).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import UNCERTAIN_INITIAL_VALUE
from opcua_server.space.publish import shown

_V: Final = ua.VariantType
SAYS_NOTHING: Final[dict[Any, Any]] = {
    _V.Double: math.nan, _V.Float: math.nan, _V.Boolean: False, _V.String: "", _V.DateTime: datetime(1601, 1, 1),
}  # fmt: skip


def not_known_yet(kinds: Collection[Any], moment: datetime) -> Any:
    """The DataValue of a result whose data type stands for some types on the wire; None where no value of them says nothing."""
    kind = next(iter(kinds)) if len(kinds) == 1 else None
    return shown(SAYS_NOTHING[kind], kind, UNCERTAIN_INITIAL_VALUE, moment, moment) if kind in SAYS_NOTHING else None


def is_not_known_yet(value: Any) -> bool:
    """Whether a DataValue says so."""
    return value.StatusCode is not None and value.StatusCode.value == UNCERTAIN_INITIAL_VALUE
