"""Where two moves meet: how the corner is rounded, and how fast it may be passed.

The rounding is the parabola of ``segment``, as wide as the tolerance and the halves of both moves allow. Two kinds of control:

- without ``Overlap``: every corner is rounded in the same way;
- with it, as LinuxCNC's planner does (its behaviour, measured and read in its documentation of blends and tangents):

      a turn back                 stands
      smooth within a cycle       passed at the feed; both moves keep a share of their acceleration back for the jump
      in one plane                rounded; a block of its own, with the rest of the line before it if that is short
      out of the plane of an arc  both moves overlap where that is faster than taking the corner as a kink; an arc then gets
                                  half of the acceleration across the path
"""

from __future__ import annotations

from math import cos, inf, radians, sqrt
from typing import Final

from opcua_server.machine.motion.segment import TANGENTIAL, TINY, Rules, Segment
from opcua_server.machine.moves import Point
from opcua_server.machine.parameters import Overlap
from opcua_server.machine.sums import added

Zone = tuple[float, float, float]
"""(length, greatest v^2, acceleration along the path) on each side of a corner."""

_REVERSAL: Final = 2.0 * cos(radians(1.0))
"""Jump of the direction from which on a path turns back."""
_STRAIGHT: Final = 0.9999
_BACK: Final = -0.9999


def join(before: Segment, after: Segment, rules: Rules) -> int:
    """Round the corner between two cutting moves, and bound the speed through it. Blocks that the planner's queue gains by it.

    Junction deviation: v^2 = a d s / (1 - s) with s the sine of half the angle between the curves; also the zones end at the
    middle of each segment, which bounds the speed along a chain of short segments as the curvature of the part would.
    """
    (px, py, pz), (qx, qy, qz) = before.u1, after.u0
    jump = (qx - px, qy - py, qz - pz)
    turn = sqrt(jump[0] * jump[0] + jump[1] * jump[1] + jump[2] * jump[2])
    overlap = rules.overlap
    limit2, rounded, block = inf, False, False
    if overlap is not None:
        if turn > _REVERSAL:
            before.exact = True
            return 0
        limit2, rounded, block = _prepare(before, after, jump, overlap, rules)
    if turn <= TINY:
        return 0
    widest = min(0.5 * before.length, 0.5 * after.length, 4.0 * rules.corner / turn)
    fastest = rules.max_override * max(before.soft, after.soft)
    wanted2 = min(fastest * fastest, limit2)
    straight = before.curve is None and after.curve is None
    if straight:
        zone, v2, along = _between_lines(before, after, turn, widest, wanted2, rules, rounded=rounded)
    else:
        zone, v2, along = _at_arcs(before, after, jump, widest, wanted2, rules)
    if rules.corner_filter_v < inf:
        v2 = min(v2, (rules.corner_filter_v / turn) ** 2)
    v2 = min(v2, limit2)
    if overlap is not None and rounded:
        left = max(0.0, before.length - before.zone_in[0] - zone)
        before.merged = before.curve is None and left * left < v2 * overlap.merge_s**2
        if straight:
            way = 2.0 * zone + (left if before.merged else 0.0)
            v2 = min(v2, (way / rules.block_time) ** 2)
    quarter = 0.25 / zone
    before.blend_out = after.blend_in = (jump[0] * quarter, jump[1] * quarter, jump[2] * quarter)
    before.zone_out = after.zone_in = (zone, v2, along)
    return int(block and not before.merged)


def _between_lines(
    before: Segment, after: Segment, turn: float, widest: float, wanted2: float, rules: Rules, *, rounded: bool
) -> Zone:
    """Zone between two lines. Along and across are vectors in the plane of the corner,

        |along p' + v^2 k / (2 zone)| <= plane,

    where at the ends of the zone k leans against the path by the sine of half the corner's angle.
    """
    top2 = min(before.top2, after.top2)
    wanted2 = min(wanted2, top2)
    plane = _plane_acceleration(before.u1, after.u0, rules)
    lean = 0.5 * turn
    across = TANGENTIAL * (sqrt(lean * lean + 1.0 / TANGENTIAL**2 - 1.0) - lean) * plane
    zone = 0.5 * wanted2 * turn / across
    if rounded:
        # It lasts as long as two moves would that overlap, each with half of the acceleration.
        speed2 = min(wanted2, 2.0 * widest * across / turn)
        zone = max(zone, sqrt(speed2 * min(plane * widest, speed2)) / plane)
    zone = min(zone, widest)
    v2 = min(top2, 2.0 * zone * across / turn)
    if not rounded:
        return zone, v2, TANGENTIAL * plane
    v2 = min(v2, wanted2)
    part = 0.5 * v2 * turn / (zone * plane)
    return zone, v2, plane * (sqrt(1.0 - part * part * (1.0 - lean * lean)) - part * lean)


def _plane_acceleration(u: Point, v: Point, rules: Rules) -> float:
    """The acceleration that every direction in the plane of ``u`` and ``v`` has, mm/s2."""
    n = (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    square = n[0] * n[0] + n[1] * n[1] + n[2] * n[2]
    if square < TINY * TINY:
        return min(rules.acceleration)
    return 1.0 / max(sqrt(max(0.0, 1.0 - c * c / square)) / a for c, a in zip(n, rules.acceleration, strict=True))


def _at_arcs(before: Segment, after: Segment, jump: Point, widest: float, wanted2: float, rules: Rules) -> Zone:
    """Zone where one of the moves is an arc, axis by axis: acceleration along and across add up there."""
    kx, ky, kz = abs(jump[0]), abs(jump[1]), abs(jump[2])
    (sx, sy, sz), (tx, ty, tz) = before.share, after.share
    (bx, by, bz), (cx, cy, cz) = before.bend, after.bend
    ex, ey, ez = max(bx, cx), max(by, cy), max(bz, cz)
    # An arc turns while the parabola is added to it, so that the direction may grow a little longer than 1.
    grow = 1.0 + 0.5 * widest * max(ex, ey, ez)
    along = TANGENTIAL * min(before.acceleration, after.acceleration) / grow
    ax, ay, az = rules.acceleration
    ax -= along * grow * max(sx, tx)
    ay -= along * grow * max(sy, ty)
    az -= along * grow * max(sz, tz)
    # What is left of each axis is for v^2 (k / (2 zone) + bend). No longer zone than the fastest feed needs.
    top2 = min(before.top2, after.top2) / (grow * grow)
    wanted2 = min(wanted2, top2)
    need = (
        0.5
        * wanted2
        * max(kx / max(ax - wanted2 * ex, 0.1 * ax), ky / max(ay - wanted2 * ey, 0.1 * ay), kz / max(az - wanted2 * ez, 0.1 * az))
    )
    zone = min(widest, need)
    w = 0.5 / zone
    return zone, min(top2, 1.0 / max((kx * w + ex) / ax, (ky * w + ey) / ay, (kz * w + ez) / az)), along


def _prepare(before: Segment, after: Segment, jump: Point, overlap: Overlap, rules: Rules) -> tuple[float, bool, bool]:
    """(greatest v^2 through the corner, whether it is rounded, whether by a block of its own); lowers the accelerations of both
    moves as the corner needs."""
    before.run_on(overlap.arc_share)
    fastest = min(rules.max_override * min(before.soft, after.soft), sqrt(min(before.top2, after.top2)))
    within_cycle = fastest / rules.cycle + after.full_acceleration
    used = within_cycle * max(abs(k) / a for k, a in zip(jump, rules.acceleration, strict=True))
    if before.curve is not None or after.curve is not None:
        used /= TANGENTIAL
    smooth = used < overlap.reserve
    if not smooth:
        if _in_one_plane(before, after):
            return inf, True, True
        kink = fastest * overlap.reserve / used
        # Slower moves on both sides cost more than the corner itself: an overlap must be twice as fast.
        if _overlapping(before, after, rules) > 2.0 * kink:
            for one in (before, after):
                one.overlaps = True
                one.share_out()
            return inf, True, False
    for one in (before, after):
        one.reserve = max(one.reserve, min(used, overlap.reserve))
        one.share_out()
    return (inf, False, False) if smooth else (kink * kink, True, False)


def _overlapping(before: Segment, after: Segment, rules: Rules) -> float:
    """Speed through the corner if the moves overlap, mm/s."""
    a, b = before.acceleration, after.acceleration
    u = min(sqrt(0.5 * a * before.length), before.soft, sqrt(before.top2))
    v = min(sqrt(0.5 * b * after.length), after.soft, sqrt(after.top2))
    seconds = min(before.length / u, after.length / v, max(u / a, v / b))
    u, v = min(u, seconds * a), min(v, seconds * b)
    cosine = added(p * q for p, q in zip(_pull(before, 1.0), _pull(after, 0.0), strict=True))
    lean = sqrt(max(0.0, 0.5 * (1.0 - cosine)))
    if lean > TINY:
        most = 2.0 * sqrt(a * rules.corner / lean)
        u, v = min(u, most), min(v, most)
    return sqrt(max(0.0, 0.5 * (1.0 + cosine))) * 0.5 * (u + v)


def _pull(one: Segment, f: float) -> Point:
    """Where the acceleration points at an end of a move (``f`` 0 or 1): along it, and on an arc also inwards, at half of its
    feed."""
    u = one.u1 if f else one.u0
    if one.curve is None:
        return u
    push = (0.5 * one.soft) ** 2
    x, y, z = (one.full_acceleration * p + push * q for p, q in zip(u, one.curvature(f), strict=True))
    size = sqrt(x * x + y * y + z * z)
    return (x / size, y / size, z / size)


def _in_one_plane(before: Segment, after: Segment) -> bool:
    """Whether both moves run in the plane of their corner."""
    (px, py, pz), (qx, qy, qz) = before.u1, after.u0
    bx, by, bz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
    square = bx * bx + by * by + bz * bz
    for one in (before, after):
        if one.curve is not None:
            nx, ny, nz = one.curve[3]
            along = bx * nx + by * ny + bz * nz
            if along * along < (1.0 - 1e-12) * square:
                return False
    return True


def meet(before: Segment, after: Segment, rules: Rules) -> None:
    """Two rapids in a row, on a machine that looks beyond a rapid: run through if straight on, else prepare for the corner."""
    if rules.overlap is None:
        return
    cosine = added(p * q for p, q in zip(before.u1, after.u0, strict=True))
    if cosine > _STRAIGHT:
        before.exact = False
        join(before, after, rules)
    elif cosine > _BACK:
        for one in (before, after):
            one.reserve = rules.overlap.reserve
            one.share_out()


def part(before: Segment, after: Segment) -> None:
    """Take the rounding of the corner back: the path will stand in it."""
    before.exact = True
    before.merged = False
    before.blend_out = after.blend_in = (0.0, 0.0, 0.0)
    before.zone_out = after.zone_in = (0.0, inf, 0.0)
    before.close()
    after.close()
