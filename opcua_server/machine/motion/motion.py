"""From moves to commanded axis positions over time: look-ahead, overrides, hold, events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.moves import Move, NcAlarm
from opcua_server.machine.parameters import MachineParameters

Wait = Callable[[Move], float | None]
"""Seconds that motion waits at a synchronising move (toolchange, spindle, coolant, stop, end, message) before it goes on by
itself; None: until ``resume`` is called. Asked when the move is reached, so it may depend on the machine's state."""


class Motion:
    """The interpolator of one machine.

    motion = Motion(VF2, position_mm=(0, 0, 0))
    motion.load(moves)              # an iterator; consumed lazily; may raise NcAlarm
    block = motion.advance(100)     # the next 100 ms
    for event in block.events: ...  # "sync" with a toolchange: let its time pass, then
    motion.resume()
    """

    def __init__(
        self, machine: MachineParameters, position_mm: Sequence[float] = (0.0, 0.0, 0.0), wait: Wait | None = None
    ) -> None:
        raise NotImplementedError

    # --- programs -------------------------------------------------------------------------------------------------
    def load(self, moves: Iterable[Move]) -> None:
        """Start on ``moves`` from where the axes stand. RuntimeError unless idle (nothing queued, axes standing)."""
        raise NotImplementedError

    def advance(self, n: int = 100) -> MotionBlock:
        """The next ``n`` samples of 1 ms, always exactly ``n``: while it waits or nothing is queued the axes stand."""
        raise NotImplementedError

    def resume(self) -> None:
        """Go on after a synchronising move (``waiting_for``); takes effect with the next sample. No effect otherwise."""
        raise NotImplementedError

    def reset(self) -> None:
        """Brake on the path within the limits, drop everything queued; clears hold, waits and alarm. Event "reset"."""
        raise NotImplementedError

    # --- operator -------------------------------------------------------------------------------------------------
    def feed_hold(self) -> None:
        """Brake on the path within the limits and stand (event "held"). Dwells stop counting. Tapping finishes its stroke."""
        raise NotImplementedError

    def cycle_start(self) -> None:
        """Leave feed hold, or the stand after a single block."""
        raise NotImplementedError

    feed_override: float  # 0.0 to 1.5; 0 stops cutting moves; tapping runs at 1.0
    rapid_override: float  # 0.0 to 1.0
    single_block: bool  # stand after each block of the program (all moves of one line)
    dry_run: bool  # cut at the dry-run feed instead of F

    # --- state ----------------------------------------------------------------------------------------------------
    idle: bool  # nothing queued and standing
    held: bool  # feed hold is on and the axes stand
    holding: bool  # feed hold is on
    moving: bool  # the commanded axes move
    waiting_for: Move | None  # the synchronising move that waits for ``resume``
    between_blocks: bool  # single block: waits for ``cycle_start``
    active: Move | None  # the move that is being executed
    alarm: NcAlarm | None  # raised by the interpreter and reached; cleared by ``reset``
    position_mm: tuple[float, float, float]  # commanded, now

    def set_position(self, position_mm: Sequence[float]) -> None:
        """The axes stand somewhere else now (homing). RuntimeError unless idle."""
        raise NotImplementedError
