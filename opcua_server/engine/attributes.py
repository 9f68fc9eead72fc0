"""Read and Write (OPC 10000-4, 5.11.2 and 5.11.4).

    Read: bytes of the request --seen before?--> plan: slots, last values, their bytes --what changed is encoded--> join

What SCADA systems poll is the same list again and again, so a request's decoded form is kept; values are kept encoded and taken
again for as long as the DataValue is the same object. Plans hold for everybody: what depends on the user is worked out each time.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import struct
from collections import OrderedDict
from collections.abc import Container
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from cnctwin.secrets import Role
from cnctwin.wire import Budget, decode, decoder
from cnctwin.wire.budget import DecodingError
from cnctwin.wire.decode import guarded
from cnctwin.wire.scalars import ua
from nodesets.space_access import population
from opcua_server.engine import ranges
from opcua_server.engine.contract import LARGE, LONG, Beside, Limits, Request, Service, ServiceFault, Session
from opcua_server.engine.fits import Fits
from opcua_server.engine.plans import SLICE, Outgrown, Plan
from opcua_server.engine.reasons import NOT_ASKED
from opcua_server.engine.rewrites import Rewrites
from opcua_server.engine.subscriptions.columns import ColumnSlot
from opcua_server.engine.values import ATTRIBUTES, VALUE, Values, failed, stamped
from opcua_server.security.access import (
    may_call,
    may_change_history,
    may_change_programs,
    may_configure,
    may_operate,
    may_write,
    may_write_results,
)
from opcua_server.security.audit import Audit
from opcua_server.security.rights import Rights
from opcua_server.security.roles import permissions_of
from opcua_server.space.publish import put
from opcua_server.space.waiting import not_known_yet

_C = ua.StatusCodes
_A = ua.AttributeIds
_audit = logging.getLogger("opcua_server.audit")
_HEAD: Final = struct.Struct("<dIi").unpack_from
_read_item: Final = decoder(ua.ReadValueId)
LEAST_ITEM: Final = 16
"""Bytes of the smallest ReadValueId."""
MAX_PLAN_BYTES: Final = 32 << 20
_ROLES: Final = (int(_A.RolePermissions), int(_A.UserRolePermissions))
_USER_ATTRIBUTES: Final = (int(_A.UserAccessLevel), int(_A.UserExecutable), *_ROLES)
_BINARY: Final = "Default Binary"
MAX_PLATE_TEXT: Final = 256
"""Characters of what a name plate leaves to the user."""


class Attributes:
    """The attribute services over one address space."""

    def __init__(
        self, values: Values, rights: Rights, limits: Limits, for_everybody: Container[Any] = (), audit: Audit | None = None
    ) -> None:
        """``for_everybody``: methods that every session may call, but for those of administrators."""
        self._values = values
        self._aspace = values.aspace
        self._rights = rights
        self._limits = limits
        self._for_everybody = for_everybody
        self._audit = audit
        self._plans: OrderedDict[bytes, Plan] = OrderedDict()
        self._plan_bytes = 0
        self._nodes = 0, 0
        self._fits = Fits(self._aspace, limits.array_elements)
        self._rewrites = Rewrites(self._aspace, rights, lambda: audit is not None and audit.is_heard)

    def services(self) -> list[Service]:
        return [
            Service("Read", 631, 634, self.read),
            Service("Write", 673, 676, self.write),
        ]

    # Read -----------------------------------------------------------------------------------------------------------

    def read(self, request: Request, raw: bytes) -> Any:
        """Raw bytes in, bytes out; a coroutine when there is much to look up."""
        nodes = population(self._aspace)
        if nodes != self._nodes:  # nodes came or went: what was looked up may be another
            self._nodes = nodes
            self._plans.clear()
            self._plan_bytes = 0
        plan = self._plans.get(raw)
        if plan is None:
            return self._read_new(request, raw)
        try:
            return self._body(plan, request)
        except Outgrown:
            self._plan_bytes -= self._plans.pop(raw).cost
            return self._read_new(request, raw)

    def _body(self, plan: Plan, request: Request) -> Any:
        """The response; a coroutine where much is worked out each time."""
        reasons = request.answer.reasons
        if reasons is not NOT_ASKED:
            for place, (status, why) in plan.refused.items():
                reasons.note(place, status, why)
        if not plan.special:
            return plan.body_for_all()
        make = plan.body if len(plan.special) <= SLICE else plan.body_in_slices
        return make(lambda place, item: self._work_out(place, item, request), reasons.same, self._limits.response_bytes)

    def _read_new(self, request: Request, raw: bytes) -> Any:
        if len(raw) < 16:
            raise ServiceFault(_C.BadDecodingError)
        max_age, timestamps, count = _HEAD(raw)
        if not max_age >= 0:
            raise ServiceFault(_C.BadMaxAgeInvalid)
        if timestamps > 3:
            raise ServiceFault(_C.BadTimestampsToReturnInvalid)
        if count <= 0:
            raise ServiceFault(_C.BadNothingToDo)
        if count > self._limits.nodes_per_read:
            raise ServiceFault(_C.BadTooManyOperations, f"{count} nodes are more than {self._limits.nodes_per_read}")
        if count * LEAST_ITEM > len(raw) - 16:
            raise DecodingError(f"{count} nodes in {len(raw)} bytes")
        plan = Plan(raw, timestamps)
        if count <= SLICE:
            self._look_up(plan, raw, 16, count, last=True)
            return self._finish(plan, request)
        return self._read_long(plan, request, raw, count)

    async def _read_long(self, plan: Plan, request: Request, raw: bytes, count: int) -> bytes:
        p = 16
        for start in range(0, count, SLICE):
            part = min(SLICE, count - start)
            p = self._look_up(plan, raw, p, part, last=start + part == count)
            await asyncio.sleep(0)
        body = self._finish(plan, request)
        return await body if inspect.isawaitable(body) else body

    def _look_up(self, plan: Plan, raw: bytes, p: int, count: int, *, last: bool) -> int:
        budget = self._budget()
        slot_of = self._values.slot
        for _ in range(count):
            item, p = guarded(_read_item, raw, p, budget)
            try:
                self._add(plan, item, slot_of(item.NodeId, item.AttributeId))
            except ServiceFault as fault:
                plan.add_status(fault.status, fault.text)
        if last and p != len(raw):
            raise DecodingError("bytes left over after the nodes to read")
        return p

    def _add(self, plan: Plan, item: Any, slot: Any) -> None:
        self.check_encoding(item, slot)
        if item.IndexRange:
            plan.add_special((item, slot, ranges.parse(item.IndexRange)))
        elif getattr(slot, "is_live", False) or self.depends_on_user(item.NodeId, item.AttributeId):
            plan.add_special((item, slot, None))
        elif not isinstance(slot, ColumnSlot) and len(slot.encoded()) > LARGE:
            plan.add_special((item, slot, None))  # a plan keeps the bytes of all others, and there are many plans
        else:
            plan.add(slot)

    def check_encoding(self, item: Any, slot: Any) -> None:
        """Raise ServiceFault where a ReadValueId asks for a DataEncoding that its value cannot have, or that we do not."""
        encoding = item.DataEncoding
        if encoding is None or not encoding.Name:
            return
        if item.AttributeId != VALUE or not self._is_structure(item.NodeId, slot):
            raise ServiceFault(_C.BadDataEncodingInvalid)
        if encoding.Name != _BINARY or encoding.NamespaceIndex != 0:
            raise ServiceFault(_C.BadDataEncodingUnsupported)

    def _is_structure(self, node_id: Any, slot: Any) -> bool:
        """Whether a variable is a structure, also while it has no value, or may be one and is."""
        kinds = self._fits.kinds_of(self._values.slot(node_id, int(_A.DataType)).value.Value.Value)
        if len(kinds) <= 1:
            return ua.VariantType.ExtensionObject in kinds
        held = slot.value.Value
        return held is not None and held.VariantType is ua.VariantType.ExtensionObject

    def _finish(self, plan: Plan, request: Request) -> Any:
        try:
            plan.close()
        except Outgrown:
            raise ServiceFault(_C.BadResponseTooLarge, "A value became a large one while it was looked up; ask again") from None
        if plan.cost <= MAX_PLAN_BYTES // 8:
            self._plans[plan.request] = plan
            self._plan_bytes += plan.cost
            while self._plan_bytes > MAX_PLAN_BYTES:
                _, oldest = self._plans.popitem(last=False)
                self._plan_bytes -= oldest.cost
        return self._body(plan, request)

    def _work_out(self, place: int, planned: Any, request: Request) -> Any:
        """The DataValue of an item that no cache holds: a range, a live value, what depends on the user."""
        item, slot, bounds = planned
        value = self.seen(item.NodeId, item.AttributeId, slot, request.session, request.security)
        if bounds is not None and value.Value is not None and not (value.StatusCode is not None and value.StatusCode.is_bad()):
            try:
                value = replace(value, Value=ranges.cut(value.Value, bounds))
            except ServiceFault as fault:
                request.answer.reasons.fault(place, fault)
                return failed(fault.status)
        if value.Value is None:
            request.answer.reasons.note(place, value.StatusCode.value)
        return value if value.ServerTimestamp is not None else stamped(value)

    def depends_on_user(self, node_id: Any, attribute: int) -> bool:
        """Whether an attribute is another one for another user."""
        of_user = node_id in self._rights.private or node_id in self._rights.user_writable
        return attribute in _USER_ATTRIBUTES or (of_user and attribute == VALUE)

    def seen(self, node_id: Any, attribute: int, slot: Any, session: Session | None, security: str) -> Any:
        """The DataValue of an attribute as a session may see it."""
        role = session.role if session is not None else None
        if not may_read(self._rights, node_id, attribute, role):
            return failed(_C.BadUserAccessDenied)
        if getattr(slot, "is_passing", False) and self._values.passing.hides(node_id, session):
            return failed(_C.BadUserAccessDenied)
        value = slot.value
        if value is None:
            return failed(_C.BadAttributeIdInvalid)
        if attribute in _USER_ATTRIBUTES and value.Value is not None and value.Value.Value is not None:
            return replace(value, Value=self._for_user(node_id, attribute, value.Value, session, security))
        if node_id in self._rights.user_writable and attribute == VALUE and not may_change_programs(role):
            return replace(value, Value=ua.Variant(False, ua.VariantType.Boolean))
        return value

    def _is_writable(self, node_id: Any) -> bool:
        return node_id in self._rights.results or node_id in self._rights.plate

    def _for_user(self, node_id: Any, attribute: int, variant: Any, session: Session | None, security: str) -> Any:
        role = session.role if session is not None else None
        value = variant.Value
        if attribute in _ROLES:
            value = value if attribute == int(_A.RolePermissions) else permissions_of(session, value)
        elif attribute == int(_A.UserAccessLevel):
            if node_id in self._rights.private and not may_configure(role):
                return ua.Variant(0, variant.VariantType)
            may = may_configure(role) if node_id in self._rights.switches else may_write(role, node_id in self._rights.results)
            if not may or not (self._is_writable(node_id) or node_id in self._rights.switches):
                value = int(value) & ~(1 << int(ua.AccessLevel.CurrentWrite))
            if not may_change_history(role):
                value = int(value) & ~(1 << int(ua.AccessLevel.HistoryWrite))
        else:
            rows = self._rights.methods.items()
            allowed = any(node == node_id and may_call(role, method) for (_, node), (_, method) in rows)
            if node_id in self._rights.admin_methods:
                allowed = may_configure(role) and security == "SignAndEncrypt"
            elif node_id in self._rights.operator_methods:
                allowed = may_operate(role)
            else:
                allowed = allowed or node_id in self._for_everybody
            value = bool(value) and allowed
        return ua.Variant(value, variant.VariantType, is_array=variant.is_array)

    # Write ----------------------------------------------------------------------------------------------------------

    def write(self, request: Request, raw: bytes) -> Any:
        """Raw bytes in, bytes out; what comes again with other values is not decoded (rewrites.py), a long one beside the loop."""
        session = request.session
        if session is not None and may_write_results(session.role):
            shape = self._rewrites.again(raw, datetime.now(UTC))
            if shape is not None:
                self._tell_of_results(request, shape.machines)
                return shape.answer
        read = partial(decode, ua.WriteParameters, raw, self._budget())
        if len(raw) > LONG:
            return Beside(read, lambda asked: self._write_all(request, raw, asked.NodesToWrite))
        return self._write_all(request, raw, read().NodesToWrite)

    def _write_all(self, request: Request, raw: bytes, items: list[Any]) -> bytes:
        if not items:
            raise ServiceFault(_C.BadNothingToDo)
        if len(items) > self._limits.nodes_per_write:
            raise ServiceFault(_C.BadTooManyOperations, f"{len(items)} values are more than {self._limits.nodes_per_write}")
        now = datetime.now(UTC)
        statuses = []
        machines = set()
        for item in items:
            old = self._before(item)
            try:
                statuses.append(self._write(request, item, now))
                if item.NodeId in self._rights.results:
                    machines.add(self._rights.results[item.NodeId])
            except ServiceFault as fault:
                request.answer.reasons.fault(len(statuses), fault)
                statuses.append(fault.status)
            if self._audit is not None:
                self._audit.wrote(request, item, old, statuses[-1])
        self._tell_of_results(request, machines)
        if not any(statuses) and all(item.NodeId in self._rights.results for item in items):
            self._rewrites.learn(raw, items)
        return struct.pack(f"<i{len(statuses)}Ii", len(statuses), *statuses, 0)

    def _switch(self, request: Request, node: Any, held: Any, item: Any, now: datetime) -> int:
        """What administrators turn on and off."""
        session = request.session
        if session is None or not may_configure(session.role):
            _audit.warning("write %s by %s: refused", item.NodeId.to_string(), request.peer)
            raise ServiceFault(_C.BadUserAccessDenied)
        if item.IndexRange:
            raise ServiceFault(_C.BadIndexRangeNoData)
        if item.Value.StatusCode is not None and not item.Value.StatusCode.is_good():
            raise ServiceFault(_C.BadWriteNotSupported)
        self._fits.check(node, item.Value.Value)
        put(held, ua.DataValue(item.Value.Value, ua.StatusCode(), now, now))
        return int(_C.Good)

    def _tell_of_results(self, request: Request, machines: set[str]) -> None:
        if self._rights.on_results is not None:
            for machine_id in machines:
                self._rights.on_results(machine_id, request.session)  # type: ignore[arg-type]

    def _budget(self) -> Budget:
        return Budget(max_array=self._limits.array_elements, max_string=self._limits.string_bytes)

    def _before(self, item: Any) -> Any:
        """The DataValue of what may be written before it is, for the audit."""
        may_be = self._is_writable(item.NodeId) or item.NodeId in self._rights.switches
        node = self._aspace.get(item.NodeId) if may_be else None
        held = node.attributes.get(ATTRIBUTES.get(item.AttributeId)) if node is not None else None
        return held.value if held is not None else None

    def _write(self, request: Request, item: Any, now: datetime) -> int:
        """Put one value; its status. Raises ServiceFault with the reason why not."""
        node = self._values.node(item.NodeId, request.session)
        held = node.attributes.get(ATTRIBUTES.get(item.AttributeId))
        if held is None:
            raise ServiceFault(_C.BadAttributeIdInvalid)
        if item.AttributeId != VALUE:
            raise ServiceFault(_C.BadNotWritable, "Of a node, its value at most is written")
        is_result = item.NodeId in self._rights.results
        if item.NodeId in self._rights.switches:
            return self._switch(request, node, held, item, now)
        if not self._is_writable(item.NodeId):
            level = node.attributes[_A.AccessLevel].value.Value.Value
            raise ServiceFault(_C.BadUserAccessDenied if int(level) & 2 else _C.BadNotWritable)
        session = request.session
        if session is None or not may_write(session.role, is_result):
            _audit.warning("write %s by %s: refused", item.NodeId.to_string(), request.peer)
            raise ServiceFault(_C.BadUserAccessDenied)
        given = item.Value
        if given.SourcePicoseconds is not None or given.ServerPicoseconds is not None:
            raise ServiceFault(_C.BadWriteNotSupported)
        variant = self._fits.as_declared(node, given.Value)
        if item.IndexRange:
            bounds = ranges.parse(item.IndexRange)
            self._fits.check(node, variant, is_part=True)
            variant = ranges.paste(held.value.Value, bounds, variant)
        elif given.StatusCode is None or not given.StatusCode.is_bad():
            self._fits.check(node, variant)
        if given.StatusCode is not None and given.StatusCode.is_bad():
            variant = ua.Variant()
        if not is_result and (variant.Value is None or len(str(getattr(variant.Value, "Text", variant.Value))) > MAX_PLATE_TEXT):
            raise ServiceFault(_C.BadOutOfRange, f"Something is needed here, of up to {MAX_PLATE_TEXT} characters")
        source = given.SourceTimestamp or now
        if is_result and given.StatusCode is not None and given.StatusCode.value == _C.BadWaitingForInitialData:
            waiting = not_known_yet(self._fits.kinds(node), source)
            if waiting is not None:
                put(held, waiting)
                return int(_C.Good)
        status = given.StatusCode if given.StatusCode is not None else ua.StatusCode()
        put(held, ua.DataValue(variant, status, source, given.ServerTimestamp or now))
        return int(_C.Good)


def may_read(rights: Rights, node_id: Any, attribute: int, role: Role | None) -> bool:
    """Whether a role may know an attribute: roles, and the values of private nodes, are for administrators."""
    hidden = attribute == int(_A.RolePermissions) or (attribute == VALUE and node_id in rights.private)
    return not hidden or may_configure(role)
