"""Call (OPC 10000-4, 5.12): rights first, then the node's own callback, which checks its arguments one by one."""

from __future__ import annotations

import inspect
import logging
import struct
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from cnctwin.wire import Budget, decode
from cnctwin.wire.scalars import ua
from nodesets.space_access import population
from opcua_server.engine.contract import LONG, Beside, Limits, MethodHandler, Request, Service, ServiceFault
from opcua_server.engine.fits import Fits, has_rank
from opcua_server.engine.reasons import NOT_ASKED, reason_of, refusal
from opcua_server.engine.recalls import Recalls, encoded
from opcua_server.engine.reply import Rest
from opcua_server.engine.turns import Turn
from opcua_server.security.access import may_call, may_configure, may_operate
from opcua_server.security.audit import Audit
from opcua_server.security.rights import Rights

_C = ua.StatusCodes
_logger = logging.getLogger(__name__)
_audit = logging.getLogger("opcua_server.audit")
_COUNT: Final = struct.Struct("<i").pack
_ONE: Final = _COUNT(1)
_NONE: Final = _COUNT(0)
_HAS_TYPE: Final = ua.NodeId(ua.ObjectIds.HasTypeDefinition, 0)
_TYPES: Final = frozenset({_HAS_TYPE, ua.NodeId(ua.ObjectIds.HasSubtype, 0)})
_DEPTH: Final = 20
"""Of an object's type hierarchy."""
_TEXTS: Final = frozenset({ua.VariantType.LocalizedText})
_OBJECTS: Final = (ua.NodeClass.Object, ua.NodeClass.ObjectType)
_EXECUTABLE: Final = ua.AttributeIds.Executable


@dataclass(frozen=True, slots=True)
class _Target:
    """A method on an object: who carries it out, whom it is for, and what an audit event may say of a call.

    ``own``: the room that does. ``command``: machine and command. ``audit``: reports calls itself, instead of the general event.
    """

    own: MethodHandler | None
    node: Any
    command: Any
    has_object: bool
    for_admins: bool
    for_operators: bool
    audit: Any
    is_secret: bool
    is_told: bool

    @property
    def is_machines(self) -> bool:
        """Whether it is a command of a machine, whose rights are those of its role alone."""
        return self.command is not None and self.own is None and not (self.for_admins or self.for_operators)


class Methods:
    """``handlers``: methods that a room of the engine carries out, for every session; they change nothing of a machine."""

    def __init__(self, aspace: Any, rights: Rights, limits: Limits, handlers: dict[Any, MethodHandler], audit: Audit) -> None:
        self._aspace = aspace
        self._rights = rights
        self._limits = limits
        self._handlers = handlers
        self._fits = Fits(aspace, limits.array_elements)
        self._audit = audit
        self._targets: dict[tuple[Any, Any], _Target] = {}
        self._recalls = Recalls()
        self._known = ((0, 0), 0, 0)

    def services(self) -> list[Service]:
        return [Service("Call", 712, 715, self.call)]

    def call(self, request: Request, raw: bytes) -> Any:
        """Raw bytes in, bytes out; what comes again with other numbers is not decoded (recalls.py), a long one beside the loop."""
        self._forget_old()
        again = self._recalls.again(raw)
        if again is not None:
            return self._command(request, *again)
        read = partial(
            decode, ua.CallParameters, raw, Budget(max_array=self._limits.array_elements, max_string=self._limits.string_bytes)
        )
        if len(raw) > LONG:
            return Beside(read, lambda asked: self._all(request, raw, asked.MethodsToCall))
        return self._all(request, raw, read().MethodsToCall)

    def _command(self, request: Request, one: Any, target: _Target, given: list[Any]) -> Any:
        """``_one`` of a machine's own method that comes again: in one go where its callback does not wait."""
        try:
            result = self._run(request, one, target, given)
            if inspect.iscoroutine(result):
                try:
                    return self._again(request, one, target, given, Rest(result, result.send(None)))
                except StopIteration as done:
                    result = done.value
            elif inspect.isawaitable(result):
                return self._again(request, one, target, given, result)
            _log(request, target, result)
        except Exception as error:
            result = _failed(one, error)
        return self._answer(request, one, target, given, result)

    async def _again(self, request: Request, one: Any, target: _Target, given: list[Any], rest: Awaitable[Any]) -> bytes:
        try:
            result = await rest
            _log(request, target, result)
        except Exception as error:
            result = _failed(one, error)
        return self._answer(request, one, target, given, result)

    def _answer(self, request: Request, one: Any, target: _Target, given: list[Any], result: Any) -> bytes:
        self._tell(request, one, target, given, result)
        if request.answer.reasons is not NOT_ASKED:
            request.answer.reasons.note(0, result.StatusCode.value, reason_of(result))
        return b"".join((_ONE, encoded(result), _NONE))

    async def _all(self, request: Request, raw: bytes, calls: list[Any] | None) -> bytes:
        if not calls:
            raise ServiceFault(_C.BadNothingToDo)
        if len(calls) > self._limits.methods_per_call:
            raise ServiceFault(_C.BadTooManyOperations)
        parts, size, turn = [_COUNT(len(calls))], 0, Turn()
        for place, one in enumerate(calls):
            if turn.is_over:
                await turn.rest()
            one = self._of_object(one)
            target = self._target(one)
            result = await self._one(request, one, target, list(one.InputArguments or []))
            parts.append(encoded(result))
            request.answer.reasons.note(place, result.StatusCode.value, reason_of(result))
            size += len(parts[-1])
            if size > self._limits.message_bytes:
                raise ServiceFault(_C.BadResponseTooLarge)
        if len(calls) == 1 and target.is_machines and result.StatusCode.is_good():
            self._recalls.learn(raw, one, target)
        parts.append(_NONE)
        return b"".join(parts)

    async def _one(self, request: Request, one: Any, target: _Target, given: list[Any]) -> Any:
        result = await self._result(request, one, target, given)
        self._tell(request, one, target, given, result)
        return result

    def _tell(self, request: Request, one: Any, target: _Target, given: list[Any], result: Any) -> None:
        """An audit event of a call and what became of it."""
        status, reason = result.StatusCode.value, reason_of(result)
        if target.audit is not None:
            target.audit(request, one.ObjectId, one.MethodId, given, status, reason)
        elif target.is_told:
            self._audit.called(request, one.ObjectId, one.MethodId, [] if target.is_secret else given, status, reason)

    def _forget_old(self) -> None:
        known = (population(self._aspace), len(self._rights.methods), len(self._handlers))
        if known != self._known:
            self._known = known
            self._targets.clear()
            self._recalls.clear()

    def _of_object(self, one: Any) -> Any:
        """The call by the object's own method where the same one of its type is named, which may be too (OPC 10000-4, 5.12.2.2)."""
        at, method = one.ObjectId, one.MethodId
        node, declared = self._aspace.get(at), self._aspace.get(method)
        if (at, method) in self._targets or method in self._handlers or node is None or declared is None:
            return one
        name = declared.attributes[ua.AttributeIds.BrowseName].value.Value.Value
        for reference in node.references:
            if reference.IsForward and reference.NodeClass == ua.NodeClass.Method and reference.BrowseName == name:
                is_its = reference.NodeId != method and self._has_method(at, method)
                return ua.CallMethodRequest(at, reference.NodeId, one.InputArguments) if is_its else one
        return one

    def _target(self, one: Any) -> _Target:
        """What is known of a method on an object. Kept for those that can be called: what strangers make up is not."""
        key = (one.ObjectId, one.MethodId)
        target = self._targets.get(key)
        if target is None:
            method, rights = one.MethodId, self._rights
            own, secret, admins = self._handlers.get(method), method in rights.secret_arguments, method in rights.admin_methods
            node = self._aspace.get(method)
            target = _Target(
                own=own,
                node=node,
                command=rights.methods.get(key),
                has_object=one.ObjectId in self._aspace,
                for_admins=admins,
                for_operators=method in rights.operator_methods,
                audit=getattr(own, "audit", None),
                is_secret=secret,
                is_told=secret or own is None or admins,
            )
            if target.command is not None:
                self._targets[key] = target
        return target

    async def _result(self, request: Request, one: Any, target: _Target, given: list[Any]) -> Any:
        try:
            if target.for_admins:
                self._for_admins(request, one)
            elif target.for_operators:
                self._for_operators(request, one)
            if target.own is not None:
                result = self._checked(one, given) or target.own(request, one.ObjectId, given)
            else:
                result = self._run(request, one, target, given)
            if inspect.isawaitable(result):
                result = await result
        except Exception as error:
            return _failed(one, error)
        _log(request, target, result)
        return result

    def _checked(self, one: Any, given: list[Any]) -> Any:
        """What is wrong with a call of a room's method, by the method's InputArguments; None when nothing is."""
        method = self._aspace.get(one.MethodId)
        handler = self._handlers[one.MethodId]
        check_object, has_object = getattr(handler, "check_object", None), getattr(handler, "has_object", None)
        if check_object is not None and method is not None:
            check_object(one.ObjectId)
        elif has_object is not None and has_object(one.ObjectId):
            pass
        else:
            self._must_have(one)
        declared, mismatch = self._arguments(method), int(_C.BadTypeMismatch)
        if len(given) != len(declared):
            raise ServiceFault(_C.BadArgumentsMissing if len(given) < len(declared) else _C.BadTooManyArguments)
        statuses = [
            0 if self._is_taken(one, self._fits.kinds_of(wanted.DataType), wanted.ValueRank) else mismatch
            for one, wanted in zip(given, declared, strict=True)
        ]
        if not any(statuses):
            return None
        return ua.CallMethodResult(ua.StatusCode(_C.BadInvalidArgument), [ua.StatusCode(status) for status in statuses], [], [])

    @staticmethod
    def _is_taken(given: Any, kinds: frozenset[Any], rank: int) -> bool:
        """Whether an argument has the type and rank that are declared; no comment may come as a Null without a type."""
        if given.VariantType is ua.VariantType.Null:
            return kinds == _TEXTS and rank == ua.ValueRank.Scalar
        return given.VariantType in kinds and has_rank(given, rank)

    def _must_have(self, one: Any) -> None:
        """Raise ServiceFault where there is no such object, or no such method of it."""
        node, method = self._aspace.get(one.ObjectId), self._aspace.get(one.MethodId)
        if node is None or method is None:
            raise ServiceFault(_C.BadNodeIdUnknown)
        if _class_of(node) not in _OBJECTS:
            raise ServiceFault(_C.BadNodeIdInvalid, "Methods are called on objects")
        if _class_of(method) != ua.NodeClass.Method or not self._has_method(one.ObjectId, one.MethodId):
            raise ServiceFault(_C.BadMethodInvalid)

    def _has_method(self, object_id: Any, method_id: Any) -> bool:
        """Whether a method is a component of an object or of its type (OPC 10000-4, 5.12.2.2)."""
        waiting = [object_id]
        for _ in range(_DEPTH):
            if not waiting:
                break
            node = self._aspace.get(waiting.pop())
            for reference in node.references if node is not None else ():
                if reference.IsForward and reference.NodeId == method_id:
                    return True
                if reference.IsForward == (reference.ReferenceTypeId == _HAS_TYPE) and reference.ReferenceTypeId in _TYPES:
                    waiting.append(reference.NodeId)
        return False

    def _arguments(self, method: Any) -> list[Any]:
        """The declared input arguments; none where the property is not there."""
        for reference in method.references:
            if reference.IsForward and reference.BrowseName.Name == "InputArguments":
                held = self._aspace.get(reference.NodeId).attributes[ua.AttributeIds.Value].value
                return list(held.Value.Value or []) if held.Value is not None else []
        return []

    def _for_admins(self, request: Request, one: Any) -> None:
        """Security is configured by its administrators, over an encrypted channel only (OPC 10000-12, 7.10)."""
        role = request.session.role if request.session is not None else None
        if not may_configure(role):
            _audit.warning("%s by %s: refused", one.MethodId.to_string(), _who(request))
            raise ServiceFault(_C.BadUserAccessDenied, "Administrators only")
        if request.security != "SignAndEncrypt":
            raise ServiceFault(_C.BadSecurityModeInsufficient, "Over an encrypted channel only")

    def _for_operators(self, request: Request, one: Any) -> None:
        """Alarms are handled by those who may command the machine."""
        if not may_operate(request.session.role if request.session is not None else None):
            _audit.warning("%s on %s by %s: refused", one.MethodId.to_string(), one.ObjectId.to_string(), _who(request))
            raise ServiceFault(_C.BadUserAccessDenied, "Those who may operate the machine only")

    def _run(self, request: Request, one: Any, target: _Target, given: list[Any]) -> Any:
        node, known = target.node, target.command
        if known is None or node is None or not target.has_object:
            self._must_have(one)
            ours = any(method == one.MethodId for _, method in self._rights.methods)
            raise ServiceFault(_C.BadMethodInvalid if ours else _C.BadNotImplemented)
        role = request.session.role if request.session is not None else None
        if not may_call(role, known[1]):
            _audit.warning("%s on %s by %s: refused", known[1].name, known[0], _who(request))
            raise ServiceFault(_C.BadUserAccessDenied, f"{role or 'Nobody in particular'} may not call {known[1].name}")
        executable = node.attributes.get(_EXECUTABLE)
        if executable is not None and executable.value.Value.Value is False:
            raise ServiceFault(_C.BadNotExecutable)
        if node.call is None:
            raise ServiceFault(_C.BadNotImplemented)
        return node.call(one.ObjectId, *given)


def _class_of(node: Any) -> int:
    return int(node.attributes[ua.AttributeIds.NodeClass].value.Value.Value)


def _failed(one: Any, error: Exception) -> Any:
    """The result of a call that was not carried out."""
    if isinstance(error, ServiceFault):
        return refusal(ua.CallMethodResult(StatusCode=ua.StatusCode(error.status)), error.text)
    _logger.error("method %s failed", one.MethodId.to_string(), exc_info=error)
    return ua.CallMethodResult(StatusCode=ua.StatusCode(_C.BadInternalError))


def _log(request: Request, target: _Target, result: Any) -> None:
    """Who called a machine's own method."""
    known = target.command
    if known is not None and _audit.isEnabledFor(logging.INFO):
        said = ": ".join(filter(None, (result.StatusCode.name, reason_of(result))))
        _audit.info("%s on %s by %s: %s", known[1].name, known[0], _who(request), said)


def _who(request: Request) -> str:
    user = request.session.user if request.session is not None else None
    return f"{user or 'anonymous'} from {request.peer}"
