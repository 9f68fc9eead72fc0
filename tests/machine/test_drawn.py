"""What is drawn, shown and turned into heat: columns of many machines say what each says alone, to the last bit."""

from __future__ import annotations

import numpy as np

from opcua_server.machine.drawn import (
    Drawn,
    add_heat,
    auxiliary_w,
    flow_read_l_min,
    heats_w,
    spindle_shown_w,
    spindles_shown_w,
)
from opcua_server.machine.energy import EnergyMeter, metered
from opcua_server.machine.spindle import load_percent, loads_percent
from opcua_server.machine.thermal import NODES

MACHINES, BLOCKS = 12, 40
CHANCE = np.random.default_rng(3)


def either(high: float, *, low: float = 0.0) -> np.ndarray:
    """Values up to ``high``, a third of them 0: much of a machine stands now and then."""
    return CHANCE.uniform(low, high, (MACHINES, BLOCKS)) * (CHANCE.random((MACHINES, BLOCKS)) > 0.3)


def drawn() -> tuple[Drawn, np.ndarray]:
    """Of all, and a standard normal number for each."""
    columns = Drawn(
        either(9000.0), either(8000.0, low=-3000.0), either(400.0), either(7000.0), either(12_000.0),
        either(1800.0), either(1050.0), either(6.0), either(300.0), either(28.0),
    )  # fmt: skip
    return columns, CHANCE.standard_normal((MACHINES, BLOCKS))


def each(columns: Drawn, machine: int, block: int) -> Drawn:
    return Drawn(*(float(column[machine, block]) for column in columns))


def test_power_and_heat_of_columns_are_those_of_each_machine_block_by_block() -> None:
    columns, normal = drawn()
    before = CHANCE.standard_normal(MACHINES)
    shown, errors = spindles_shown_w(columns.spindle_w, columns.cut_w, normal, before)
    auxiliaries, flows, heats = auxiliary_w(columns, normal), flow_read_l_min(columns, normal), heats_w(columns)
    loads = loads_percent(shown, columns.speed_rpm)
    for k in range(MACHINES):
        error = float(before[k])
        for b in range(BLOCKS):
            one, number, heat_w = each(columns, k, b), float(normal[k, b]), [0.0] * NODES
            shown_w, error = spindle_shown_w(one.spindle_w, one.cut_w, number, error)
            add_heat(heat_w, one)
            assert shown[k, b] == shown_w
            assert auxiliaries[k, b] == auxiliary_w(one, number)
            assert flows[k, b] == flow_read_l_min(one, number)
            assert loads[k, b] == load_percent(shown_w, one.speed_rpm)
            assert heats[:, k, b].tolist() == heat_w
        assert errors[k] == error


def test_meters_of_many_machines_sum_up_as_each_does_step_by_step() -> None:
    spindle_w, servo_w, auxiliary = either(9000.0), either(4000.0, low=-5000.0), either(2500.0)
    before = CHANCE.uniform(0.0, 1e9, (3, MACHINES))
    together = metered(before, 0.1, spindle_w, servo_w, auxiliary)
    for k in range(MACHINES):
        meter = EnergyMeter(energy_j=float(before[0, k]), drives_j=float(before[1, k]), auxiliary_j=float(before[2, k]))
        for b in range(BLOCKS):
            meter.step(0.1, float(spindle_w[k, b]), float(servo_w[k, b]), float(auxiliary[k, b]))
            assert together.total_w[k, b] == meter.total_w
            assert [column[k, b] for column in together[-3:]] == list(meter.sums())
        gone_on = EnergyMeter()
        gone_on.put(*together.after()[k])
        assert gone_on == meter
