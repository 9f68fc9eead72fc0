"""Read and Write (OPC 10000-4, 5.11.2 and 5.11.4).

    Read: bytes of the request --seen before?--> plan: slots, last values, their bytes --what changed is encoded--> join

What SCADA systems poll is the same list again and again, so a request's decoded form is kept; values are kept encoded and taken
again for as long as the DataValue is the same object. Plans hold for everybody: what depends on the user is worked out each time.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import OrderedDict
from collections.abc import Container
from dataclasses import replace
from datetime import UTC, datetime
from operator import is_
from typing import Any, Final

import numpy as np

from cnctwin.wire import Budget, decode, decoder
from cnctwin.wire.budget import DecodingError
from cnctwin.wire.decode import guarded
from cnctwin.wire.scalars import ua
from opcua_server.engine import ranges
from opcua_server.engine.contract import Limits, Request, Service, ServiceFault
from opcua_server.engine.fits import Fits
from opcua_server.engine.rewrites import Rewrites
from opcua_server.engine.subscriptions.columns import Column, ColumnSlot
from opcua_server.engine.values import ATTRIBUTES, VALUE, Values, encode_data_value, failed, stamped, without_times
from opcua_server.security.access import may_call, may_configure, may_write_results
from opcua_server.security.audit import Audit
from opcua_server.security.rights import Rights
from opcua_server.security.roles import permissions_of
from opcua_server.space.publish import put

_C = ua.StatusCodes
_A = ua.AttributeIds
_audit = logging.getLogger("opcua_server.audit")
_COUNT: Final = struct.Struct("<i").pack
_HEAD: Final = struct.Struct("<dIi").unpack_from
_read_item: Final = decoder(ua.ReadValueId)
LEAST_ITEM: Final = 16
"""Bytes of the smallest ReadValueId."""
SLICE: Final = 250
"""Nodes of a new request that are looked up before others are served."""
MAX_PLAN_BYTES: Final = 32 << 20
PLAN_OVERHEAD: Final = 200
"""About what one node of a plan costs in memory, beside the request's bytes."""
_ROLES: Final = (int(_A.RolePermissions), int(_A.UserRolePermissions))
_USER_ATTRIBUTES: Final = (int(_A.UserAccessLevel), int(_A.UserExecutable), *_ROLES)
_BINARY: Final = "Default Binary"


class _Run:
    """The rows of one column in a plan. ``seen``: the column's last change that ``parts`` show."""

    __slots__ = ("_places", "_rows", "column", "rows", "seen")

    def __init__(self, column: Column) -> None:
        self.column = column
        self.seen = -1
        self.rows = np.empty(0, dtype=np.intp)
        self._rows: list[int] = []
        self._places: list[int] = []

    def add(self, row: int, place: int) -> None:
        self._rows.append(row)
        self._places.append(place)

    def refresh(self, parts: list[bytes], timestamps: int) -> bool:
        """Encode what changed since the last time, all in one go; whether anything did."""
        column = self.column
        if column.last_change == self.seen:
            return False
        if len(self.rows) != len(self._rows):
            self.rows = np.array(self._rows, dtype=np.intp)
        fresh = np.flatnonzero(column.stamps[self.rows] > self.seen)
        self.seen = column.last_change
        places = self._places
        for index, encoded in zip(fresh.tolist(), column.data_values(self.rows[fresh], timestamps), strict=True):
            parts[places[index]] = encoded
        return bool(len(fresh))


class Plan:
    """A Read request that was decoded. ``special``: position -> item that is worked out each time."""

    __slots__ = ("_body", "_helds", "_parts", "_places", "_runs", "_slots", "_values", "request", "special", "timestamps")

    def __init__(self, request: bytes, timestamps: int) -> None:
        self.request = request
        self.timestamps = timestamps
        self.special: dict[int, Any] = {}
        self._slots: list[Any] = []
        self._helds: list[Any] = []
        self._places: list[int] = []
        self._values: list[Any] = []
        self._runs: dict[Any, _Run] = {}
        self._parts: list[bytes] = [b""]
        self._body = b""

    def add(self, slot: Any) -> None:
        if isinstance(slot, ColumnSlot):
            self._runs.setdefault(slot.column, _Run(slot.column)).add(slot.row, len(self._parts))
            self._parts.append(b"")
            return
        self._slots.append(slot)
        self._helds.append(slot.held)
        self._places.append(len(self._parts))
        self._values.append(None)
        self._parts.append(b"")

    def add_special(self, item: Any) -> None:
        self.special[len(self._parts)] = item
        self._parts.append(b"")

    def add_status(self, status: int) -> None:
        self._parts.append(encode_data_value(failed(status)))

    def close(self) -> None:
        self._parts[0] = _COUNT(len(self._parts) - 1)
        self._parts.append(_COUNT(0))  # no DiagnosticInfos

    @property
    def cost(self) -> int:
        return len(self.request) + PLAN_OVERHEAD * len(self._parts)

    def body(self, work_out: Any) -> bytes:
        """The response's parameters now. ``work_out(item)`` gives the DataValue of a special item."""
        values = [held.value for held in self._helds]
        parts = self._parts
        if not all(map(is_, values, self._values)):
            self._body = b""
            timestamps, slots, places = self.timestamps, self._slots, self._places
            for position, (new, old) in enumerate(zip(values, self._values, strict=True)):
                if new is not old:
                    encoded = slots[position].encoded()
                    parts[places[position]] = encoded if timestamps == 2 else without_times(encoded, timestamps)
            self._values = values
        for run in self._runs.values():
            if run.refresh(parts, self.timestamps):
                self._body = b""
        if self.special:
            for place, item in self.special.items():
                parts[place] = without_times(encode_data_value(work_out(item)), self.timestamps)
            return b"".join(parts)
        if not self._body:
            self._body = b"".join(parts)
        return self._body


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
        self._nodes = 0
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
        if len(self._aspace._nodes) != self._nodes:  # nodes came or went: what was looked up may be another
            self._nodes = len(self._aspace._nodes)
            self._plans.clear()
            self._plan_bytes = 0
        plan = self._plans.get(raw)
        if plan is None:
            return self._read_new(request, raw)
        return plan.body(lambda item: self._work_out(item, request))

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
            raise ServiceFault(_C.BadTooManyOperations)
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
        return self._finish(plan, request)

    def _look_up(self, plan: Plan, raw: bytes, p: int, count: int, *, last: bool) -> int:
        budget = self._budget()
        slot_of = self._values.slot
        for _ in range(count):
            item, p = guarded(_read_item, raw, p, budget)
            try:
                self._add(plan, item, slot_of(item.NodeId, item.AttributeId))
            except ServiceFault as fault:
                plan.add_status(fault.status)
        if last and p != len(raw):
            raise DecodingError("bytes left over after the nodes to read")
        return p

    def _add(self, plan: Plan, item: Any, slot: Any) -> None:
        encoding = item.DataEncoding
        if encoding is not None and encoding.Name:
            if item.AttributeId != VALUE:
                raise ServiceFault(_C.BadDataEncodingInvalid)
            if encoding.Name != _BINARY or encoding.NamespaceIndex != 0:
                raise ServiceFault(_C.BadDataEncodingUnsupported)
            held = slot.value
            if held.Value is None or held.Value.VariantType is not ua.VariantType.ExtensionObject:
                raise ServiceFault(_C.BadDataEncodingInvalid)
        if item.IndexRange:
            plan.add_special((item, slot, ranges.parse(item.IndexRange)))
        elif item.AttributeId in _USER_ATTRIBUTES or getattr(slot, "is_live", False) or item.NodeId in self._rights.private:
            plan.add_special((item, slot, None))
        else:
            plan.add(slot)

    def _finish(self, plan: Plan, request: Request) -> bytes:
        plan.close()
        body = plan.body(lambda item: self._work_out(item, request))
        if plan.cost <= MAX_PLAN_BYTES // 8:
            self._plans[plan.request] = plan
            self._plan_bytes += plan.cost
            while self._plan_bytes > MAX_PLAN_BYTES:
                _, oldest = self._plans.popitem(last=False)
                self._plan_bytes -= oldest.cost
        return body

    def _work_out(self, planned: Any, request: Request) -> Any:
        """The DataValue of an item that no cache holds: a range, a live value, what depends on the user."""
        item, slot, bounds = planned
        if not may_read(self._rights, item, request):
            return failed(_C.BadUserAccessDenied)
        value = slot.value
        if value is None:
            return failed(_C.BadAttributeIdInvalid)
        if item.AttributeId in _USER_ATTRIBUTES and value.Value is not None and value.Value.Value is not None:
            value = replace(value, Value=self._for_user(item, value.Value, request))
        if bounds is not None and value.Value is not None and not (value.StatusCode is not None and value.StatusCode.is_bad()):
            try:
                value = replace(value, Value=ranges.cut(value.Value, bounds))
            except ServiceFault as fault:
                return failed(fault.status)
        return value if value.ServerTimestamp is not None else stamped(value)

    def _for_user(self, item: Any, variant: Any, request: Request) -> Any:
        role = request.session.role if request.session is not None else None
        value = variant.Value
        if item.AttributeId in _ROLES:
            value = value if item.AttributeId == int(_A.RolePermissions) else permissions_of(request.session, value)
        elif item.AttributeId == int(_A.UserAccessLevel):
            if item.NodeId in self._rights.private and not may_configure(role):
                return ua.Variant(0, variant.VariantType)
            if item.NodeId not in self._rights.results or not may_write_results(role):
                value = int(value) & ~(1 << int(ua.AccessLevel.CurrentWrite))
        else:
            rows = self._rights.methods.items()
            allowed = any(node == item.NodeId and may_call(role, method) for (_, node), (_, method) in rows)
            if item.NodeId in self._rights.admin_methods:
                allowed = may_configure(role) and request.security == "SignAndEncrypt"
            else:
                allowed = allowed or item.NodeId in self._for_everybody
            value = bool(value) and allowed
        return ua.Variant(value, variant.VariantType, is_array=variant.is_array)

    # Write ----------------------------------------------------------------------------------------------------------

    def write(self, request: Request, raw: bytes) -> Any:
        """Raw bytes in, bytes out: a request that comes again with other values is not decoded (rewrites.py)."""
        session = request.session
        if session is not None and may_write_results(session.role):
            shape = self._rewrites.again(raw, datetime.now(UTC))
            if shape is not None:
                self._tell_of_results(request, shape.machines)
                return shape.answer
        items = decode(ua.WriteParameters, raw, self._budget()).NodesToWrite
        if not items:
            raise ServiceFault(_C.BadNothingToDo)
        if len(items) > self._limits.nodes_per_write:
            raise ServiceFault(_C.BadTooManyOperations)
        now = datetime.now(UTC)
        statuses = []
        machines = set()
        for item in items:
            old = self._before(item)
            try:
                statuses.append(self._write(request, item, now))
                machines.add(self._rights.results[item.NodeId])
            except ServiceFault as fault:
                statuses.append(fault.status)
            if self._audit is not None:
                self._audit.wrote(request, item, old, statuses[-1])
        self._tell_of_results(request, machines)
        if not any(statuses):
            self._rewrites.learn(raw, items)
        return struct.pack(f"<i{len(statuses)}Ii", len(statuses), *statuses, 0)

    def _tell_of_results(self, request: Request, machines: set[str]) -> None:
        if self._rights.on_results is not None:
            for machine_id in machines:
                self._rights.on_results(machine_id, request.session)  # type: ignore[arg-type]

    def _budget(self) -> Budget:
        return Budget(max_array=self._limits.array_elements, max_string=self._limits.string_bytes)

    def _before(self, item: Any) -> Any:
        """The DataValue of a result before it is written, for the audit."""
        node = self._aspace.get(item.NodeId) if item.NodeId in self._rights.results else None
        held = node.attributes.get(ATTRIBUTES.get(item.AttributeId)) if node is not None else None
        return held.value if held is not None else None

    def _write(self, request: Request, item: Any, now: datetime) -> int:
        """Put one value; its status. Raises ServiceFault with the reason why not."""
        node = self._aspace.get(item.NodeId)
        if node is None:
            raise ServiceFault(_C.BadNodeIdUnknown)
        held = node.attributes.get(ATTRIBUTES.get(item.AttributeId))
        if held is None:
            raise ServiceFault(_C.BadAttributeIdInvalid)
        if item.AttributeId != VALUE:
            raise ServiceFault(_C.BadNotWritable)
        if item.NodeId not in self._rights.results:
            level = node.attributes[_A.AccessLevel].value.Value.Value
            raise ServiceFault(_C.BadUserAccessDenied if int(level) & 2 else _C.BadNotWritable)
        session = request.session
        if session is None or not may_write_results(session.role):
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
        source = given.SourceTimestamp or now
        status = given.StatusCode if given.StatusCode is not None else ua.StatusCode()
        put(held, ua.DataValue(variant, status, source, given.ServerTimestamp or now))
        return int(_C.Good)


def may_read(rights: Rights, item: Any, request: Request) -> bool:
    """Whether a session may know an attribute: roles, and the values of private nodes, are for administrators."""
    hidden = item.AttributeId == int(_A.RolePermissions) or (item.AttributeId == VALUE and item.NodeId in rights.private)
    return not hidden or may_configure(request.session.role if request.session is not None else None)
