"""Keeps the programs of one installation running, each in a process of its own.

    starting --ready--> up --exit--> waiting --backoff over--> starting ...
        |                                 ^
        '--exit code 2 or 3 before the first ready: the cause is on this machine, a restart cannot help: everything ends

A child tells its state through a pipe (``cnctwin.program.Status``), with a beat every two seconds; one that is silent for
``SILENCE_S`` hangs and is killed and restarted. The pipe at its standard input closes when this process is gone, so a supervisor
killed with -9 leaves no orphans; for a child that does not read it a shell beside it does. What children write to standard error
goes to rotating files in the data folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import logging.handlers
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from certs.words import shown
from cnctwin.errors import CnctwinError, ConfigurationError, ProgramError, StartError
from cnctwin.program import STATUS_FD

BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STABLE_S: Final = 30.0
"""A child that stayed up this long starts its next backoff from the beginning."""
SILENCE_S: Final = 30.0
GRACE_S: Final = 1.4
"""From SIGTERM to SIGKILL: everything has to be gone two seconds after the user said stop."""


BESIDE: Final = 'exec 9<&0; { cat <&9; kill $$; } >/dev/null 2>&1 & exec "$0" "$@" 9<&- </dev/null'
"""For /bin/sh: becomes the program, and leaves a reader of standard input behind that ends it. A job in the background has no
standard input of its own, hence the 9."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to start one child. ``ready`` tells when a child that speaks no status protocol is up; it is polled. ``mend`` is told the
    last words of one that ended before it was up, and says what it has done about them, or nothing. ``is_deaf``: it does not read
    its standard input. ``kept_back``: variables of our environment that it does not get."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    mend: Callable[[str], str] | None = None
    is_deaf: bool = False
    kept_back: frozenset[str] = frozenset()


@dataclass(slots=True)
class Child:
    """A child as it is now; ``facts`` are its own words, ``tasks`` the number of tasks in its event loop."""

    command: Command
    state: str = "starting"
    reason: str = ""
    pid: int | None = None
    restarts: int = 0
    was_ready: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    tasks: int | None = None
    heard: float = 0.0
    failure: CnctwinError | None = None
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=12))

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def is_up(self) -> bool:
        return self.state in ("ready", "degraded")


class Supervisor:
    """Starts the children together and keeps them running until it is cancelled. ``changed`` is told of every new state."""

    def __init__(self, commands: Sequence[Command], logs: Path, changed: Callable[[Child], None]) -> None:
        self.children = [Child(command) for command in commands]
        self._logs = logs
        self._changed = changed

    async def run(self) -> None:
        """Raises the first CnctwinError that no restart can mend."""
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            async with asyncio.TaskGroup() as group:
                for child in self.children:
                    group.create_task(self._keep(child), name=f"keep {child.name}")
        except BaseExceptionGroup as errors:
            ours, rest = errors.split(CnctwinError)
            if ours is None or rest is not None:
                raise
            raise next(error for error in _leaves(ours) if isinstance(error, CnctwinError)) from None

    def report(self) -> list[dict[str, Any]]:
        return [
            {
                "name": c.name,
                "state": c.state,
                "reason": c.reason,
                "pid": c.pid,
                "restarts": c.restarts,
                "tasks": c.tasks,
                "facts": c.facts,
            }
            for c in self.children
        ]

    async def _keep(self, child: Child) -> None:
        log = _rotating(self._logs / f"{child.name}.log")
        failures = 0
        try:
            while True:
                began = time.monotonic()
                code = await self._live(child, log)
                if child.failure is not None and not child.was_ready:
                    raise child.failure
                if not child.was_ready and failures >= len(BACKOFF_S):
                    words = " | ".join(list(child.last_words)[-2:])
                    raise ProgramError(f"{child.name} ended {failures + 1} times before it was ready (code {code}): {words}")
                failures = 0 if time.monotonic() - began > STABLE_S else failures + 1
                pause = BACKOFF_S[min(failures, len(BACKOFF_S)) - 1] if failures else BACKOFF_S[0]
                child.restarts += 1
                mended = child.command.mend(" ".join(child.last_words)) if child.command.mend and not child.was_ready else ""
                self._tell(child, "restarting", mended or f"{_how(code)}, starts again in {pause:g} s")
                if mended:
                    log.warning(mended)
                await asyncio.sleep(pause)
        finally:
            for handler in log.handlers[:]:
                handler.close()
                log.removeHandler(handler)

    async def _live(self, child: Child, log: logging.Logger) -> int:
        """One life of a child, from start to exit. Ends it when cancelled."""
        status_read, status_write = os.pipe()
        ours = {name: value for name, value in os.environ.items() if name not in child.command.kept_back}
        environment = {**ours, **child.command.environment, STATUS_FD: str(status_write)}
        child.facts, child.tasks, child.failure = {}, None, None
        self._tell(child, "starting", "")
        try:
            process = await asyncio.create_subprocess_exec(
                *(("/bin/sh", "-c", BESIDE) if child.command.is_deaf else ()),
                *child.command.arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=(status_write,),
                start_new_session=True,  # a Ctrl-C in the terminal reaches the supervisor alone, which then ends the children
            )
        except OSError as error:
            os.close(status_read)
            raise StartError(f"{child.name}: cannot be started: {error}") from error
        finally:
            os.close(status_write)
        child.pid, child.heard = process.pid, time.monotonic()
        watchers = [
            asyncio.create_task(self._listen(child, status_read)),
            asyncio.create_task(_copy(process, log, child.last_words)),
            asyncio.create_task(self._watch(child, process)),
        ]
        try:
            code = await process.wait()
            await asyncio.wait(watchers[:2], timeout=0.5)  # let the last words arrive
            return code
        finally:
            for watcher in watchers:
                watcher.cancel()
            await _end(process)
            await asyncio.gather(*watchers, return_exceptions=True)
            child.pid = None

    async def _listen(self, child: Child, fd: int) -> None:
        reader = asyncio.StreamReader(limit=1 << 20)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
        )
        try:
            while line := await reader.readline():
                child.heard = time.monotonic()
                with contextlib.suppress(ValueError, KeyError, TypeError):  # a child out of its mind is not obeyed
                    message = json.loads(line)
                    if isinstance(message, dict):
                        self._hear(child, message)
        finally:
            transport.close()

    def _hear(self, child: Child, message: dict[str, Any]) -> None:
        if "tasks" in message:
            child.tasks = int(message["tasks"])
        if "facts" in message:
            child.facts = message["facts"]
        if message.get("state") == "failed":
            kind = {2: ConfigurationError, 3: StartError}.get(int(message["exit_code"]))
            if kind is not None:
                reason = shown(str(message["reason"]))
                child.failure = ConfigurationError([reason]) if kind is ConfigurationError else StartError(reason)
        elif "state" in message:
            self._tell(child, str(message["state"]), shown(str(message.get("reason", ""))))

    async def _watch(self, child: Child, process: asyncio.subprocess.Process) -> None:
        """Ready by polling where the child does not speak; killed when it hangs."""
        if child.command.ready is not None:
            while not child.is_up:
                if await asyncio.to_thread(child.command.ready):
                    self._tell(child, "ready", "")
                else:
                    await asyncio.sleep(0.05)
            return
        while True:
            await asyncio.sleep(1.0)
            if time.monotonic() - child.heard > SILENCE_S:
                self._tell(child, "hanging", f"silent for {SILENCE_S:g} s, is ended and started again")
                process.kill()
                return

    def _tell(self, child: Child, state: str, reason: str) -> None:
        if (state, reason) == (child.state, child.reason) and state != "starting":
            return
        child.state, child.reason = state, reason
        child.was_ready = child.was_ready or child.is_up
        self._changed(child)


async def _copy(process: asyncio.subprocess.Process, log: logging.Logger, last_words: deque[str]) -> None:
    if process.stdout is None:
        return
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:  # a line longer than the reader's limit: the reader has dropped it
            continue
        if not line:
            return
        text = shown(line.decode("utf-8", "replace").rstrip().expandtabs())  # a broker writes names of its clients as they are
        log.info(text)
        if text.strip():
            last_words.append(text.strip())


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, then SIGKILL to the child's whole process group: nothing it started stays behind."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


class _LogFile(logging.handlers.RotatingFileHandler):
    """What a disk refuses, full or gone, is left out: the programs say so themselves, and the terminal is for states."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def _rotating(path: Path) -> logging.Logger:
    logger = logging.Logger(f"child.{path.stem}")
    handler = _LogFile(path, maxBytes=5_000_000, backupCount=2, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    return logger


def _how(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [leaf for error in group.exceptions for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])]
