"""Compressed air: the shop's net, the machine's filter and regulator, and what takes air.

    net (5.9-6.9 bar, the compressor switches) --filter--> regulator (6.0 bar) --> drawbar, tool arm, sealing air

The regulator holds its pressure while the net behind the filter has more. A filter lets less through the more flow there is, so
a clogged one shows when air is taken and hides at a stand. Pressures in bar above the atmosphere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

REGULATED_BAR: Final = 6.0
LEAST_BAR: Final = 4.2
"""The pressure switch of the drawbar: below it the machine must not clamp."""
NET_LOW_BAR: Final = 5.9
NET_SPAN_BAR: Final = 1.0
COMPRESSOR_S: Final = 140.0
"""From switching on to switching on: the net rises for a quarter of it and falls for the rest."""
REGULATOR_DROP_BAR: Final = 0.25
"""At full flow."""
CLOGGED_BAR: Final = 0.7
CLOGGED_FLOW_BAR: Final = 3.0
"""What a filter that is all clogged costs at a stand, and more with the square of the flow."""
SETTLE_S: Final = 0.6
SEALING_FLOW: Final = 0.35
IDLE_FLOW: Final = 0.05
TOOL_CHANGE_FLOW: Final = 1.0
CLAMP_S: Final = 0.9
"""Part of a tool change in which cylinders move: it takes longer with less pressure."""


@dataclass(slots=True)
class AirUnit:
    pressure_bar: float = REGULATED_BAR
    low_s: float = 0.0
    """How long the pressure switch has been open."""

    def step(self, dt_s: float, time_s: float, phase: float, spindle_turns: bool, changing: bool, loss: float) -> None:
        """``phase``: 0 to 1, of the compressor; ``loss``: restriction of the filter, 0 to 1."""
        at = (time_s / COMPRESSOR_S + phase) % 1.0
        net = NET_LOW_BAR + NET_SPAN_BAR * (4.0 * at if at < 0.25 else (1.0 - at) / 0.75)
        flow = TOOL_CHANGE_FLOW if changing else SEALING_FLOW if spindle_turns else IDLE_FLOW
        behind = net - loss * (CLOGGED_BAR + CLOGGED_FLOW_BAR * flow * flow)
        target = (behind if behind < REGULATED_BAR else REGULATED_BAR) - REGULATOR_DROP_BAR * flow
        bar = self.pressure_bar
        self.pressure_bar = bar = bar + (target - bar) * (1.0 - math.exp(-dt_s / SETTLE_S))
        self.low_s = self.low_s + dt_s if bar < LEAST_BAR else 0.0

    @property
    def clamping_s(self) -> float:
        """How much longer a tool change takes than at the regulated pressure: speed of a cylinder follows the root of pressure."""
        bar = self.pressure_bar
        return CLAMP_S * (math.sqrt(REGULATED_BAR / (bar if bar > 1.0 else 1.0)) ** 3 - 1.0)
