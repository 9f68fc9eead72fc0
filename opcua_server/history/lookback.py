"""Aggregates of monitored items of intervals that began before somebody asked (OPC 10000-4, 7.22.4), from what is kept.

item asks, 11:59:42 --> 11:56  11:57  11:58  11:59 | 12:00 ...     as many as its queue holds; 11:59 when it is over
                        '--------- history -------'  '-- what the item sees
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Executor
from typing import Any, Final

from opcua_server.history import encoding
from opcua_server.history.archive import Archive, Tag
from opcua_server.history.jobs import ProcessedJob
from opcua_server.history.window import Point

MOST_AT_ONCE: Final = 1_000
"""Intervals that are worked out before others who read history have their turn."""


class LookBack:
    """What calculations of monitored items ask. ``tags``, ``seen`` and ``now``: as of ``service.History``; ``reader``: its
    thread."""

    def __init__(
        self, archive: Archive, tags: Mapping[Any, Tag], seen: Callable[[], int], now: Callable[[], int], reader: Executor
    ) -> None:
        self._archive = archive
        self._tags = tags
        self._seen = seen
        self._now = now
        self._reader = reader

    def has(self, node_id: Any) -> bool:
        return node_id in self._tags

    async def values(self, node_id: Any, terms: Any, low: int, count: int) -> AsyncGenerator[list[Point], None]:
        """So many intervals from ``low`` on, in parts. Raises StoreError, BlockError, ServiceFault."""
        end = low + count * terms.length
        left: ProcessedJob | None = ProcessedJob(
            self._tags[node_id], terms.aggregate, low, end, terms.length, terms.configuration, self._seen(), self._now(),
            encoding.BOTH,
        )  # fmt: skip
        while left is not None:
            points, left = await asyncio.get_running_loop().run_in_executor(self._reader, self._some, left)
            yield points

    def _some(self, job: ProcessedJob) -> tuple[list[Point], ProcessedJob | None]:
        """In the reader's thread."""
        with self._archive.view() as view:
            return job.points(view, MOST_AT_ONCE)
