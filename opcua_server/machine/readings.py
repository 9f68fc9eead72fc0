"""What sensors say, for many machines at once: tables of the sensors, and columns of what they measure.

    true value, (sensors, n) --+-- + spread * standard normal number --> within the sensor's range --> what is read, (READ, n)
    causes of vibration, (n,)  +-- parts, features, spread of estimates from 100 ms of signal ----------'

Each place of a column is a machine after a block, which does not know its neighbours: same bytes in a fleet as alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from nodesets.catalogue import AXES
from opcua_server.machine.noise import Channel
from opcua_server.machine.vibration import Parts, features, parts

Floats = npt.NDArray[np.float64]


class Sensor(NamedTuple):
    """``spread``: standard deviation, in the signal's unit; ``relative``: what is added to it, as share of what is measured."""

    signal: str
    channel: Channel
    spread: float
    relative: float
    low: float
    high: float


C = Channel
SENSORS: Final = (
    Sensor("Spindle/ActSpeed", C.SPINDLE_SPEED, 0.0, 0.0018, 0.0, 12_000.0),
    Sensor("Spindle/ActTorque", C.SPINDLE_TORQUE, 0.0, 0.0, -150.0, 150.0),
    Sensor("Coolant/Pressure", C.COOLANT_PRESSURE, 0.0, 0.0, 0.0, 40.0),
    Sensor("Coolant/Level", C.COOLANT_LEVEL, 0.15, 0.0, 0.0, 100.0),
    Sensor("Air/Pressure", C.AIR_PRESSURE, 0.02, 0.0, 0.0, 12.0),
    Sensor("Hydraulics/Pressure", C.HYDRAULIC_PRESSURE, 0.25, 0.0, 0.0, 100.0),
    Sensor("Lubrication/Pressure", C.LUBRICATION_PRESSURE, 0.08, 0.0, 0.0, 40.0),
    # Chips come in clumps: the torque of the belt varies by a tenth.
    Sensor("ChipConveyor/Current", C.CONVEYOR_CURRENT, 0.0, 0.1, 0.0, 10.0),
    Sensor("Environment/Temperature", C.AMBIENT_SENSOR, 0.06, 0.0, -10.0, 60.0),
    Sensor("Spindle/Temperature", C.SPINDLE_TEMPERATURE, 0.08, 0.0, 0.0, 120.0),
    Sensor("Spindle/MotorTemperature", C.MOTOR_TEMPERATURE, 0.15, 0.0, 0.0, 180.0),
    Sensor("Coolant/Temperature", C.COOLANT_TEMPERATURE, 0.07, 0.0, 0.0, 80.0),
    Sensor("Structure/ThermalGrowthZ", C.GROWTH, 0.25, 0.0, -200.0, 200.0),
    *(Sensor(f"Axes/{axis}/Temperature", Channel[f"SCREW_{axis}"], 0.06, 0.0, -10.0, 120.0) for axis in AXES),
    # Means of the block: the drive's meters are good to a few per cent of what they show, and power is what a drive can give or
    # take back.
    *(Sensor(f"Axes/{axis}/ActLoad", Channel[f"AXIS_{axis}_LOAD"], 0.4, 0.03, 0.0, 200.0) for axis in AXES),
    *(Sensor(f"Axes/{axis}/ActPower", Channel[f"AXIS_{axis}_LOAD"], 4.0, 0.03, -8000.0, 8000.0) for axis in AXES),
)
"""Those that have something to measure as soon as a block has begun, of heat, and of the axes."""
OF_BEGUN, OF_HEAT, OF_AXES = slice(0, 9), slice(9, 16), slice(16, 22)
TORQUE, RIPPLE = 1, 2
"""Rows of the sensors whose spread is the machine's: the pump's ripple, and friction and cut in the torque."""


class Monitored(NamedTuple):
    """A feature of the vibration, estimated from a window of 100 ms. ``spread``: of such estimates' logarithm, not of the state."""

    signal: str
    channel: Channel
    spread: float
    low: float
    high: float


MONITOR: Final = (
    Monitored("Spindle/VibrationVelocity", C.VIBRATION_VELOCITY, 0.05, 0.0, 20.0),
    Monitored("Spindle/VibrationAcceleration", C.VIBRATION_ACCELERATION, 0.04, 0.0, 200.0),
    Monitored("Spindle/VibrationKurtosis", C.VIBRATION_KURTOSIS, 0.05, 1.2, 50.0),
    Monitored("Spindle/VibrationBearing", C.VIBRATION_BEARING, 0.22, 0.0, 100.0),
    Monitored("Spindle/VibrationTooth", C.VIBRATION_TOOTH, 0.09, 0.0, 100.0),
    Monitored("Spindle/VibrationUnbalance", C.VIBRATION_UNBALANCE, 0.06, 0.0, 20.0),
)
"""In the order of ``vibration.Vibration``."""

SIGNALS: Final = (*(one.signal for one in SENSORS), *(one.signal for one in MONITOR))
"""Of the first rows of what is read, in their order. Behind them are three more, below."""
SWING: Final = slice(len(SIGNALS), len(SIGNALS) + len(AXES))
"""Standard normal numbers of X, Y, Z: how the current controllers of the axes swing in this block."""
READ: Final = SWING.stop
CAUSES: Final = 12
"""Of vibration: the arguments of ``vibration.parts``."""
TOOTH: Final = len(SENSORS) + 2
"""Row of one of them, the force of a tooth."""
ROWS: Final = len(SENSORS) + CAUSES + 2
"""Of what there is to be read: what the sensors measure, the causes of vibration, spreads of torque and coolant pressure."""


def _column(values: list[float]) -> Floats:
    return np.array(values)[:, None]


_CHANNELS: Final = np.array([int(one.channel) for one in SENSORS])
_SPREAD: Final = _column([one.spread for one in SENSORS])
_RELATIVE: Final = _column([one.relative for one in SENSORS])
_ESTIMATES: Final = slice(int(MONITOR[0].channel), int(MONITOR[-1].channel) + 1)
_ESTIMATE: Final = _column([one.spread for one in MONITOR])
_LOW: Final = _column([*(one.low for one in SENSORS), *(one.low for one in MONITOR)])
_HIGH: Final = _column([*(one.high for one in SENSORS), *(one.high for one in MONITOR)])
_SWINGS: Final = slice(int(C.AXIS_X_LOAD), int(C.AXIS_Z_LOAD) + 1)


def read(true: Floats, normal: Floats) -> tuple[Floats, Parts]:
    """(what is read, (READ, n); the states of vibration).

    ``true``: (ROWS, n): what the ``SENSORS`` measure, the ``CAUSES`` of vibration, and the spreads of torque (N m) and coolant
    pressure (bar); ``normal``: (channels, n).
    """
    measured, causes, swings = true[: len(SENSORS)], true[len(SENSORS) : -2], true[-2:]
    out = np.empty((READ, true.shape[1]))
    error = measured * _RELATIVE
    error += _SPREAD
    error[TORQUE] += swings[0]
    error[RIPPLE] += swings[1]
    error *= normal.take(_CHANNELS, axis=0)
    np.add(measured, error, out=out[: len(SENSORS)])
    # One machine alone has no use for columns: with numbers it is ten times as fast.
    speed, unbalance, tooth_n, teeth, feed, wear, defect, turn_n, growth, hertz, chip, rings_on = (
        causes if true.shape[1] > 1 else causes[:, 0].tolist()
    )
    vibration = parts(
        speed, unbalance, tooth_n, teeth, feed, wear, defect,
        once_per_turn_n=turn_n, chatter=growth, chatter_hz=hertz, chip_mm=chip, rings_on=rings_on,
    )  # fmt: skip
    estimates = out[len(SENSORS) : len(SIGNALS)]
    np.exp(_ESTIMATE * normal[_ESTIMATES], out=estimates)
    estimates *= np.array(features(vibration)).reshape(estimates.shape)
    shown = out[: len(SIGNALS)]
    np.maximum(shown, _LOW, out=shown)
    np.minimum(shown, _HIGH, out=shown)
    out[SWING] = normal[_SWINGS]
    return out, vibration


def before_the_first() -> Floats:
    """What is read before the first block (READ,): everything is at 20 degrees, and nothing is under pressure but the air."""
    out = np.zeros(READ)
    for signal in ("Spindle/Temperature", "Spindle/MotorTemperature", "Coolant/Temperature", "Environment/Temperature"):
        out[SIGNALS.index(signal)] = 20.0
    for axis in AXES:
        out[SIGNALS.index(f"Axes/{axis}/Temperature")] = 20.0
    out[SIGNALS.index("Coolant/Level")], out[SIGNALS.index("Air/Pressure")] = 90.0, 6.0
    out[SIGNALS.index("Spindle/VibrationKurtosis")] = 3.0
    return out
