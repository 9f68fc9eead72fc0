"""The store as the rest of the gateway sees it: takes what happens without waiting, answers questions off the event loop.

Without a usable file it goes on: nothing is remembered over a restart then, what could not be stored is counted, and questions
answer with what there is, which is nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from cnctwin.link import LinkAlarm
from gateway.commands import Command
from gateway.core import Peer
from gateway.store.reader import Reader
from gateway.store.schema import COLUMN, COLUMNS, SAMPLED
from gateway.store.writer import Flush, Frame, Limits, Row, Sample, Statement, Writer
from gateway.twin import Update
from gateway.twin.twin import RESULT_NAMES

log = logging.getLogger("gateway.store")
NAME: Final = "gateway.sqlite"
FLUSH_WAIT_S: Final = 3.0
FIELDS_OF_DOCUMENT: Final = 64
"""Numbers of one document from elsewhere that rollups are kept of."""
T = TypeVar("T")


def now_us() -> int:
    return time.time_ns() // 1000


class Store:
    """``folder`` holds the database file. Start with ``open``, end with ``close``."""

    def __init__(self, folder: Path, peer: Peer, limits: Limits | None = None, clock: Callable[[], int] = now_us) -> None:
        self.path = folder / NAME
        self.peer = peer
        self.clock = clock
        self.writer = Writer(self.path, limits or Limits(), clock)
        self._frames: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
        self._reading = threading.BoundedSemaphore(4)

    async def open(self) -> None:
        self.writer.start()
        await self.flush()
        self.check()

    async def close(self) -> None:
        await asyncio.to_thread(self.writer.stop, 1.0)

    def check(self) -> None:
        """Tell the peer's state."""
        alive = self.writer.is_alive()
        self.peer.up = alive and self.writer.problem is None
        self.peer.reason = "" if self.peer.up else (self.writer.problem or "the writer ended")

    # What happens

    def update(self, update: Update) -> None:
        """A batch of a machine: one frame for its numbers, samples for the rest."""
        frame = self._frames.get(update.machine_id)
        if frame is None:
            frame = self._frames[update.machine_id] = np.full(len(COLUMNS), np.nan)
        own = False
        for reading in update.readings:
            good = reading.status >> 30 == 0
            index = COLUMN.get(reading.signal)
            if index is not None:
                frame[index] = reading.value if good and isinstance(reading.value, int | float) else np.nan
            elif reading.signal in SAMPLED:
                value = reading.value if reading.value is not None else None
                ts_us = reading.source_time_ns // 1000
                self.writer.put(Sample(update.machine_id, reading.signal, ts_us, value, reading.status))
            own = own or reading.signal not in RESULT_NAMES
        # Nothing is measured while the link is away: no row, so that a gap is a gap.
        if own and update.document is not None and update.document.is_current:
            self.writer.put(Frame(update.machine_id, update.document.source_time_ns // 1000, frame.copy()))

    def document(self, machine: str, document: dict[str, Any], external: bool) -> None:
        """Telemetry that was sent in: kept as it came, its numbers rolled up under their place in the document."""
        if not external:
            return
        ts_us = _us(document["timestamp"])
        body = json.dumps(document)
        self.writer.put(Row("document", machine, {"ts_us": ts_us, "body": body}, accepted=True))
        for place, number in _numbers(document["data"])[:FIELDS_OF_DOCUMENT]:
            self.writer.put(Sample(machine, place, ts_us, number, 0, rolled=True))

    def alarm(self, alarm: LinkAlarm) -> None:
        columns = {
            "ts_us": alarm.source_time_ns // 1000,
            "severity": alarm.severity,
            "code": alarm.code,
            "text": alarm.text,
            "active": int(alarm.active),
        }
        self.writer.put(Row("event", alarm.machine_id, columns))

    def record(self, kind: str, machine: str, body: dict[str, Any]) -> None:
        self.writer.put(Row("record", machine, {"ts_us": self.clock(), "kind": kind, "body": json.dumps(body)}))

    def forest(self, machine: str, content: bytes) -> None:
        sql = "INSERT OR REPLACE INTO forest (machine, ts_us, body) VALUES (?, ?, ?)"
        self.writer.put(Statement(sql, (machine, self.clock(), content), accepted=False))

    def command(self, command: Command) -> None:
        """One line of the audit: when it was given, and again when it was settled."""
        columns = {
            "ts_us": self.clock(),
            "command": command.id,
            "machine": command.machine_id,
            "method": command.method,
            "arguments": json.dumps(command.arguments)[:10_000],
            "user": command.user,
            "state": command.state,
            "reason": command.reason,
        }
        self.writer.put(Row("command", None, columns, accepted=True))

    def queue_alert(self, alert: dict[str, Any], next_us: int) -> bool:
        columns = {"created_us": self.clock(), "next_us": next_us, "tries": 1, "body": json.dumps(alert)}
        return self.writer.put(Row("outbox", None, columns, accepted=True))

    def settle_alert(self, outbox_id: int) -> None:
        self.writer.put(Statement("DELETE FROM outbox WHERE id = ?", (outbox_id,)))

    def postpone_alert(self, outbox_id: int, next_us: int, alert: dict[str, Any]) -> None:
        change = "UPDATE outbox SET tries = tries + 1, next_us = ?, body = ? WHERE id = ?"
        self.writer.put(Statement(change, (next_us, json.dumps(alert), outbox_id)))

    # Questions

    async def ask(self, question: Callable[[Reader], T], otherwise: Callable[[], T], *, fresh: bool = True) -> T:
        """The answer of a question; that of ``otherwise`` where the store cannot be read. ``fresh``: of all put in so far."""
        if fresh and self.writer.problem is None:
            await self.flush()
        return await asyncio.to_thread(self._ask, question, otherwise)

    async def flush(self) -> None:
        """Wait until everything put in so far is written, FLUSH_WAIT_S at most."""
        loop = asyncio.get_running_loop()
        written = loop.create_future()

        def settle() -> None:
            if not written.done():
                written.set_result(None)

        def done() -> None:
            loop.call_soon_threadsafe(settle)

        if self.writer.put(Flush(done)):
            try:
                async with asyncio.timeout(FLUSH_WAIT_S):
                    await written
            except TimeoutError:
                log.warning("store: the writer is %d records behind", self.writer.waiting)

    def _ask(self, question: Callable[[Reader], T], otherwise: Callable[[], T]) -> T:
        with self._reading:
            try:
                reader = Reader(self.path)
                try:
                    return question(reader)
                finally:
                    reader.close()
            except (sqlite3.Error, OSError) as error:
                if "malformed" in str(error) or "not a database" in str(error):
                    self.writer.is_doubted = True
                log.debug("store: a question failed: %s", error)
                return otherwise()


def _us(timestamp: str) -> int:
    moment = datetime.fromisoformat(timestamp)
    return int(moment.timestamp() * 1_000_000)


def _numbers(data: Any, place: str = "") -> list[tuple[str, float]]:
    if isinstance(data, dict):
        return [found for key, value in data.items() for found in _numbers(value, f"{place}.{key}" if place else str(key))]
    if isinstance(data, bool) or not isinstance(data, int | float):
        return []
    return [(place, float(data))]
