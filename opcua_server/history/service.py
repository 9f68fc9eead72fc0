"""HistoryRead and HistoryUpdate (OPC 10000-4, 5.11.3 and 5.11.5; OPC 10000-11, 6).

    request -> details checked -> a job for each node -> pages, one after another, in a thread -> results
                                         '-- what is left of it: a continuation point of the session

What was recorded is never touched; what engineers change of it lies beside it (``changes``).
"""

from __future__ import annotations

import asyncio
import logging
import math
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cnctwin.wire import encode
from cnctwin.wire.encode import to_ticks
from cnctwin.wire.scalars import ua
from opcua_server.engine import ranges
from opcua_server.engine.contract import Core, Request, Service, ServiceFault
from opcua_server.engine.points import Points
from opcua_server.engine.subscriptions.costs import TERM
from opcua_server.history import encoding, intervals, raw
from opcua_server.history.aggregates import ANNOTATION_COUNT
from opcua_server.history.annotations import AnnotationJob, Annotations, tag_of_annotations
from opcua_server.history.archive import Archive, Tag
from opcua_server.history.asked import DEFAULTS, aggregate_of, configuration_of
from opcua_server.history.blocks import BlockError
from opcua_server.history.changes import Changes, Outcome
from opcua_server.history.event_changes import EventChanges
from opcua_server.history.events import EventHistory, EventJob
from opcua_server.history.jobs import AtTimeJob, Job, ModifiedJob, ProcessedJob, RawJob
from opcua_server.history.lookback import LookBack
from opcua_server.history.series import TICKS_PER_MS
from opcua_server.history.store import StoreError
from opcua_server.security.access import may_read_history

_C = ua.StatusCodes
_logger = logging.getLogger("opcua_server.history")
STATE: Final = "engine.history"
_LEAST: Final = 500
MOST_PER_NODE: Final = 10_000
"""Values of one node in a response, where the client sets no limit."""
MOST_PER_RESPONSE: Final = 100_000
"""Values of all nodes together, in 3 MB."""
Result = tuple[int, bytes, Job | None]


class History:
    """``tags``: which variables have a history. ``seen``: to which time values that did not change have held. ``now``: the wall
    clock. ``annotations``: Annotations property -> the tag that it is about, and the place of its value. Times in 100 ns since
    1601."""

    def __init__(
        self, core: Core, archive: Archive, tags: Mapping[Any, Tag], seen: Callable[[], int], now: Callable[[], int],
        events: EventHistory | None = None, annotations: Mapping[Any, tuple[Tag, Any]] | None = None,
    ) -> None:  # fmt: skip
        self._core = core
        self._limits = core.limits
        self._archive = archive
        self._tags = tags
        self._seen = seen
        self._now = now
        self._events = events
        self._changes = Changes(core, archive, tags, now)
        self.annotations = Annotations(core, archive, annotations or {}, tags)
        notifiers = events.notifiers if events is not None else {}
        self._event_changes = EventChanges(core, archive, notifiers, core.subscriptions.events if notifiers else None)
        self._reader = ThreadPoolExecutor(1, "history-reader")
        core.subscriptions.calculations.past = LookBack(archive, tags, seen, now, self._reader)
        self._points: Points[tuple[Any, Job]] = Points(STATE, core.limits.history_points, core.shares)
        self._unreadable = ""
        """Why the last read failed, which is logged once."""

    def services(self) -> list[Service]:
        return [
            Service("HistoryRead", 664, 667, self.read, ua.HistoryReadParameters),
            Service("HistoryUpdate", 700, 703, self.update, ua.HistoryUpdateParameters),
        ]

    def close(self) -> None:
        self._reader.submit(self._archive.close_reader)
        self._reader.shutdown(wait=False)

    # Read ---------------------------------------------------------------------------------------------------------------

    async def read(self, request: Request, params: Any) -> bytes:
        nodes = params.NodesToRead
        if not nodes:
            raise ServiceFault(_C.BadNothingToDo)
        if len(nodes) > self._limits.history_nodes:
            raise ServiceFault(_C.BadTooManyOperations)
        if params.ReleaseContinuationPoints:
            released = [self._released(request, node) for node in nodes]
            for position, (status, _, _) in enumerate(released):
                request.answer.reasons.note(position, status)
            return _results(released)
        details = params.HistoryReadDetails
        timestamps = int(params.TimestampsToReturn)
        self._check(details, timestamps, nodes)
        times = None
        if isinstance(details, ua.ReadAtTimeDetails):
            times = await asyncio.get_running_loop().run_in_executor(self._reader, _ticks, details.ReqTimes)
        most = max(1, min(MOST_PER_NODE, MOST_PER_RESPONSE // len(nodes)))
        results = []
        made: set[bytes] = set()
        for position, node in enumerate(nodes):
            try:
                if not may_read_history(request.session.role if request.session is not None else None):
                    raise ServiceFault(_C.BadUserAccessDenied)
                if node.ContinuationPoint:
                    of, job = self._points.take(request.session, node.ContinuationPoint) or (None, None)
                    if job is None or of != node.NodeId:
                        raise ServiceFault(_C.BadContinuationPointInvalid)
                else:
                    job = self._job(request, details, times, timestamps, node, position)
                status, body, rest = await asyncio.get_running_loop().run_in_executor(self._reader, self._page, job, most)
            except ServiceFault as fault:
                request.answer.reasons.fault(position, fault)
                results.append((fault.status, b"", encoding.no_data()))
                continue
            if not request.answer.is_open:
                break
            point = self._points.keep(request.session, (node.NodeId, rest), _size(rest), made) if rest is not None else b""
            if point is None:
                request.answer.reasons.note(position, _C.BadNoContinuationPoints)
            results.append((status if point is not None else int(_C.BadNoContinuationPoints), point or b"", body))
        return _results(results)

    def _page(self, job: Job, most: int) -> Result:
        """In the reader's thread. Raises ServiceFault."""
        try:
            with self._archive.view() as view:
                page = job.page(view, most)
            self._unreadable = ""
            return page
        except (StoreError, BlockError) as error:
            if str(error) != self._unreadable:
                _logger.warning("history %s: cannot be read: %s", self._archive.database.name, error)
            self._unreadable = str(error)
            raise ServiceFault(_C.BadDataUnavailable) from error

    def _released(self, request: Request, node: Any) -> tuple[int, bytes, bytes]:
        known = self._points.take(request.session, node.ContinuationPoint) if node.ContinuationPoint else None
        return (0 if known is not None else int(_C.BadContinuationPointInvalid)), b"", encoding.no_data()

    def _check(self, details: Any, timestamps: int, nodes: list[Any]) -> None:
        """What is wrong with a request as a whole. Raises ServiceFault."""
        if not isinstance(details, ua.HistoryReadDetails):
            raise ServiceFault(_C.BadHistoryOperationInvalid)
        if timestamps not in (0, 1, 2) and not isinstance(details, ua.ReadEventDetails):
            raise ServiceFault(_C.BadTimestampsToReturnInvalid)
        if isinstance(details, ua.ReadRawModifiedDetails | ua.ReadEventDetails):
            given = (to_ticks(details.StartTime) > 0) + (to_ticks(details.EndTime) > 0) + (details.NumValuesPerNode > 0)
            if given < 2:
                raise ServiceFault(_C.BadHistoryOperationInvalid, "Two of start, end and number are needed")
        elif isinstance(details, ua.ReadProcessedDetails):
            if len(details.AggregateType or ()) != len(nodes):
                raise ServiceFault(_C.BadAggregateListMismatch)
            if not (to_ticks(details.StartTime) and to_ticks(details.EndTime)):
                raise ServiceFault(_C.BadInvalidTimestampArgument)
        elif isinstance(details, ua.ReadAtTimeDetails | ua.ReadAnnotationDataDetails):
            if not details.ReqTimes:
                raise ServiceFault(_C.BadNothingToDo)
        else:
            raise ServiceFault(_C.BadHistoryOperationUnsupported)

    def _job(
        self, request: Request, details: Any, times: NDArray[np.int64] | None, timestamps: int, node: Any, position: int
    ) -> Job:
        """Raises ServiceFault with what is wrong with a node. ``times``: for which values are asked, where it is for such; one for
        all nodes, since a session may have a hundred of them begun."""
        self._core.values.node(node.NodeId, request.session)
        if isinstance(details, ua.ReadEventDetails):
            if self._events is None or type(details) is not ua.ReadEventDetails:
                raise ServiceFault(_C.BadHistoryOperationUnsupported)
            return self._events.job(node.NodeId, details, timestamps)
        said = self.annotations.job(node.NodeId, details, timestamps)
        if said is not None:
            return said
        tag = self._tags.get(node.NodeId)
        if tag is None:
            raise ServiceFault(_C.BadHistoryOperationUnsupported)
        bounds = self._bounds(tag, node)
        if isinstance(details, ua.ReadRawModifiedDetails):
            return self._raw(tag, details, timestamps, bounds)
        if bounds:
            raise ServiceFault(_C.BadIndexRangeNoData)
        if timestamps == encoding.SERVER:  # what was worked out was not put by anybody
            raise ServiceFault(_C.BadTimestampNotSupported)
        if times is not None:
            configuration = replace(DEFAULTS, stepped=tag.is_stepped)
            return AtTimeJob(tag, times, bool(details.UseSimpleBounds), configuration, self._seen(), self._now(), timestamps)
        return self._processed(tag, details, details.AggregateType[position], timestamps)

    @staticmethod
    def _bounds(tag: Tag, node: Any) -> list[tuple[int, int]]:
        encoded = node.DataEncoding
        if encoded is not None and encoded.Name:
            is_binary = encoded.Name == "Default Binary" and not encoded.NamespaceIndex
            raise ServiceFault(_C.BadDataEncodingInvalid if is_binary else _C.BadDataEncodingUnsupported)
        if not node.IndexRange:
            return []
        bounds = ranges.parse(node.IndexRange)
        if tag.kind != "String" or len(bounds) != 1:
            raise ServiceFault(_C.BadIndexRangeNoData)
        return bounds

    @staticmethod
    def _raw(tag: Tag, details: Any, timestamps: int, bounds: list[tuple[int, int]]) -> Job:
        if details.IsReadModified and (details.ReturnBounds or bounds):
            raise ServiceFault(_C.BadInvalidArgument)
        start, end = to_ticks(details.StartTime) or None, to_ticks(details.EndTime) or None
        asked = raw.wanted(start, end, bounds=bool(details.ReturnBounds))
        count = int(details.NumValuesPerNode)
        left = count if start is None or end is None else None
        if details.IsReadModified:
            return ModifiedJob(tag, asked, count, left, timestamps)
        return RawJob(tag, asked, count, left, timestamps, bounds)

    def _processed(self, tag: Tag, details: Any, kind: Any, timestamps: int) -> Job:
        aggregate = aggregate_of(kind, tag.kind)
        start, end = to_ticks(details.StartTime), to_ticks(details.EndTime)
        length_ms = float(details.ProcessingInterval)
        if start == end or not 0 <= length_ms < math.inf or 0 < length_ms < 1:
            raise ServiceFault(_C.BadInvalidArgument, "Start and end differ, and a ProcessingInterval is 0, or 1 ms and more")
        length = round(min(length_ms * TICKS_PER_MS, 1 << 62))
        configuration = configuration_of(details.AggregateConfiguration)
        configuration = replace(configuration, stepped=tag.is_stepped and not aggregate.is_sloped)
        if not intervals.count(start, end, length):
            raise ServiceFault(_C.BadInvalidArgument)
        said = tag_of_annotations(tag) if aggregate.node_id == ANNOTATION_COUNT else None
        return ProcessedJob(tag, aggregate, start, end, length, configuration, self._seen(), self._now(), timestamps, said)

    # Update -------------------------------------------------------------------------------------------------------------

    async def update(self, request: Request, params: Any) -> bytes:
        """One after another, as a later one may build on an earlier one."""
        asked = params.HistoryUpdateDetails
        if not asked:
            raise ServiceFault(_C.BadNothingToDo)
        if len(asked) > self._limits.history_nodes:
            raise ServiceFault(_C.BadTooManyOperations)
        user = (request.session.user if request.session is not None else None) or "anonymous"
        parts = [struct.pack("<i", len(asked))]
        for position, details in enumerate(asked):
            operations: list[int] = []
            old: list[Any] = []
            try:
                work = partial(self._changed, self._work(request, details, user))
                status, operations, old = await asyncio.get_running_loop().run_in_executor(self._reader, work)
            except ServiceFault as fault:
                request.answer.reasons.fault(position, fault)
                status = fault.status
            if isinstance(details, ua.UpdateStructureDataDetails):
                self.annotations.show(details.NodeId)
            self._core.audit.changed_history(request, details, old, status)
            infos = request.answer.reasons.infos(operations)
            parts.append(struct.pack(f"<Ii{len(operations)}Ii", status, len(operations), *operations, len(infos)))
            parts += map(encode, infos)
        parts.append(struct.pack("<i", 0))
        return b"".join(parts)

    def _work(self, request: Request, details: Any, user: str) -> Callable[[], Outcome]:
        """What carries out one operation, checked. Raises ServiceFault."""
        if isinstance(details, ua.UpdateEventDetails | ua.DeleteEventDetails):
            emitter = self._event_changes.check(request, details)
            return partial(self._event_changes.carry_out, emitter, details, self._now(), user)
        if isinstance(details, ua.UpdateStructureDataDetails):
            about = self.annotations.check(request, details)
            return partial(self.annotations.carry_out, about, details, self._now(), user)
        return partial(self._changes.carry_out, self._changes.check(request, details), details, user)

    def _changed(self, work: Callable[[], Outcome]) -> Outcome:
        """In the reader's thread. Raises ServiceFault."""
        try:
            return work()
        except (StoreError, BlockError) as error:
            _logger.warning("history %s: cannot be changed: %s", self._archive.database.name, error)
            raise ServiceFault(_C.BadDataUnavailable) from error


def _ticks(times: list[Any]) -> NDArray[np.int64]:
    return np.fromiter(map(to_ticks, times), np.int64, len(times))


def _results(results: list[tuple[int, bytes, bytes]]) -> bytes:
    """HistoryReadResults, and no DiagnosticInfos."""
    parts = [struct.pack("<i", len(results))]
    for status, point, body in results:
        parts += [struct.pack("<Ii", status, len(point) if point else -1), point, body]
    parts.append(struct.pack("<i", 0))
    return b"".join(parts)


def _size(job: Job) -> int:
    """Bytes that a job takes, about, while it waits."""
    if isinstance(job, EventJob):
        return _LEAST + TERM * job.query.size
    if isinstance(job, AtTimeJob):
        return _LEAST + job.times.nbytes
    return _LEAST + (64 * len(job.times) if isinstance(job, AnnotationJob) and job.times is not None else 0)
