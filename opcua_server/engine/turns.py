"""Long work in the loop, in turns: a coroutine works for a moment, then others are served."""

from __future__ import annotations

import asyncio
import time
from typing import Final

TURN_S: Final = 0.002


class Turn:
    """``if turn.is_over: await turn.rest()`` between two steps that are short."""

    __slots__ = ("_until_s",)

    def __init__(self) -> None:
        self._until_s = time.perf_counter() + TURN_S

    @property
    def is_over(self) -> bool:
        return time.perf_counter() > self._until_s

    async def rest(self) -> None:
        """Let others have theirs."""
        await asyncio.sleep(0)
        self._until_s = time.perf_counter() + TURN_S
