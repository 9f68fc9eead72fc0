"""Vibration at the front bearing: one state, and the features a monitor would find in it.

The signal is a sum of parts with known power, and each feature follows from the parts. ``burst`` makes the signal itself from
the same parts, so that features and waveform always agree.

    turn        sine at fr               unbalance ~ n^2 of tool and holder; once per turn a tooth with more to do
    tooth       sine at z * fr           ~ force of one tooth
    chatter     sine near the nose's natural frequency, while a cut is unstable
    noise       Gaussian, broadband      ~ speed, load and worn edges
    feed        Gaussian, 60-150 Hz      ball screws and guides ~ velocity of the axes
    impacts     ring-downs at BPFO       from a spall on the outer race: small in energy at first, but sharp
    rumble      Gaussian, swelling at BPFO: what impacts become when the spall grows and they overlap

Impacts are strong in kurtosis while the spall is small; when it grows they become rumble, so kurtosis falls again while the RMS
values rise. Velocities in mm/s, accelerations in m/s2; a sine is given by its amplitude, all else by its RMS value.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from opcua_server.machine.bearing import FRONT

_OUTER_RACE: Final = FRONT.outer_race
NOSE_RESONANCE_HZ: Final = 240.0
CHATTER_AT_BEARING: Final = 0.01
"""Of the acceleration at the tool that reaches the front bearing's housing."""
RING_HZ: Final = 3600.0
RING_DECAY_S: Final = 0.00016
"""The housing's resonance that an impact excites, and how fast it fades."""
_W: Final = 2.0 * math.pi * RING_HZ * RING_DECAY_S
RING_PHASE: Final = -math.atan(_W)
"""At which a ring-down has no mean: an impact leaves no push behind."""
_STEP: Final = 0.002
_RING: Final = [math.exp(-_STEP * k) * math.sin(_W * _STEP * k + RING_PHASE) for k in range(5000)]
RING_SQUARE: Final = _STEP * sum(x**2 for x in _RING)
RING_FOURTH: Final = _STEP * sum(x**4 for x in _RING)
"""Integrals of a ring-down to the second and fourth power over t / decay."""
IMPACT_SPREAD: Final = 0.15
"""Standard deviation of the impacts' heights as share of their mean."""
SWELL: Final = 0.5
"""Depth of the rumble's swelling."""
RING_IN_BAND: Final = 0.77
RUMBLE_IN_BAND: Final = 0.34
"""Share of each that a monitor's demodulation band lets through, as amplitude."""
NOISE_VELOCITY: Final = 0.22
"""mm/s (10-1000 Hz) per m/s2 of the broadband noise."""
FEED_VELOCITY: Final = 1.0 / 0.596
IMPACT_VELOCITY: Final = 0.13
"""mm/s per m/s2 of impacts: what a train of ring-downs has below 1000 Hz, at any rate of them."""
RACE_VELOCITY: Final = 0.05
"""mm/s at BPFO itself per m/s2 of rumble: the shaft dips as a ball runs through a spall that is longer than it."""
VELOCITY_BAND_HZ: Final = (10.0, 1000.0)


class Vibration(NamedTuple):
    """Expected features."""

    velocity_rms_mm_s: float
    acceleration_rms_m_s2: float
    kurtosis: float
    bearing_line_m_s2: float
    tooth_line_m_s2: float
    unbalance_mm_s: float


class Parts(NamedTuple):
    """One state of vibration."""

    turn_hz: float
    tooth_hz: float
    turn_mm_s: float
    tooth_m_s2: float
    chatter_m_s2: float
    chatter_hz: float
    noise_m_s2: float
    feed_m_s2: float
    impacts_m_s2: float
    rumble_m_s2: float

    @property
    def outer_race_hz(self) -> float:
        return _OUTER_RACE * self.turn_hz

    @property
    def race_m_s2(self) -> float:
        """RMS at BPFO itself."""
        return RACE_VELOCITY * self.rumble_m_s2 * 2.0 * math.pi * self.outer_race_hz / 1000.0


FLOOR_MM_S: Final = 0.02
FLOOR_M_S2: Final = 0.05
FLOOR_BEARING_M_S2: Final = 0.004
FLOOR_TURN_MM_S: Final = 0.005
"""Neighbouring machines, felt through the floor, and the noise of the sensor."""
STILL: Final = Parts(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, FLOOR_M_S2, 0.0, 0.0, 0.0)


def parts(
    speed_rpm: float, unbalance_mm_s: float, tooth_force_n: float, teeth: int, axis_velocity_mm_s: float, flank_wear_mm: float,
    bearing_defect: float, *, once_per_turn_n: float = 0.0, chatter: float = 0.0, chatter_hz: float = 1.0, chip_mm: float = 0.0,
) -> Parts:  # fmt: skip
    """The state by what causes it.

    ``unbalance_mm_s``: velocity amplitude at 10,000 r/min; ``tooth_force_n``: tangential force of one tooth in cut;
    ``bearing_defect`` and ``chatter``: 0 to 1.
    """
    if speed_rpm < 30.0 and axis_velocity_mm_s < 0.5:
        return STILL
    turn_hz = max(speed_rpm / 60.0, 0.1)
    tooth_hz = turn_hz * max(teeth, 1)
    # Below its lowest resonance the spindle nose is a spring: it follows a slow force without accelerating much.
    turn_mm_s = unbalance_mm_s * (speed_rpm / 10_000.0) ** 2
    if once_per_turn_n > 0.0:
        turn_mm_s = math.hypot(turn_mm_s, 1000.0 * _forced(once_per_turn_n, turn_hz) / (2.0 * math.pi * turn_hz))
    # Broadband: rolling noise of the bearings, chip formation (rougher with a worn flank).
    noise = math.sqrt(
        FLOOR_M_S2**2
        + (0.9 * (speed_rpm / 10_000.0) ** 1.2) ** 2
        + (0.0021 * tooth_force_n * (1.0 + 1.4 * flank_wear_mm / 0.3)) ** 2
    )
    # The force of an impact follows ball load and surface speed; a spall of a third is hardly heard, one of half rings clearly.
    impacts = 4.6 * bearing_defect**2.8 * (speed_rpm / 6000.0) ** 1.5 if bearing_defect > 0.0 else 0.0
    overlap = bearing_defect**3
    return Parts(
        turn_hz=turn_hz,
        tooth_hz=tooth_hz,
        turn_mm_s=turn_mm_s,
        tooth_m_s2=_forced(tooth_force_n, tooth_hz),
        # A tooth that leaves the cut bounds the wave at about the chip's thickness.
        chatter_m_s2=CHATTER_AT_BEARING * chatter * chip_mm * (2.0 * math.pi * chatter_hz) ** 2 / 1000.0,
        chatter_hz=chatter_hz,
        noise_m_s2=noise,
        feed_m_s2=0.0007 * axis_velocity_mm_s,
        impacts_m_s2=impacts * math.sqrt(1.0 - 0.75 * overlap),
        rumble_m_s2=impacts * math.sqrt(0.75 * overlap),
    )


def _forced(force_n: float, at_hz: float) -> float:
    stiff = (at_hz / NOSE_RESONANCE_HZ) ** 2
    return 0.0065 * force_n * stiff / (1.0 + stiff)


def features(state: Parts) -> Vibration:
    """What a monitor expects to find on average."""
    p = state
    turn_m_s2 = p.turn_mm_s * 2.0 * math.pi * p.turn_hz / 1000.0
    sines = (p.tooth_m_s2**2 / 2.0, turn_m_s2**2 / 2.0, p.chatter_m_s2**2 / 2.0, p.race_m_s2**2)
    rumble, impacts = p.rumble_m_s2**2, p.impacts_m_s2**2
    power = p.noise_m_s2**2 + p.feed_m_s2**2 + rumble + impacts + sum(sines)
    # Fourth moment of a sum of independent parts: 3 (sum of powers)^2 plus each part's excess.
    excess = -1.5 * sum(one * one for one in sines)
    line = 0.0
    if impacts > 0.0:
        decay = RING_DECAY_S * p.outer_race_hz
        excess += (RING_FOURTH / RING_SQUARE**2 / decay * (1.0 + 4.0 * IMPACT_SPREAD**2) - 3.0) * impacts**2
        excess += _SWELL_EXCESS * rumble**2 + 6.0 * _SWELL_MEETS * impacts * rumble
        line = RING_IN_BAND * 4.0 * math.sqrt(decay) / math.hypot(1.0, 2.0 * math.pi * decay) * p.impacts_m_s2
        line += RUMBLE_IN_BAND * math.sqrt(math.pi / 2.0) * SWELL / math.sqrt(1.0 + SWELL**2 / 2.0) * p.rumble_m_s2
    velocity = (
        FLOOR_MM_S**2
        + p.turn_mm_s**2 / 2.0
        + _velocity(p.tooth_m_s2, p.tooth_hz) ** 2 / 2.0
        + _velocity(p.chatter_m_s2, p.chatter_hz) ** 2 / 2.0
        + (NOISE_VELOCITY * p.noise_m_s2) ** 2
        + IMPACT_VELOCITY**2 * impacts
        + RACE_VELOCITY**2 * rumble * (p.outer_race_hz < VELOCITY_BAND_HZ[1])
        + (FEED_VELOCITY * p.feed_m_s2) ** 2
    )
    return Vibration(
        velocity_rms_mm_s=math.sqrt(velocity),
        acceleration_rms_m_s2=math.sqrt(power),
        kurtosis=3.0 + excess / (power * power),
        # Tooth engagements are shocks too: a part of them leaks into every band of the envelope.
        bearing_line_m_s2=math.sqrt((0.03 * p.noise_m_s2) ** 2 + (0.06 * p.tooth_m_s2) ** 2 + FLOOR_BEARING_M_S2**2 + line * line),
        tooth_line_m_s2=math.hypot(p.tooth_m_s2, 0.03 * p.noise_m_s2),
        unbalance_mm_s=math.hypot(p.turn_mm_s, FLOOR_TURN_MM_S),
    )


def _velocity(amplitude_m_s2: float, at_hz: float) -> float:
    """Amplitude of the velocity in mm/s of a sine, as far as it lies in the monitor's band."""
    return 1000.0 * amplitude_m_s2 / (2.0 * math.pi * at_hz) if at_hz < VELOCITY_BAND_HZ[1] and amplitude_m_s2 > 0.0 else 0.0


_SWELL_EXCESS: Final = 3.0 * ((1.0 + 3.0 * SWELL**2 + 0.375 * SWELL**4) / (1.0 + SWELL**2 / 2.0) ** 2 - 1.0)
_SWELL_MEETS: Final = (1.0 + SWELL) ** 2 / (1.0 + SWELL**2 / 2.0) - 1.0
"""Impacts come when the rumble is at its highest."""
