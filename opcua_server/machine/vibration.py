"""Vibration at the front bearing: features of one state, so that they always agree with each other.

The signal is modelled as a sum of parts with known power, and each feature is what a monitor would compute from that sum:

    unbalance   sine at fr            velocity ~ n^2, by tool and holder
    tooth       sine at z * fr        ~ force of one tooth
    noise       Gaussian, broadband   ~ speed, load and worn edges
    impacts     ring-downs at BPFO    from a spall on the outer race: small in energy at first, but sharp

Impacts are strong in kurtosis while the spall is small; when it grows they overlap into noise, so kurtosis falls again while
the RMS values rise. Velocities in mm/s, accelerations in m/s2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

BPFO_PER_TURN: Final = 9 / 2 * (1.0 - 7.94 / 39.04)
"""Outer-race passages per turn: 6205 geometry, contact angle 0 (N 9 balls, d 7.94 mm, D 39.04 mm), 3.585 times fr."""
NOSE_RESONANCE_HZ: Final = 240.0
IMPACT_KURTOSIS: Final = 28.0
SINE_KURTOSIS: Final = 1.5


@dataclass(frozen=True, slots=True)
class Vibration:
    velocity_rms_mm_s: float
    acceleration_rms_m_s2: float
    kurtosis: float
    bearing_line_m_s2: float
    tooth_line_m_s2: float
    unbalance_mm_s: float


STILL: Final = Vibration(0.02, 0.05, 3.0, 0.004, 0.003, 0.005)
"""Neighbouring machines, felt through the floor, and the noise of the sensor."""


def features(
    speed_rpm: float, unbalance_mm_s: float, tooth_force_n: float, teeth: int, axis_velocity_mm_s: float,
    flank_wear_mm: float, bearing_defect: float,
) -> Vibration:  # fmt: skip
    """Expected features of one state.

    ``unbalance_mm_s``: velocity amplitude at 10,000 r/min; ``tooth_force_n``: tangential force of one tooth in cut;
    ``bearing_defect``: 0 to 1.
    """
    if speed_rpm < 30.0 and axis_velocity_mm_s < 0.5:
        return STILL
    turn_hz = speed_rpm / 60.0
    unbalance = unbalance_mm_s * (speed_rpm / 10_000.0) ** 2
    omega = 2.0 * math.pi * max(turn_hz, 0.1)
    # Below its lowest resonance the spindle nose is a spring: it follows a slow force without accelerating much.
    stiff = (turn_hz * max(teeth, 1) / NOSE_RESONANCE_HZ) ** 2
    tooth_acceleration = 0.0065 * tooth_force_n * stiff / (1.0 + stiff)
    tooth_velocity = 1000.0 * tooth_acceleration / (omega * max(teeth, 1)) * (turn_hz * max(teeth, 1) < 1000.0)
    # Broadband: rolling noise of the bearings, chip formation (rougher with a worn flank), ball screws and guides.
    noise = math.sqrt(
        0.05**2
        + (0.9 * (speed_rpm / 10_000.0) ** 1.2) ** 2
        + (0.0021 * tooth_force_n * (1.0 + 1.4 * flank_wear_mm / 0.3)) ** 2
        + (0.0007 * axis_velocity_mm_s) ** 2
    )
    # The force of an impact follows ball load and surface speed; a spall of half size rings clearly.
    impacts = 4.6 * bearing_defect**2.2 * (speed_rpm / 6000.0) ** 1.5 if bearing_defect > 0.0 else 0.0
    overlap = bearing_defect**3
    sharp, smeared = impacts * math.sqrt(1.0 - 0.75 * overlap), impacts * math.sqrt(0.75 * overlap)
    gauss_power = noise * noise + smeared * smeared
    sine_power = tooth_acceleration**2 / 2.0 + (unbalance * omega / 1000.0) ** 2 / 2.0
    sharp_power = sharp * sharp
    power = gauss_power + sine_power + sharp_power
    # Fourth moment of a sum of independent parts: 3 (sum of powers)^2 plus each part's excess.
    kurtosis = 3.0 + (
        (IMPACT_KURTOSIS - 3.0) * sharp_power**2 + (SINE_KURTOSIS - 3.0) * sine_power**2
    ) / (power * power)  # fmt: skip
    velocity_power = (
        STILL.velocity_rms_mm_s**2
        + unbalance * unbalance / 2.0
        + tooth_velocity * tooth_velocity / 2.0
        + (0.22 * noise) ** 2
        + (0.075 * impacts) ** 2
        + (0.0012 * axis_velocity_mm_s) ** 2
    )
    return Vibration(
        velocity_rms_mm_s=math.sqrt(velocity_power),
        acceleration_rms_m_s2=math.sqrt(power),
        kurtosis=kurtosis,
        # Tooth engagements are shocks too: a part of them leaks into every band of the envelope.
        bearing_line_m_s2=math.sqrt(
            (0.03 * noise) ** 2 + (0.06 * tooth_acceleration) ** 2 + STILL.bearing_line_m_s2**2 + (0.6 * impacts) ** 2
        ),
        tooth_line_m_s2=math.sqrt(tooth_acceleration**2 + (0.03 * noise) ** 2),
        unbalance_mm_s=math.sqrt(unbalance * unbalance + STILL.unbalance_mm_s**2),
    )
