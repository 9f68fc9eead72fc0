"""The three feed drives: what the axes really do when motion commands something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opcua_server.machine.motion.block import Floats
from opcua_server.machine.parameters import AxisParameters


@dataclass(frozen=True, slots=True)
class AxisBlock:
    """What three axes did in ``n`` samples of 1 ms; every array is (n, 3), axes in the order X, Y, Z."""

    position_mm: Floats
    """At the scale, machine coordinates: where the table or head really is."""
    motor_position_mm: Floats
    """At the motor encoder: before backlash, pitch error and screw growth."""
    velocity_mm_s: Floats
    """At the motor encoder."""
    following_error_mm: Floats
    """Commanded minus actual position at the scale."""
    torque_nm: Floats
    """Of the motor, signed."""
    power_w: Floats
    """Electrical power of the drive; negative when it brakes and feeds back."""
    load_percent: Floats
    """Torque of the rated torque, unsigned."""


class Axes:
    """Servo lag, friction, backlash, pitch error and growth of three axes, sample by sample, state carried between blocks.

    ``parameters`` may be replaced between blocks: that is how faults act.
    """

    def __init__(self, parameters: Sequence[AxisParameters], position_mm: Sequence[float]) -> None:
        raise NotImplementedError

    def step(
        self, command_mm: Floats, command_velocity_mm_s: Floats, force_n: Floats, screw_temperature_c: Sequence[float]
    ) -> AxisBlock:
        """The next ``n`` samples.

        ``command_mm``, ``command_velocity_mm_s`` and ``force_n`` (cutting force on the axis, positive when it pushes towards
        plus) are (n, 3); ``screw_temperature_c`` one value per axis. The result does not depend on how time is cut into blocks.
        """
        raise NotImplementedError
