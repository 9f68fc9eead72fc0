"""Call (OPC 10000-4, 5.12) by asyncua's client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.opcua_server.engine.conformance.plant import CALLED, Caller, Plant, V, calling, monitored, node, run, ua

SERVER, GET_MONITORED_ITEMS, RESEND_DATA = (ua.NodeId(number) for number in (2253, 11492, 12873))
SERVER_TYPE, AT_THE_TYPE = ua.NodeId(2004), ua.NodeId(11489)


def request(method: Any, *arguments: ua.Variant, on: Any = "Conformance") -> ua.CallMethodRequest:
    at, called = (one if isinstance(one, ua.NodeId) else node(one) for one in (on, method))
    return ua.CallMethodRequest(at, called, list(arguments))


async def called(call: Caller, *requests: ua.CallMethodRequest) -> list[tuple[str, list[str]]]:
    done = await call("Call", MethodsToCall=list(requests))
    return [(one.StatusCode.name, [status.name for status in one.InputArgumentResults or []]) for one in done.Results]


def test_arguments_are_judged_one_by_one(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        CALLED.clear()
        percent, text, whole = ua.Variant(80.0, V.Double), ua.Variant("ToolWear", V.String), ua.Variant(1, V.Int32)
        assert await called(
            call,
            request("SetFeedOverride", percent),
            request("SetFeedOverride"),
            request("SetFeedOverride", percent, percent),
            request("SetFeedOverride", whole),
            request("SetFeedOverride", ua.Variant(151.0, V.Double)),
            request("SetFeedOverride", ua.Variant([80.0], V.Double)),
            request("SetFeedOverride", ua.Variant()),
            request("InjectFault", text, ua.Variant(2.0, V.Double), whole),
        ) == [
            ("Good", []), ("BadArgumentsMissing", []), ("BadTooManyArguments", []), ("BadInvalidArgument", ["BadTypeMismatch"]),
            ("BadInvalidArgument", ["BadOutOfRange"]), ("BadInvalidArgument", ["BadTypeMismatch"]),
            ("BadInvalidArgument", ["BadTypeMismatch"]), ("BadInvalidArgument", ["Good", "BadOutOfRange", "BadTypeMismatch"]),
        ]  # fmt: skip
        assert CALLED == [("SetFeedOverride", [80.0])]

    run(plant, act, "Engineer")


def test_a_method_is_called_on_its_object_by_who_may(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        CALLED.clear()
        assert await called(
            call, request("Hold"), request("Hold"), request("Hold", on="Twins"), request("Double"), request("nothing"),
            request("Hold", on="nothing"), request("Undone"), request("Hold", on=ua.NodeId()),
        ) == [
            ("Good", []), ("BadInvalidState", []), ("BadMethodInvalid", []), ("BadMethodInvalid", []), ("BadNodeIdUnknown", []),
            ("BadNodeIdUnknown", []), ("BadNotImplemented", []), ("BadNodeIdUnknown", []),
        ]  # fmt: skip
        async with calling(plant, "Viewer") as viewer:
            assert await called(viewer, request("Hold")) == [("BadUserAccessDenied", [])]
        assert len(CALLED) == 2

    run(plant, act, "Operator")


@pytest.mark.parametrize("method", [GET_MONITORED_ITEMS, AT_THE_TYPE])
def test_a_method_may_be_named_by_its_node_at_the_objects_type(plant: Plant, method: ua.NodeId) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, monitored("Count", 5))
        number = ua.Variant(made.SubscriptionId, V.UInt32)
        (done,) = (await call("Call", MethodsToCall=[request(method, number, on=SERVER)])).Results
        assert (done.StatusCode.name, [list(output.Value) for output in done.OutputArguments]) == (
            "Good", [[one.MonitoredItemId], [5]],
        )  # fmt: skip
        assert await called(
            call, request(method, on=SERVER), request(method, number), request(method, number, on=SERVER_TYPE),
            request(method, number, on="Count"),
        ) == [
            ("BadArgumentsMissing", []), ("BadMethodInvalid", []),
            ("BadMethodInvalid" if method is GET_MONITORED_ITEMS else "BadNotImplemented", []), ("BadNodeIdInvalid", []),
        ]  # fmt: skip

    run(plant, act)


def test_a_call_that_cannot_be_is_refused_as_a_whole(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        assert await call.refused("Call", MethodsToCall=[]) == "BadNothingToDo"
        assert await call.refused("Call", MethodsToCall=[request("Hold")] * 11) == "BadTooManyOperations"

    run(plant, act, "Operator")


@pytest.mark.parametrize("asked", [0, 0x3FF, 0x40, 0x80, 0x31F])
def test_who_asks_is_told_in_words_why_a_call_was_refused(plant: Plant, asked: int) -> None:
    async def act(call: Caller) -> None:
        percent, low = ua.Variant(151.0, V.Double), ua.Variant(-1.0, V.Double)
        again = [request("Hold"), request("Hold")]  # the machine refuses the second
        done = await call(
            "Call", diagnostics=asked,
            MethodsToCall=[*again, request("SetFeedOverride", percent), request("SetFeedOverride", low), request("nothing")],
        )  # fmt: skip
        strings = done.ResponseHeader.StringTable or []
        said = [
            (strings[info.Locale], strings[info.LocalizedText]) if info.LocalizedText is not None else info.AdditionalInfo
            for info in done.DiagnosticInfos or []
        ]
        why = ["it is held", *["SetFeedOverride: Percent must be 0 to 150"] * 2, "There is no such node"]
        if asked & 0x40:
            assert said == [None, *(("en", text) for text in why)]
            assert strings == ["en", *dict.fromkeys(why)], "each once"
        elif asked & 0x80:
            assert (said, strings) == ([None, *why], [])
        else:
            assert (said, strings) == ([], [])
        assert [one.StatusCode.name for one in done.Results] == [
            "Good", "BadInvalidState", "BadInvalidArgument", "BadInvalidArgument", "BadNodeIdUnknown",
        ]  # fmt: skip

    CALLED.clear()
    run(plant, act, "Engineer")


@pytest.mark.parametrize("method", [GET_MONITORED_ITEMS, RESEND_DATA])
def test_methods_about_subscriptions_check_who_calls_and_with_what(plant: Plant, method: ua.NodeId) -> None:
    async def act(call: Caller) -> None:
        from_me = await call.subscribe()
        async with calling(plant) as other:
            from_other = await other.subscribe()
            number = ua.Variant(from_me.SubscriptionId, V.UInt32)
            found = await called(
                call,
                request(method, number, on=SERVER),
                request(method, ua.Variant(from_other.SubscriptionId, V.UInt32), on=SERVER),
                request(method, ua.Variant(987_654, V.UInt32), on=SERVER),
                request(method, on=SERVER),
                request(method, number, number, on=SERVER),
                request(method, ua.Variant(1, V.Int32), on=SERVER),
                request(method, ua.Variant([1], V.UInt32), on=SERVER),
                request(method, number),
            )
        assert found == [
            ("Good", []), ("BadUserAccessDenied", []), ("BadSubscriptionIdInvalid", []), ("BadArgumentsMissing", []),
            ("BadTooManyArguments", []), ("BadInvalidArgument", ["BadTypeMismatch"]), ("BadInvalidArgument", ["BadTypeMismatch"]),
            ("BadMethodInvalid", []),
        ]  # fmt: skip

    run(plant, act)
