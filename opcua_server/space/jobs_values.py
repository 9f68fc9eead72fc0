"""Structures of OPC 10031-4 and back: what a client orders, and what is told about it.

Predefined parameters of OPC 40001-3, 7.2 that are understood: RunsPlanned (in), RunsCompleted and JobResult (out).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import utc
from cnctwin.wire import Budget, decode, encode
from opcua_server.jobs.orders import OVER, Job, Order
from opcua_server.space.statemachines import state_name
from opcua_server.space.types import TypeSpace

_V = ua.VariantType
_UNKNOWN, _SUCCESSFUL, _UNSUCCESSFUL = 0, 1, 2
"""MJ:JobResult."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BUDGET: Final = 100_000
_LARGEST_PRIORITY: Final = 32767


class JobTypes:
    """The Python classes of the structures, which exist once the NodeSets are loaded."""

    def __init__(self, types: TypeSpace) -> None:
        def of(name: str) -> Any:
            return ua.extension_objects_by_datatype[types.type_id(f"JC:{name}")]

        self.order_class = of("ISA95JobOrderDataType")
        self.state_class = of("ISA95StateDataType")
        self._order_and_state = of("ISA95JobOrderAndStateDataType")
        self._response = of("ISA95JobResponseDataType")
        self._work_master = of("ISA95WorkMasterDataType")
        self._parameter = of("ISA95ParameterDataType")

    # From a client --------------------------------------------------------------------------------------------------

    def ordered(self, given: Any) -> Order | None:
        """What an ISA95JobOrderDataType orders; None where it makes no sense."""
        masters = tuple(str(master.ID) for master in given.WorkMasterID or () if master is not None and master.ID)
        runs = self._runs(given.JobOrderParameters or ())
        if runs is None or not isinstance(given.JobOrderID, str):
            return None
        start = given.StartTime
        not_before_ns = 0
        if start is not None:
            start = start.replace(tzinfo=UTC) if start.tzinfo is None else start
            not_before_ns = max(int((start - _EPOCH).total_seconds() * 1e9), 0)
        return Order(given.JobOrderID, encode(given), masters, runs, int(given.Priority or 0), not_before_ns)

    @staticmethod
    def _runs(parameters: Sequence[Any]) -> int | None:
        for parameter in parameters:
            if parameter is not None and parameter.ID == "RunsPlanned":
                value = parameter.Value.Value if isinstance(parameter.Value, ua.Variant) else parameter.Value
                return value if isinstance(value, int) and not isinstance(value, bool) else None
        return 1

    # To clients -----------------------------------------------------------------------------------------------------

    def work_masters(self, names: Sequence[str]) -> list[Any]:
        return [self._work_master(ID=name) for name in names]

    def order(self, job: Job) -> Any:
        return decode(self.order_class, job.order.content, Budget(_BUDGET))

    def state(self, job: Job) -> list[Any]:
        """The top level state; its BrowsePath is null."""
        text = ua.LocalizedText(state_name(job.state), "en")
        return [self.state_class(BrowsePath=ua.RelativePath(), StateText=text, StateNumber=int(job.state))]

    def order_and_state(self, job: Job) -> Any:
        return self._order_and_state(JobOrder=self.order(job), State=self.state(job))

    def response(self, job: Job) -> Any:
        result = _UNKNOWN if job.state not in OVER else _SUCCESSFUL if job.is_successful else _UNSUCCESSFUL
        data = [
            self._parameter(ID="RunsCompleted", Value=ua.Variant(job.runs_completed, _V.UInt32)),
            self._parameter(ID="JobResult", Value=ua.Variant(result, _V.Int32)),
        ]
        return self._response(
            JobResponseID=job.order.order_id,
            Description=ua.LocalizedText(job.reason, "en") if job.reason else None,
            JobOrderID=job.order.order_id,
            StartTime=utc(job.started_ns) if job.started_ns else None,
            EndTime=utc(job.ended_ns) if job.ended_ns else None,
            JobState=self.state(job),
            JobResponseData=data,
        )

    def no_response(self) -> Any:
        """What goes out where there is none, beside a ReturnStatus that says so."""
        return self._response()
