"""A program that makes few objects lets go of what waits for the collector all the same."""

from __future__ import annotations

import asyncio
import gc
import platform
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


def test_free_memory_is_given_back_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "TIDY_S", 0.01)

    async def waits() -> None:
        is_given = asyncio.Event()
        monkeypatch.setattr(program, "_TRIM", lambda _pad: is_given.set())
        tidies = asyncio.create_task(program._tidy())
        await is_given.wait()
        tidies.cancel()

    asyncio.run(asyncio.wait_for(waits(), 60))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked to")
def test_glibc_is_asked_for_it() -> None:
    assert program._TRIM is not None
    program.give_back()
