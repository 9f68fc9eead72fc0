"""Simulated machines that a server steps at the same moments go in step, as columns of one fleet instead of one after another.

    ahead    those that are due for the same number of blocks --group--> each takes what it shows, or what it failed with
    advance  of each source then finds its blocks done, or raises what its own machine raised

What somebody commands between the two acts from the next block on, as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from opcua_server.machine.fleet import Floats, Group
from opcua_server.machine.machine import BLOCK_S
from opcua_server.sources.simulated import SimulatedSource
from opcua_server.sources.source import Source

AT_ONCE: Final = 32
"""Blocks after which a server looks at its clients again: some 5 ms."""


def at_once(dt_s: float) -> int:
    """How many machines go in step that advance by ``dt_s`` at a time."""
    return max(round(AT_ONCE * BLOCK_S / max(dt_s, BLOCK_S)), 1)


class InStep:
    """Of some sources of a server, always the same but for those that are out of service."""

    def __init__(self) -> None:
        self._groups: dict[tuple[SimulatedSource, ...], Group] = {}
        """Of the last time: a machine that was in another group since has its axes there."""

    def ahead(self, sources: Iterable[Source], dt_s: float) -> None:
        """Simulate what the sources' next ``advance`` by ``dt_s`` needs. Raises nothing: that is left to each source's own."""
        due: dict[int, list[SimulatedSource]] = {}
        for source in sources:
            if isinstance(source, SimulatedSource):
                due.setdefault(source.due_blocks(dt_s), []).append(source)
        groups = {tuple(those): blocks for blocks, those in due.items() if blocks > 0 and len(those) > 1}
        self._groups = {those: self._groups.get(those) or _group(those) for those in groups}
        for those, blocks in groups.items():
            for source, row in zip(those, _advanced(self._groups[those], blocks), strict=True):
                source.take(blocks, row)


def _group(sources: Sequence[SimulatedSource]) -> Group:
    return Group([one.machine for one in sources], [one.started_block for one in sources], sources[0].speed)


def _advanced(group: Group, blocks: int) -> Sequence[Floats | Exception]:
    """What each shows after so many blocks, or failed with; all of them where nobody knows which."""
    try:
        return group.advance(blocks)
    except Exception as error:
        return [error] * len(group.machines)
