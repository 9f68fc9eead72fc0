"""Programs as lists of moves for the tests of this room, and ways to run them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from opcua_server.machine.motion.block import Floats, MotionEvent
from opcua_server.machine.motion.motion import Motion
from opcua_server.machine.moves import Modal, Move, Point
from opcua_server.machine.parameters import REFERENCE, VF2, MachineParameters

STAND: Point = (0.0, 0.0, 0.0)
SMALL = replace(REFERENCE, name="small", path=replace(REFERENCE.path, lookahead_blocks=8))
"""The reference machine with a window of eight blocks, so that short programs pass through many windows."""
MACHINES = (REFERENCE, VF2, SMALL)


def feed(line: int, x: float, y: float, z: float = 0.0, f: float = 1000.0, **modal: bool) -> Move:
    return Move("feed", line, (x, y, z), (x, y, z), feed=f, modal=Modal(**modal))  # type: ignore[arg-type]


def rapid(line: int, x: float, y: float, z: float = 0.0) -> Move:
    return Move("rapid", line, (x, y, z), (x, y, z))


def arc(line: int, start: Point, centre: Point, turns: float, rise: float = 0.0, f: float = 1000.0) -> Move:
    """An arc or helix in the XY plane."""
    radius = math.hypot(start[0] - centre[0], start[1] - centre[1])
    angle = math.atan2(start[1] - centre[1], start[0] - centre[0]) + 2.0 * math.pi * turns
    end = (centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle), start[2] + rise)
    return Move("arc", line, end, end, feed=f, centre=centre, normal=(0.0, 0.0, 1.0), turns=turns)


def still(kind: str, line: int, **fields: float) -> Move:
    return Move(kind, line, STAND, STAND, **fields)  # type: ignore[arg-type]


@dataclass
class Run:
    """What a motion gave, samples of all calls in a row, with the stand before them as the first."""

    position_mm: Floats
    velocity_mm_s: Floats
    events: list[tuple[int, MotionEvent]]
    motion: Motion

    @property
    def kinds(self) -> list[str]:
        return [event.kind for _, event in self.events]

    def at(self, kind: str) -> int:
        """Sample of the first event of a kind."""
        return next(sample for sample, event in self.events if event.kind == kind)


class Recorder:
    """Advances a motion and keeps everything."""

    def __init__(self, motion: Motion) -> None:
        self.motion = motion
        self.samples = 0
        self._position = [np.array([motion.position_mm])]
        self._velocity = [np.zeros((1, 3))]
        self._events: list[tuple[int, MotionEvent]] = []

    def advance(self, n: int) -> list[MotionEvent]:
        block = self.motion.advance(n)
        assert len(block) == n == len(block.move_index) == len(block.position_mm)
        self._position.append(block.position_mm)
        self._velocity.append(block.velocity_mm_s)
        self._events.extend((self.samples + event.sample, event) for event in block.events)
        self.samples += n
        return list(block.events)

    def until(self, *kinds: str, step: int = 100, limit: int = 400_000) -> Recorder:
        while not any(event.kind in kinds for event in self.advance(step)):
            assert self.samples < limit, f"none of {kinds} within {limit} samples"
        return self

    @property
    def run(self) -> Run:
        return Run(np.vstack(self._position), np.vstack(self._velocity), self._events, self.motion)


def start(moves: list[Move], machine: MachineParameters = REFERENCE) -> Recorder:
    """A motion at (0, 0, 0) that waits nowhere, loaded."""
    motion = Motion(machine, wait=lambda move: 0.0)
    motion.load(moves)
    return Recorder(motion)


def run(moves: list[Move], machine: MachineParameters = REFERENCE, step: int = 100) -> Run:
    return start(moves, machine).until("done", "alarm", step=step).run


ACTIONS = ("feed 0", "feed 0.1", "feed 0.5", "feed 1.5", "rapid 0", "rapid 0.25", "hold", "start", "single", "dry")
"""What an operator can do; see ``act``."""


def act(recorder: Recorder, action: str) -> None:
    motion = recorder.motion
    match action.split():
        case ["feed", ratio]:
            motion.feed_override = float(ratio)
        case ["rapid", ratio]:
            motion.rapid_override = float(ratio)
        case ["hold"]:
            motion.feed_hold()
        case ["start"]:
            motion.cycle_start()
        case ["single"]:
            motion.single_block = not motion.single_block
        case ["dry"]:
            motion.dry_run = not motion.dry_run


def let_run(recorder: Recorder, longest: int | None = None) -> None:
    """Everything back to normal, to the end of the program or for ``longest`` samples."""
    motion = recorder.motion
    motion.feed_override = motion.rapid_override = 1.0
    motion.single_block = motion.dry_run = False
    motion.cycle_start()
    if longest is not None:
        recorder.advance(longest)
    elif not motion.idle:
        recorder.until("done", "alarm")


coordinate = st.floats(-30.0, 30.0, allow_nan=False).map(lambda value: round(value, 3))
feeds = st.sampled_from((60.0, 400.0, 3000.0, 30000.0))


@st.composite
def programs(draw: st.DrawFn, longest: int = 14) -> list[Move]:
    """Moves of all kinds in a row: long and very short ones, tangent and sharp corners, arcs, helices, dwells, M codes."""
    moves: list[Move] = []
    here: Point = STAND
    for line in range(1, draw(st.integers(1, longest)) + 1):
        kind = draw(
            st.sampled_from(("feed", "feed", "feed", "short", "straight", "arc", "arc", "rapid", "dwell", "coolant", "tap"))
        )
        f = draw(feeds)
        if kind == "dwell":
            moves.append(Move("dwell", line, here, here, dwell_s=draw(st.sampled_from((0.0, 0.0105, 0.2)))))
            continue
        if kind == "coolant":
            moves.append(Move("coolant", line, here, here))
            continue
        if kind == "arc":
            radius = draw(st.sampled_from((0.05, 1.0, 12.0)))
            toward = draw(st.floats(0.0, 6.28))
            centre = (here[0] + radius * math.cos(toward), here[1] + radius * math.sin(toward), here[2])
            turns = draw(st.sampled_from((0.05, 0.25, 1.0, 1.4))) * draw(st.sampled_from((1.0, -1.0)))
            moves.append(arc(line, here, centre, turns, draw(st.sampled_from((0.0, 0.0, 2.0))), f))
        else:
            if kind == "short":
                target = (here[0] + draw(st.sampled_from((0.02, -0.3))), here[1] + draw(st.sampled_from((0.0, 0.01))), here[2])
            elif kind == "straight":
                target = (here[0] + 3.0, here[1], here[2])
            else:
                target = (draw(coordinate), draw(coordinate), draw(coordinate))
            exact = draw(st.sampled_from((False, False, False, True)))
            name = kind if kind in ("rapid", "tap") else "feed"
            moves.append(
                Move(name, line, target, target, feed=0.0 if name == "rapid" else f, modal=Modal(exact_stop=exact))  # type: ignore[arg-type]
            )
        here = moves[-1].end
    return moves


def assert_within_limits(result: Run, machine: MachineParameters) -> None:
    """Velocity, acceleration and jerk of every axis at every sample, and positions that follow from the velocities."""
    velocity = np.array([limit.velocity_mm_s for limit in machine.limits])
    acceleration = np.array([limit.acceleration_mm_s2 for limit in machine.limits])
    v = result.velocity_mm_s
    a = np.diff(v, axis=0) / 1e-3
    assert np.abs(v / velocity).max() <= 1.0 + 1e-9
    assert np.abs(a / acceleration).max() <= 1.0 + 1e-9
    if machine.path.jerk_mm_s3 is not None and len(a) > 1:
        assert np.abs(np.diff(a, axis=0) / 1e-3).max() <= machine.path.jerk_mm_s3 * (1.0 + 1e-9)
    # Between two samples the way is their mean speed, up to what the greatest acceleration can add or take.
    way = np.diff(result.position_mm, axis=0) - 0.5 * (v[1:] + v[:-1]) * 1e-3
    assert (np.abs(way) <= 0.25 * acceleration * 1e-6 + 1e-9).all()
