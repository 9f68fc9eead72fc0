"""Job management in the address space: JobOrderControl, JobOrderResults, and MT:ProductionPlan, which mirrors the orders.

Everything shown is derived from the `JobBook` after each change; a node here never decides for itself which state it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import Server, ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import utc
from nodesets.states import ProgramState
from opcua_server.jobs.book import MOST, JobBook
from opcua_server.jobs.orders import OVER, PREPARED, Job, JobState
from opcua_server.space import layout
from opcua_server.space.changes import ModelChanges
from opcua_server.space.instances import Builder, wanted
from opcua_server.space.jobs_values import JobTypes
from opcua_server.space.notify import SERVER, Notifier
from opcua_server.space.publish import put, shown
from opcua_server.space.statemachines import StateMachine, StateMachineTable, state_name
from opcua_server.space.types import HAS_ADD_IN, HAS_COMPONENT, HAS_ORDERED_COMPONENT

_V = ua.VariantType
METHODS: Final = (
    "Store", "StoreAndStart", "Update", "Start", "RevokeStart", "Pause", "Resume", "Stop", "Abort", "Cancel", "Clear",
)  # fmt: skip
REQUESTS: Final = ("RequestJobResponseByJobOrderID", "RequestJobResponseByJobOrderState")
_HAS_NOTIFIER: Final = ua.NodeId(48, 0)
_PROGRAM_STATES: Final = {
    JobState.NOT_ALLOWED_TO_START: ProgramState.INITIALIZING,
    JobState.ALLOWED_TO_START: ProgramState.INITIALIZING,
    JobState.RUNNING: ProgramState.RUNNING,
    JobState.INTERRUPTED: ProgramState.INTERRUPTED,
    JobState.ENDED: ProgramState.ENDED,
    JobState.ABORTED: ProgramState.ABORTED,
}
"""State of a job order -> that of its MT:ProductionJobType, by name."""
_JOB_STATE: Final = "0:CurrentState"


class _PlanRow:
    """One job in MT:ProductionPlan."""

    def __init__(self, builder: Builder, node_id: ua.NodeId, table: StateMachineTable) -> None:
        at = builder.at
        self.node_id = node_id
        self._number = builder.value(at(node_id, "0:NumberInList"))
        self._runs = builder.value(at(node_id, "MT:RunsCompleted"))
        self._planned = builder.value(at(node_id, "MT:RunsPlanned"))
        self._program = builder.value(at(node_id, "MT:ProductionPrograms/{MT:ProductionProgramType}Program/MT:Name"))
        self._machine = StateMachine(builder, at(node_id, "MT:State"), table)

    def show(self, job: Job, position: int, moment: datetime, now: datetime) -> None:
        for held, value, kind in (
            (self._number, position, _V.UInt16),
            (self._runs, job.runs_completed, _V.UInt32),
            (self._planned, job.order.runs, _V.UInt32),
            (self._program, job.program, _V.String),
        ):
            if held.value.Value.Value != value:
                put(held, shown(value, kind, 0, moment, now))
        self._machine.show(_PROGRAM_STATES[job.state], moment, now)


class JobSpace:
    """The nodes of one machine's job orders. ``methods``: name -> (object, method), all of them."""

    def __init__(
        self, server: Server, builder: Builder, machine: ua.NodeId, name: str, changes: ModelChanges
    ) -> None:  # fmt: skip
        types = builder.types
        self.types = JobTypes(types)
        self._aspace = builder.aspace
        self._changes = changes
        self._namespace = builder.namespace
        self._machine = machine
        self._plan_type = types.type_id("MT:ProductionJobType")
        self._plan_states = StateMachineTable.of(types, "MT:ProductionJobStateMachineType")
        self._job_states = StateMachineTable.of(types, "JC:ISA95JobOrderReceiverObjectType")
        self._event_type = types.type_id("JC:ISA95JobOrderStatusEventType")
        control, results = self._build(builder, machine)
        self._results = results
        self._notifier = Notifier(server, results, f"{name} JobOrderResults")
        at, value = builder.at, builder.value
        self.methods = {method: (control, at(control, f"JC:{method}")) for method in METHODS}
        self.methods |= {method: (results, at(results, f"JC:{method}")) for method in REQUESTS}
        self._orders = value(at(control, "JC:JobOrderList"))
        self._responses = value(at(results, "JC:JobOrderResponseList"))
        self._masters = value(at(control, "JC:WorkMaster"))
        self._state = value(at(control, _JOB_STATE))
        self._state_id = value(at(control, f"{_JOB_STATE}/0:Id"))
        self._state_number = value(at(control, f"{_JOB_STATE}/0:Number"))
        self._job_id = value(at(machine, f"{layout.PROGRAM}/MT:JobIdentifier"))
        self._job_node = value(at(machine, f"{layout.PROGRAM}/MT:JobNodeId"))
        self._plan = at(machine, layout.PLAN)
        self._rows: dict[str, _PlanRow] = {}
        self._programs: tuple[str, ...] | None = None
        builder.set(at(control, "JC:MaxDownloadableJobOrders"), MOST)
        builder.set(at(control, "JC:EquipmentID"), [name])
        changes.follow(builder, self._plan)
        self._show_state(None, builder.now, builder.now)

    def _build(self, builder: Builder, machine: ua.NodeId) -> tuple[ua.NodeId, ua.NodeId]:
        paths = [f"MJ:JobOrderControl/JC:{method}" for method in METHODS]
        paths += ["MJ:JobOrderControl/0:CurrentState/0:Number", "MJ:JobOrderResults/JC:JobOrderResponseList"]
        builder.shares_methods = True
        management = builder.instance(
            builder.at(machine, layout.BLOCKS),
            HAS_ADD_IN,
            ua.QualifiedName("JobManagement", builder.types.index["MJ"]),
            builder.types.type_id("MJ:JobManagementType"),
            wanted(paths),
        )
        builder.shares_methods = False
        results = builder.at(management, "MJ:JobOrderResults")
        builder.notifies(results)
        builder.references.add(machine, _HAS_NOTIFIER, results)
        return builder.at(management, "MJ:JobOrderControl"), results

    # Showing --------------------------------------------------------------------------------------------------------

    def show_programs(self, names: Sequence[str]) -> None:
        """What a job order may name as its work master."""
        programs = tuple(names)
        if programs != self._programs:
            self._programs = programs
            now = datetime.now(UTC)
            put(self._masters, shown(self.types.work_masters(programs), _V.ExtensionObject, 0, now, now, is_array=True))

    async def show(self, book: JobBook, moment: datetime) -> None:
        """Show what changed in the book, and tell it."""
        changed, book.changed = book.changed, []
        anew, book.is_listed_anew = book.is_listed_anew, False
        if not changed and not anew:
            return
        now = datetime.now(UTC)
        jobs = sorted(book.jobs.values(), key=lambda job: job.number)
        orders = [self.types.order_and_state(job) for job in jobs]
        responses = [self.types.response(job) for job in jobs if job.state not in PREPARED]
        put(self._orders, shown(orders, _V.ExtensionObject, 0, moment, now, is_array=True))
        put(self._responses, shown(responses, _V.ExtensionObject, 0, moment, now, is_array=True))
        self._show_plan(jobs, moment, now)
        foremost = book.foremost()
        self._show_state(foremost, moment, now)
        at_work = foremost if foremost is not None and foremost.state not in PREPARED | OVER else None
        row = self._rows.get(at_work.order.order_id) if at_work is not None else None
        put(self._job_id, shown(at_work.order.order_id if at_work else "", _V.String, 0, moment, now))
        put(self._job_node, shown(row.node_id if row else ua.NodeId(), _V.NodeId, 0, moment, now))
        await self._changes.tell()
        for job in changed:
            if job.order.order_id in book.jobs:
                await self._tell(job, moment)

    def _show_plan(self, jobs: list[Job], moment: datetime, now: datetime) -> None:
        present = {job.order.order_id for job in jobs}
        for order_id in [order_id for order_id in self._rows if order_id not in present]:
            self._changes.remove(self._rows.pop(order_id).node_id)
        for position, job in enumerate(jobs):
            row = self._rows.get(job.order.order_id)
            if row is None:
                row = self._rows[job.order.order_id] = self._new_row(job)
            row.show(job, position, moment, now)

    def _new_row(self, job: Job) -> _PlanRow:
        paths = ["MT:ProductionPrograms/{MT:ProductionProgramType}Program", "MT:State/0:CurrentState/0:Number"]
        paths += [f"MT:State/0:LastTransition/0:{part}" for part in ("Id", "Number", "TransitionTime")]
        name = ua.QualifiedName(f"Job{job.number}", self._namespace)
        builder, node_id = self._changes.add(self._plan, HAS_ORDERED_COMPONENT, name, self._plan_type, wanted(paths))
        builder.set(builder.at(node_id, "MT:Identifier"), job.order.order_id)
        builder.set(builder.at(node_id, "MT:RunsPlanned/MT:IsValid"), True)
        return _PlanRow(builder, node_id, self._plan_states)

    def _show_state(self, job: Job | None, moment: datetime, now: datetime) -> None:
        """JobOrderControl is the state machine of all orders, and shows the foremost one's (OPC 40501-1, 1.02)."""
        state = JobState.NOT_ALLOWED_TO_START if job is None else job.state
        row = self._job_states.states[state_name(state)]
        put(self._state, shown(ua.LocalizedText(row.name, "en"), _V.LocalizedText, 0, moment, now))
        put(self._state_id, shown(row.node_id, _V.NodeId, 0, moment, now))
        put(self._state_number, shown(row.number, _V.UInt32, 0, moment, now))

    async def _tell(self, job: Job, moment: datetime) -> None:
        text = f"Job order {job.order.order_id}: {job.state.words}" + (f" ({job.reason})" if job.reason else "")
        fields = {
            "JobOrder": (self.types.order(job), _V.ExtensionObject),
            "JobState": (ua.Variant(self.types.state(job), _V.ExtensionObject, is_array=True), _V.ExtensionObject),
            "JobResponse": (self.types.response(job), _V.ExtensionObject),
        }
        last_ns = max(job.started_ns, job.ended_ns)
        when = utc(last_ns) if job.state in OVER and last_ns else moment
        await self._notifier.send(self._event_type, text, fields, (self._results, self._machine, SERVER), when)

    def answers(self, jobs: Iterable[Job]) -> list[Any]:
        return [self.types.response(job) for job in jobs if job.state not in PREPARED]

    def places(self) -> list[AttributeValue]:
        return [self._orders, self._responses]


__all__ = ["HAS_COMPONENT", "METHODS", "REQUESTS", "JobSpace"]
