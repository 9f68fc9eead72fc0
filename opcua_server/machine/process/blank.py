"""A work piece before the first cut, as a program's STOCK comment or its cutting moves describe it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from opcua_server.machine.process.materials import DEFAULT, MATERIALS, Material

STOCK_COMMENT: Final = re.compile(
    r"\(\s*STOCK\s+(?P<material>[A-Z0-9]+)\s+"
    r"X(?P<x0>[-\d.]+)\s+Y(?P<y0>[-\d.]+)\s+Z(?P<z0>[-\d.]+)\s+TO\s+X(?P<x1>[-\d.]+)\s+Y(?P<y1>[-\d.]+)\s+Z(?P<z1>[-\d.]+)\s*\)",
    re.IGNORECASE,
)
"""``(STOCK C45 X0 Y0 Z-30 TO X120 Y80 Z1)``: material and box of the blank, mm, coordinates of the work offset in use."""

_BY_UPPER_NAME: Final = {name.upper(): material for name, material in MATERIALS.items()}


@dataclass(frozen=True, slots=True)
class Blank:
    """A work piece before the first cut: material and corners in mm, work coordinates."""

    material: Material
    low: tuple[float, float, float]
    high: tuple[float, float, float]


def read_blank(program_text: str) -> Blank | None:
    """The blank that a program's STOCK comment describes; None without one, or when it makes no sense."""
    match = STOCK_COMMENT.search(program_text)
    if match is None:
        return None
    try:
        low = (float(match["x0"]), float(match["y0"]), float(match["z0"]))
        high = (float(match["x1"]), float(match["y1"]), float(match["z1"]))
    except ValueError:
        return None
    material = _BY_UPPER_NAME.get(match["material"].upper())
    if material is None or any(a >= b for a, b in zip(low, high, strict=True)):
        return None
    return Blank(material, low, high)


def enclosing_blank(low: tuple[float, float, float], high: tuple[float, float, float]) -> Blank:
    """A blank of the default material for a program that describes none: the box its feed moves cover, cut at work zero."""
    top = max(min(high[2], 0.0), low[2] + 0.5)
    return Blank(DEFAULT, low, (max(high[0], low[0] + 1.0), max(high[1], low[1] + 1.0), top))
