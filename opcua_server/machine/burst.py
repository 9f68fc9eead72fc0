"""The vibration itself: an acceleration signal at 25.6 kHz, made from the state whose features the signals show.

    Parts --burst--> waveform --measure--> features      as a monitor finds them; they agree with ``vibration.features``
        '------------- vibration.features ------'

``measure`` is what a condition monitor does: band-limited RMS, kurtosis, velocity by integration in the frequency domain, lines
by a flat-top window, and the envelope of the band around the housing's resonance for the bearing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.bearing import FRONT
from opcua_server.machine.vibration import (
    IMPACT_SPREAD,
    RING_DECAY_S,
    RING_HZ,
    RING_PHASE,
    RING_SQUARE,
    SWELL,
    VELOCITY_BAND_HZ,
    Parts,
    Vibration,
)

Floats = npt.NDArray[np.float64]

RATE_HZ: Final = 25_600
SENSOR_HZ: Final = 10_000.0
NOISE_CORNER_HZ: Final = 71.0
"""Below it the broadband noise falls: with it 1 m/s2 of noise is 0.22 mm/s between 10 and 1000 Hz."""
RING_FROM_HZ: Final = 1200.0
"""Rumble is many impacts at once: it has its power where they ring."""
FEED_BAND_HZ: Final = (60.0, 150.0)
ENVELOPE_BAND_HZ: Final = (2000.0, 6000.0)
JITTER: Final = 0.01
"""Standard deviation of an impact's moment, in periods: balls skid a little."""


def burst(state: Parts, seconds: float, random: np.random.Generator) -> Floats:
    """Acceleration in m/s2, ``(seconds * 25600,)``."""
    n = max(round(seconds * RATE_HZ), 2)
    t = np.arange(n) / RATE_HZ
    signal = _noise(state.noise_m_s2, n, random, lambda f: f / np.hypot(f, NOISE_CORNER_HZ) * (f <= SENSOR_HZ))
    low, high = FEED_BAND_HZ
    signal += _noise(state.feed_m_s2, n, random, lambda f: ((f >= low) & (f <= high)).astype(np.float64))
    for amplitude, hertz in (
        (state.turn_mm_s * 2.0 * math.pi * state.turn_hz / 1000.0, state.turn_hz),
        (state.tooth_m_s2, state.tooth_hz),
        (state.chatter_m_s2, state.chatter_hz),
        (math.sqrt(2.0) * state.race_m_s2, state.outer_race_hz),
    ):
        signal += amplitude * np.sin(2.0 * math.pi * (hertz * t + random.uniform()))
    if state.impacts_m_s2 > 0.0:
        begin = random.uniform()
        signal += _impacts(state, n, begin, random)
        rumble = _noise(state.rumble_m_s2, n, random, lambda f: ((f >= RING_FROM_HZ) & (f <= SENSOR_HZ)).astype(np.float64))
        swelling = 1.0 + SWELL * np.cos(2.0 * math.pi * (state.outer_race_hz * t - begin))
        signal += rumble * swelling / math.sqrt(1.0 + SWELL**2 / 2.0)
    return signal


def _noise(rms: float, n: int, random: np.random.Generator, shape: Callable[[Any], Any]) -> Floats:
    """Gaussian noise of a spectrum's shape (amplitude by frequency in Hz) and an expected RMS value."""
    white = np.fft.rfft(random.standard_normal(n))
    weights = shape(np.arange(n // 2 + 1) * (RATE_HZ / n))
    mean_square = float(np.mean(weights**2))
    scale = rms / math.sqrt(mean_square) if mean_square > 0.0 else 0.0
    return np.fft.irfft(white * weights * scale, n)


def _impacts(state: Parts, n: int, begin: float, random: np.random.Generator) -> Floats:
    """Ring-downs at the rate of the outer race."""
    period = RATE_HZ / state.outer_race_hz
    count = int(n / period) + 2
    at = (np.arange(count) + begin - 1.0 + JITTER * random.standard_normal(count)) * period
    first = np.ceil(at).astype(np.int64)
    length = math.ceil(8.0 * RING_DECAY_S * RATE_HZ)
    age = (first - at)[:, None] / RATE_HZ + np.arange(length) / RATE_HZ
    rings = np.exp(-age / RING_DECAY_S) * np.sin(2.0 * math.pi * RING_HZ * age + RING_PHASE)
    rings *= (1.0 + IMPACT_SPREAD * random.standard_normal(count))[:, None]
    energy = RING_SQUARE * RING_DECAY_S * (1.0 + IMPACT_SPREAD**2)
    rings *= state.impacts_m_s2 / math.sqrt(energy * state.outer_race_hz)
    out = np.zeros(n + 2 * length)
    index = first[:, None] + np.arange(length) + length
    inside = (index >= 0) & (index < len(out))
    np.add.at(out, index[inside], rings[inside])
    return out[length : length + n]


def measure(signal: Floats, speed_rpm: float, teeth: int) -> Vibration:
    """What a monitor finds in an acceleration signal of 25.6 kHz at a known speed."""
    turn_hz, n = speed_rpm / 60.0, len(signal)
    spectrum = np.fft.rfft(signal)
    hertz = np.fft.rfftfreq(n, 1.0 / RATE_HZ)
    band = (hertz >= VELOCITY_BAND_HZ[0]) & (hertz <= VELOCITY_BAND_HZ[1])
    velocity = spectrum[band] / (2.0 * math.pi * hertz[band]) * 1000.0
    power = float(np.mean(signal**2))
    analytic = np.where((hertz >= ENVELOPE_BAND_HZ[0]) & (hertz <= ENVELOPE_BAND_HZ[1]), spectrum, 0.0)
    envelope = np.abs(np.fft.ifft(np.concatenate([2.0 * analytic, np.zeros(n - len(analytic))])))
    return Vibration(
        velocity_rms_mm_s=math.sqrt(2.0 * float(np.sum(np.abs(velocity) ** 2))) / n,
        acceleration_rms_m_s2=math.sqrt(power),
        kurtosis=float(np.mean(signal**4)) / power**2,
        bearing_line_m_s2=line(envelope - envelope.mean(), FRONT.outer_race * turn_hz),
        tooth_line_m_s2=line(signal, teeth * turn_hz),
        unbalance_mm_s=line(signal, turn_hz) / (2.0 * math.pi * turn_hz) * 1000.0,
    )


def line(signal: Floats, hertz: float) -> float:
    """Amplitude of the sine of a frequency in a signal of 25.6 kHz (Hann window)."""
    n = len(signal)
    window = np.hanning(n)
    turn = np.exp(-2j * math.pi * hertz / RATE_HZ * np.arange(n))
    return float(2.0 * np.abs(np.dot(signal * window, turn)) / window.sum())
