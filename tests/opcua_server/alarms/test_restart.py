"""Conditions after a restart: as they were, and what was over in the meantime is over. A file that cannot be used costs nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opcua_server import space
from opcua_server.alarms.keeper import Keeper
from opcua_server.alarms.memory import saved
from opcua_server.run.checkpoints import Checkpoints
from tests.opcua_server.alarms.bench import Bench, Operator, columns_at_rest, operating, run
from tests.opcua_server.alarms.test_handling import clean, refreshed
from tests.opcua_server.space.conftest import NUMERIC_INDEX, make_identity


@pytest.fixture(scope="module")
def reborn(bench: Bench) -> Iterator[Any]:
    """A further machine in the same server, whose alarms can go on from those of the first; forgotten afterwards."""
    made = bench.do(lambda: space.build(bench.engine.server, [make_identity(2)])["CNC-002"])
    yield made
    known = bench.engine.server.conditions.by_id
    bench.do(lambda: [known.pop(one) for one in list(known) if one.NamespaceIndex == made.node_id.NamespaceIndex])


def of_machine(reborn: Any, name: str) -> Any:
    return next(held for held in reborn.alarms._all() if held.condition.name == name)


def test_what_was_told_before_a_restart_can_be_acknowledged_after_it(bench: Bench, reborn: Any, tmp_path: Path) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        bench.tick(Tool_WearPercent=95.0)
        first = await operator.wait(ConditionName="ToolLife", ActiveState_Id=True)
        bench.tick(Tool_WearPercent=0.0)
        bench.tick(Tool_WearPercent=101.0)
        await operator.wait(ConditionName="ToolLife", Severity=600)
        bench.event("alarm", "SV0445", "SOFT DISCONNECT ALARM (Y)")
        bench.event("alarm", "PS0010", "IMPROPER G-CODE")
        await operator.wait(ConditionName="PS0010")
        assert await operator.method("Disable", bench.condition("CoolantFlow")) == "Good"
        assert await operator.method("OneShotShelve", bench.condition("ToolLife")) == "Good"
        assert await operator.say("AddComment", first, "order a new one") == "Good"
        keeper = Keeper(Checkpoints(tmp_path, "alarms"))
        keeper.restore({"CNC-001": bench.space.alarms})
        bench.do(keeper.save_all)
        (tmp_path / "alarms" / "CNC-001.json").rename(tmp_path / "alarms" / "CNC-002.json")
        bench.do(lambda: Keeper(Checkpoints(tmp_path, "alarms")).restore({"CNC-002": reborn.alarms}))

        async with operating(bench) as later:
            await later.listen(reborn.node_id)
            assert await later.refresh() == "Good"
            heard = await refreshed(later)
            assert [(event["ConditionName"], event["ActiveState/Id"], event["AckedState/Id"]) for event in heard] == [
                ("ToolLife", False, False), ("ToolLife", True, False), ("SV0445", True, False), ("PS0010", True, False),
            ]  # fmt: skip
            assert (heard[0]["Comment"].Text, heard[0]["ClientUserId"]) == ("order a new one", "Operator")
            assert heard[1]["ShelvingState/CurrentState"].Text == "One Shot Shelved"
            assert 0.0 < heard[1]["ShelvingState/UnshelveTime"] <= 8 * 3_600_000.0
            assert of_machine(reborn, "CoolantFlow").condition.enabled is False
            tool_life = heard[1]["ConditionId"]
            assert await later.say("Acknowledge", {"ConditionId": tool_life, "EventId": first["EventId"]}) == "Good"
            assert (await later.wait(AckedState_Id=True))["BranchId"] == heard[0]["BranchId"]
        for object_id in (tool_life, bench.condition("ToolLife")):
            assert await operator.method("Unshelve", object_id) == "Good"
        assert await operator.method("Enable", bench.condition("CoolantFlow")) == "Good"

    run(bench, act)


def test_alarms_that_the_control_no_longer_shows_after_a_restart_are_over(bench: Bench, reborn: Any) -> None:
    columns = space.blank_columns(2_000_000_000_000_000_000)
    columns.numbers[NUMERIC_INDEX["Machine/AlarmCount"]] = 1
    columns.objects["Machine/AlarmCode"] = "PS0010"  # type: ignore[index]
    bench.do(lambda: reborn.watch(columns, columns.source_time_ns))
    assert of_machine(reborn, "PS0010").condition.present.level is not None
    gone = of_machine(reborn, "SV0445").condition.present
    assert (gone.level, gone.acked) == (None, False)
    columns.numbers[NUMERIC_INDEX["Machine/AlarmCount"]] = 0
    bench.do(lambda: reborn.watch(columns, columns.source_time_ns))
    assert of_machine(reborn, "PS0010").condition.present.level is not None, "it says itself when it is over"
    bench.do(reborn.alarms.doubt)
    bench.do(lambda: reborn.watch(columns, columns.source_time_ns))
    assert of_machine(reborn, "PS0010").condition.present.level is None, "a machine that was started anew does not"


def test_a_file_that_cannot_be_used_is_one_warning_and_is_kept(
    bench: Bench, reborn: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path, "alarms")
    path = tmp_path / "alarms" / "CNC-002.json"
    before = json.dumps(reborn.alarms.state())
    good = json.loads(before)
    good["conditions"]["ToolLife"]["present"]["level"] = "Middling"
    for content in ("{half a fi", "[" * 200_000, {"version": 99}, good, {**good, "conditions": []}):
        if isinstance(content, str):
            path.write_text(content)
        else:
            checkpoints.write("CNC-002", content)
        raw = path.read_bytes()
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            bench.do(lambda: Keeper(checkpoints).restore({"CNC-002": reborn.alarms}))
        (warning,) = caplog.records
        assert "cannot be used" in warning.getMessage()
        assert not path.exists()
        assert raw in [kept.read_bytes() for kept in path.parent.glob("*.unreadable-*.json")]
    assert json.dumps(reborn.alarms.state()) == before


def test_a_file_from_a_clock_that_was_ahead_shelves_for_no_longer_than_is_allowed(bench: Bench, reborn: Any) -> None:
    state = json.loads(json.dumps(reborn.alarms.state()))
    held = of_machine(reborn, "CoolantTemperature").condition
    ahead = {**saved(held), "shelving": "TimedShelved", "unshelve_ns": held.present.told_ns + 10 * 365 * 86_400 * 10**9}
    bench.do(lambda: reborn.alarms.restore({**state, "conditions": {"CoolantTemperature": ahead}}))
    again = of_machine(reborn, "CoolantTemperature").condition
    assert again.is_shelved
    assert again.unshelve_ms(time.time_ns()) <= again.max_shelved_ms
    bench.do(lambda: reborn.alarms.restore({**state, "conditions": {"CoolantTemperature": saved(held)}}))


def test_a_limit_that_is_no_longer_set_does_not_hold_an_alarm(bench: Bench, reborn: Any) -> None:
    held = of_machine(reborn, "CoolantLevel")
    content = saved(held.condition)
    content["present"] = {**content["present"], "level": "High", "acked": False}  # there never was a High for it
    bench.do(lambda: reborn.alarms.restore({"version": 1, "conditions": {"CoolantLevel": content}}))
    columns = columns_at_rest()
    for _ in range(2):
        bench.do(lambda: reborn.watch(columns, columns.source_time_ns))
        columns.source_time_ns += 3_600_000_000_000
    present = of_machine(reborn, "CoolantLevel").condition.present
    assert (present.level, present.acked) == (None, False)


def test_alarms_that_cannot_be_written_are_written_when_they_can(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opcua_server.alarms.keeper.LOOK_EVERY_S", 0.01)
    checkpoints = Checkpoints(tmp_path, "alarms")
    keeper = Keeper(checkpoints)
    keeper.restore({"CNC-001": bench.space.alarms})
    checkpoints.folder.rmdir()
    checkpoints.folder.write_text("no folder")
    path = tmp_path / "alarms" / "CNC-001.json"

    async def work() -> None:
        keeping = asyncio.create_task(keeper.keep())
        bench.space.alarms.changed = True
        async with asyncio.timeout(60):
            while not keeper.problem:
                await asyncio.sleep(0.01)
            checkpoints.folder.unlink()
            checkpoints.folder.mkdir()
            while keeper.problem or not path.exists():
                await asyncio.sleep(0.01)
        keeping.cancel()

    with caplog.at_level(logging.WARNING):
        bench.do(work)
    assert ["cannot be kept" in record.getMessage() for record in caplog.records] == [True], "said once, however often it is tried"
    assert checkpoints.read("CNC-001") is not None


def test_the_machine_is_left_at_rest(bench: Bench) -> None:
    """For the tests after these, and that everything can be brought there."""

    async def act(operator: Operator) -> None:
        bench.tick(Tool_WearPercent=0.0)
        await clean(bench, operator)
        assert [held for held in bench.space.alarms._all() if held.condition.retained()] == []

    run(bench, act)
