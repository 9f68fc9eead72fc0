"""A made-up machine: a few signals with noise, that cuts and moves in turns, and can be given a fault."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from analytics.features import SIGNALS
from cnctwin.reading import Batch, Reading

START_NS = 1_760_000_000_000_000_000
STEP_NS = 500_000_000


class Mill:
    """Cuts for ten seconds, moves for five. ``factor``: multiplies signals; ``missing``: signals the server lacks."""

    def __init__(self, seed: int = 1, missing: frozenset[str] = frozenset()) -> None:
        self.rng = np.random.default_rng(seed)
        self.missing = missing
        self.factor: dict[str, float] = {}
        self.status: dict[str, int] = {}
        self.step = 0
        self.cut_min = 0.0

    def values(self) -> dict[str, float | str]:
        cut = self.step % 30 < 20
        self.cut_min += cut * 0.5 / 60.0
        n = self.rng.standard_normal(40)
        velocity = (600.0 if cut else 3000.0) * (1 if self.step % 4 < 2 else -1)
        whole: dict[str, float | str] = {
            "Machine/State": 3.0,
            "Machine/PowerOnDuration": 100.0 + self.step * 0.5 / 3600.0,
            "Tool/Number": 2.0,
            "Tool/InCut": float(cut),
            "Tool/WearPercent": float(np.floor(self.cut_min) * 2.0),
            "Tool/CuttingTime": self.cut_min,
            "Tool/CuttingSpeed": 180.0 * cut,
            "Spindle/ActSpeed": 5000.0 + 5.0 * n[0],
            "Spindle/CmdSpeed": 5000.0,
            "Coolant/IsOn": 1.0,
            "Spindle/ActLoad": (35.0 if cut else 4.0) + n[1],
            "Spindle/ActPower": (5000.0 if cut else 600.0) * (1.0 + 0.05 * n[2]),
            "Spindle/VibrationVelocity": (1.0 if cut else 0.4) * np.exp(0.1 * n[3]),
            "Spindle/VibrationAcceleration": (3.0 if cut else 1.0) * np.exp(0.1 * n[4]),
            "Spindle/VibrationBearing": 0.05 * np.exp(0.2 * n[5]),
            "Spindle/VibrationTooth": (1.0 if cut else 0.05) * np.exp(0.1 * n[6]),
            "Spindle/VibrationUnbalance": 0.2 * np.exp(0.1 * n[7]),
            "Spindle/VibrationKurtosis": 3.0 * np.exp(0.03 * n[8]),
            "Spindle/Temperature": 35.0 + 0.02 * n[9],
            "Spindle/MotorTemperature": 45.0 + 0.02 * n[10],
            "Coolant/Flow": 20.0 + 0.3 * n[11],
            "Coolant/Pressure": 6.0 + 0.05 * n[12],
            "Coolant/Temperature": 24.0 + 0.02 * n[13],
            "Coolant/Level": 85.0 + 0.02 * n[14],
            "Air/Pressure": 5.9 + 0.02 * n[31],
            "Environment/Temperature": 21.0 + 0.02 * n[32],
            "Lubrication/Pressure": 16.0 * np.exp(-(self.step * 0.5 % 720.0) / 45.0) + 0.08 * n[33],
            "Structure/ThermalGrowthZ": 30.0 + 0.25 * n[34],
            "Power/Total": (8.0 if cut else 3.0) + 0.1 * n[15],
            "Power/Servo": 0.5 + 0.05 * n[16],
            "Power/Auxiliary": 1.5 + 0.02 * n[17],
            "Structure/Temperature": 22.0 + 0.01 * n[18],
        }
        for i, axis in enumerate("XYZ"):
            position = -100.0 + self.step % 50
            whole |= {
                f"Axes/{axis}/ActLoad": 10.0 + n[19 + i],
                f"Axes/{axis}/ActVelocity": velocity,
                f"Axes/{axis}/ActPos": position,
                f"Axes/{axis}/MotorPos": position + 0.001 * n[22 + i],
                f"Axes/{axis}/FollowingError": velocity / 60.0 * 0.025 * (1.0 + 0.01 * n[25 + i]),
                f"Axes/{axis}/Temperature": 28.0 + 0.02 * n[28 + i],
            }
        for name, factor in self.factor.items():
            value = whole[name]
            whole[name] = value * factor if isinstance(value, float) else value
        whole["Channel/ActMainProgramName"] = "O0001"
        return whole

    def batches(self, count: int) -> Iterator[Batch]:
        for _ in range(count):
            when = START_NS + self.step * STEP_NS
            readings = tuple(
                Reading(name, None if self.status.get(name, 0) >> 31 else value, self.status.get(name, 0), when, when)
                for name, value in self.values().items()
                if name not in self.missing
            )
            self.step += 1
            yield Batch("M", when, readings)


assert set(Mill().values()) - {"Channel/ActMainProgramName"} == set(SIGNALS), "the made-up mill shows what is read"


@pytest.fixture
def mill() -> Mill:
    return Mill()


@pytest.fixture
def new_mill() -> type[Mill]:
    return Mill
