"""Job orders over OPC UA on the simulated machine: what is ordered is cut, and every view says the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

from nodesets.states import MachineState
from opcua_server.jobs.orders import ReturnStatus
from tests.opcua_server.jobs.plant import Plant, plant

R = ReturnStatus


def on_a_plant(tmp_path: Path, story: Callable[[Plant], Coroutine[Any, Any, None]], saved: Any = None) -> None:
    async def tell() -> None:
        async with plant(tmp_path, saved) as made:
            await story(made)

    asyncio.run(tell())


class Heard:
    """Events as a subscriber gets them."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def event_notification(self, event: Any) -> None:
        self.events.append(event)


def test_an_order_runs_on_the_machine_and_all_views_agree(tmp_path: Path) -> None:
    async def story(p: Plant) -> None:
        heard = Heard()
        subscription = await p.client.create_subscription(50, heard)
        event_type = p.client.get_node(p.shown.jobs._event_type)
        await subscription.subscribe_events(p.shown.node_id, evtypes=event_type)  # type: ignore[arg-type]
        masters = await p.node("MachineryBuildingBlocks", "JobManagement", "JobOrderControl", "WorkMaster").read_value()
        assert [master.ID for master in masters] == ["bad.nc", "long.nc", "own.nc", "short.nc"]

        assert await p.order("Store", "A", "short.nc", JobOrderParameters=p.runs(2)) == R.NO_ERROR
        await p.pass_s(20)
        assert await p.states() == {"A": "NotAllowedToStart"}
        assert p.state is MachineState.IDLE
        assert await p.do("Start", "A") == R.NO_ERROR
        await p.until(lambda: p.machine._jobs.book.begun is not None)
        assert await p.states() == {"A": "Running"}
        assert await p.plan() == {"A": ("Running", 0)}
        active = ("Production", "ActiveProgram")
        assert await p.node(*active, "Name").read_value() == "short.nc"
        assert (await p.node(*active, "State", "CurrentState").read_value()).Text == "Running"
        assert await p.node(*active, "JobIdentifier").read_value() == "A"
        (job,) = await p.node("Production", "ProductionPlan").get_children(ua.ObjectIds.HasOrderedComponent)
        assert await p.node(*active, "JobNodeId").read_value() == job.nodeid
        control = ("MachineryBuildingBlocks", "JobManagement", "JobOrderControl")
        assert (await p.node(*control, "CurrentState").read_value()).Text == "Running"
        assert await p.do("Cancel", "A") == await p.do("Clear", "A") == R.INVALID_STATE

        await p.until(lambda: p.machine._jobs.book.begun is None)
        assert await p.plan() == {"A": ("Ended", 2)}
        response, status = await p.call("RequestJobResponseByJobOrderID", "A")
        assert status == R.NO_ERROR
        assert {row.ID: row.Value.Value for row in response.JobResponseData} == {"RunsCompleted": 2, "JobResult": 1}
        assert response.StartTime < response.EndTime
        await p.pass_s(60)
        assert p.state is MachineState.IDLE, "a machine that works to order does not go on by itself"
        assert await p.node(*active, "JobIdentifier").read_value() == ""
        assert await p.do("Clear", "A") == R.NO_ERROR
        assert (await p.states(), await p.plan()) == ({}, {})
        while len(heard.events) < 5:
            await asyncio.sleep(0.02)
        said = [(event.JobOrder.JobOrderID, event.JobState[0].StateText.Text) for event in heard.events]
        assert [state for _, state in said] == ["NotAllowedToStart", "AllowedToStart", "Running", "Running", "Ended"]
        assert heard.events[-1].JobResponse.JobOrderID == "A"

    on_a_plant(tmp_path, story)


async def refusals_say_why(p: Plant) -> None:
    async def refused(method: str, first: Any) -> tuple[int, str]:
        owner, method_id = p.shown.jobs.methods[method]
        comment = ua.Variant([], ua.VariantType.LocalizedText, is_array=True)
        call = ua.CallRequest()
        call.RequestHeader.ReturnDiagnostics = 0x40
        call.Parameters.MethodsToCall = [ua.CallMethodRequest(owner, method_id, [ua.Variant(first), comment])]
        done = struct_from_binary(ua.CallResponse, await p.client.uaclient.session._send_request(call))
        assert not done.Results[0].InputArgumentResults, "the call itself is good"
        return done.Results[0].OutputArguments[0].Value, done.ResponseHeader.StringTable[done.DiagnosticInfos[0].LocalizedText]

    def ordered(order_id: str, *programs: str) -> Any:
        return p.types.order_class(JobOrderID=order_id, WorkMasterID=[p.types._work_master(ID=name) for name in programs])

    assert await p.order("Store", "E", "long.nc") == R.NO_ERROR
    assert await refused("Start", "Z") == (R.UNKNOWN_ORDER, "There is no job order Z")
    assert await refused("Store", ordered("E", "long.nc")) == (R.NOT_ACCEPTED, "There is a job order E")
    assert await refused("Store", ordered("F", "none.nc", "no.nc")) == (
        R.NOT_ACCEPTED, "The machine has no program of the work masters none.nc, no.nc")  # fmt: skip
    assert await refused("Store", ordered("", "long.nc")) == (R.INVALID_REQUEST, "A JobOrderID has 1 to 256 characters")
    assert await refused("Pause", "E") == (
        R.INVALID_STATE, "Pause is not possible while job order E is not allowed to start")  # fmt: skip
    status, why = await refused("StoreAndStart", ordered("G", "bad.nc"))
    assert status == R.INVALID_REQUEST
    assert "line 3" in why
    assert await p.do("Start", "E") == R.NO_ERROR
    await p.until(lambda: p.machine._jobs.book.begun is not None)
    assert await p.do("Pause", "E") == R.NO_ERROR
    p.source.call("EmergencyStop", [])  # between two ticks: the book does not know yet
    status, why = await refused("Resume", "E")
    assert (status, why.partition(": ")[::2]) == (
        R.INVALID_REQUEST, ("Start is not possible in state EMERGENCY_STOP", "EX1000 EMERGENCY STOP"))  # fmt: skip


def test_pause_resume_stop_abort_and_what_the_machine_does_by_itself(tmp_path: Path) -> None:
    async def story(p: Plant) -> None:
        async def begin(order_id: str) -> None:
            assert await p.order("StoreAndStart", order_id, "long.nc") == R.NO_ERROR
            await p.until(lambda: (job := p.machine._jobs.book.begun) is not None and job.order.order_id == order_id)

        await begin("A")
        assert await p.do("Resume", "A") == R.INVALID_STATE
        assert await p.do("Pause", "A") == R.NO_ERROR
        assert (await p.states(), p.state) == ({"A": "Interrupted"}, MachineState.HELD)
        await p.pass_s(2)
        assert (await p.plan())["A"] == ("Interrupted", 0)
        assert await p.do("Resume", "A") == R.NO_ERROR
        await p.pass_s(1)
        assert (await p.states(), p.state) == ({"A": "Running"}, MachineState.RUNNING)
        await p.machine.call("Hold", [])  # somebody at the machine
        await p.pass_s(1)
        assert await p.states() == {"A": "Interrupted"}
        assert await p.do("Stop", "A") == R.NO_ERROR
        assert (await p.states(), p.state) == ({"A": "Ended"}, MachineState.IDLE)
        response, _ = await p.call("RequestJobResponseByJobOrderID", "A")
        assert [row.Value.Value for row in response.JobResponseData] == [0, 2]
        assert "client" in response.Description.Text

        await begin("B")
        assert await p.order("Store", "waiting", "short.nc") == R.NO_ERROR
        assert await p.do("Abort", "B") == await p.do("Abort", "waiting") == R.NO_ERROR
        assert await p.do("Abort", "B") == R.INVALID_STATE
        assert p.state is MachineState.IDLE

        await begin("C")
        await p.machine.call("EmergencyStop", [])
        await p.pass_s(1)
        assert (await p.states())["C"] == "Aborted"
        assert await p.order("StoreAndStart", "D", "long.nc") == R.NO_ERROR
        await p.pass_s(3)
        assert (await p.states())["D"] == "AllowedToStart", "nothing starts in an emergency stop"
        await p.machine.call("Reset", [])
        await p.until(lambda: p.machine._jobs.book.begun is not None)
        await p.machine.call("Reset", [])
        await p.pass_s(2)
        assert (await p.states())["D"] == "Aborted"

        aborted, status = await p.call("RequestJobResponseByJobOrderState", ua.Variant(
            [p.types.state_class(StateText=ua.LocalizedText("Aborted"), StateNumber=6)], ua.VariantType.ExtensionObject
        ))  # fmt: skip
        assert (sorted(row.JobOrderID for row in aborted), status) == (["B", "C", "D", "waiting"], R.NO_ERROR)
        await refusals_say_why(p)

    on_a_plant(tmp_path, story)


def test_a_program_with_a_fault_is_refused_at_start_and_orders_survive_a_restart(tmp_path: Path) -> None:
    saved: list[Any] = []

    async def before(p: Plant) -> None:
        await p.node("Identification", "AssetId").write_value("M-7")
        await p.node("Identification", "ComponentName").write_value(ua.LocalizedText("Mill by the door", "en"))
        assert await p.order("Store", "bad", "bad.nc") == R.NO_ERROR
        assert await p.do("Start", "bad") == R.INVALID_REQUEST
        assert "line 3" in await p.machine._flaw("bad.nc")
        assert await p.order("StoreAndStart", "bad too", "bad.nc") == R.INVALID_REQUEST
        assert await p.states() == {"bad": "NotAllowedToStart"}
        assert await p.order("Update", "bad", "short.nc") == R.NO_ERROR
        assert await p.order("Update", "nobody", "short.nc") == await p.do("Stop", "nobody") == R.UNKNOWN_ORDER
        assert await p.order("Store", "unknown", "nothing.nc") == R.NOT_ACCEPTED
        assert await p.order("StoreAndStart", "long", "long.nc", Priority=5) == R.NO_ERROR
        await p.until(lambda: p.machine._jobs.book.begun is not None)
        assert await p.do("Start", "bad") == R.NO_ERROR
        assert await p.do("RevokeStart", "bad") == await p.do("Start", "bad") == R.NO_ERROR
        saved.append(p.kept[-1])  # what is on the disk when the answer goes out

    async def after(p: Plant) -> None:
        assert await p.states() == {"bad": "AllowedToStart", "long": "Aborted"}
        await p.until(lambda: p.machine._jobs.book.jobs["bad"].is_successful)
        assert (await p.plan())["bad"] == ("Ended", 1)
        assert await p.node("Identification", "AssetId").read_value() == "M-7"
        assert (await p.node("Identification", "ComponentName").read_value()).Text == "Mill by the door"

    on_a_plant(tmp_path / "before", before)
    on_a_plant(tmp_path / "after", after, saved[0])
