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


@pytest.mark.parametrize("is_old", [False, True], ids=["young", "old"])
def test_what_holds_itself_is_gone_after_a_while_without_a_full_generation(monkeypatch: pytest.MonkeyPatch, is_old: bool) -> None:
    monkeypatch.setattr(program, "TIDY_S", 0.01)

    async def waits() -> None:
        failed: Failed | None = Failed()
        seen = weakref.ref(failed)
        if is_old:
            gc.collect()
        failed = None
        assert seen() is not None
        tidies = asyncio.create_task(program._tidy())
        while seen() is not None:
            await asyncio.sleep(0.01)
        tidies.cancel()

    gc.disable()
    try:
        asyncio.run(asyncio.wait_for(waits(), 60))
    finally:
        gc.enable()
