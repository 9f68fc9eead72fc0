"""``cnctwin bench encryption``: what SignAndEncrypt costs the engine for a message, and how much of it is the crypto library's own.

    link (client) --frame--> | connection of the engine | --frame--> link        one process, no socket: only that is timed

    clear        policy None
    encrypted    Basic256Sha256, SignAndEncrypt
    idle         the same with a crypto library that does nothing: what is less than encrypted is the library's own time, with
                 what it takes to call the one that does nothing

The three take turns, and what is said is the least of the turns: other programs only ever make it longer.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
import timeit
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.opcua.asking import WARM_UP, Asking, Browsing, Calling, Reading, Writing
from benchmarks.opcua.link import Identity, Link
from benchmarks.opcua.listening import Listener, Tally, subscribe
from benchmarks.opcua.ours import Everybody, Source, bench_engine, space
from benchmarks.opcua.space import NAMESPACE
from certs.application import ensure_application
from opcua_server.engine.connection import Connection
from opcua_server.engine.engine import Engine
from opcua_server.engine.policies import BLOCK
from opcua_server.engine.subscriptions.columns import Columns
from opcua_server.run.schedule import Schedule

VARIABLES: Final = 1_000
ROWS: Final[list[tuple[str, type[Asking], int]]] = [
    ("Read 1", Reading, 1), ("Read 60", Reading, 60), ("Read 1,000", Reading, 1_000), ("Browse 1,000", Browsing, 1_000),
    ("Write 60", Writing, 60), ("Call", Calling, 1),
]  # fmt: skip
SESSIONS, ITEMS = 100, 60
TOLD: Final = f"Publish of {ITEMS} values"
KINDS: Final = ("clear", "encrypted", "idle")


class Hand(asyncio.Transport):
    """Hands over at once what is written while a link is opened; then keeps it in ``frames``."""

    def __init__(self) -> None:
        super().__init__()
        self.other: asyncio.Protocol | None = None
        self.frames: list[bytes] = []

    def write(self, data: Any) -> None:
        if self.other is None:
            self.frames.append(bytes(data))
        else:
            asyncio.get_running_loop().call_soon(self.other.data_received, bytes(data))

    def taken(self) -> list[bytes]:
        taken, self.frames = self.frames, []
        return taken

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 0)

    def close(self) -> None:
        """There is nothing to close."""

    abort = pause_reading = resume_reading = close


class IdleLibrary:
    """Stands in for cipher and HMAC of ``Keys``: a message goes out as it is, under a signature that ends as its vector."""

    def __init__(self, iv: bytes, signature: int) -> None:
        self._digest = iv * (signature // BLOCK)

    def copy(self) -> IdleLibrary:
        return self

    def update(self, data: bytes) -> bytes:
        return data

    def finalize(self) -> bytes:
        return self._digest

    def verify(self, signature: bytes) -> None:
        if signature != self._digest:
            raise RuntimeError("another signature")

    def calls_us(self, times: int = 20_000) -> float:
        """What it takes to call it for a request and its answer, in us."""

        def request_and_answer() -> None:
            mac = self.copy()
            mac.update(b"")
            mac.verify(self.update(self._digest))
            mac = self.copy()
            mac.update(b"")
            self.update(mac.finalize())

        def nothing() -> None:
            pass

        least = [min(timeit.repeat(one, number=times, repeat=7)) for one in (request_and_answer, nothing)]
        return (least[0] - least[1]) / times * 1e6


class Pair:
    """A link and the connection of the engine that it talks to."""

    def __init__(self, engine: Engine, identity: Identity | None) -> None:
        self._engine = engine
        self._identity = identity
        self._to_server, self._to_client = Hand(), Hand()

    async def open(self) -> Link:
        self.link, self.connection = Link(self._identity), Connection(self._engine)
        self._to_server.other, self._to_client.other = self.connection, self.link
        self.link.connection_made(self._to_server)
        self.connection.connection_made(self._to_client)
        await self.link.greet(0)
        return await self.link.log_in(0)

    def cut(self, *, idle: bool) -> None:
        """From now on frames go by hand. ``idle``: under keys whose library does nothing."""
        self._to_server.other = self._to_client.other = None
        token: Any = self.connection.channel._sending
        for keys in (self.link._ours, self.link._theirs, token.ours, token.theirs) if idle else ():
            keys._encryptor = keys._decryptor = keys._mac = IdleLibrary(keys._iv, keys.signature)
            keys._shift = 0

    def asked(self) -> list[bytes]:
        """Frames that the client has sent."""
        return self._to_server.taken()

    def answered(self) -> int:
        """Give the client what the server has sent; how many frames."""
        frames = self._to_client.taken()
        for frame in frames:
            self.link.data_received(frame)
        return len(frames)


class Turns:
    """One of KINDS: its requests and its publishing, each measured when it is its turn. Figures in us a message."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder

    async def prepare(self) -> None:
        users, self._columns = Everybody(), Columns()
        users.role = "Engineer"
        server = await space(VARIABLES)
        self._source = Source(server, self._columns, VARIABLES)
        self._engine = bench_engine(server, self._columns, self._folder, 0, users)
        await self._engine.start()
        self._schedule = Schedule.before_publishing(0.1, time.monotonic(), time.time_ns())
        self._identity = None
        if self._kind != "clear":
            keys = self._folder / "pki" / "client"
            ensure_application(keys, "bench client", "urn:bench:client", ["127.0.0.1"])
            self._identity = Identity.of(keys, self._engine.own.certificate)
        self._asking: dict[str, tuple[Pair, bytes]] = {}
        for name, asking, items in ROWS:
            users.role = "Analytics" if asking is Writing else "Engineer"
            pair = Pair(self._engine, self._identity)
            part = asking(0, None, NAMESPACE, items)
            part.link = await pair.open()
            for _ in range(WARM_UP):
                part.check(await part.link.ask(part.request(), part.response))
            self._asking[name] = pair, part.link.built(part.request())
        self._listening = [Pair(self._engine, self._identity) for _ in range(SESSIONS)]
        tally = Tally()
        for pair in self._listening:
            await subscribe(await pair.open(), NAMESPACE, ITEMS)
            Listener(pair.link, ITEMS, tally).begin()
        await asyncio.sleep(0.3)
        for pair in [*self._listening, *(pair for pair, _ in self._asking.values())]:
            pair.cut(idle=self._kind == "idle")

    def ask(self, name: str, times: int) -> float:
        pair, body = self._asking[name]
        pair.link.heard = lambda _message: None
        for _ in range(times):
            pair.link.send(body)
        took = _timed([pair])
        answered = pair.answered()
        if answered != times:
            raise RuntimeError(f"{name}: {answered} of {times} were answered at once")
        return took / times * 1e6

    def publish(self, ticks: int) -> float:
        """Ticks of values for all sessions, and their next Publish requests; a message of one session."""
        took, told = 0.0, 0
        self._schedule.take(time.monotonic(), time.time_ns())  # those that were due while others had their turn
        for _ in range(ticks):
            due_s = time.monotonic() + self._schedule.wait_s(time.monotonic())
            while time.monotonic() < due_s:
                pass
            self._schedule.take(time.monotonic(), time.time_ns())
            before = time.process_time()
            with self._columns.ticks.one():
                self._source.write(ITEMS)
            took += time.process_time() - before
            told += sum(pair.answered() for pair in self._listening)
            took += _timed(self._listening)
        if not told:
            raise RuntimeError("nothing was told")
        return took / told * 1e6

    async def end(self) -> None:
        await self._engine.stop()


def _timed(pairs: list[Pair]) -> float:
    """Seconds of the processor that the engine takes for what clients have sent."""
    work = [(pair.connection.data_received, pair.asked()) for pair in pairs]
    before = time.process_time()
    for received, frames in work:
        for frame in frames:
            received(frame)
    return time.process_time() - before


async def measured(rounds: int, times: int) -> dict[str, dict[str, float]]:
    """us a message, by row and kind."""
    found: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in KINDS} for name in [TOLD, *(row[0] for row in ROWS)]}
    with tempfile.TemporaryDirectory(prefix="cnctwin-bench-") as folder:
        parts = {kind: Turns(kind, Path(folder) / kind) for kind in KINDS}
        for part in parts.values():
            await part.prepare()
        gc.collect()
        gc.freeze()  # what three servers have made is not looked through again and again, as one server's is not
        for number in range(rounds):
            for kind, part in parts.items():
                found[TOLD][kind].append(part.publish(3))
                for name, _, items in ROWS:
                    found[name][kind].append(part.ask(name, max(100, times // items)))
            typer.echo(f"[{number + 1}/{rounds}] {found[TOLD]['encrypted'][-1]:.2f} us for a message of {ITEMS} values", err=True)
        gc.unfreeze()
        for part in parts.values():
            await part.end()
    return {name: {kind: min(values) for kind, values in kinds.items()} for name, kinds in found.items()}


def encryption(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each kind.")] = 10,
    times: Annotated[int, typer.Option(min=20, help="Requests of one value in a turn.")] = 500,
) -> None:
    """What SignAndEncrypt costs a message, and how much of that is the crypto library's own time."""
    calls = IdleLibrary(bytes(BLOCK), 2 * BLOCK).calls_us()
    table = Table(title=f"The engine's own time for a request and its answer, us; load of the machine {os.getloadavg()[0]:.1f}")
    for heading in ("message", "clear", "encrypted", "library", "library / encrypted", "library / what encryption adds"):
        table.add_column(heading, justify="left" if heading == "message" else "right")
    for name, found in asyncio.run(measured(rounds, times)).items():
        library, added = found["encrypted"] - found["idle"] + calls, found["encrypted"] - found["clear"]
        shares = f"{library / found['encrypted']:.0%}", f"{library / added:.0%}"
        table.add_row(name, f"{found['clear']:.2f}", f"{found['encrypted']:.2f}", f"{library:.2f}", *shares)
    Console(width=150).print(table)
