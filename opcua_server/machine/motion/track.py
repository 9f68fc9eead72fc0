"""Samples of a planned path: arrays of position and velocity at every millisecond, whole spans at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import numpy as np
from numpy.typing import NDArray

from opcua_server.machine.motion.block import Floats
from opcua_server.machine.motion.profile import Phase
from opcua_server.machine.motion.segment import Curve, Segment

_SPAN = 2048
"""Samples worked out in one go; a replan throws away what was not used yet."""


class Track:
    """Segments and the phases in which they are passed, sampled on the grid of the interpolator.

    ``offset_s`` is when the path begins, counted from the last sample before it: 0 <= offset_s < one sample. Sample k (from 1)
    is at k * sample_s - offset_s of the path's own time, however the samples are asked for, so that the same path gives the
    same bytes.
    """

    def __init__(self, segments: Sequence[Segment], phases: Sequence[Phase], offset_s: float, sample_s: float) -> None:
        self.segments = segments
        self.phases = phases
        self.offset_s = offset_s
        self.sample_s = sample_s
        columns = np.array(phases, dtype=np.float64).reshape(-1, 5)
        self._index: NDArray[np.intp] = columns[:, 0].astype(np.intp)
        self._s, self._v, self._a = columns[:, 1], columns[:, 2], columns[:, 3]
        self._ends: Floats = np.cumsum(columns[:, 4])
        self._begins: Floats = self._ends - columns[:, 4]
        self.duration_s = float(self._ends[-1]) if len(phases) else 0.0
        self.samples = floor((self.duration_s + offset_s) / sample_s)
        """How many samples lie on the path."""
        self.rest_s = max(0.0, self.duration_s + offset_s - self.samples * sample_s)
        """From the last of them to the end of the path."""
        used = range(len(segments))
        self._origin = np.array([segments[k].start for k in used], dtype=np.float64)
        self._u = np.array([segments[k].u0 for k in used], dtype=np.float64)
        self._length = np.array([segments[k].length for k in used], dtype=np.float64)
        self._zone_in = np.array([segments[k].zone_in[0] for k in used], dtype=np.float64)
        self._zone_out = np.array([segments[k].zone_out[0] for k in used], dtype=np.float64)
        self._blend_in = np.array([segments[k].blend_in for k in used], dtype=np.float64)
        self._blend_out = np.array([segments[k].blend_out for k in used], dtype=np.float64)
        self.ends: Floats = np.array([segments[k].end for k in used], dtype=np.float64)
        """Programmed end points (segments, 3)."""
        self._arcs = [(k, one.curve, one.length) for k, one in enumerate(segments) if one.curve is not None]
        self._from = 1
        self._cache: tuple[Floats, Floats, NDArray[np.intp]] | None = None

    def end(self) -> tuple[int, float, float]:
        """(segment, s, v) where the track ends."""
        if not self.phases:
            return 0, self.segments[0].length, 0.0
        segment, s, v, a, duration = self.phases[-1]
        return segment, s + (v + 0.5 * a * duration) * duration, v + a * duration

    def at(self, sample: int) -> tuple[int, float, float]:
        """(segment, s, v) at a sample of this track."""
        time = sample * self.sample_s - self.offset_s
        if not self.phases:
            return self.end()
        if time <= 0.0:
            k, local = 0, 0.0
        else:
            k = min(int(np.searchsorted(self._ends, time)), len(self._ends) - 1)
            local = time - float(self._begins[k])
        a, v = float(self._a[k]), float(self._v[k])
        return int(self._index[k]), float(self._s[k]) + (v + 0.5 * a * local) * local, max(0.0, v + a * local)

    def read(self, first: int, n: int) -> tuple[Floats, Floats, NDArray[np.intp]]:
        """Positions (n, 3), velocities (n, 3) and segments (n,) of the samples ``first`` to ``first + n - 1``."""
        position, velocity, segment = self.ahead(first, n)
        return position[:n], velocity[:n], segment[:n]

    def ahead(self, first: int, n: int) -> tuple[Floats, Floats, NDArray[np.intp]]:
        """As ``read``, with all samples behind that were worked out in one go."""
        cache = self._cache
        if cache is None or not self._from <= first or first + n > self._from + len(cache[2]):
            span = min(max(n, _SPAN), self.samples + 1 - first)
            cache = self._cache = self._sample(np.arange(first, first + span))
            self._from = first
        low = first - self._from
        return cache[0][low:], cache[1][low:], cache[2][low:]

    def _sample(self, samples: NDArray[np.int_]) -> tuple[Floats, Floats, NDArray[np.intp]]:
        time = samples * self.sample_s - self.offset_s
        phase = np.minimum(np.searchsorted(self._ends, time), len(self._ends) - 1)
        local = time - self._begins[phase]
        a, v = self._a[phase], self._v[phase]
        segment = self._index[phase]
        s = self._s[phase] + (v + 0.5 * a * local) * local
        speed = np.maximum(v + a * local, 0.0)
        direction = self._u[segment]
        position = self._origin[segment] + direction * s[:, None]
        for arc, curve, length in self._arcs:
            low, high = np.searchsorted(segment, (arc, arc + 1))
            if low < high:
                position[low:high], direction[low:high] = _on_arc(curve, length, s[low:high])
        inside = self._zone_in[segment] - s
        at = np.flatnonzero(inside > 0.0)
        if len(at):
            k, x = self._blend_in[segment[at]], inside[at][:, None]
            position[at] += k * x * x
            direction[at] -= 2.0 * k * x
        inside = s - (self._length - self._zone_out)[segment]
        at = np.flatnonzero(inside > 0.0)
        if len(at):
            k, x = self._blend_out[segment[at]], inside[at][:, None]
            position[at] += k * x * x
            direction[at] += 2.0 * k * x
        return position, direction * speed[:, None], segment

    def place(self, segment: int, s_mm: float) -> tuple[float, float, float]:
        """Position on a segment, mm."""
        one = self.segments[segment]
        if s_mm >= one.length and not one.zone_out[0]:
            return one.end
        s = np.array([s_mm])
        if one.curve is not None:
            position, _ = _on_arc(one.curve, one.length, s)
        else:
            position = np.array([one.start]) + np.array([one.u0]) * s_mm
        before, after = one.zone_in[0] - s_mm, s_mm - (one.length - one.zone_out[0])
        if before > 0.0:
            position += np.array(one.blend_in) * before * before
        if after > 0.0:
            position += np.array(one.blend_out) * after * after
        x, y, z = position[0].tolist()
        return x, y, z


def _on_arc(curve: Curve, length: float, s: Floats) -> tuple[Floats, Floats]:
    """Position and direction (by s) on an arc, (n, 3) each."""
    c, e1, e2, n, r0, dr, theta, h = curve
    f = s / length
    r = (r0 + dr * f)[:, None]
    cos, sin = np.cos(theta * f)[:, None], np.sin(theta * f)[:, None]
    first, second, up = np.array(e1), np.array(e2), np.array(n)
    radial = first * cos + second * sin
    across = second * cos - first * sin
    position = np.array(c) + r * radial + up * (h * f)[:, None]
    scale = 1.0 / length
    return position, radial * (dr * scale) + r * across * (theta * scale) + up * (h * scale)
