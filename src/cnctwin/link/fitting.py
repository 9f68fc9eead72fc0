"""What a server gave as the value of a signal, in the form that its signal has; None where it is none.

A number is a number, whatever its size on the wire. What is not finite, a whole number that its type cannot hold, and a list in
place of one value are none: other makers' servers send them when a sensor is broken or a variable was made anew as another type.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import Value
from nodesets.catalogue import SIGNALS

KINDS: Final[dict[str, str]] = {signal.name: signal.type for signal in SIGNALS}
_RANGES: Final = {"Byte": (0, 2**8 - 1), "UInt16": (0, 2**16 - 1), "UInt32": (0, 2**32 - 1), "Int32": (-(2**31), 2**31 - 1)}


def fitted(kind: str, value: Any) -> Any:
    """``kind``: a type of the catalogue."""
    if kind.endswith("[]"):
        if not isinstance(value, list):
            return None
        items = [fitted(kind[:-2], item) for item in value]
        return None if None in items else items
    if isinstance(value, list):
        return None
    if kind in ("String", "LocalizedText"):
        return value.Text or "" if isinstance(value, ua.LocalizedText) else str(value)
    if kind == "DateTime":
        return value if isinstance(value, datetime) else None
    if not isinstance(value, bool | int | float) or not math.isfinite(value):
        return None
    if kind == "Boolean":
        return bool(value)
    if kind == "Double":
        return float(value)
    low, high = _RANGES[kind]
    return found if low <= (found := round(value)) <= high else None


def fits(signal: str, value: Value) -> Value | None:
    """The value of a signal that is taken as the server shows it; of a name that is no signal, whatever it is."""
    if value.__class__ is float and value - value == 0.0:  # type: ignore[operator]  # most of them, and infinity - infinity is not 0
        kind = KINDS.get(signal)
        return value if kind == "Double" or kind is None else fitted(kind, value)  # type: ignore[no-any-return]
    kind = KINDS.get(signal)
    return value if kind is None else fitted(kind, value)  # type: ignore[no-any-return]
