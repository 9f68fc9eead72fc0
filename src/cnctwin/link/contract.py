"""What users of the link give and get: settings, machines, alarms, and the one error a refused command raises.

MethodFailed      the server refused: status code, symbolic name, its words
ConnectionError   the server is away (Python's own; nothing was carried out, or it is not known whether it was)
KeyError          a machine, method or signal that this server does not have
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cnctwin.reading import Value
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from nodesets.binding import Bound

LinkState = Literal["connecting", "connected", "lost"]


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """``application`` names this client's certificate (<data>/pki/<application>); periods and ages in seconds."""

    url: str
    application: str
    data: Path
    user: str | None = None
    password: str | None = None
    is_own_login: bool = False
    """Whether they are a login at our own server; another one is then asked for its data without them."""
    publishing_interval: float = 0.1
    max_age: float = 3.0
    """Without any notification (keep-alives included) for this long, the data is Uncertain."""
    queue: int = 1000
    """Batches a slow reader may leave waiting; older ones are dropped and counted, and the next batch says so in ``gap``."""
    insecure: bool = False
    signals: frozenset[str] | None = None
    """Subscribe to these only; None: to all. What is not subscribed costs nothing on either side."""

    @classmethod
    def of(cls, settings: Settings, program: str, interval_s: float, signals: frozenset[str] | None = None) -> LinkSettings:
        """Of one of the programs: at the server it watches, with the login that the settings give, else the program's own."""
        user, password, is_own = settings.opcua_user, settings.opcua_password, False
        login = Vault(settings.data).login(program) if user is None else None
        if login is not None:
            user, password, is_own = login.user, login.password, True
        return cls(
            settings.watched_url,
            program,
            settings.data,
            user,
            password,
            is_own_login=is_own,
            publishing_interval=interval_s,
            insecure=settings.insecure,
            signals=signals,
        )


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
class Remark:
    """What is the matter with a server that is there, or with one of its machines; ``machine_id``: empty where with all of it."""

    machine_id: str
    text: str

    def __str__(self) -> str:
        return f"{self.machine_id}: {self.text}" if self.machine_id else self.text


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


@dataclass(frozen=True, slots=True)
class LinkCondition:
    """A condition of a machine that wants somebody, as its server told of it last (OPC 10000-9).

    ``id`` names it, and ``condition_id`` is its NodeId as text, both as long as the session lasts; ``event_id`` is the state that
    was told. ``confirmed``: None where there is nothing to confirm ever. ``put_aside``: shelved or suppressed, and
    ``aside_because``: for what, where the server says so. ``is_earlier``: a state before the present one.
    ``retain``: False when it is over.
    """

    machine_id: str
    id: str
    condition_id: str
    event_id: bytes
    name: str
    code: str
    text: str
    severity: int
    source_time_ns: int
    active: bool
    acknowledged: bool
    confirmed: bool | None
    comment: str = ""
    user: str = ""
    put_aside: bool = False
    aside_because: str = ""
    is_earlier: bool = False
    retain: bool = True


Handling = Literal["Acknowledge", "Confirm", "AddComment"]
"""What is done with a condition, by the names of its methods."""


class MethodFailed(Exception):
    """A command was refused: ``status`` is the OPC UA status code, ``name`` its symbolic name such as BadInvalidState."""

    def __init__(self, status: int, name: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.name = name


Bind = Callable[[Any], Awaitable[Mapping[str, Bound]]]
"""How machines are found in a server's address space; `nodesets.binding.bind` unless a test says otherwise."""
