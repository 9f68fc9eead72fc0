"""What waking up costs, left out: cores that do not fall asleep, or one core for all.

A server that waits 100 ms for its next tick, or a few microseconds for its only client, is otherwise measured with what its core
needs to wake up, and with what it takes to wake the client's, which differs from computer to computer and from hour to hour.
``awake``: a process on each core works whenever nobody else does, as on machines without such sleep or with other work.
``one_core``: server and client take turns on the same core, as the system places them on a busy computer.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from benchmarks.opcua.servers import Failed

_SPIN: Final = """
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
print(flush=True)
while os.getppid() == {}:
    pass
"""


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Keep all cores awake and take time from nobody, by processes of Linux's idle class. Raises Failed where there is none."""
    if not hasattr(os, "SCHED_IDLE"):
        raise Failed("--awake needs Linux")
    command = [sys.executable, "-S", "-c", _SPIN.format(os.getpid())]
    spinning: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(len(os.sched_getaffinity(0))):
            spinning.append(subprocess.Popen(command, stdout=subprocess.PIPE))
            output = spinning[-1].stdout
            if output is None or not output.readline():
                raise Failed("a process cannot have the idle class here")
        yield
    finally:
        for process in spinning:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """All programs that are started meanwhile run on one core. Raises Failed where that cannot be said."""
    if not hasattr(os, "sched_setaffinity"):
        raise Failed("--one-core needs Linux")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
