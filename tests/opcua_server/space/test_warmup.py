"""IsWarmUp: a program that says in its name that it warms the machine up, while it runs."""

from __future__ import annotations

import pytest
from asyncua import Server, ua

from nodesets.states import MachineState
from opcua_server.space import MachineSpace
from opcua_server.space.warmup import warms_up
from tests.opcua_server.space.conftest import Tick


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("WARMUP", True),
        ("O9000_SPINDLE-WARM-UP", True),
        ("warm_up.nc", True),
        ("Warm up", True),
        ("pocket", False),
        ("SWARM", False),
    ],
)
def test_a_program_says_by_its_name_what_it_is_for(program: str, expected: bool) -> None:
    assert warms_up(MachineState.RUNNING, program) is expected
    assert not any(warms_up(state, program) for state in MachineState if state is not MachineState.RUNNING)


def test_the_machine_shows_it_while_it_runs_one(server: Server, machine: MachineSpace, tick: Tick) -> None:
    node_id = ua.NodeId("CNC-001.Monitoring.MachineTool.IsWarmUp", machine.node_id.NamespaceIndex)
    held = server.iserver.aspace[node_id].attributes[ua.AttributeIds.Value]
    seen = []
    for state, program in ((MachineState.IDLE, "WARMUP"), (MachineState.RUNNING, "WARMUP"), (MachineState.RUNNING, "pocket")):
        machine.write(tick.number("Machine/State", float(state)).object("Channel/ActMainProgramName", program).next())
        assert held.value is not None
        seen.append((held.value.Value.Value, held.value.Value.VariantType))
    assert seen == [(value, ua.VariantType.Boolean) for value in (False, True, False)]
    bad = int(ua.StatusCodes.BadOutOfService)
    machine.write(tick.status("Machine/State", bad).next())
    assert held.value is not None
    assert held.value.StatusCode == ua.StatusCode(bad)
