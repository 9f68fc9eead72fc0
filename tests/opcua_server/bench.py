"""A whole server on a free port, in a thread of its own, over scripted machines; and clients for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncua import Client, Node, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from certs.pki import ensure_application
from cnctwin.program import Status
from cnctwin.reading import Columns, Value
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from nodesets.catalogue import NUMERIC
from nodesets.methods import BY_NAME
from nodesets.namespaces import URI, instance_uri
from opcua_server.program import serve
from opcua_server.sources.source import CommandRefused, Identity, SourceEvent, ToolState
from opcua_server.space import blank_columns
from tests.harness import free_ports, wait_for

POSITION = [signal.name for signal in NUMERIC].index("Axes/X/ActPos")
LEVEL = [signal.name for signal in NUMERIC].index("Coolant/Level")


class ScriptedSource:
    """A machine whose X axis stands at its number of steps, and that fails when it is told to."""

    def __init__(self, machine_id: str, state: Mapping[str, object] | None = None) -> None:
        self.machine_id = machine_id
        self.steps = int(str(state["steps"])) if state else 0
        self.dt_s: list[float] = []
        self.calls: list[tuple[str, list[Value]]] = []
        self.refuse: CommandRefused | None = None
        self.failure: Exception | None = None
        self.events: list[SourceEvent] = []
        self.repeat = True
        self._now_ns = 0

    @property
    def identity(self) -> Identity:
        uri = f"urn:test:{self.machine_id}"
        return Identity(self.machine_id, "test", "scripted", self.machine_id, uri, 2026, "N 51.257315 E 6.740885", "1")

    def advance(self, dt_s: float, now_ns: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.steps += 1
        self.dt_s.append(dt_s)
        self._now_ns = now_ns

    def columns(self) -> Columns:
        columns = blank_columns(self._now_ns)
        columns.numbers[POSITION] = self.steps % 700
        columns.numbers[LEVEL] = 80.0  # an empty tank is an alarm
        return columns

    def tools(self) -> Sequence[ToolState]:
        return [ToolState(1, "End mill", "end_mill", 10.0, 4, 100.0, 0.0, 0.0, 60.0, True, False)]

    def take_events(self) -> list[SourceEvent]:
        taken, self.events = self.events, []
        return taken

    def call(self, method: str, arguments: Sequence[Value]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.calls.append((method, list(arguments)))

    def program(self, name: str) -> str:
        raise KeyError(name)

    def flaw(self, name: str, text: str | None = None) -> str:
        return ""

    def set_repeat(self, on: bool) -> None:
        self.repeat = on

    def checkpoint(self) -> dict[str, object]:
        return {"steps": self.steps}


@dataclass
class Bench:
    """A running server: its settings, what it says of itself, its machines and its passwords."""

    settings: Settings
    status: Status
    folder: Path
    passwords: dict[str, str]
    sources: dict[str, ScriptedSource] = field(default_factory=dict)

    def password(self, user: str) -> str:
        return self.passwords[user]

    def client(
        self,
        user: str | None = None,
        password: str | None = None,
        *,
        name: str = "client",
        policy: Any = SecurityPolicyBasic256Sha256,
        mode: Any = ua.MessageSecurityMode.SignAndEncrypt,
    ) -> contextlib.AbstractAsyncContextManager[Client]:
        return connected(self, user, password, name, policy, mode)

    def channel(self, name: str = "client", *, secure: bool = True) -> contextlib.AbstractAsyncContextManager[Client]:
        """A client with a secure channel and no session."""
        return opened(self, name, SecurityPolicyBasic256Sha256 if secure else None)


def run(coroutine: Callable[[], Awaitable[Any]]) -> Any:
    """In a loop of its own, for no longer than 90 s."""
    return asyncio.run(asyncio.wait_for(coroutine(), 90))  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def connected(
    bench: Bench, user: str | None, password: str | None, name: str, policy: Any, mode: Any
) -> AsyncIterator[Client]:
    client = await _named(bench, name, policy, mode)
    if user is not None:
        client.set_user(user)
        client.set_password(password if password is not None else bench.password(user))
    with closed_sockets(client):
        await client.connect()
        try:
            yield client
        finally:
            await client.disconnect()


@contextlib.asynccontextmanager
async def opened(bench: Bench, name: str, policy: Any) -> AsyncIterator[Client]:
    client = await _named(bench, name, policy, ua.MessageSecurityMode.SignAndEncrypt)
    with closed_sockets(client):
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            yield client
            await client.close_secure_channel()
        finally:
            client.disconnect_socket()


async def _named(bench: Bench, name: str, policy: Any, mode: Any) -> Client:
    # It does not look each second whether its session lives: tests make sessions that are not activated, and that would end it.
    client = Client(bench.settings.endpoint, timeout=20, watchdog_intervall=3_600.0)
    client.application_uri = f"urn:test:{name}"
    if policy is not None:
        certificate, key = ensure_application(bench.folder / name, name, client.application_uri, ["127.0.0.1"])
        await client.set_security(policy, str(certificate), str(key), mode=mode)
    return client


@contextlib.contextmanager
def closed_sockets(client: Client) -> Iterator[None]:
    """Close the sockets that asyncua leaves to the server once that has said why it closes: a loop that ends before it does would
    leave them open."""
    transports: list[Any] = []
    disconnect = client.uaclient.disconnect_socket

    def disconnect_socket() -> None:
        if client.uaclient.protocol is not None:
            transports.append(client.uaclient.protocol.transport)
        disconnect()

    client.uaclient.disconnect_socket = disconnect_socket  # type: ignore[method-assign]
    try:
        yield
    finally:
        for transport in transports:
            if transport is not None:
                transport.close()


@contextlib.contextmanager
def running(folder: Path, make_source: Callable[..., Any] | None = None, **options: Any) -> Iterator[Bench]:
    """A server in a thread; ends it as SIGTERM would."""
    settings = Settings(data=folder / "data", opcua_port=free_ports(1)[0], **options)
    vault = Vault(settings.data)
    first = vault.ensure()
    passwords = {login.user: login.password for login in first.logins} if first else {}
    for program in ("analytics", "gateway"):
        login = vault.login(program)
        assert login is not None
        passwords[program] = login.password
    bench = Bench(settings, Status("server"), folder, passwords)

    def scripted(machine_id: str, state: Mapping[str, object] | None) -> ScriptedSource:
        return bench.sources.setdefault(machine_id, ScriptedSource(machine_id, state))

    ended: list[BaseException] = []
    task: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def main() -> None:
        task.append(
            (asyncio.get_running_loop(), asyncio.create_task(serve(settings, bench.status, make_source=make_source or scripted)))
        )
        with contextlib.suppress(asyncio.CancelledError):
            await task[0][1]

    def thread() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            ended.append(error)

    worker = threading.Thread(target=thread)
    worker.start()
    try:
        wait_for(lambda: bench.status.state != "starting" or bool(ended), "the server is ready", 90)
        if ended:
            raise ended[0]
        yield bench
    finally:
        if not ended and task:
            loop, served = task[0]
            loop.call_soon_threadsafe(served.cancel)
        worker.join(60)
        assert not worker.is_alive(), "the server did not end"


class Machine:
    """A machine as a client finds it, by browse path."""

    def __init__(self, client: Client, namespaces: Sequence[str], machine_id: str = "CNC-001") -> None:
        self.client = client
        self._index = {prefix: namespaces.index(uri) for prefix, uri in URI.items()}
        self._path = ["0:Objects", f"{self._index['MA']}:Machines", f"{namespaces.index(instance_uri(machine_id))}:{machine_id}"]

    async def _at(self, *steps: str) -> Node:
        return await self.client.nodes.root.get_child([*self._path, *(f"{self._index['X']}:{step}" for step in steps)])

    async def own(self, name: str) -> Node:
        """A signal that lives in our own namespace only, such as a result of the analytics."""
        return await self._at("Signals", *name.split("/"))

    async def signal(self, name: str) -> Node:
        """Any signal, by its place below Signals; an official node is found under its own name there."""
        *group, tag = name.split("/")
        folder = await self._at("Signals", *group)
        for node in await folder.get_children():
            if (await node.read_browse_name()).Name == tag:
                return node
        raise KeyError(name)

    async def call(self, method: str, *arguments: Any) -> None:
        commands = await self._at("Commands")
        kinds = [ua.VariantType[argument.type] for argument in BY_NAME[method].inputs]
        given = [ua.Variant(value, kind) for value, kind in zip(arguments, kinds, strict=True)]
        await commands.call_method(f"{self._index['X']}:{method}", *given)


async def machine(client: Client, machine_id: str = "CNC-001") -> Machine:
    return Machine(client, await client.get_namespace_array(), machine_id)
