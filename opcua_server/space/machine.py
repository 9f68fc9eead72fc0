"""One machine in the address space: built from its types, then driven tick by tick.

/0:Objects/MA:Machines/X:CNC-001   CncTwinMillType
    +- DI:Identification, MA:Components, MA:MachineryBuildingBlocks (the same nodes again, plus states and counters)
    +- MT:Monitoring, MT:Production, MT:Equipment, MT:Notification, CNC:CncInterface
    |                                                            '- X:Conditions: its alarms
    +- X:Signals    every signal by its name: our own variables, and references to the official ones
    +- X:Commands   the methods
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from asyncua import Server, ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import Columns, utc
from nodesets.catalogue import AXES, BY_NAME, MACHINE, NUMERIC, RESULTS, SIGNALS
from nodesets.generator import PUBLISHED, VERSION
from nodesets.metadata import add_instance_metadata
from nodesets.methods import METHODS
from nodesets.namespaces import instance_uri
from nodesets.nodeset_xml import Model
from nodesets.paths import qname
from nodesets.space_access import References, namespace_array, set_namespace_array
from opcua_server.alarms.machine import MachineAlarms, Places
from opcua_server.alarms.registry import Registry
from opcua_server.alarms.table import TABLE, LimitAlarm
from opcua_server.engine.subscriptions.columns import Columns as LiveColumns
from opcua_server.sources.source import Identity, SourceEvent, ToolState
from opcua_server.space import descriptions, energy, layout, nameplate
from opcua_server.space.changes import ModelChanges
from opcua_server.space.commands import Call, handlers
from opcua_server.space.copies import Pattern
from opcua_server.space.dispatch import JobCall, dispatch
from opcua_server.space.events import Events
from opcua_server.space.files import FileSpace
from opcua_server.space.instances import Builder, wanted
from opcua_server.space.jobs import JobSpace
from opcua_server.space.maintenance import MaintenanceMode
from opcua_server.space.one_state import OneState
from opcua_server.space.positions import Position, Positions
from opcua_server.space.prognoses import Prognoses
from opcua_server.space.publish import put, shown
from opcua_server.space.results import ResultSpace
from opcua_server.space.signals import KINDS, SignalWriter
from opcua_server.space.statemachines import StateMachineTable
from opcua_server.space.tools import Magazine
from opcua_server.space.types import HAS_ADD_IN, HAS_COMPONENT, ORGANIZES, TypeSpace
from opcua_server.space.verdicts import Verdicts
from opcua_server.space.warmup import WarmUp

_A = ua.AttributeIds
_V = ua.VariantType
_HAS_NOTIFIER: Final = ua.NodeId(48, 0)
_SERVER: Final = ua.NodeId(2253, 0)
_HEALTH, _INTERFACE = "MA:Health", "CNC:CncInterface"
_MS_PER_HOUR: Final = 3_600_000.0
_PROCESS_VALUES: Final = (
    "Spindle/Temperature",
    "Spindle/VibrationVelocity",
    "Coolant/Pressure",
    "Coolant/Flow",
    "Tool/WearPercent",
)
"""No two of one name."""
Shape = tuple[str, ...]
"""What two machines have to agree in so that one can be a copy of the other: the names of their components."""
_STATUS_POSITION: Final = {signal.name: index for index, signal in enumerate(MACHINE)}


def _status(columns: Columns, name: str) -> int:
    return int(columns.statuses[_STATUS_POSITION[name]])


class MachineSpace:
    """The nodes of one machine.

    ``live``: the engine's columns, for the numbers. ``table``: its limit alarms. ``conditions``: where they are registered.
    ``like``: machines of each shape, of the same ``table``; it is made as a copy of one, or is the one for those that follow.

    ``node_id``: the machine object. ``nodes``: where each catalogue signal lives (its first node). ``also``: further variables that
    show just the same -> the signal. ``methods``: method name to (object, method). ``result_nodes``: nodes that only the Analytics
    role may write. ``alarms``: its conditions. ``made``: all nodes of this machine.
    """

    def __init__(
        self, server: Server, types: TypeSpace, tables: dict[str, StateMachineTable], identity: Identity, live: LiveColumns,
        table: Sequence[LimitAlarm] = TABLE, conditions: Registry | None = None, like: dict[Shape, Pattern] | None = None,
    ) -> None:  # fmt: skip
        self.identity = identity
        builder = _builder(types, identity.machine_id)
        self._aspace = types.aspace
        names = tuple(name for name, _, _ in identity.components)
        pattern = None if like is None else like.get(names)
        if pattern is not None:
            self.node_id = builder.copy(pattern, identity.machine_id)
        else:
            self.node_id = builder.instance(
                ua.NodeId(1001, types.index["MA"]),
                ORGANIZES,
                ua.QualifiedName(identity.machine_id, builder.namespace),
                types.type_id("X:CncTwinMillType"),
                wanted(layout.wanted_paths(names)),
                event_notifier=1,
            )
        self._writer = SignalWriter()
        monitoring = self._blocks(builder)
        self._notifiers(builder)
        nameplate.identification(builder, self.node_id, identity)
        self.plate = nameplate.OwnPlate(builder, self.node_id, energy.consumption(builder, monitoring, self._writer))
        nameplate.constants(builder, self.node_id, identity)
        nameplate.signal_units(builder, self.node_id)
        self.nodes: dict[str, ua.NodeId] = {}
        self.also: dict[ua.NodeId, str] = {}
        self._signals(builder)
        self._writer.close(live, datetime.now(UTC))
        self.result_nodes = {signal.name: self.nodes[signal.name] for signal in RESULTS}
        self._verdicts = Verdicts(builder, self.result_nodes.values())
        self._positions = Positions(_status)
        self._follow_positions(builder)
        self._writer.after(self._positions.write)
        self._writer.listen("Machine/State", OneState(builder, self.node_id, tables).show)
        self._counters(builder)
        self._writer.after(WarmUp(builder.value(builder.at(self.node_id, f"{layout.MACHINE_TOOL}/MT:IsWarmUp"))).write)
        self._magazine = Magazine(builder, self.node_id)
        self._tool_change = [
            builder.value(builder.at(self.node_id, f"{layout.TOOL_CHANGE}/MT:{name}")) for name in ("ToolIdentifier", "ToolName")
        ]
        commands = builder.at(self.node_id, "X:Commands")
        self.methods = {method.name: (commands, builder.at(self.node_id, f"X:Commands/X:{method.name}")) for method in METHODS}
        messages = builder.at(self.node_id, layout.MESSAGES)
        self._events = Events(server, types, identity.machine_id, self.node_id, messages, builder.at(self.node_id, _INTERFACE))
        self._changes = ModelChanges(server, self.node_id, identity.machine_id, lambda: _again(types, builder.namespace))
        self.jobs = JobSpace(server, builder, self.node_id, identity.machine_id, self._changes)
        self.results = ResultSpace(server, builder, self.node_id, identity.machine_id, self._changes)
        self._prognoses = Prognoses(builder, self.node_id, self._changes)
        self._writer.after(self._prognoses.write)
        mode, states = builder.at(self.node_id, layout.OPERATION_MODE), tables[layout.MAINTENANCE_MODE]
        self._writer.after(MaintenanceMode(builder, mode, states, self._changes).write)
        self.files = FileSpace(builder, self.node_id, identity.machine_id, self._changes)
        self.alarms = self._alarms(server, builder, table, conditions)
        self.made: tuple[ua.NodeId, ...] = tuple(builder.made)
        descriptions.describe(builder, self.node_id, identity, is_copy=pattern is not None)
        if like is not None and pattern is None:
            like[names] = Pattern(builder, self.node_id)

    # Building -------------------------------------------------------------------------------------------------------

    def _blocks(self, builder: Builder) -> ua.NodeId:
        """MachineryBuildingBlocks shows nodes that exist elsewhere: a second parent, never a copy (OPC 40001-1, 7.2). Returns its
        Monitoring."""
        at = builder.at
        blocks = at(self.node_id, layout.BLOCKS)
        for path in ("DI:Identification", "MA:Components"):
            if builder.child(self.node_id, qname(path)) is not None:
                builder.link(blocks, HAS_ADD_IN, at(self.node_id, path))
        types = builder.types
        monitoring = builder.instance(
            blocks,
            HAS_ADD_IN,
            ua.QualifiedName("Monitoring", types.index["MA"]),
            types.type_id("MA:MonitoringType"),
            wanted(("MA:Status", f"{_HEALTH}/DI:DeviceHealth", f"{_HEALTH}/DI:DeviceHealthAlarms", "MA:Process", "MA:Consumption")),
        )
        nameplate.lifetime_counters(builder, blocks)
        notifications = builder.instance(
            blocks, HAS_ADD_IN, ua.QualifiedName("Notifications", types.index["MA"]), types.type_id("MA:NotificationsType")
        )
        builder.link(notifications, ORGANIZES, at(self.node_id, layout.MESSAGES))
        builder.link(notifications, ORGANIZES, at(self.node_id, layout.PROGNOSES))
        channel = at(self.node_id, layout.CHANNEL)  # the drives of a channel are those of the lists (OPC 40502, 7.4)
        for drive in (*(layout.axis(letter) for letter in AXES), layout.SPINDLE):
            builder.link(channel, HAS_COMPONENT, at(self.node_id, drive))
        status = at(monitoring, "MA:Status")
        for path in (layout.ITEM_STATE, layout.OPERATION_MODE, layout.STACK):
            builder.link(status, HAS_COMPONENT, at(self.node_id, path))
        self._health = at(monitoring, f"{_HEALTH}/DI:DeviceHealth"), at(monitoring, f"{_HEALTH}/DI:DeviceHealthAlarms")
        self._health_value = builder.value(self._health[0])
        self._health_shown = (0, 0)
        self._process = at(monitoring, "MA:Process")
        return monitoring

    def _notifiers(self, builder: Builder) -> None:
        messages, interface = (builder.at(self.node_id, path) for path in (layout.MESSAGES, _INTERFACE))
        for node_id in (messages, interface):
            builder.notifies(node_id)
        builder.references.add(_SERVER, _HAS_NOTIFIER, self.node_id)
        builder.references.add(self.node_id, _HAS_NOTIFIER, messages)
        builder.references.add(self.node_id, _HAS_NOTIFIER, interface)

    def _signals(self, builder: Builder) -> None:
        types = builder.types
        for signal in SIGNALS:
            group = "X:Signals/" + "/".join(f"X:{step}" for step in signal.group.split("/"))
            if signal.nodes:
                found = [builder.at(self.node_id, path) for path in signal.nodes]
                listed = builder.at(self.node_id, layout.LISTED[signal.name])
                builder.link(builder.at(self.node_id, group), ORGANIZES, listed)
            else:
                found = [builder.at(self.node_id, f"{group}/X:{signal.tag}")]
            self.nodes[signal.name] = found[0]
            self.also.update(dict.fromkeys(found[1:], signal.name))
            kind = KINDS[signal.type.removesuffix("[]")][0]
            for node_id in found:
                actual = kind if builder.is_copied(node_id) else types.builtin(types.attribute(node_id, _A.DataType))
                if actual is not kind:
                    raise TypeError(f"{signal.name} is {kind.name}, but {node_id.to_string()} is {actual.name}")
                if signal.access != "result":
                    self._writer.show(signal.name, node_id, builder.value(node_id))
        for name in _PROCESS_VALUES:
            builder.link(self._process, ORGANIZES, self.nodes[name])

    def _follow_positions(self, builder: Builder) -> None:
        cls = ua.extension_objects_by_datatype[builder.types.type_id("CNC:CncPositionDataType")]
        value, at = builder.value, builder.at

        def position(path: str, own: tuple[str, ...]) -> Position:
            node_id = at(self.node_id, path)
            parts = tuple(value(at(node_id, f"CNC:{member}")) for member in own)
            return Position(value(node_id), cls, parts)

        for letter in AXES:
            for which in ("PosDirect", "PosIndirect"):
                path = f"{layout.axis(letter)}/CNC:{which}"
                nameplate.position_units(builder, at(self.node_id, path), letter)
                self._positions.follow_axis(position(path, ()), letter, which)
        angle = f"{layout.SPINDLE}/CNC:AnglePos"
        nameplate.position_units(builder, at(self.node_id, angle), "A")
        self._positions.follow(position(angle, ()), "Spindle/AnglePos", "Spindle/AnglePos", None)
        for name in layout.POSITIONS:
            path, letter = f"{layout.CHANNEL}/CNC:{name}", name[-1]
            nameplate.position_units(builder, at(self.node_id, path), letter, shifts=True)
            tip = position(path, ("ActPos", "CmdPos", "RemDist"))
            if letter in AXES:
                self._positions.follow_tip(tip, letter, work=name.startswith("PosTcpWcs"))

    def _counters(self, builder: Builder) -> None:
        rows: tuple[tuple[str, str, ua.VariantType, float], ...] = (
            ("Machine/PowerOnDuration", "DI:PowerOnDuration", _V.Double, _MS_PER_HOUR),
            ("Machine/OperationDuration", "DI:OperationDuration", _V.Double, _MS_PER_HOUR),
            ("Machine/OperationCycleCounter", "DI:OperationCycleCounter", _V.UInt32, 1),
            ("Machine/PartsProduced", "MT:PartsProducedInLifetime", _V.UInt64, 1),
            ("Machine/PowerOnDuration", f"{layout.MACHINE_TOOL}/MT:PowerOnDuration", _V.UInt32, 1),
            ("Machine/PartsProduced", "MT:Production/MT:Statistics/MT:PartsProducedInLifetime", _V.UInt32, 1),
        )
        for name, path, kind, factor in rows:
            node_id = builder.at(self.node_id, path if "/" in path else f"{layout.COUNTERS}/{path}")
            held = builder.types_as(node_id, ua.NodeId(kind.value, 0))  # DI leaves open which integer counts cycles
            if factor == 1 and kind is KINDS[BY_NAME[name].type][0]:
                self.also[node_id] = name

            def show(
                number: float, status: int, moment: datetime, server_time: datetime,
                held: AttributeValue = held, kind: ua.VariantType = kind, factor: float = factor,
            ) -> None:  # fmt: skip
                value = number * factor if kind is _V.Double else int(number)
                put(held, shown(value, kind, status, moment, server_time))

            self._writer.listen(name, show)

    def _alarms(self, server: Server, builder: Builder, table: Sequence[LimitAlarm], conditions: Registry | None) -> MachineAlarms:
        """Conditions, below Notification; the groups of signals that they are alarms of can be subscribed to."""
        at, types, namespace = builder.at, builder.types, builder.namespace
        parent = builder.instance(
            at(self.node_id, "MT:Notification"),
            HAS_COMPONENT,
            ua.QualifiedName("Conditions", namespace),
            types.type_id("0:FolderType"),
        )

        groups = {
            name: at(self.node_id, "X:Signals/" + "/".join(f"X:{step}" for step in name.split("/")))
            for name in {row.source for row in table}
        }
        for node_id in groups.values():
            builder.notifies(node_id)
            builder.references.add(self.node_id, _HAS_NOTIFIER, node_id)
        places = Places(
            # What is raised for the first time while the server runs needs a builder too; this one is not kept for that.
            builder=lambda: _again(types, namespace),
            above=at(self.node_id, "MT:Notification"),
            wanted=wanted,
            parent=parent,
            machine=self.node_id,
            messages=at(self.node_id, layout.MESSAGES),
            interface=at(self.node_id, _INTERFACE),
            server=_SERVER,
            device_health=self._health[0],
            health=self._health[1],
            groups=groups,
            nodes=self.nodes,
            results={name: builder.value(node_id) for name, node_id in self.result_nodes.items()},
        )
        send = server.iserver.subscription_service
        return MachineAlarms(
            self.identity.machine_id, places, table, conditions or Registry(), lambda event: send.trigger_event(event), builder
        )

    # Driving --------------------------------------------------------------------------------------------------------

    def write(self, columns: Columns) -> int:
        """Show one tick: only what changed in value or status, all in one go. How many signals changed."""
        return self._writer.write(columns, utc(columns.source_time_ns), datetime.now(UTC))

    def write_tools(self, tools: Sequence[ToolState], source_time_ns: int | None = None) -> None:
        """Show the tool magazine; what did not change is not touched."""
        now = datetime.now(UTC)
        moment = now if source_time_ns is None else utc(source_time_ns)
        tool = self._magazine.write(tools, moment, now)
        self._positions.tool_length_mm = 0.0 if tool is None else tool.length
        identifier, name = self._tool_change
        if tool is not None and identifier.value.Value.Value != f"T{tool.number}":
            put(identifier, shown(f"T{tool.number}", _V.String, 0, moment, now))
            put(name, shown(tool.name, _V.String, 0, moment, now))

    def set_results_status(self, status: int) -> None:
        """Give all results of the analytics an Uncertain status, when their writer is lost."""
        self._verdicts.set_status(status)

    def bind_methods(self, call: Call) -> None:
        """Let ``call(method, arguments)`` carry out the Commands, after their arguments were checked, and what is answered."""

        async def act(command: str) -> None:
            pending = call(command, [])
            if pending is not None:
                await pending

        self.alarms.bind(act)
        for name, handler in handlers(call).items():
            self._aspace.add_method_callback(self.methods[name][1], handler)

    def show_job_end(self, job: str, runs_left: int) -> None:
        """Which order CurrentJobEnd is about, and how many runs come after the one that is cut now."""
        self._prognoses.job, self._prognoses.runs_left = job, runs_left

    def bind_jobs(self, call: JobCall) -> None:
        """Let ``call(method, arguments)`` carry out the methods of job management."""
        for name, (owner, method) in self.jobs.methods.items():
            dispatch(self._aspace[method], owner, name, call)

    def bind_results(self, call: JobCall) -> None:
        """Let ``call(method, arguments)`` carry out the methods of result management."""
        for name, (owner, method) in self.results.methods.items():
            dispatch(self._aspace[method], owner, name, call)

    async def send_event(self, event: SourceEvent) -> None:
        """Send an event to the subscribers of Messages, of the machine and of the Server object. An alarm is a condition."""
        if event.kind == "alarm":
            self.alarms.raised(event.code, event.text, event.severity, event.source_time_ns)
        elif event.kind == "alarm_cleared":
            self.alarms.cleared(event.code, event.text, event.source_time_ns)
        else:
            if event.kind == "message" and event.code in ("M0", "M1"):
                self.alarms.stopped(f"{event.text}. Go on?", event.severity, event.source_time_ns)
                await self.alarms.flush()
            await self._events.send(event)
            return
        await self.alarms.flush()

    async def watch(self, columns: Columns, now_ns: int) -> None:
        """Judge the limits by one tick; ``now_ns``: wall-clock time of the tick."""
        await self._changes.tell()  # of what came or went with this tick
        renamed = self.plate.changed_owners()
        if renamed:
            await self._changes.tell_meaning(renamed)
        await self.alarms.watch(columns, now_ns)
        health = (int(self.alarms.health), _status(columns, "Machine/State"))
        if health != self._health_shown:
            self._health_shown = health
            put(self._health_value, shown(health[0], _V.Int32, health[1], utc(now_ns), datetime.now(UTC)))


def _builder(types: TypeSpace, machine_id: str) -> Builder:
    """A builder for the machine's own namespace, which is registered."""
    uris = namespace_array(types.aspace)
    uri = instance_uri(machine_id)
    if uri in uris:
        raise ValueError(f"machine {machine_id} exists already")
    set_namespace_array(types.aspace, [*uris, uri])
    add_instance_metadata(types.aspace, Model(uri, VERSION, PUBLISHED, ()), len(uris))
    return _again(types, len(uris))


def _again(types: TypeSpace, namespace: int) -> Builder:
    """A builder for a namespace that is there."""
    concrete = {types.type_id("MA:MachineryItemIdentificationType"): types.type_id("MA:MachineryComponentIdentificationType")}
    return Builder(types, References(types.aspace), namespace, concrete)


def state_machine_tables(types: TypeSpace) -> dict[str, StateMachineTable]:
    """Path of a state machine in a machine -> its states and transitions."""
    kinds = (
        "MA:MachineryItemState_StateMachineType",
        "MT:MachineOperationModeStateMachineType",
        "MT:ProductionProgramStateMachineType",
        "MT:MaintenanceModeStateMachineType",
    )
    paths = (*layout.STATE_MACHINES, layout.MAINTENANCE_MODE)
    return {path: StateMachineTable.of(types, kind) for path, kind in zip(paths, kinds, strict=True)}


def blank_columns(source_time_ns: int) -> Columns:
    """All signals at zero, Good: for tests and for a machine whose source has not spoken yet."""
    objects: dict[str, Any] = {signal.name: [] if signal.type.endswith("[]") else "" for signal in MACHINE if not signal.is_numeric}
    return Columns(np.zeros(len(NUMERIC)), objects, np.zeros(len(MACHINE), dtype=np.uint32), source_time_ns)
