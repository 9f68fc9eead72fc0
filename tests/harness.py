"""What tests of several rooms use: free ports, and waiting for a condition instead of a time."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

CLONE = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Ports on loopback that were free a moment ago, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def port_base(count: int = 3) -> int:
    """The first of ``count`` free consecutive ports, below those that clients are given."""
    for base in range(20000 + os.getpid() % 5000, 32000, count + 1):
        held: list[socket.socket] = []
        try:
            for port in range(base, base + count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return base
        finally:
            for each in held:
                each.close()
    raise RuntimeError("no free ports")


def wait_for(condition: Callable[[], T], what: str, timeout_s: float = 30.0) -> T:
    """The condition's first true value; fails with ``what`` when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"{what}: not within {timeout_s:g} s")
