"""Samples of a planned path: arrays of position and velocity at every millisecond, whole spans at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opcua_server.machine.motion.block import Floats, MotionBlock, MotionEvent
from opcua_server.machine.motion.filter import Average
from opcua_server.machine.motion.joins import Piece
from opcua_server.machine.motion.profile import Phase
from opcua_server.machine.motion.segment import Curve, Segment
from opcua_server.machine.motion.span import Cut, Span

_SPAN = 2048
"""Samples worked out in one go; a replan throws away what was not used yet."""
_KEPT = 16
"""Pieces, and places at which a filter was made to stand, that are kept of one track."""


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
        self._origin = _rows([one.start for one in segments])
        self._u = _rows([one.u0 for one in segments])
        self._zone_in = np.array([one.zone_in[0] for one in segments], dtype=np.float64)
        self._zone_out = np.array([one.length - one.zone_out[0] for one in segments], dtype=np.float64)
        """Where the rounding of the corner before ends, and that of the corner after begins."""
        self._blend_in = _rows([one.blend_in for one in segments])
        self._blend_out = _rows([one.blend_out for one in segments])
        self._rounded = bool(self._zone_in.any()) or any(one.zone_out[0] for one in segments)
        self.ends = [one.end for one in segments]
        """Programmed end points."""
        self._arcs = [(k, one.curve, one.length) for k, one in enumerate(segments) if one.curve is not None]
        self._pieces: dict[tuple[int, int, int], Piece] = {}
        self._seen: dict[int, Floats] = {}
        self.spans: list[Span] = []
        """What was worked out of it, for all that follow it."""
        self.on_span: Callable[[int], None] | None = None
        """To be told how many samples a new span has."""

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

    def read(self, first: int, n: int) -> tuple[Floats, NDArray[np.intp]]:
        """The samples ``first`` to ``first + n - 1``: positions and velocities X Y Z Vx Vy Vz in rows (6, n), segments (n,)."""
        return self._sample(np.arange(first, first + n))

    def piece(self, first: int, n: int, before: int) -> Piece:
        """The samples ``first`` to ``first + n - 1``, of a block that they do not fill; ``before``: segment of the one before."""
        key = (first, n, before)
        piece = self._pieces.get(key)
        if piece is None:
            raw, segment = self._sample(np.arange(first, first + n))
            last = int(segment[-1]) + 1
            moves = [one.move for one in self.segments[before:last]]
            piece = Piece(raw, segment, before, moves, self.ends[before:last])
            if len(self._pieces) >= _KEPT:
                self._pieces.clear()
            self._pieces[key] = piece
        return piece

    def behind(self, sample: int, average: Average, stands: int) -> tuple[Floats, Floats]:
        """What the filter has seen last at a sample, when it stands behind ``stands``, one before it; the place there (3,)."""
        reach = max(average.count - 1, 1)
        if sample - stands < reach:
            raw, _ = self.read(stands + 1, sample - stands)
            return np.concatenate((average.history, raw), axis=1)[:, -reach:], raw[:3, -1]
        seen = self._seen.get(sample)
        if seen is None:
            seen, _ = self.read(sample + 1 - reach, reach)
            if len(self._seen) >= _KEPT:
                self._seen.clear()
            self._seen[sample] = seen
        return seen if average.count > 1 else average.history, seen[:3, -1]

    def span(self, first: int, n: int, average: Average) -> Span:
        """A span that has the samples ``first`` to ``first + n - 1`` behind the filter, as it stands."""
        for span in self.spans:
            if span.has(first, n, average):
                return span
        samples = min(max(n, _SPAN), self.samples + 1 - first)
        made = Span(first, *self._sample(np.arange(first, first + samples)), average)
        self.spans.append(made)
        if self.on_span is not None:
            self.on_span(samples)
        return made

    def cut(self, span: Span, first: int, n: int, before: int, *, begins: bool) -> Cut:
        """A block of a span: samples ``first`` to ``first + n - 1``, where segment ``before`` was the one before them; ``begins``:
        its move does with the first."""
        low = first - span.first
        events = [MotionEvent(0, "begin", self.segments[before].move)] if begins else []
        index, last = span.segments(low, n, before)
        if last != before:
            events.extend(self.borders(index + before, before, 0))
        moves = tuple(one.move for one in self.segments[before : last + 1])
        smooth, feed = span.smooth[:, low : low + n], span.feed[low : low + n]
        block = MotionBlock(smooth, feed, index, moves, self.ends[before : last + 1], tuple(events))
        return Cut(block, last - before, last)

    def borders(self, segment: NDArray[np.integer[Any]], before: int, i: int) -> Iterator[MotionEvent]:
        """Events where samples from ``i`` on lie on another segment than the one before them."""
        for k in np.flatnonzero(np.diff(segment, prepend=before)).tolist():
            for left in range(before, int(segment[k])):
                yield MotionEvent(i + k, "finished", self.segments[left].move)
                yield MotionEvent(i + k, "begin", self.segments[left + 1].move)
            before = int(segment[k])

    def _sample(self, samples: NDArray[np.int_]) -> tuple[Floats, NDArray[np.intp]]:
        time = samples * self.sample_s - self.offset_s
        phase = np.minimum(np.searchsorted(self._ends, time), len(self._ends) - 1)
        local = time - self._begins[phase]
        gained = self._a[phase] * local
        v = self._v[phase]
        segment = self._index[phase]
        s = self._s[phase] + (v + 0.5 * gained) * local
        speed = np.maximum(v + gained, 0.0)
        raw = np.empty((6, len(samples)))
        position, direction = raw[:3], raw[3:]
        if len(self.segments) == 1:
            direction[:] = self._u
            np.multiply(direction, s, out=position)
            position += self._origin
        else:
            self._u.take(segment, axis=1, out=direction)
            self._origin.take(segment, axis=1, out=position)
            position += direction * s
        for arc, curve, length in self._arcs:
            low, high = np.searchsorted(segment, (arc, arc + 1))
            if low < high:
                position[:, low:high], direction[:, low:high] = _on_arc(curve, length, s[low:high])
        if self._rounded:
            self._round(position, direction, self._zone_in[segment] - s, self._blend_in, segment, -2.0)
            self._round(position, direction, s - self._zone_out[segment], self._blend_out, segment, 2.0)
        direction *= speed
        return raw, segment

    @staticmethod
    def _round(position: Floats, direction: Floats, inside: Floats, blend: Floats, segment: NDArray[np.intp], turn: float) -> None:
        """Bend the path where it is ``inside`` (mm, above 0) the rounding of a corner."""
        at = np.flatnonzero(inside > 0.0)
        if len(at):
            k, x = blend.take(segment[at], axis=1), inside[at]
            k *= x
            direction[:, at] += turn * k
            k *= x
            position[:, at] += k

    def place(self, segment: int, s_mm: float) -> tuple[float, float, float]:
        """Position on a segment, mm."""
        one = self.segments[segment]
        if s_mm >= one.length and not one.zone_out[0]:
            return one.end
        s = np.array([s_mm])
        if one.curve is not None:
            position = _on_arc(one.curve, one.length, s)[0][:, 0]
        else:
            position = np.array(one.start) + np.array(one.u0) * s_mm
        before, after = one.zone_in[0] - s_mm, s_mm - (one.length - one.zone_out[0])
        if before > 0.0:
            position += np.array(one.blend_in) * before * before
        if after > 0.0:
            position += np.array(one.blend_out) * after * after
        x, y, z = position.tolist()
        return x, y, z


def _on_arc(curve: Curve, length: float, s: Floats) -> tuple[Floats, Floats]:
    """Position and direction (by s) on an arc, (3, n) each."""
    c, e1, e2, n, r0, dr, theta, h = curve
    f = s / length
    r = r0 + dr * f
    turned = theta * f
    cos, sin = np.cos(turned), np.sin(turned)
    first, second, up = _rows([e1]), _rows([e2]), _rows([n])
    radial = first * cos + second * sin
    across = second * cos - first * sin
    position = _rows([c]) + radial * r
    position += up * (h * f)
    scale = 1.0 / length
    radial *= dr * scale
    across *= r * (theta * scale)
    radial += across
    radial += up * (h * scale)
    return position, radial


def _rows(points: Sequence[Sequence[float]]) -> Floats:
    """X, Y and Z of points in rows of their own, (3, points)."""
    return np.array(points, dtype=np.float64).reshape(-1, 3).T.copy()
