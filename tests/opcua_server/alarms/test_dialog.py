"""What the machine asks after M0 and M1, and what answers do: through the socket."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua

from nodesets.states import MachineState
from opcua_server.alarms.dialog import NOBODY
from opcua_server.sources.source import CommandRefused
from tests.opcua_server.alarms.bench import Bench, Operator, operating, run
from tests.opcua_server.alarms.test_handling import refreshed
from tests.opcua_server.alarms.test_put_aside import said

HELD, RUNNING = float(MachineState.HELD), float(MachineState.RUNNING)


def choice(index: int) -> ua.Variant:
    return ua.Variant(index, ua.VariantType.Int32)


class Machine:
    """What is commanded by answers."""

    def __init__(self, bench: Bench) -> None:
        self.commands: list[str] = []
        self.refuses = False
        bench.space.alarms.bind(self.act)

    async def act(self, command: str) -> None:
        if self.refuses:
            raise CommandRefused("state", "not now")
        self.commands.append(command)


@pytest.fixture
def stopped(bench: Bench) -> Any:
    """A program has come to M0."""
    machine = Machine(bench)
    bench.tick(0.1, Machine_State=HELD)
    bench.event("message", "M0", "Program stop in line 7", 200)
    yield machine
    bench.tick(0.1, Machine_State=float(MachineState.IDLE))


async def value(operator: Operator, bench: Bench, name: str) -> Any:
    return await operator.client.get_node(bench.condition(f"ProgramStop.{name}")).read_value()


def test_an_operator_is_asked_how_to_go_on_and_the_machine_does_it(bench: Bench, stopped: Machine) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        dialog = bench.condition("ProgramStop")
        assert (await value(operator, bench, "Prompt")).Text == "Program stop in line 7. Go on?"
        assert [one.Text for one in await value(operator, bench, "ResponseOptionSet")] == ["Go on", "End the program"]
        assert await value(operator, bench, "DialogState.Id") is True
        assert await operator.refresh() == "Good"
        (asked,) = await refreshed(operator)
        assert (asked["ConditionName"], asked["Retain"], asked["Message"].Text) == (
            "ProgramStop", True, "Program stop in line 7. Go on?")  # fmt: skip
        assert await operator.method("Respond", dialog, choice(2)) == "BadDialogResponseInvalid"
        assert await operator.say("Acknowledge", asked) == "BadMethodInvalid", "a question wants an answer"
        async with operating(bench, "Viewer") as viewer:
            assert await viewer.method("Respond", dialog, choice(0)) == "BadUserAccessDenied"
        stopped.refuses = True
        assert await operator.method("Respond", dialog, choice(0)) == "BadInvalidState"
        assert await value(operator, bench, "DialogState.Id") is True, "it still asks"
        stopped.refuses = False
        assert await operator.method("Respond2", dialog, choice(0), said("chips are gone")) == "Good"
        over = await operator.wait(ConditionName="ProgramStop", Retain=False)
        assert (over["Comment"].Text, over["ClientUserId"]) == ("chips are gone", "Operator")
        assert stopped.commands == ["Start"]
        assert (await value(operator, bench, "LastResponse"), await value(operator, bench, "DialogState.Id")) == (0, False)
        assert await operator.method("Respond", dialog, choice(1)) == "BadDialogNotActive"
        assert await operator.method("Respond", bench.condition("ToolLife"), choice(0)) == "BadMethodInvalid"
        assert await operator.method("Respond", bench.space.node_id, choice(0)) == "BadNodeIdInvalid"

    run(bench, act)


def test_the_program_is_ended_by_the_other_answer(bench: Bench, stopped: Machine) -> None:
    async def act(operator: Operator) -> None:
        assert await operator.method("Respond", bench.condition("ProgramStop"), choice(1)) == "Good"
        assert stopped.commands == ["Stop"]
        assert await value(operator, bench, "LastResponse") == 1 != NOBODY

    run(bench, act)


def test_who_uses_the_panel_has_answered_too(bench: Bench, stopped: Machine) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        bench.tick(0.1, Machine_State=RUNNING)
        over = await operator.wait(ConditionName="ProgramStop", Retain=False)
        assert over["Message"].Text == "Answered at the machine"
        assert stopped.commands == []

    run(bench, act)
