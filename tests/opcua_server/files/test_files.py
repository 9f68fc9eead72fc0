"""NC programs as files over OPC UA: a client creates, writes, reads, copies, deletes, and the machine runs what it wrote."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, cast

import pytest
from asyncua import Client, Node, ua
from asyncua.ua.uaerrors import (
    BadBrowseNameDuplicated,
    BadBrowseNameInvalid,
    BadInvalidArgument,
    BadInvalidState,
    BadNodeIdUnknown,
    BadNotFound,
    BadNotReadable,
    BadNotSupported,
    BadNotWritable,
    BadUserAccessDenied,
)

from opcua_server.engine.contract import Answer, Core, Handover, Header, Request, Session
from opcua_server.files.handles import ERASE, READ, WRITE, FileRefused
from opcua_server.files.register import Files
from opcua_server.files.room import FileRoom
from opcua_server.jobs.orders import ReturnStatus
from tests.opcua_server.jobs.plant import SHORT, Plant, plant

V = ua.VariantType


def handle_of(number: int) -> ua.Variant:
    return ua.Variant(number, V.UInt32)


async def opened(file: Node, mode: int) -> ua.Variant:
    return handle_of(await file.call_method("0:Open", ua.Variant(mode, V.Byte)))


async def content(file: Node) -> bytes:
    handle = await opened(file, READ)
    data = bytes(await file.call_method("0:Read", handle, ua.Variant(1 << 20, V.Int32)))
    await file.call_method("0:Close", handle)
    return data


class Heard:
    def __init__(self) -> None:
        self.events: list[Any] = []
        self.values: list[Any] = []

    def event_notification(self, event: Any) -> None:
        self.events.append(event)

    def datachange_notification(self, _node: Node, _value: Any, data: Any) -> None:
        self.values.append(data.monitored_item.Value)


async def story(p: Plant, folder: Path) -> None:
    masters = p.node("FileSystem", "WorkMasters")
    files = {(await child.read_browse_name()).Name: child for child in await masters.get_children(ua.ObjectIds.Organizes)}
    assert list(files) == ["bad.nc", "long.nc", "own.nc", "short.nc"]
    assert await content(files["short.nc"]) == SHORT.encode()

    # What comes with the machine is read only.
    own = files["own.nc"]
    assert await content(own) == SHORT.encode()
    assert not await (await own.get_child("0:Writable")).read_value()
    with pytest.raises(BadNotWritable):
        await opened(own, WRITE)
    with pytest.raises(BadUserAccessDenied):
        await masters.call_method("0:Delete", own.nodeid)

    # A new one, by an engineer, who hears of it.
    heard = Heard()
    subscription = await p.client.create_subscription(50, heard)
    event_type = p.client.get_node(ua.ObjectIds.GeneralModelChangeEventType)
    await subscription.subscribe_events(p.client.nodes.server, evtypes=event_type)  # type: ignore[arg-type]
    node_id, number = await masters.call_method("0:CreateFile", "new.nc", True)
    new = p.client.get_node(node_id)
    assert (await new.read_browse_name()).Name == "new.nc"
    assert await (await new.get_child("0:OpenCount")).read_value() == 1
    with pytest.raises(BadNotReadable):
        await opened(new, READ)
    with pytest.raises(BadInvalidState):
        await masters.call_method("0:Delete", node_id)
    handle = handle_of(number)
    await new.call_method("0:Write", handle, ua.Variant(b"O9\nG0 X1.\nG4 P3.\nM31", V.ByteString))
    await new.call_method("0:SetPosition", handle, ua.Variant(19, V.UInt64))
    assert await new.call_method("0:GetPosition", handle) == 19
    await new.call_method("0:Write", handle, ua.Variant(b"0\n", V.ByteString))
    assert not (folder / "programs" / "new.nc").read_bytes(), "what is not closed is not stored"
    await new.call_method("0:Close", handle)
    assert (folder / "programs" / "new.nc").read_bytes() == b"O9\nG0 X1.\nG4 P3.\nM30\n" == await content(new)
    assert await (await new.get_child("0:Size")).read_value() == 21
    assert await (await new.get_child("0:OpenCount")).read_value() == 0
    with pytest.raises(BadInvalidArgument):
        await new.call_method("0:Close", handle)

    # It is a work master now, can be loaded, and runs.
    names = [
        master.ID
        for master in await p.node("MachineryBuildingBlocks", "JobManagement", "JobOrderControl", "WorkMaster").read_value()
    ]
    assert "new.nc" in names
    assert await p.order("StoreAndStart", "A", "new.nc") == ReturnStatus.NO_ERROR
    await p.until(lambda: p.machine._jobs.book.jobs["A"].is_successful)

    # Copies, moves, and names that are taken or lead elsewhere.
    def move(copies: bool, name: str, source: Any = node_id) -> Any:
        return masters.call_method("0:MoveOrCopy", source, masters.nodeid, copies, name)

    copy = p.client.get_node(await move(True, "copy.nc"))
    assert await content(copy) == await content(new)
    for taken in ("own.nc", "copy.nc", "new.nc"):
        with pytest.raises(BadBrowseNameDuplicated):
            await move(False, taken)
        with pytest.raises(BadBrowseNameDuplicated):
            await masters.call_method("0:CreateFile", taken, False)
    for evil in ("../evil.nc", "/etc/evil", "a/b.nc", "..", ".hidden", "", "x" * 65, "a\x00.nc"):
        with pytest.raises(BadBrowseNameInvalid):
            await masters.call_method("0:CreateFile", evil, False)
    with pytest.raises(BadNotFound):
        await move(True, "x.nc", masters.nodeid)
    with pytest.raises(BadNotSupported):
        await masters.call_method("0:CreateDirectory", "folder")
    with pytest.raises(BadNotSupported):
        await p.node("FileSystem").call_method("0:CreateFile", "x.nc", False)

    # A bad program is kept, and refused at start.
    handle = await opened(copy, WRITE | ERASE)
    await copy.call_method("0:Write", handle, ua.Variant(b"O9\nG1 X(\n\x00\xff", V.ByteString))
    await copy.call_method("0:Close", handle)
    assert await content(copy) == b"O9\nG1 X(\n\x00\xff"
    assert await p.order("StoreAndStart", "B", "copy.nc") == ReturnStatus.INVALID_REQUEST
    assert "line 2" in await p.machine._flaw("copy.nc")

    # Who monitors what is deleted is told.
    size = await copy.get_child("0:Size")
    await subscription.subscribe_data_change(size)
    moved = await move(False, "moved.nc", copy.nodeid)
    while not any(value.StatusCode.value == ua.StatusCodes.BadNodeIdUnknown for value in heard.values):
        await asyncio.sleep(0.02)
    with pytest.raises(BadNodeIdUnknown):
        await size.read_value()
    await masters.call_method("0:Delete", moved)
    assert sorted(path.name for path in (folder / "programs").iterdir()) == ["bad.nc", "long.nc", "new.nc", "short.nc"]

    def changes() -> list[tuple[str, int]]:
        seen = [change for event in heard.events for change in event.Changes if "WorkMasters." in change.Affected.Identifier]
        return [(change.Affected.Identifier.rpartition("WorkMasters.")[2], change.Verb) for change in seen]

    while len(changes()) < 5:
        await asyncio.sleep(0.02)
    assert changes() == [("new.nc", 1), ("copy.nc", 1), ("copy.nc", 2), ("moved.nc", 1), ("moved.nc", 2)]


def test_programs_are_files_that_the_machine_runs(tmp_path: Path) -> None:
    async def tell() -> None:
        async with plant(tmp_path) as p:
            await story(p, tmp_path)

    asyncio.run(tell())


def test_who_walks_a_folder_while_files_come_and_go_sees_them_or_not(tmp_path: Path) -> None:
    """Nodes that are gone by the time they are asked for: known to nobody, and no more than that."""

    async def walks(p: Plant, client: Client, is_over: asyncio.Event) -> int:
        found = 0
        while not is_over.is_set():
            for file in await client.get_node(p.node("FileSystem", "WorkMasters").nodeid).get_children():
                with contextlib.suppress(BadNodeIdUnknown):
                    for part in await file.get_children():
                        found += len((await part.read_browse_name()).Name)
        return found

    async def tell() -> None:
        async with plant(tmp_path) as p:
            url = p.client.server_url.geturl()
            async with Client(url, timeout=60) as one, Client(url, timeout=60) as other:
                masters, is_over = p.node("FileSystem", "WorkMasters"), asyncio.Event()
                before = {file.nodeid for file in await masters.get_children()}
                walking = [asyncio.create_task(walks(p, client, is_over)) for client in (one, other)]
                for number in range(40):
                    node_id, _ = await masters.call_method("0:CreateFile", f"passing-{number}.nc", False)
                    await masters.call_method("0:Delete", node_id)
                is_over.set()
                assert all(await asyncio.gather(*walking))
                assert {file.nodeid for file in await masters.get_children()} == before

    asyncio.run(tell())


def test_a_file_that_somebody_opened_is_not_for_who_takes_over_the_session() -> None:
    files = Files()
    room = FileRoom(cast(Core, None), files)
    session = Session(1, "a", "urn:a", "engineer", "Engineer", 60_000.0)
    kept = Session(2, "b", "urn:b", "engineer", "Engineer", 60_000.0)
    for one in (session, kept, session):
        room.remember(Request(cast(Header, None), one, cast(Answer, None), "SignAndEncrypt", "here"))
    handle = files.handles.open(("folder", "mine.nc"), session, WRITE, b"")
    files.handles.open(("folder", "other.nc"), kept, WRITE, b"")
    for hand_over in session.handing_over:
        hand_over(session, Handover(None, moved=True))
    files.handles.write(("folder", "mine.nc"), session, handle, b"M30")
    for hand_over in session.handing_over:
        hand_over(session, Handover("Engineer", moved=False))
    with pytest.raises(FileRefused):
        files.handles.write(("folder", "mine.nc"), session, handle, b"M99")
    assert [files.handles.count(("folder", name)) for name in ("mine.nc", "other.nc")] == [0, 1]
