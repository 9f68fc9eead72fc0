"""The Like operator's patterns (OPC 10000-4, 7.7.3): % any text, _ one character, [abc] [a-z] [^a], \\ takes the next as it is.

Matched with one place to return to, the last %, so the time is at most text times pattern, whatever a stranger writes.
"""

from __future__ import annotations

from collections.abc import Callable

_Test = Callable[[str], bool]


def matches(text: str, pattern: str) -> bool:
    """Whether the whole text is described by the pattern."""
    parts = _parts(pattern)
    position = part = 0
    back_part, back_position = -1, 0
    while position < len(text):
        if part < len(parts) and (test := parts[part]) is None:
            back_part, back_position = part, position
            part += 1
        elif part < len(parts) and test is not None and test(text[position]):
            part += 1
            position += 1
        elif back_part >= 0:
            back_position += 1
            position, part = back_position, back_part + 1
        else:
            return False
    return all(rest is None for rest in parts[part:])


def _parts(pattern: str) -> list[_Test | None]:
    """A test per character, None for %."""
    parts: list[_Test | None] = []
    index = 0
    while index < len(pattern):
        sign = pattern[index]
        index += 1
        if sign == "%":
            if not parts or parts[-1] is not None:
                parts.append(None)
        elif sign == "_":
            parts.append(lambda _character: True)
        elif sign == "[" and (end := pattern.find("]", index + 1)) > 0:
            parts.append(_set(pattern[index:end]))
            index = end + 1
        else:
            if sign == "\\" and index < len(pattern):
                sign = pattern[index]
                index += 1
            parts.append(lambda character, wanted=sign: character == wanted)  # type: ignore[misc]
    return parts


def _set(content: str) -> _Test:
    is_negated = content.startswith("^") and len(content) > 1
    content = content[1:] if is_negated else content
    singles: set[str] = set()
    ranges: list[tuple[str, str]] = []
    index = 0
    while index < len(content):
        if index + 2 < len(content) and content[index + 1] == "-":
            ranges.append((content[index], content[index + 2]))
            index += 3
        else:
            singles.add(content[index])
            index += 1

    def test(character: str) -> bool:
        return (character in singles or any(low <= character <= high for low, high in ranges)) != is_negated

    return test
