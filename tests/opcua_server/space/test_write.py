"""Ticks in, nodes out: what changes, when, under which status and time."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from asyncua import Server, ua
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnctwin.link.values import reading
from cnctwin.reading import (
    BAD_SENSOR_FAILURE,
    BAD_WAITING_FOR_INITIAL_DATA,
    UNCERTAIN_INITIAL_VALUE,
    UNCERTAIN_LAST_USABLE,
    UNCERTAIN_NO_COMMUNICATION,
    utc,
)
from nodesets.catalogue import MACHINE, RESULTS, SIGNALS
from nodesets.states import SHOWN, MachineState
from opcua_server import space
from opcua_server.sources.source import ToolState
from opcua_server.space import MachineSpace
from opcua_server.space.prognoses import USUAL_FALL

A = ua.AttributeIds
in_place = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def data_value(server: Server, node_id: ua.NodeId) -> ua.DataValue:
    return server.iserver.aspace.read_attribute_value(node_id, A.Value)


def at(machine: MachineSpace, path: str) -> ua.NodeId:
    return ua.NodeId(f"{machine.identity.machine_id}.{path}", machine.node_id.NamespaceIndex)


def value(server: Server, machine: MachineSpace, path: str) -> Any:
    return data_value(server, at(machine, path)).Value.Value


def test_a_changed_signal_shows_value_status_and_time_of_its_tick(server: Server, machine: MachineSpace, tick: Any) -> None:
    columns = tick.number("Spindle/ActSpeed", 8000.5).next()
    machine.write(columns)
    shown = data_value(server, machine.nodes["Spindle/ActSpeed"])
    assert shown.Value.Value == 8000.5
    assert shown.SourceTimestamp == utc(columns.source_time_ns)
    assert shown.ServerTimestamp is not None
    assert shown.StatusCode.is_good()


def test_an_unchanged_signal_keeps_the_time_of_its_last_change(server: Server, machine: MachineSpace, tick: Any) -> None:
    machine.write(tick.number("Coolant/Flow", 21.0).number("Simulation/Time", 1).next())
    before = data_value(server, machine.nodes["Coolant/Flow"])
    assert machine.write(tick.number("Simulation/Time", 2).next()) == 1
    assert data_value(server, machine.nodes["Coolant/Flow"]) == before


def test_all_nodes_of_a_signal_show_one_value(server: Server, machine: MachineSpace, tick: Any) -> None:
    machine.write(tick.number("Channel/FeedOverride", 85.0).next())
    paths = (
        "Monitoring.Channel1.FeedOverride", "Monitoring.MachineTool.FeedOverride",
        "CncInterface.CncChannelList.Channel1.ActOverride", "CncInterface.CncChannelList.Channel1.CmdOverride",
    )  # fmt: skip
    assert {value(server, machine, path) for path in paths} == {85.0}


def test_a_bad_status_hides_the_value_and_recovery_brings_it_back(server: Server, machine: MachineSpace, tick: Any) -> None:
    node_id = machine.nodes["Spindle/Temperature"]
    machine.write(tick.number("Spindle/Temperature", 41.0).next())
    machine.write(tick.status("Spindle/Temperature", BAD_SENSOR_FAILURE).next())
    assert data_value(server, node_id).StatusCode.value == BAD_SENSOR_FAILURE
    assert data_value(server, node_id).Value.Value is None
    machine.write(tick.status("Spindle/Temperature", UNCERTAIN_LAST_USABLE).next())
    assert data_value(server, node_id).StatusCode.value == UNCERTAIN_LAST_USABLE
    assert data_value(server, node_id).Value.Value == 41.0
    machine.write(tick.status("Spindle/Temperature", 0).next())
    assert data_value(server, node_id).StatusCode.is_good()


def test_not_a_number_from_a_broken_sensor_is_carried_by_its_status(server: Server, machine: MachineSpace, tick: Any) -> None:
    machine.write(tick.number("Spindle/ActGear", float("nan")).status("Spindle/ActGear", BAD_SENSOR_FAILURE).next())
    assert data_value(server, machine.nodes["Spindle/ActGear"]).Value.Value is None


@pytest.mark.parametrize("signal", MACHINE, ids=lambda signal: signal.name)
def test_every_signal_of_the_machine_can_be_written(server: Server, machine: MachineSpace, tick: Any, signal: Any) -> None:
    samples = {"Double": 1.5, "Boolean": 1.0, "String": "text", "String[]": ["a", "b"], "UInt32[]": [1, 2], "Double[]": [0.5]}
    sample = samples.get(signal.type, 2.0)
    if signal.is_numeric:
        columns = tick.number(signal.name, sample).next()
    else:
        columns = tick.object(signal.name, sample).next()
    machine.write(columns)
    assert data_value(server, machine.nodes[signal.name]).Value.Value == sample


@in_place
@given(
    act=st.floats(-762, 0), cmd=st.floats(-762, 0), rem=st.floats(-762, 762), motor=st.floats(-762, 0), offset=st.floats(-762, 762)
)  # fmt: skip
def test_position_structures_agree_with_their_sub_variables(
    server: Server, machine: MachineSpace, tick: Any, act: float, cmd: float, rem: float, motor: float, offset: float
) -> None:
    for name, number in (("ActPos", act), ("CmdPos", cmd), ("RemDist", rem), ("MotorPos", motor), ("ZeroOffset", offset)):
        tick.number(f"Axes/X/{name}", number)
    machine.write(tick.next())
    for path, expected in (
        ("CncInterface.CncAxisList.X.PosDirect", (act, cmd, rem)),
        ("CncInterface.CncAxisList.X.PosIndirect", (motor, cmd, rem)),
        ("CncInterface.CncChannelList.Channel1.PosTcpBcsX", (act, cmd, rem)),
        ("CncInterface.CncChannelList.Channel1.PosTcpWcsX", (act - offset, cmd - offset, rem)),
    ):
        structure = value(server, machine, path)
        assert (structure.ActPos, structure.CmdPos, structure.RemDist) == expected
        parts = tuple(value(server, machine, f"{path}.{member}") for member in ("ActPos", "CmdPos", "RemDist"))
        assert parts == expected


def test_the_tool_tip_is_below_the_spindle_by_the_tools_length(server: Server, machine: MachineSpace, tick: Any) -> None:
    machine.write_tools([tool(1, in_spindle=True)])
    machine.write(tick.number("Axes/Z/ActPos", -100.0).number("Axes/Z/ZeroOffset", -300.0).next())
    channel = "CncInterface.CncChannelList.Channel1"
    assert value(server, machine, f"{channel}.PosTcpBcsZ.ActPos") == -220.0
    assert value(server, machine, f"{channel}.PosTcpWcsZ.ActPos") == 80.0
    machine.write_tools([tool(1, in_spindle=False)])


@in_place
@given(states=st.lists(st.sampled_from(MachineState), min_size=1, max_size=8))
def test_state_machines_follow_the_one_machine_state(
    server: Server, machine: MachineSpace, tick: Any, states: list[MachineState]
) -> None:
    aspace = server.iserver.aspace
    program = None
    for state in states:
        machine.write(tick.number("Machine/State", float(state)).next())
        row = SHOWN[state]
        program = row.program if row.program is not None else program
        for path, expected in (
            ("MachineryBuildingBlocks.MachineryItemState", row.item),
            ("MachineryBuildingBlocks.MachineryOperationMode", row.mode),
            ("Production.ActiveProgram.State", program),
        ):
            if expected is None:
                continue
            text = value(server, machine, f"{path}.CurrentState").Text
            named = aspace[value(server, machine, f"{path}.CurrentState.Id")].attributes[A.BrowseName].value.Value.Value.Name
            assert text == named == expected.name.title().replace("_", "")
            assert value(server, machine, f"{path}.CurrentState.Number") == expected.value
            last = value(server, machine, f"{path}.LastTransition.Id")
            ends = [r.BrowseName.Name for r in aspace[last].references if r.ReferenceTypeId == ua.NodeId(52, 0)]
            assert ends == [text]
        assert value(server, machine, "Monitoring.MachineTool.OperationMode") == row.tool_mode
        modes = {
            name: value(server, machine, f"Monitoring.Stacklight.{name}.SignalMode") for name in ("Red", "Yellow", "Green", "Blue")
        }
        assert {name for name, mode in modes.items() if mode} == ({row.lamp} if row.blinking else set())


def test_counters_are_shown_in_the_units_of_the_official_model(server: Server, machine: MachineSpace, tick: Any) -> None:
    tick.number("Machine/PowerOnDuration", 2.5).number("Machine/OperationDuration", 1.0)
    machine.write(tick.number("Machine/OperationCycleCounter", 7).number("Machine/PartsProduced", 3).next())
    counters = "MachineryBuildingBlocks.OperationCounters"
    assert value(server, machine, f"{counters}.PowerOnDuration") == 9_000_000.0
    assert value(server, machine, f"{counters}.OperationDuration") == 3_600_000.0
    assert value(server, machine, f"{counters}.OperationCycleCounter") == 7
    assert value(server, machine, f"{counters}.PartsProducedInLifetime") == 3
    assert value(server, machine, "Production.Statistics.PartsProducedInLifetime") == 3
    assert value(server, machine, "Monitoring.MachineTool.PowerOnDuration") == 2


def test_prognoses_of_the_machine_follow_its_run_and_its_coolant(server: Server, machine: MachineSpace, tick: Any) -> None:
    end, refill = "Notification.Prognoses.CurrentJobEnd", "Notification.Prognoses.CoolantRefill"

    def shown(name: str) -> ua.DataValue:
        return data_value(server, ua.NodeId(f"CNC-001.{name}.PredictedTime", machine.node_id.NamespaceIndex))

    columns = tick.number("Channel/RemainingTime", 0.0).number("Coolant/Level", 80.0).next()
    columns.source_time_ns += 60_000_000_000
    machine.write(columns)
    hours = 18.0 / USUAL_FALL  # 80 % down to 62 %, at what is usual until it has been seen
    assert abs(shown(refill).Value.Value - utc(tick.columns.source_time_ns) - timedelta(hours=hours)) < timedelta(seconds=2)
    machine.show_job_end("A", 2)
    tick.number("Channel/RemainingTime", 100.0).number("Machine/LastCycleTime", 250.0)
    for minute in range(40):  # 0.3 % a minute: 62 % is an hour from the first one
        columns = tick.number("Coolant/Level", 80.0 - 0.3 * minute).next()
        columns.source_time_ns += 60_000_000_000
        machine.write(columns)
    moment = utc(tick.columns.source_time_ns)
    assert abs(shown(end).Value.Value - moment - timedelta(seconds=600)) <= timedelta(seconds=1)
    assert abs(shown(refill).Value.Value - moment - timedelta(minutes=21)) < timedelta(minutes=2)
    assert value(server, machine, f"{end}.SourceIdentifier") == "A"
    said = shown(end)
    columns = tick.number("Coolant/Level", 93.0).number("Channel/RemainingTime", 0.0).next()
    columns.source_time_ns += 60_000_000_000
    machine.write(columns)
    assert shown(end) == said, "the order goes on with its next run"
    filled = timedelta(hours=31.0 / USUAL_FALL)
    assert abs(shown(refill).Value.Value - utc(columns.source_time_ns) - filled) < timedelta(seconds=2), "it was filled up"
    machine.show_job_end("", 0)
    ended = tick.next()
    machine.write(ended)
    machine.write(tick.next())
    assert (shown(end).Value.Value, value(server, machine, f"{end}.SourceIdentifier")) == (utc(ended.source_time_ns - 10**8), "A")


def tool(number: int, **more: Any) -> ToolState:
    rows: dict[str, Any] = {
        "number": number, "name": "End mill 10", "kind": "end_mill", "diameter": 10.0, "teeth": 4, "length": 120.0,
        "wear_percent": 12.0, "cutting_time": 4.0, "life": 60.0, "in_spindle": False, "locked": False,
    }  # fmt: skip
    return ToolState(**(rows | more))


def test_tools_show_life_wear_place_and_why_they_are_locked(server: Server, machine: MachineSpace) -> None:
    used = {"uses": 7, "cut_m": 12.5, "last_used_ns": 1_790_000_000_000_000_000, "planned": True}
    machine.write_tools(
        [
            tool(3, in_spindle=True, **used),
            tool(4, locked=True),
            tool(5, locked=True, cutting_time=61.0),
            tool(6, locked=True, broken=True),
        ]
    )
    tools = "Equipment.Tools"
    assert value(server, machine, f"{tools}.T3.ToolLife.CuttingTime") == pytest.approx(4.0 / 60.0)
    assert value(server, machine, f"{tools}.T3.ToolLife.CuttingTime.EngineeringUnits").DisplayName.Text == "h"
    assert value(server, machine, f"{tools}.T3.ToolLife.CuttingTime.LimitValue") == 1.0
    assert value(server, machine, f"{tools}.T3.ToolLife.CuttingTime.WarningValue") == 0.9
    assert value(server, machine, f"{tools}.T3.ToolLife.Usages") == 7
    assert value(server, machine, f"{tools}.T3.ToolLife.CuttingDistance") == 12.5
    assert value(server, machine, f"{tools}.T3.LastUsage") == utc(1_790_000_000_000_000_000)
    assert value(server, machine, f"{tools}.T3.PlannedForOperating")
    assert value(server, machine, f"{tools}.T4.LastUsage").year == 1601
    assert value(server, machine, f"{tools}.T3.Location.Name") == "Spindle"
    assert value(server, machine, f"{tools}.T4.Location.Name") == "Magazine"
    assert value(server, machine, f"{tools}.T3.Length") == 120.0
    assert value(server, machine, f"{tools}.T3.Radius") == 5.0
    for name in ("LengthWear", "RadiusWear"):  # 12 % of 0.3 mm of flank wear, at a clearance angle of 7 degrees
        assert value(server, machine, f"{tools}.T3.{name}") == pytest.approx(0.036 * 0.12278, rel=1e-3)
    assert value(server, machine, "Notification.Prognoses.NextToolChange.ToolIdentifier") == "T3"
    reasons = [value(server, machine, f"{tools}.T{number}.Locked.ReasonForLocking") for number in (3, 4, 5, 6)]
    assert reasons == [0, 1, 3, 2]
    machine.write_tools([tool(3, cutting_time=5.0)])
    assert value(server, machine, f"{tools}.T3.ToolLife.CuttingTime") == pytest.approx(5.0 / 60.0)
    assert value(server, machine, f"{tools}.T3.Location.Name") == "Magazine"


def test_results_wait_then_turn_uncertain_but_keep_value_and_time(server: Server, machine: MachineSpace) -> None:
    for signal in RESULTS:
        first = data_value(server, machine.result_nodes[signal.name])
        assert (first.StatusCode.value, first.Value.VariantType.name) == (UNCERTAIN_INITIAL_VALUE, signal.type)
        item, _ = reading(signal.name, first, 0)
        assert (item.value, item.status) == (None, BAD_WAITING_FOR_INITIAL_DATA), "our own clients hear that it is waited for"
    node_id = machine.result_nodes["Analytics/AnomalyScore"]
    other = machine.result_nodes["Analytics/ToolRul"]
    moment = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
    written = ua.DataValue(ua.Variant(0.25, ua.VariantType.Double), SourceTimestamp=moment)
    asyncio.run(server.iserver.aspace.write_attribute_value(node_id, A.Value, written))
    machine.set_results_status(UNCERTAIN_NO_COMMUNICATION)
    shown = data_value(server, node_id)
    assert (shown.Value.Value, shown.StatusCode.value, shown.SourceTimestamp) == (0.25, UNCERTAIN_NO_COMMUNICATION, moment)
    waits = data_value(server, other)
    assert waits.StatusCode.value == UNCERTAIN_INITIAL_VALUE
    assert math.isnan(waits.Value.Value), "no number that nobody worked out"


def test_a_machine_id_can_be_used_once(server: Server, machine: MachineSpace) -> None:
    with pytest.raises(ValueError, match="CNC-001 exists already"):
        space.build(server, [machine.identity])


def test_one_tick_reaches_a_subscriber_in_one_notification(running: Any, tick: Any) -> None:
    names = ("Axes/X/ActPos", "Axes/Y/ActPos", "Axes/Z/ActPos", "Spindle/ActSpeed", "Channel/ActProgramName", "Power/Total")

    async def check() -> None:
        async with running() as run:
            machine = run.spaces["CNC-001"]
            machine.write(tick.next())
            arrived: asyncio.Queue[list[ua.DataValue]] = asyncio.Queue()

            class Handler:
                def datachange_notification(self, *_: Any) -> None: ...

            subscription = await run.client.create_subscription(50, Handler())
            publish = subscription.publish_callback

            async def spy(result: ua.PublishResult) -> None:
                items = [
                    item.Value
                    for part in result.NotificationMessage.NotificationData or []
                    if isinstance(part, ua.DataChangeNotification)
                    for item in part.MonitoredItems
                ]
                if items:
                    arrived.put_nowait(items)
                await publish(result)

            run.client.uaclient._subscription_callbacks[subscription.subscription_id] = spy
            await subscription.subscribe_data_change([run.client.get_node(machine.nodes[name]) for name in names])
            await arrived.get()
            for number, name in enumerate(names):
                if name == "Channel/ActProgramName":
                    tick.object(name, "O1000")
                else:
                    tick.number(name, -1.0 - number)
            columns = tick.next()
            machine.write(columns)
            items = await arrived.get()
            assert len(items) == len(names)
            assert {item.SourceTimestamp for item in items} == {utc(columns.source_time_ns)}

    asyncio.run(check())


def test_a_hundred_ticks_leave_the_last_one_shown(server: Server, machine: MachineSpace, tick: Any) -> None:
    random = np.random.default_rng(7)
    for _ in range(100):
        columns = tick.next()
        columns.numbers[1:] = random.integers(0, 100, len(columns.numbers) - 1)
        machine.write(columns)
    numeric = [signal for signal in SIGNALS if signal.access != "result" and signal.is_numeric]
    shown = [float(data_value(server, machine.nodes[signal.name]).Value.Value) for signal in numeric]
    expected = [float(bool(n)) if s.type == "Boolean" else n for s, n in zip(numeric, columns.numbers.tolist(), strict=True)]
    assert shown == expected
