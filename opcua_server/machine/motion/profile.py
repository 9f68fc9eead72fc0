"""Speed along a chain of segments: as fast as the limits allow, standing at the end.

v^2 |      _______                  Each piece of a segment has a greatest speed and one acceleration. Backward: from where
    |     /       \\    ___          must the path brake? Forward: how far does it get? Between two borders of a piece it
    |____/         \\__/   \\        speeds up, cruises and brakes; in v^2 over s every one of these is a straight line.
    +------------------------ s
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from opcua_server.machine.motion.segment import Piece, Segment

Phase = tuple[int, float, float, float, float]
"""(index of the segment, s, v, a, duration): constant acceleration from s and v on, for that long (mm, mm/s, mm/s2, s)."""


def _pieces(segments: Sequence[Segment], s_mm: float) -> list[tuple[int, Piece]]:
    """The pieces ahead of ``s_mm`` on the first segment."""
    ahead: list[tuple[int, Piece]] = []
    for piece in segments[0].pieces:
        begin, length, top2, acceleration = piece
        left = begin + length - s_mm
        if left >= length:
            ahead.append((0, piece))
        elif left > 0.0:
            ahead.append((0, (s_mm, left, top2, acceleration)))
    for index in range(1, len(segments)):
        for piece in segments[index].pieces:
            ahead.append((index, piece))
    return ahead


def plan(segments: Sequence[Segment], speeds_mm_s: Sequence[float], s_mm: float, v_mm_s: float) -> list[Phase]:
    """The fastest way from ``s_mm`` of the first segment, at ``v_mm_s``, to a stand at the end of the last.

    ``speeds_mm_s`` are the wanted speeds of the segments, all above 0. If the path is faster than wanted now, it brakes with
    the acceleration of each piece until it is not; the limits of the pieces themselves were kept by the plan before.
    """
    ahead = _pieces(segments, s_mm)
    count = len(ahead)
    top2 = [0.0] * count
    exit2 = [0.0] * count
    entry2 = 0.0
    for k in range(count - 1, -1, -1):
        index, (_, length, limit2, acceleration) = ahead[k]
        speed = speeds_mm_s[index]
        limit = min(limit2, speed * speed)
        top2[k] = limit
        if entry2 > limit:
            entry2 = limit
        exit2[k] = entry2
        entry2 += 2.0 * acceleration * length
        if entry2 > limit:
            entry2 = limit
    phases: list[Phase] = []
    now2 = v_mm_s * v_mm_s
    now = v_mm_s
    for k in range(count):
        index, (begin, length, _, acceleration) = ahead[k]
        limit, aim2 = top2[k], exit2[k]
        span2 = 2.0 * acceleration * length
        if now2 > limit or now2 > aim2 + span2:
            # Too fast: brake all along the piece, or to its limit and go on as usual.
            left2 = now2 - span2
            if left2 >= aim2 - 1e-12 * now2:
                if left2 <= aim2 + 1e-12 * now2:
                    left2 = aim2  # Exactly, or the stand at the end would be missed by a rounding error.
                left = sqrt(left2)
                phases.append((index, begin, now, (left2 - now2) / (2.0 * length), 2.0 * length / (now + left)))
                now2, now = left2, left
                continue
            way = (now2 - limit) / (2.0 * acceleration)
            low = sqrt(limit)
            phases.append((index, begin, now, -acceleration, (now - low) / acceleration))
            now2, now = limit, low
            begin += way
            length -= way
            span2 = 2.0 * acceleration * length
            if length <= 0.0:
                continue
        if aim2 > now2 + span2:
            aim2 = now2 + span2
        peak2 = min(limit, 0.5 * (now2 + aim2 + span2))
        if peak2 > now2:
            peak = sqrt(peak2)
            phases.append((index, begin, now, acceleration, (peak - now) / acceleration))
            begin += (peak2 - now2) / (2.0 * acceleration)
        else:
            peak2, peak = now2, now
        brake = (peak2 - aim2) / (2.0 * acceleration)
        cruise = length - (peak2 - now2) / (2.0 * acceleration) - brake
        if cruise > 1e-13 * length:
            phases.append((index, begin, peak, 0.0, cruise / peak))
            begin += cruise
        if brake > 0.0:
            now = sqrt(aim2)
            phases.append((index, begin, peak, -acceleration, (peak - now) / acceleration))
        else:
            now = peak
        now2 = aim2 if brake > 0.0 else peak2
    return phases


def brake(segments: Sequence[Segment], s_mm: float, v_mm_s: float) -> list[Phase]:
    """Down to a stand with the acceleration of each piece, on the path; less if the segments end first."""
    phases: list[Phase] = []
    now, now2 = v_mm_s, v_mm_s * v_mm_s
    for index, (begin, length, _, acceleration) in _pieces(segments, s_mm):
        if now <= 0.0:
            break
        left2 = now2 - 2.0 * acceleration * length
        # At the very end of the path the stand was planned there; what is left is rounding.
        if left2 <= 1e-12 * now2:
            phases.append((index, begin, now, -acceleration, now / acceleration))
            break
        left = sqrt(left2)
        phases.append((index, begin, now, -acceleration, (now - left) / acceleration))
        now, now2 = left, left2
    return phases
