"""The results of one machine in the server: what its runs came to, kept, shown, told, and handed out.

    tick --> ResultBook.follow --> LatestResult, ResultReadyEvent
    Call --> arguments --> ResultBook --> answer with an Error: 0, or one of ours, which are negative (OPC 40001-101, 7.1)

All results are in memory until newer ones push them out, so a handle holds nothing: it is only known until it is released.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import cmp_to_key
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import Columns
from nodesets.catalogue import NUMERIC
from nodesets.states import MachineState
from opcua_server.engine.reasons import refusal
from opcua_server.engine.subscriptions import filters
from opcua_server.jobs.book import JobBook
from opcua_server.jobs.results import Measured, ResultBook, RunResult
from opcua_server.run.arguments import refused
from opcua_server.sources.source import SourceEvent
from opcua_server.space.results import ResultSpace

_logger = logging.getLogger(__name__)
_C: Final = ua.StatusCodes
_V: Final = ua.VariantType
_AT: Final = {signal.name: index for index, signal in enumerate(NUMERIC)}
NO_SUCH_RESULT, NO_SUCH_HANDLE, NO_SUCH_FILTER = -1, -2, -3
"""Errors of ours."""
_WORDS: Final = {
    NO_SUCH_RESULT: "There is no such result", NO_SUCH_HANDLE: "There is no such handle",
    NO_SUCH_FILTER: "The filter or the order of it makes no sense",
}  # fmt: skip
_HANDLES: Final = 1000
"""Of those that nobody releases, the oldest are forgotten."""
_MOST_ORDERS: Final = 10
_ROOTS: Final = ("Result/", "")
"""Paths begin at the event, or at the result."""
_ARGUMENTS: Final[dict[str, tuple[Any, ...]]] = {
    "GetResultById": (_V.String, _V.Int32),
    "GetResultIdListFiltered": (ua.ContentFilter, [ua.RelativePath], _V.UInt32, _V.Int32),
    "ReleaseResultHandle": (_V.UInt32,),
    "GetLatestResult": (_V.Int32,),
    "AcknowledgeResults": ([_V.String],),
}
"""A type on the wire, a structure, or a list of one of them."""


class _Facts:
    """A result as filters look at it: by path, from the event on or from the result on."""

    def __init__(self, fields: Mapping[str, tuple[Any, ua.VariantType]]) -> None:
        self.data_types: dict[str, ua.VariantType] = {}
        for path, (value, kind) in fields.items():
            for root in _ROOTS:
                name = root + path.removeprefix("Result/")
                self.data_types[name] = kind
                setattr(self, name, value)


class ResultDesk:
    def __init__(self, space: ResultSpace) -> None:
        self.book = ResultBook()
        self._space = space
        self._handles: deque[int] = deque(maxlen=_HANDLES)
        self._last_handle = 0

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what was kept. What cannot be read is given up: no result is worth a machine that does not start."""
        try:
            self.book.restore(saved)
        except (KeyError, ValueError, TypeError) as error:
            _logger.warning("results are lost: %s: %s", type(error).__name__, error)
        if self.book.latest is not None:
            self._space.show(self.book.latest)

    async def follow(
        self, state: MachineState, events: Iterable[SourceEvent], columns: Columns, now_ns: int, jobs: JobBook
    ) -> None:  # fmt: skip
        """One tick of the machine, after its job orders have seen it."""

        def job_of(program: str, moment_ns: int) -> str:
            for job in reversed(jobs.jobs.values()):
                if job.program == program and (job is jobs.begun or job.ended_ns == moment_ns):
                    return job.order.order_id
            return ""

        shown = Measured(_known(columns, "Power/Energy"), _known(columns, "Part/Roughness"))
        for result in self.book.follow(state, events, shown, now_ns, job_of):
            self._space.show(result)
            await self._space.tell(result)

    # Methods --------------------------------------------------------------------------------------------------------

    async def call(self, method: str, given: Sequence[Any]) -> Any:
        """Carry out a method of ResultManagement; a CallMethodResult."""
        kinds = _ARGUMENTS[method]
        if (wrong := refused(given, kinds)) is not None:
            return wrong
        values = [one.Value for one in given]
        match method:
            case "GetLatestResult":
                outputs = self._result(self.book.latest)
            case "GetResultById":
                outputs = self._result(self._by_id(values[0]))
            case "GetResultIdListFiltered":
                outputs = self._listed(values[0], values[1] or [], int(values[2]))
            case "ReleaseResultHandle":
                outputs = self._release(int(values[0]))
            case _:
                outputs = self._acknowledge(values[0] or [])
        result = ua.CallMethodResult(ua.StatusCode(0), [], [], outputs)
        error = int(outputs[-1].Value)
        return refusal(result, _WORDS[error]) if error else result

    def file(self, result_id: str) -> bytes:
        """A result as a file. Raises KeyError."""
        found = self._by_id(result_id)
        if found is None:
            raise KeyError(result_id)
        return self._space.file_of(found)

    def _by_id(self, result_id: Any) -> RunResult | None:
        found = self.book.results.get(self._space.number_of(result_id))
        return found if found is not None and self._space.id_of(found) == result_id else None

    def _handle(self) -> ua.Variant:
        self._last_handle = self._last_handle % 0xFFFF_FFFF + 1
        self._handles.append(self._last_handle)
        return ua.Variant(self._last_handle, _V.UInt32)

    def _result(self, result: RunResult | None) -> list[ua.Variant]:
        handle = ua.Variant(0, _V.UInt32) if result is None else self._handle()
        error = NO_SUCH_RESULT if result is None else 0
        return [handle, ua.Variant(self._space.structure(result), _V.ExtensionObject), ua.Variant(error, _V.Int32)]

    def _release(self, handle: int) -> list[ua.Variant]:
        if handle not in self._handles:
            return [ua.Variant(NO_SUCH_HANDLE, _V.Int32)]
        self._handles.remove(handle)
        return [ua.Variant(0, _V.Int32)]

    def _acknowledge(self, result_ids: Sequence[Any]) -> list[ua.Variant]:
        errors = []
        for result_id in result_ids:
            found = self._by_id(result_id)
            errors.append(0 if found is not None and self.book.acknowledge(found.number) else NO_SUCH_RESULT)
        return [
            ua.Variant(errors, _V.Int32, is_array=True), ua.Variant(NO_SUCH_RESULT if any(errors) else 0, _V.Int32),
        ]  # fmt: skip

    def _listed(self, where: Any, order: Sequence[Any], most: int) -> list[ua.Variant]:
        """Ids of the results that pass, in the order that is asked for; without one, the oldest first."""
        asked = ua.EventFilter([ua.SimpleAttributeOperand(ua.NodeId(), [ua.QualifiedName("Result")], ua.AttributeIds.Value)], where)
        status, _ = filters.check(asked, lambda _: True)
        known = [(result, _Facts(self._space.fields(result))) for result in self.book.results.values()]
        paths = ["/".join(str(part.TargetName.Name) for part in path.Elements or []) for path in order]
        if status or len(paths) > _MOST_ORDERS or not all(paths):
            return self._list(None)
        query = filters.EventQuery(asked, lambda _kind, _above: True)
        found = [(result, facts) for result, facts in known if query.passes(facts)]
        for path in reversed(paths):  # a stable sort by the last one first
            found.sort(key=cmp_to_key(lambda a, b, path=path: _compared(a[1], b[1], path)))
        return self._list([self._space.id_of(result) for result, _ in (found[:most] if most else found)])

    def _list(self, ids: list[str] | None) -> list[ua.Variant]:
        handle = ua.Variant(0, _V.UInt32) if ids is None else self._handle()
        error = ua.Variant(NO_SUCH_FILTER if ids is None else 0, _V.Int32)
        return [handle, ua.Variant(ids or [], _V.String, is_array=True), error]


def _known(columns: Columns, name: str) -> float:
    """A number of the machine; 0 where a broken sensor gives none."""
    number = float(columns.numbers[_AT[name]])
    return number if number == number else 0.0


def _compared(a: _Facts, b: _Facts, path: str) -> int:
    """What a result does not have comes first."""
    values = getattr(a, path, None), getattr(b, path, None)
    if values[0] is None or values[1] is None:
        return (values[0] is not None) - (values[1] is not None)
    order = filters.compare(*values)
    return order if order in (-1, 1) else 0
