"""The tool magazine: 24 pockets, what is in them, and how worn each edge is.

The cutters are an ordinary set for a 40-taper vertical mill. Lengths are from the gauge line of the spindle, so they are
what G43 H compensates. Wear itself is in ``process.wear``; here is which edge has used up how much of its life.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from opcua_server.machine.noise import TOOL_LIFE, TOOL_SETTER, generator
from opcua_server.machine.process.wear import CRITERION_MM, LIFE_SCATTER_SIGMA, flank_wear_mm

POCKETS: Final = 24
SETTER_SPREAD_MM: Final = 0.004
"""Standard deviation of a flank measurement by the tool setter."""

BENDING_N_MM2: Final = 22.0
"""Force on the edges, per square millimetre of diameter, at which a sound carbide tool breaks: a shank of 0.7 D that stands out
3 D, with a strength of 2000 N/mm2."""
WEAR_WEAKENS: Final = 0.35
"""Share of it that is lost at twice the wear criterion: heat cracks, and a blunt edge that hammers."""


@dataclass(frozen=True, slots=True)
class ToolType:
    """What a tool is; ``nominal_fz_mm``: feed per tooth its life is given for; ``edge``: "carbide" or "hss"."""

    number: int
    name: str
    kind: str
    diameter_mm: float
    teeth: int
    length_mm: float
    nominal_fz_mm: float
    edge: str = "carbide"

    @property
    def cuts_along_axis(self) -> bool:
        return self.kind in ("drill", "tap", "reamer")


_ROWS: Final = (
    ("Face mill D63 z5", "face_mill", 63.0, 5, 118.0, 0.15),
    ("Face mill D50 z4", "face_mill", 50.0, 4, 115.0, 0.15),
    ("End mill D20 z4", "end_mill", 20.0, 4, 132.0, 0.10),
    ("End mill D16 z4", "end_mill", 16.0, 4, 126.0, 0.09),
    ("End mill D12 z4", "end_mill", 12.0, 4, 118.0, 0.07),
    ("End mill D10 z4", "end_mill", 10.0, 4, 112.0, 0.06),
    ("End mill D8 z3", "end_mill", 8.0, 3, 106.0, 0.05),
    ("End mill D6 z3", "end_mill", 6.0, 3, 101.0, 0.035),
    ("Spot drill D10 90 deg", "drill", 10.0, 2, 120.0, 0.06),
    ("Drill D5.0", "drill", 5.0, 2, 122.0, 0.06),
    ("Drill D6.8", "drill", 6.8, 2, 128.0, 0.08),
    ("Drill D8.5", "drill", 8.5, 2, 134.0, 0.10),
    ("Drill D10.2", "drill", 10.2, 2, 140.0, 0.12),
    ("Tap M6", "tap", 6.0, 3, 118.0, 0.33),
    ("Tap M8", "tap", 8.0, 3, 124.0, 0.42),
    ("Tap M10", "tap", 10.0, 3, 130.0, 0.50),
    ("Chamfer mill D12 90 deg", "chamfer_mill", 12.0, 4, 110.0, 0.05),
    ("Roughing mill D16 z3 AL", "end_mill", 16.0, 3, 128.0, 0.12),
    ("Ball nose D10 z2", "end_mill", 10.0, 2, 114.0, 0.06),
    ("Bull nose D12 R1 z4", "end_mill", 12.0, 4, 116.0, 0.07),
    ("Reamer D10 H7", "reamer", 10.0, 6, 138.0, 0.08),
    ("Boring bar D32", "boring_bar", 32.0, 1, 145.0, 0.08),
    ("Slot drill D12 z2", "end_mill", 12.0, 2, 115.0, 0.06),
    ("Edge finder D10", "probe", 10.0, 0, 105.0, 0.0),
)

CUTTERS: Final = {number: ToolType(number, *row, "hss" if row[1] == "tap" else "carbide") for number, row in enumerate(_ROWS, 1)}


class Tool:
    """One pocket's tool with the edge that is in it now.

    ``used``: share of the edge's life that is used up; the true state, which no sensor sees. ``measured_percent``: what the
    tool setter last saw of it.
    """

    def __init__(self, type_: ToolType, seed: int, machine: int) -> None:
        self.type = type_
        self._seed, self._machine = seed, machine
        self.edges = 0
        """Edges before this one."""
        self.used = 0.0
        self.cutting_time_s = 0.0
        self.measurements = 0
        self.measured_percent = 0.0
        self.cut_mm = 0.0
        """Path in cut since the edge was new."""
        self.uses = 0
        """How often it was brought to the spindle since the edge was new."""
        self.last_used_s = -1.0
        """Machine time at which it left the spindle last; -1 for never."""
        self._worn = (0.0, 0.0)
        """Flank wear in mm behind the share of life that it was worked out for."""
        self.locked = False
        self.broken = False
        self.nominal_used = 0.0
        """What an average edge would have used up of its life by now, healthy and well cooled."""
        self.expected_life_min = 45.0
        """Life in time in cut that the edges before this one led to expect."""
        self._begin_edge()

    def _begin_edge(self) -> None:
        born = generator(self._seed, self._machine, TOOL_LIFE + self.type.number, self.edges).standard_normal(2)
        self.life_scatter = math.exp(LIFE_SCATTER_SIGMA * float(born[0]))
        """This edge's life against the average of its kind."""
        self.unbalance_mm_s = 0.25 + 0.12 * abs(float(born[1]))
        """Vibration velocity at 10,000 r/min from the unbalance of tool and holder."""

    @property
    def flank_wear_mm(self) -> float:
        used, worn_mm = self._worn
        if used != self.used:
            worn_mm = flank_wear_mm(self.used)
            self._worn = (self.used, worn_mm)
        return worn_mm

    def strength_n(self, flank_wear_mm: float) -> float:
        """Force on the edges at which it breaks when its flank is worn that far."""
        worn = min(flank_wear_mm / (2.0 * CRITERION_MM), 1.0)
        return BENDING_N_MM2 * self.type.diameter_mm**2 * (1.0 - WEAR_WEAKENS * worn)

    @property
    def true_percent(self) -> float:
        return 100.0 * self.flank_wear_mm / CRITERION_MM

    @property
    def nominal_life_min(self) -> float:
        """Expected life of an average edge in minutes in cut, at the conditions this one was used at so far."""
        if self.nominal_used < 1e-4:
            return self.expected_life_min
        return self.cutting_time_s / 60.0 / self.nominal_used

    def measure(self) -> None:
        """The tool setter looks at the flank: each look has its own error. A tool that is too short is broken."""
        error = generator(self._seed, self._machine, TOOL_SETTER + self.type.number, self.measurements).standard_normal()
        self.measurements += 1
        seen_mm = self.flank_wear_mm + SETTER_SPREAD_MM * float(error) if self.used > 0.0 else 0.0
        self.measured_percent = 200.0 if self.broken else min(max(100.0 * seen_mm / CRITERION_MM, 0.0), 200.0)

    def renew(self) -> None:
        """A new edge: wear and time in cut start from zero, with a life of its own."""
        self.expected_life_min = self.nominal_life_min
        self.edges += 1
        self.used = self.nominal_used = self.cutting_time_s = self.measured_percent = self.cut_mm = 0.0
        self.uses = 0
        self.locked = self.broken = False
        self._begin_edge()

    def save(self) -> dict[str, float | bool]:
        return {
            "edges": self.edges, "used": self.used, "cutting_time_s": self.cutting_time_s,
            "nominal_used": self.nominal_used, "expected_life_min": self.expected_life_min,
            "measurements": self.measurements, "measured_percent": self.measured_percent, "locked": self.locked,
            "broken": self.broken, "cut_mm": self.cut_mm, "uses": self.uses, "last_used_s": self.last_used_s,
        }  # fmt: skip

    def restore(self, saved: dict[str, float | bool]) -> None:
        self.edges, self.measurements = int(saved["edges"]), int(saved["measurements"])
        self.used, self.nominal_used = float(saved["used"]), float(saved["nominal_used"])
        self.expected_life_min = float(saved["expected_life_min"])
        self.cutting_time_s, self.measured_percent = float(saved["cutting_time_s"]), float(saved["measured_percent"])
        self.locked, self.broken = bool(saved["locked"]), bool(saved.get("broken", False))
        self.cut_mm, self.uses = float(saved.get("cut_mm", 0.0)), int(saved.get("uses", 0))
        self.last_used_s = float(saved.get("last_used_s", -1.0))
        self._begin_edge()


def magazine(seed: int, machine: int) -> dict[int, Tool]:
    """A full magazine of tools with new edges, by number."""
    return {number: Tool(type_, seed, machine) for number, type_ in CUTTERS.items()}
