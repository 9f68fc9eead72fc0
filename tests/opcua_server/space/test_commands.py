"""The methods of a machine, called by a client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.reading import Value
from nodesets.methods import BY_NAME, METHODS, Argument
from opcua_server.sources.source import CommandRefused
from opcua_server.space.commands import check

V = ua.VariantType
C = ua.StatusCodes


class Recorder:
    """Takes calls; refuses what a test tells it to refuse."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[Value]]] = []
        self.refuse: CommandRefused | None = None

    async def __call__(self, method: str, arguments: Sequence[Value]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.calls.append((method, list(arguments)))


async def call(client: Any, machine: Any, name: str, *arguments: ua.Variant) -> ua.CallMethodResult:
    request = ua.CallMethodRequest()
    request.ObjectId, request.MethodId = machine.methods[name]
    request.InputArguments = list(arguments)
    (result,) = await client.uaclient.call([request])
    return result


def test_calls_reach_the_machine_or_say_what_is_wrong(running: Any) -> None:
    async def session() -> None:
        async with running() as run:
            machine, recorder = run.spaces["CNC-001"], Recorder()
            machine.bind_methods(recorder)

            async def code(name: str, *arguments: ua.Variant) -> tuple[int, list[int]]:
                result = await call(run.client, machine, name, *arguments)
                return result.StatusCode.value, [status.value for status in result.InputArgumentResults]

            percent = ua.Variant(85.0, V.Double)
            assert await code("SetFeedOverride", percent) == (C.Good, [])
            assert await code("Start") == (C.Good, [])
            assert await code("SetFeedOverride") == (C.BadArgumentsMissing, [])
            assert (await code("SetFeedOverride", percent, percent))[0] == C.BadTooManyArguments
            assert await code("SetFeedOverride", ua.Variant(151.0, V.Double)) == (C.BadInvalidArgument, [C.BadOutOfRange])
            assert await code("SetFeedOverride", ua.Variant(85, V.Int32)) == (C.BadInvalidArgument, [C.BadTypeMismatch])
            assert await code("SetFeedOverride", ua.Variant(float("nan"), V.Double)) == (C.BadInvalidArgument, [C.BadOutOfRange])
            wrong = (ua.Variant("ToolWear", V.String), ua.Variant(2.0, V.Double), ua.Variant(1, V.Int32))
            assert await code("InjectFault", *wrong) == (C.BadInvalidArgument, [C.Good, C.BadOutOfRange, C.BadTypeMismatch])
            fault = (ua.Variant("ToolWear", V.String), ua.Variant(1.0, V.Double), ua.Variant(0.0, V.Double))
            for place in range(3):
                recorder.refuse = CommandRefused("argument", "not that one", place)
                statuses = [C.BadOutOfRange if number == place else C.Good for number in range(3)]
                assert await code("InjectFault", *fault) == (C.BadInvalidArgument, statuses)
            for reason, expected in (
                ("state", C.BadInvalidState),
                ("argument", C.BadInvalidArgument),
                ("not_found", C.BadNotFound),
            ):
                recorder.refuse = CommandRefused(reason, "not now")
                assert (await code("Start"))[0] == expected
            assert recorder.calls == [("SetFeedOverride", [85.0]), ("Start", [])]

    asyncio.run(session())


def test_a_plain_function_can_carry_out_commands(running: Any) -> None:
    async def session() -> None:
        async with running() as run:
            machine = run.spaces["CNC-001"]
            calls: list[str] = []
            machine.bind_methods(lambda method, arguments: calls.append(method))
            assert (await call(run.client, machine, "Hold")).StatusCode.is_good()
            assert calls == ["Hold"]

    asyncio.run(session())


@given(number=st.floats(allow_nan=True, allow_infinity=True))
def test_a_number_is_good_exactly_within_its_limits(number: float) -> None:
    (argument,) = BY_NAME["SetSpindleOverride"].inputs
    status = check(argument, ua.Variant(number, V.Double))
    assert (status == C.Good) is (50 <= number <= 120)


@pytest.mark.parametrize("argument", [a for m in METHODS for a in m.inputs], ids=lambda a: a.name)
def test_null_is_no_argument(argument: Argument) -> None:
    assert check(argument, ua.Variant()) == C.BadTypeMismatch
