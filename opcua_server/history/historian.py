"""The historian of a server: what is kept of its machines, from when its port opens until it closes.

historian = Historian(database, limits, now)          # opens nothing
historian.follow(server, spaces)                      # the machines' historized signals; before the engine is made
engine = Engine.of(server, rooms=[..., historian.services])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from nodesets.catalogue import SIGNALS, Signal
from opcua_server.engine.contract import Core, Service
from opcua_server.engine.subscriptions.columns import Column, ColumnSlot
from opcua_server.history import event_nodes, nodes
from opcua_server.history.archive import Archive, Tag
from opcua_server.history.events import EventHistory
from opcua_server.history.postgres import PostgresDatabase
from opcua_server.history.recorder import Recorder
from opcua_server.history.series import EPOCH_TICKS
from opcua_server.history.service import History
from opcua_server.history.sqlite import SqliteDatabase
from opcua_server.history.store import Database
from opcua_server.history.writer import DAY_TICKS, Limits, Writer
from opcua_server.security.audit import SERVER
from opcua_server.space.types import TypeSpace

STEPPED: Final = frozenset(
    {
        "Channel/FeedOverride", "Machine/LastCycleTime", "Part/Roughness", "Tool/WearPercent",
    }
)  # fmt: skip
"""Numbers that jump from one value to the next; whatever is no Double does too."""


class Space(Protocol):
    """Of a machine's address space, what has a history. ``nodes``: signal -> variable. ``also``: further variables that show the
    same -> signal. ``node_id``: the machine object."""

    nodes: dict[str, Any]
    also: dict[Any, str]
    node_id: Any


def ticks_now() -> int:
    """The wall clock, 100 ns since 1601."""
    return EPOCH_TICKS + time.time_ns() // 100


def is_stepped(signal: Signal) -> bool:
    return signal.type != "Double" or signal.name in STEPPED


def database_of(data: Path, url: str | None) -> Database:
    """SQLite in the data folder, or PostgreSQL by its address. Raises ConfigurationError without its driver."""
    return SqliteDatabase(data / "history" / "history.sqlite") if url is None else PostgresDatabase(url)


def limits_of(days: float, size_mb: int) -> Limits:
    return Limits(round(days * DAY_TICKS), size_mb << 20)


class Historian:
    """``now``: the wall clock, 100 ns since 1601."""

    def __init__(self, database: Database, limits: Limits, now: Callable[[], int] = ticks_now) -> None:
        self.archive = Archive(database)
        self.recorder = Recorder(self.archive, now)
        self.writer = Writer(self.archive, limits, now, first=self.recorder.note_gap)
        self.tags: dict[Any, Tag] = {}
        """Variable -> what is kept; several variables show one signal."""
        self._recorded: dict[Any, Tag] = {}
        """Of each signal the variable it is recorded at."""
        self.annotations: dict[Any, tuple[Tag, Any]] = {}
        """Annotations property -> what it is about, and the place of its value."""
        self.notifiers: list[Any] = []
        self._now = now

    def follow(self, server: Any, spaces: Mapping[str, Space]) -> None:
        """Keep the historized signals of machines, and say so in the address space."""
        for machine_id, space in spaces.items():
            for signal in SIGNALS:
                if signal.historized and not signal.type.endswith("[]"):
                    name = f"{machine_id}/{signal.name}"
                    tag = self.archive.tag(name, signal.type, is_stepped=is_stepped(signal))
                    self._recorded[space.nodes[signal.name]] = tag
                    self.tags.update({node_id: tag for node_id, shown in space.also.items() if shown == signal.name})
        self.tags.update(self._recorded)
        self.notifiers = [SERVER, *(space.node_id for space in spaces.values())]
        aspace = server.iserver.aspace
        types = TypeSpace.of(aspace)
        nodes.show(aspace, types, self.tags, lambda: self.writer.oldest)
        self.annotations = nodes.show_annotations(aspace, types, self.tags)
        event_nodes.show_events(aspace, types, self.notifiers)

    def services(self, core: Core) -> list[Service]:
        """Room of the engine: HistoryRead and HistoryUpdate."""
        events = EventHistory(self.archive, self.notifiers, core.subscriptions.events)
        history = History(core, self.archive, self.tags, lambda: self.recorder.seen, self._now, events, self.annotations)

        def start() -> None:
            self.writer.open()
            history.annotations.show()
            events.start()
            self._record(core)
            self.writer.start()

        def stop() -> None:
            events.stop()
            self.archive.close()
            self.recorder.close()
            history.close()
            self.writer.end()
            self.archive.close_reader()

        core.starting.append(start)
        core.stopping.append(stop)
        return history.services()

    def _record(self, core: Core) -> None:
        columns: dict[Column, list[tuple[int, Tag]]] = {}
        for node_id, tag in self._recorded.items():
            slot = core.values.slot(node_id)
            if isinstance(slot, ColumnSlot):
                columns.setdefault(slot.column, []).append((slot.row, tag))
            else:
                self.recorder.follow_slot(slot, tag)
        for column, rows in columns.items():
            self.recorder.follow_column(column, rows)
