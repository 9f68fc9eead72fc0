"""The main spindle: speed over time, torque, power.

torque ^______                    Constant torque to the base speed, constant power above it. The drive may give
       |      \\  peak (S6)        PEAK times that while it accelerates. Speed follows by J dw/dt = T - friction - cut.
       |_____  ' .
       |     \\ rated (S1) ' .
       +-----'-----------------> speed
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RATED_POWER_W: Final = 15_000.0
RATED_TORQUE_NM: Final = 95.5
BASE_SPEED_RPM: Final = 9549.0 * RATED_POWER_W / 1000.0 / RATED_TORQUE_NM
MAX_SPEED_RPM: Final = 12_000.0
PEAK: Final = 1.45
INERTIA_KG_M2: Final = 0.042
EFFICIENCY: Final = 0.88
EXCITATION_W: Final = 55.0
"""What the drive draws at standstill while the spindle is on; with friction this gives 175 W at 3200 r/min (UMich data)."""
COULOMB_NM: Final = 0.18
VISCOUS_NM_PER_RPM: Final = 4.4e-5
BELT_STAGE: Final = 1
BLOCK_SAMPLES: Final = 100
"""Of 1 ms in a block of the machine."""
CREEPING_RPM: Final = 1e-3
"""A spindle that is led and slower stands: what is left of the lag of a tap."""

SEEKING_RPM: Final = 200.0
"""From this speed on it looks for the angle at which it is to stand."""
SEEKING_RAD_S2: Final = 150.0
"""At which it speeds up and brakes while it looks for an angle: 6 N m at its inertia."""

_TO_RAD_S: Final = 2.0 * math.pi / 60.0
_SEEKING_DEG_S2: Final = math.degrees(SEEKING_RAD_S2)

Values = Any
"""One number, or a column of them, float64 (n,)."""


@functools.lru_cache(maxsize=1024)
def rated_power_w(speed_rpm: float) -> float:
    """Continuous power at a speed: what 100 % load means."""
    return min(RATED_POWER_W, RATED_TORQUE_NM * max(speed_rpm, 60.0) * _TO_RAD_S)


@functools.lru_cache(maxsize=1024)
def rated_torque_nm(speed_rpm: float) -> float:
    """Continuous torque at a speed."""
    return min(RATED_TORQUE_NM, RATED_POWER_W / max(speed_rpm * _TO_RAD_S, 1e-9))


def friction_nm(speed_rpm: Values, bearing_friction: float, bearing_c: Values) -> Any:
    """Torque of bearings, belt and windage; warm grease is thinner. ``bearing_friction``: of a healthy bearing."""
    warmer = bearing_c - 22.0
    if isinstance(warmer, float):
        if speed_rpm < 1.0:
            return 0.0
        warmer = -10.0 if warmer < -10.0 else min(warmer, 40.0)
    else:
        warmer = np.minimum(np.maximum(warmer, -10.0), 40.0)
    warm = 1.0 - 0.006 * warmer
    friction = (COULOMB_NM + VISCOUS_NM_PER_RPM * speed_rpm * warm) * bearing_friction
    return friction * (speed_rpm >= 1.0)


def load_percent(shown_w: float, speed_rpm: float) -> float:
    """Of the continuous power at this speed, by the power that the drive shows; at most 200."""
    mechanical_w = (shown_w - EXCITATION_W) * EFFICIENCY
    if speed_rpm == 0.0 or mechanical_w <= 0.0:
        return 0.0
    return min(100.0 * mechanical_w / rated_power_w(speed_rpm), 200.0)


def loads_percent(shown_w: Floats, speed_rpm: Floats) -> Floats:
    """As ``load_percent``, of columns."""
    mechanical_w = (shown_w - EXCITATION_W) * EFFICIENCY
    mechanical_w[(speed_rpm == 0.0) | (mechanical_w <= 0.0)] = 0.0
    rated_w = np.minimum(RATED_TORQUE_NM * np.maximum(speed_rpm, 60.0) * _TO_RAD_S, RATED_POWER_W)
    return np.minimum(100.0 * mechanical_w / rated_w, 200.0)


def orients_within_s(speed_rpm: float) -> float:
    """At most, from a speed on: it brakes as its drive can, and looks for its angle for a little more than one turn; each of that
    ends with a step."""
    omega, base, slow = speed_rpm * _TO_RAD_S, BASE_SPEED_RPM * _TO_RAD_S, SEEKING_RPM * _TO_RAD_S
    above = 0.5 * INERTIA_KG_M2 * max(omega * omega - base * base, 0.0) / (PEAK * RATED_POWER_W)
    below = INERTIA_KG_M2 * max(min(omega, base) - slow, 0.0) / (PEAK * RATED_TORQUE_NM)
    return above + below + 2.0 * math.pi / slow + slow / SEEKING_RAD_S2 + 0.04


class Turned(NamedTuple):
    """Of spindles at speed, in N m, W and degrees, after each step (steps, machines) or (machines,)."""

    torque_nm: Floats
    shaft_w: Floats
    power_w: Floats
    friction_w: Floats
    angle_deg: Floats


def turn(speed_rpm: Floats, direction: Floats, angle_deg: Floats, friction: Floats, cut_nm: Floats, dt_s: float) -> Turned:
    """As ``Spindle.step`` of spindles that have the speed they should (machines,): it stays; ``friction``: N m; ``cut_nm``: load
    in each step (steps, machines)."""
    omega, turns = speed_rpm * _TO_RAD_S, speed_rpm > 0.0
    torque_nm = (friction + cut_nm) * turns
    shaft_w = torque_nm * omega
    excitation_w = EXCITATION_W * turns
    way_deg = direction * np.array([*map(math.degrees, omega.tolist())]) * dt_s
    angles = np.empty_like(cut_nm)
    for k in range(len(cut_nm)):
        angles[k] = angle_deg = (angle_deg + way_deg) % 360.0
    return Turned(torque_nm, shaft_w, shaft_w / EFFICIENCY * (shaft_w > 0.0) + excitation_w, friction * omega, angles)


@dataclass(slots=True)
class Spindle:
    """State of the spindle. Speeds in r/min without sign; ``direction`` 1 for M3, -1 for M4, 0 stopped."""

    speed_rpm: float = 0.0
    commanded_rpm: float = 0.0
    """Target with override; 0 when stopped."""
    direction: int = 0
    """Of rotation, while it still turns."""
    commanded_direction: int = 0
    angle_deg: float = 0.0
    stop_deg: float | None = None
    """Angle at which it is to stand; None where it may stand anywhere."""
    torque_nm: float = 0.0
    """Of the motor, mean of the last step."""
    power_w: float = 0.0
    """Electrical, of the drive; mean of the last step."""
    shaft_power_w: float = 0.0
    friction_w: float = 0.0
    ticks: list[tuple[float, float]] = field(default_factory=list)
    """Angle in degrees and speed in deg/s, positive clockwise, at the end of each part of the last block; empty where it kept its
    speed."""

    def angle_before(self, samples: int) -> float:
        """Where it was so many samples of 1 ms before the end of the last block, in degrees."""
        angle, speed = self.angle_deg, self.speed_rpm * self.direction * 6.0
        if self.ticks:
            each = BLOCK_SAMPLES // len(self.ticks)
            angle, speed = self.ticks[-1 - samples // each]
            samples %= each
        return (angle - speed * samples * 0.001) % 360.0

    def command(self, speed_rpm: float, direction: int) -> None:
        self.commanded_direction = direction
        self.commanded_rpm = min(max(speed_rpm, 0.0), MAX_SPEED_RPM) if direction else 0.0
        self.stop_deg = None

    def orient(self, angle_deg: float) -> None:
        """Brake, turn on to an angle and stand there; until the next ``command``."""
        self.command(0.0, 0)
        self.stop_deg = angle_deg

    @property
    def seeks(self) -> bool:
        """Whether it does not stand yet at the angle at which it should."""
        return self.stop_deg is not None and (self.speed_rpm > 0.0 or self.angle_deg != self.stop_deg)

    def index_in_s(self, at_s: float) -> float:
        """How long it takes to its index pulse (angle 0) from a moment on, s from now, at the speed that it has and keeps."""
        speed_deg_s = 6.0 * self.speed_rpm
        return (-self.direction * self.angle_deg - speed_deg_s * at_s) % 360.0 / speed_deg_s

    @property
    def target_rpm(self) -> float:
        """Where the speed goes next: through standstill when the direction changes, and to that at which it looks for an angle."""
        turns = self.direction
        if self.stop_deg is not None:
            return SEEKING_RPM if self.speed_rpm > SEEKING_RPM else 0.0
        return 0.0 if turns and turns != self.commanded_direction else self.commanded_rpm

    @property
    def at_speed(self) -> bool:
        """Within 3 % of the commanded speed, turning the commanded way, or at its angle: the control waits for this."""
        if self.stop_deg is not None:
            return not self.seeks
        if self.commanded_rpm == 0.0:
            return self.speed_rpm < 30.0
        right_way = self.direction == self.commanded_direction
        return right_way and abs(self.speed_rpm - self.commanded_rpm) <= 0.03 * self.commanded_rpm

    @property
    def is_steady(self) -> bool:
        """Whether it has the speed and the way to turn that it should."""
        speed = self.speed_rpm
        if speed == 0.0:
            return self.commanded_rpm == 0.0 and not self.seeks
        return speed == self.commanded_rpm and self.direction == self.commanded_direction

    def step(self, dt_s: float, cut_nm: float, bearing_friction: float, bearing_c: float) -> None:
        """One step (10 ms) with a load torque of ``cut_nm`` at the spindle."""
        speed = self.speed_rpm
        if self.stop_deg is not None and speed <= SEEKING_RPM and self.seeks:
            self._seek(self.stop_deg, dt_s, cut_nm, bearing_friction, bearing_c)
            return
        if speed == 0.0 and self.commanded_direction and self.commanded_rpm > 0.0:
            self.direction = self.commanded_direction
        target = self.target_rpm
        friction = friction_nm(speed, bearing_friction, bearing_c)
        load = friction + cut_nm
        omega = speed * _TO_RAD_S
        limit = PEAK * rated_torque_nm(speed)
        if speed == target and load <= limit:
            torque = load if speed > 0.0 else 0.0
        else:
            wanted = INERTIA_KG_M2 * (target - speed) * _TO_RAD_S / dt_s + load
            torque = min(max(wanted, -limit), limit)
            after = speed + (torque - load) * dt_s / INERTIA_KG_M2 / _TO_RAD_S
            if abs(after - target) < 1e-6 * MAX_SPEED_RPM or (after - target) * (speed - target) < 0.0:
                after = target
            self.speed_rpm = after = min(max(after, 0.0), MAX_SPEED_RPM)
            omega = 0.5 * (speed + after) * _TO_RAD_S
            if after == 0.0:
                self.direction = 0
            friction = friction_nm(after, bearing_friction, bearing_c)
        self._turned(self.direction * math.degrees(omega) * dt_s, omega, torque, friction)

    def follow(
        self, dt_s: float, turned_deg: float, speed_deg_s: float, cut_nm: float, bearing_friction: float, bearing_c: float
    ) -> None:
        """One step in which it is led, as in rigid tapping: by ``turned_deg``, to a speed; both positive clockwise."""
        before, after = self.speed_rpm, abs(speed_deg_s) / 6.0
        self.speed_rpm = after = after if after >= CREEPING_RPM else 0.0
        self.direction = 0 if after == 0.0 else 1 if speed_deg_s > 0.0 else -1
        omega = math.radians(abs(turned_deg)) / dt_s
        friction = friction_nm(omega / _TO_RAD_S, bearing_friction, bearing_c)
        speeds_up = INERTIA_KG_M2 * (after - before) * _TO_RAD_S / dt_s
        self._turned(turned_deg, omega, speeds_up + friction + cut_nm * (omega > 0.0), friction)

    def _seek(self, stop_deg: float, dt_s: float, cut_nm: float, bearing_friction: float, bearing_c: float) -> None:
        """A step on the way to an angle: speed up for as long as it can still stop there, then brake so that it does.

        What turns goes on the way it turns, once around if it has to; what stands goes the shorter way.
        """
        speed, direction = self.speed_rpm * 6.0, self.direction
        ahead = (stop_deg - self.angle_deg) % 360.0
        if speed == 0.0:
            direction = 1 if ahead <= 180.0 else -1
        if direction < 0:
            ahead = -ahead % 360.0
        if speed * speed > 2.0 * _SEEKING_DEG_S2 * ahead * (1.0 + 1e-9):
            ahead += 360.0
        faster = min(speed + _SEEKING_DEG_S2 * dt_s, SEEKING_RPM * 6.0)
        way = 0.5 * (speed + faster) * dt_s
        if faster * faster > 2.0 * _SEEKING_DEG_S2 * (ahead - way):
            slows = speed * speed / (2.0 * ahead) if ahead else 0.0
            faster = max(speed - slows * dt_s, 0.0)
            way = 0.5 * (speed + faster) * dt_s if faster else ahead
        self.follow(dt_s, direction * way, direction * faster, cut_nm, bearing_friction, bearing_c)
        if faster == 0.0:
            self.angle_deg = stop_deg

    def _turned(self, turned_deg: float, omega: float, torque: float, friction: float) -> None:
        """What there is to be seen of a step: mean speed in rad/s, torques in N m."""
        self.angle_deg = (self.angle_deg + turned_deg) % 360.0
        self.torque_nm = torque
        self.friction_w = friction * omega
        self.shaft_power_w = shaft_w = torque * omega
        excitation = EXCITATION_W if self.speed_rpm > 0.0 else 0.0
        # Braking energy goes into the resistor: the drive then takes only its excitation from the mains.
        self.power_w = shaft_w / EFFICIENCY + excitation if shaft_w > 0.0 else excitation
