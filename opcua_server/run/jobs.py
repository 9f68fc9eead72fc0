"""The job orders of one machine in the server: the methods' arguments, the book, the runner, the nodes.

    Call --> arguments --> JobBook, JobRunner --> kept on disk --> nodes, events --> answer
    tick --> JobRunner.follow ------------------------------------> nodes, events

A method's answer carries a ReturnStatus. Its StatusCode is Good even where that says no: under a Bad one no output argument goes
out, and many clients drop them under an Uncertain one as well (OPC 10031-4, Annex B.2). The words go where words go: into the
DiagnosticInfo, the audit event and the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import utc
from nodesets.states import MachineState
from opcua_server.engine.reasons import refusal
from opcua_server.jobs.book import JobBook
from opcua_server.jobs.orders import PREPARED, Job, Order, ReturnStatus
from opcua_server.jobs.runner import JobRunner
from opcua_server.run.arguments import refused
from opcua_server.sources.source import SourceEvent
from opcua_server.space.jobs import JobSpace

_logger = logging.getLogger(__name__)
_C = ua.StatusCodes
_V = ua.VariantType
_R = ReturnStatus
_WITH_ORDER: Final = frozenset({"Store", "StoreAndStart", "Update"})
_READS: Final = frozenset({"RequestJobResponseByJobOrderID", "RequestJobResponseByJobOrderState"})


class JobDesk:
    """``kept``: writes the machine's state, so that what was accepted is not lost. ``names``: programs the machine has now."""

    def __init__(
        self, space: JobSpace, book: JobBook, runner: JobRunner, names: Callable[[], Awaitable[Sequence[str]]],
        kept: Callable[[], Awaitable[None]], wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self.book = book
        self.runner = runner
        self._space = space
        self._names = names
        self._kept = kept
        self._wall_ns = wall_ns

    async def follow(self, state: MachineState, events: Iterable[SourceEvent], now_ns: int) -> None:
        """One tick of the machine."""
        await self.runner.follow(state, events, now_ns)
        await self._space.show(self.book, utc(now_ns))

    def restore(self, saved: Mapping[str, Any]) -> None:
        self.book.restore(saved, self._wall_ns())

    # Methods --------------------------------------------------------------------------------------------------------

    async def call(self, method: str, given: Sequence[Any]) -> Any:
        """Carry out a method of JobOrderControl or JobOrderResults; a CallMethodResult."""
        types = self._space.types
        kinds: tuple[Any, ...] = (_V.String, [_V.LocalizedText])
        if method in _WITH_ORDER:
            kinds = (types.order_class, [_V.LocalizedText])
        elif method in _READS:
            kinds = (_V.String,) if method.endswith("ID") else ([types.state_class],)
        if (wrong := refused(given, kinds)) is not None:
            return wrong
        first = given[0].Value
        if method in _READS:
            return self._response(first or "") if method.endswith("ID") else self._responses(first or [])
        await self._names()  # a program that was put into the folder a moment ago counts
        status, why = await self._act(method, first)
        if status == _R.NO_ERROR:
            await self._kept()
        await self._space.show(self.book, utc(self._wall_ns()))
        result = _answer(ua.Variant(status, _V.UInt64))
        if status == _R.NO_ERROR:
            return result
        why = why or self._words(method, status, first)
        _logger.info("%s of a job order refused: %s", method, why)
        return refusal(result, why)

    def _words(self, method: str, status: int, first: Any) -> str:
        """What a ReturnStatus means for the order that a call names."""
        order: Order | None = self._space.types.ordered(first) if method in _WITH_ORDER else None
        order_id = order.order_id if order is not None else str(first or "")
        if status == _R.UNKNOWN_ORDER:
            return f"There is no job order {order_id}"
        if status == _R.INVALID_STATE:
            job = self.book.jobs.get(order_id)
            return f"{method} is not possible while job order {order_id} is {job.state.words if job else 'unknown'}"
        return self.book.objection(order, is_new=method != "Update") if order is not None else "The machine refuses it"

    async def _act(self, method: str, first: Any) -> tuple[int, str]:
        book, runner, now_ns = self.book, self.runner, self._wall_ns()
        if method in _WITH_ORDER:
            order = self._space.types.ordered(first)
            if order is None:
                return _R.INVALID_REQUEST, "the order makes no sense"
            if method == "Update":
                return book.update(order), ""
            status = book.store(order, allowed=False)
            return (status, "") if status != _R.NO_ERROR or method == "Store" else await self._store_and_start(order.order_id)
        order_id = str(first or "")
        match method:
            case "Start":
                return await runner.start(order_id)
            case "RevokeStart":
                return runner.revoke(order_id), ""
            case "Pause":
                return await runner.pause(order_id, now_ns)
            case "Resume":
                return await runner.resume(order_id, now_ns)
            case "Stop":
                return await runner.stop(order_id, now_ns)
            case "Abort":
                return await runner.abort(order_id, now_ns)
            case "Cancel":
                return runner.cancel(order_id), ""
        return book.clear(order_id), ""

    async def _store_and_start(self, order_id: str) -> tuple[int, str]:
        """Both or nothing: an order that cannot start is not kept."""
        status, why = await self.runner.start(order_id)
        if status == _R.NO_ERROR:
            self.book.began_allowed(order_id)
        else:
            self.book.withdraw(order_id)
        return status, why

    def _response(self, order_id: str) -> Any:
        job = self.book.jobs.get(order_id)
        found = job is not None and job.state not in PREPARED
        types = self._space.types
        response = types.response(job) if job is not None and found else types.no_response()
        status = _R.NO_ERROR if found else _R.UNKNOWN_ORDER if job is None else _R.INVALID_STATE
        return _answer(ua.Variant(response, _V.ExtensionObject), ua.Variant(status, _V.UInt64))

    def _responses(self, states: Sequence[Any]) -> Any:
        numbers = {int(state.StateNumber) for state in states if state is not None and not state.BrowsePath.Elements}
        found: list[Job] = [job for job in self.book.jobs.values() if int(job.state) in numbers and job.state not in PREPARED]
        status = _R.NO_ERROR if numbers else _R.INVALID_STATE
        responses = ua.Variant([self._space.types.response(job) for job in found], _V.ExtensionObject, is_array=True)
        return _answer(responses, ua.Variant(status, _V.UInt64))


def _answer(*outputs: Any) -> Any:
    return ua.CallMethodResult(ua.StatusCode(0), [], [], list(outputs))
