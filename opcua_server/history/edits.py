"""What people changed of the history, and what is read because of it (OPC 10000-11, 6.5.3.3 and 6.9). Pure.

    recorded  | 1   2   3   4   5         never touched
    edits     |     R:7     D---D  I:9    a log, in the order in which they were made
    read      | 1   7   3          9
    modified  |     2       4   5         what was there before, with when, how and by whom

A deleted range hides what the server had got by then; what it records there later, when its clock was set back, shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opcua_server.history.series import Series, is_bad, joined, of

INSERT, REPLACE, UPDATE, DELETE = range(1, 5)
"""HistoryUpdateType (OPC 10000-11, 6.5.3.3)."""
FORGET: Final = 0
"""What was changed before is no longer told as modified (DeleteRawModifiedDetails, IsDeleteModified)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody wants. ``low`` and ``high``: times, both part of it, the same for one value, 100 ns since 1601. ``value`` and
    ``status`` where a value is put."""

    kind: int
    low: int
    high: int
    value: Any = None
    status: int = 0


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that was made. ``id`` orders edits; ``at``: when it was made."""

    id: int
    tag: int
    kind: int
    low: int
    high: int
    at: int
    user: str
    value: Any = None
    status: int = 0

    def body(self) -> bytes:
        return json.dumps([self.kind, self.at, self.user, self.value, self.status]).encode()


def read(number: int, tag: int, low: int, high: int, body: bytes) -> Edit:
    """The edit that ``body`` was made of. Raises ValueError."""
    kind, at, user, value, status = json.loads(body)
    return Edit(number, tag, int(kind), low, high, int(at), str(user), value, int(status))


@dataclass(frozen=True, slots=True)
class Superseded:
    """A value that is no longer there: what it was, and who took it away, when and how."""

    time: int
    value: Any
    status: int
    server: int
    edit: Edit


def applied(recorded: Series, edits: Iterable[Edit], kind: str) -> Series:
    """The series with all edits made. ``edits``: in their order; all that overlap the series."""
    hidden = np.zeros(len(recorded), np.bool_)
    put: dict[int, Edit] = {}
    for edit in edits:
        if edit.kind == DELETE:
            hidden[_hides(recorded, edit)] = True
            for time in _within(put, edit):
                del put[time]
        elif edit.kind != FORGET:
            put[edit.low] = edit
    if put:
        hidden |= np.isin(recorded.times, np.fromiter(put, np.int64, len(put)))
    places = np.flatnonzero(~hidden)
    kept = Series(recorded.times[places], recorded.values[places], recorded.statuses[places], recorded.servers[places])
    rows = [(time, put[time].value, put[time].status, put[time].at) for time in sorted(put)]
    return joined([kept, of(kind, rows)], kind)


def superseded(recorded: Series, edits: Sequence[Edit]) -> list[Superseded]:
    """Values that edits took away, by time; of one time the one that went last comes first."""
    found: list[Superseded] = []
    there: dict[int, tuple[Any, int, int]] = {}
    deleted = np.zeros(len(recorded), np.bool_)
    values = recorded.values.tolist()
    bad = is_bad(recorded.statuses)

    def before(place: int) -> tuple[Any, int, int]:
        return None if bad[place] else values[place], int(recorded.statuses[place]), int(recorded.servers[place])

    for edit in edits:
        if edit.kind == FORGET:
            found = [one for one in found if not edit.low <= one.time <= edit.high]
        elif edit.kind == DELETE:
            places = [place for place in _hides(recorded, edit).tolist() if not deleted[place]]
            gone = {int(recorded.times[place]): before(place) for place in places}
            deleted[places] = True
            gone |= {time: there.pop(time) for time in _within(there, edit)}
            found += [Superseded(time, *state, edit) for time, state in gone.items()]
        else:
            state = there.get(edit.low)
            place = int(np.searchsorted(recorded.times, edit.low))
            if place < len(recorded) and int(recorded.times[place]) == edit.low and not deleted[place]:
                state, deleted[place] = state or before(place), True
            if state is not None:
                found.append(Superseded(edit.low, *state, edit))
            there[edit.low] = (None if edit.status >> 31 else edit.value, edit.status, edit.at)
    return sorted(found, key=lambda one: (one.time, -one.edit.id))


def _hides(recorded: Series, edit: Edit) -> NDArray[np.intp]:
    """Places of what a deletion takes away."""
    start, end = np.searchsorted(recorded.times, edit.low, "left"), np.searchsorted(recorded.times, edit.high, "right")
    return start + np.flatnonzero(recorded.servers[start:end] <= edit.at)


def _within(times: Mapping[int, object], edit: Edit) -> list[int]:
    if edit.low == edit.high:
        return [edit.low] if edit.low in times else []
    return [time for time in times if edit.low <= time <= edit.high]
