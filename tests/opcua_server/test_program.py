"""The server program: machines run, fail alone, keep their state; what is wrong is one line before anything listens."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.uaerrors import BadInvalidArgument, BadInvalidState, BadNotFound

from cnctwin.errors import ConfigurationError, StartError
from cnctwin.program import Status
from cnctwin.settings import Settings
from opcua_server.program import serve, simulated
from opcua_server.sources.source import SourceEvent
from tests.harness import free_ports, wait_for
from tests.opcua_server.bench import Bench, ScriptedSource, machine, running

RESULT = "Analytics/AnomalyScore"


def run(coroutine: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine(), 60))  # type: ignore[arg-type]


def until_read(bench: Bench, name: str, is_right: Callable[[Any], bool], machine_id: str = "CNC-001") -> Any:
    """Read a signal until it is right."""

    async def watch() -> Any:
        async with bench.client() as client:
            node = await (await machine(client, machine_id)).signal(name)
            while not is_right(value := await node.read_data_value(raise_on_bad_status=False)):
                await asyncio.sleep(0.02)
            return value

    return run(watch)


def test_simulated_machine_cuts_a_program_from_the_start_and_stores_programs(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", speed=10.0)
    with running(tmp_path, simulated(settings), machines=2, speed=10.0) as bench:
        assert (bench.status.facts["machines"], bench.status.facts["url"]) == (2, bench.settings.endpoint)
        until_read(bench, "Axes/X/ActVelocity", lambda value: abs(value.Value.Value) > 10.0)
        until_read(bench, "Machine/State", lambda value: value.Value.Value in (2, 3), "CNC-002")

        async def commands() -> None:
            async with bench.client("engineer") as client:
                mill = await machine(client)
                await mill.call("Stop")
                await _when_allowed(mill, "LoadProgramText", "mine.nc", "%\nO7\nG21 G90\nG1 X1. F100\nM30\n%")
                assert (bench.settings.data / "programs" / "mine.nc").read_text("utf-8").startswith("%\nO7")
                other = await machine(client, "CNC-002")
                await other.call("Stop")
                await _when_allowed(other, "LoadProgram", "mine.nc")
                for bad in ("../escape.nc", "/etc/passwd", ".hidden", "a/b", "", "x" * 65, "con\x00trol"):
                    with pytest.raises(BadInvalidArgument):
                        await mill.call("LoadProgramText", bad, "M30")
                with pytest.raises(BadInvalidArgument):
                    await mill.call("LoadProgramText", "binary.nc", "M30\x00\x01")
                with pytest.raises(BadNotFound):
                    await mill.call("LoadProgram", "nobody.nc")

        run(commands)
        until_read(bench, "Channel/ActMainProgramName", lambda value: value.Value.Value == "mine.nc", "CNC-002")


def test_a_recording_is_served_as_if_it_were_the_machine_and_takes_no_commands(tmp_path: Path) -> None:
    from opcua_server.sources.recording import record
    from opcua_server.sources.simulated import SimulatedSource

    kept = record(SimulatedSource("CNC-001", 1, program="contour.nc"), 12.0)
    kept.save(tmp_path / "run.npz")
    with running(tmp_path, simulated(Settings(data=tmp_path / "data", replay=tmp_path / "run.npz"))) as bench:
        until_read(bench, "Machine/State", lambda value: value.Value.Value == 3)
        until_read(bench, "Channel/ActMainProgramName", lambda value: value.Value.Value == "contour.nc")

        async def start() -> None:
            async with bench.client("operator") as client:
                with pytest.raises(BadInvalidState):
                    await (await machine(client)).call("Hold")

        run(start)
    assert not list(tmp_path.rglob("CNC-001*.json"))
    (tmp_path / "run.npz").write_bytes(b"G0 X0")
    with pytest.raises(ConfigurationError, match=r"run\.npz is no recording"):
        simulated(Settings(data=tmp_path / "data", replay=tmp_path / "run.npz"))


def test_without_ground_truth_severities_are_not_readable_and_names_still_are(tmp_path: Path) -> None:
    with running(tmp_path, simulated(Settings(data=tmp_path / "data", ground_truth=False))) as bench:
        until_read(bench, "Simulation/FaultSeverities", lambda value: value.StatusCode.value == ua.StatusCodes.BadNotReadable)
        until_read(bench, "Simulation/FaultNames", lambda value: "coolant" in (value.Value.Value or []))


async def _when_allowed(mill: Any, method: str, *arguments: Any) -> None:
    """Call until the machine stands: a stop brakes first."""
    while True:
        try:
            await mill.call(method, *arguments)
            return
        except BadInvalidState:
            await asyncio.sleep(0.05)


def test_bad_program_puts_its_machine_into_alarm_and_leaves_the_server_up(tmp_path: Path) -> None:
    program = tmp_path / "bad.nc"
    program.write_text("%\nO1\nG21 G90 G17\nG777 X1.\nM30\n%\n", "utf-8")
    settings = Settings(data=tmp_path / "data", program=program)
    with running(tmp_path, simulated(settings), program=program) as bench:
        until_read(bench, "Machine/State", lambda value: value.Value.Value == 6)
        wait_for(lambda: bench.status.state == "ready", "the server is up, on a busy machine too")


def test_source_times_are_whole_periods_apart(tmp_path: Path) -> None:
    with running(tmp_path, period=0.05) as bench:

        async def watch() -> list[Any]:
            seen: list[Any] = []
            async with bench.client() as client:
                node = await (await machine(client)).signal("Axes/X/ActPos")
                while len(seen) < 8:
                    value = await node.read_data_value()
                    if not seen or seen[-1] != value.SourceTimestamp:
                        seen.append(value.SourceTimestamp)
                    await asyncio.sleep(0.005)
            return seen

        times = run(watch)
        gaps_us = [round((b - a).total_seconds() * 1e6) for a, b in itertools.pairwise(times)]
        assert all(gap % 50_000 in (0, 1, 49_999) for gap in gaps_us), gaps_us
        assert set(bench.sources["CNC-001"].dt_s) == {0.05}


def test_machine_that_fails_goes_out_of_service_alone_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opcua_server.run.machine.FIRST_RETRY_S", 0.2)
    with running(tmp_path, machines=2) as bench:
        bench.sources["CNC-001"].failure = RuntimeError("broken on purpose")
        bad = until_read(bench, "Axes/X/ActPos", lambda value: value.StatusCode.is_bad())
        assert bad.StatusCode.name == "BadOutOfService"
        why = "CNC-001 is out of service: RuntimeError: broken on purpose"
        wait_for(lambda: bench.status.state == "degraded" and why in bench.status.reason, "the server says so")

        async def command() -> None:
            async with bench.client("operator") as client:
                with pytest.raises(BadInvalidState):
                    await (await machine(client)).call("Hold")
                await (await machine(client, "CNC-002")).call("Hold")

        run(command)
        steps = bench.sources["CNC-002"].steps
        wait_for(lambda: bench.sources["CNC-002"].steps > steps + 3, "the other machine goes on")
        bench.sources["CNC-001"].failure = None
        assert until_read(bench, "Axes/X/ActPos", lambda value: value.StatusCode.is_good()).Value.Value > 0
        wait_for(lambda: bench.status.state == "ready", "the server is whole again")


def test_machine_that_fails_among_those_it_goes_in_step_with_goes_out_of_service_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opcua_server.run.machine.FIRST_RETRY_S", 0.2)
    make, made, repaired = simulated(Settings(data=tmp_path / "data")), {}, threading.Event()

    def fail(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    def make_source(machine_id: str, state: Any) -> Any:
        if machine_id in made and not repaired.is_set():
            fail()
        made[machine_id] = source = make(machine_id, state)
        return source

    with running(tmp_path, make_source, machines=3) as bench:
        wait_for(lambda: made["CNC-003"].machine.block > 5, "the machines go in step")
        made["CNC-002"].machine.controller.step = fail
        why = "CNC-002 is out of service: RuntimeError: broken on purpose"
        wait_for(lambda: bench.status.state == "degraded" and why in bench.status.reason, "the server says so")
        assert "CNC-001" not in bench.status.reason
        assert "CNC-003" not in bench.status.reason
        blocks = made["CNC-003"].machine.block
        wait_for(lambda: made["CNC-003"].machine.block > blocks + 5, "the others go on")
        repaired.set()
        wait_for(lambda: "step" not in vars(made["CNC-002"].machine.controller), "another takes its place")
        wait_for(lambda: made["CNC-002"].machine.block > 5, "it goes on")
        wait_for(lambda: why not in bench.status.reason, "the server is whole again")


def test_results_of_a_writer_that_left_are_uncertain(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        never = until_read(bench, "Analytics/RuleScore", lambda _: True)
        assert never.StatusCode.name == "UncertainInitialValue"

        async def write() -> Any:
            async with bench.client("analytics") as client:
                node = await (await machine(client)).own(RESULT)
                await node.write_value(ua.DataValue(ua.Variant(), ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)))
                waits = await node.read_data_value(raise_on_bad_status=False)
                assert waits.StatusCode.name == "UncertainInitialValue", "what waits is nothing bad"
                assert math.isnan(waits.Value.Value)
                await node.write_value(0.5)
                return await node.read_data_value()

        written = run(write)
        assert written.StatusCode.is_good()
        left = until_read(bench, RESULT, lambda value: not value.StatusCode.is_good())
        assert left.StatusCode.name == "UncertainLastUsableValue"
        assert (left.Value.Value, left.SourceTimestamp) == (0.5, written.SourceTimestamp)
        still = until_read(bench, "Analytics/RuleScore", lambda _: True)
        assert still.StatusCode.name == "UncertainInitialValue"
        assert run(write).StatusCode.is_good(), "who comes back is Good again"


def test_state_survives_a_restart_and_a_damaged_one_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    alarms = tmp_path / "data" / "alarms" / "CNC-001.json"
    with running(tmp_path) as bench:
        wait_for(lambda: bench.sources["CNC-001"].steps > 3, "some steps")
        bench.sources["CNC-001"].events.append(SourceEvent("alarm", time.time_ns(), 700, "PS0010", "improper G code"))
        wait_for(lambda: alarms.exists() and "PS0010" in alarms.read_text("utf-8"), "the alarm is on disk while the server runs")
    steps = bench.sources["CNC-001"].steps
    path = bench.settings.data / "server" / "CNC-001.json"
    assert json.loads(path.read_text("utf-8"))["state"]["steps"] == steps
    with running(tmp_path) as again:
        assert again.sources["CNC-001"].steps >= steps
        until_read(again, "Machine/AlarmCount", lambda value: value.StatusCode.is_good())
        wait_for(lambda: '"level": null' in alarms.read_text("utf-8"), "the control shows it no longer, nobody has seen it yet")
    path.write_text(path.read_text("utf-8")[:-20], "utf-8")
    with caplog.at_level(logging.WARNING), running(tmp_path) as fresh:
        assert fresh.sources["CNC-001"].steps < steps
    assert len([line for line in caplog.messages if "CNC-001 starts fresh" in line]) == 1
    assert path.with_name("CNC-001.unreadable-1.json").exists()


def test_state_that_the_machine_does_not_take_is_set_aside(tmp_path: Path) -> None:
    def picky(machine_id: str, state: Mapping[str, object] | None) -> ScriptedSource:
        if state is not None:
            raise ValueError("state of another version")
        return ScriptedSource(machine_id)

    with running(tmp_path):
        pass
    with running(tmp_path, picky) as bench:
        assert (bench.settings.data / "server" / "CNC-001.unreadable-1.json").exists()


def start(settings: Settings) -> None:
    async def attempt() -> None:
        await asyncio.wait_for(serve(settings, Status("server")), 30)

    asyncio.run(attempt())


def test_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} on 127.0.0.1 is in use"):
            start(Settings(data=tmp_path, opcua_port=port))


def test_bad_program_file_and_bad_certificate_are_one_line(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    with pytest.raises(ConfigurationError, match=r"missing\.nc: No such file or directory; name an NC"):
        start(Settings(data=tmp_path, opcua_port=port, program=tmp_path / "missing.nc"))
    (tmp_path / "binary.nc").write_bytes(bytes(range(256)))
    with pytest.raises(ConfigurationError, match="no NC program"):
        start(Settings(data=tmp_path, opcua_port=port, program=tmp_path / "binary.nc"))
    own = tmp_path / "pki" / "server" / "own"
    own.mkdir(parents=True)
    (own / "cert.der").write_bytes(b"torn")
    (own / "key.pem").write_bytes(b"torn")
    with pytest.raises(ConfigurationError, match=r"cert\.der: is no certificate"):
        start(Settings(data=tmp_path, opcua_port=port))
    assert (own / "cert.der").read_bytes() == b"torn"


def test_server_says_what_it_is_and_leaves_nothing_null(tmp_path: Path) -> None:
    with running(tmp_path) as bench:

        async def look() -> tuple[dict[str, Any], list[str]]:
            async with bench.client() as client:
                build = await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_BuildInfo)).read_value()
                limits = client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits))
                values = {(await node.read_browse_name()).Name: await node.read_value() for node in await limits.get_children()}
                empty = []
                for name, number in vars(ua.ObjectIds).items():
                    if name.startswith("Server_"):
                        value = await client.get_node(ua.NodeId(number)).read_data_value(raise_on_bad_status=False)
                        if value.StatusCode.is_good() and value.Value.Value is None:
                            empty.append(name)
                flag = client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerDiagnostics_EnabledFlag))
                values["level"] = (await flag.read_attribute(ua.AttributeIds.AccessLevel)).Value.Value
                zone = await client.get_node(ua.NodeId(ua.ObjectIds.Server_LocalTime)).read_value()
                values["offset"] = zone.Offset
                told = await client.get_node(ua.NodeId(ua.ObjectIds.TimeZoneDataType)).read_data_type_definition()
                values["zone"] = [field.Name for field in told.Fields]
                return {"product": build.ProductName, "maker": build.ManufacturerName, **values}, empty

        said, empty = run(look)
        assert said["level"] == 3, "administrators switch diagnostics off"
        assert said["offset"] == time.localtime().tm_gmtoff // 60
        assert said["zone"] == ["Offset", "DaylightSavingInOffset"]
        assert "MaxNodesPerNodeManagement" not in said, "nobody adds nodes"
        assert (said["product"], said["maker"]) == ("cnctwin server", "cnctwin")
        assert said["MaxNodesPerRead"] == 10_000
        assert empty == []


def test_events_of_a_machine_reach_subscribers(tmp_path: Path) -> None:
    class Seen:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def event_notification(self, event: Any) -> None:
            self.texts.append(event.Message.Text)

    with running(tmp_path) as bench:

        async def listen() -> list[str]:
            seen = Seen()
            async with bench.client() as client:
                subscription = await client.create_subscription(50, seen)
                await subscription.subscribe_events()
                bench.sources["CNC-001"].events.append(
                    SourceEvent("alarm", 1_800_000_000_000_000_000, 700, "PS0010", "improper G code")
                )
                while not seen.texts:
                    await asyncio.sleep(0.02)
                await subscription.delete()
            return seen.texts

        assert "improper G code" in run(listen)[0]


MODEL = """<?xml version="1.0" encoding="utf-8"?>
<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd">
<NamespaceUris><Uri>urn:user:robot</Uri></NamespaceUris>
<Models><Model ModelUri="urn:user:robot" Version="1.0" PublicationDate="2026-01-01T00:00:00Z"/></Models>
<UAObject NodeId="ns=1;i=1" BrowseName="1:Robot"><DisplayName>Robot</DisplayName><References>
<Reference ReferenceType="i=40">i=58</Reference>
<Reference ReferenceType="i=35" IsForward="false">i=85</Reference></References></UAObject>
</UANodeSet>
"""


def test_a_model_of_the_users_own_is_served_beside_ours_and_a_broken_one_refused_in_one_line(tmp_path: Path) -> None:
    async def look(bench: Bench) -> str:
        async with bench.client() as client:
            namespace = (await client.get_namespace_array()).index("urn:user:robot")
            robot = await client.nodes.objects.get_child(f"{namespace}:Robot")
            return str((await robot.read_display_name()).Text)

    path = tmp_path / "robot.xml"
    path.write_text(MODEL, "utf-8")
    with running(tmp_path, model=path) as bench:
        assert asyncio.run(look(bench)) == "Robot"
    path.write_text(MODEL.replace("i=58", "ns=1;i=2"), "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        start(Settings(data=tmp_path / "other", opcua_port=free_ports(1)[0], model=path))
    assert list(caught.value.problems) == [f"NodeSets: {path}:6: UAObject ns=1;i=1: its type ns=1;i=2 exists nowhere"]
    path.write_text(MODEL.replace("urn:user:robot", "urn:cnctwin:machine:CNC-001"), "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        start(Settings(data=tmp_path / "other", opcua_port=free_ports(1)[0], model=path))
    assert list(caught.value.problems) == [f"NodeSets: {path}:4: the model urn:cnctwin:machine:CNC-001 is loaded already"]
