"""A Write that comes again with other values is not decoded; what it does is the same."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.server import Server
from hypothesis import given, settings
from hypothesis import strategies as st

from cnctwin.wire import encode
from opcua_server.engine.attributes import Attributes
from opcua_server.engine.contract import Limits
from opcua_server.engine.reasons import NOT_ASKED
from opcua_server.engine.values import Values
from opcua_server.security.rights import Rights

V = ua.VariantType
KINDS = {V.Boolean: st.booleans(), V.Int16: st.integers(-(2**15), 2**15 - 1), V.UInt32: st.integers(0, 2**32 - 1),
         V.Double: st.floats(allow_nan=False, allow_infinity=False)}  # fmt: skip
NODES = {kind: ua.NodeId(kind.name, 2) for kind in KINDS}
Service = tuple[Attributes, Any, list[str]]


@pytest.fixture(scope="module")
def service() -> Service:
    """The attribute service, asyncua's address space behind it, and the machines whose results were written."""

    async def build() -> Any:
        server = Server()
        await server.init()
        for kind, node in NODES.items():
            value: Any = False if kind is V.Boolean else 0.0 if kind is V.Double else 0
            await server.nodes.objects.add_variable(node, ua.QualifiedName(kind.name, 2), value, kind)
        return server.iserver.aspace

    aspace = asyncio.run(build())
    machines: list[str] = []
    rights = Rights(results=dict.fromkeys(NODES.values(), "CNC-001"), on_results=lambda machine, _session: machines.append(machine))
    return Attributes(Values(aspace), rights, Limits()), aspace, machines


def written(values: list[tuple[Any, Any]], status: int = 0) -> bytes:
    items = [
        ua.WriteValue(NODES[kind], ua.AttributeIds.Value, None, ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status)))
        for kind, value in values
    ]
    return encode(ua.WriteParameters(items))


def ask(service: Service, raw: bytes, role: str = "Analytics") -> list[int]:
    """The statuses of a Write."""
    answer = SimpleNamespace(reasons=NOT_ASKED)
    request: Any = SimpleNamespace(session=SimpleNamespace(role=role, user=None), peer="here", security="None", answer=answer)
    answer = service[0].write(request, raw)
    (count,) = struct.unpack_from("<i", answer)
    return list(struct.unpack_from(f"<{count}I", answer, 4))


def shown(service: Service, kind: Any) -> Any:
    return service[1].get(NODES[kind]).attributes[ua.AttributeIds.Value].value


requests = st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=5).flatmap(
    lambda kinds: st.lists(
        st.tuples(*(KINDS[kind].map(lambda value, kind=kind: (kind, value)) for kind in kinds)), min_size=2, max_size=3
    )
)


@given(requests)
@settings(max_examples=60, deadline=None)
def test_each_value_of_a_repeated_write_is_shown_as_if_it_were_the_first(service: Service, values: list[Any]) -> None:
    for one in values:
        service[2].clear()
        assert ask(service, written(list(one))) == [0] * len(one)
        for kind, value in dict(one).items():
            found = shown(service, kind)
            assert (found.Value.Value, found.Value.VariantType, found.Value.is_array) == (value, kind, False)
            assert found.StatusCode.is_good()
            assert found.SourceTimestamp is not None
        assert service[2] == ["CNC-001"]


@pytest.mark.parametrize(
    ("again", "role", "status"),
    [
        (lambda: written([(V.Double, math.nan)]), "Analytics", ua.StatusCodes.BadOutOfRange),
        (lambda: written([(V.Double, math.inf)]), "Analytics", ua.StatusCodes.BadOutOfRange),
        (lambda: written([(V.Double, 2.0)]), "Engineer", ua.StatusCodes.BadUserAccessDenied),
        (lambda: written([(V.Double, 2.0)]).replace(encode(NODES[V.Double]), encode(ua.NodeId("Nobody", 2))), "Analytics",
         ua.StatusCodes.BadNodeIdUnknown),
    ],
)  # fmt: skip
def test_a_repeated_write_is_refused_as_the_first_one_would_be(
    service: Service, again: Callable[[], bytes], role: str, status: int
) -> None:
    assert ask(service, written([(V.Double, 1.0)])) == [0]
    assert ask(service, written([(V.Double, 1.5)])) == [0]
    assert ask(service, again(), role) == [status]
    assert shown(service, V.Double).Value.Value == 1.5


def test_a_status_that_comes_with_a_repeated_write_is_shown(service: Service) -> None:
    assert ask(service, written([(V.Double, 1.0)])) == [0]
    assert ask(service, written([(V.Double, 2.0)], ua.StatusCodes.UncertainLastUsableValue)) == [0]
    assert shown(service, V.Double).StatusCode.value == ua.StatusCodes.UncertainLastUsableValue
    assert ask(service, written([(V.Double, 3.0)])) == [0]
    assert shown(service, V.Double).StatusCode.value == 0


def test_a_write_that_is_cut_short_is_no_repeated_one(service: Service) -> None:
    raw = written([(V.Double, 1.0), (V.Int16, 3)])
    assert ask(service, raw) == [0, 0]
    for end in (len(raw) - 1, 20):
        with pytest.raises(ValueError, match=r"."):
            ask(service, raw[:end])


def test_while_somebody_hears_the_audit_each_repeated_write_is_told(service: Service) -> None:
    told: list[float] = []
    audit: Any = SimpleNamespace(is_heard=False, wrote=lambda _request, item, _old, _status: told.append(item.Value.Value.Value))
    rights = Rights(results=dict.fromkeys(NODES.values(), "CNC-001"))
    heard = Attributes(Values(service[1]), rights, Limits(), audit=audit), service[1], []
    for value in (1.0, 2.0):
        assert ask(heard, written([(V.Double, value)])) == [0]
    told.clear()
    audit.is_heard = True
    for value in (3.0, 4.0):
        assert ask(heard, written([(V.Double, value)])) == [0]
    assert told == [3.0, 4.0]
    assert shown(heard, V.Double).Value.Value == 4.0
