"""Hydraulics and way lubrication. Pure: between two events each is a function of time, so nothing is stepped.

    hydraulics   72 bar .  .  /\\        /\\         the pump charges the accumulator, leakage empties it; a clamp that moves
                 58 bar ____/  \\______/  \\___      takes its volume at once
    lubrication  16 bar  .  |\\__________|\\____      every twelve minutes a stroke, and the distributor gives it away; the PLC
                                                       times how long the pressure takes to fall from 12 to 4 bar

Pressures in bar, times in s of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CHARGED_BAR: Final = 72.0
CHARGE_AT_BAR: Final = 58.0
CHARGE_BAR_S: Final = 4.0
LEAK_BAR_S: Final = 0.12
"""Of valves and seals, of a machine in the middle of a fleet: two minutes from charge to charge."""
CLAMP_BAR: Final = 5.5
"""What the fixture's cylinders take from the accumulator for one movement."""
STROKE_BAR: Final = 16.0
STROKE_S: Final = 12.0
STROKE_RISE_S: Final = 2.0
INTERVAL_S: Final = 720.0
GIVEN_AWAY_S: Final = 45.0
"""Time constant with which metering valves that are clean take the oil."""

FALL_FROM_BAR, FALL_TO_BAR = 12.0, 4.0
"""What the PLC's timer of the lubrication starts and stops at."""


class Hydraulics:
    """Pump, accumulator and valves of the clamps. ``leak``: of this machine, of ``LEAK_BAR_S``."""

    def __init__(self, leak: float = 1.0) -> None:
        self._leak_bar_s = LEAK_BAR_S * leak
        self._since_s, self._bar = 0.0, CHARGED_BAR
        self._charges = False
        self._runs = True

    def at(self, now_s: float) -> tuple[float, bool]:
        """Pressure, and whether the pump charges. ``now_s`` is not before the last event."""
        passed_s, bar, leak = now_s - self._since_s, self._bar, self._leak_bar_s
        if not self._runs:
            return max(bar - leak * passed_s, 0.0), False
        if self._charges:
            full_s = (CHARGED_BAR - bar) / CHARGE_BAR_S
            if passed_s < full_s:
                return bar + CHARGE_BAR_S * passed_s, True
            passed_s, bar = passed_s - full_s, CHARGED_BAR
        empty_s = (bar - CHARGE_AT_BAR) / leak
        if passed_s < empty_s:
            return bar - leak * passed_s, False
        rise_s, fall_s = (CHARGED_BAR - CHARGE_AT_BAR) / CHARGE_BAR_S, (CHARGED_BAR - CHARGE_AT_BAR) / leak
        passed_s = (passed_s - empty_s) % (rise_s + fall_s)
        if passed_s < rise_s:
            return CHARGE_AT_BAR + CHARGE_BAR_S * passed_s, True
        return CHARGED_BAR - leak * (passed_s - rise_s), False

    @property
    def state(self) -> tuple[float, float, float, bool]:
        """All that ``at`` depends on with the pump's contactor on: when the last event was, the pressure then, what leaks (bar/s),
        whether the pump charged."""
        return self._since_s, self._bar, self._leak_bar_s, self._charges

    def take(self, now_s: float) -> None:
        """A clamp moves."""
        bar, charges = self.at(now_s)
        self._set(now_s, max(bar - CLAMP_BAR, 0.0), charges)

    def switch(self, now_s: float, runs: bool) -> None:
        """The pump's contactor; without it the accumulator holds what the leakage leaves."""
        if runs is not self._runs:
            bar, _ = self.at(now_s)
            self._runs = runs
            self._set(now_s, bar, False)

    def _set(self, now_s: float, bar: float, charges: bool) -> None:
        self._since_s, self._bar = now_s, bar
        self._charges = self._runs and (charges or bar < CHARGE_AT_BAR)

    def save(self, now_s: float) -> dict[str, Any]:
        bar, charges = self.at(now_s)
        return {"bar": bar, "charges": charges}

    def restore(self, saved: Mapping[str, Any], now_s: float) -> None:
        """The pump runs."""
        self._runs = True
        self._set(now_s, float(saved.get("bar", CHARGED_BAR)), bool(saved.get("charges", False)))


def lubrication_bar(now_s: float, phase: float, give_away: float) -> float:
    """Pressure in the main line of the way lubrication. ``phase``: of the timer, 0 to 1; ``give_away``: factor on the time
    constant, of what this machine's metering valves are like and of how far they are clogged."""
    since_s = (now_s + phase * INTERVAL_S) % INTERVAL_S
    if since_s < STROKE_S:
        return STROKE_BAR * (1.0 - math.exp(-since_s / STROKE_RISE_S))
    return STROKE_BAR * math.exp(-(since_s - STROKE_S) / (GIVEN_AWAY_S * give_away))


def lubrications_bar(now_s: Floats, phase: Floats, give_away: Floats) -> Floats:
    """As ``lubrication_bar`` of machines (machines,) at many moments (blocks, machines)."""
    since_s = (now_s + phase * INTERVAL_S) % INTERVAL_S
    rises = since_s < STROKE_S
    fades = np.where(rises, -since_s / STROKE_RISE_S, -(since_s - STROKE_S) / (GIVEN_AWAY_S * give_away))
    left = np.array([*map(math.exp, fades.ravel().tolist())]).reshape(fades.shape)
    return STROKE_BAR * np.where(rises, 1.0 - left, left)


class FallTimer:
    """Times how the pressure falls after each stroke: how clean the distributor is. ``last_s``: of the last, 0 before the first.

    It times strokes that it has seen from their beginning, so that it is silent for up to a whole interval after a start.
    """

    def __init__(self, last_s: float = 0.0) -> None:
        self.last_s = last_s
        self._waits = False
        self._before_s = INTERVAL_S
        self._next_s = 0.0
        """Nothing happens before."""

    def rests(self, until_s: float) -> bool:
        """Whether nothing happens till then."""
        return until_s < self._next_s

    def step(self, now_s: float, phase: float, give_away: float) -> None:
        """Let time pass; arguments as of ``lubrication_bar``. Called once for each block, whoever looks at it."""
        if now_s < self._next_s:
            return
        since_s = (now_s + phase * INTERVAL_S) % INTERVAL_S
        if since_s < self._before_s:
            self._waits = self._before_s < INTERVAL_S
        self._before_s = since_s
        constant_s = GIVEN_AWAY_S * give_away
        if self._waits and since_s >= STROKE_S + constant_s * _TO_LOW:
            self._waits = False
            stroke = int((now_s + phase * INTERVAL_S) // INTERVAL_S)
            # Of this machine and this stroke: the same however time is cut up, and by whom.
            drawn = np.random.Generator(np.random.Philox(key=[int(phase * 2.0**53), stroke])).standard_normal()
            self.last_s = constant_s * (_FROM_HIGH_TO_LOW + FALL_SPREAD * float(drawn))
        if not self._waits:
            self._next_s = now_s + (INTERVAL_S - since_s) - _AHEAD_S


_AHEAD_S: Final = 2.0
"""How long before the next stroke it looks again: more than the time between two looks."""
FALL_SPREAD: Final = 0.025 * math.hypot(1.0 / FALL_FROM_BAR, 1.0 / FALL_TO_BAR)
"""Of the time constant: the PLC averages a pressure of 0.08 bar of noise over a second, and it passes its marks slowly."""
_TO_LOW: Final = math.log(STROKE_BAR / FALL_TO_BAR)
_FROM_HIGH_TO_LOW: Final = math.log(FALL_FROM_BAR / FALL_TO_BAR)
