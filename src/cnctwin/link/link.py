"""The link's public face. (Contract first; filled in by its room.)"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cnctwin.reading import Batch, Reading, Value

LinkState = Literal["connecting", "connected", "lost"]


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """``application`` names this client's certificate (<data>/pki/<application>); periods and ages in seconds."""

    url: str
    application: str
    data: Path
    user: str | None = None
    password: str | None = None
    publishing_interval: float = 0.1
    max_age: float = 3.0
    """Without any notification (keep-alives included) for this long, the data is Uncertain."""
    queue: int = 1000
    """Batches a slow reader may leave waiting; older ones are dropped and counted, and the next batch says so in ``gap``."""
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of the server, as bound: which catalogue signals and methods it has."""

    machine_id: str
    manufacturer: str
    model: str
    serial_number: str
    location: str
    signals: frozenset[str]
    methods: frozenset[str]


@dataclass(frozen=True, slots=True)
class LinkAlarm:
    """An event of a machine: an alarm (severity above 333), its end, or a message."""

    machine_id: str
    source_time_ns: int
    severity: int
    code: str
    text: str
    active: bool
    details: dict[str, Value] = field(default_factory=dict)


class MethodFailed(Exception):
    """A command was refused: ``status`` is the OPC UA status code, ``name`` its symbolic name such as BadInvalidState."""

    def __init__(self, status: int, name: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.name = name


class Link:
    """See the package's docstring. One instance a program; ``run`` is its only task."""

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.state: LinkState = "connecting"
        self.machines: dict[str, Machine] = {}
        self.dropped = 0
        """Batches dropped because a reader was slow."""

    async def run(self) -> None:
        """Keep the link alive until cancelled; a configuration error (certificate refused for good, wrong password) raises."""
        raise NotImplementedError

    def batches(self, machine_id: str | None = None, signals: Iterable[str] | None = None) -> AsyncIterator[Batch]:
        """A new reader of the data of one or all machines; the first batch of each machine holds all its signals."""
        raise NotImplementedError

    def alarms(self) -> AsyncIterator[LinkAlarm]:
        raise NotImplementedError

    async def call(self, machine_id: str, method: str, arguments: Sequence[Value] = ()) -> None:
        """Carry out a command; raises MethodFailed, ConnectionError when the server is away, KeyError for an unknown name."""
        raise NotImplementedError

    async def write(self, machine_id: str, readings: Sequence[Reading]) -> None:
        """Write result signals with status and source time; raises MethodFailed with the first refusal, ConnectionError."""
        raise NotImplementedError

    def latest(self, machine_id: str) -> dict[str, Reading]:
        """The last reading of every signal of a machine."""
        raise NotImplementedError
