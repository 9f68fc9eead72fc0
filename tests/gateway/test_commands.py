"""Commands of many callers: what one does keeps none of the others from theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import commands
from gateway.commands import PER_CALLER, Commands


def played(script: Any) -> None:
    """``script(commands, answered)`` over a server that answers once the event ``answered`` is set."""

    async def scenario() -> None:
        answered, tasks = asyncio.Event(), []

        async def call(*_: Any) -> None:
            await answered.wait()

        def spawn(work: Coroutine[Any, Any, None], _name: str) -> None:
            tasks.append(asyncio.create_task(work))

        gateway: Any = SimpleNamespace(call=call, spawn=spawn)
        given = Commands(gateway, [])
        await script(given, answered)
        answered.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_a_server_that_does_not_answer_keeps_one_callers_commands_and_not_all() -> None:
    async def script(given: Commands, answered: asyncio.Event) -> None:
        for _ in range(PER_CALLER):
            given.give("M", "Start", {}, "mallory")
        with pytest.raises(OverflowError):
            given.give("M", "Start", {}, "mallory")
        held = given.give("M", "Hold", {}, "operator")
        answered.set()
        await given.settled(held)
        assert held.state == "done"
        await asyncio.sleep(0.01)
        given.give("M", "Start", {}, "mallory")

    played(script)


def test_keys_of_one_caller_push_out_his_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is sent again under its key is not given twice, whoever gives a thousand others meanwhile."""
    monkeypatch.setattr(commands, "KEPT", 10)

    async def script(given: Commands, answered: asyncio.Event) -> None:
        answered.set()
        first = given.give("M", "Start", {}, "operator", "mine")
        for number in range(30):
            last = given.give("M", "Start", {}, "mallory", f"key {number}")
            await given.settled(last)
        assert given.repeated("operator", "mine", "M", "Start", {}) is first
        assert given.get(first.id) is first
        assert given.repeated("mallory", "key 0", "M", "Start", {}) is None
        assert given.repeated("mallory", "key 29", "M", "Start", {}) is last

    played(script)
