"""The form of a request that comes again with other numbers in it: what stands between them stays.

|count NodeId NodeId 2 type| number |type| number |        one unpack, and the bytes between are those of the form
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

from cnctwin.wire.scalars import FIXED, ua

_V = ua.VariantType
NUMBERS: Final[dict[Any, tuple[str, int]]] = {
    _V(number): FIXED[_V(number).name] for number in range(1, 12)
}  # Boolean to Double: struct code, bytes
MAX_FORMS: Final = 256
"""That a service keeps."""


class Form:
    """``raw``: a request. ``holes``: where its numbers stand, in order: offset, VariantType."""

    __slots__ = ("_between", "_unpack")

    def __init__(self, raw: bytes, holes: Iterable[tuple[int, Any]]) -> None:
        text, done = "<", 0
        for start, kind in holes:
            code, size = NUMBERS[kind]
            text += f"{start - done}s{code}"
            done = start + size
        self._unpack = struct.Struct(f"{text}{len(raw) - done}s").unpack
        self._between = self._unpack(raw)[::2]

    def numbers(self, raw: bytes) -> tuple[Any, ...] | None:
        """Those of a request of the same length; None when it differs in more than numbers."""
        parts = self._unpack(raw)
        return parts[1::2] if parts[::2] == self._between else None
