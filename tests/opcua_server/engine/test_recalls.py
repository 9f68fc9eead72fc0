"""A Call that comes again with other numbers is not decoded; what it does, and what it is refused for, is the same."""

from __future__ import annotations

import asyncio
import inspect
import math
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.server import Server
from hypothesis import given, settings
from hypothesis import strategies as st

from cnctwin.wire import DecodingError, encode
from nodesets.methods import Method
from opcua_server.engine.contract import Limits, ServiceFault
from opcua_server.engine.methods import Methods
from opcua_server.engine.reasons import NOT_ASKED
from opcua_server.engine.recalls import encoded
from opcua_server.security.rights import Rights

V = ua.VariantType
C = ua.StatusCodes
OWNER, MIX, REST = ua.NodeId("Owner", 2), ua.NodeId("Mix", 2), ua.NodeId("Rest", 2)
KINDS = {V.Boolean: st.booleans(), V.Int16: st.integers(-(2**15), 2**15 - 1), V.UInt32: st.integers(0, 2**32 - 1),
         V.Double: st.floats(allow_nan=False)}  # fmt: skip


class Plant:
    """Two methods: ``Mix`` gives its arguments back, ``Rest`` has none. ``seen``: the arguments of each call that got through."""

    def __init__(self, aspace: Any) -> None:
        self.seen: list[list[tuple[Any, Any]]] = []
        self.aspace = aspace
        self.waits = False
        self.fails: Exception | None = None
        for method in (MIX, REST):
            aspace.get(method).call = self._called
        command = Method("Mix", "Gives back what it gets.")
        self.rights = Rights(methods={(OWNER, MIX): ("mill", command), (OWNER, REST): ("mill", command)})

    async def _called(self, _owner: Any, *given: Any) -> Any:
        if self.waits:
            await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        self.seen.append([(one.Value, one.VariantType) for one in given])
        return ua.CallMethodResult(ua.StatusCode(), [ua.StatusCode()] * len(given), [], list(given))

    def service(self) -> Methods:
        silent: Any = SimpleNamespace(called=lambda *_: None)
        return Methods(self.aspace, self.rights, Limits(), {}, silent)


@pytest.fixture(scope="module")
def plant() -> Plant:
    async def build() -> Any:
        server = Server()
        await server.init()
        owner = await server.nodes.objects.add_object(OWNER, ua.QualifiedName("Owner", 2))
        for method in (MIX, REST):
            await owner.add_method(method, ua.QualifiedName(str(method.Identifier), 2), lambda *_: [])
        return server.iserver.aspace

    return Plant(asyncio.run(build()))


def called(values: list[tuple[Any, Any]], method: ua.NodeId = MIX, owner: ua.NodeId = OWNER) -> bytes:
    return encode(ua.CallParameters([ua.CallMethodRequest(owner, method, [ua.Variant(value, kind) for kind, value in values])]))


def ask(service: Methods, raw: bytes, role: str = "Operator") -> bytes:
    """The response's parameters."""
    answer = SimpleNamespace(reasons=NOT_ASKED)
    request: Any = SimpleNamespace(session=SimpleNamespace(role=role, user=None), peer="here", security="None", answer=answer)

    async def run() -> bytes:
        answer = service.call(request, raw)
        return bytes(await answer if inspect.isawaitable(answer) else answer)

    return asyncio.run(run())


def status(answer: bytes) -> int:
    """Of the one result."""
    return int(struct.unpack_from("<iI", answer)[1])


requests = st.lists(st.sampled_from(list(KINDS)), max_size=4).flatmap(
    lambda kinds: st.lists(
        st.tuples(*(KINDS[kind].map(lambda value, kind=kind: (kind, value)) for kind in kinds)), min_size=2, max_size=3
    )
)


@given(requests)
@settings(max_examples=60, deadline=None)
def test_each_repeated_call_is_carried_out_and_answered_as_if_it_were_the_first(plant: Plant, values: list[Any]) -> None:
    service = plant.service()
    for one in values:
        plant.seen.clear()
        answer = ask(service, called(list(one)))
        assert plant.seen == [[(value, kind) for kind, value in one]]
        assert answer == ask(plant.service(), called(list(one)))


def test_a_repeated_call_is_not_decoded(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    service = plant.service()
    assert status(ask(service, called([(V.Double, 1.0)]))) == 0
    monkeypatch.setattr("opcua_server.engine.methods.decode", lambda *_: pytest.fail("decoded"))
    assert status(ask(service, called([(V.Double, 2.0)]))) == 0


def test_a_repeated_call_may_carry_what_is_no_number_and_the_method_judges_it(plant: Plant) -> None:
    service = plant.service()
    for value in (1.0, math.inf):
        plant.seen.clear()
        assert status(ask(service, called([(V.Double, value)]))) == 0
        assert plant.seen == [[(value, V.Double)]]


def test_what_was_learned_is_for_nobody_who_may_not_call(plant: Plant) -> None:
    service = plant.service()
    for value in (1.0, 2.0):
        assert status(ask(service, called([(V.Double, value)]))) == 0
    plant.seen.clear()
    assert status(ask(service, called([(V.Double, 3.0)]), "Viewer")) == C.BadUserAccessDenied
    assert not plant.seen


def test_a_repeated_call_whose_method_waits_is_answered_when_it_is_done(plant: Plant) -> None:
    service = plant.service()
    assert status(ask(service, called([(V.Double, 1.0)]))) == 0
    plant.seen.clear()
    plant.waits = True
    try:
        answer = ask(service, called([(V.Double, 2.0)]))
        assert plant.seen == [[(2.0, V.Double)]]
        assert answer == ask(plant.service(), called([(V.Double, 2.0)]))
    finally:
        plant.waits = False


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(
    ("error", "code"), [(ServiceFault(C.BadInvalidState, "not now"), C.BadInvalidState), (KeyError("x"), C.BadInternalError)]
)
def test_a_repeated_call_that_fails_says_so(plant: Plant, error: Exception, code: int, waits: bool) -> None:
    service = plant.service()
    assert status(ask(service, called([], REST))) == 0
    plant.waits, plant.fails = waits, error
    try:
        answer = ask(service, called([], REST))
        assert status(answer) == code
        assert answer == ask(plant.service(), called([], REST))
    finally:
        plant.waits, plant.fails = False, None
    assert status(ask(service, called([], REST))) == 0


scalars = st.sampled_from(list(KINDS)).flatmap(lambda kind: KINDS[kind].map(lambda value, kind=kind: ua.Variant(value, kind)))
results = st.builds(
    ua.CallMethodResult,
    st.integers(0, 2**32 - 1).map(ua.StatusCode),
    st.none() | st.lists(st.integers(0, 2**32 - 1).map(ua.StatusCode), max_size=3),
    st.sampled_from([[], [ua.DiagnosticInfo(AdditionalInfo="why")], None]),
    st.none() | st.lists(scalars | st.sampled_from([ua.Variant("text"), ua.Variant([1.5, 2.5]), ua.Variant()]), max_size=3),
)


@given(results)
@settings(max_examples=150, deadline=None)
def test_a_result_is_encoded_as_all_structures_are(result: Any) -> None:
    assert encoded(result) == encode(result)


def test_what_differs_in_more_than_numbers_is_read_anew(plant: Plant) -> None:
    service = plant.service()
    assert status(ask(service, called([(V.Double, 1.0)]))) == 0
    assert status(ask(service, called([(V.Double, 1.0)], owner=ua.NodeId("Nobod", 2)))) == C.BadNodeIdUnknown
    plant.seen.clear()
    assert status(ask(service, called([(V.Int64, 7)]))) == 0
    assert plant.seen == [[(7, V.Int64)]]
    raw = called([(V.Double, 1.0)])
    for bad in (raw[:-1], raw + b"\0", raw[:-9] + b"\x3f" + raw[-8:]):
        with pytest.raises(DecodingError):
            ask(service, bad)


def test_a_method_that_is_switched_off_is_refused_though_it_was_called_before(plant: Plant) -> None:
    service = plant.service()
    node = plant.aspace.get(REST)
    assert status(ask(service, called([], REST))) == 0
    held = node.attributes[ua.AttributeIds.Executable]
    before = held.value
    held.value = ua.DataValue(ua.Variant(False, V.Boolean))
    try:
        assert status(ask(service, called([], REST))) == C.BadNotExecutable
    finally:
        held.value = before


def test_a_node_that_goes_is_gone_for_repeated_calls_too(plant: Plant) -> None:
    service = plant.service()
    assert status(ask(service, called([], REST))) == 0
    node = plant.aspace._nodes.pop(REST)
    try:
        assert status(ask(service, called([], REST))) == C.BadNodeIdUnknown
    finally:
        plant.aspace._nodes[REST] = node


def test_the_forms_that_are_kept_are_few(plant: Plant) -> None:
    service = plant.service()
    for kind in list(KINDS) * 5:
        for count in range(40):
            ask(service, called([(kind, 1)] * count) if kind is not V.Boolean else called([(kind, True)] * count))
    assert service._recalls._count <= 256
    assert status(ask(service, called([(V.Double, 1.0)] * 41))) == 0
