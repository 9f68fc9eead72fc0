"""Machines that cut along and nothing else happens: what edge, spindle and surroundings do is worked out for all of them at once.

    control, path, stock of each --Passed--> columns of machines and blocks --> what waits for the axes, what is to be seen
                                              edges, spindle, surroundings

It is what ``Machine.act`` comes to block by block, to the last bit, of machines that are well and at speed, as most are most of the
time. Whatever else may happen in a block (``is_steady``, ``edges.Limits``) is left to ``Machine.act``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from opcua_server.machine.auxiliaries import lubrications_bar
from opcua_server.machine.begun import Begun, Passed
from opcua_server.machine.chips import TRIP_A
from opcua_server.machine.coolant import PUMP_W
from opcua_server.machine.drawn import Drawn, Values
from opcua_server.machine.energy import AUXILIARIES_W
from opcua_server.machine.faults.active import HEALTHY
from opcua_server.machine.machine import BLOCK_S, CUT_VARIATION, LOW_PERCENT, NEEDS_COOLANT, Machine
from opcua_server.machine.noise import EVERY, Index
from opcua_server.machine.pneumatics import LEAST_BAR
from opcua_server.machine.process.edges import Cuts, Edges, figures, wear_on
from opcua_server.machine.process.process import CutBlock, edge_speed_m_min
from opcua_server.machine.process.stability import QUIET
from opcua_server.machine.process.surface import marks_per_um
from opcua_server.machine.process.ticks import Felt, Ticks
from opcua_server.machine.sensing import LAST_SAMPLE
from opcua_server.machine.spindle import PEAK, friction_nm, rated_torque_nm, turn
from opcua_server.machine.surroundings import Coolant, air_bar, carried_off, cooled, hydraulics_bar, wear_factors
from opcua_server.machine.thermal import BEARING, shop_floors_c
from opcua_server.machine.tools import Tool
from opcua_server.machine.upkeep import FILTER_HOURS, LUBE_HOURS, RENEWED_AT_PERCENT

Floats = npt.NDArray[np.float64]

_FAR: Final = 1.0
"""Per cent of coolant and way oil that no second takes."""
_WORKING: Final = AUXILIARIES_W["working"]


def is_steady(machine: Machine) -> bool:
    """Whether for up to a second only a program's own moves, an edge that gives way or a command can change what goes on."""
    control = machine.controller
    tool, modifiers = control.tool, control.modifiers
    return (
        control.cuts and not control.thread
        and tool is not None and not tool.broken and tool.type.teeth > 0
        and machine.process.stock is not None and not control.new_blank and control.parts == machine.parts_seen
        and not machine.faults.any and machine.is_sound
        and not modifiers["DryRun"] and not modifiers["TestMode"]
        and machine.spindle.is_steady and machine.overloaded_s == 0.0
        and machine.conveyor.over_s == 0.0 and machine.air.pressure_bar > LEAST_BAR
        and machine.coolant.level_percent > LOW_PERCENT + _FAR
        and max(machine.upkeep.lube_percent, machine.upkeep.filter_percent) < RENEWED_AT_PERCENT - _FAR
    )  # fmt: skip


class _Had(NamedTuple):
    """What a machine has before its blocks; one number each, or of many machines a column."""

    first_block: Values
    used: Values
    life_scatter: Values
    nominal_fz_mm: Values
    teeth: Values
    per_um: Values
    cutting_speed_m_min: Values
    speed_rpm: Values
    direction: Values
    angle_deg: Values
    friction_nm: Values
    most_nm: Values
    """Torque that the drive may give."""
    coolant_on: Values
    pump_wear: Values
    flow_l_min: Values
    coolant_bar: Values
    ripple_bar: Values
    level_percent: Values
    filter_load: Values
    refilling: Values
    belt_kg: Values
    pile_kg: Values
    air_bar: Values
    air_phase: Values
    give_away: Values
    hydraulic_since_s: Values
    hydraulic_bar: Values
    hydraulic_leak: Values
    hydraulic_charges: Values
    day_phase: Values
    mean_ambient_c: Values
    unbalance_mm_s: Values
    part_roughness_um: Values
    # What is summed up, in the order of ``_Sums``:
    nominal_used: Values
    cutting_time_s: Values
    cut_mm: Values
    spindle_h: Values
    lube_percent: Values
    filter_percent: Values
    ra_sum: Values
    ra_weight: Values


class _Sums(NamedTuple):
    """After each block (blocks, machines)."""

    nominal_used: Floats
    cutting_time_s: Floats
    cut_mm: Floats
    spindle_h: Floats
    lube_percent: Floats
    filter_percent: Floats
    ra_sum: Floats
    ra_weight: Floats


class Acted(NamedTuple):
    """What comes of the blocks of a machine: those that the axes need of it, and what there is to be seen."""

    last: Begun
    felt: Felt
    needed: Floats
    """``Drawn`` and the noise of ``EVERY_BLOCK`` of each block (blocks, n)."""
    rows: Floats
    """Number of the block, ``of_physics``, ``Sensing.look`` of each (blocks, n)."""
    normal: Floats
    """All noise of each that is noted (noted, channels)."""


def act_all(machines: Sequence[Machine], passed: Sequence[Sequence[Passed]], noted: int) -> list[Acted]:
    """What ``Machine.act`` does in blocks that machines have passed, the same number of each, of which the last ``noted`` are seen.

    ArithmeticError when a spindle cannot keep its speed: then nothing has been done yet.
    """
    tools = [own[0].tool for own in passed]
    cutters = [tool for tool in tools if tool is not None]
    had = [_had(machine, tool, own[0].block) for machine, tool, own in zip(machines, cutters, passed, strict=True)]
    b = _Had(*np.array(had).T.copy())
    count, blocks = len(machines), len(passed[0])
    spans = [machine.noise.span(own[0].block - 1, blocks, every=noted > 0) for machine, own in zip(machines, passed, strict=True)]
    normal = np.concatenate(spans).reshape(count, blocks, -1)
    noise = normal[:, :, EVERY]
    variation = noise[:, :, Index.CUT_VARIATION].T
    number = b.first_block + np.arange(blocks)[:, None]
    now_s = number * BLOCK_S
    loads = [None if one.way is None else one.way.load for own in passed for one in own]
    swept = carried_off(b.belt_kg, b.pile_kg, _chips_kg(machines, passed), BLOCK_S)
    cool = cooled(b.coolant_on > 0.0, b.pump_wear, _coolant(b), swept.strained, BLOCK_S)
    edges = Edges(b.used, b.life_scatter, b.nominal_fz_mm, b.teeth, b.speed_rpm, b.per_um)
    cuts = wear_on(edges, figures(loads, count), wear_factors(cool.flow_l_min[:-1], NEEDS_COOLANT))
    cut_nm = (1.0 + CUT_VARIATION * variation) * cuts.mean_torque_nm
    if bool((b.friction_nm + cut_nm > b.most_nm).any()):
        raise ArithmeticError("a spindle cannot keep its speed")
    turned = turn(b.speed_rpm, b.direction, b.angle_deg, b.friction_nm, cut_nm, BLOCK_S)
    air = air_bar(b.air_bar, b.air_phase, b.speed_rpm > 0.0, now_s, BLOCK_S)
    sums = _summed(b, cuts)
    drawn = _side_by_side((
        turned.power_w, turned.shaft_w, turned.friction_w, cuts.power_w, b.speed_rpm, _WORKING, PUMP_W * (b.coolant_on > 0.0),
        swept.current_a, 0.0, cool.flow_l_min[1:],
    ), count, blocks)  # fmt: skip
    hydraulic_bar, charging = hydraulics_bar(
        b.hydraulic_since_s, b.hydraulic_bar, b.hydraulic_leak, b.hydraulic_charges > 0.0, now_s
    )
    rows = np.empty((count, 0, 0))
    if noted:
        falls = np.array([_falls(machine, own) for machine, own in zip(machines, passed, strict=True)]).T
        feeds = np.array([one.motion.at(LAST_SAMPLE)[2] for own in passed for one in own]).reshape(count, blocks).T
        rows = _side_by_side((
            number,
            # of_physics
            b.cutting_speed_m_min, cuts.chip_load_mm, turned.angle_deg, charging, b.part_roughness_um, sums.spindle_h,
            sums.filter_percent, sums.lube_percent, falls, sums.cutting_time_s / 60.0, cuts.in_cut_s > 0.0,
            100.0 - sums.lube_percent,
            # Sensing.look
            b.speed_rpm, turned.torque_nm, cool.pressure_bar[1:], cool.level_percent[1:], air, hydraulic_bar,
            lubrications_bar(now_s, b.air_phase, b.give_away), swept.current_a,
            shop_floors_c(now_s, b.day_phase, b.mean_ambient_c),
            b.speed_rpm, b.unbalance_mm_s, 0.0, b.teeth, feeds, cuts.worn_mm[1:], 0.0, 0.0, QUIET.growth, QUIET.frequency_hz,
            cuts.chip_mm, 0.0, cool.ripple_bar[1:], 0.0,
        ), count, blocks)  # fmt: skip
    else:
        for machine, own in zip(machines, passed, strict=True):
            _falls(machine, own)
    over_s = np.zeros(count)
    for current_a in swept.current_a:
        over_s = np.where(current_a > TRIP_A, over_s + BLOCK_S, 0.0)
    after = _side_by_side((
        turned.torque_nm[-1], turned.power_w[-1], turned.shaft_w[-1], turned.friction_w, turned.angle_deg[-1],
        *(column[-1] for column in cool), swept.belt_kg[-1], swept.pile_kg[-1], swept.current_a[-1], over_s, air[-1],
        cuts.used[-1], *(column[-1] for column in sums), charging[-1],
    ), count, 1)[:, 0].tolist()  # fmt: skip
    needed, worn_mm = np.concatenate((drawn, noise), axis=2), cuts.worn_mm[:-1].T.tolist()
    acted = []
    for k, (machine, tool, own) in enumerate(zip(machines, cutters, passed, strict=True)):
        _put(machine, tool, after[k])
        felt: Felt = (loads[k * blocks : (k + 1) * blocks], worn_mm[k], {})
        last = Begun(
            own[-1].block, own[-1].motion, _cut(own[-1], b.cutting_speed_m_min.item(k), cuts, k), HEALTHY, noise[k, -1].tolist(),
            turned.torque_nm.item(-1, k), Drawn(*drawn[k, -1].tolist()), True,
        )  # fmt: skip
        acted.append(Acted(last, felt, needed[k], rows[k], normal[k, blocks - noted :]))
    return acted


def _had(machine: Machine, tool: Tool, block: int) -> _Had:
    kind, spindle, coolant, conveyor = tool.type, machine.spindle, machine.coolant, machine.conveyor
    upkeep, speed = machine.upkeep, spindle.speed_rpm
    return _Had(
        block, tool.used, tool.life_scatter, kind.nominal_fz_mm, kind.teeth, marks_per_um(kind),
        edge_speed_m_min(kind, speed), speed, spindle.direction, spindle.angle_deg,
        friction_nm(speed, machine.bearing_preload, machine.thermal.nodes.item(BEARING)), PEAK * rated_torque_nm(speed),
        coolant.on, coolant.pump_wear, coolant.flow_l_min, coolant.pressure_bar, coolant.ripple_bar, coolant.level_percent,
        coolant.filter_load, coolant.refilling, conveyor.belt_kg, conveyor.pile_kg, machine.air.pressure_bar, machine.air_phase,
        machine.give_away, *machine.controller.hydraulics.state, machine.day_phase, machine.mean_ambient_c,
        tool.unbalance_mm_s * machine.balance, machine.shown.part_roughness_um, tool.nominal_used, tool.cutting_time_s,
        tool.cut_mm, upkeep.spindle_h, upkeep.lube_percent, upkeep.filter_percent, machine.ra_sum, machine.ra_weight,
    )  # fmt: skip


def _put(machine: Machine, tool: Tool, after: Sequence[float]) -> None:
    """Let a machine have what its blocks came to."""
    spindle, coolant, conveyor, upkeep = machine.spindle, machine.coolant, machine.conveyor, machine.upkeep
    (
        spindle.torque_nm, spindle.power_w, spindle.shaft_power_w, spindle.friction_w, spindle.angle_deg,
        coolant.flow_l_min, coolant.pressure_bar, coolant.ripple_bar, coolant.level_percent, coolant.filter_load, refilling,
        conveyor.belt_kg, conveyor.pile_kg, conveyor.current_a, conveyor.over_s, machine.air.pressure_bar,
        tool.used, tool.nominal_used, tool.cutting_time_s, tool.cut_mm, upkeep.spindle_h, upkeep.lube_percent,
        upkeep.filter_percent, machine.ra_sum, machine.ra_weight, charging,
    ) = after  # fmt: skip
    spindle.ticks = []
    coolant.refilling, coolant.leaking, machine.shown.hydraulics_charge = refilling > 0.0, False, charging > 0.0
    machine.air.low_s, machine.link.up, machine.link.late_s = 0.0, True, 0.0


def _cut(last: Passed, speed_m_min: float, cuts: Cuts, k: int) -> CutBlock:
    """Of the last block of the machine at place ``k``."""
    way = last.way
    if way is None or way.load is None:
        return CutBlock(speed_m_min, way.removed_mm3 if way is not None else 0.0)
    load = way.load
    ticks = Ticks(load, cuts.worn_mm.item(-2, k), load.whole.count)
    sharp_w, blunt_w = load.most_w
    return CutBlock(
        cutting_speed_m_min=speed_m_min,
        removed_mm3=way.removed_mm3,
        ticks=ticks,
        in_cut_s=cuts.in_cut_s.item(-1, k),
        chip_load_mm=cuts.chip_load_mm.item(-1, k),
        power_w=cuts.power_w.item(-1, k),
        mean_torque_nm=cuts.mean_torque_nm.item(-1, k),
        most_torque_nm=(sharp_w + blunt_w * ticks.wear_mm) * load.torque_nm_w,
        chip_mm=cuts.chip_mm.item(-1, k),
        area_mm2=way.engagement[0],
        depth_mm=way.engagement[2],
        roughness_um=cuts.roughness_um.item(-1, k),
    )


def _coolant(b: _Had) -> Coolant:
    return Coolant(*map(np.asarray, (b.flow_l_min, b.coolant_bar, b.ripple_bar, b.level_percent, b.filter_load, b.refilling)))


def _chips_kg(machines: Sequence[Machine], passed: Sequence[Sequence[Passed]]) -> Floats:
    """Removed in each block (blocks, machines)."""
    kg_mm3 = [0.0 if (stock := machine.process.stock) is None else stock.blank.material.kg_mm3 for machine in machines]
    removed = [0.0 if one.way is None else one.way.removed_mm3 for own in passed for one in own]
    chips_kg: Floats = np.array(removed).reshape(len(machines), -1).T * np.array(kg_mm3)
    return chips_kg


def _falls(machine: Machine, passed: Sequence[Passed]) -> list[float]:
    """What the timer of the lubrication says after each block; it moves on."""
    timer, falls = machine.fall_timer, []
    if timer.rests(passed[-1].block * BLOCK_S):
        return [timer.last_s] * len(passed)
    for one in passed:
        timer.step(one.block * BLOCK_S, machine.air_phase, machine.give_away)
        falls.append(timer.last_s)
    return falls


def _summed(b: _Had, cuts: Cuts) -> _Sums:
    blocks, count = cuts.power_w.shape
    each = np.empty((len(_Sums._fields), blocks + 1, count))
    each[:, 0] = b[-len(_Sums._fields) :]
    each[0, 1:], each[1, 1:], each[2, 1:] = cuts.nominal_used, cuts.in_cut_s, cuts.travel_mm
    each[3, 1:] = BLOCK_S / 3600.0 * (np.asarray(b.speed_rpm) > 0.0)
    each[4, 1:] = 100.0 * BLOCK_S / 3600.0 / LUBE_HOURS
    each[5, 1:] = 100.0 * BLOCK_S / 3600.0 / FILTER_HOURS * (np.asarray(b.coolant_on) > 0.0)
    rough = cuts.roughness_um > 0.0
    each[6, 1:], each[7, 1:] = cuts.roughness_um * cuts.in_cut_s, cuts.in_cut_s * rough
    return _Sums(*np.add.accumulate(each, axis=1)[:, 1:])


def _side_by_side(columns: Iterable[Values], machines: int, blocks: int) -> Floats:
    """Columns, each of (blocks, machines), (machines,) or one number, as rows of each machine (machines, blocks, n)."""
    those = list(columns)
    table = np.empty((len(those), blocks, machines))
    for row, column in zip(table, those, strict=True):
        row[:] = column
    return np.ascontiguousarray(table.transpose(2, 1, 0))
