"""The analytics program: one link, one task a machine, one that saves.

    link.batches(machine) --> Watcher --> link.write(machine), each second

A machine's task waits for the training thread, its batches wait in the link's bounded queue; the loop waits for nobody. Who is
behind is told, and what the queue drops is a gap. When the server is away nothing can be written: the server's own nodes go stale
there, and the link heals by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from analytics import memory
from analytics.features import SIGNALS, TEXTS
from analytics.watcher import Watcher
from cnctwin.link import Link, LinkSettings, MethodFailed
from cnctwin.link.mapping import binding
from cnctwin.link.readers import BatchReader
from cnctwin.program import Status
from cnctwin.reading import BAD_WAITING_FOR_INITIAL_DATA, Reading
from cnctwin.results_file import ResultsFile
from cnctwin.settings import Settings
from nodesets.catalogue import RESULTS

log = logging.getLogger(__name__)
T = TypeVar("T")

SAMPLING_S: Final = 0.5
WRITE_S: Final = 1.0
REFUSED_S: Final = 60.0
SAVE_S: Final = 60.0
SAVE_AT_END_S: Final = 1.2
QUEUE: Final = 240
"""Batches of a machine that may wait, about a minute: they take some 15 kB each. Older rows would say what nobody can act on."""
BEHIND_S: Final = 10.0
"""Age of what is waiting that is told: results are as old as the rows they are made of."""
BEHIND: Final = 10
"""Batches that wait then, at the least."""
_SUBSCRIBED: Final = frozenset((*SIGNALS, *TEXTS))


async def serve(settings: Settings, status: Status) -> None:
    """Watch every machine of the server until cancelled; then save what was learned."""
    how = LinkSettings.of(settings, "analytics", max(SAMPLING_S, settings.publication_period), _SUBSCRIBED)
    link = Link(replace(how, queue=QUEUE), bind=binding(settings.opcua_map))
    await watch(link, settings.data, settings.seed, status)


async def watch(link: Link, data: Path, seed: int, status: Status) -> None:
    """The same on a link that is given."""
    analytics = _Analytics(link, data, seed, status)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(link.run())
            tasks.create_task(analytics.find_machines(tasks))
            tasks.create_task(analytics.save_now_and_then())
    finally:
        analytics.save()
        analytics.end()


class _Analytics:
    def __init__(self, link: Link, data: Path, seed: int, status: Status) -> None:
        self._link = link
        self._data = data
        self._folder = data / "analytics"
        self._seed = seed
        self._status = status
        self._watchers: dict[str, Watcher] = {}
        self._readers: dict[str, BatchReader] = {}
        self._refused: dict[str, str] = {}
        self._again: dict[str, float] = {}
        """When results that were refused are offered again, by the monotonic clock."""
        self._saved: dict[str, float] = {}
        self._unsaved: dict[str, str] = {}
        self._lacking: dict[str, tuple[Set[str], str]] = {}
        """Signals that a machine shows, and what that is too little for."""
        self._frame_ms = 0.0
        # One thread each: the loop's own pool grows to six on a busy computer, and the C library keeps for every thread what
        # packing and training took for a moment.
        self._training = ThreadPoolExecutor(1, "training")
        self._saving = ThreadPoolExecutor(1, "saving")

    async def find_machines(self, tasks: asyncio.TaskGroup) -> None:
        """Start a task for each machine that appears, and tell what the link and the writing are like."""
        while True:
            for machine_id in tuple(self._link.machines):
                if machine_id not in self._watchers:
                    watcher = self._watchers[machine_id] = await self._in(self._saving, self._restored, machine_id)
                    tasks.create_task(self._follow(watcher))
                    tasks.create_task(self._write(watcher))
            self._tell()
            await asyncio.sleep(0.2 if self._link.state != "connected" else 1.0)

    @staticmethod
    async def _in(thread: ThreadPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *arguments)

    def end(self) -> None:
        for thread in (self._training, self._saving):
            thread.shutdown(wait=False, cancel_futures=True)

    def _restored(self, machine_id: str) -> Watcher:
        watcher = Watcher(machine_id, self._seed)
        path = memory.path_of(self._folder, machine_id)
        state = memory.load(path)
        if state is None:
            return watcher
        try:
            failed = watcher.restore(state)
        except (KeyError, TypeError, ValueError) as error:
            memory.set_aside(path, error)
            return Watcher(machine_id, self._seed)
        if failed:
            log.warning("%s: begins anew for: %s", path, ", ".join(failed))
        return watcher

    def _tell(self) -> None:
        link = self._link
        facts = {
            "machines": len(self._watchers),
            "rows": sum(watcher.rows for watcher in self._watchers.values()),
            "dropped": link.dropped,
            "reconnects": link.reconnects,
            "frame_ms": round(self._frame_ms, 3),
            "waiting": {name: told for name, w in self._watchers.items() if (told := w.waits_for())},
            "anomalous": sorted(name for name, w in self._watchers.items() if w.fused is not None and w.fused.anomalous),
        }
        remarks = tuple(map(str, link.remarks))
        if link.state != "connected":
            self._status.degraded(link.reason or "connecting", **facts)
        elif link.reason or self._unsaved:
            self._status.degraded(link.reason or "; ".join(self._unsaved.values()), **facts)
        elif behind := [text for watcher in self._watchers.values() if (text := self._behind(watcher))]:
            self._status.degraded("; ".join(behind), **facts)
        else:
            blind = [text for machine_id in self._watchers if (text := self._lacks(machine_id))]
            self._status.ready("; ".join((*remarks, *self._refused.values(), *blind)), **facts)

    def _lacks(self, machine_id: str) -> str:
        """Empty where the server shows what all look at; else each of the others is a line of the log, once."""
        machine = self._link.machines.get(machine_id)
        if machine is None:
            return ""
        known = self._lacking.get(machine_id)
        if known is not None and known[0] == machine.signals:
            return known[1]
        lacking, text = self._watchers[machine_id].lacking(machine.signals), ""
        for name, signals in lacking.items():
            log.info("%s: nothing of %s without %s", machine_id, name, ", ".join(signals))
        if lacking:
            text = f"{machine_id}: the server shows too little for {', '.join(lacking)}; the log says what is missing"
        self._lacking[machine_id] = machine.signals, text
        return text

    def _behind(self, watcher: Watcher) -> str:
        """Empty while the watcher keeps up with its machine; a clock that jumps leaves nothing waiting."""
        reader = self._readers.get(watcher.machine_id)
        if reader is None or reader.waiting < BEHIND:
            return ""
        newest_ns = max((item.source_time_ns for item in self._link.latest(watcher.machine_id).values()), default=0)
        behind_s = (newest_ns - watcher.time_ns) / 1e9
        if watcher.rows == 0 or behind_s < BEHIND_S:
            return ""
        # To whole tens: each other text is a line of the log.
        return f"{watcher.machine_id}: {behind_s // 10 * 10:.0f} s behind, this computer is too slow for its analytics"

    async def _follow(self, watcher: Watcher) -> None:
        reader = self._readers[watcher.machine_id] = self._link.batches(watcher.machine_id, _SUBSCRIBED)
        async for batch in reader:
            began = time.perf_counter()
            rows = watcher.rows
            for pending in watcher.add(batch):
                pending.done(await self._in(self._training, pending.run))
                began = time.perf_counter()
            if watcher.rows > rows:
                took_ms = (time.perf_counter() - began) * 1000.0 / (watcher.rows - rows)
                self._frame_ms += (took_ms - self._frame_ms) * 0.02

    async def _write(self, watcher: Watcher) -> None:
        machine_id = watcher.machine_id
        beside = ResultsFile(self._data, machine_id)
        while True:
            await asyncio.sleep(WRITE_S)
            machine = self._link.machines.get(machine_id)
            if machine is None or self._link.state != "connected":
                continue
            found = watcher.results() or _waiting()
            # Who may not write may be allowed to later, and is in the server's audit each time.
            is_refused = time.monotonic() < self._again.get(machine_id, 0.0)
            readings = [] if is_refused else [item for item in found if item.signal in machine.signals]
            try:
                await self._link.write(machine_id, readings)
                if not is_refused:
                    self._refused.pop(machine_id, None)
            except MethodFailed as error:
                if machine_id not in self._refused:
                    log.warning("%s: results refused: %s (%s)", machine_id, error, error.name)
                self._refused[machine_id] = f"{machine_id}: the server takes no results ({error.name}), the gateway shows them"
                self._again[machine_id] = time.monotonic() + REFUSED_S
            except (ConnectionError, KeyError):
                # The link is on its way down or the machine is gone; both are told elsewhere.
                continue
            there = machine.signals if machine_id not in self._refused else frozenset[str]()
            with contextlib.suppress(OSError):  # a full disk: the gateway shows them as old
                if rest := [item for item in found if item.signal not in there]:
                    beside.write(rest)
                else:
                    beside.remove()

    async def save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            for watcher in tuple(self._watchers.values()):
                # The state is a copy made between two rows; packing and writing it is for a thread. It has no name here: a copy of
                # all that one machine was learned by would wait for the next one.
                with contextlib.suppress(OSError):
                    await self._in(self._saving, self._save, watcher.machine_id, watcher.state())

    def save(self) -> None:
        """All machines, now, those first whose file is oldest; ends in time for the program to end in two seconds."""
        began = time.monotonic()
        for watcher in sorted(self._watchers.values(), key=lambda watcher: self._saved.get(watcher.machine_id, 0.0)):
            if time.monotonic() - began > SAVE_AT_END_S:
                log.info("not all machines were saved again; their files are at most %.0f s old", SAVE_S)
                break
            if watcher.rows:
                with contextlib.suppress(OSError):
                    self._save(watcher.machine_id, watcher.state())

    def _save(self, machine_id: str, state: dict[str, object]) -> None:
        path = memory.path_of(self._folder, machine_id)
        try:
            memory.save(path, memory.pack(state))
            self._saved[machine_id] = time.monotonic()
            self._unsaved.pop(machine_id, None)
        except OSError as error:
            if machine_id not in self._unsaved:
                log.warning("%s: cannot be saved: %s", path, error)
            self._unsaved[machine_id] = f"{machine_id}: what was learned cannot be saved: {error.strerror or error}"
            raise


def _waiting() -> Sequence[Reading]:
    """Every result before the first frame: waiting, and never a made-up 0."""
    now_ns = time.time_ns()
    return [Reading(row.name, None, BAD_WAITING_FOR_INITIAL_DATA, now_ns, now_ns) for row in RESULTS]
