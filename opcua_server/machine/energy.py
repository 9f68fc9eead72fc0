"""Electrical power of the whole machine and the meter that integrates it.

Operating states after ISO 14955-1, which decide what the auxiliaries draw:

    off          main switch off
    standby      control and drives' electronics on, hydraulics off (emergency stop)
    ready        hydraulics and lubrication on, waiting
    working      a program runs: chip conveyor too
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nodesets.states import MachineState

Floats = npt.NDArray[np.float64]
EnergyState = Literal["off", "standby", "ready", "working"]
ENERGY_STATES: Final[tuple[EnergyState, ...]] = ("off", "standby", "ready", "working")
"""In the order of the numbers that ``Power/EnergyState`` shows."""

_NOT_READY: Final[dict[MachineState, EnergyState]] = {
    MachineState.OFF: "off",
    MachineState.EMERGENCY_STOP: "standby",
    MachineState.RUNNING: "working",
    MachineState.HELD: "working",
}
BY_STATE: Final = {state: _NOT_READY.get(state, "ready") for state in MachineState}

CONTROL_W: Final = 420.0
LIGHTS_FANS_W: Final = 130.0
HYDRAULICS_W: Final = 650.0
LUBRICATION_W: Final = 45.0
CHILLER_W: Final = 380.0
CONVEYOR_W: Final = 200.0

AUXILIARIES_W: Final[dict[EnergyState, float]] = {
    "off": 0.0,
    "standby": CONTROL_W + LIGHTS_FANS_W,
    "ready": CONTROL_W + LIGHTS_FANS_W + HYDRAULICS_W + LUBRICATION_W + CHILLER_W,
    "working": CONTROL_W + LIGHTS_FANS_W + HYDRAULICS_W + LUBRICATION_W + CHILLER_W + CONVEYOR_W,
}


@dataclass(slots=True)
class EnergyMeter:
    """Powers of the last step in W, and the energy in J since first power-on: exactly the sum of what ``total_w`` showed."""

    spindle_w: float = 0.0
    servo_w: float = 0.0
    auxiliary_w: float = 0.0
    total_w: float = 0.0
    energy_j: float = 0.0
    drives_j: float = 0.0
    """Of the drives together, and of all else, since ``taken`` was asked last."""
    auxiliary_j: float = 0.0

    def step(self, dt_s: float, spindle_w: float, servo_w: float, auxiliary_w: float) -> None:
        """Drives share a DC link: braking axes feed it, and what is too much goes into the resistor, never back to the mains."""
        self.spindle_w, self.servo_w, self.auxiliary_w = spindle_w, servo_w, auxiliary_w
        drives_w = max(spindle_w + servo_w, 0.0)
        self.total_w = drives_w + auxiliary_w
        self.energy_j += self.total_w * dt_s
        self.drives_j += drives_w * dt_s
        self.auxiliary_j += auxiliary_w * dt_s

    def taken(self) -> tuple[float, float]:
        """Energy (J) of the drives and of all else since this was asked last."""
        found = self.drives_j, self.auxiliary_j
        self.drives_j = self.auxiliary_j = 0.0
        return found

    def sums(self) -> tuple[float, float, float]:
        """J: the whole energy, and that of the drives and of all else since ``taken``."""
        return self.energy_j, self.drives_j, self.auxiliary_j

    def put(
        self,
        spindle_w: float,
        servo_w: float,
        auxiliary_w: float,
        total_w: float,
        energy_j: float,
        drives_j: float,
        auxiliary_j: float,
    ) -> None:
        """Go on from what ``metered`` came to."""
        self.spindle_w, self.servo_w, self.auxiliary_w, self.total_w = spindle_w, servo_w, auxiliary_w, total_w
        self.energy_j, self.drives_j, self.auxiliary_j = energy_j, drives_j, auxiliary_j


class Metered(NamedTuple):
    """What the meters of some machines say after each of some steps (machines, steps); see ``EnergyMeter``."""

    spindle_w: Floats
    servo_w: Floats
    auxiliary_w: Floats
    total_w: Floats
    energy_j: Floats
    drives_j: Floats
    auxiliary_j: Floats

    def after(self) -> list[list[float]]:
        """After the last step, of each machine in this order."""
        last: list[list[float]] = np.array([column[:, -1] for column in self]).T.tolist()
        return last


def metered(before_j: Floats, dt_s: float, spindle_w: Floats, servo_w: Floats, auxiliary_w: Floats) -> Metered:
    """``EnergyMeter.step`` of some machines in some steps (machines, steps); ``before_j``: their ``sums`` (3, machines)."""
    drives_w = np.maximum(spindle_w + servo_w, 0.0)
    total_w = drives_w + auxiliary_w
    joules = np.array((total_w, drives_w, auxiliary_w))
    joules *= dt_s
    joules[:, :, 0] += before_j
    energy_j, drives_j, auxiliary_j = np.add.accumulate(joules, axis=2)
    return Metered(spindle_w, servo_w, auxiliary_w, total_w, energy_j, drives_j, auxiliary_j)
