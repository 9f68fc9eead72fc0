"""Repeatable randomness: the number drawn for a machine, channel and step never depends on how time was cut up.

Philox is a counter-based generator, so (seed, machine, channel, step) can be its key and counter: any draw can be made
again without having made those before it. Draws are made for ``CHUNK`` steps at once, which is what makes them cheap.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CHUNK: Final = 128
"""Steps per draw."""


class Channel(IntEnum):
    """What is drawn in each step. A new channel goes to the end: the streams of those before it must not move."""

    SPINDLE_SPEED = 0
    SPINDLE_POWER = 1
    CUT_VARIATION = 2
    SPINDLE_TEMPERATURE = 3
    MOTOR_TEMPERATURE = 4
    VIBRATION_VELOCITY = 5
    VIBRATION_ACCELERATION = 6
    VIBRATION_KURTOSIS = 7
    VIBRATION_BEARING = 8
    VIBRATION_TOOTH = 9
    VIBRATION_UNBALANCE = 10
    COOLANT_FLOW = 11
    COOLANT_PRESSURE = 12
    COOLANT_TEMPERATURE = 13
    COOLANT_LEVEL = 14
    AUXILIARY_POWER = 15
    AMBIENT = 16
    AMBIENT_SENSOR = 17
    COLUMN_TEMPERATURE = 18
    GROWTH = 19
    SCREW_X = 20
    SCREW_Y = 21
    SCREW_Z = 22
    AXIS_X_LOAD = 23
    AXIS_Y_LOAD = 24
    AXIS_Z_LOAD = 25
    SPINDLE_TORQUE = 26
    AIR_PRESSURE = 27
    CONVEYOR_CURRENT = 28
    LOST_COUNTS = 29
    LOOSE_PLUG = 30
    LOOSE_PLUG_SIZE = 31
    HYDRAULIC_PRESSURE = 32
    LUBRICATION_PRESSURE = 33


PERSONALITY: Final = 1000
"""Channel of what a machine is born with; tool lives and tool measurements have channels of their own above it."""
TOOL_LIFE: Final = 2000
TOOL_SETTER: Final = 3000
TAPER_SEAT: Final = 4000
STICKING: Final = 5000
LINK: Final = 6000
GAUGE: Final = 7000
BURST: Final = 8000


def generator(seed: int, machine: int, channel: int, step: int = 0) -> np.random.Generator:
    """The stream of one channel of one machine from one step on."""
    return np.random.Generator(np.random.Philox(key=_key(seed, machine), counter=[0, 0, channel, step]))


EVERY_BLOCK: Final = (
    Channel.SPINDLE_POWER, Channel.CUT_VARIATION, Channel.COOLANT_FLOW, Channel.AUXILIARY_POWER, Channel.COLUMN_TEMPERATURE,
)  # fmt: skip
"""Channels that a machine needs also when nobody looks."""


EVERY: Final = np.array([int(channel) for channel in EVERY_BLOCK])


class Index:
    """Places of ``EVERY_BLOCK`` as plain numbers: a list is indexed with them three times as fast as with members of an
    enumeration."""

    SPINDLE_POWER, CUT_VARIATION, COOLANT_FLOW, AUXILIARY_POWER, COLUMN_TEMPERATURE = range(len(EVERY_BLOCK))


class Noise:
    """Standard normal numbers, one for each ``Channel`` and step."""

    def __init__(self, seed: int, machine: int) -> None:
        self._source = np.random.Philox(key=0)
        self._normal = np.random.Generator(self._source)
        self._key = _key(seed, machine)
        self._chunk = self._whole = -1
        """Of what ``_drawn`` holds some channels, and of what the last that were drawn are all."""
        self._looks = 0
        """Steps of the chunk of which all channels were asked for."""
        self._drawn = np.empty((0, 0))
        self._often = np.empty((0, 0))
        """Those of ``EVERY_BLOCK`` (steps, 5)."""

    def at(self, step: int) -> list[float]:
        """The numbers of a step, by ``Channel``."""
        numbers: list[float] = self.row(step).tolist()
        return numbers

    def row(self, step: int) -> Floats:
        """As ``at``, (channels,)."""
        row = self._look(step)
        numbers: Floats = self._drawn[row]
        return numbers

    def rows(self, step: int, count: int) -> Floats:
        """As ``row``, of so many steps of one chunk (count, channels)."""
        row = self._look(step + count - 1)
        self._looks += count - 1
        numbers: Floats = self._drawn[row + 1 - count : row + 1]
        return numbers

    def span(self, step: int, count: int, *, every: bool) -> Floats:
        """Of so many steps, few enough for two chunks (count, channels); without ``every`` only ``EVERY_BLOCK`` are numbers."""
        first, last = step // CHUNK, (step + count - 1) // CHUNK
        if first != last:
            left = last * CHUNK - step
            one, other = (self.span(at, n, every=every) for at, n in ((step, left), (step + left, count - left)))
            return np.concatenate((one, other))
        if every:
            return self.rows(step, count)
        self.needed(step)
        row = step % CHUNK
        return self._drawn[row : row + count]

    def _look(self, step: int) -> int:
        chunk, row = divmod(step, CHUNK)
        if chunk != self._whole or chunk != self._chunk:
            self._draw(chunk, tuple(Channel))
            self._whole = chunk
        self._looks += 1
        return row

    def needed(self, step: int) -> list[float]:
        """The numbers of ``EVERY_BLOCK``, by ``Index``: those who are not looked at draw no more than these."""
        chunk, row = divmod(step, CHUNK)
        if chunk != self._chunk:
            often, self._looks = self._looks > CHUNK // 8, 0
            if often and chunk == self._whole + 1:
                self._look(step)
            else:
                self._draw(chunk, EVERY_BLOCK)
        numbers: list[float] = self._often[row].tolist()
        return numbers

    def _draw(self, chunk: int, channels: tuple[Channel, ...]) -> None:
        drawn = np.full((len(Channel), CHUNK), np.nan)
        fresh = _state(self._key, chunk * CHUNK)
        counter = fresh["state"]["counter"]
        for channel in channels:
            # What ``generator`` makes, without making one: that would take three times as long as to draw the numbers.
            counter[2] = channel
            self._source.state = fresh
            self._normal.standard_normal(out=drawn[channel])
        self._drawn = drawn.T.copy()
        self._often = self._drawn[:, EVERY]
        self._chunk = chunk


def _key(seed: int, machine: int) -> npt.NDArray[np.uint64]:
    return np.array((seed & (2**64 - 1), machine), dtype=np.uint64)


def _state(key: npt.NDArray[np.uint64], step: int) -> Any:
    """Of a Philox that has drawn nothing yet, of channel 0."""
    return {
        "bit_generator": "Philox",
        "state": {"counter": np.array((0, 0, 0, step), dtype=np.uint64), "key": key},
        "buffer": _NOTHING,
        "buffer_pos": len(_NOTHING),
        "has_uint32": 0,
        "uinteger": 0,
    }


_NOTHING: Final = np.zeros(4, dtype=np.uint64)
