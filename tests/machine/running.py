"""Machines for the tests of this room, and what they showed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nodesets.catalogue import NUMERIC
from opcua_server.machine.signals import View, numbers
from opcua_server.sources.simulated import SHIPPED, SimulatedSource, read_programs

COLUMN = {signal.name: index for index, signal in enumerate(NUMERIC)}
DEMOS = read_programs(SHIPPED)

SHORT = """%
O1
(STOCK C45 X0 Y0 Z-20 TO X60 Y40 Z0)
G21 G17 G90 G94
G53 G0 Z0
T4 M6
G54 G0 X-12 Y20 S4000 M3
G43 H4 Z5 M8
G1 Z-2 F1500
G1 X72 F1000
G0 Z50
G53 G0 Z0 M9
M5
M30
%
"""
"""One slot: 15 s of machine time."""


def source(
    programs: Mapping[str, str] | None = None, *, seed: int = 1, repeat: bool = True, program: str | None = None
) -> SimulatedSource:
    return SimulatedSource("CNC-001", seed, {"short.nc": SHORT} if programs is None else programs, program, repeat)


def run(machine: SimulatedSource, seconds: float, *, through_link: bool = False) -> npt.NDArray[np.float64]:
    """Let it run in steps of 100 ms; what it showed after each: (n_steps, n_numeric).

    ``through_link``: what a client sees of it, which is the same unless the line to the control fails.
    """
    rows = []
    for _ in range(round(seconds * 10)):
        machine.advance(0.1, round(machine.machine.time_s * 1e9))
        rows.append(machine.columns().numbers if through_link else numbers(View(machine.machine)))
    return np.array(rows)


def run_until(machine: SimulatedSource, signal: str, value: float, limit_s: float = 120.0) -> None:
    """Let it run until a numeric signal has a value; AssertionError when that takes longer than ``limit_s`` of its time."""
    for _ in range(round(limit_s * 10)):
        if now(machine, signal) == value:
            return
        machine.advance(0.1, round(machine.machine.time_s * 1e9))
    raise AssertionError(f"{signal} is {now(machine, signal)} after {limit_s} s, not {value}")


def now(machine: SimulatedSource, signal: str) -> float:
    return float(machine.columns().numbers[COLUMN[signal]])
