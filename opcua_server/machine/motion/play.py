"""Play: an output that is carried along by its input with a slack w, as a table by its nut.

    out(k) = max(in(k) - w / 2, min(in(k) + w / 2, out(k - 1)))

       high ____      ____        As long as only one side of the slack pushes, the output is the furthest that side has been. It
           /    \\    /            turns over to the other side where that would leave the slack: not at each of the many turns
     low _/  ____\\__/  ___        that rounding makes of an axis that stands, but where the input turns by more than w.

Values are only picked here, nothing is added up: every way to the result gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from opcua_server.machine.motion.block import Floats

MANY_SIDES: Final = 12
MANY_ROWS: Final = 3
"""Changes of side in a row, and rows that turn, beyond which ``play`` is faster than going side by side."""
FEW_ROWS, STRIDE = 12, 100
"""Beyond so many rows a long way is carried so many samples at a time."""


def carried(drive: Floats, steps: Floats, width: Floats, before: Floats, new: Callable[[], Floats]) -> Floats:
    """Play of each row (axes, n) with a slack of ``width`` (axes, 1), having been at ``before`` (axes,).

    ``steps``: difference of each sample to the one before it; ``new`` gives memory for a result.
    """
    n = drive.shape[1]
    if not n:
        return drive
    half = 0.5 * width
    low, high, out = np.subtract(drive, half, out=new()), np.add(drive, half, out=new()), new()
    if len(drive) > FEW_ROWS and n > STRIDE:
        # Hardly a row turns in every part of a long way.
        for begin in range(0, n, STRIDE):
            part = slice(begin, begin + STRIDE)
            _carry(low[:, part], high[:, part], steps[:, part], before, out[:, part])
            before = out[:, min(begin + STRIDE, n) - 1]
    else:
        _carry(low, high, steps, before, out)
    return out


def _carry(low: Floats, high: Floats, steps: Floats, before: Floats, out: Floats) -> None:
    """Fill ``out`` (axes, n) for a slack from ``low`` to ``high``, having been at ``before`` (axes,)."""
    # What moves one way only follows the side that pushes from its first sample on.
    first = np.minimum(np.maximum(before[:, None], low[:, :1]), high[:, :1])
    np.maximum(low, first, out=out)
    np.minimum(out, high, out=out)
    if out.shape[1] > 1:
        inner = steps[:, 1:]
        turning = ((inner.min(axis=1) < 0.0) & (inner.max(axis=1) > 0.0)).nonzero()[0]
        if turning.size > MANY_ROWS:
            out[turning] = _together(low[turning], high[turning], before[turning])
            return
        for axis in turning.tolist():
            if not _side_by_side(low[axis], high[axis], before.item(axis), out[axis]):
                out[axis] = play(low[axis], high[axis], before[axis])


def _side_by_side(low: Floats, high: Floats, at: float, out: Floats) -> bool:
    """Fill ``out`` (n,) for a slack from ``low`` to ``high``. False when the side that pushes changes too often."""
    begin, up = 0, bool(low[-1] > at)
    for _ in range(MANY_SIDES):
        ahead = out[begin:]
        if up:
            np.maximum.accumulate(low[begin:], out=ahead)
            np.maximum(ahead, at, out=ahead)
            leaves = ahead > high[begin:]
        else:
            np.minimum.accumulate(high[begin:], out=ahead)
            np.minimum(ahead, at, out=ahead)
            leaves = ahead < low[begin:]
        turn = int(leaves.argmax())
        if not leaves[turn]:
            return True
        begin += turn
        at = high.item(begin) if up else low.item(begin)
        up = not up
    return False


def _together(low: Floats, high: Floats, before: Floats) -> Floats:
    """Of many rows (axes, n): those that one side pushes all the time, and the rest."""
    at = before[:, None]
    out = np.maximum.accumulate(low, axis=1)
    np.maximum(out, at, out=out)
    rest = np.flatnonzero((out > high).any(axis=1))
    if rest.size:
        falls = np.minimum.accumulate(high[rest], axis=1)
        out[rest] = np.minimum(falls, at[rest], out=falls)
        rest = rest[(falls < low[rest]).any(axis=1)]
    if rest.size:
        out[rest] = play(low[rest], high[rest], at[rest])
    return out


def play(low: Floats, high: Floats, before: Floats | float) -> Floats:
    """Of a slack from ``low`` to ``high``, (n,) or (axes, n), whatever it does.

    Each sample clamps what was there into its own slack; two clamps in a row are one clamp again, so that the clamps from the
    first sample to each are found in log2 n rounds of doubling.
    """
    bottom, top, reach = low, high, 1
    while reach < low.shape[-1]:
        # What the samples up to ``reach`` earlier leave, clamped by those since.
        lower, upper = np.empty_like(bottom), np.empty_like(top)
        lower[..., :reach], upper[..., :reach] = bottom[..., :reach], top[..., :reach]
        for earlier, out in ((bottom, lower), (top, upper)):
            view = out[..., reach:]
            np.maximum(earlier[..., :-reach], bottom[..., reach:], out=view)
            np.minimum(view, top[..., reach:], out=view)
        bottom, top, reach = lower, upper, 2 * reach
    return np.minimum(np.maximum(before, bottom), top)
