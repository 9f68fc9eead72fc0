"""The methods of FileType and FileDirectoryType (OPC 10000-20, 4.2 and 4.3) on the programs of all machines; temporary files too.

Operators read programs, engineers change them, as with LoadProgramText. The folder is one for all machines; what comes with a
machine is read only. Directories are not made: there is one folder, and NC controls name programs, not paths.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.engine.configuration.arguments import answer
from opcua_server.engine.contract import Core, Handover, MethodHandler, Request, Service, ServiceFault
from opcua_server.files.handles import ERASE, READ, WRITE, FileRefused
from opcua_server.files.register import Files
from opcua_server.files.transfer import TransferRoom
from opcua_server.run.programs import ProgramFolder, is_name
from opcua_server.security.access import may_change_programs, may_operate
from opcua_server.sources.source import CommandRefused

_C = ua.StatusCodes
_V: Final = ua.VariantType
_audit = logging.getLogger("opcua_server.audit")
_REFUSED: Final = {"argument": _C.BadResourceUnavailable, "not_found": _C.BadNotFound, "state": _C.BadResourceUnavailable}
_OPEN, _CLOSE, _READ, _WRITE, _GET_POSITION, _SET_POSITION = 11580, 11583, 11585, 11588, 11590, 11593
_CREATE_DIRECTORY, _CREATE_FILE, _DELETE, _MOVE_OR_COPY = 13387, 13390, 13393, 13395
"""Methods of the types in namespace 0, which all instances share."""
_OF_DIRECTORIES: Final = (_CREATE_DIRECTORY, _CREATE_FILE, _DELETE, _MOVE_OR_COPY)


class FileRoom:
    def __init__(self, core: Core, files: Files) -> None:
        self._core = core
        self._files = files
        files.handles.displaced = self._gave_way

    # Files ----------------------------------------------------------------------------------------------------------

    def is_temporary(self, file_id: Any) -> bool:
        """Whether it is a file that is no node."""
        return file_id in self._files.transfers

    async def open(self, request: Request, file_id: Any, given: list[Any]) -> Any:
        mode = int(given[0].Value)
        if self.is_temporary(file_id):
            raise ServiceFault(_C.BadInvalidState, "A temporary file is open already, and gone once it is closed")
        machine, name = self._program(request, file_id)
        if mode & WRITE:
            self._may_change(request)
        key = self._key(machine, name)
        self._files.transfers.expire(self._files.handles, self._core.clock())
        self._files.handles.check(key, request.session, mode)
        content = await self._content(machine, name, mode)
        handle = self._files.handles.open(key, request.session, mode, content)
        self.remember(request)
        self._show_open(name)
        return answer(ua.Variant(handle, _V.UInt32))

    async def close(self, request: Request, file_id: Any, given: list[Any]) -> Any:
        if self.is_temporary(file_id):
            self._files.handles.close(*self._handle(request, file_id, given))
            self._files.transfers.remove(file_id)
            return answer()
        machine, name = self._program(request, file_id)
        closed = self._files.handles.close(self._key(machine, name), request.session, given[0].Value)
        self._show_open(name)
        if closed.content is not None:
            await self._change(request, machine, lambda folder: folder.write(name, closed.content or b""))
        return answer()

    def read(self, request: Request, file_id: Any, given: list[Any]) -> Any:
        data = self._files.handles.read(*self._handle(request, file_id, given), given[1].Value)
        return answer(ua.Variant(data, _V.ByteString))

    def write(self, request: Request, file_id: Any, given: list[Any]) -> Any:
        self._files.handles.write(*self._handle(request, file_id, given), given[1].Value or b"")
        return answer()

    def get_position(self, request: Request, file_id: Any, given: list[Any]) -> Any:
        return answer(ua.Variant(self._files.handles.position(*self._handle(request, file_id, given)), _V.UInt64))

    def set_position(self, request: Request, file_id: Any, given: list[Any]) -> Any:
        self._files.handles.move(*self._handle(request, file_id, given), given[1].Value)
        return answer()

    # The directory --------------------------------------------------------------------------------------------------

    def create_directory(self, request: Request, directory: Any, _given: list[Any]) -> Any:
        self._may_change(request)
        raise ServiceFault(_C.BadNotSupported, "There is one folder")

    async def create_file(self, request: Request, directory: Any, given: list[Any]) -> Any:
        machine = self._machine(request, directory)
        name = given[0].Value or ""
        self._is_free(machine, name)
        await self._change(request, machine, lambda folder: folder.create(name))
        node_id = self._files.machines[machine].node_of(name)
        handle = 0
        if given[1].Value:
            handle = self._files.handles.open(("folder", name), request.session, READ | WRITE | ERASE, b"")
            self.remember(request)
            self._show_open(name)
        return answer(ua.Variant(node_id, _V.NodeId), ua.Variant(handle, _V.UInt32))

    async def delete(self, request: Request, directory: Any, given: list[Any]) -> Any:
        machine = self._machine(request, directory)
        name = self._listed(machine, given[0].Value)
        self._may_go(machine, name)
        await self._change(request, machine, lambda folder: folder.delete(name))
        return answer()

    async def move_or_copy(self, request: Request, directory: Any, given: list[Any]) -> Any:
        machine = self._machine(request, directory)
        source, target, copies = given[0].Value, given[1].Value, bool(given[2].Value)
        name = self._listed(machine, source)
        new = given[3].Value or name
        if target not in [one.directory for one in self._files.machines.values()]:
            raise ServiceFault(_C.BadNotFound, "There is no such folder")
        self._is_free(machine, new)
        content = await self._content(machine, name, READ)
        if not copies:
            self._may_go(machine, name)

        def act(folder: ProgramFolder) -> None:
            if copies:
                folder.write(new, content, is_new=True)
            else:
                folder.rename(name, new)

        await self._change(request, machine, act)
        return answer(ua.Variant(self._files.machines[machine].node_of(new), _V.NodeId))

    # What they have in common ---------------------------------------------------------------------------------------

    def _program(self, request: Request, file_id: Any) -> tuple[str, str]:
        """(machine, name) of a file that a session may read."""
        known = self._files.programs.get(file_id)
        if known is None:
            raise ServiceFault(_C.BadMethodInvalid)
        if not may_operate(request.session.role if request.session is not None else None):
            raise ServiceFault(_C.BadUserAccessDenied, "Those who may operate the machine only")
        return known

    def _machine(self, request: Request, directory: Any) -> str:
        """The machine whose directory is to change."""
        found = next((machine for machine, one in self._files.machines.items() if one.directory == directory), None)
        self._may_change(request)
        if found is None:
            raise ServiceFault(_C.BadNotSupported, "FileSystem itself has WorkMasters and nothing else")
        return found

    def _may_change(self, request: Request) -> None:
        if not may_change_programs(request.session.role if request.session is not None else None):
            _audit.warning("a program was to be changed by %s: refused", request.peer)
            raise ServiceFault(_C.BadUserAccessDenied, "Engineers and administrators only")

    def _listed(self, machine: str, file_id: Any) -> str:
        found = self._files.programs.get(file_id)
        if found is None or found[0] != machine:
            raise ServiceFault(_C.BadNotFound, "There is no such file here")
        return found[1]

    def _handle(self, request: Request, file_id: Any, given: list[Any]) -> tuple[Any, Any, int]:
        transfers, now_s = self._files.transfers, self._core.clock()
        transfers.expire(self._files.handles, now_s)
        if self.is_temporary(file_id):
            key = transfers.key(file_id)
            self._files.handles.position(key, request.session, given[0].Value)  # raises where it is somebody else's
            transfers.touch(file_id, now_s)
            return key, request.session, given[0].Value
        return self._key(*self._program(request, file_id)), request.session, given[0].Value

    def _key(self, machine: str, name: str) -> tuple[str, str]:
        """A file of the folder is one for all machines."""
        folder = self._files.folder
        return ("folder" if folder is not None and folder.has(name) else machine), name

    def _may_go(self, machine: str, name: str) -> None:
        key = self._key(machine, name)
        if key[0] != "folder":
            raise ServiceFault(_C.BadUserAccessDenied, f"Program {name} comes with the machine")
        if self._files.handles.count(key):
            raise ServiceFault(_C.BadInvalidState, f"Program {name} is open")

    def _is_free(self, machine: str, name: str) -> None:
        if not is_name(name):
            raise ServiceFault(_C.BadBrowseNameInvalid, "A name has up to 64 letters, digits, -, _ and .")
        folder = self._files.folder
        if not self._files.machines[machine].node_of(name).is_null() or (folder is not None and folder.has(name)):
            raise ServiceFault(_C.BadBrowseNameDuplicated, f"There is a program {name}")

    async def _content(self, machine: str, name: str, mode: int) -> bytes:
        """What a file has now. Raises ServiceFault."""
        folder = self._files.folder
        content = await asyncio.to_thread(folder.read_bytes, name) if folder is not None else None
        if content is not None:
            return content
        if mode & WRITE:
            raise ServiceFault(_C.BadNotWritable, f"Program {name} comes with the machine")
        try:
            return self._files.machines[machine].own(name).encode()
        except KeyError:
            raise ServiceFault(_C.BadNotFound, f"There is no program {name}") from None

    async def _change(self, request: Request, machine: str, act: Callable[[ProgramFolder], None]) -> None:
        if self._files.folder is None:
            raise ServiceFault(_C.BadNotWritable, "There is no folder of programs")
        await asyncio.to_thread(act, self._files.folder)
        await self._files.machines[machine].refresh()
        user = request.session.user if request.session is not None else None
        _audit.info("programs of %s changed by %s from %s", machine, user or "anonymous", request.peer)

    def remember(self, request: Request) -> None:
        if self._forget not in request.session.closing:  # type: ignore[union-attr]
            request.session.closing.append(self._forget)  # type: ignore[union-attr]
            request.session.handing_over.append(self._hand_over)  # type: ignore[union-attr]

    def _hand_over(self, session: Any, handover: Handover) -> None:
        """What one person opened, another one in the same session neither writes nor closes."""
        if handover.role is not None:
            self._forget(session, True)

    def _forget(self, session: Any, _delete: bool) -> None:
        self._files.transfers.forget(session)
        for file in self._files.handles.forget(session):
            self._gave_way(file)

    def _gave_way(self, file: tuple[str, str]) -> None:
        """A file is open once less, without having been closed."""
        where, name = file
        if where != "transfer":
            self._show_open(name)

    def _show_open(self, name: str) -> None:
        for machine_id, machine in self._files.machines.items():
            machine.opened(name, self._files.handles.count(self._key(machine_id, name)))


def services(core: Core) -> list[Service]:
    """The room: no services of its own, methods for the Call service."""
    room = FileRoom(core, core.server.files)
    rows: dict[int, tuple[MethodHandler, bool]] = {
        _OPEN: (room.open, False), _CLOSE: (room.close, False), _READ: (room.read, False), _WRITE: (room.write, False),
        _GET_POSITION: (room.get_position, False), _SET_POSITION: (room.set_position, False),
        _CREATE_DIRECTORY: (room.create_directory, True), _CREATE_FILE: (room.create_file, True),
        _DELETE: (room.delete, True), _MOVE_OR_COPY: (room.move_or_copy, True),
    }  # fmt: skip
    for number, (handler, changes) in rows.items():
        guarded = _guarded(core, ua.NodeId(number, 0), handler, changes or number == _CLOSE)
        core.methods[ua.NodeId(number, 0)] = guarded if number in _OF_DIRECTORIES else _OfFiles(guarded, room.is_temporary)
    for method_id, handler in TransferRoom(core, core.server.files.handles, core.server.files.transfers, room.remember).rows():
        core.methods[method_id] = _guarded(core, method_id, handler, False)
    return []


@dataclass(frozen=True, slots=True)
class _OfFiles:
    """A method of FileType, also for files that are no nodes."""

    run: MethodHandler
    has_object: Callable[[Any], bool]

    def __call__(self, request: Request, object_id: Any, given: list[Any]) -> Any:
        return self.run(request, object_id, given)


def _guarded(core: Core, method_id: Any, handler: MethodHandler, is_audited: bool) -> MethodHandler:
    """A handler whose refusals are status codes; what changes something is audited."""

    async def run(request: Request, object_id: Any, given: list[Any]) -> Any:
        status, why = int(_C.Good), ""
        try:
            result = handler(request, object_id, given)
            return await result if asyncio.iscoroutine(result) else result
        except FileRefused as refused:
            status, why = refused.status, refused.text
        except CommandRefused as refused:
            status, why = int(_REFUSED[refused.reason]), str(refused)
        except ServiceFault as fault:
            status, why = fault.status, fault.text
        finally:
            if is_audited:
                core.audit.called(request, object_id, method_id, list(given), status, why)
        raise ServiceFault(status, why)

    return run
