"""The machine's connection to the mains as its power meter shows it: three phases and neutral, TN-S, 3 x 400 V, 50 Hz.

    drives: one diode rectifier for all     three phases alike    power factor rises with the load
    pumps, hydraulics, chiller, conveyor    three phases alike    induction motors, cos phi 0.80
    control (24 V supply)                   phase L1              power factor 0.97
    lights, fans                            phase L2              power factor 0.90

Reactive is what meters of this class show: all power that flows and does no work, that of harmonics too, so that
S^2 = P^2 + Q^2 in each phase. Nothing of it is ever capacitive, and nothing flows back: the drives brake into a resistor.

The voltage is that of the grid, which breathes with the day, with what neighbours switch and a little from phase to phase (EN 50160
allows 10 %), less what falls at the line's impedance. The meter is ahead of the main switch and shows means of a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from opcua_server.machine.energy import CONTROL_W, LIGHTS_FANS_W
from opcua_server.machine.sums import added

NOMINAL_V: Final = 230.0
RESISTANCE_OHM, REACTANCE_OHM = 0.12, 0.04
"""Of one conductor from the substation to the machine."""
MOTORS_PF, CONTROL_PF, LIGHTS_PF = 0.80, 0.97, 0.90
DRIVES_PF_IDLE, DRIVES_PF_FULL, DRIVES_PF_W = 0.62, 0.94, 4_000.0
"""A six-pulse rectifier behind a 4 % choke: its current flows in short pulses at little load. Between the two the factor rises with
1 - exp(-P / 4 kW)."""
_BREATH: Final = ((0.012, 86_400.0), (0.005, 1_117.0), (0.002, 61.0))
"""Share of the voltage, and period in s: the day, loads in the hall, a neighbour's cycle."""
UNBALANCE: Final = 0.004
"""Most that a phase is off by itself."""


def _tangent(power_factor: float) -> float:
    """Reactive power to each watt."""
    return math.sqrt(1.0 / (power_factor * power_factor) - 1.0)


_MOTORS, _CONTROL, _LIGHTS = _tangent(MOTORS_PF), _tangent(CONTROL_PF), _tangent(LIGHTS_PF)


def drives_reactive_var(power_w: float) -> float:
    """What the rectifier takes besides its active power."""
    factor = DRIVES_PF_FULL - (DRIVES_PF_FULL - DRIVES_PF_IDLE) * math.exp(-power_w / DRIVES_PF_W)
    return power_w * _tangent(factor)


@dataclass(slots=True)
class Grid:
    """The voltage that there is without this machine. ``phases_rad`` shift the periods above; ``shares``: of each phase, off by
    itself."""

    phases_rad: Sequence[float] = (0.0, 0.0, 0.0)
    shares: Sequence[float] = (0.0, 0.0, 0.0)

    def volts(self, time_s: float) -> list[float]:
        """Phase to neutral."""
        breath = 1.0
        for (share, period_s), shift in zip(_BREATH, self.phases_rad, strict=True):
            breath += share * math.sin(2.0 * math.pi * time_s / period_s + shift)
        return [NOMINAL_V * (breath + share) for share in self.shares]


@dataclass(slots=True)
class Mains:
    """What the meter shows of the last whole second, by phase: V to neutral, A, W, var. ``reactive_vars``: var s since first
    power-on, the sum of the var it has shown over its seconds."""

    volts: list[float] = field(default_factory=lambda: [NOMINAL_V] * 3)
    amperes: list[float] = field(default_factory=lambda: [0.0] * 3)
    active_w: list[float] = field(default_factory=lambda: [0.0] * 3)
    reactive_var: list[float] = field(default_factory=lambda: [0.0] * 3)
    reactive_vars: float = 0.0
    _row: tuple[float, ...] = ()

    def show(self, seconds: float, drives_j: float, auxiliary_j: float, open_v: Sequence[float]) -> None:
        """Take up ``seconds``: the energy that the drives together and all else took in them, and the grid's voltage."""
        drives_w, auxiliary_w = drives_j / seconds, auxiliary_j / seconds
        control_w = min(CONTROL_W, auxiliary_w)
        lights_w = min(LIGHTS_FANS_W, auxiliary_w - control_w)
        motors_w = auxiliary_w - control_w - lights_w
        third_w = (drives_w + motors_w) / 3.0
        third_var = (drives_reactive_var(drives_w) + motors_w * _MOTORS) / 3.0
        active, reactive = self.active_w, self.reactive_var
        active[0], active[1], active[2] = third_w + control_w, third_w + lights_w, third_w
        reactive[0], reactive[1], reactive[2] = third_var + control_w * _CONTROL, third_var + lights_w * _LIGHTS, third_var
        for phase, volts in enumerate(open_v):
            fall_v = (RESISTANCE_OHM * active[phase] + REACTANCE_OHM * reactive[phase]) / volts
            self.volts[phase] = volts - fall_v
            self.amperes[phase] = math.hypot(active[phase], reactive[phase]) / self.volts[phase]
        self.reactive_vars += added(reactive) * seconds
        self._row = ()

    def go_on(self, reactive_vars: float) -> None:
        """From what it had come to."""
        self.reactive_vars, self._row = reactive_vars, ()

    @property
    def power_factor(self) -> float:
        """Of all phases together; 1 where nothing flows."""
        active = added(self.active_w)
        return active / math.hypot(active, added(self.reactive_var)) if active > 0.0 else 1.0

    def row(self) -> tuple[float, ...]:
        """What signals show of it: V, A and W of each phase, var of all, power factor, var s."""
        if not self._row:
            self._row = (
                *self.volts, *self.amperes, *self.active_w, added(self.reactive_var), self.power_factor, self.reactive_vars
            )  # fmt: skip
        return self._row


MAINS_ROW: Final = 12
"""How many values that are."""
