"""What a machine draws in a block beside its axes, what its drive shows of it, and where it turns into heat.

    spindle, cut -----------> what the spindle drive shows        state, pump, conveyor --> auxiliaries
    spindle, friction, cut, pump, leaks --> heat of the nodes     flow -------------------> what the flow meter should say

Each is worked out twice, to the same bit: of one machine after a block, and of columns of machines and blocks (machines, blocks).
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from opcua_server.machine.chips import IDLE_A, W_PER_A
from opcua_server.machine.spindle import EFFICIENCY
from opcua_server.machine.thermal import (
    BEARING,
    BEARING_SHARE,
    COLUMN,
    COOLANT,
    CUT_TO_COOLANT,
    HOUSING,
    HOUSING_SHARE,
    MOTOR,
    NODES,
)

Floats = npt.NDArray[np.float64]
Values = Any
"""One number, or a column of them."""
IDLE_SPREAD, SPREAD, SWING = 0.11, 0.045, 0.35
"""Standard deviation of the spindle's power signal, of the power without cut and of all; how much of an error the next corrects."""
IDLE_SPREAD_TO_W: Final = 2500.0


class Drawn(NamedTuple):
    """Means of a block; the speed is that at its end."""

    spindle_w: Values
    """Electrical, of the drive."""
    shaft_w: Values
    friction_w: Values
    cut_w: Values
    speed_rpm: Values
    standing_w: Values
    """Of the auxiliaries, by the state of the machine."""
    pump_w: Values
    conveyor_a: Values
    leaks_w: Values
    """Heat that hydraulics and electrics leak into the column."""
    flow_l_min: Values
    """Of coolant."""


def auxiliary_w(d: Drawn, normal: Values) -> Values:
    """Of all auxiliaries; ``normal``: a standard normal number."""
    over_a = d.conveyor_a - IDLE_A
    over_a = max(over_a, 0.0) if isinstance(over_a, float) else np.maximum(over_a, 0.0)
    return d.standing_w * (1.0 + 0.01 * normal) + (d.pump_w + W_PER_A * over_a)


def flow_read_l_min(d: Drawn, normal: Values) -> Values:
    """What a flow meter that is well says."""
    flow = d.flow_l_min * (1.0 + 0.012 * normal)
    return max(flow, 0.0) if isinstance(flow, float) else np.maximum(flow, 0.0)


def spindle_shown_w(power_w: float, cut_w: float, normal: float, before: float) -> tuple[float, float]:
    """What the drive shows of its power, and the error that stays: 12 % of the power without cut, and the current controller's own
    swing. ``before``: the error of the last block.

    Real signals (UMich, 10 Hz) overshoot and correct, so neighbouring samples are negatively correlated.
    """
    if power_w < 1.0:
        return power_w, 0.0
    idle_w = power_w - min(cut_w / EFFICIENCY, power_w)
    spread_w = math.hypot(IDLE_SPREAD * min(idle_w, IDLE_SPREAD_TO_W), SPREAD * power_w)
    return max(power_w + (normal - SWING * before) * spread_w, 0.0), normal


def spindles_shown_w(power_w: Floats, cut_w: Floats, normal: Floats, before: Floats) -> tuple[Floats, Floats]:
    """As ``spindle_shown_w``, block after block; ``before`` and what stays: (machines,)."""
    stands = power_w < 1.0
    errors = np.where(stands, 0.0, normal)
    swing = np.concatenate((before[:, None], errors[:, :-1]), axis=1)
    swing *= -SWING
    swing += normal
    idle_w = power_w - np.minimum(cut_w / EFFICIENCY, power_w)
    one, other = IDLE_SPREAD * np.minimum(idle_w, IDLE_SPREAD_TO_W), SPREAD * power_w
    # Number by number: numpy's own hypotenuse rounds as no other does.
    swing *= np.array([*map(math.hypot, one.ravel().tolist(), other.ravel().tolist())]).reshape(swing.shape)
    swing += power_w
    return np.where(stands, power_w, np.maximum(swing, 0.0)), errors[:, -1]


def add_heat(heat_w: list[float], d: Drawn) -> None:
    """Of everything but the axes, to what was summed up for each node."""
    if d.spindle_w > 0.0 or d.shaft_w != 0.0:
        shaft_w = abs(d.shaft_w)
        heat_w[MOTOR] += d.spindle_w - shaft_w if d.spindle_w > shaft_w else shaft_w * (1.0 - EFFICIENCY)
        heat_w[BEARING] += BEARING_SHARE * d.friction_w
        heat_w[HOUSING] += HOUSING_SHARE * d.friction_w
    heat_w[COLUMN] += d.leaks_w
    cut_w = CUT_TO_COOLANT * d.cut_w if d.flow_l_min > 1.0 else 0.0
    heat_w[COOLANT] += cut_w + 0.6 * d.pump_w


def heats_w(d: Drawn) -> Floats:
    """What ``add_heat`` adds (NODES, machines, blocks); nothing to the screws."""
    heat_w = np.zeros((NODES, *d.spindle_w.shape))
    shaft_w, turns = np.abs(d.shaft_w), (d.spindle_w > 0.0) | (d.shaft_w != 0.0)
    heat_w[MOTOR] = np.where(d.spindle_w > shaft_w, d.spindle_w - shaft_w, shaft_w * (1.0 - EFFICIENCY)) * turns
    heat_w[BEARING] = BEARING_SHARE * d.friction_w * turns
    heat_w[HOUSING] = HOUSING_SHARE * d.friction_w * turns
    heat_w[COLUMN] = d.leaks_w
    heat_w[COOLANT] = np.where(d.flow_l_min > 1.0, CUT_TO_COOLANT * d.cut_w, 0.0) + 0.6 * d.pump_w
    return heat_w
