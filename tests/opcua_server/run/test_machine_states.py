"""One machine state drives all state machines: a client's commands lead to each row of the table, of which it reads all columns."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from asyncua import ua

from nodesets.methods import BY_NAME
from nodesets.states import MachineState
from tests.opcua_server.jobs.plant import Plant, plant

S = MachineState
_BLOCKS: Final = "MachineryBuildingBlocks"
_MODE: Final = (_BLOCKS, "MachineryOperationMode")
_MAINTENANCE: Final = (*_MODE, "MaintenanceMode", "CurrentState")
STOPS: Final = "O5\nG0 X0. Y0.\nM0\nG4 P5.\nM1\nM30\n"


@dataclass(frozen=True)
class Row:
    """As the companion specifications have it (OPC 40001-1, 40501-1, 40502); ``program`` None keeps what was shown last."""

    item: str
    mode: str
    tool_modes: frozenset[int]
    channel: int
    program: str | None
    status: int
    lamp: str
    blinks: bool = False


MANUAL, AUTOMATIC, SETUP, SERVICE, OTHER = (frozenset({number}) for number in (0, 1, 2, 4, 5))
ITEM_IDS: Final = {"NotAvailable": 5005, "OutOfService": 5004, "NotExecuting": 5007, "Executing": 5006}
MODE_IDS: Final = {"None": 5059, "Maintenance": 5058, "Setup": 5061, "Processing": 5060}
PROGRAM_IDS: Final = {"Initializing": 5039, "Running": 5041, "Ended": 5038, "Interrupted": 5040, "Aborted": 5037}
KINDS: Final = {"Service": 5062, "Inspection": 5063, "Repair": 5064, "Upgrade": 5065, "Other": 5066}

TABLE: Final = {
    S.OFF: Row("NotAvailable", "None", OTHER, 2, "Ended", 0, ""),
    S.IDLE: Row("NotExecuting", "Processing", AUTOMATIC, 2, "Ended", 0, "Yellow"),
    S.LOADING: Row("NotExecuting", "Processing", AUTOMATIC, 2, "Initializing", 2, "Yellow"),
    S.RUNNING: Row("Executing", "Processing", AUTOMATIC, 0, "Running", 1, "Green"),
    S.HELD: Row("NotExecuting", "Processing", AUTOMATIC, 1, "Interrupted", 3, "Yellow", True),
    S.MANUAL: Row("Executing", "Setup", MANUAL | SETUP, 0, None, 0, "Yellow"),
    S.ALARM: Row("OutOfService", "Processing", AUTOMATIC, 1, "Interrupted", 3, "Red", True),
    S.EMERGENCY_STOP: Row("OutOfService", "Processing", AUTOMATIC, 2, "Aborted", 4, "Red"),
    S.MAINTENANCE: Row("NotExecuting", "Maintenance", SERVICE, 2, "Ended", 0, "Blue"),
}


class Operator:
    """Commands a machine and reads what it shows, as a client."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.program = "Ended"
        self.seen: set[MachineState] = set()

    async def call(self, method: str, *arguments: Any) -> None:
        kinds = [ua.VariantType[argument.type] for argument in BY_NAME[method].inputs]
        owner, method_id = self.plant.shown.methods[method]
        given = [ua.Variant(value, kind) for value, kind in zip(arguments, kinds, strict=True)]
        await self.plant.client.get_node(owner).call_method(method_id, *given)

    async def read(self, *path: str) -> Any:
        return await self.plant.node(*path).read_value()

    async def finds(self, state: MachineState) -> None:
        """The machine comes into a state within a minute, and all columns of its row are shown."""
        await self.plant.until(lambda: self.plant.state is state, 60)
        await self.plant.pass_s(1)  # it is shown with the next tick
        assert self.plant.state is state
        expected = TABLE[state]
        machines = (
            ((_BLOCKS, "MachineryItemState"), expected.item, ITEM_IDS),
            (_MODE, expected.mode, MODE_IDS),
            (("Production", "ActiveProgram", "State"), expected.program or self.program, PROGRAM_IDS),
        )
        for path, name, ids in machines:
            assert (await self.read(*path, "CurrentState")).Text == name, path
            assert (await self.read(*path, "CurrentState", "Id")).Identifier == ids[name], path
        assert await self.read("Monitoring", "MachineTool", "OperationMode") in expected.tool_modes
        assert await self.read("Monitoring", "Channel1", "ChannelState") == expected.channel
        channel = ("CncInterface", "CncChannelList", "Channel1")
        assert await self.read(*channel, "ActStatus") == expected.channel
        assert await self.read(*channel, "ActProgramStatus") == expected.status
        modes = {}
        for lamp in ("Red", "Yellow", "Green", "Blue"):
            place = ("Monitoring", "Stacklight", lamp)
            modes[lamp] = await self.read(*place, "SignalMode")
            if not modes[lamp]:
                assert await self.read(*place, "SignalOn") is (lamp == expected.lamp), lamp
        assert modes == {lamp: int(expected.blinks and lamp == expected.lamp) for lamp in modes}
        obligation = ("Monitoring", "MachineTool", "Obligation", "EndUserObligated")
        assert await self.read(*obligation) is (state is not S.OFF)
        there = await self.plant.node(*_MAINTENANCE).read_data_value(raise_on_bad_status=False)
        assert there.StatusCode.is_good() is (state is S.MAINTENANCE), "a sub state machine is there in its state only"
        self.program = expected.program or self.program
        self.seen.add(state)


async def story(p: Plant) -> None:
    by = Operator(p)
    await by.call("SwitchOff")
    await by.finds(S.OFF)
    with pytest.raises(ua.UaStatusCodeError) as refused:
        await by.call("Start")
    assert refused.value.code == ua.StatusCodes.BadInvalidState
    await by.call("SwitchOn")
    await by.finds(S.IDLE)
    await by.call("LoadProgramText", "stops.nc", STOPS)
    await by.call("SetModifier", "OptionalStop", True)
    await by.call("Start")
    await by.finds(S.HELD)  # M0
    for method, arguments in (("BeginMaintenance", ["Service"]), ("SwitchOff", [])):
        with pytest.raises(ua.UaStatusCodeError) as refused:
            await by.call(method, *arguments)
        assert refused.value.code == ua.StatusCodes.BadInvalidState, "a program is under way"
    await by.call("Start")
    await by.finds(S.RUNNING)
    await by.finds(S.HELD)  # M1
    dialog = p.node("Notification", "Conditions", "ProgramStop")
    await dialog.call_method(ua.NodeId(ua.ObjectIds.DialogConditionType_Respond), ua.Variant(0, ua.VariantType.Int32))
    await by.finds(S.LOADING)
    await by.finds(S.IDLE)
    await by.call("LoadProgram", "long.nc")
    await by.call("Start")
    await by.finds(S.RUNNING)
    await by.call("Hold")
    await by.finds(S.HELD)
    await by.call("Stop")
    await by.finds(S.IDLE)
    await by.call("SetSpindleSpeed", 500.0)
    await by.finds(S.MANUAL)
    await by.call("SetSpindleSpeed", 0.0)
    await by.finds(S.IDLE)
    await by.call("LoadProgram", "bad.nc")
    await by.call("Start")
    await by.finds(S.ALARM)
    await by.call("EmergencyStop")
    await by.finds(S.EMERGENCY_STOP)
    await by.call("SetModifier", "OptionalStop", False)
    await by.call("Reset")
    await by.finds(S.IDLE)
    for kind, number in KINDS.items():
        await by.call("BeginMaintenance", kind)
        await p.pass_s(1)
        assert (await by.read(*_MAINTENANCE)).Text == kind
        assert (await by.read(*_MAINTENANCE, "Id")).Identifier == number
    for _ in range(2):  # what went comes back
        await by.call("BeginMaintenance", "Inspection")
        await by.finds(S.MAINTENANCE)
        await by.call("EndMaintenance")
        await by.finds(S.IDLE)
    assert by.seen == set(S)


def test_commands_lead_to_each_row_of_the_table_and_clients_read_all_its_columns(tmp_path: Path) -> None:
    async def run() -> None:
        async with plant(tmp_path) as p:
            await story(p)

    asyncio.run(run())
