"""Roughness that a cut leaves on the surface.

The feed marks of an ideal tool are cusps: on a wall Rz = fz^2 / (4 D) by the circle of the tool, on a floor Rz = fz^2 / (8 r)
by the corner radius, and Ra is a quarter of Rz for such arcs. What is really measured is never below what chip formation and
runout leave, grows with the worn flank, and with everything that makes the teeth cut differently deep: a chipped edge leaves a
mark of a whole turn's double feed, chatter its own waves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opcua_server.machine.tools import ToolType

CORNER_MM: Final = {"face_mill": 0.8, "end_mill": 0.4, "boring_bar": 0.4}
"""Radius of the corner between edge and end face by kind of tool; others leave a wall only."""
FLOOR_UM: Final = 0.45
"""Ra of a sharp tool at a vanishing feed."""
WEAR_UM_MM: Final = 3.0
CHATTER_UM: Final = 5.0


def marks_per_um(tool: ToolType) -> float:
    """What Rz in um comes to per mm2 of the square of the feed per tooth."""
    corner = CORNER_MM.get(tool.kind)
    return 1000.0 / (8.0 * corner) if corner else 1000.0 / (4.0 * tool.diameter_mm)


def roughness_um(tool: ToolType, fz_mm: float, flank_wear_mm: float, chipped: float, chatter: float) -> float:
    """Ra in um at a feed per tooth; ``chipped`` and ``chatter`` 0 to 1."""
    found: float = ra_um(marks_per_um(tool), fz_mm, flank_wear_mm, chipped, chatter)
    return found


def ra_um(per_um: Any, fz_mm: Any, flank_wear_mm: Any, chipped: float = 0.0, chatter: float = 0.0) -> Any:
    """As ``roughness_um`` of a tool with ``marks_per_um``, or of columns of tools."""
    marks = fz_mm * fz_mm * per_um / 4.0
    marks = marks * (1.0 + 3.0 * chipped)
    return FLOOR_UM + marks + WEAR_UM_MM * flank_wear_mm + CHATTER_UM * chatter
