"""What decoding one message may cost, and how it fails.

A count is believed only when the bytes that remain can hold that many elements, so time and memory stay proportional to
the bytes received; a budget of elements bounds what the smallest encodings (a Variant of one byte) blow up to; nesting is
bounded as OPC 10000-6, 5.2.2.6 asks.
"""

from __future__ import annotations

from typing import Final

BAD_DECODING_ERROR: Final = 0x80070000
BAD_ENCODING_LIMITS_EXCEEDED: Final = 0x80080000

MAX_DEPTH: Final = 100
MAX_ARRAY: Final = 65_536
MAX_STRING: Final = 1 << 20
MAX_ELEMENTS: Final = 200_000


class DecodingError(ValueError):
    """The bytes are no valid encoding, or exceed a limit; ``status`` is the OPC UA status code that says which."""

    def __init__(self, text: str, status: int = BAD_DECODING_ERROR) -> None:
        super().__init__(text)
        self.status = status


class Budget:
    """What is left for one message: array elements in all, and levels of nesting. Limits in elements, bytes, levels."""

    __slots__ = ("depth", "elements", "max_array", "max_string")

    def __init__(
        self, elements: int = MAX_ELEMENTS, *, max_array: int = MAX_ARRAY, max_string: int = MAX_STRING, depth: int = MAX_DEPTH
    ) -> None:
        self.elements = elements
        self.max_array = max_array
        self.max_string = max_string
        self.depth = depth

    def take(self, count: int, size: int, left: int) -> None:
        """Accept an array of ``count`` elements of at least ``size`` bytes each, with ``left`` bytes to come."""
        if count * size > left:
            raise DecodingError(f"an array of {count} elements in {left} bytes")
        if count > self.max_array:
            raise DecodingError(f"an array of {count} elements; at most {self.max_array}", BAD_ENCODING_LIMITS_EXCEEDED)
        self.elements -= count
        if self.elements < 0:
            raise DecodingError("too many array elements in one message", BAD_ENCODING_LIMITS_EXCEEDED)

    def enter(self) -> None:
        self.depth -= 1
        if self.depth < 0:
            raise DecodingError("nested too deeply", BAD_ENCODING_LIMITS_EXCEEDED)

    def leave(self) -> None:
        self.depth += 1
