"""Cores that do not fall asleep: a process on each that works whenever nobody else does.

A server that waits 100 ms for its next tick, or a few microseconds for its only client, is otherwise measured with what its core
needs to wake up, which differs from computer to computer and from hour to hour. Machines without such sleep, or with other work,
are like this.
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
