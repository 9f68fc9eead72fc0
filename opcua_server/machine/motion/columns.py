"""Parameters of feed drives side by side, with what can be worked out once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import exp, pi
from typing import Final

import numpy as np

from opcua_server.machine.motion.block import Floats
from opcua_server.machine.motion.filters import lfilter
from opcua_server.machine.parameters import SAMPLE_S, AxisParameters


class Columns:
    """One array (axes, 1) for each parameter: a row of samples of each axis meets it as one number."""

    def __init__(self, parameters: Sequence[AxisParameters]) -> None:
        def column(name: str) -> Floats:
            return np.array([[getattr(one, name)] for one in parameters], dtype=np.float64)

        self.axes = len(parameters)
        self._parameters = tuple(parameters)
        self._fewer: dict[int, Columns] = {}
        self.lag = _alike([_lag(one) for one in parameters])
        self.washout = _alike([_washout(one) for one in parameters])
        self.presliding2 = 2.0 * column("presliding_mm")
        self.per_presliding = 1.0 / column("presliding_mm")
        self.coulomb = column("coulomb_friction_n")
        self.static_rise = (column("static_friction_ratio") - 1.0) * self.coulomb
        self.per_stribeck = 1.0 / column("stribeck_velocity_mm_s")
        self.viscous = column("viscous_friction_n_s_per_mm")
        self.weight = column("weight_n")
        self.per_stiffness = 1.0 / column("servo_stiffness_n_per_mm")
        self.backlash = column("backlash_mm")
        self.pitch_slope = column("pitch_error_um_per_m") * 1e-6
        self.pitch_wave_mm = column("pitch_wave_um") * 1e-3
        self.growth_per_k = column("growth_um_per_m_k") * 1e-6
        self.fixed_end_mm = column("fixed_end_mm")
        self.reference_temperature_c = column("reference_temperature_c")
        self.turn_per_mm = 2.0 * pi / column("lead_mm")
        """rad of the motor per mm of the axis."""
        self.metres_per_rad = 1e-3 / self.turn_per_mm
        self.mass_1e_3 = column("moving_mass_kg") * 1e-3
        """N per mm/s2."""
        self.efficiency = column("screw_efficiency")
        self.per_efficiency = 1.0 / self.efficiency
        self.rotor = column("rotor_inertia_kg_m2") * self.turn_per_mm
        """N m per mm/s2."""
        self.copper = column("winding_resistance_ohm") / column("torque_constant_nm_per_a") ** 2
        """W per (N m)^2."""
        self.regeneration_loss = 1.0 - column("regeneration_efficiency")
        self.standby = column("standby_power_w")
        self.percent_per_nm = 100.0 / column("rated_torque_nm")
        self.told, self.room, self.summed = Room(4), Room(14), Room(1)
        """Memory of what the axes are told, of what they do, and of what is summed up over it."""

    def first(self, axes: int) -> Columns:
        """Of the first so many axes, in the same memory."""
        if axes == self.axes:
            return self
        if axes not in self._fewer:
            fewer = self._fewer[axes] = Columns(self._parameters[:axes])
            fewer.told, fewer.room, fewer.summed = self.told, self.room, self.summed
        return self._fewer[axes]


@functools.lru_cache(maxsize=8)
def shared(parameters: tuple[AxisParameters, ...]) -> Columns:
    """Of axes with these parameters, with one memory for all machines that have such: a second of three axes takes half a megabyte
    there, and lasts until the next machine's turn."""
    return Columns(parameters)


class Room:
    """Memory in which the arrays of one call after another are made.

    Those of a group of machines are large enough to be taken from the system and given back each time, and the system's fresh
    pages would cost more than all that is worked out in them.
    """

    def __init__(self, arrays: int) -> None:
        """For so many ``arrays`` of a call."""
        self._each = arrays
        self._memory: Floats = np.empty(0)
        self._arrays: dict[tuple[int, int], list[Floats]] = {}

    def begin(self, axes: int, n: int) -> Callable[[], Floats]:
        """What gives one array (axes, n) after another, as many as there are: those of the call before are made anew."""
        arrays = self._arrays.get((axes, n))
        if arrays is None:
            size = axes * n
            if size * self._each > len(self._memory):
                self._memory = np.empty(size * self._each)
                self._arrays.clear()
            arrays = [self._memory[k * size : (k + 1) * size].reshape(axes, n) for k in range(self._each)]
            if len(self._arrays) > 16:
                self._arrays.clear()
            self._arrays[axes, n] = arrays
        return iter(arrays).__next__


AT_ONCE: Final = 12_000
"""Samples that are filtered in one go: more would be made in memory that is fresh each time (see ``Room``)."""
Filter = tuple[Floats, Floats]
_Coefficients = tuple[tuple[float, ...], tuple[float, ...]]


def _alike(filters: Sequence[_Coefficients]) -> list[tuple[Filter, list[int]]]:
    """Each filter that there is, and the axes that have it."""
    found: dict[_Coefficients, list[int]] = {}
    for axis, one in enumerate(filters):
        found.setdefault(one, []).append(axis)
    return [((np.array(b), np.array(a)), axes) for (b, a), axes in found.items()]


def _lag(p: AxisParameters) -> _Coefficients:
    """From commanded velocity to following error."""
    decay = exp(-p.kv_per_s * SAMPLE_S)
    return ((1.0 - p.velocity_feed_forward) / p.kv_per_s * (1.0 - decay),), (1.0, -decay)


def _washout(p: AxisParameters) -> _Coefficients:
    """From changes of force to force felt: each change rises within the one time and fades within the other.

    exp(-t / decay) - exp(-t / rise) for a step at t = 0, scaled to reach 1 at its highest, sampled exactly.
    """
    slow, fast = exp(-SAMPLE_S / p.disturbance_decay_s), exp(-SAMPLE_S / p.disturbance_rise_s)
    ratio = p.disturbance_rise_s / p.disturbance_decay_s
    peak = ratio ** (ratio / (1.0 - ratio)) - ratio ** (1.0 / (1.0 - ratio))
    return (0.0, (slow - fast) / peak), (1.0, -(slow + fast), slow * fast)


def filtered(filters: Sequence[tuple[Filter, list[int]]], rows: Floats, state: Floats, new: Callable[[], Floats]) -> Floats:
    """Each row (axes, n) through its filter, whose state (order, axes) moves on; ``new`` gives memory for many of them."""
    if len(filters) == 1 and rows.size <= AT_ONCE:
        out, after = lfilter(*filters[0][0], rows, state.T)
        state[:] = after.T
        return out
    out = new()
    if len(filters) == 1:
        each = max(AT_ONCE // rows.shape[1], 1)
        for first in range(0, len(rows), each):
            some = slice(first, first + each)
            out[some], after = lfilter(*filters[0][0], rows[some], state[:, some].T)
            state[:, some] = after.T
        return out
    for one, axes in filters:
        out[axes], after = lfilter(*one, rows[axes], state[:, axes].T)
        state[:, axes] = after.T
    return out


def steps(rows: Floats, before: Floats, out: Floats) -> Floats:
    """Difference of each sample of the rows (axes, n) to the one before it."""
    if rows.shape[1]:
        np.subtract(rows[:, 1:], rows[:, :-1], out=out[:, 1:])
        np.subtract(rows[:, 0], before, out=out[:, 0])
    return out
