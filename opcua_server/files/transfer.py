"""Temporary files (OPC 10000-20, 4.4): what a result came to, generated for one session, read, and gone when it is closed.

    GenerateFileForRead --> NodeId that nobody guesses, handle --Read ...--> Close
                                                               '--a minute without a call, or the session ends--> gone

The file is no node: browsing finds nothing, and only the session that generated it reads it, by the methods of FileType. It is
whole when the method answers, so there is no state machine of a transfer. Results are generated, never received, so nothing is
written.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.engine.configuration.arguments import answer
from opcua_server.engine.contract import Core, MethodHandler, Request, ServiceFault
from opcua_server.engine.reasons import refusal
from opcua_server.files.handles import READ, Handles

_C = ua.StatusCodes
_V: Final = ua.VariantType
PROCESSING_TIMEOUT_S: Final = 60.0
"""ClientProcessingTimeout: between two calls of a transfer."""
GENERATE_FOR_READ, GENERATE_FOR_WRITE, CLOSE_AND_COMMIT = (ua.NodeId(number, 0) for number in (15746, 15749, 15751))
TRANSFER_METHODS: Final = frozenset({GENERATE_FOR_READ, GENERATE_FOR_WRITE, CLOSE_AND_COMMIT})
"""Methods of TemporaryFileTransferType, which clients may call instead of those that they find at the instance."""
Key = tuple[str, str]


@dataclass(slots=True)
class _Temporary:
    session: Any
    handle: int
    used_s: float


@dataclass(frozen=True, slots=True)
class Offer:
    """A TransferFile object. ``options``: the structure that its GenerateFileForRead takes; ``content``: ResultId -> the file,
    KeyError for a result that there is not."""

    options: type
    content: Callable[[str], bytes]


@dataclass(slots=True)
class Transfers:
    """What may be transferred, by the NodeId of its object, and the temporary files that are open."""

    offers: dict[Any, Offer] = field(default_factory=dict)
    methods: dict[str, set[Any]] = field(default_factory=dict)
    """Name of a method -> its NodeIds in the official models."""
    _files: dict[Any, _Temporary] = field(default_factory=dict)

    def __contains__(self, file_id: Any) -> bool:
        return file_id in self._files

    def key(self, file_id: Any) -> Key:
        """What the file is called among all open files."""
        return "transfer", str(file_id.Identifier)

    def add(self, namespace: int, handles: Handles, session: Any, content: bytes, now_s: float) -> tuple[Any, int]:
        """A temporary file: its NodeId and handle. Raises FileRefused."""
        file_id = ua.NodeId(uuid.uuid4(), namespace)
        handle = handles.open(self.key(file_id), session, READ, content)
        self._files[file_id] = _Temporary(session, handle, now_s)
        return file_id, handle

    def touch(self, file_id: Any, now_s: float) -> None:
        self._files[file_id].used_s = now_s

    def remove(self, file_id: Any) -> None:
        del self._files[file_id]

    def forget(self, session: Any) -> None:
        """A session is over; its handles are given back by who keeps them."""
        for file_id in [file_id for file_id, one in self._files.items() if one.session is session]:
            del self._files[file_id]

    def expire(self, handles: Handles, now_s: float) -> None:
        """Close what nobody has read for too long."""
        for file_id, one in list(self._files.items()):
            if now_s - one.used_s > PROCESSING_TIMEOUT_S:
                handles.drop(one.handle)
                del self._files[file_id]


class TransferRoom:
    """The methods of TemporaryFileTransferType. ``remember``: see to it that a session's files go with it."""

    def __init__(self, core: Core, handles: Handles, transfers: Transfers, remember: Callable[[Request], None]) -> None:
        self._core = core
        self._handles = handles
        self._transfers = transfers
        self._remember = remember

    def rows(self) -> list[tuple[Any, MethodHandler]]:
        """Method -> who carries it out: those of the type in namespace 0, and those of the models that have their own."""
        known = {
            "GenerateFileForRead": (GENERATE_FOR_READ, self.generate_for_read),
            "GenerateFileForWrite": (GENERATE_FOR_WRITE, self.generate_for_write),
            "CloseAndCommit": (CLOSE_AND_COMMIT, self.close_and_commit),
        }
        return [
            (method_id, handler)
            for name, (base, handler) in known.items()
            for method_id in (base, *self._transfers.methods.get(name, ()))
        ]  # fmt: skip

    def generate_for_read(self, request: Request, object_id: Any, given: list[Any]) -> Any:
        offer, now_s = self._offer(object_id), self._core.clock()
        options = given[0].Value
        if not isinstance(options, offer.options):
            return _wrong(_C.BadTypeMismatch, f"GenerateOptions is no {offer.options.__name__}")
        try:
            content = offer.content(str(options.ResultId or ""))  # type: ignore[attr-defined]
        except KeyError:
            return _wrong(_C.BadOutOfRange, "There is no such result")
        self._transfers.expire(self._handles, now_s)
        file_id, handle = self._transfers.add(object_id.NamespaceIndex, self._handles, request.session, content, now_s)
        self._remember(request)
        done = ua.Variant(ua.NodeId(), _V.NodeId)  # no state machine: the file is whole
        return answer(ua.Variant(file_id, _V.NodeId), ua.Variant(handle, _V.UInt32), done)

    def generate_for_write(self, request: Request, object_id: Any, given: list[Any]) -> Any:
        self._offer(object_id)
        raise ServiceFault(_C.BadNotWritable, "Results are made by the machine, not received")

    def close_and_commit(self, request: Request, object_id: Any, given: list[Any]) -> Any:
        """Of files that were generated for writing, of which there are none."""
        self._offer(object_id)
        return _wrong(_C.BadOutOfRange, f"{given[0].Value} is no handle of a file for writing")

    def _offer(self, object_id: Any) -> Offer:
        offer = self._transfers.offers.get(object_id)
        if offer is None:
            raise ServiceFault(_C.BadMethodInvalid)
        return offer


def _wrong(status: int, why: str) -> Any:
    """The answer to a call whose one argument makes no sense."""
    return refusal(ua.CallMethodResult(ua.StatusCode(_C.BadInvalidArgument), [ua.StatusCode(status)], [], []), why)
