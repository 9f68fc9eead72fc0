"""A stretch of blocks of one machine that goes in step with others: as far as it goes by itself.

go, go, go ... --all steady--> its physics waits for that of the others (``steady.act_all``) --.
  '-- something may happen: act on what waits, then go and act block by block -----------------+--> waits for its axes
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.begun import Begun, Passed
from opcua_server.machine.controller import nothing
from opcua_server.machine.faults.active import HEALTHY
from opcua_server.machine.machine import BLOCK_S, NEEDS_COOLANT, SAMPLES, Machine
from opcua_server.machine.motion.block import ON_THE_WAY, MotionBlock
from opcua_server.machine.noise import CHUNK, EVERY_BLOCK
from opcua_server.machine.process.edges import limits
from opcua_server.machine.process.ticks import Felt, felt
from opcua_server.machine.sensing import LAST_SAMPLE, LOOK
from opcua_server.machine.signals import View
from opcua_server.machine.standing import PASSED, PATH, STOOD, of_path, of_physics, of_standing, path, stands
from opcua_server.machine.steady import Acted, is_steady

Floats = npt.NDArray[np.float64]
Look = Callable[[View], None]
"""Called after each block that is noted: its numbers are not known yet, all else is."""

DRAWN: Final = 10
NEEDED: Final = DRAWN + len(EVERY_BLOCK)
"""What is drawn in a block, and the noise in it: values that its end needs."""
ACTED: Final = 1 + PASSED - PATH + LOOK
"""Number of a block, what its physics shows, what there is to be read: what is to be seen of it behind the values of its path."""
SEEN: Final = PATH + ACTED
_stood, _path, _acted, _seen, _needed = (Struct(f"{n}d").pack for n in (STOOD, PATH, ACTED, SEEN, NEEDED))


class Stretch:
    """Begins so many ``blocks``, of which the last ``noted`` are to be seen; ``started_block``, ``speed``: see ``signals.View``.

    ``odd``: a block that has begun with axes that are not as they were built; the stretch ends before it. Rows of numbers, one a
    block, are kept as bytes, to be put side by side with those of other machines.
    """

    __slots__ = (
        "_felt", "_first", "_look", "_paths", "_speed", "_started_block", "_unseen", "begun", "blocks", "machine", "motions",
        "needed", "normal", "noted", "odd", "seen", "stood", "waiting",
    )  # fmt: skip

    def __init__(
        self, machine: Machine, blocks: int, started_block: int, speed: float, noted: int, look: Look | None = None
    ) -> None:
        self.machine, self.blocks, self.noted = machine, blocks, noted
        self._started_block, self._speed, self._look = started_block, speed, look
        self.waiting: list[Passed] = []
        """Blocks whose physics is not worked out yet."""
        self.motions: list[MotionBlock] = []
        self._felt: Felt | None = None
        self.begun: list[Begun] = []
        """They themselves; at least the last, and all where the machine was not well."""
        self.odd: Begun | None = None
        self.needed: list[bytes] = []
        self.stood: list[bytes] = []
        self.seen: list[bytes] = []
        self._paths: list[bytes] = []
        """What is to be seen of those that wait, as far as it is known."""
        self.normal: list[Floats] = []
        """Noise of those that are noted (n, channels) each."""
        self._unseen = self._first = machine.block + blocks - noted
        """Blocks up to this one are not noted; first step whose noise is not kept yet."""

    @property
    def felt(self) -> Felt:
        """By the axes."""
        return felt([one.cut.ticks for one in self.begun]) if self._felt is None else self._felt

    @property
    def well(self) -> bool:
        return all(one.physics is HEALTHY for one in self.begun)

    def begin(self, *, together: bool) -> None:
        """``together``: physics may wait for that of others; then it does where all blocks are ``waiting`` afterwards."""
        machine = self.machine
        motion = self._go_along() if together and is_steady(machine) else None
        if len(self.waiting) == self.blocks:
            return
        self.act()
        while self.odd is None and len(self.motions) < self.blocks:
            self._act(machine.go(motion or machine.controller.motion.advance(SAMPLES)))
            motion = None
        if self.begun:
            self._keep_noise(self.begun[-1].block)

    def _go_along(self) -> MotionBlock | None:
        """Go as far as nothing but wear comes of it. The block of the path that it stops at, where something happens in it."""
        machine, tool = self.machine, self.machine.controller.tool
        if tool is None:
            return None
        control, bears = machine.controller, limits(tool, self.blocks, 1.0 + NEEDS_COOLANT).bears
        control.settle = self.act
        try:
            while not self.motions and len(self.waiting) < self.blocks:
                motion = control.motion.advance(SAMPLES)
                if motion.threads:
                    return motion
                for event in motion.events:
                    if event.kind not in ON_THE_WAY:
                        return motion
                passed = machine.go(motion)
                self.waiting.append(passed)
                way = passed.way
                if way is not None and (way.pushed_n > 0.0 or (way.load is not None and not bears(way.load))):
                    break
                if passed.block > self._unseen:
                    self._paths.append(self._path(passed))
        finally:
            control.settle = nothing
        return None

    def act(self) -> None:
        """Work out the physics of what waits, block by block."""
        waiting, paths = self.waiting, self._paths
        self.waiting, self._paths = [], []
        known = iter(paths)
        for passed in waiting:
            self._act(passed, next(known, b"") if passed.block > self._unseen else b"")
        if self.begun:
            self._keep_noise(self.begun[-1].block)

    def _act(self, passed: Passed, path_row: bytes = b"") -> None:
        machine, speed_rpm = self.machine, self.machine.spindle.speed_rpm
        begun = machine.act(passed)
        if not machine.sound(begun):
            self.odd = begun
            return
        self.motions.append(begun.motion)
        self.begun.append(begun)
        self.needed.append(_needed(*begun.drawn, *begun.noise))
        if begun.block <= self._unseen:
            return
        looked = machine.sensing.look(machine, begun)
        view = View(machine, SAMPLES - 1, self._started_block, self._speed, begun)
        if path_row:
            self.seen.append(path_row + _acted(begun.block, *of_physics(view), *looked))
        else:
            self.seen.append(_seen(*of_path(view), begun.block, *of_physics(view), *looked))
        self.stood.append(self.stood[-1] if self.stood and stands(machine, speed_rpm) else _stood(*of_standing(view)))
        if self._look is not None:
            self._look(view)
        if begun.block % CHUNK == 0:  # what has been drawn is gone in the next block
            self._keep_noise(begun.block)

    def take(self, acted: Acted) -> None:
        """What waited is worked out."""
        self.motions = [one.motion for one in self.waiting]
        self._felt, self.begun, self.needed = acted.felt, [acted.last], [acted.needed.tobytes()]
        if self.noted:
            view = View(self.machine, SAMPLES - 1, self._started_block, self._speed, acted.last)
            self.seen = [np.concatenate((rows(self._paths, PATH), acted.rows[-self.noted :]), axis=1).tobytes()]
            self.normal = [acted.normal]
            self.stood = [_stood(*of_standing(view))] * self.noted
        self.waiting = []

    def _path(self, passed: Passed) -> bytes:
        """Of a program that runs."""
        control, block = self.machine.controller, passed.block
        move, remaining_mm, feed_mm_s = passed.motion.at(LAST_SAMPLE)
        since_s = (block - self._started_block) * BLOCK_S
        return _path(*path(control, move or control.active, remaining_mm, feed_mm_s, block, since_s))

    def _keep_noise(self, step: int) -> None:
        """Up to a step."""
        if step > self._first:
            self.normal.append(self.machine.noise.rows(self._first, step - self._first))
            self._first = step


def rows(of: Iterable[bytes], width: int) -> Floats:
    """Rows of numbers that were kept as bytes (n, width)."""
    return np.frombuffer(b"".join(of)).reshape(-1, width)
