"""FileSystem/WorkMasters of a machine: its NC programs as nodes of FileType, which come and go as the programs do.

The methods are those of the types in namespace 0, and ``opcua_server.files.room`` carries them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import utc
from opcua_server.files.handles import MAX_BYTES
from opcua_server.space.changes import ModelChanges
from opcua_server.space.instances import Builder, wanted
from opcua_server.space.publish import put, shown
from opcua_server.space.types import HAS_COMPONENT, ORGANIZES

_V = ua.VariantType
MIME: Final = "text/plain"
AT_ONCE: Final = 50
"""Nodes of programs that are made in one go: more come with the next look at the folder, so that nobody waits."""


@dataclass(frozen=True, slots=True)
class Program:
    """``size`` in bytes; ``changed_ns``: 0 for what comes with the machine, which nobody changes."""

    size: int
    changed_ns: int = 0

    @property
    def is_writable(self) -> bool:
        return self.changed_ns > 0


class FileSpace:
    """``programs``: where the node of each program is noted, for all machines: NodeId -> (machine id, name).
    ``user_writable``: where the UserWritable nodes are noted."""

    def __init__(
        self, builder: Builder, machine: ua.NodeId, machine_id: str, changes: ModelChanges,
    ) -> None:  # fmt: skip
        types = builder.types
        self._machine_id = machine_id
        self._changes = changes
        self._namespace = builder.namespace
        self._file_type = types.type_id("0:FileType")
        self.programs: dict[ua.NodeId, tuple[str, str]] = {}
        self.user_writable: set[ua.NodeId] = set()
        self._nodes: dict[str, ua.NodeId] = {}
        self._shown: dict[str, Program] = {}
        self._held: dict[str, dict[str, Any]] = {}
        directory_type = types.type_id("0:FileDirectoryType")
        builder.shares_methods = True
        system = builder.instance(machine, HAS_COMPONENT, ua.QualifiedName("FileSystem", 0), directory_type)
        name = ua.QualifiedName("WorkMasters", types.index["MT"])
        self.directory = builder.instance(system, HAS_COMPONENT, name, directory_type)
        builder.shares_methods = False
        changes.follow(builder, self.directory)

    def register(self, programs: dict[ua.NodeId, tuple[str, str]], user_writable: set[ua.NodeId]) -> None:
        """Note files in registers that all machines have in common."""
        programs |= self.programs
        user_writable |= self.user_writable
        self.programs, self.user_writable = programs, user_writable

    def node_of(self, name: str) -> ua.NodeId:
        """Where a program is shown; the null NodeId where it is not."""
        return self._nodes.get(name, ua.NodeId())

    async def show(self, programs: Mapping[str, Program]) -> None:
        """Make the nodes say what there is."""
        for name in [name for name in self._nodes if name not in programs]:
            self._remove(name)
        made = 0
        for name, program in programs.items():
            if name not in self._nodes:
                if made == AT_ONCE:
                    continue
                made += 1
                self._add(name)
            if self._shown.get(name) != program:
                self._shown[name] = program
                self._say(name, program)
        await self._changes.tell()

    def opened(self, name: str, count: int) -> None:
        if name in self._held:
            now = datetime.now(UTC)
            put(self._held[name]["OpenCount"], shown(count, _V.UInt16, 0, now, now))

    def _add(self, name: str) -> None:
        optional = wanted(("0:MimeType", "0:MaxByteStringLength", "0:LastModifiedTime"))
        qualified = ua.QualifiedName(name, self._namespace)
        builder, node_id = self._changes.add_alike(self.directory, ORGANIZES, qualified, self._file_type, optional)
        builder.describe(node_id, "An NC program")
        self._nodes[name] = node_id
        at = {
            part: builder.at(node_id, f"0:{part}") for part in ("Size", "Writable", "UserWritable", "OpenCount", "LastModifiedTime")
        }
        self._held[name] = {part: builder.value(place) for part, place in at.items()}
        builder.set(builder.at(node_id, "0:MimeType"), MIME)
        builder.set(builder.at(node_id, "0:MaxByteStringLength"), MAX_BYTES)
        self.programs[node_id] = (self._machine_id, name)
        self.user_writable.add(at["UserWritable"])

    def _remove(self, name: str) -> None:
        node_id = self._nodes.pop(name)
        del self._held[name], self.programs[node_id]
        self._shown.pop(name, None)
        self.user_writable.discard(ua.NodeId(f"{node_id.Identifier}.UserWritable", node_id.NamespaceIndex))
        self._changes.remove(node_id)

    def _say(self, name: str, program: Program) -> None:
        now = datetime.now(UTC)
        changed = utc(program.changed_ns) if program.is_writable else now
        held = self._held[name]
        for part, value, kind in (
            ("Size", program.size, _V.UInt64),
            ("Writable", program.is_writable, _V.Boolean),
            ("UserWritable", program.is_writable, _V.Boolean),
            ("LastModifiedTime", changed, _V.DateTime),
        ):
            put(held[part], shown(value, kind, 0, changed, now))
