"""Files of the programs: written whole, and kept under another name when they cannot be used."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from certs.files import write_atomically


def set_database_aside(path: Path) -> Path:
    """Keep a damaged SQLite file, with its log, as ``name-20260131T120000-damaged.sqlite``; where it is now. Raises OSError."""
    aside = path.with_name(f"{path.stem}-{time.strftime('%Y%m%dT%H%M%S')}-damaged{path.suffix}")
    for end in ("", "-wal", "-shm"):
        old = path.with_name(path.name + end)
        if old.exists():
            old.rename(aside.with_name(aside.name + end))
    return aside


TAKEN_AWAY: Final = "its file was taken away, or another put in its place"


def identity(path: Path) -> tuple[int, int] | None:
    """Which file lies there, by device and inode; None where there is none. Who has it open would go on writing to one that was
    deleted, and nobody would ever read that."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


__all__ = ["TAKEN_AWAY", "identity", "set_database_aside", "write_atomically"]
