"""The past of the server under test: what its historized variables once showed.

Past      the history of OPC 10000-11, 4.6: at 5:00, 5:02, 5:03, 5:05, 5:06, with the minute as its value
Edited    the same as Past, for who changes it
Even      Historian 1 of OPC 10000-13, A.1.1: every ten seconds from 12:00:10 on, one Bad, one Uncertain
Long      25,000 numbers, ten a second
Sayings   three texts
Flags     three Booleans
Nothing   no history yet
Recent    what ``recently`` was told of
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from asyncua import ua

from cnctwin.wire.encode import to_ticks
from opcua_server.engine.contract import Core, Service
from opcua_server.history import event_nodes, nodes
from opcua_server.history.archive import Archive, Tag
from opcua_server.history.events import EventHistory
from opcua_server.history.series import TICKS_PER_S
from opcua_server.history.service import History
from opcua_server.history.sqlite import SqliteDatabase
from opcua_server.history.writer import Limits, Writer
from opcua_server.security.audit import SERVER
from opcua_server.space.types import TypeSpace
from tests.opcua_server.history import annex

FIVE: Final = datetime(2026, 3, 1, 5, tzinfo=UTC)
NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG: Final = 25_000
KINDS: Final = {
    "Past": "Double", "Edited": "Double", "Even": "Double", "Long": "Int32", "Sayings": "String", "Flags": "Boolean",
    "Nothing": "Double", "Recent": "Double",
}  # fmt: skip
_STEPPED: Final = frozenset({"Long", "Sayings", "Flags"})


def at(minutes: float, since: datetime = FIVE) -> datetime:
    return since + timedelta(minutes=minutes)


class Past:
    """Kept in a folder that goes with it: half in blocks, half in memory."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.archive = Archive(SqliteDatabase(Path(self._folder.name) / "history.sqlite"))
        self._tags = {name: self.archive.tag(name, kind, is_stepped=name in _STEPPED) for name, kind in KINDS.items()}
        self.writer = Writer(self.archive, Limits(), lambda: to_ticks(datetime.now(UTC)))
        self.writer.open()
        for name in ("Past", "Edited"):
            self._fill(name, [(at(minute), float(minute), 0) for minute in (0, 2, 3, 5, 6)])
        even = annex.history(1)
        for time, value, status in zip(even.times.tolist(), even.values.tolist(), even.statuses.tolist(), strict=True):
            self._add("Even", to_ticks(NOON) + time - annex.NOON, value, status)
        tag = np.array([self._tags["Long"].number], np.int64)
        good = np.zeros(1, np.uint32)
        for number in range(LONG):
            if number == LONG // 2:
                self.writer.write(cut=True)
            time = to_ticks(FIVE) + number * TICKS_PER_S // 10
            self.archive.add("Int32", time, time + 20_000, tag, np.array([number], np.int32), good)
        self._fill("Sayings", [(at(0), "alpha", 0), (at(1), "be", 0), (at(2), "", 0x808D0000)])
        self._fill("Flags", [(at(0), False, 0), (at(1), True, 0), (at(2), False, 0)])

    def recently(self, rows: list[tuple[datetime, Any, int]]) -> None:
        self._fill("Recent", rows)

    def _fill(self, name: str, rows: list[tuple[datetime, Any, int]]) -> None:
        for time, value, status in rows:
            self._add(name, to_ticks(time), value, status)

    def _add(self, name: str, time: int, value: Any, status: int) -> None:
        self.archive.add_one(self._tags[name], time, time + 20_000, value, status)

    def tags(self, node: Any) -> dict[Any, Tag]:
        return {node(name): tag for name, tag in self._tags.items()}

    def room(self, node: Any) -> Any:
        """Room of the engine; ``node(name)`` is a variable's NodeId."""

        def services(core: Core) -> list[Service]:
            tags, types = self.tags(node), TypeSpace(core.aspace)
            nodes.show_aggregates(core.aspace)
            nodes.show(core.aspace, types, tags, lambda: to_ticks(FIVE))
            events = EventHistory(self.archive, [SERVER], core.subscriptions.events)
            event_nodes.show_events(core.aspace, types, [SERVER])
            core.starting.append(events.start)
            said = nodes.show_annotations(core.aspace, types, tags)
            history = History(core, self.archive, tags, lambda: 0, lambda: to_ticks(datetime.now(UTC)), events, said)
            core.stopping.append(history.close)
            return history.services()

        return services

    def close(self) -> None:
        self.writer.end()
        self._folder.cleanup()


def value_id(node_id: Any, point: bytes = b"", index_range: str | None = None, encoding: Any = None) -> Any:
    item = ua.HistoryReadValueId()
    item.NodeId, item.ContinuationPoint, item.IndexRange = node_id, point, index_range
    item.DataEncoding = encoding or ua.QualifiedName()
    return item
