"""The link against a server that is killed, moved, stopped and started again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client
from typer.testing import CliRunner

from certs.commands import app
from cnctwin.link import Link, LinkAlarm, LinkSettings, MethodFailed, lookout
from cnctwin.link.connect import clock_ahead_s, clock_off
from cnctwin.reading import BAD_SENSOR_FAILURE, BAD_WAITING_FOR_INITIAL_DATA, UNCERTAIN_NO_COMMUNICATION, Batch, Reading
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from nodesets.binding import Bound

ALL = {
    "Spindle/ActSpeed",
    "Spindle/Temperature",
    "Tool/Number",
    "Channel/ActProgramName",
    "Tool/InCut",
    "Analytics/AnomalyScore",
    "Analytics/Explanation",
}
Eventually = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def linked(settings: LinkSettings, bind: Any) -> AsyncIterator[tuple[Link, list[Batch]]]:
    """A running link and everything it hands out."""
    link = Link(settings, bind=bind)
    seen: list[Batch] = []

    async def read() -> None:
        async for batch in link.batches():
            seen.append(batch)

    tasks = [asyncio.create_task(link.run()), asyncio.create_task(read())]
    try:
        yield link, seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def settings(small: Any, tmp_path: Path, **changes: Any) -> LinkSettings:
    whole: dict[str, Any] = {"publishing_interval": 0.05, "max_age": 1.0, "insecure": True, **changes}
    return LinkSettings(small.url, "test", tmp_path, **whole)


def test_the_first_batch_of_each_machine_holds_all_its_signals_and_later_ones_what_changed(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start("--machines", "M1,M2")

    async def scenario() -> None:
        async with linked(settings(small, tmp_path), bind) as (link, seen):
            await eventually(lambda: len(seen) == 2)
            assert {batch.machine_id for batch in seen} == {"M1", "M2"}
            assert all({item.signal for item in batch} == ALL for batch in seen)
            assert all(item.is_good and batch.gap is None for batch in seen for item in batch)
            assert link.machines["M1"].manufacturer == "Small"
            small.tell(f"set M1 Spindle/Temperature 31 {BAD_SENSOR_FAILURE:#x}")
            await eventually(lambda: len(seen) == 3)
            (item,) = seen[2]
            assert (item.signal, item.value, item.status) == ("Spindle/Temperature", None, BAD_SENSOR_FAILURE)
            assert link.latest("M1")["Spindle/ActSpeed"].is_good
            late = link.batches("M2", ["Tool/Number"])
            first = await anext(late)
            assert [(item.signal, item.value) for item in first] == [("Tool/Number", 3)]

    asyncio.run(scenario())


def test_a_killed_server_leaves_uncertain_values_with_their_time_and_its_return_brings_a_full_snapshot(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start()

    async def scenario() -> None:
        async with linked(settings(small, tmp_path), bind) as (link, seen):
            await eventually(lambda: seen)
            before = {item.signal: item for item in seen[0]}
            small.kill()
            await eventually(lambda: len(seen) == 2)
            lost = {item.signal: item for item in seen[1]}
            assert all(item.status == UNCERTAIN_NO_COMMUNICATION for item in lost.values())
            assert {name: (item.value, item.source_time_ns) for name, item in lost.items()} == {
                name: (item.value, item.source_time_ns) for name, item in before.items()
            }
            assert link.state == "lost"
            assert link.reason
            with pytest.raises(ConnectionError):
                await link.call("M1", "SetFeedOverride", [100.0])
            # Back with other namespace indices: nothing may rest on NodeIds of before.
            await asyncio.to_thread(small.start, "--shift", "2", "--machines", "M1,M2")
            await eventually(lambda: len(seen) == 4)
            assert {batch.machine_id for batch in seen[2:]} == {"M1", "M2"}
            back = next(batch for batch in seen[2:] if batch.machine_id == "M1")
            assert {item.signal for item in back} == ALL
            assert all(item.is_good for item in back)
            assert back.gap
            assert link.state == "connected"
            assert link.reconnects == 1

    asyncio.run(scenario())


def test_a_server_that_falls_silent_is_noticed_by_the_age_of_its_data(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start()

    async def scenario() -> None:
        async with linked(settings(small, tmp_path), bind) as (link, seen):
            await eventually(lambda: seen)
            small.tell("hang 3")
            await eventually(lambda: len(seen) == 2)
            assert link.state == "lost"
            assert all(item.quality == "Uncertain" for item in seen[-1])
            await eventually(lambda: link.state == "connected" and len(seen) == 3)
            assert all(item.is_good for item in seen[-1])

    asyncio.run(scenario())


def test_an_idle_server_keeps_its_data_current_by_keep_alives(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start()

    async def scenario() -> None:
        async with linked(settings(small, tmp_path, max_age=0.6), bind) as (link, seen):
            await eventually(lambda: seen)
            loop = asyncio.get_running_loop()
            started = loop.time()
            await eventually(lambda: loop.time() > started + 2.0)
            assert link.state == "connected"
            assert len(seen) == 1

    asyncio.run(scenario())


def test_results_are_written_with_their_status_and_time_and_commands_reach_the_machine(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start()
    when = 1_700_000_000_123_456_000

    async def scenario() -> None:
        async with linked(settings(small, tmp_path), bind) as (link, seen):
            await eventually(lambda: seen)
            waiting = Reading("Analytics/Explanation", None, BAD_WAITING_FOR_INITIAL_DATA, when, when)
            await link.write("M1", [Reading("Analytics/AnomalyScore", 0.7, 0x40900000, when, when), waiting])
            latest = link.latest
            await eventually(lambda: latest("M1")["Analytics/AnomalyScore"].value == 0.7)
            score = latest("M1")["Analytics/AnomalyScore"]
            assert (score.status, score.source_time_ns) == (0x40900000, when)
            await eventually(lambda: latest("M1")["Analytics/Explanation"].status == BAD_WAITING_FOR_INITIAL_DATA)
            await link.call("M1", "SetFeedOverride", [120])
            await eventually(lambda: latest("M1")["Spindle/ActSpeed"].value == 120.0)
            with pytest.raises(MethodFailed) as refused:
                await link.call("M1", "SetFeedOverride", [200.0])
            assert refused.value.name == "BadOutOfRange", "a server that says no more than that"
            with pytest.raises(MethodFailed, match="SetFeedOverride: refused: not possible in the machine's present state"):
                await link.call("M1", "SetFeedOverride", [-1.0])
            with pytest.raises(MethodFailed) as missing:
                await link.call("M1", "SetFeedOverride")
            assert missing.value.name == "BadArgumentsMissing"
            with pytest.raises(MethodFailed) as read_only:
                await link.write("M1", [Reading("Spindle/ActSpeed", 1.0, 0, when, when)])
            assert read_only.value.name in ("BadUserAccessDenied", "BadNotWritable")
            with pytest.raises(KeyError):
                await link.call("M1", "Start")
            with pytest.raises(KeyError):
                await link.write("M9", [])

    asyncio.run(scenario())


def test_an_event_arrives_as_an_alarm_of_its_machine(small: Any, bind: Any, eventually: Eventually, tmp_path: Path) -> None:
    small.start("--machines", "M1,M2")

    async def scenario() -> None:
        async with linked(settings(small, tmp_path), bind) as (link, seen):
            alarms = link.alarms()
            found: list[LinkAlarm] = []

            async def read() -> None:
                async for alarm in alarms:
                    found.append(alarm)

            task = asyncio.create_task(read())
            await eventually(lambda: len(seen) == 2)
            small.tell("event M2 Overtravel")
            await eventually(lambda: found)
            task.cancel()
            assert (found[0].machine_id, found[0].text, found[0].severity) == ("M2", "Overtravel", 700)

    asyncio.run(scenario())


def test_a_wrong_password_is_told_and_the_login_of_our_own_server_is_told_to_no_other(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start("--password", "right")

    async def scenario() -> None:
        async with linked(settings(small, tmp_path, user="analytics", password="wrong"), bind) as (link, _):
            await eventually(lambda: "user analytics or the password is refused; give opcua_user" in link.reason)
            assert link.state == "connecting"
        async with linked(settings(small, tmp_path, user="analytics", password="right", is_own_login=True), bind) as (link, _):
            await eventually(lambda: "anonymous users are refused; give opcua_user" in link.reason)

    asyncio.run(scenario())


def test_a_login_that_is_set_goes_before_the_program_s_own(tmp_path: Path) -> None:
    Vault(tmp_path).ensure()
    own = LinkSettings.of(Settings(data=tmp_path), "gateway", 0.1)
    assert (own.user, own.is_own_login) == ("gateway", True)
    given = LinkSettings.of(Settings(data=tmp_path, opcua_user="scada", opcua_password="p"), "gateway", 0.1)
    assert (given.user, given.password, given.is_own_login) == ("scada", "p", False)


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [(0.0, ""), (-3600.0, "3600 s behind ours"), (3600.0, "3600 s ahead of ours")],
    ids=["right", "late", "early"],
)
def test_a_clock_that_is_off_is_told(ahead_s: float, said: str) -> None:
    class Server:
        def get_node(self, _node: Any) -> Server:
            return self

        async def read_value(self) -> datetime:
            return datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=ahead_s)

    found = clock_off(asyncio.run(clock_ahead_s(Server())) or 0.0)  # type: ignore[arg-type]
    assert (found == "") == (said == "")
    assert found[-8:] == said[-8:]
    assert not found or abs(int(found.split()[0]) - 3600) < 60


def test_the_link_encrypts_and_refuses_a_server_whose_certificate_has_changed(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start("--encrypted", "--password", "right")
    given = settings(small, tmp_path, user="analytics", password="right", insecure=False)

    async def scenario() -> None:
        async with linked(given, bind) as (link, seen):
            await eventually(lambda: seen)
            assert link.reason == ""
        record = tmp_path / "pki" / "test" / "servers.json"
        known = json.loads(record.read_text("utf-8"))
        assert list(known) == [small.url]
        known[small.url]["sha256"] = "0" * 64
        record.write_text(json.dumps(known), "utf-8")
        async with linked(given, bind) as (link, _):
            await eventually(lambda: "certificate has changed" in link.reason)
            command = link.reason.partition("cnctwin certs ")[2].split()
            done = await asyncio.to_thread(CliRunner().invoke, app, command)
            assert done.output == f"accepted  {small.url}  by test\n"
            await eventually(lambda: link.state == "connected" and link.reason == "")

    asyncio.run(scenario())


def test_an_unencrypted_server_is_refused_unless_that_is_asked_for_and_one_that_opens_no_channel_is_asked_to_trust_us(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.start()
    whole = Client.open_secure_channel

    async def faulted(client: Client, *, renew: bool = False) -> None:
        if client.name == "cnctwin test":  # not the one that asks for endpoints
            raise AssertionError  # what asyncua makes of a ServiceFault in place of an OpenSecureChannelResponse
        await whole(client, renew)

    async def scenario() -> None:
        async with linked(settings(small, tmp_path, insecure=False), bind) as (link, _):
            await eventually(lambda: "no endpoint with Basic256Sha256" in link.reason)
            assert link.reason.endswith("--insecure takes it without encryption")
        monkeypatch.setattr(Client, "open_secure_channel", faulted)
        async with linked(settings(small, tmp_path), bind) as (link, _):
            await eventually(
                lambda: f"trust our certificate there: {tmp_path / 'pki' / 'test' / 'own' / 'cert.der'}" in link.reason
            )

    asyncio.run(scenario())


class Wire:
    """A proxy in front of a server that can stop passing bytes on, with every socket left open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.passes = asyncio.Event()
        self.passes.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"opc.tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self.passes.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


def test_a_cable_that_swallows_everything_is_noticed_and_its_repair_heals_the_link(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start("--tick", "0.05")

    async def scenario() -> None:
        async with Wire(small.port) as wire:
            given = LinkSettings(wire.url, "test", tmp_path, publishing_interval=0.05, max_age=1.0, insecure=True)
            async with linked(given, bind) as (link, seen):
                await eventually(lambda: len(seen) > 5)
                wire.passes.clear()
                await eventually(lambda: link.state == "lost")
                await eventually(lambda: seen[-1].readings[0].quality == "Uncertain")
                lost = len(seen)
                wire.passes.set()
                await eventually(lambda: len(seen) > lost + 5)
                assert {item.signal for item in seen[lost]} == ALL
                assert seen[lost].gap
                assert all(item.is_good for item in seen[-1])

    asyncio.run(scenario())


def test_a_machine_that_is_added_is_found_when_the_server_says_that_its_model_changed(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start()

    async def scenario() -> None:
        async with linked(settings(small, tmp_path), bind) as (link, seen):
            await eventually(lambda: seen)
            small.tell("add M2")
            small.tell("changed")
            await eventually(lambda: "M2" in link.machines)
            await eventually(lambda: {batch.machine_id for batch in seen} == {"M1", "M2"})
            assert link.state == "connected"
            assert all(item.is_good for batch in seen for item in batch)

    asyncio.run(scenario())


def test_what_comes_to_a_server_of_another_maker_without_a_word_is_searched_for(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "LOOK_S", 0.1)
    monkeypatch.setattr(lookout, "SEARCH_S", 0.2)
    monkeypatch.setattr(lookout, "SEARCH_SHARE", 1.0)
    small.start()

    async def without_commands(client: Client) -> dict[str, Bound]:
        return {name: replace(machine, methods={}) for name, machine in (await bind(client)).items()}

    async def scenario() -> None:
        async with linked(settings(small, tmp_path), without_commands) as (link, seen):
            await eventually(lambda: seen)
            small.tell("add M2")
            await eventually(lambda: {batch.machine_id for batch in seen} == {"M1", "M2"})
            small.tell("make M1 Coolant/Flow")
            await eventually(lambda: "Coolant/Flow" in link.latest("M1"))
            assert link.reconnects == 2  # bound anew twice, and the search that finds nothing new binds nothing
            for machine_id, signals in (("M1", {*ALL, "Coolant/Flow"}), ("M2", ALL)):
                await eventually(lambda machine_id=machine_id: all(one.is_good for one in link.latest(machine_id).values()))
                assert link.latest(machine_id).keys() == signals
            assert link.state == "connected"

    asyncio.run(scenario())


def test_what_the_server_itself_has_recorded_is_read_as_the_signals_are(
    small: Any, bind: Any, eventually: Eventually, tmp_path: Path
) -> None:
    small.start()

    async def mapped(client: Client) -> dict[str, Bound]:
        return {
            name: replace(machine, told={"Spindle/Temperature": lambda value: value / 2 if value < 100 else None})
            for name, machine in (await bind(client)).items()
        }

    async def scenario() -> None:
        async with linked(settings(small, tmp_path), mapped) as (link, seen):
            await eventually(lambda: seen)
            small.tell("historize M1 Spindle/Temperature")
            for value in (50, 60, 70, 400, 80):
                small.tell(f"set M1 Spindle/Temperature {value}")
                await eventually(lambda value=value: link.latest("M1")["Spindle/Temperature"].value in (value / 2, None))
                await asyncio.sleep(0.2)  # the server's own recorder looks so often
            ends = 0, 9_000_000_000_000_000_000
            found = await link.past("M1", "Spindle/Temperature", *ends, 100)
            assert [one.value for one in found][-5:] == [25.0, 30.0, 35.0, None, 40.0]
            assert [one.is_good for one in found][-5:] == [True, True, True, False, True]
            times = [one.source_time_ns for one in found]
            assert times == sorted(times)
            assert await link.past("M1", "Spindle/Temperature", *ends, 2) == found[-2:]
            assert await link.past("M1", "Spindle/Temperature", times[-5], times[-2], 100) == found[-5:-2]
            assert await link.past("M1", "Spindle/Temperature", 1_000_000_000, 2_000_000_000, 100) == []
            with pytest.raises(KeyError):
                await link.past("M1", "Coolant/Flow", *ends, 100)
            assert link.state == "connected"
        with pytest.raises(ConnectionError):
            await link.past("M1", "Spindle/Temperature", *ends, 100)

    asyncio.run(scenario())
