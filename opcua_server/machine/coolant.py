"""The coolant unit: pump, filter, nozzles and tank.

Flow follows the pump with the time the hoses take to fill; pressure follows the square of the flow (nozzles) plus the ripple
of the pump. The tank loses what chips and mist carry away, and is refilled when it is low. Flow in l/min, pressure in bar,
level in per cent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

NOMINAL_FLOW: Final = 28.0
NOMINAL_PRESSURE: Final = 6.2
NOZZLE_PRESSURE_SHARE: Final = 0.8
"""Of nominal pressure; the rest falls over the filter."""
PUMP_W: Final = 1050.0
PUMP_HEAT_SHARE: Final = 0.6
LOSS_PERCENT_H: Final = 1.1
REFILL_AT_PERCENT: Final = 62.0
FULL_PERCENT: Final = 94.0
REFILL_PERCENT_S: Final = 0.35
FILTER_HOURS: Final = 2.5
"""Pump time in which chips fill the filter; it is flushed back by itself when the pump stops after that. What stays in its cloth is
counted elsewhere (`upkeep.FILTER_HOURS`)."""
FILTER_LOSS: Final = 0.2
"""Share of the flow that a full filter costs: what is healthy, and what a fault has to be told from."""
PUMP_WEAR: Final = 0.06
"""Of the pumps of a fleet at the most."""
RIPPLE: Final = 0.012
"""Standard deviation of the pressure as share of nominal, healthy pump."""


@dataclass(slots=True)
class CoolantUnit:
    on: bool = False
    flow_l_min: float = 0.0
    pressure_bar: float = 0.0
    ripple_bar: float = 0.0
    """Standard deviation of the pressure around its mean."""
    level_percent: float = 90.0
    pump_wear: float = 0.0
    """Share of the flow that the clearances of this pump cost: no two pumps are alike."""
    filter_load: float = 0.0
    """0 just flushed, 1 due for flushing."""
    refilling: bool = False
    leaking: bool = False

    def step(self, dt_s: float, delivery: float, ripple: float, leak_percent_h: float) -> None:
        """``delivery``: what pump and filter let through, of nominal; a low tank lets the pump draw air."""
        on = self.on
        if on:
            load = self.filter_load + dt_s / (3600.0 * FILTER_HOURS)
            self.filter_load = load if load < 1.0 else 1.0
        elif self.filter_load >= 1.0:
            self.filter_load = 0.0
        if on or self.flow_l_min > 0.0:
            self._deliver(dt_s, delivery, ripple)
        loss = LOSS_PERCENT_H * (1.0 if on else 0.1) + leak_percent_h
        level = self.level_percent - loss * dt_s / 3600.0
        # Nobody refills a tank that loses its content under the machine: the float valve sees a leak and stays shut.
        self.leaking = leak_percent_h > 5.0
        if level < REFILL_AT_PERCENT and not self.leaking:
            self.refilling = True
        if self.refilling:
            level += REFILL_PERCENT_S * dt_s
            self.refilling = level < FULL_PERCENT
        self.level_percent = 2.0 if level < 2.0 else min(level, 100.0)

    def _deliver(self, dt_s: float, delivery: float, ripple: float) -> None:
        """Flow, and the pressure that it makes."""
        delivery *= (1.0 - FILTER_LOSS * self.filter_load) * (1.0 - self.pump_wear)
        suction, flow = self.level_percent / 15.0, self.flow_l_min
        target = NOMINAL_FLOW * delivery * (suction if suction < 1.0 else 1.0) if self.on else 0.0
        flow += (target - flow) * (1.0 - math.exp(-dt_s / 0.45))
        if flow < 0.01:
            flow = 0.0
        self.flow_l_min = flow
        share = flow / NOMINAL_FLOW
        # A clogged filter holds the pump's pressure up while the flow falls; without flow nothing builds up.
        throttled = (1.0 - NOZZLE_PRESSURE_SHARE) * (share if share < 1.0 else 1.0) * (2.0 - delivery)
        self.pressure_bar = NOMINAL_PRESSURE * (NOZZLE_PRESSURE_SHARE * share * share + throttled)
        self.ripple_bar = RIPPLE * NOMINAL_PRESSURE * ripple * (2.0 * share if share < 0.5 else 1.0)

    @property
    def pump_power_w(self) -> float:
        return PUMP_W if self.on else 0.0

    def wear_factor(self, needs_coolant: float, concentration: float) -> float:
        """How much faster an edge wears than with full, rich coolant: 1 to about 2.

        ``needs_coolant``: 0 for what is cut dry as well, 1 for what must be flooded.
        """
        wet = self.flow_l_min / (0.8 * NOMINAL_FLOW)
        wet = (wet if wet < 1.0 else 1.0) * (0.5 + 0.5 * concentration)
        return 1.0 + needs_coolant * (1.0 - wet)
