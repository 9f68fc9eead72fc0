"""Results as files: generated for one session, read by a client of another house too, and gone when they are closed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Node, ua
from asyncua.ua.uaerrors import (
    BadInvalidArgument,
    BadInvalidState,
    BadMethodInvalid,
    BadNodeIdUnknown,
    BadNotWritable,
    BadTooManyOperations,
)

from opcua_server.files.handles import PER_SESSION, FileRefused, Handles
from opcua_server.files.transfer import PROCESSING_TIMEOUT_S, Transfers
from opcua_server.jobs.result_file import content_of, written
from opcua_server.jobs.results import RunResult
from tests.opcua_server.engine.node import answer
from tests.opcua_server.jobs.plant import Plant
from tests.opcua_server.jobs.test_jobs import on_a_plant

V = ua.VariantType
TRANSFER = ("MachineryBuildingBlocks", "ResultManagement", "ResultTransfer")
READ, CLOSE, GET_POSITION, SET_POSITION, OPEN, WRITE = (
    ua.NodeId(number, 0) for number in (11585, 11583, 11590, 11593, 11580, 11588)
)
"""Methods of FileType: the file is no node, so that there are none to browse."""
SECOND = 10**9


def handle_of(number: int) -> ua.Variant:
    return ua.Variant(number, V.UInt32)


def result(completed: bool = True, job: str = "A") -> RunResult:
    ended = 1_790_000_000 * SECOND
    return RunResult(7, "O1", job, ended - 60 * SECOND, ended, completed, "why", 59.5 if completed else 0.0, 0.25, 1.5)


def test_a_file_says_what_the_structure_says_and_in_which_unit() -> None:
    read = json.loads(written(result(), "CNC-001.x.7", "CNC-001.7"))
    assert read["ResultMetaData"]["ResultId"] == "CNC-001.x.7"
    assert read["ResultMetaData"]["JobId"] == "A"
    assert read["ResultMetaData"]["ProcessingTimes"] == {
        "StartTime": "2026-09-21T14:12:20.000Z",
        "EndTime": "2026-09-21T14:13:20.000Z",
    }
    assert read["ResultContent"] == [
        {"Name": "Energy", "Value": 0.25, "EngineeringUnits": "kW·h"},
        {"Name": "CycleTime", "Value": 59.5, "EngineeringUnits": "s"},
        {"Name": "Roughness", "Value": 1.5, "EngineeringUnits": "µm"},
    ]
    cut_off = json.loads(written(result(completed=False, job=""), "i", "p"))
    assert "JobId" not in cut_off["ResultMetaData"]
    assert "CycleTime" not in {row["Name"] for row in cut_off["ResultContent"]} == set(content_of(result(completed=False)))


def test_what_nobody_reads_for_a_minute_makes_room() -> None:
    handles, transfers, session = Handles(), Transfers(), object()
    opened = [transfers.add(2, handles, session, b"1", 0.0) for _ in range(PER_SESSION)]
    with pytest.raises(FileRefused):
        transfers.add(2, handles, session, b"1", 0.0)
    transfers.touch(opened[3][0], 1.0)
    transfers.expire(handles, PROCESSING_TIMEOUT_S + 0.5)
    assert [file_id in transfers for file_id, _ in opened] == [number == 3 for number in range(PER_SESSION)]
    transfers.add(2, handles, session, b"1", PROCESSING_TIMEOUT_S)


def test_a_result_is_generated_read_and_gone(tmp_path: Path, modules: Path) -> None:
    async def story(p: Plant) -> None:
        await p.order("StoreAndStart", "A", "short.nc")
        await p.until(lambda: len(p.machine._results.book.results) == 1)
        meta = (await p.node("MachineryBuildingBlocks", "ResultManagement", "Results", "LatestResult").read_value()).ResultMetaData
        assert (meta.HasTransferableDataOnFile, meta.FileFormat) == (True, ["JSON"])
        told = p.shown.results.fields(p.machine._results.book.results[1])["Result/ResultMetaData/FileFormat"]
        assert (told[0].Value, told[0].is_array) == (["JSON"], True), "what its event says"
        transfer = p.node(*TRANSFER)
        assert await (await transfer.get_child("0:ClientProcessingTimeout")).read_value() == PROCESSING_TIMEOUT_S * 1000.0
        declared = await (await transfer.get_child(["0:GenerateFileForRead", "0:InputArguments"])).read_value()
        options = ua.extension_objects_by_datatype[p.shown.results.transfer_options.data_type]

        def generate(node: Node, method: Any = "0:GenerateFileForRead") -> Any:
            return node.call_method(method, options(ResultId=meta.ResultId))

        assert declared[0].Name == "GenerateOptions"
        file_id, handle, machine = await generate(transfer)
        assert machine.is_null(), "it is whole already"
        file = p.client.get_node(file_id)
        content = await file.call_method(READ, handle_of(handle), ua.Variant(1 << 20, V.Int32))
        read = json.loads(content)
        assert (read["ResultMetaData"]["ResultId"], read["ResultMetaData"]["JobId"]) == (meta.ResultId, "A")
        assert await file.call_method(GET_POSITION, handle_of(handle)) == len(content)
        await file.call_method(SET_POSITION, handle_of(handle), ua.Variant(2, V.UInt64))
        assert await file.call_method(READ, handle_of(handle), ua.Variant(5, V.Int32)) == content[2:7]
        with pytest.raises(BadInvalidState):
            await file.call_method(WRITE, handle_of(handle), ua.Variant(b"x", V.ByteString))
        with pytest.raises(BadInvalidState):
            await file.call_method(OPEN, ua.Variant(1, V.Byte))

        # It is no node, and nobody else's.
        with pytest.raises(BadNodeIdUnknown):
            await file.read_browse_name()
        async with Client(p.client.server_url.geturl(), timeout=60) as other:
            with pytest.raises(BadInvalidArgument):
                await other.get_node(file_id).call_method(READ, handle_of(handle), ua.Variant(9, V.Int32))
            with pytest.raises(BadInvalidArgument):
                await other.get_node(file_id).call_method(CLOSE, handle_of(handle))
        await file.call_method(CLOSE, handle_of(handle))
        with pytest.raises(BadNodeIdUnknown):
            await file.call_method(READ, handle_of(handle), ua.Variant(9, V.Int32))

        # What makes no sense.
        for wrong in (options(ResultId="none"), options(), ua.ReadValueId()):
            with pytest.raises(BadInvalidArgument):
                await transfer.call_method("0:GenerateFileForRead", wrong)
        with pytest.raises(BadNotWritable):
            await transfer.call_method("0:GenerateFileForWrite", 1)
        with pytest.raises(BadInvalidArgument):
            await transfer.call_method("0:CloseAndCommit", handle_of(handle))
        with pytest.raises(BadMethodInvalid):
            await generate(p.node("FileSystem"), ua.NodeId(15746, 0))

        # By the type's method too, as often as a session may; who leaves takes them along.
        for _ in range(PER_SESSION):
            await generate(transfer, ua.NodeId(15746, 0))
        with pytest.raises(BadTooManyOperations):
            await generate(transfer)
        found = await asyncio.to_thread(
            answer, modules, tmp_path, [str(PROGRAM), p.client.server_url.geturl(), transfer.nodeid.to_string(), meta.ResultId]
        )  # fmt: skip
        assert found == {"length": len(content), "same": content.decode(), "after": "BadNodeIdUnknown"}
        held = p.server.files
        assert (len(held.transfers._files), len(held.handles._open)) == (PER_SESSION, PER_SESSION)
        await p.client.disconnect()
        assert (len(held.transfers._files), len(held.handles._open)) == (0, 0)

    on_a_plant(tmp_path, story)


PROGRAM = Path(__file__).with_name("result_file.js")
