"""The power meter: what flows in three phases agrees with the power, the energy and the laws of alternating current."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodesets.catalogue import NUMERIC, PHASES
from opcua_server.machine.machine import Machine
from opcua_server.machine.mains import NOMINAL_V, Grid, Mains, drives_reactive_var
from opcua_server.machine.signals import View, numbers
from opcua_server.machine.sums import added
from opcua_server.sources.simulated import SHIPPED, read_programs

PLACE = {signal.name: index for index, signal in enumerate(NUMERIC)}
volts = st.tuples(*[st.floats(207.0, 253.0)] * 3)


@given(drives_w=st.floats(0.0, 30e3), auxiliary_w=st.floats(0.0, 5e3), open_v=volts)
def test_each_phase_keeps_the_laws_and_nothing_flows_back(
    drives_w: float, auxiliary_w: float, open_v: tuple[float, float, float]
) -> None:
    mains = Mains()
    mains.show(1.0, drives_w, auxiliary_w, open_v)
    assert sum(mains.active_w) == pytest.approx(drives_w + auxiliary_w, abs=1e-9)
    for u, i, p, q, grid in zip(mains.volts, mains.amperes, mains.active_w, mains.reactive_var, open_v, strict=True):
        assert (u * i) ** 2 == pytest.approx(p * p + q * q)
        assert min(i, p, q) >= 0.0
        assert 0.94 * grid < u <= grid, "some volts fall at the line, the more the more flows"
    assert 0.0 <= mains.power_factor <= 1.0
    assert mains.reactive_vars == added(mains.reactive_var)


def test_the_rectifier_s_power_factor_rises_with_its_load() -> None:
    factors = [p / math.hypot(p, drives_reactive_var(p)) for p in (100.0, 1_000.0, 5_000.0, 20_000.0)]
    assert factors == sorted(factors)
    assert 0.6 < factors[0] < 0.7
    assert 0.9 < factors[-1] < 0.95


def test_a_grid_breathes_within_what_is_allowed_and_is_not_quite_even() -> None:
    grid = Grid((0.1, 2.0, 4.0), (0.003, -0.002, 0.001))
    day = [grid.volts(60.0 * minute) for minute in range(1_440)]
    assert all(abs(v / NOMINAL_V - 1.0) < 0.03 for row in day for v in row)
    assert max(row[0] for row in day) - min(row[0] for row in day) > 3.0
    assert all(0.001 < (max(row) - min(row)) / NOMINAL_V < 0.02 for row in day)


def test_what_the_meter_shows_adds_up_to_the_energy_over_cuts_emergency_stops_and_switching_off() -> None:
    machine = Machine(7, 7, read_programs(SHIPPED), "contour.nc")
    machine.controller.start_program()
    began, shown_ws, reactive_vars, factors = machine.meter.energy_j, 0.0, 0.0, []
    for second in range(150):
        if second in (90, 120):
            machine.controller.call("EmergencyStop" if second == 90 else "SwitchOff", [])
        machine.run(10)
        row = numbers(View(machine))
        active_kw = [row[PLACE[f"Power/Active{phase}"]] for phase in PHASES]
        amperes = [row[PLACE[f"Power/Current{phase}"]] for phase in PHASES]
        shown_ws += 1000.0 * sum(active_kw)
        reactive_vars += 1000.0 * row[PLACE["Power/Reactive"]]
        factors.append(row[PLACE["Power/Factor"]])
        if second > 122:
            assert [sum(active_kw), *amperes, factors[-1]] == [0.0, 0.0, 0.0, 0.0, 1.0], "the grid is there, and nothing flows"
            assert row[PLACE["Power/VoltageL1"]] > 200.0
    assert shown_ws == pytest.approx(machine.meter.energy_j - began)
    assert reactive_vars == pytest.approx(machine.mains.reactive_vars)
    assert min(factors[:90]) < factors[100], "motors and drives at little load have a worse factor than a control's supply"
    again = Machine(7, 7, read_programs(SHIPPED), "contour.nc")
    again.restore(machine.save())
    assert again.mains.reactive_vars == machine.mains.reactive_vars
