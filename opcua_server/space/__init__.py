"""The address space: machines instantiated from the official types and driven from columns.

spaces = space.build(server, identities)      # once, on an initialised asyncua Server
spaces["CNC-001"].write(columns)              # every tick; nothing is awaited in between
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from asyncua import Server

from nodesets import loader
from nodesets.nodeset_xml import NodesetFile
from opcua_server.alarms.table import TABLE, LimitAlarm
from opcua_server.engine.subscriptions.columns import Columns
from opcua_server.sources.source import Identity
from opcua_server.space.copies import Pattern
from opcua_server.space.machine import MachineSpace, Shape, blank_columns, state_machine_tables
from opcua_server.space.types import TypeSpace


def build(
    server: Server,
    identities: Iterable[Identity],
    nodeset_folder: Path | None = None,
    more: Iterable[NodesetFile] = (),
    live: Columns | None = None,
    table: Sequence[LimitAlarm] = TABLE,
) -> dict[str, MachineSpace]:
    """Load the NodeSets that are missing and make one machine per identity; by machine id, in the order given.

    ``server``: after ``await server.init()``, before or after ``start()``. ``nodeset_folder``: the user's own NodeSet files.
    ``more``: further models to load beside ours. ``live``: the engine's columns that carry the numbers. ``table``: the limit
    alarms. A SecureServer's ``conditions`` are registered there, so that its methods find them.
    Raises NodesetError, OfficialNodesetMissing, or ValueError for a machine id that exists already.
    """
    with without_collector():
        loader.load(server, folder=nodeset_folder, more=more)
        types = TypeSpace.of(server.iserver.aspace)
        tables = state_machine_tables(types)
        live = live or Columns()
        conditions = getattr(server, "conditions", None)
        those = list(identities)
        like: dict[Shape, Pattern] | None = {} if len(those) > 1 else None
        return {
            identity.machine_id: MachineSpace(server, types, tables, identity, live, table, conditions, like) for identity in those
        }


@contextmanager
def without_collector() -> Iterator[None]:
    """Hundreds of thousands of objects are made here that all live on: the collector would walk them again and again, which
    is two thirds of the time. A server that has them all may also call ``gc.freeze()``, for shorter pauses while it runs."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


__all__ = ["MachineSpace", "blank_columns", "build", "without_collector"]
