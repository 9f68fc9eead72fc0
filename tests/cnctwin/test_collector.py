"""A program that makes few objects lets go of what waits for the collector all the same."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from cnctwin import program


class Failed(Exception):
    """Keeps itself, as an exception does that is caught where it was raised."""

    def __init__(self) -> None:
        self.held = self


def test_what_holds_itself_is_gone_after_a_while_without_a_full_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "TIDY_S", 0.01)

    async def waits() -> None:
        tidies = asyncio.create_task(program._tidy())
        seen = weakref.ref(Failed())
        assert seen() is not None
        while seen() is not None:
            await asyncio.sleep(0.01)
        tidies.cancel()

    gc.disable()
    try:
        asyncio.run(asyncio.wait_for(waits(), 60))
    finally:
        gc.enable()
