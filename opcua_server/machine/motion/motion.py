"""From moves to commanded axis positions over time: look-ahead, overrides, hold, events.

    moves --pull--> queue --group up to the next exact stop--> plan --Track--> samples --moving average--> commanded axes
                      ^                                          |
                      +---- replan from the present place and speed when an override, hold or single block changes

Rules
- Between two samples the state changes only by what the path itself prescribes; what the operator does takes effect from the
  next sample on. So the samples do not depend on how time is cut into calls.
- Feed moves are chained (corners rounded within the tolerance); everything else begins and ends standing: rapids, taps,
  probing, moves under exact stop, dwells, synchronising moves.
- After a stand that the program asks for, the filter runs empty and the axes are in position before the next thing begins.
- A chain longer than the window is planned window by window, each to a stand at its end, of which only the first half is used.
- Moves that go nowhere take no time and have no events, but the end of their block is one in single block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import floor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from opcua_server.machine.motion.block import MotionBlock, MotionEvent
from opcua_server.machine.motion.filter import Average
from opcua_server.machine.motion.joins import Piece, Stand
from opcua_server.machine.motion.panel import Panel
from opcua_server.machine.motion.profile import brake, plan
from opcua_server.machine.motion.segment import Rules, Segment
from opcua_server.machine.motion.span import Span, Still
from opcua_server.machine.motion.track import Track
from opcua_server.machine.motion.tracks import tracks_of
from opcua_server.machine.motion.window import NOWHERE, Window, block_end, move_of, same_block
from opcua_server.machine.moves import Move, NcAlarm, Point
from opcua_server.machine.parameters import SAMPLE_S, MachineParameters

Wait = Callable[[Move], float | None]
"""Seconds that motion waits at a synchronising move (toolchange, spindle, coolant, stop, end, message) before it goes on by
itself; None: until ``resume`` is called. Asked when the move is reached, so it may depend on the machine's state."""

_Purpose = Literal["run", "hold", "reset"]
_Then = Literal["settled", "dwell", "sync", "braked", "reset"]


class Motion(Panel):
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
        super().__init__(machine.path.max_feed_override)
        self.machine = machine
        self._rules = Rules(machine, SAMPLE_S)
        self.tracks = tracks_of(machine)
        self._wait = wait
        self._window = Window(self._rules, machine.path.lookahead_blocks)
        self._filter = Average(self._rules.filter_samples)
        self._loaded = False
        """A program is being executed."""
        self.alarm: NcAlarm | None = None
        """Raised by the interpreter and reached; ``reset`` clears it."""
        self.waiting_for: Move | None = None
        """The synchronising move that waits for ``resume``."""
        self._track: Track | None = None
        self._purpose: _Purpose = "run"
        self._chained = False
        """The track ends at speed: another one follows."""
        self._span: Span | None = None
        """Of the track, where the last block was."""
        self._still: Still | None = None
        self._sample = 0
        """Samples of the track that were given."""
        self._stands = 0
        """Samples of the track that the filter has seen."""
        self._segment = 0
        """Segment of the track the last sample was on."""
        self._stand = 0
        """Samples to stand before ``_then`` happens."""
        self._then: _Then | None = None
        self._offset_s = 0.0
        """How long ago the last sample was when the next thing begins."""
        self._begun = False
        """The head of the queue has had its "begin"."""
        self._s_mm = 0.0
        """Where on the head of the queue the axes stand."""
        self._last: Move | None = None
        """The move that was finished last: its block is done when the next belongs to another one."""
        self._events: list[MotionEvent] = []
        self.asked_s = 0.0
        """Time in the block at which ``wait`` is asked."""
        self._place: Point = (0.0, 0.0, 0.0)
        self._put(position_mm)

    # --- state ----------------------------------------------------------------------------------------------------
    @property
    def idle(self) -> bool:
        """Nothing queued and standing."""
        return not self._loaded and self._track is None and self._then is None

    @property
    def held(self) -> bool:
        """Feed hold is on and the axes stand."""
        return self.holding and self._announced

    @property
    def moving(self) -> bool:
        """The path is being followed."""
        return self._track is not None

    @property
    def active(self) -> Move | None:
        """The move that is being executed."""
        if self._track is not None:
            return self._track.segments[self._segment].move
        if not self._window or not self._begun:
            return None
        head = self._window.head
        return move_of(head)

    @property
    def position_mm(self) -> Point:
        """Commanded position at the last sample, before the jerk filter."""
        self._catch_up()
        x, y, z = self._now.tolist()
        return x, y, z

    def set_position(self, position_mm: Sequence[float]) -> None:
        """The axes stand somewhere else now (homing). RuntimeError unless idle."""
        if not self.idle:
            raise RuntimeError("the axes are not idle")
        self._put(position_mm)

    def _put(self, position_mm: Sequence[float]) -> None:
        x, y, z = (float(value) for value in position_mm)
        self._place = (x, y, z)
        self._now = np.array(self._place)
        self._filter.settle((x, y, z, 0.0, 0.0, 0.0))

    # --- programs -------------------------------------------------------------------------------------------------
    def load(self, moves: Iterable[Move]) -> None:
        """Start on ``moves`` from where the axes stand. RuntimeError unless idle (nothing queued, axes standing)."""
        if not self.idle:
            raise RuntimeError("the axes are not idle")
        self._window.load(moves, self._place)
        self._loaded = True
        self._last = None
        self._begun = False
        self._s_mm = 0.0
        self.alarm = None

    def resume(self, after_s: float = 0.0) -> None:
        """Go on after a synchronising move (``waiting_for``), ``after_s`` behind the last sample. No effect otherwise."""
        if self.waiting_for is not None:
            self.waiting_for = None
            self._offset_s = 0.0
            self._dwell(after_s, "sync")

    def reset(self) -> None:
        """Brake on the path within the limits, drop everything queued; clears hold, waits and alarm. Event "reset"."""
        if self._track is not None and self._purpose != "reset":
            self._replan(self._track, "reset")
        self._loaded = False
        self._window.clear()
        self.alarm = self.waiting_for = self._last = None
        self.between_blocks = self.holding = self._announced = False
        if self._track is None:
            self._stand, self._then = self._rules.filter_samples - 1, "reset"

    # --- time -----------------------------------------------------------------------------------------------------
    def advance(self, n: int = 100) -> MotionBlock:
        """The next ``n`` samples of 1 ms, always exactly ``n``: while it waits or nothing is queued the axes stand."""
        if self._track is not None and self._sample + n <= self._track.samples and n:
            return self._within(self._track, n)
        self._catch_up()
        pieces: list[Piece | Stand] = []
        self._events = events = []
        i = stood = 0
        while i < n:
            track = self._track
            if track is not None:
                if self._sample >= track.samples:
                    self._end_track(track, i)
                    continue
                m = min(n - i, track.samples - self._sample)
                piece = track.piece(self._sample + 1, m, self._segment)
                if self._sample == 0 and not self._begun:
                    self._begun = True
                    events.append(MotionEvent(i, "begin", track.segments[self._segment].move))
                pieces.append(piece)
                if piece.last != self._segment:
                    self._pass(track, piece.segment, i)
                self._sample += m
                i += m
                continue
            m = n - i
            frozen = self._holds and self._then == "dwell"
            if self._stand > 0 and not frozen:
                m = min(m, self._stand)
                self._stand -= m
            elif frozen:
                self._announce(i)
            elif self._step(i):
                continue
            active, still = self.active, self._still
            if m == n and still is not None and not events and still.again(self._place, active, n):
                return still.block
            pieces.append(Stand(self._place, active, m))
            i += m
            stood += m
        self._stands = self._sample
        before, self._still = self._still, None
        if not n:
            return MotionBlock(np.empty((6, 0)), np.empty(0), np.empty(0, np.int32), (), (), tuple(events))
        join = self.tracks.joins.of(self._filter, pieces)
        self._now, block = join.at, join.block
        if events:
            block = block.with_events(events)
        if stood == n:
            # From the second block in one place on the filter has seen nothing else, and gives the same again.
            filled = before is not None and before.place == self._place and len(before.block) >= self._rules.filter_samples
            first = block.moves[0] if block.moves else None
            self._still = Still(self._place, filled and len(pieces) == 1 and not events, first, block)
        return block

    def _within(self, track: Track, n: int) -> MotionBlock:
        """A block that lies on the track as a whole, as most do."""
        self._still = None
        first = self._sample + 1
        span = self._span
        if span is None or first < span.first or first + n > span.first + span.count:
            self._catch_up()
            span = self._span = track.span(first, n, self._filter)
        key = (first, n, self._segment, self._begun)
        cut = span.blocks.get(key)
        if cut is None:
            cut = span.blocks[key] = track.cut(span, first, n, self._segment, begins=first == 1 and not self._begun)
        if cut.finished:
            for _ in range(cut.finished):
                self._window.pop()
            self._last = track.segments[cut.segment - 1].move
            self._s_mm = 0.0
        self._begun = True
        self._sample += n
        self._segment = cut.segment
        return cut.block

    def _catch_up(self) -> None:
        """Let the filter and the place stand behind the last sample of the track: on the way they are not needed."""
        track, sample = self._track, self._sample
        if track is not None and self._stands < sample:
            self._filter.history, self._now = track.behind(sample, self._filter, self._stands)
            self._stands = sample

    # --- path -----------------------------------------------------------------------------------------------------
    def _pass(self, track: Track, segment: NDArray[np.integer[Any]], i: int) -> None:
        """Go over the borders between segments that lie between the samples of a span."""
        self._events.extend(track.borders(segment, self._segment, i))
        for left in range(self._segment, int(segment[-1])):
            self._window.pop()
            self._last = track.segments[left].move
            self._begun = True
            self._s_mm = 0.0
        self._segment = int(segment[-1])

    def _finish(self, move: Move, i: int) -> None:
        """The head of the queue is done."""
        self._window.pop()
        self._last = move
        self._begun = False
        self._s_mm = 0.0
        self._events.append(MotionEvent(i, "finished", move))

    def _end_track(self, track: Track, i: int) -> None:
        """The path ends between the last sample and the next one, ``i``."""
        self._track = None
        self._offset_s = track.rest_s
        last, s_mm, v_mm_s = track.end()
        if self._segment != last:
            self._pass(track, np.array([last]), i)
        if self._purpose == "run":
            if self._chained:
                self._finish(track.segments[last].move, i)
                self._start(0.0, v_mm_s)
                return
            self._place = track.place(last, track.segments[last].length)
            self._settle("settled", SAMPLE_S if track.segments[last].refills else 0.0)
        else:
            self._s_mm = s_mm
            self._place = track.place(last, s_mm)
            self._settle("reset" if self._purpose == "reset" else "braked")

    def _settle(self, then: _Then, longer_s: float = 0.0) -> None:
        filtered = (self._rules.filter_samples - 1) * SAMPLE_S
        self._dwell(filtered + longer_s + (self.machine.path.exact_stop_s if then == "settled" else 0.0), then)

    def _dwell(self, seconds: float, then: _Then) -> None:
        """Stand for a time that begins ``_offset_s`` after the last sample."""
        total = self._offset_s + seconds
        self._stand = floor(total / SAMPLE_S)
        self._offset_s = max(0.0, total - self._stand * SAMPLE_S)
        self._then = then

    def _announce(self, i: int) -> None:
        if not self._announced:
            self._announced = True
            self._events.append(MotionEvent(i, "held", self.active))

    def _step(self, i: int) -> bool:
        """Standing, before sample ``i``: begin the next thing. False if there is nothing to do but stand."""
        then, self._then = self._then, None
        if then is not None:
            if then == "reset":
                self._s_mm = 0.0
                self._begun = False
                self._events.append(MotionEvent(i, "reset"))
            elif then != "braked":
                head = self._window.head
                self._finish(move_of(head), i)
            return True
        began = self._begin(i)
        if not began:
            self._offset_s = 0.0
        return began

    @property
    def _holds(self) -> bool:
        """Feed hold is on, and no tool is in a thread: it comes out before the axes stand."""
        return self.holding and not (self._last is not None and self._last.thread == "in")

    def _begin(self, i: int) -> bool:
        if self._holds:
            self._announce(i)
            return False
        if self.waiting_for is not None or self.between_blocks or self.alarm is not None or not self._loaded:
            return False
        self._window.fill(single_block=self.single_block)
        if not self._window:
            self.alarm = self._window.alarm
            self._events.append(MotionEvent(i, "done" if self.alarm is None else "alarm", alarm=self.alarm))
            self._loaded = False
            return False
        head = self._window.head
        move = move_of(head)
        ended = self._last if self._last is not None and self._last.kind != "stop" else None  # there it has stood already
        if self.single_block and not self._begun and ended is not None and not same_block(ended, move):
            self.between_blocks = True
            self._events.append(MotionEvent(i, "block", ended))
            self._last = None
            return False
        if isinstance(head, Segment):
            return self._start(self._s_mm, 0.0)
        if move.kind in NOWHERE:
            self._window.pop()
            self._last = None if move.kind == "block" else move
            if move.kind == "block" and self.single_block:
                self.between_blocks = True
                self._events.append(MotionEvent(i, "block", move))
                return False
            return True
        self._begun = True
        self._events.append(MotionEvent(i, "begin", move))
        if move.kind == "dwell":
            self._dwell(move.dwell_s, "dwell")
            return True
        self._events.append(MotionEvent(i, "sync", move))
        self.asked_s = i * SAMPLE_S + self._offset_s
        seconds = None if self._wait is None else self._wait(move)
        if seconds is None:
            self.waiting_for = move
            return False
        self._dwell(seconds, "sync")
        return True

    def _start(self, s_mm: float, v_mm_s: float) -> bool:
        """Plan from a place and speed on the head of the queue. False if the operator lets nothing move."""
        self._window.fill(single_block=self.single_block)
        if self.single_block:
            self._window.own()
        group, self._chained = self._window.group()
        key = None
        if s_mm == 0.0 and not (self.single_block or self.holding):
            key = self.tracks.key(
                group, self._chained, v_mm_s, self._offset_s, self.feed_override, self.rapid_override, self.dry_run
            )  # fmt: skip
            track = self.tracks.known(key, group)
            if track is not None:
                self._follow(track, "run")
                return True
        speeds = [one.speed(self.feed_override, self.rapid_override, self.dry_run, self._rules) for one in group]
        if speeds[0] <= 0.0 or (self.holding and not group[0].synchronised):
            if v_mm_s <= 0.0:
                return False
            phases = brake(group, s_mm, v_mm_s)
            self._follow(Track(group, phases, self._offset_s, SAMPLE_S), "hold")
            return True
        if self.single_block:
            group = group[: block_end(group, s_mm, v_mm_s)]
            self._chained = False
        phases = plan(group, speeds, s_mm, v_mm_s)
        if self._chained:
            half = len(group) // 2
            phases = [phase for phase in phases if phase[0] < half]
            group = group[:half]
        track = Track(group, phases, self._offset_s, SAMPLE_S)
        self._follow(track if key is None else self.tracks.keep(key, track), "run")
        return True

    def _follow(self, track: Track, purpose: _Purpose) -> None:
        self._track = track
        self._span = None
        self._stands = 0
        self._purpose = purpose
        self._sample = 0
        self._segment = 0

    def _adapt(self) -> None:
        """The operator changed something: plan again from the present place and speed."""
        if self._track is not None and self._purpose != "reset":
            self._replan(self._track, "run")

    def _replan(self, track: Track, purpose: _Purpose) -> None:
        if track.segments[self._segment].synchronised and purpose == "run":
            return
        self._catch_up()
        _, s_mm, v_mm_s = track.at(self._sample)
        self._offset_s = track.offset_s if self._sample == 0 else 0.0
        self._track = None
        if purpose == "reset":
            self._window.fill(single_block=self.single_block)
            group, _ = self._window.group()
            self._follow(Track(group, brake(group, s_mm, v_mm_s), self._offset_s, SAMPLE_S), "reset")
        elif not self._start(s_mm, v_mm_s):
            self._s_mm = s_mm
            self._place = track.place(self._segment, s_mm)
            self._settle("braked")
