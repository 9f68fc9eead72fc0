"""Call (OPC 10000-4, 5.12): rights first, then the node's own callback, which checks its arguments one by one."""

from __future__ import annotations

import inspect
import logging
from typing import Any, Final

from cnctwin.wire.encode import array_writer
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import Limits, MethodHandler, Request, Service, ServiceFault
from opcua_server.security.access import may_call
from opcua_server.security.rights import Rights

_C = ua.StatusCodes
_logger = logging.getLogger(__name__)
_audit = logging.getLogger("opcua_server.audit")
_write_results: Final = array_writer(ua.CallMethodResult)
_EXECUTABLE: Final = ua.AttributeIds.Executable


class Methods:
    """``handlers``: methods that a room of the engine carries out, for every session; they change nothing of a machine."""

    def __init__(self, aspace: Any, rights: Rights, limits: Limits, handlers: dict[Any, MethodHandler]) -> None:
        self._aspace = aspace
        self._rights = rights
        self._limits = limits
        self._handlers = handlers

    def services(self) -> list[Service]:
        return [Service("Call", 712, 715, self.call, ua.CallParameters)]

    async def call(self, request: Request, params: Any) -> Any:
        calls = params.MethodsToCall
        if not calls:
            raise ServiceFault(_C.BadNothingToDo)
        if len(calls) > self._limits.methods_per_call:
            raise ServiceFault(_C.BadTooManyOperations)
        parts: list[bytes] = []
        _write_results([await self._one(request, one) for one in calls], parts.append)
        return b"".join([*parts, b"\x00\x00\x00\x00"])

    async def _one(self, request: Request, one: Any) -> Any:
        given = list(one.InputArguments or [])
        try:
            own = self._handlers.get(one.MethodId)
            result = own(request, one.ObjectId, given) if own is not None else self._run(request, one, given)
            if inspect.isawaitable(result):
                result = await result
        except ServiceFault as fault:
            return ua.CallMethodResult(StatusCode=ua.StatusCode(fault.status))
        except Exception:
            _logger.exception("method %s failed", one.MethodId.to_string())
            return ua.CallMethodResult(StatusCode=ua.StatusCode(_C.BadInternalError))
        known = self._rights.methods.get((one.ObjectId, one.MethodId))
        if known is not None:
            _audit.info("%s on %s by %s: %s", known[1].name, known[0], _who(request), result.StatusCode.name)
        return result

    async def _run(self, request: Request, one: Any, given: list[Any]) -> Any:
        node = self._aspace.get(one.MethodId)
        if node is None or one.ObjectId not in self._aspace:
            raise ServiceFault(_C.BadNodeIdUnknown)
        known = self._rights.methods.get((one.ObjectId, one.MethodId))
        if known is None:
            is_method = int(node.attributes[ua.AttributeIds.NodeClass].value.Value.Value) == int(ua.NodeClass.Method)
            ours = any(method == one.MethodId for _, method in self._rights.methods)
            raise ServiceFault(_C.BadMethodInvalid if ours or not is_method else _C.BadNotImplemented)
        role = request.session.role if request.session is not None else None
        if not may_call(role, known[1]):
            _audit.warning("%s on %s by %s: refused", known[1].name, known[0], _who(request))
            raise ServiceFault(_C.BadUserAccessDenied)
        executable = node.attributes.get(_EXECUTABLE)
        if executable is not None and executable.value.Value.Value is False:
            raise ServiceFault(_C.BadNotExecutable)
        if node.call is None:
            raise ServiceFault(_C.BadNotImplemented)
        return await node.call(one.ObjectId, *given)


def _who(request: Request) -> str:
    user = request.session.user if request.session is not None else None
    return f"{user or 'anonymous'} from {request.peer}"
