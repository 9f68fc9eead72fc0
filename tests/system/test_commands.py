"""A command goes REST -> OPC UA method -> machine, and comes back as a reading."""

from __future__ import annotations

import asyncio

import pytest
from asyncua import Client, ua

from nodesets.binding import bind
from tests.harness import wait_for
from tests.system.conftest import Installation, Starter

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


def value(installation: Installation, name: str) -> object:
    return installation.signals()[name]["value"]


def test_hold_and_start_by_the_old_and_the_new_path(start: Starter) -> None:
    installation = start()
    wait_for(lambda: value(installation, "Machine/State") == 3, "running")
    status, _body = installation.post("/machines/CNC-001/commands", {"command": "pause", "params": {}})
    assert status == 200
    wait_for(lambda: value(installation, "Machine/State") == 4, "held")
    wait_for(lambda: value(installation, "Channel/ActFeedrate") == 0, "the axes stand")
    status, _body = installation.post("/api/v1/machines/CNC-001/commands/Start", {"arguments": {}})
    assert status == 202
    wait_for(lambda: value(installation, "Machine/State") == 3, "running again")


def test_a_fault_is_injected_and_shows_as_ground_truth(start: Starter) -> None:
    installation = start("--speed", "5")
    names = value(installation, "Simulation/FaultNames")
    assert isinstance(names, list)
    assert len(names) == 16
    arguments = {"Name": names[0], "Severity": 0.5, "Onset": 1.0}
    status, _body = installation.post("/api/v1/machines/CNC-001/commands/InjectFault", {"arguments": arguments})
    assert status == 202

    def severity() -> float:
        severities = value(installation, "Simulation/FaultSeverities")
        assert isinstance(severities, list)
        return float(severities[0])

    wait_for(lambda: severity() == 0.5, "the fault has grown")
    status, _body = installation.post("/api/v1/machines/CNC-001/commands/ClearFault", {"arguments": {"Name": names[0]}})
    assert status == 202
    wait_for(lambda: severity() == 0, "the fault is gone")


def test_an_argument_out_of_range_and_an_unknown_program_are_refused(start: Starter) -> None:
    installation = start()
    status, problem = installation.post("/api/v1/machines/CNC-001/commands/SetFeedOverride", {"arguments": {"Percent": 151}})
    assert status == 422
    assert "Percent" in problem["detail"]
    status, _problem = installation.post(
        "/api/v1/machines/CNC-001/commands/LoadProgram", {"arguments": {"Name": "../secrets/users"}}
    )
    assert status in (404, 409, 422)


async def state_without_security(installation: Installation, call: str | None = None) -> int:
    """Connect without encryption and anonymously, call a command, and read the machine's state."""
    client = Client(installation.opcua, timeout=10)
    async with client:
        (bound,) = (await bind(client)).values()
        if call is not None:
            owner, method = bound.methods[call]
            await client.get_node(owner).call_method(method)
        found: int = await client.get_node(bound.nodes["Machine/State"]).read_value()
        return found


def test_insecure_lets_anybody_command_without_encryption_under_a_banner(start: Starter) -> None:
    installation = start("--insecure")
    assert "INSECURE" in installation.output.read_text()
    asyncio.run(state_without_security(installation, "Hold"))
    wait_for(lambda: asyncio.run(state_without_security(installation)) == 4, "held")


def test_without_insecure_nothing_is_read_without_encryption(running: Installation) -> None:
    with pytest.raises(ua.UaError):
        asyncio.run(state_without_security(running))


def test_anonymous_reads_and_the_operator_commands_encrypted(running: Installation) -> None:
    async def hold(user: str | None) -> None:
        client = await running.client(user)
        async with client:
            (bound,) = (await bind(client)).values()
            assert await client.get_node(bound.nodes["Machine/State"]).read_value() in (2, 3, 4)
            owner, method = bound.methods["SetRapidOverride"]
            await client.get_node(owner).call_method(method, ua.Variant(75.0, ua.VariantType.Double))

    with pytest.raises(ua.uaerrors.BadUserAccessDenied):
        asyncio.run(hold(None))
    asyncio.run(hold("operator"))
    wait_for(lambda: value(running, "Channel/RapidOverride") == 75.0, "the override is set")
