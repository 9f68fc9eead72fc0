"""Takes what the historized variables show into the archive, tick by tick.

    tick      1   2   3   4   5   6   7
    value     a   a   a   a   b   c   c
    kept      a           a   b   c           changes, and how long the value before them had held: between two samples lies a line

A value that does not change is kept every ten minutes, so that old history may go. Where the server was not running stands an entry
without data, from just behind the last moment that it is known to have run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cnctwin.reading import BAD_WAITING_FOR_INITIAL_DATA, UNCERTAIN_INITIAL_VALUE
from cnctwin.wire.encode import to_ticks
from opcua_server.engine.subscriptions.columns import Column
from opcua_server.history.archive import Archive, Tag, View
from opcua_server.history.blocks import BlockError
from opcua_server.history.raw import LOWEST
from opcua_server.history.series import BAD_NO_DATA, TICKS_PER_MS, TICKS_PER_S
from opcua_server.history.store import StoreError

log = logging.getLogger("opcua_server.history")
REFRESH: Final = 600 * TICKS_PER_S
"""The longest time between two samples of a tag, 100 ns."""


class ColumnTap:
    """Rows of a column of the engine. ``first`` and ``seen``: source times of the first tick and of the last one, 0 before."""

    def __init__(self, archive: Archive, column: Column, rows: Sequence[tuple[int, Tag]]) -> None:
        ordered = sorted(rows, key=lambda pair: pair[1].number)
        self._archive = archive
        self._column = column
        self._kind = ordered[0][1].kind
        self._rows = np.array([row for row, _ in ordered], np.intp)
        self._tags = np.array([tag.number for _, tag in ordered], np.int64)
        self._values = column.values[self._rows].copy()
        self._statuses = column.statuses[self._rows].copy()
        self._kept = np.zeros(len(ordered), np.int64)
        self.first = self.seen = 0
        self._seen_server = 0
        column.taps.append(self._ticked)

    def close(self) -> None:
        self._column.taps.remove(self._ticked)

    def _ticked(self, changed: NDArray[np.bool_], source: int, server: int) -> None:
        if not self.first:
            self.first = source
        here = changed[self._rows]
        if self.seen and source > self.seen:
            stale = source - self._kept >= REFRESH
            held = np.flatnonzero((here | stale) & (self._kept != self.seen) & (self._kept != 0))
            if len(held):
                self._keep(held, self.seen, self._seen_server)
        elif source < self.seen:  # the clock was set back: what holds now is said at these times too
            here = np.ones_like(here)
        places = np.flatnonzero(here)
        if len(places):
            column = self._column
            self._values[places] = column.values[self._rows[places]]
            self._statuses[places] = column.statuses[self._rows[places]]
            self._keep(places, source, server)
        self.seen, self._seen_server = source, server

    def _keep(self, places: NDArray[np.intp], source: int, server: int) -> None:
        self._kept[places] = source
        self._archive.add(self._kind, source, server, self._tags[places], self._values[places], self._statuses[places])


class Recorder:
    """``now``: the wall clock, 100 ns since 1601."""

    def __init__(self, archive: Archive, now: Callable[[], int]) -> None:
        self._archive = archive
        self._now = now
        self._began = now()
        self._taps: list[ColumnTap] = []
        self._watched: list[tuple[Any, Callable[[Any], None]]] = []

    @property
    def seen(self) -> int:
        """Source time of the last tick: so long what did not change has held."""
        return max((tap.seen for tap in self._taps), default=0)

    @property
    def _first(self) -> int:
        """Everything of this run is at or behind it: the first tick may stand for a moment before the recorder was made."""
        return min([self._began, *(tap.first for tap in self._taps if tap.first)])

    def follow_column(self, column: Column, rows: Sequence[tuple[int, Tag]]) -> None:
        self._taps.append(ColumnTap(self._archive, column, rows))

    def follow_slot(self, slot: Any, tag: Tag) -> None:
        """A variable that is no row of a column: each value that it gets."""

        def changed(slot: Any) -> None:
            value = slot.value
            if value is None or value.SourceTimestamp is None:
                return
            status = value.StatusCode.value if value.StatusCode is not None else 0
            if status == UNCERTAIN_INITIAL_VALUE:  # nobody has worked it out yet: there is no value to keep
                status = BAD_WAITING_FOR_INITIAL_DATA
            content = value.Value.Value if value.Value is not None and not status >> 31 else None
            source = to_ticks(value.SourceTimestamp)
            server = to_ticks(value.ServerTimestamp) if value.ServerTimestamp is not None else source
            if content is None:
                status, content = status if status >> 31 else BAD_NO_DATA, "" if tag.kind == "String" else 0
            self._archive.add_one(tag, source, server, content, status)

        slot.watch(changed)
        self._watched.append((slot, changed))

    def close(self) -> None:
        for tap in self._taps:
            tap.close()
        for slot, changed in self._watched:
            slot.unwatch(changed)

    def note_gap(self) -> bool:
        """Say in each tag's history where the last run of the server ended; whether it could be found out. May take a while, with
        many tags."""
        try:
            with self._archive.view() as view:
                last = {tag.number: self._last(view, tag) for tag in self._archive.tags.values()}
        except StoreError as error:
            log.debug("history %s: what an earlier run left cannot be read: %s", self._archive.database.name, error)
            return False
        except BlockError as error:
            log.warning("history %s: where the last run ended cannot be read: %s", self._archive.database.name, error)
            return True
        now = self._now()
        seen = max((sample[0] for sample in last.values() if sample is not None), default=0)
        for tag in self._archive.tags.values():
            sample = last[tag.number]
            if sample is None or sample[0] > seen or sample[2] & 0xFFFF0000 == BAD_NO_DATA:
                continue
            time, value, status = sample
            if time < seen:
                self._archive.add_one(tag, seen, now, value, status)
            self._archive.add_no_data(tag, seen + TICKS_PER_MS, now)
        return True

    def _last(self, view: View, tag: Tag) -> tuple[int, Any, int] | None:
        """Time, value and status of a tag's latest sample of an earlier run. Ticks go on while it is read."""
        sample = _before(view, tag, self._first)
        return sample if sample is None or sample[0] < self._first else _before(view, tag, self._first)


def _before(view: View, tag: Tag, before: int) -> tuple[int, Any, int] | None:
    """Time, value and status of a tag's latest sample before a time."""
    found = view.read(tag, LOWEST, before - 1, 1, True)
    return (int(found.times[0]), found.values[0], int(found.statuses[0])) if len(found) else None
