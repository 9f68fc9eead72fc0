"""What runs came to: counted and kept without a server, then over OPC UA on the simulated machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from nodesets.states import MachineState
from opcua_server.jobs.book import JobBook
from opcua_server.jobs.results import MOST, Measured, ResultBook, RunResult
from opcua_server.run.results_desk import NO_SUCH_FILTER, NO_SUCH_HANDLE, NO_SUCH_RESULT, ResultDesk
from opcua_server.sources.source import EventKind, SourceEvent
from opcua_server.space import blank_columns
from tests.opcua_server.jobs.plant import Plant
from tests.opcua_server.jobs.test_jobs import Heard, on_a_plant

M = MachineState
V = ua.VariantType
SECOND = 10**9
BLOCK = ("MachineryBuildingBlocks", "ResultManagement")


def event(kind: EventKind, at_s: int, **details: Any) -> SourceEvent:
    return SourceEvent(kind, at_s * SECOND, 100, "O1", "", details)


def no_job(_program: str, _moment_ns: int) -> str:
    return ""


def run_through(book: ResultBook, at_s: int = 10, energy: float = 1.0, roughness: float = 1.5) -> Sequence[RunResult]:
    """A run of sixty seconds that comes to its end."""
    assert book.follow(M.RUNNING, [event("program_started", at_s)], Measured(energy, 1.0), at_s * SECOND, no_job) == []
    ended = event("program_ended", at_s + 60, Completed=True, Time=60.0)
    return book.follow(M.IDLE, [ended], Measured(energy + 0.5, roughness), (at_s + 60) * SECOND, no_job)


def test_a_run_that_comes_to_its_end_is_one_result() -> None:
    book = ResultBook()
    (result,) = run_through(book)
    assert result == RunResult(1, "O1", "", 10 * SECOND, 70 * SECOND, True, "The program came to its end", 60.0, 0.5, 1.5)
    assert book.follow(M.IDLE, [], Measured(9.0, 1.5), 99 * SECOND, no_job) == []
    assert book.latest == result


def test_a_part_that_is_not_gauged_has_no_roughness() -> None:
    assert run_through(ResultBook(), roughness=1.0)[0].roughness_um == 0.0


@pytest.mark.parametrize(
    ("state", "events", "reason"),
    [
        (M.EMERGENCY_STOP, [], "Emergency stop"),
        (M.IDLE, [], "RESET"),
        (M.IDLE, [event("program_ended", 20, Completed=False)], "Stopped at the machine"),
    ],
)
def test_a_run_that_is_cut_off_says_by_what(state: MachineState, events: list[SourceEvent], reason: str) -> None:
    book = ResultBook()
    book.follow(M.RUNNING, [event("program_started", 10)], Measured(1.0, 0.0), 10 * SECOND, no_job)
    for between in (M.HELD, M.ALARM, M.RUNNING):
        assert book.follow(between, [], Measured(1.0, 0.0), 15 * SECOND, no_job) == []
    (result,) = book.follow(state, events, Measured(1.0, 0.0), 20 * SECOND, no_job)
    assert (result.completed, result.reason, result.cycle_s) == (False, reason, 0.0)


def test_what_was_acknowledged_makes_room_first() -> None:
    book = ResultBook()
    for _ in range(MOST):
        run_through(book)
    assert book.acknowledge(7)
    assert not book.acknowledge(MOST + 1)
    run_through(book)
    run_through(book)
    assert set(range(1, MOST + 3)) - set(book.results) == {1, 7}


def test_numbers_go_on_after_a_restart_and_nothing_broken_is_taken() -> None:
    book, later = ResultBook(), ResultBook()
    run_through(book)
    saved = book.save()
    later.restore(saved)
    assert later.latest == book.latest
    assert run_through(later)[0].number == 2
    for broken in ({}, {**saved, "number": 0}, {**saved, "results": [{**saved["results"][0], "cycle_s": "60"}]}):
        with pytest.raises((KeyError, ValueError)):
            ResultBook().restore(broken)


async def call(p: Plant, method: str, *arguments: Any) -> Any:
    owner, method_id = p.shown.results.methods[method]
    return await p.client.get_node(owner).call_method(method_id, *arguments)


def whole(value: int, kind: ua.VariantType = V.Int32) -> ua.Variant:
    return ua.Variant(value, kind)


def where(path: str, value: ua.Variant, operator: ua.FilterOperator = ua.FilterOperator.Equals) -> ua.ContentFilter:
    operand = ua.SimpleAttributeOperand(ua.NodeId(), [ua.QualifiedName(part) for part in path.split("/")], ua.AttributeIds.Value)
    return ua.ContentFilter([ua.ContentFilterElement(operator, [operand, ua.LiteralOperand(value)])])


def by(*paths: str) -> ua.Variant:
    elements = [[ua.RelativePathElement(TargetName=ua.QualifiedName(part)) for part in path.split("/")] for path in paths]
    return ua.Variant([ua.RelativePath(one) for one in elements], V.ExtensionObject, is_array=True)


async def listed(p: Plant, condition: ua.ContentFilter, order: ua.Variant | None = None, most: int = 0) -> tuple[list[str], int]:
    _, ids, error = await call(
        p, "GetResultIdListFiltered", condition, order or by(), whole(most, V.UInt32), whole(0)
    )  # fmt: skip
    return ids or [], error


def test_results_of_an_order_are_told_shown_and_handed_out(tmp_path: Path) -> None:
    async def story(p: Plant) -> None:
        latest = p.node(*BLOCK, "Results", "LatestResult")
        assert (await latest.read_data_value(raise_on_bad_status=False)).StatusCode.name == "BadNodeIdUnknown"
        assert (await call(p, "GetLatestResult", whole(0)))[2] == NO_SUCH_RESULT
        heard = Heard()
        subscription = await p.client.create_subscription(50, heard)
        event_type = p.client.get_node(p.shown.results._event_type)
        await subscription.subscribe_events(p.shown.node_id, evtypes=event_type)  # type: ignore[arg-type]
        await p.order("StoreAndStart", "A", "short.nc", JobOrderParameters=p.runs(2))
        await p.until(lambda: len(p.machine._results.book.results) == 2)
        await p.order("StoreAndStart", "B", "long.nc")
        await p.until(lambda: p.machine._jobs.book.begun is not None and p.state is M.RUNNING)
        await p.machine.call("EmergencyStop", [])
        await p.until(lambda: len(p.machine._results.book.results) == 3)
        while len(heard.events) < 3:
            await asyncio.sleep(0.01)

        metas = [one.Result.ResultMetaData for one in heard.events]
        said = [(one.ExternalRecipeId, one.JobId, one.ResultState, one.ResultEvaluation) for one in metas]
        assert said == [("short.nc", "A", 1, 3), ("short.nc", "A", 1, 3), ("long.nc", "B", 3, 2)]
        assert metas[2].ResultEvaluationDetails.Text == "Emergency stop"
        ids = [one.ResultId for one in metas]
        assert len(set(ids)) == 3
        content = {one.Value.Key.Name: one.Value.Value.Value for one in heard.events[0].Result.ResultContent}
        times = metas[0].ProcessingTimes
        assert content["CycleTime"] * 1000.0 == times.ProcessingDuration
        assert times.EndTime > times.StartTime
        assert content["Energy"] > 0.0

        shown = await latest.read_value()
        assert shown == heard.events[2].Result
        assert await p.node(*BLOCK, "Results", "LatestResult", "ResultMetaData", "ResultId").read_value() == ids[2]
        handle, result, error = await call(p, "GetLatestResult", whole(0))
        assert (result, error) == (shown, 0)
        assert await call(p, "ReleaseResultHandle", whole(handle, V.UInt32)) == 0
        assert await call(p, "ReleaseResultHandle", whole(handle, V.UInt32)) == NO_SUCH_HANDLE
        assert (await call(p, "GetResultById", ids[0], whole(0)))[1] == heard.events[0].Result
        for unknown in ("", "CNC-001.x.1", ids[0] + "0", "CNC-002" + ids[0][7:]):
            assert (await call(p, "GetResultById", unknown, whole(0)))[2] == NO_SUCH_RESULT

        everything = ua.ContentFilter()
        of_a = where("Result/ResultMetaData/JobId", ua.Variant("A"))
        assert await listed(p, everything) == (ids, 0)
        assert await listed(p, of_a) == (ids[:2], 0)
        assert await listed(p, where("ResultMetaData/ResultState", whole(3))) == (ids[2:], 0)
        assert await listed(p, everything, by("ResultMetaData/ExternalRecipeId"), 2) == ([ids[2], ids[0]], 0)
        assert await listed(p, of_a, by("ResultMetaData/JobId", "ResultMetaData/ResultId")) == (ids[:2], 0)
        broken = ua.ContentFilter([ua.ContentFilterElement(ua.FilterOperator.Equals, [])])
        assert await listed(p, broken) == ([], NO_SUCH_FILTER)
        with pytest.raises(ua.UaStatusCodeError):
            await call(p, "GetLatestResult", "now")

        strings = ua.Variant([ids[0], "none"], V.String, is_array=True)
        assert await call(p, "AcknowledgeResults", strings) == [[0, NO_SUCH_RESULT], NO_SUCH_RESULT]
        saved = p.machine.checkpoint()
        assert saved is not None
        kept.append((saved, shown))

    async def after(p: Plant) -> None:
        assert await p.node(*BLOCK, "Results", "LatestResult").read_value() == kept[0][1]
        assert p.machine._results.book.results[1].acknowledged

    kept: list[Any] = []
    on_a_plant(tmp_path, story)
    on_a_plant(tmp_path, after, kept[0][0])


def test_results_that_cannot_be_read_are_given_up(caplog: pytest.LogCaptureFixture) -> None:
    desk = ResultDesk(None)  # type: ignore[arg-type]
    desk.restore({"number": 3})
    assert "results are lost" in caplog.text
    assert desk.book.latest is None


class Told:
    """Where results go when there is no server."""

    def __init__(self) -> None:
        self.results: list[RunResult] = []

    def show(self, result: RunResult) -> None:
        self.results.append(result)

    async def tell(self, result: RunResult) -> None:
        assert result is self.results[-1]


def test_a_meter_that_gives_no_number_leaves_none_in_a_result() -> None:
    told, columns = Told(), blank_columns(0)
    columns.numbers[:] = float("nan")
    desk, jobs = ResultDesk(told), JobBook(lambda: ())  # type: ignore[arg-type]
    asyncio.run(desk.follow(M.RUNNING, [event("program_started", 1)], columns, SECOND, jobs))
    asyncio.run(desk.follow(M.IDLE, [event("program_ended", 9, Completed=True, Time=8.0)], columns, 9 * SECOND, jobs))
    assert [(one.energy_kwh, one.roughness_um) for one in told.results] == [(0.0, 0.0)]
