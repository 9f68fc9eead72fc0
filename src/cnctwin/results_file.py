"""Results of the analytics where the server has no place for them, or lets us write none: a small file for each machine.

<data>/results/<machine>.json

Our own server has a node for every result, and there analytics and gateway meet. A server of another maker has none: the analytics
leave them here, whole and once a second, and the gateway takes them up as readings like all others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from cnctwin.files import write_atomically
from cnctwin.reading import UNCERTAIN_LAST_USABLE, Reading, Value
from nodesets.catalogue import BY_NAME

STALE_S: Final = 10.0
"""What nobody has written for so long is Uncertain, as at our own server."""


class ResultsFile:
    """The results of one machine."""

    def __init__(self, data: Path, machine_id: str) -> None:
        self.path = data / "results" / f"{quote(machine_id, safe='')[:200]}.json"
        self._seen: tuple[int, bool] | None = None

    def write(self, readings: Iterable[Reading]) -> None:
        """Raises OSError."""
        rows = [[r.signal, r.value, r.status, r.source_time_ns, r.server_time_ns] for r in readings]
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self.path, orjson.dumps(rows), durable=False)

    def remove(self) -> None:
        """All of them are at the server. Raises OSError."""
        self.path.unlink(missing_ok=True)

    def news(self) -> tuple[Reading, ...]:
        """What is new since the last call; all of it once more, Uncertain, when it has become old. Empty where there is no file, or
        none of ours."""
        try:
            written_ns = self.path.stat().st_mtime_ns
            # What was written in the future was before the clock was set back: how old it is nobody knows.
            is_old = abs(time.time_ns() - written_ns) > STALE_S * 1e9
            if (written_ns, is_old) == self._seen:
                return ()
            rows = orjson.loads(self.path.read_bytes())
            found = tuple(Reading(signal, _value(signal, value), *map(int, rest)) for signal, value, *rest in rows)
        except (OSError, ValueError, TypeError, KeyError):
            return ()
        self._seen = written_ns, is_old
        return tuple(reading.degraded(UNCERTAIN_LAST_USABLE) for reading in found) if is_old else found


def _value(signal: str, value: Any) -> Value | None:
    """As it was before it was JSON. Raises KeyError for what is no signal."""
    if BY_NAME[signal].type == "DateTime" and value is not None:
        return datetime.fromisoformat(value)
    return value  # type: ignore[no-any-return]
