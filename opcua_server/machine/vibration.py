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
from typing import Any, Final, NamedTuple

import numpy as np

from opcua_server.machine.bearing import FRONT
from opcua_server.machine.sums import added

Column = Any
"""float64 (n,), or one float."""

_OUTER_RACE: Final = FRONT.outer_race
NOSE_RESONANCE_HZ: Final = 240.0
BY_THE_NOSE: Final = 0.3
"""Share of the chips' noise, as power, that reaches the front bearing by the mode that chatters; by judgement."""
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
RING_SQUARE: Final = _STEP * added(x**2 for x in _RING)
RING_FOURTH: Final = _STEP * added(x**4 for x in _RING)
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

    velocity_rms_mm_s: Column
    acceleration_rms_m_s2: Column
    kurtosis: Column
    bearing_line_m_s2: Column
    tooth_line_m_s2: Column
    unbalance_mm_s: Column


class Parts(NamedTuple):
    """One state of vibration."""

    turn_hz: Column
    """0 where nothing moves."""
    tooth_hz: Column
    turn_mm_s: Column
    tooth_m_s2: Column
    chatter_m_s2: Column
    chatter_hz: Column
    noise_m_s2: Column
    feed_m_s2: Column
    impacts_m_s2: Column
    rumble_m_s2: Column

    @property
    def outer_race_hz(self) -> Column:
        return _OUTER_RACE * self.turn_hz

    @property
    def race_m_s2(self) -> Column:
        """RMS at BPFO itself."""
        return RACE_VELOCITY * self.rumble_m_s2 * (2.0 * math.pi / 1000.0) * self.outer_race_hz

    def of(self, machine: int) -> Parts:
        """Of one machine among many."""
        return Parts(*(float(column[machine]) for column in self))


FLOOR_MM_S: Final = 0.02
FLOOR_M_S2: Final = 0.05
FLOOR_BEARING_M_S2: Final = 0.004
FLOOR_TURN_MM_S: Final = 0.005
"""Neighbouring machines, felt through the floor, and the noise of the sensor."""
STILL: Final = Parts(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, FLOOR_M_S2, 0.0, 0.0, 0.0)


def parts(
    speed_rpm: Column, unbalance_mm_s: Column, tooth_force_n: Column, teeth: Column, axis_velocity_mm_s: Column,
    flank_wear_mm: Column, bearing_defect: Column, *, once_per_turn_n: Column = 0.0, chatter: Column = 0.0,
    chatter_hz: Column = 1.0, chip_mm: Column = 0.0, rings_on: Column = 0.0,
) -> Parts:  # fmt: skip
    """The state by what causes it.

    ``unbalance_mm_s``: velocity amplitude at 10,000 r/min; ``tooth_force_n``: tangential force of one tooth in cut;
    ``bearing_defect`` and ``chatter``: 0 to 1; ``rings_on``: how much longer than nominal the nose's mode rings, 1 / damping - 1.
    """
    # A machine that stands has nothing but the floor: all that causes vibration is 0 in it.
    moves = (speed_rpm >= 30.0) | (axis_velocity_mm_s >= 0.5)
    speed_rpm = speed_rpm * moves
    turn_hz = _most(speed_rpm / 60.0, 0.1) * moves
    tooth_hz = turn_hz * _most(teeth, 1.0)
    pace = speed_rpm / 10_000.0
    turn_mm_s = unbalance_mm_s * (pace * pace)
    if _is_any(once_per_turn_n):
        knock = 1000.0 * _forced(once_per_turn_n, turn_hz) / (2.0 * math.pi * _most(turn_hz, 0.1))
        turn_mm_s = _root(turn_mm_s * turn_mm_s + knock * knock)
    # Broadband: rolling noise of the bearings, chip formation (rougher with a worn flank).
    rolling = 0.9 * _power(pace, 1.2)
    chips = 0.0021 * tooth_force_n * (1.0 + 1.4 / 0.3 * flank_wear_mm)
    if _is_any(rings_on):
        # The power of a mode that noise drives goes with 1 / damping.
        chips = chips * _root(1.0 + BY_THE_NOSE * rings_on)
    impacts = rumble = 0.0 * pace
    if _is_any(bearing_defect):
        # The force of an impact follows ball load and surface speed; a spall of a third is hardly heard, one of half rings clearly.
        strength = 4.6 * _power(bearing_defect, 2.8) * _power(speed_rpm / 6000.0, 1.5)
        overlap = bearing_defect * bearing_defect * bearing_defect
        impacts, rumble = strength * _root(1.0 - 0.75 * overlap), strength * _root(0.75 * overlap)
    return Parts(
        turn_hz=turn_hz,
        tooth_hz=tooth_hz,
        turn_mm_s=turn_mm_s,
        # Below its lowest resonance the spindle nose is a spring: it follows a slow force without accelerating much.
        tooth_m_s2=_forced(tooth_force_n, tooth_hz),
        # A tooth that leaves the cut bounds the wave at about the chip's thickness.
        chatter_m_s2=(CHATTER_AT_BEARING * (2.0 * math.pi) ** 2 / 1000.0) * chatter * chip_mm * (chatter_hz * chatter_hz),
        chatter_hz=chatter_hz,
        noise_m_s2=_root(FLOOR_M_S2**2 + rolling * rolling + chips * chips),
        feed_m_s2=0.0007 * axis_velocity_mm_s * moves,
        impacts_m_s2=impacts,
        rumble_m_s2=rumble,
    )


def _forced(force_n: Column, at_hz: Column) -> Column:
    stiff = at_hz * (1.0 / NOSE_RESONANCE_HZ)
    stiff = stiff * stiff
    return 0.0065 * force_n * stiff / (1.0 + stiff)


def features(state: Parts) -> Vibration:
    """What a monitor expects to find on average."""
    p = state
    turn_m_s2 = p.turn_mm_s * p.turn_hz * (2.0 * math.pi / 1000.0)
    hiss, swing = p.noise_m_s2 * p.noise_m_s2, p.feed_m_s2 * p.feed_m_s2
    tooth, turn = 0.5 * (p.tooth_m_s2 * p.tooth_m_s2), 0.5 * (turn_m_s2 * turn_m_s2)
    power = hiss + swing + tooth + turn
    # Fourth moment of a sum of independent parts: 3 (sum of powers)^2 plus each part's excess.
    excess = -1.5 * (tooth * tooth + turn * turn)
    velocity = FLOOR_MM_S**2 + 0.5 * (p.turn_mm_s * p.turn_mm_s) + NOISE_VELOCITY**2 * hiss + FEED_VELOCITY**2 * swing
    velocity = velocity + _velocity_power(tooth, p.tooth_hz)
    line: Column = 0.0
    if _is_any(p.chatter_m_s2):
        wave = 0.5 * (p.chatter_m_s2 * p.chatter_m_s2)
        power, excess = power + wave, excess - 1.5 * (wave * wave)
        velocity = velocity + _velocity_power(wave, p.chatter_hz)
    if _is_any(p.impacts_m_s2):
        race, rumble, impacts = p.race_m_s2, p.rumble_m_s2 * p.rumble_m_s2, p.impacts_m_s2 * p.impacts_m_s2
        race = race * race
        power = power + rumble + impacts + race
        decay = RING_DECAY_S * _most(p.outer_race_hz, 1.0)
        peaked = RING_FOURTH / RING_SQUARE**2 * (1.0 + 4.0 * IMPACT_SPREAD**2) / decay - 3.0
        excess = excess - 1.5 * (race * race) + peaked * (impacts * impacts)
        excess = excess + _SWELL_EXCESS * (rumble * rumble) + 6.0 * _SWELL_MEETS * (impacts * rumble)
        line = RING_IN_BAND * 4.0 * _root(decay) / _root(1.0 + (2.0 * math.pi) ** 2 * (decay * decay)) * p.impacts_m_s2
        line = line + RUMBLE_IN_BAND * math.sqrt(math.pi / 2.0) * SWELL / math.sqrt(1.0 + SWELL**2 / 2.0) * p.rumble_m_s2
        velocity = velocity + IMPACT_VELOCITY**2 * impacts
        velocity = velocity + RACE_VELOCITY**2 * rumble * (p.outer_race_hz < VELOCITY_BAND_HZ[1])
    return Vibration(
        velocity_rms_mm_s=_root(velocity),
        acceleration_rms_m_s2=_root(power),
        kurtosis=3.0 + excess / (power * power),
        # Tooth engagements are shocks too: a part of them leaks into every band of the envelope.
        bearing_line_m_s2=_root(0.03**2 * hiss + (2.0 * 0.06**2) * tooth + FLOOR_BEARING_M_S2**2 + line * line),
        tooth_line_m_s2=_root(2.0 * tooth + 0.03**2 * hiss),
        unbalance_mm_s=_root(p.turn_mm_s * p.turn_mm_s + FLOOR_TURN_MM_S**2),
    )


def _velocity_power(power: Column, at_hz: Column) -> Column:
    """Power of the velocity in (mm/s)^2 of a sine with a power of acceleration, as far as it lies in the monitor's band."""
    slow = (2.0 * math.pi / 1000.0) * _most(at_hz, 1.0)
    return power / (slow * slow) * (at_hz < VELOCITY_BAND_HZ[1])


def _root(of: Column) -> Column:
    return math.sqrt(of) if isinstance(of, float) else np.sqrt(of)


def _most(one: Column, other: float) -> Column:
    return max(one, other) if isinstance(one, float) else np.maximum(one, other)


def _power(of: Column, exponent: float) -> Column:
    """Number by number: numpy's own rounds now and then as no other does."""
    return of**exponent if isinstance(of, float) else np.array([one**exponent for one in of.tolist()])


def _is_any(column: Column) -> bool:
    """Whether there is something in it that is not 0."""
    return column != 0.0 if isinstance(column, float) else bool(np.any(column))


_SWELL_EXCESS: Final = 3.0 * ((1.0 + 3.0 * SWELL**2 + 0.375 * SWELL**4) / (1.0 + SWELL**2 / 2.0) ** 2 - 1.0)
_SWELL_MEETS: Final = (1.0 + SWELL) ** 2 / (1.0 + SWELL**2 / 2.0) - 1.0
"""Impacts come when the rumble is at its highest."""
