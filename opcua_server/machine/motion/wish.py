"""Where position loops want their axes, and what friction does about it: all that a block of motion settles before any force acts.

    command --lag--> undisturbed --play (presliding), Stribeck--> resist          follow(undisturbed, resist, force of the cut)

Axes as they were built that come to the same block of motion in the same state get the same from it, on whichever machine and in
whichever part: it is worked out once and kept with the block. What is left to each machine is what its own edges do to its axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from opcua_server.machine.motion.block import Floats, MotionBlock
from opcua_server.machine.motion.columns import Columns, filtered, steps
from opcua_server.machine.motion.play import carried
from opcua_server.machine.parameters import SAMPLE_S

LAG, WANTED, SLIDE = range(3)
ROWS: Final = 3
"""State: of the filter of the lag; the last sample of what the loop wants; where friction would have the axis rest."""
NO_LAG_MM: Final = 1e-9
"""A smaller lag at the end of a block is none: a loop forgets where it came from within a second of standing, not in a minute."""


class Wish:
    """Of one machine in one block. ``undisturbed`` (mm) and ``resist`` (N): (axes, n); ``after``: bytes of the state behind it."""

    __slots__ = ("after", "resist", "undisturbed")

    def __init__(self, undisturbed: Floats, resist: Floats, after: bytes) -> None:
        self.undisturbed, self.resist, self.after = undisturbed, resist, after


def wish(p: Columns, state: Floats, command_mm: Floats, command_velocity_mm_s: Floats) -> tuple[Floats, Floats]:
    """What loops want of axes side by side, and the force of friction and weight against it, (axes, n) each.

    ``state``: (ROWS, axes), which moves on; the others are (axes, n).
    """
    new, told = p.room.begin(*command_mm.shape), p.told.begin(*command_mm.shape)
    error = filtered(p.lag, command_velocity_mm_s, state[LAG : LAG + 1], told)
    undisturbed: Floats = np.subtract(command_mm, error, out=error)
    # Friction follows from the motion that the loop wants; its push on the axis is too small to change its own direction.
    way = steps(undisturbed, state[WANTED], new())
    slide = carried(undisturbed, way, p.presliding2, state[SLIDE], new)
    if undisturbed.shape[1]:
        state[WANTED], state[SLIDE] = undisturbed[:, -1], slide[:, -1]
    wanted = np.multiply(way, 1.0 / SAMPLE_S, out=way)
    resist = np.multiply(wanted, p.per_stribeck, out=told())
    np.multiply(resist, resist, out=resist)
    np.negative(resist, out=resist)
    np.exp(resist, out=resist)
    resist *= p.static_rise
    resist += p.coulomb
    bent = np.subtract(undisturbed, slide, out=slide)
    bent *= p.per_presliding
    resist *= bent
    wanted *= p.viscous
    resist += wanted
    resist += p.weight
    return undisturbed, resist


def wishes(p: Columns, state: Floats, motions: Sequence[Sequence[MotionBlock]]) -> list[list[Wish]]:
    """Of machines whose axes are as they were built, each in its next blocks, the same number of them.

    ``p``: of as many axes as there are; ``state``: (ROWS, axes), which moves on.
    """
    axes = p.axes // len(motions)
    found: list[list[Wish]] = [[] for _ in motions]
    keys = [state[:, k * axes : (k + 1) * axes].tobytes() for k in range(len(motions))]
    for blocks in zip(*motions, strict=True):
        new = []
        for k, motion in enumerate(blocks):
            known: Wish | None = motion.known.get(keys[k])
            if known is None:
                new.append(k)
            else:
                found[k].append(known)
                keys[k] = known.after
        if new:
            _make(p, [blocks[k] for k in new], new, keys, found)
    rows = np.frombuffer(b"".join(keys)).reshape(len(motions), ROWS, axes)
    state[:] = rows.swapaxes(0, 1).reshape(ROWS, -1)
    return found


def _make(p: Columns, blocks: Sequence[MotionBlock], new: Sequence[int], keys: list[bytes], found: list[list[Wish]]) -> None:
    """Work out the wishes of some machines in a block each."""
    axes = len(keys[0]) // (8 * ROWS)
    before = np.frombuffer(b"".join([keys[k] for k in new])).reshape(len(new), ROWS, axes)
    state = np.array(before.swapaxes(0, 1)).reshape(ROWS, -1)
    rows = np.concatenate([one.rows for one in blocks]).reshape(len(new), 2, axes, -1).swapaxes(0, 1)
    command, velocity = rows.reshape(2, len(new) * axes, -1)
    undisturbed, resist = wish(p.first(len(new) * axes), state, command, velocity)
    lag = state[LAG]
    lag[np.abs(lag) < NO_LAG_MM] = 0.0
    for at, (k, motion) in enumerate(zip(new, blocks, strict=True)):
        own = slice(at * axes, (at + 1) * axes)
        made = Wish(undisturbed[own].copy(), resist[own].copy(), state[:, own].tobytes())
        found[k].append(motion.know(keys[k], made))
        keys[k] = made.after
