"""A move as a curve: where it runs, how fast it may be followed, and how it joins the next one.

Every curve is followed by its length s, 0 <= s <= L. Lines are lines; arcs, helices and slightly conic arcs stay true curves:

    p(s) = c + (r0 + dr f)(e1 cos(theta f) + e2 sin(theta f)) + n h f,   f = s / L

A corner between two curves is rounded by adding the same parabola to both sides of it:

          d        d                         k = u_next - u_previous (jump of the direction)
      |-------+-------|                      b(x) = k (d - x)^2 / (4 d),  x the distance from the corner
      ______..           previous
              ``.                            Direction becomes continuous, the curvature it adds is k / (2 d) everywhere and
                 \\                           the greatest deviation is |k| d / 4. Nothing outside the two zones changes, and
                  \\ next                     the path still ends and begins at its programmed points elsewhere.

The limits are per axis and hold at every point, not on average: in each zone the acceleration along the path (share
``TANGENTIAL``) and across it (the rest) are bounded so that their sum stays below each axis's limit.
"""

from __future__ import annotations

from math import atan2, cos, hypot, inf, pi, sin, sqrt

from opcua_server.machine.moves import Move, Point
from opcua_server.machine.parameters import MachineParameters

TANGENTIAL = 0.5
"""Share of the acceleration kept for changing speed where the path bends; across the path remains sqrt(1 - 0.5^2) = 0.866."""

NORMAL = sqrt(1.0 - TANGENTIAL**2)
TINY = 1e-12

Piece = tuple[float, float, float, float]
"""(s where it begins, length, greatest v^2, acceleration along the path): limits are constant within a piece."""


Curve = tuple[Point, Point, Point, Point, float, float, float, float]
"""(c, e1, e2, n, r0, dr, theta, h) of an arc, as above."""


class Rules:
    """The limits of a machine in the form that segments need, worked out once."""

    __slots__ = (
        "acceleration",
        "arc_filter_v2",
        "block_time",
        "corner",
        "corner_filter_v",
        "cycle",
        "dry_run",
        "filter_samples",
        "max_override",
        "overlap",
        "rapid",
        "stops_at_m_codes",
        "tapping_mm_s",
        "tapping_mm_s2",
        "velocity",
    )

    def __init__(self, machine: MachineParameters, sample_s: float) -> None:
        path = machine.path
        self.velocity = tuple(limit.velocity_mm_s for limit in machine.limits)
        self.acceleration = tuple(limit.acceleration_mm_s2 for limit in machine.limits)
        self.block_time = path.block_time_s
        self.max_override = path.max_feed_override
        self.dry_run = path.dry_run_mm_s
        self.rapid = hypot(*self.velocity)
        self.overlap = path.overlap
        self.cycle = sample_s
        self.stops_at_m_codes = path.stops_at_m_codes
        self.tapping_mm_s, self.tapping_mm_s2 = path.tapping_rpm / 60.0, path.tapping_rad_s2 / (2.0 * pi)
        """In rigid tapping, for a lead of 1 mm."""
        self.corner = path.corner_tolerance_mm
        self.corner_filter_v = inf
        self.arc_filter_v2 = inf
        self.filter_samples = 1
        if path.jerk_mm_s3 is not None:
            # The averaged acceleration changes by at most 2 a within one filter length.
            self.filter_samples = max(1, round(0.5 + 2.0 * max(self.acceleration) / path.jerk_mm_s3 / sample_s))
            length_s = self.filter_samples * sample_s
            # Averaging over a time T cuts a corner by |k| v T / 8 and an arc by v^2 T^2 / (24 r): half of the tolerance is
            # for that, the other half for the parabola.
            self.corner = path.corner_tolerance_mm / 2.0
            self.corner_filter_v = 8.0 * self.corner / length_s
            self.arc_filter_v2 = 24.0 * self.corner / length_s**2


class Segment:
    """One move as a curve with its limits. Not frozen: ``join`` fills in the corner zones when the next move is known."""

    __slots__ = (
        "_blocks2",
        "_plane",
        "_slack",
        "acceleration",
        "bend",
        "blend_in",
        "blend_out",
        "curve",
        "end",
        "exact",
        "from_stand",
        "full_acceleration",
        "length",
        "merged",
        "move",
        "overlaps",
        "pieces",
        "rapid",
        "refills",
        "reserve",
        "share",
        "soft",
        "start",
        "synchronised",
        "top2",
        "u0",
        "u1",
        "zone_in",
        "zone_out",
    )

    def __init__(self, move: Move, start: Point, rules: Rules, end: Point | None = None) -> None:
        self.move = move
        self.start = start
        self.end = move.end if end is None else end
        self.rapid = move.kind == "rapid"
        self.synchronised = move.kind == "tap" or bool(move.thread)
        self.from_stand = self.rapid or move.kind in ("tap", "probe")
        """Begins standing."""
        self.exact = self.from_stand or move.modal.exact_stop
        """Ends standing."""
        self.refills = False
        """The planner's queue has run empty at its end: it stands there for one more cycle."""
        self.blend_in = self.blend_out = (0.0, 0.0, 0.0)
        self.zone_in = self.zone_out = (0.0, inf, 0.0)  # length, v^2, acceleration along
        self.curve: Curve | None = None
        """Of an arc."""
        self._plane: tuple[float, float, float, float] | None = None
        """Of an arc: acceleration that all directions of its plane have, parts of the path's speed and its square that lie in
        the plane, along and across, and the part of the acceleration that an axis upright to it needs."""
        self._slack = 1.0
        """Of a helix where moves overlap: how much larger than its radius the control takes it, when it shares out acceleration."""
        self.top2: float
        """Greatest v^2, mm2/s2."""
        self.acceleration: float
        """Along the path, outside the corner zones, mm/s2."""
        self.full_acceleration: float
        """The same if nothing else needed any."""
        self.share: Point
        """Per axis, the greatest part of the path speed it can get."""
        self.bend: Point
        """Per axis, the greatest second derivative of its position by s, 1/mm."""
        if move.kind == "arc" and move.centre is not None and move.normal is not None:
            self._as_arc(move.centre, move.normal, move.turns, rules)
        else:
            self._as_line(rules)
        self.soft = rules.rapid if self.rapid else _feed(move) or rules.dry_run
        """Programmed speed, mm/s."""
        if self.length > 0.0:
            limit = self.length / rules.block_time
            self.top2 = min(self.top2, limit * limit)
        self._blocks2 = inf if rules.overlap is None else 1.0 / rules.block_time**2
        self.merged = False
        """What is left of it between two corners belongs to the corner after it."""
        self.reserve = 0.0
        """Share of its acceleration that it keeps back for its corners."""
        self.overlaps = False
        """It goes at the same time as a neighbour: an arc gets half of the acceleration across the path."""
        self.share_out()
        self.pieces: tuple[Piece, ...] = ()

    def _as_line(self, rules: Rules) -> None:
        (x0, y0, z0), (x1, y1, z1) = self.start, self.end
        dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
        length = sqrt(dx * dx + dy * dy + dz * dz)
        self.length = length
        if length <= 0.0:
            self.u0 = self.u1 = self.share = self.bend = (0.0, 0.0, 0.0)
            self.top2 = self.acceleration = self.full_acceleration = 0.0
            return
        self.u0 = self.u1 = u = (dx / length, dy / length, dz / length)
        sx, sy, sz = self.share = (abs(u[0]), abs(u[1]), abs(u[2]))
        (vx, vy, vz), (ax, ay, az) = rules.velocity, rules.acceleration
        # Reciprocals: an axis that does not move sets no limit.
        top = 1.0 / max(sx / vx, sy / vy, sz / vz)
        self.top2 = top * top
        self.full_acceleration = 1.0 / max(sx / ax, sy / ay, sz / az)
        self.bend = (0.0, 0.0, 0.0)
        if self.move.lead_mm:
            lead_mm = abs(self.move.lead_mm)
            self.top2 = min(self.top2, (lead_mm * rules.tapping_mm_s) ** 2)
            self.full_acceleration = min(self.full_acceleration, lead_mm * rules.tapping_mm_s2)

    def _as_arc(self, centre: Point, normal: Point, turns: float, rules: Rules) -> None:
        scale = 1.0 / hypot(*normal)
        n = (normal[0] * scale, normal[1] * scale, normal[2] * scale)
        a = _minus(self.start, centre, 1.0)
        b = _minus(self.end, centre, 1.0)
        ha = a[0] * n[0] + a[1] * n[1] + a[2] * n[2]
        hb = b[0] * n[0] + b[1] * n[1] + b[2] * n[2]
        a, b = _minus(a, n, ha), _minus(b, n, hb)
        r0, r1 = hypot(*a), hypot(*b)
        if r0 < TINY or turns == 0.0:
            self._as_line(rules)
            return
        e1 = (a[0] / r0, a[1] / r0, a[2] / r0)
        e2 = (n[1] * e1[2] - n[2] * e1[1], n[2] * e1[0] - n[0] * e1[2], n[0] * e1[1] - n[1] * e1[0])
        # ``turns`` says which way and how often; the angle between the two radii is what makes the arc end where it must.
        theta = 2.0 * pi * turns
        if r1 > TINY:
            exact = _angle(b, e1, e2)
            theta = exact + 2.0 * pi * round((theta - exact) / (2.0 * pi))
        foot = (centre[0] + ha * n[0], centre[1] + ha * n[1], centre[2] + ha * n[2])
        h, dr = hb - ha, r1 - r0
        length = sqrt((0.5 * (r0 + r1) * theta) ** 2 + h * h + dr * dr)
        self.length = length
        self.curve = (foot, e1, e2, n, r0, dr, theta, h)
        self.u0 = self._direction(self.curve, 0.0)
        self.u1 = self._direction(self.curve, 1.0)
        # A conic arc is not followed at quite constant speed; its faster end sets the limits.
        widest = max(r0, r1)
        turn = abs(theta) / length
        along = hypot(widest * turn, dr / length)
        rise = abs(h) / length
        across = (widest * turn + 2.0 * abs(dr) / length) * turn
        flat = [sqrt(max(0.0, 1.0 - q * q)) for q in n]
        upright = [abs(q) * rise for q in n]
        sx, sy, sz = (along * f + q for f, q in zip(flat, upright, strict=True))
        self.share = (sx, sy, sz)
        self.bend = (across * flat[0], across * flat[1], across * flat[2])
        # Along and across the path add up as vectors in the plane of the arc. An axis that both turns and rises (only in a
        # tilted plane) gives half of its acceleration to each.
        part = [0.5 if f > TINY and q > TINY else 1.0 for f, q in zip(flat, upright, strict=True)]
        limits = [p * limit for p, limit in zip(part, rules.acceleration, strict=True)]
        plane = 1.0 / max(f / limit for f, limit in zip(flat, limits, strict=True))
        rising = max(q / limit for q, limit in zip(upright, limits, strict=True))
        vx, vy, vz = rules.velocity
        top = 1.0 / max(sx / vx, sy / vy, sz / vz)
        self.top2 = min(top * top, NORMAL * plane / across, rules.arc_filter_v2 * widest / along**2)
        self._plane = plane, along, across, rising
        if rules.overlap is not None and self.rises:
            self._slack = (1.0 + (h / r0) ** 2) * abs(theta) * r0 / length
        self.full_acceleration = plane / along

    def run_on(self, share: float) -> None:
        """Another move follows without a stand: as an arc it gets only this share of the acceleration across the path."""
        if self._plane is not None:
            plane, _, across, _ = self._plane
            share = min(NORMAL, share * self._slack)
            self.top2 = min(self.top2, share * plane / across)
            self.share_out()

    def share_out(self) -> None:
        """Find the acceleration along the path: what the corners and, on an arc, the way round leave of it."""
        scale = 1.0 - self.reserve
        if self._plane is None:
            self.acceleration = scale * self.full_acceleration
            return
        plane, along, across, rising = self._plane
        # A helix that is told how much of the acceleration it may use is taken for one of a larger radius.
        told = scale * self._slack * (0.5 if self.overlaps else 1.0)
        self.top2 = min(self.top2, NORMAL * min(1.0, told) * plane / across)
        # Across and along add up as vectors.
        part = self.top2 * across / plane
        left = min(sqrt(1.0 - part * part), scale * sqrt(1.0 - (part / told) ** 2))
        self.acceleration = 1.0 / max(along / (plane * left), rising / scale)

    def _direction(self, curve: Curve, f: float) -> Point:
        _, e1, e2, n, r0, dr, theta, h = curve
        c, s = cos(theta * f), sin(theta * f)
        r = r0 + dr * f
        radial, across, rise = dr / self.length, r * theta / self.length, h / self.length
        return (
            (e1[0] * c + e2[0] * s) * radial + (e2[0] * c - e1[0] * s) * across + n[0] * rise,
            (e1[1] * c + e2[1] * s) * radial + (e2[1] * c - e1[1] * s) * across + n[1] * rise,
            (e1[2] * c + e2[2] * s) * radial + (e2[2] * c - e1[2] * s) * across + n[2] * rise,
        )

    @property
    def rises(self) -> bool:
        """A helix."""
        return self.curve is not None and abs(self.curve[7]) > TINY

    def curvature(self, f: float) -> Point:
        """Second derivative of the position by s at ``f`` (0 begin, 1 end), 1/mm, as of a circle of the first radius."""
        if self.curve is None:
            return (0.0, 0.0, 0.0)
        _, e1, e2, _, r0, _, theta, _ = self.curve
        c, s = cos(theta * f) / r0, sin(theta * f) / r0
        return (-e1[0] * c - e2[0] * s, -e1[1] * c - e2[1] * s, -e1[2] * c - e2[2] * s)

    def close(self) -> None:
        """Cut the segment into pieces of constant limits; to be called once both ends are joined."""
        zone_in, v2_in, a_in = self.zone_in
        zone_out, v2_out, a_out = self.zone_out
        length, top2 = self.length, self.top2
        pieces: list[Piece] = []
        if zone_in > 0.0:
            pieces.append((0.0, zone_in, min(v2_in, top2), a_in))
        middle = length - zone_in - zone_out
        if middle > 0.0:
            if self.merged:
                pieces.append((zone_in, middle, min(top2, v2_out), min(self.acceleration, a_out)))
            else:
                pieces.append((zone_in, middle, min(top2, middle * middle * self._blocks2), self.acceleration))
        if zone_out > 0.0:
            pieces.append((length - zone_out, zone_out, min(v2_out, top2), a_out))
        self.pieces = tuple(pieces)

    def speed(self, feed_override: float, rapid_override: float, dry_run: bool, rules: Rules) -> float:
        """Speed the operator and the program ask for, mm/s."""
        if self.synchronised:
            return self.soft
        if self.rapid:
            return self.soft * rapid_override
        if not self.move.modal.overrides:
            feed_override = 1.0
        return (rules.dry_run if dry_run else self.soft) * feed_override


def _feed(move: Move) -> float:
    """Programmed speed, mm/s; 0 if there is none (F0, or feed per revolution with the spindle stopped)."""
    return move.feed * (move.modal.spindle_speed if move.modal.feed_per_rev else 1.0) / 60.0


def _minus(p: Point, q: Point, factor: float) -> Point:
    return (p[0] - factor * q[0], p[1] - factor * q[1], p[2] - factor * q[2])


def _angle(b: Point, e1: Point, e2: Point) -> float:
    return atan2(
        b[0] * e2[0] + b[1] * e2[1] + b[2] * e2[2],
        b[0] * e1[0] + b[1] * e1[1] + b[2] * e1[2],
    )
