"""The paths of the catalogue: qualified names from the machine object down.

    CNC:CncInterface/CNC:CncAxisList/{CNC:CncAxisType}X/CNC:PosDirect/CNC:ActPos

A step is a qualified name, or ``{type}name``: an instance of that type (subtypes count), which we call ``name`` and a foreign
server may call as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class QName:
    """A name qualified by a prefix of `nodesets.namespaces.URI`."""

    prefix: str
    name: str

    def __str__(self) -> str:
        return f"{self.prefix}:{self.name}"


@dataclass(frozen=True, slots=True)
class Step:
    """``type`` is set for a placeholder; its ``name`` is then only ours, and without meaning elsewhere."""

    name: str
    prefix: str = ""
    type: QName | None = None

    def __str__(self) -> str:
        return f"{self.prefix}:{self.name}" if self.type is None else f"{{{self.type}}}{self.name}"


Path = tuple[Step, ...]


def qname(text: str) -> QName:
    prefix, colon, name = text.partition(":")
    if not colon or not prefix or not name:
        raise ValueError(f"{text!r} is not prefix:name")
    return QName(prefix, name)


def _step(text: str) -> Step:
    if text.startswith("{"):
        type_name, brace, name = text[1:].partition("}")
        if not brace or not name:
            raise ValueError(f"{text!r} is not {{type}}name")
        return Step(name, type=qname(type_name))
    named = qname(text)
    return Step(named.name, named.prefix)


@cache
def parse(path: str) -> Path:
    """Raises ValueError with the step that is wrong."""
    return tuple(_step(text) for text in path.split("/"))
