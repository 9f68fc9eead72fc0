"""Which node is which program of which machine, and what is open: what the methods need, for all machines of a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from opcua_server.files.handles import Handles
from opcua_server.files.transfer import Transfers
from opcua_server.run.programs import ProgramFolder


@dataclass(slots=True)
class MachineFiles:
    """What a machine shows. ``own``: text of a program that comes with it; KeyError where there is none. ``refresh``: shows what
    the folder has now; ``node_of``: where a program is shown."""

    directory: Any
    own: Callable[[str], str]
    refresh: Callable[[], Awaitable[Any]]
    node_of: Callable[[str], Any]
    opened: Callable[[str, int], None]


@dataclass(slots=True)
class Files:
    """Files of one server. ``programs``: node of a file -> (machine id, name)."""

    folder: ProgramFolder | None = None
    handles: Handles = field(default_factory=Handles)
    programs: dict[Any, tuple[str, str]] = field(default_factory=dict)
    machines: dict[str, MachineFiles] = field(default_factory=dict)
    transfers: Transfers = field(default_factory=Transfers)
