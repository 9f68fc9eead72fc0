"""How one of the programs runs: settings in, one task group, one way to end, and a word to its supervisor.

A program is a coroutine ``serve(settings, status)`` that runs until it is cancelled. It tells what it does through ``Status``:

    starting --ready()--> ready --degraded(why)--> degraded --ready()--> ready

When a supervisor started it (CNCTWIN_STATUS_FD is set), every change goes up that pipe as one JSON line, and the end of standard
input means that the supervisor is gone: the program ends itself, so that no orphan keeps a port.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib.metadata
import itertools
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from certs.words import shown
from cnctwin import preflight
from cnctwin.errors import CnctwinError, ConfigurationError, StartError
from cnctwin.settings import Settings

State = Literal["starting", "ready", "degraded"]
STATUS_FD = "CNCTWIN_STATUS_FD"
GROUP = "cnctwin.programs"
BEAT_S = 2.0
"""Time between two signs of life to the supervisor."""
SHOWN = ("url", "http", "machines")
"""Facts that a program says of itself when it is ready and has no supervisor to tell."""


@dataclass(slots=True)
class Status:
    """What a program says of itself. ``facts`` are for people and health checks: counters, addresses, peers."""

    program: str
    state: State = "starting"
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    _fd: int | None = None

    def ready(self, reason: str = "", **facts: Any) -> None:
        """``reason``: what the operator should know all the same, one line."""
        self._tell("ready", reason, facts)

    def degraded(self, reason: str, **facts: Any) -> None:
        """Still serving, but not all of it: a peer is away. ``reason`` is one line for the operator."""
        self._tell("degraded", reason, facts)

    def failed(self, error: CnctwinError) -> None:
        """The last word: why the program cannot run, and whether a restart could help."""
        self._send(
            {
                "state": "failed",
                "reason": str(error),
                "exit_code": error.exit_code,
                "retry": error.exit_code not in (2, 3),
            }
        )

    def beat(self) -> None:
        """Tell the supervisor that the event loop turns, and how many tasks it has."""
        self._send({"tasks": len(asyncio.all_tasks())})

    def _tell(self, state: State, reason: str, facts: dict[str, Any]) -> None:
        self.facts.update(facts)
        if self._fd is None and (state, reason) != (self.state, self.reason):  # nobody but the log hears of it
            shown = [f"{name} {value}" for name, value in facts.items() if name in SHOWN] if state == "ready" else []
            where = ", ".join([*shown, reason] if reason else shown)
            logging.getLogger(f"cnctwin.{self.program}").info("%s%s", state, f": {where}" if where else "")
        if (state, reason) != (self.state, self.reason) or facts:
            self.state, self.reason = state, reason
            self._send({"state": state, "reason": reason, "facts": self.facts})

    def _send(self, message: dict[str, Any]) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.write(self._fd, json.dumps({"program": self.program, **message}, default=str).encode() + b"\n")


Serve = Callable[[Settings, Status], Awaitable[None]]


def names() -> tuple[str, ...]:
    """The installed programs, in the order they are started."""
    order = ("server", "analytics", "gateway")
    found = {entry.name for entry in importlib.metadata.entry_points(group=GROUP)}
    return tuple(name for name in order if name in found) + tuple(sorted(found.difference(order)))


class OneLine(logging.Formatter):
    """One line for each record, with its moment in UTC as every other time here, whatever a stranger's names have in it: what does
    not print is written as an escape. The trace of a bug, which is ours, follows as it is."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(super().formatMessage(record))


def run(name: str, settings: Settings) -> int:
    """Run a program in this process until SIGTERM, SIGINT, or the end of its supervisor. Returns the exit code."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    for chatty in ("asyncua", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("asyncua.client").setLevel(logging.CRITICAL)  # each refusal of a server; the link says once what it means
    fd = os.environ.pop(STATUS_FD, None)
    status = Status(name, _fd=int(fd) if fd else None)
    _open_files()
    preflight.keep_others_out()
    try:
        preflight.folder(settings.data)
        return _loop(_loaded(name), settings, status, supervised=fd is not None)
    except CnctwinError as error:
        status.failed(error)
        if fd is None:
            raise
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code


OPEN_FILES: Final = 65_536
"""Files and sockets a program may have open, where the system lets it: a shell's usual 1,024 are fewer connections than the gateway
takes, and whoever opened them all would keep its stores from their files too."""


def _open_files() -> None:
    try:
        import resource
    except ImportError:
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _loaded(name: str) -> Serve:
    """A program's ``serve``. Modules live as long as the process: the collector need not walk them, now or later."""
    (entry,) = importlib.metadata.entry_points(group=GROUP, name=name)
    gc.disable()
    try:
        serve: Serve = entry.load()
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(*COLLECTOR)
    return serve


COLLECTOR: Final = (5_000, 10, 200)
"""Objects more than before at which the collector looks at the young, how often at those that stayed, and how often then at all
that lives. With Python's own 700, 10, 10 a client that makes thousands of items has all that lives looked at several times a
second, tens of milliseconds each."""
TIDY_S: Final = 10.0
"""How often the young are looked at whatever their number, and free memory is handed back: a program that makes few objects would
keep what its failed requests held, some kilobytes each, for hours; and what one client has left free would count beside what the
next one takes."""
TIDY_ALL: Final = 60
"""Of those times, each that is a multiple of this is for all that lives."""
SWITCH_S: Final = 0.0005
"""How long a thread may keep the interpreter while the loop wants it. Python's own 5 ms, several times a request, is what clients
notice while something long is decoded, hashed or fitted in a thread."""


def _loop(serve: Serve, settings: Settings, status: Status, *, supervised: bool) -> int:
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_until_told(serve, settings, status, supervised=supervised))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _until_told(serve: Serve, settings: Settings, status: Status, *, supervised: bool) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(serve(settings, status))
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, task.cancel)
    beats = asyncio.create_task(_beat(status), name="heartbeat")
    tidies = asyncio.create_task(_tidy(), name="collector")
    if supervised:
        threading.Thread(target=_watch_supervisor, args=(loop, task), daemon=True, name="supervisor-watch").start()
    try:
        await task
    except asyncio.CancelledError:
        return 0
    except BaseExceptionGroup as group:
        ours, rest = group.split(CnctwinError)
        if rest is not None or ours is None:
            raise
        raise _first(ours) from None
    except OSError as error:
        raise StartError(str(error)) from error
    finally:
        beats.cancel()
        tidies.cancel()
    return 0


def _trimmer() -> Callable[[int], int] | None:
    """malloc_trim of the C library, where it has one (glibc)."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):
        return None
    return cast("Callable[[int], int]", trim)


_TRIM: Final = _trimmer()


def give_back() -> None:
    """Hand back to the system what is free between what is used: 16 MB after a client that made and deleted lists of 10,000 items.
    6 ms where there is much, a quarter of one where there is not."""
    if _TRIM is not None:
        _TRIM(0)


async def _beat(status: Status) -> None:
    while True:
        status.beat()
        await asyncio.sleep(BEAT_S)


async def _tidy() -> None:
    for count in itertools.count(1):
        await asyncio.sleep(TIDY_S)
        gc.collect(1 if count % TIDY_ALL else 2)
        give_back()


def _first(group: BaseExceptionGroup[Any]) -> CnctwinError:
    problems: list[str] = []
    first: CnctwinError | None = None
    for error in group.exceptions:
        leaf = _first(error) if isinstance(error, BaseExceptionGroup) else error
        first = first or leaf
        problems.append(str(leaf))
    if first is None or len(problems) == 1:
        return first or CnctwinError("ended without a reason")
    return ConfigurationError(problems) if isinstance(first, ConfigurationError) else first


def _watch_supervisor(loop: asyncio.AbstractEventLoop, task: asyncio.Future[None]) -> None:
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(task.cancel)
