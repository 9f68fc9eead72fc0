"""The state of each machine on disk: ``<data>/server/<machine>.json``, written whole or not at all. Its alarms are kept in the
same way, in ``<data>/alarms``.

    {"version": 1, "machine": "CNC-001", "saved_at": "2026-11-24T07:00:00Z", "sha256": "...", "state": {...}}

A file that cannot be used is set aside as ``<machine>.unreadable-N.json`` with one warning, and the machine starts fresh.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cnctwin.files import write_atomically

VERSION: Final = 1
_logger = logging.getLogger(__name__)


class Checkpoints:
    """The state files of one data folder, in the folder of their ``kind``. Raises OSError from ``write`` when the disk does not
    take them."""

    def __init__(self, data: Path, kind: str = "server") -> None:
        self.folder = data / kind
        self.folder.mkdir(parents=True, exist_ok=True)

    def read(self, machine_id: str) -> dict[str, Any] | None:
        """The last state of a machine; None when there is none that can be used."""
        path = self._path(machine_id)
        try:
            content = json.loads(path.read_text("utf-8"))
            state = content["state"]
            if content["version"] != VERSION or content["sha256"] != _digest(state) or not isinstance(state, dict):
                raise ValueError("its content is damaged or of another version")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self.set_aside(machine_id, f"{type(error).__name__}: {error}")
            return None
        return state

    def set_aside(self, machine_id: str, why: str) -> None:
        """Keep a file that cannot be used under another name; the machine starts fresh."""
        path = self._path(machine_id)
        number = 1
        while (kept := path.with_name(f"{path.stem}.unreadable-{number}.json")).exists():
            number += 1
        with contextlib.suppress(OSError):
            os.replace(path, kept)
        _logger.warning("%s: state cannot be used (%s); kept as %s, %s starts fresh", path, why, kept.name, machine_id)

    def write(self, machine_id: str, state: Mapping[str, object], *, durable: bool = True) -> None:
        """Replace the last state. ``durable``: wait until the disk has it, so that it also survives a loss of power."""
        path = self._path(machine_id)
        content = {
            "version": VERSION,
            "machine": machine_id,
            "saved_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sha256": _digest(state),
            "state": state,
        }
        write_atomically(path, json.dumps(content).encode(), durable=durable)

    def _path(self, machine_id: str) -> Path:
        return self.folder / f"{machine_id}.json"


def _digest(state: object) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode("utf-8")).hexdigest()
