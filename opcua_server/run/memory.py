"""What the start needed and the server does not: the code that asyncua builds namespace 0 with, what XML and parsing freed, and
what hashed a password."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_BUILDERS: Final = "asyncua.server.standard_address_space"
"""9 MB of generated source that runs once; another server of this process imports it again."""


_MMAP_THRESHOLD: Final = -3
"""mallopt's M_MMAP_THRESHOLD."""
_HUGE: Final = 16 << 20


def keep_huge_apart() -> None:
    """Let what is huge go back to the system when it is freed. What a password's hash needs for a moment, 19 MB, glibc otherwise
    keeps for each thread that has hashed one."""
    adjust = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if adjust is not None:  # glibc's
        adjust(_MMAP_THRESHOLD, _HUGE)


def give_back() -> None:
    """Let go of it, and hand free memory back to the system where the C library can: 30 MB in all."""
    for name in [name for name in sys.modules if name == _BUILDERS or name.startswith(_BUILDERS + ".")]:
        del sys.modules[name]
    package = sys.modules.get("asyncua.server")
    if package is not None:
        vars(package).pop("standard_address_space", None)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # glibc's; others have their own ways
        trim(0)
