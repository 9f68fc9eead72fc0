"""Coolant, chips and air around many machines that run: what their own ``step`` come to block by block, to the last bit.

    pump, tank ----> flow, pressure, level --> how fast the edges wear
    compressor ----> pressure of the air
    stock removed -> chips on the belt ------> current of the conveyor

Of machines that are well: nothing leaks, nothing is clogged, the belt takes all chips along. Columns are (blocks, machines).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from opcua_server.machine import chips, coolant, pneumatics
from opcua_server.machine.auxiliaries import CHARGE_AT_BAR, CHARGE_BAR_S, CHARGED_BAR

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Coolant(NamedTuple):
    """State of the units (machines,), or after each block (blocks + 1, machines), where the first is that before them."""

    flow_l_min: Floats
    pressure_bar: Floats
    ripple_bar: Floats
    level_percent: Floats
    filter_load: Floats
    refilling: Floats
    """1 or 0."""


def wear_factors(flow_l_min: Floats, needs_coolant: float) -> Floats:
    """``CoolantUnit.wear_factor`` with rich coolant."""
    wet = np.minimum(flow_l_min / (0.8 * coolant.NOMINAL_FLOW), 1.0)
    return 1.0 + needs_coolant * (1.0 - wet)


def cooled(on: Flags, pump_wear: Floats, before: Coolant, strained: Floats, dt_s: float) -> Coolant:
    """``CoolantUnit.step``; ``on``, ``pump_wear``: (machines,); ``strained``: share of the flow that piles of chips let through
    (blocks, machines)."""
    blocks, machines = strained.shape
    after = Coolant(*np.empty((6, blocks + 1, machines)))
    for now, was in zip(after, before, strict=True):
        now[0] = was
    flow, pressure, ripple, level, filter_load, refilling = after
    settles, loses = 1.0 - math.exp(-dt_s / 0.45), coolant.LOSS_PERCENT_H * np.where(on, 1.0, 0.1) * dt_s / 3600.0
    loads, tight = dt_s / (3600.0 * coolant.FILTER_HOURS), 1.0 - pump_wear
    for k in range(blocks):
        was = filter_load[k]
        load = np.where(on, np.minimum(was + loads, 1.0), np.where(was >= 1.0, 0.0, was))
        filter_load[k + 1] = load
        delivery = strained[k] * ((1.0 - coolant.FILTER_LOSS * load) * tight)
        target = coolant.NOMINAL_FLOW * delivery * np.minimum(level[k] / 15.0, 1.0) * on
        through = flow[k] + (target - flow[k]) * settles
        through[through < 0.01] = 0.0
        share = through / coolant.NOMINAL_FLOW
        throttled = (1.0 - coolant.NOZZLE_PRESSURE_SHARE) * np.minimum(share, 1.0) * (2.0 - delivery)
        bar = coolant.NOMINAL_PRESSURE * (coolant.NOZZLE_PRESSURE_SHARE * share * share + throttled)
        swing = coolant.RIPPLE * coolant.NOMINAL_PRESSURE * np.where(share < 0.5, 2.0 * share, 1.0)
        flows = on | (flow[k] > 0.0)
        flow[k + 1] = np.where(flows, through, flow[k])
        pressure[k + 1], ripple[k + 1] = np.where(flows, bar, pressure[k]), np.where(flows, swing, ripple[k])
        left = level[k] - loses
        fills = (left < coolant.REFILL_AT_PERCENT) | (refilling[k] > 0.0)
        left += (coolant.REFILL_PERCENT_S * dt_s) * fills
        refilling[k + 1] = fills & (left < coolant.FULL_PERCENT)
        level[k + 1] = np.where(left < 2.0, 2.0, np.minimum(left, 100.0))
    return after


class Chips(NamedTuple):
    """Of conveyors that run, after each block (blocks, machines); ``strained``: share of the coolant that the pile lets through."""

    belt_kg: Floats
    pile_kg: Floats
    current_a: Floats
    strained: Floats


def carried_off(belt_kg: Floats, pile_kg: Floats, chips_kg: Floats, dt_s: float) -> Chips:
    """``ChipConveyor.step``; before: (machines,); ``chips_kg``: that fall (blocks, machines)."""
    belts, piles = np.empty_like(chips_kg), np.empty_like(chips_kg)
    moves, sweeps = math.exp(-dt_s / chips.WAY_S), math.exp(-dt_s / chips.SWEPT_S)
    for k, fallen in enumerate(chips_kg):
        belt_kg, pile_kg = (belt_kg + fallen) * moves, pile_kg * sweeps
        belts[k], piles[k] = belt_kg, pile_kg
    high = np.minimum(piles, chips.PILE_FULL_KG)
    current_a = chips.IDLE_A + chips.PER_KG_A * (belts + high)
    strained = 1.0 - chips.STRAINER_SHARE * np.minimum(piles / chips.PILE_FULL_KG, 1.0)
    return Chips(belts, piles, current_a, strained)


def air_bar(before_bar: Floats, phase: Floats, turns: Flags, now_s: Floats, dt_s: float) -> Floats:
    """``AirUnit.step``: pressure after each block; ``before_bar``, ``phase``, ``turns``: (machines,), of the spindle; ``now_s``:
    (blocks, machines)."""
    at = (now_s / pneumatics.COMPRESSOR_S + phase) % 1.0
    net = pneumatics.NET_LOW_BAR + pneumatics.NET_SPAN_BAR * np.where(at < 0.25, 4.0 * at, (1.0 - at) / 0.75)
    drop = pneumatics.REGULATOR_DROP_BAR * np.where(turns, pneumatics.SEALING_FLOW, pneumatics.IDLE_FLOW)
    target = np.minimum(net, pneumatics.REGULATED_BAR) - drop
    bars, settles = np.empty_like(now_s), 1.0 - math.exp(-dt_s / pneumatics.SETTLE_S)
    for k, to in enumerate(target):
        before_bar = before_bar + (to - before_bar) * settles
        bars[k] = before_bar
    return bars


_RISE_S: Final = (CHARGED_BAR - CHARGE_AT_BAR) / CHARGE_BAR_S


def hydraulics_bar(since_s: Floats, bar: Floats, leak_bar_s: Floats, charges: Flags, now_s: Floats) -> tuple[Floats, Flags]:
    """``Hydraulics.at`` with the pump's contactor on, of a state (machines,) at many moments (blocks, machines)."""
    passed_s = now_s - since_s
    full_s = (CHARGED_BAR - bar) / CHARGE_BAR_S
    rises = charges & (passed_s < full_s)
    first = np.where(rises, bar + CHARGE_BAR_S * passed_s, 0.0)
    passed_s = np.where(charges, passed_s - full_s, passed_s)
    bar = np.where(charges, CHARGED_BAR, bar)
    empty_s = (bar - CHARGE_AT_BAR) / leak_bar_s
    falls = ~rises & (passed_s < empty_s)
    second = bar - leak_bar_s * passed_s
    passed_s = (passed_s - empty_s) % (_RISE_S + (CHARGED_BAR - CHARGE_AT_BAR) / leak_bar_s)
    again = passed_s < _RISE_S
    third = np.where(again, CHARGE_AT_BAR + CHARGE_BAR_S * passed_s, CHARGED_BAR - leak_bar_s * (passed_s - _RISE_S))
    return np.where(rises, first, np.where(falls, second, third)), rises | (~falls & again)
