"""What a server does not say by itself, looked up now and then: its clock, nodes that went or came, machines that came.

A server that takes a node away, or makes it anew, keeps its monitored items, and they may never say another word: the last value
would stay Good. Our own, whose commands tell it, announces what changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Final

from asyncua import Client, ua

from cnctwin.link import connect
from cnctwin.link.contract import Bind
from cnctwin.link.feed import chunks
from cnctwin.link.state import MachineState
from cnctwin.link.values import reading
from nodesets.binding import Bound
from nodesets.explorer import Explorer

LOOK_S: Final = 10.0
SILENT_NS: Final = 10_000_000_000
"""A value that is another for so long, and was not told, never will be."""
A_READ: Final = 100
"""Values in one request: few servers take less."""
SEARCH_S: Final = 60.0
"""Time between two searches for machines and signals that came, at least."""
SEARCH_SHARE: Final = 0.01
"""Of the time, that a search may take: of a server that answers slowly, or has many machines, it is asked for less often."""
STEADY_S: Final = 15.0
"""A clock that is off by so much more or less is told anew."""


async def that_exist(client: Client, nodes: Mapping[str, ua.NodeId]) -> set[str]:
    """The signals whose nodes the server has, in requests of a size that it takes."""
    explorer = Explorer(client)
    await explorer.begin()
    found = await explorer.read(list(nodes.values()), ua.AttributeIds.NodeClass)
    return {signal for signal, node_class in zip(nodes, found, strict=True) if node_class is not None}


class Lookout:
    """Of one binding. ``changed`` is called where it no longer holds; ``clock`` says by how much the server's clock is off, and
    ``clocks`` by how much those that source times come from, of machines."""

    def __init__(
        self,
        client: Client,
        bind: Bind,
        bound: Mapping[str, Bound],
        states: Mapping[str, MachineState],
        changed: Callable[[], None],
        silent_ns: int = SILENT_NS,
    ) -> None:
        self.clock = ""
        self._client = client
        self._bind = bind
        self._bound = bound
        self._states = states
        self._silent_ns = silent_ns
        self._changed = changed
        self.clocks: dict[str, str] = {}
        self._ahead_s: dict[str, float] = {}
        self._newest_ns: dict[str, int] = {}
        self._search_at = time.monotonic() + SEARCH_S

    async def run(self) -> None:
        """Look until cancelled. Whether the server lives is judged by others: what it does not answer is asked again."""
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(ua.UaError, TimeoutError):
                await self.look_at_the_clock()
                self.look_at_the_clocks(time.time_ns())
                if await self.is_other():
                    self._changed()

    async def look_at_the_clock(self) -> None:
        ahead_s = await connect.clock_ahead_s(self._client)
        if ahead_s is not None and self._is_news("", ahead_s):
            self.clock = connect.clock_off(ahead_s)

    def look_at_the_clocks(self, now_ns: int) -> None:
        """By the newest source times, where there are new ones since the last look."""
        for machine_id, state in self._states.items():
            ahead_s = (state.newest_ns - now_ns) / 1e9
            if state.newest_ns != self._newest_ns.get(machine_id, 0) and self._is_news(machine_id, ahead_s):
                self.clocks[machine_id] = connect.clock_off(ahead_s)
            self._newest_ns[machine_id] = state.newest_ns

    def _is_news(self, whose: str, ahead_s: float) -> bool:
        """What is off by a little more or less is not said again."""
        is_other = abs(ahead_s - self._ahead_s.get(whose, 0.0)) > STEADY_S
        if is_other:
            self._ahead_s[whose] = ahead_s
        return is_other

    async def is_other(self) -> bool:
        """Whether nodes went or came since the binding, or machines came."""
        is_due = time.monotonic() >= self._search_at and not all(one.methods for one in self._bound.values())
        if (is_due or not self._bound) and await self._more_are_there():
            return True
        for machine_id, machine in self._bound.items():
            if machine.methods:
                continue
            if await that_exist(self._client, machine.nodes | machine.absent) != set(machine.nodes):
                return True
            if await self._some_are_silent(self._states[machine_id], machine.nodes):
                return True
        return False

    async def _more_are_there(self) -> bool:
        """Whether a binding now would find more: what goes is noticed where it was."""
        began = time.monotonic()
        try:
            found = await self._bind(self._client)
        except connect.Refused:  # a namespace has gone, with all its nodes
            return False
        finally:
            ended = time.monotonic()
            self._search_at = ended + max(SEARCH_S, (ended - began) / SEARCH_SHARE)
        bound = self._bound
        return any(name not in bound or one.nodes.keys() - bound[name].nodes.keys() for name, one in found.items())

    async def _some_are_silent(self, state: MachineState, nodes: Mapping[str, ua.NodeId]) -> bool:
        names = [name for name in nodes if name in state.latest]
        for some in chunks(names, A_READ):
            parameters = ua.ReadParameters()
            parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            parameters.NodesToRead = [ua.ReadValueId(NodeId=nodes[name], AttributeId=ua.AttributeIds.Value) for name in some]
            found = await self._client.uaclient.read(parameters)
            now_ns = time.time_ns()
            if any(
                state.is_silent(reading(name, data, now_ns)[0], self._silent_ns) for name, data in zip(some, found, strict=True)
            ):
                return True
        return False
