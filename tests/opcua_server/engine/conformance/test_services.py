"""Which services there are, how much of each may be asked for, and what the Server object says of it, by asyncua's client."""

from __future__ import annotations

import pytest

from tests.opcua_server.engine.conformance.plant import Caller, Plant, run


@pytest.mark.parametrize(
    "service",
    [
        "AddNodes", "AddReferences", "DeleteNodes", "DeleteReferences", "QueryFirst", "QueryNext",
        "FindServersOnNetwork", "RegisterServer", "RegisterServer2",
    ],
)  # fmt: skip
def test_services_that_are_not_offered_are_said_to_be_unsupported(plant: Plant, service: str) -> None:
    async def act(call: Caller) -> None:
        assert await call.refused(service) == "BadServiceUnsupported"

    run(plant, act)
