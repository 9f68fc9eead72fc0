"""Tracks that were planned before, remembered: every run of a program, on every machine of a process, follows the same ones.

    move that comes first, place, speed, overrides --> Track --> Span --> MotionBlock, with what else was found out about it

The key is exact, and moves are told apart by identity: a program is interpreted once for all its runs (``work``), so that the same
move is the same object, and what comes before and after it is the same too. What is remembered is what would be worked out again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from opcua_server.machine.motion.joins import Joins
from opcua_server.machine.motion.segment import Segment
from opcua_server.machine.motion.track import Track
from opcua_server.machine.parameters import MachineParameters

FOR_ONE: Final = 260_000
MOST: Final = 800_000
"""Samples remembered for one machine that lives in real time, and for all others: 4 and 13 minutes of different paths, some 130
bytes each. Contour and flange of the shipped programs need 185,000 and 253,000, all three 632,000 with every change from one to
another. Beyond it what was followed longest ago is forgotten, and learnt anew."""
PER_JOIN: Final = 400
"""Samples for each of which a block is remembered in which tracks meet: some 15 kB each."""


class Tracks:
    """Of machines with the same limits. ``most``: how many samples they may hold; ``joins``: where they meet."""

    def __init__(self, most: int) -> None:
        self.joins = Joins(0)
        self.most = most
        self._known: dict[Hashable, Track] = {}
        self.samples = 0

    @property
    def most(self) -> int:
        return self._most

    @most.setter
    def most(self, most: int) -> None:
        self._most, self.joins.most = most, most // PER_JOIN

    def __len__(self) -> int:
        """Tracks remembered."""
        return len(self._known)

    @staticmethod
    def key(group: list[Segment], *rest: float) -> Hashable:
        """Of a way through ``group`` from its beginning; ``rest``: all else that it depends on."""
        head = group[0]
        return id(head.move), id(group[-1].move), len(group), head.start, head.zone_in[0], *rest

    def known(self, key: Hashable, group: list[Segment]) -> Track | None:
        """The track along these very moves, if it was planned before."""
        track = self._known.get(key)
        if track is None or any(one.move is not other.move for one, other in zip(track.segments, group, strict=False)):
            return None
        self._known[key] = self._known.pop(key)
        return track

    def keep(self, key: Hashable, track: Track) -> Track:
        """Remember a track; it keeps its moves, whose identities are in the key, alive."""
        replaced = self._known.pop(key, None)
        if replaced is not None:
            replaced.on_span = None
            self.samples -= sum(span.count for span in replaced.spans)
        self._known[key] = track
        track.on_span = self._count
        return track

    def _count(self, samples: int) -> None:
        """One of the tracks has so many samples more: what was followed longest ago makes room for them."""
        self.samples += samples
        while self.samples > self.most and self._known:
            forgotten = self._known.pop(next(iter(self._known)))
            forgotten.on_span = None
            self.samples -= sum(span.count for span in forgotten.spans)


_TRACKS: Final[dict[MachineParameters, Tracks]] = {}
"""Of this process."""


def tracks_of(machine: MachineParameters) -> Tracks:
    """For one more machine of a kind."""
    tracks = _TRACKS.get(machine)
    if tracks is None:
        tracks = _TRACKS[machine] = Tracks(FOR_ONE)
    else:
        tracks.most = MOST
    return tracks
