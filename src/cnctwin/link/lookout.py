"""What a server does not say by itself, looked up now and then: its clock, nodes that went or came, its first machine.

A server that takes a node away keeps its monitored items, and most of them never say another word: the last value would stay Good.
Our own, whose commands tell it, announces what changes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from asyncua import Client, ua

from cnctwin.link import connect
from cnctwin.link.contract import Bind
from nodesets.binding import Bound
from nodesets.explorer import Explorer

LOOK_S: Final = 10.0
STEADY_S: Final = 15.0
"""A clock that is off by so much more or less is told anew."""


async def that_exist(client: Client, nodes: Mapping[str, ua.NodeId]) -> set[str]:
    """The signals whose nodes the server has, in requests of a size that it takes."""
    explorer = Explorer(client)
    await explorer.begin()
    found = await explorer.read(list(nodes.values()), ua.AttributeIds.NodeClass)
    return {signal for signal, node_class in zip(nodes, found, strict=True) if node_class is not None}


class Lookout:
    """Of one binding. ``changed`` is called where it no longer holds; ``clock`` says by how much the server's clock is off."""

    def __init__(self, client: Client, bind: Bind, bound: Mapping[str, Bound], changed: Callable[[], None]) -> None:
        self.clock = ""
        self._client = client
        self._bind = bind
        self._bound = bound
        self._changed = changed
        self._ahead_s = 0.0

    async def run(self) -> None:
        """Look until cancelled. Whether the server lives is judged by others: what it does not answer is asked again."""
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(ua.UaError, TimeoutError):
                await self.look_at_the_clock()
                if await self.is_other():
                    self._changed()

    async def look_at_the_clock(self) -> None:
        ahead_s = await connect.clock_ahead_s(self._client)
        if ahead_s is not None and abs(ahead_s - self._ahead_s) > STEADY_S:
            self._ahead_s = ahead_s
            self.clock = connect.clock_off(ahead_s)

    async def is_other(self) -> bool:
        """Whether nodes went or came since the binding, or the first machine did."""
        if not self._bound:
            return bool(await self._bind(self._client))
        for machine in self._bound.values():
            if not machine.methods and await that_exist(self._client, machine.nodes | machine.absent) != set(machine.nodes):
                return True
        return False
