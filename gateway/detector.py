"""Detection on telemetry documents as the gateway runs it: judged and learned in threads, kept in the store.

    live documents, one a second of a machine --.
    documents sent in by REST ------------------+--> Forests --due--> [thread: grow] --> judge from now on, and store
    documents of a request to detect -----------'
    request to detect --> [thread: limits, z-score, forest] --> anomalies

One forest grows at a time and one request is judged at a time, so that a fleet or a crowd costs a thread and no more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.twin import Update
from gateway.twin.detection import Detected, Detection
from gateway.twin.forest import Forests

log = logging.getLogger("gateway.detector")
LEARN_NS: Final = 1_000_000_000
"""Live documents of a machine are learned from at most so often: ten a second say little more than one."""


class Detector:
    """``keep`` stores (machine id, content) of a forest."""

    def __init__(self, seed: int, keep: Callable[[str, bytes], None]) -> None:
        self._keep = keep
        self._forests = Forests(seed)
        self._detection = Detection(self._forests)
        self._turn = asyncio.Lock()
        self._learned_ns: dict[str, int] = {}
        self._due: dict[str, None] = {}
        self._woken = asyncio.Event()

    def take_up(self, stored: Iterable[tuple[str, bytes]]) -> None:
        """The forests an earlier run left."""
        for machine_id, content in stored:
            try:
                self._forests.take_up(machine_id, content)
            except ValueError as error:
                log.warning("%s: the stored forest is of no use (%s): learned anew", machine_id, error)

    def update(self, update: Update) -> None:
        """Learn from a machine that is watched."""
        document = update.document
        if document is None or not document.is_current:
            return
        last_ns = self._learned_ns.get(update.machine_id, 0)
        if 0 <= document.source_time_ns - last_ns < LEARN_NS:
            return
        self._learned_ns[update.machine_id] = document.source_time_ns
        self._learn(update.machine_id, document.data)

    def document(self, machine_id: str, document: dict[str, Any], external: bool) -> None:
        """Learn from telemetry that was sent in."""
        if external:
            self._learn(machine_id, document)

    async def detect(self, documents: list[dict[str, Any]]) -> Detected:
        """Judge documents by what was learned before them; then they are learned from too."""
        async with self._turn:
            found = await asyncio.to_thread(self._detection.detect, documents)
        for document in documents:
            self._learn(str(document["machine_id"]), document)
        return found

    async def run(self) -> None:
        """Grow what is due, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._due:
                machine_id = next(iter(self._due))
                del self._due[machine_id]
                if (work := self._forests.training(machine_id)) is None:
                    continue
                model = await asyncio.to_thread(work)
                forest = self._forests.adopt(machine_id, model)
                if forest is not None:
                    self._keep(machine_id, await asyncio.to_thread(forest.pack))
                log.info("%s: a forest of %d documents", machine_id, model.count)

    def _learn(self, machine_id: str, document: dict[str, Any]) -> None:
        if self._forests.learn(machine_id, document):
            self._due[machine_id] = None
            self._woken.set()
