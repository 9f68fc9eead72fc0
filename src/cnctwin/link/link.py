"""The link itself: a supervisor that keeps one session alive, and hands what it says to its readers.

              .--------- backoff: 0.2 .. 1 s while the server is away, 2 .. 30 s while it refuses us ---------.
              v                                                                                               |
    connecting --session, bind, subscribe--> connected --socket closed, silence, protocol error--> lost ------'
                        ^                        |
                        '---- model changed -----'

One loss, one word: on leaving ``connected`` every machine's readings are handed out once more, Uncertain.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakSet

from asyncua import Client, ua

from cnctwin.link import commands, connect, past
from cnctwin.link.conditions import MOST as MOST_CONDITIONS
from cnctwin.link.conditions import Conditions
from cnctwin.link.contract import (
    Bind,
    Handling,
    LinkAlarm,
    LinkCondition,
    LinkSettings,
    LinkState,
    Machine,
    MethodFailed,
    Remark,
)
from cnctwin.link.events import Alarms
from cnctwin.link.feed import Feed
from cnctwin.link.lookout import SILENT_NS, Lookout
from cnctwin.link.readers import BatchReader, Reader
from cnctwin.link.remarks import Remarks, named
from cnctwin.link.state import MachineState
from cnctwin.link.values import reading
from cnctwin.reading import Batch, Reading, Value
from nodesets.binding import Bound, bind

log = logging.getLogger(__name__)

AWAY_S: Final = (0.2, 1.0)
"""First and longest wait before the next try while the server is away: a refused socket costs little, a late return costs data."""
REFUSED_S: Final = (2.0, 30.0)
"""The same while it refuses us: every try counts against the lock-out of our user."""
SETUP_S: Final = 30.0
SNAPSHOT_S: Final = 2.0
ALARM_QUEUE: Final = 1000
MOST_NAME: Final = 256
"""Characters of what a machine is called, and of what its plate says; topics, paths and rows begin with the name."""


class _ModelChanged(Exception):
    """The address space has changed: bind again."""


class Link:
    """See the package's docstring. One instance a program; ``run`` is its only task."""

    def __init__(self, settings: LinkSettings, *, bind: Bind = bind) -> None:
        self.settings = settings
        self.state: LinkState = "connecting"
        self.reason = ""
        """Why the link is not connected, one line for the operator; empty when it is."""
        self.remarks: tuple[Remark, ...] = ()
        """What is the matter with the server while the link is connected."""
        self.machines: dict[str, Machine] = {}
        self.dropped = 0
        """Batches dropped because a reader was slow."""
        self.reconnects = 0
        """Sessions after the first."""
        self.messages = 0
        """Messages of the server so far."""
        self._bind = _with_names(bind)
        self._states: dict[str, MachineState] = {}
        self._readers: WeakSet[BatchReader] = WeakSet()
        self._alarm_readers: WeakSet[Reader[LinkAlarm]] = WeakSet()
        self._condition_readers: WeakSet[Reader[LinkCondition]] = WeakSet()
        self._conditions: Conditions | None = None
        self._client: Client | None = None
        self._bound: Mapping[str, Bound] = {}
        self._changed = asyncio.Event()
        self._lookout: Lookout | None = None
        self._remarks = Remarks(settings.url)
        self._absent: dict[str, frozenset[str]] = {}
        """Of each machine, the signals that were there, or are in a map, and have no node."""
        self._sessions = 0

    async def run(self) -> None:
        """Keep the link alive until cancelled. ``reason`` says what is wrong meanwhile; nothing the server does ends it."""
        failures = refusals = 0
        while True:
            before = self._sessions
            try:
                await self._session()
                reason = "session ended"
            except connect.Refused as error:
                reason, refusals = str(error), refusals + 1
            except (OSError, TimeoutError, ua.UaError) as error:
                reason, refusals = _reason(self.settings.url, error), 0
            except Exception as error:
                # asyncua fails in many ways when a socket closes under it; a link outlives them all, but says what it was.
                log.exception("the link failed")
                reason, refusals = _reason(self.settings.url, error), 0
            if self._sessions > before:
                failures = 0
            self._lose(reason)
            failures += 1
            first, longest = REFUSED_S if refusals else AWAY_S
            wait = min(first * 2 ** (min(refusals or failures, 20) - 1), longest)
            # Jitter, so that many clients of one server do not come back at once.
            await asyncio.sleep(wait * random.uniform(0.75, 1.0))  # noqa: S311 - spreads load, hides nothing

    def batches(self, machine_id: str | None = None, signals: Iterable[str] | None = None) -> BatchReader:
        """A new reader of the data of one or all machines; the first batch of each machine holds all its signals."""
        reader = BatchReader(self.settings.queue, machine_id, None if signals is None else frozenset(signals))
        for state in self._states.values():
            snapshot = state.snapshot()
            if snapshot is not None:
                reader.offer(snapshot)
        self._readers.add(reader)
        return reader

    def alarms(self) -> AsyncIterator[LinkAlarm]:
        """A new reader of the machines' events, from now on."""
        reader: Reader[LinkAlarm] = Reader(ALARM_QUEUE)
        self._alarm_readers.add(reader)
        return reader

    def conditions(self) -> AsyncIterator[LinkCondition]:
        """A new reader of conditions that want somebody: each when it is found, when it changes and when it is over. To be asked
        for before ``run``: what a server retains is fetched for those who read it."""
        reader: Reader[LinkCondition] = Reader(2 * MOST_CONDITIONS)
        self._condition_readers.add(reader)
        return reader

    async def handle(self, act: Handling, condition: LinkCondition, event_id: bytes, comment: str = "") -> None:
        """Do something with the state of a condition that an event told of. Raises MethodFailed, ConnectionError."""
        client, _ = self._there(condition.machine_id)
        await commands.handle(client, act, condition.condition_id, event_id, comment)

    async def call(self, machine_id: str, method: str, arguments: Sequence[Value] = ()) -> None:
        """Carry out a command; raises MethodFailed, ConnectionError when the server is away, KeyError for an unknown name."""
        client, bound = self._there(machine_id)
        await commands.call(client, bound, method, arguments)

    async def write(self, machine_id: str, readings: Sequence[Reading]) -> None:
        """Write result signals with status and source time; raises MethodFailed with the first refusal, ConnectionError."""
        client, bound = self._there(machine_id)
        await commands.write(client, bound, readings)

    async def past(self, machine_id: str, signal: str, start_ns: int, end_ns: int, most: int) -> list[Reading]:
        """What the server's own history has of a signal from ``start_ns`` on and before ``end_ns``, oldest first; of more than
        ``most`` the newest. Raises MethodFailed where it keeps none, ConnectionError, KeyError for a signal that is not there."""
        client, bound = self._there(machine_id)
        state, received_ns = self._states[machine_id], time.time_ns()
        found = await past.newest(client, bound.nodes[signal], start_ns, end_ns, most)
        readings = [state.as_signal(reading(signal, data, received_ns)[0]) for data in reversed(found)]
        return [one for one in readings if start_ns <= one.source_time_ns < end_ns]

    def latest(self, machine_id: str) -> dict[str, Reading]:
        """The last reading of every signal of a machine; what has not changed is as current as the link is alive."""
        return dict(self._states[machine_id].latest)

    def _there(self, machine_id: str) -> tuple[Client, Bound]:
        if self._client is None or self.state != "connected":
            raise ConnectionError(self.reason or f"{self.settings.url}: not connected")
        return self._client, self._bound[machine_id]

    async def _session(self) -> None:
        own = self.settings
        login = connect.Login(own.user, own.password, own.is_own_login)
        async with connect.session(own.url, own.application, own.data, login, insecure=own.insecure) as client:
            while True:
                self._changed.clear()
                async with asyncio.timeout(SETUP_S):
                    feed, lookout = await self._subscribe(client)
                try:
                    await _first(
                        feed.publish(),
                        connect.keep_channel(client),
                        self._watch(feed),
                        self._wait_for_change(),
                        lookout.run(),
                    )
                except _ModelChanged:
                    log.info("the server's model has changed: binding again")
                    await feed.delete()
                    for state in self._states.values():
                        state.mark_gap("bound anew: the server's model has changed")

    async def _subscribe(self, client: Client) -> tuple[Feed, Lookout]:
        bound = dict(await self._bind(client))
        for gone in set(self._states) - set(bound):
            for batch in self._states.pop(gone).lose():
                self._hand_out(batch)
            self.machines.pop(gone, None)
        for machine_id, machine in bound.items():
            self._states.setdefault(machine_id, MachineState(machine_id)).told = machine.told
            self.machines[machine_id] = _machine(machine)
        self._bound, self._client = bound, client
        own = self.settings
        feed = Feed(
            client,
            self._states,
            self._hand_out,
            interval_s=own.publishing_interval,
            sampling_s=own.publishing_interval,
            max_age_s=own.max_age,
        )
        nodes = {
            machine_id: {name: node for name, node in machine.nodes.items() if own.signals is None or name in own.signals}
            for machine_id, machine in bound.items()
        }
        await feed.subscribe(nodes)
        self._absent = {
            machine_id: frozenset(machine.absent) | (self._states[machine_id].latest.keys() - machine.nodes.keys())
            for machine_id, machine in bound.items()
        }
        await self._subscribe_events(client, feed, bound)
        self._sessions += 1
        self.reconnects = self._sessions - 1
        self.state, self.reason = "connected", ""
        if not bound:
            self.reason = f"{own.url}: the server shows no machine"
        found = "1 machine" if len(bound) == 1 else f"{len(bound)} machines"
        log.info("%s: %s, %d signals", own.url, found, sum(map(len, nodes.values())))
        lookout = self._lookout = Lookout(
            client, self._bind, bound, self._states, self._changed.set, int(feed.max_age_s * 1e9) + SILENT_NS
        )
        await lookout.look_at_the_clock()
        return feed, lookout

    async def _subscribe_events(self, client: Client, feed: Feed, bound: Mapping[str, Bound]) -> None:
        roots = {machine.node_id: machine_id for machine_id, machine in bound.items()}
        self._forget_conditions()  # of a subscription before this one, whose NodeIds may be others now

        async def refresh() -> None:
            status = await commands.refresh(client, feed.subscription_id)
            if status not in ("Good", "BadRefreshInProgress"):
                log.info("%s: alarms that were there before are not told: ConditionRefresh answers %s", self.settings.url, status)

        alarms = Alarms(client, roots, tuple(bound), self._hand_alarm, self._changed.set, self._hand_condition, refresh)
        try:
            await feed.subscribe_events(ua.NodeId(ua.ObjectIds.Server), await alarms.event_filter(), alarms.receive)
        except ua.UaStatusCodeError as error:
            log.warning("%s: no events: %s", self.settings.url, error)
            return
        self._conditions = alarms.conditions
        if len(self._condition_readers):
            await refresh()

    async def _watch(self, feed: Feed) -> None:
        """Judge liveness by what was heard, not by the socket: a stopped server keeps its sockets open."""
        loop = asyncio.get_running_loop()
        step = min(self.settings.max_age / 4, 0.5)
        began, snapshot_due = loop.time(), True
        while True:
            asked = loop.time()
            await asyncio.sleep(step)
            now = loop.time()
            self.messages = feed.messages
            self.remarks = self._remarks.take(self._matters(), now)
            if snapshot_due and now - began > SNAPSHOT_S:
                snapshot_due = False
                feed.complete()
            # When this process itself stood still, what has come meanwhile waits to be read: look again first.
            if now - asked < step + 0.5 and now - feed.heard > feed.max_age_s:
                raise TimeoutError(f"no word from the server for {now - feed.heard:.1f} s")

    def _matters(self) -> dict[tuple[str, str], str]:
        """What is found now that the operator should know: machine and what it is about -> in words."""
        found = {}
        if self._lookout is not None and self._lookout.clock:
            found["", "clock"] = f"the server's clock is {self._lookout.clock}: its times are shown as they are"
        for machine_id, state in self._states.items():
            if self._lookout is not None and not self._lookout.clock and (off := self._lookout.clocks.get(machine_id)):
                found[machine_id, "clock"] = f"the clock of the source times is {off}: they are shown as they are"
            if state.unfit:
                name, shown = min(state.unfit.items())
                found[machine_id, "values"] = f"values that do not fit are Bad: {named(state.unfit)} ({name}: {shown[:40]})"
            if still := state.still:
                found[machine_id, "times"] = f"source times stand still, the server's hold: {named(still)}"
            if absent := self._absent.get(machine_id):
                found[machine_id, "nodes"] = f"the server has no node for {named(absent)}"
        return found

    async def _wait_for_change(self) -> None:
        await self._changed.wait()
        # A server that adds a machine announces many changes; bind once they are over.
        await asyncio.sleep(1.0)
        raise _ModelChanged

    def _hand_out(self, batch: Batch) -> None:
        for reader in self._readers:
            before = reader.dropped
            reader.offer(batch)
            self.dropped += reader.dropped - before

    def _hand_alarm(self, alarm: LinkAlarm) -> None:
        for reader in self._alarm_readers:
            reader.put(alarm)

    def _hand_condition(self, condition: LinkCondition) -> None:
        for reader in self._condition_readers:
            reader.put(condition)

    def _forget_conditions(self) -> None:
        if self._conditions is not None:
            self._conditions.lose()
            self._conditions = None

    def _lose(self, reason: str) -> None:
        self._client = None
        self.remarks = ()
        self._forget_conditions()
        if self.reason != reason:
            log.warning("%s", reason)
        if self.state == "connected":
            self.state = "lost"
            for state in self._states.values():
                for batch in state.lose():
                    self._hand_out(batch)
                state.mark_gap(reason)
        self.reason = reason


async def _first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until the first one ends or fails; the others are cancelled, the failure is raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _with_names(bind: Bind) -> Bind:
    """What finds machines, without those whose names cannot be used; they are told when they come."""
    told: set[str] = set()

    async def bind_named(client: Client) -> Mapping[str, Bound]:
        found = await bind(client)
        long = {machine_id[:40]: len(machine_id) for machine_id in found if len(machine_id) > MOST_NAME}
        for start in long.keys() - told:
            log.warning("a machine is left out: its name has %d characters: %s...", long[start], start)
        told.clear()
        told.update(long)
        return {machine_id: machine for machine_id, machine in found.items() if len(machine_id) <= MOST_NAME}

    return bind_named


def _machine(bound: Bound) -> Machine:
    return Machine(
        machine_id=bound.machine_id,
        manufacturer=bound.manufacturer[:MOST_NAME],
        model=bound.model[:MOST_NAME],
        serial_number=bound.serial_number[:MOST_NAME],
        location=bound.location[:MOST_NAME],
        signals=frozenset(bound.nodes),
        methods=frozenset(bound.methods),
    )


def _reason(url: str, error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"{url}: nobody listens there"
    if isinstance(error, TimeoutError) and not str(error):
        return f"{url}: no answer"
    return f"{url}: {str(error) or type(error).__name__}".replace("\n", " ")


__all__ = ["Handling", "Link", "LinkAlarm", "LinkCondition", "LinkSettings", "LinkState", "Machine", "MethodFailed", "Remark"]
