"""A server with one machine whose ticks a test makes, in a thread; and a client's alarm list.

Time is the test's: ``tick`` lets it pass, so that no delay has to be waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import Client, Server, ua

from benchmarks.opcua.ours import own_certificate
from cnctwin.reading import Columns
from opcua_server import program, space
from opcua_server.alarms import methods as alarms
from opcua_server.alarms.registry import Registry
from opcua_server.engine import diagnostics
from opcua_server.engine.discovery import Application
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions import service as subscriptions
from opcua_server.security.rights import Rights
from opcua_server.security.roles import show_permissions
from opcua_server.sources.source import SourceEvent
from tests.opcua_server.engine.conformance.plant import ByName, Caller, Plant, in_thread, serving, told
from tests.opcua_server.space.conftest import NUMERIC_INDEX, STATUS_INDEX, make_identity

URI: Final = "urn:alarms"
FIELDS: Final = (
    "ConditionId", "EventId", "EventType", "SourceName", "Message", "Severity", "ConditionName", "BranchId", "Retain",
    "EnabledState/Id", "ActiveState/Id", "AckedState/Id", "ConfirmedState/Id", "Comment", "ClientUserId", "Quality", "LastSeverity",
    "SuppressedOrShelved", "ShelvingState/CurrentState", "ShelvingState/UnshelveTime", "LimitState/CurrentState/Id", "HighLimit",
    "ErrorCode", "AlarmIdentifier", "ActiveState", "Time", "SourceNode", "SuppressedState", "SuppressedState/Id",
    "OutOfServiceState/Id", "LatchedState/Id", "ConditionClassName",
)  # fmt: skip
SERVER: Final = ua.NodeId(ua.ObjectIds.Server)
CONDITION: Final = ua.NodeId(ua.ObjectIds.ConditionType)
START, END = (ua.NodeId(getattr(ua.ObjectIds, f"Refresh{which}EventType")) for which in ("Start", "End"))


@dataclass
class Bench(Plant):
    space: space.MachineSpace
    columns: Columns = field(default_factory=lambda: space.blank_columns(time.time_ns()))

    def node(self, path: str) -> ua.NodeId:
        return ua.NodeId(f"CNC-001.{path}", self.space.node_id.NamespaceIndex)

    def condition(self, name: str) -> ua.NodeId:
        return self.node(f"Notification.Conditions.{name}")

    def tick(self, seconds: float = 3600.0, /, **values: float) -> None:
        """Show values (``Spindle_Temperature=60.0``), then let time pass, then show them once more."""

        async def work() -> None:
            for name, value in values.items():
                self.columns.numbers[NUMERIC_INDEX[name.replace("_", "/")]] = value
            for _ in range(2):
                await self.space.watch(self.columns, self.columns.source_time_ns)
                self.columns.source_time_ns += round(seconds * 1e9)

        self.do(work)

    def status(self, name: str, code: int) -> None:
        self.columns.statuses[STATUS_INDEX[name]] = code

    def event(self, kind: Any, code: str, text: str, severity: int = 700) -> None:
        self.do(lambda: self.space.send_event(SourceEvent(kind, time.time_ns(), severity, code, text)))


def columns_at_rest() -> Columns:
    """What a healthy machine shows at a stand."""
    columns = space.blank_columns(time.time_ns())
    columns.numbers[NUMERIC_INDEX["Coolant/Level"]] = 80.0
    return columns


async def _engine() -> tuple[Engine, space.MachineSpace]:
    server = Server()
    await server.init()
    server.conditions = Registry()
    server.rights = Rights()
    spaces = space.build(server, [make_identity()])
    shown = spaces["CNC-001"]
    program.give_rights(server, "CNC-001", shown)
    show_permissions(server.iserver.aspace, server.rights)
    own = own_certificate(URI)
    application = Application(URI, URI, "alarms", own.certificate, True, True, False)
    nobody: Any = None
    engine = Engine(
        server, host="127.0.0.1", port=0, own=own, application=lambda: application, trust=nobody, users=ByName(nobody, "Viewer"),
        rights=server.rights, rooms=[subscriptions.services, diagnostics.services, alarms.services],
    )  # fmt: skip
    return engine, shown


def running() -> contextlib.AbstractContextManager[Bench]:
    @contextlib.asynccontextmanager
    async def grown() -> AsyncIterator[Bench]:
        engine, shown = await _engine()
        async with serving(engine) as loop:
            yield Bench(engine, loop, shown, columns_at_rest())

    return in_thread(grown)


def operand(name: str) -> ua.SimpleAttributeOperand:
    """A field as clients select it; ConditionId is the NodeId of a ConditionType, with an empty path."""
    if name == "ConditionId":
        return ua.SimpleAttributeOperand(CONDITION, [], ua.AttributeIds.NodeId)
    return ua.SimpleAttributeOperand(
        ua.NodeId(ua.ObjectIds.BaseEventType), [ua.QualifiedName(part) for part in name.split("/")], ua.AttributeIds.Value
    )


@dataclass
class Operator(Caller):
    """A client with an alarm list: what its subscription hears of one node."""

    bench: Bench
    subscription: Any = None
    heard: list[dict[str, Any]] = field(default_factory=list)
    item: int = 0

    def __init__(self, client: Client, bench: Bench) -> None:
        super().__init__(client)
        self.bench, self.heard, self.subscription, self.item = bench, [], None, 0

    async def listen(self, node_id: ua.NodeId = SERVER, where: ua.ContentFilter | None = None, queue: int = 0) -> int:
        """The MonitoredItemId."""
        if self.subscription is None:
            self.subscription = await self.subscribe(20)
        wanted = ua.EventFilter([operand(name) for name in FIELDS], where or ua.ContentFilter())
        parameters = ua.MonitoringParameters(1, 0.0, wanted, queue, True)
        item = ua.ReadValueId(node_id, ua.AttributeIds.EventNotifier)
        (made,) = await self.monitor(
            self.subscription, ua.MonitoredItemCreateRequest(item, ua.MonitoringMode.Reporting, parameters)
        )
        made.StatusCode.check()
        self.item = made.MonitoredItemId
        return self.item

    async def wait(self, **wanted: Any) -> dict[str, Any]:
        """The next event with these fields (``AckedState_Id=True``); what came before it stays in ``heard``."""
        names = {name.replace("_", "/"): value for name, value in wanted.items()}
        position = 0
        async with asyncio.timeout(30):
            while True:
                for event in self.heard[position:]:
                    position += 1
                    if all(event[name] == value for name, value in names.items()):
                        del self.heard[:position]
                        return event
                for _, values, _ in told(await self.publish()):
                    self.heard.append(dict(zip(FIELDS, values, strict=True)))

    async def method(self, name: str, object_id: ua.NodeId, *arguments: ua.Variant) -> str:
        """The name of the status of a call of a type's method."""
        method = ua.NodeId(METHOD_IDS[name])
        (result,) = (await self("Call", MethodsToCall=[ua.CallMethodRequest(object_id, method, list(arguments))])).Results
        assert not result.InputArgumentResults or result.StatusCode.value == ua.StatusCodes.BadInvalidArgument
        return str(result.StatusCode.name)

    async def say(self, name: str, event: Mapping[str, Any], text: str = "seen") -> str:
        """Acknowledge, Confirm or AddComment of what an event told."""
        comment = ua.Variant(ua.LocalizedText(text, "en"), ua.VariantType.LocalizedText)
        return await self.method(name, event["ConditionId"], ua.Variant(event["EventId"], ua.VariantType.ByteString), comment)

    async def refresh(self, number: int | None = None, item: int | None = None) -> str:
        numbers = [self.subscription.SubscriptionId if number is None else number, *([item] if item is not None else [])]
        given = [ua.Variant(one, ua.VariantType.UInt32) for one in numbers]
        return await self.method("ConditionRefresh2" if item is not None else "ConditionRefresh", CONDITION, *given)


METHOD_IDS: Final = {
    "Enable": 9027, "Disable": 9028, "AddComment": 9029, "Acknowledge": 9111, "Confirm": 9113, "TimedShelve": 2949,
    "OneShotShelve": 2948, "Unshelve": 2947, "ConditionRefresh": 3875, "ConditionRefresh2": 12912,
    "TimedShelve2": 24756, "OneShotShelve2": 24760, "Unshelve2": 24758,
    "Suppress": 16403, "Suppress2": 24316, "Unsuppress": 17868, "Unsuppress2": 24318,
    "RemoveFromService": 17869, "RemoveFromService2": 24320, "PlaceInService": 17870, "PlaceInService2": 24322,
    "Reset": 18199, "Reset2": 24324, "Respond": 9069, "Respond2": 24312,
}  # fmt: skip
"""Numbers of OPC 10000-6, Annex A, as a client that goes by the type knows them."""


@contextlib.asynccontextmanager
async def operating(bench: Bench, role: str | None = "Operator") -> AsyncIterator[Operator]:
    client = Client(bench.url, timeout=30)
    if role is not None:
        client.set_user(role)
        client.set_password("any")
    async with client:
        yield Operator(client, bench)


def run(bench: Bench, act: Callable[[Operator], Awaitable[None]], role: str | None = "Operator") -> None:
    """``act`` with a session of its own."""

    async def main() -> None:
        async with operating(bench, role) as operator:
            await act(operator)

    asyncio.run(main())
