"""/api/v1: what a signal was. Points as they were measured, or buckets of them."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from cnctwin.link import MethodFailed
from cnctwin.reading import iso, without_leap_second
from gateway.api.given import KEY_OR_LOGIN, TheGateway, TheMachine, TheStore
from gateway.api.replies import NEW_API, Json, Refusal
from gateway.core import OpcUa
from gateway.store.reader import BUCKETS, POINTS, Reader
from gateway.store.rollups import bucket_start_us
from gateway.store.schema import RESOLUTIONS, ROLLED
from nodesets import catalogue

router = APIRouter(prefix=NEW_API, tags=["machines"], dependencies=list(KEY_OR_LOGIN))
DEFAULT_US: Final = 10 * 60 * 1_000_000
PATIENCE_S: Final = 20.0
AT_ONCE: Final = 4
_turns: Final = asyncio.Semaphore(AT_ONCE)
_NO_HISTORY: Final = frozenset(
    {"BadHistoryOperationUnsupported", "BadHistoryOperationInvalid", "BadNotReadable", "BadNotSupported"}
)
_UNITS: Final = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}


@router.get("/machines/{machine_id:named}/history/{name:signal}", summary="Past values of a signal")
async def history(
    machine: TheMachine,
    name: str,
    store: TheStore,
    gateway: TheGateway,
    start: Annotated[
        str | None, Query(max_length=40, description="RFC 3339, included; default: ten minutes before the end")
    ] = None,
    end: Annotated[str | None, Query(max_length=40, description="RFC 3339, excluded; default: now")] = None,
    interval: Annotated[
        str | None, Query(max_length=10, description="length of a bucket, such as 10s, 1min, 5min or 1hour")
    ] = None,
    source: Annotated[
        Literal["gateway", "server"], Query(description="whose memory: the gateway's, or the history of the OPC UA server itself")
    ] = "gateway",
) -> Response:
    row = catalogue.BY_NAME.get(name)
    if row is None:
        raise Refusal(404, f"there is no signal {name}")
    until = _us(end, "end") if end is not None else store.clock() + 1
    since = _us(start, "start") if start is not None else until - DEFAULT_US
    if since >= until:
        raise Refusal(422, "start must be before end")
    machine_id = machine.machine_id
    if source == "server":
        if interval is not None:
            raise Refusal(422, "interval: buckets are made by the gateway; leave it out where the source is the server")
        return Json(_page(machine_id, name, source, await _of_server(gateway.link, machine_id, name, since, until)))
    if interval is None:
        points: list[tuple[int, Any]] = await store.ask(lambda reader: reader.points(machine_id, name, since, until), list)
        return Json(_page(machine_id, name, source, [[iso(ts_us * 1000), value] for ts_us, value in points]))
    if not row.is_numeric or row.type == "Boolean":
        raise Refusal(422, f"{name} is no number: leave interval out")
    length_s = _length(interval)
    found: dict[str, Any] = await store.ask(lambda reader: buckets(reader, machine_id, name, since, until, length_s), dict)
    return Json({"machine": machine_id, "signal": name, "source": source, "interval_s": length_s, "buckets": [], **found})


def _page(machine_id: str, name: str, source: str, points: list[list[Any]]) -> dict[str, Any]:
    # Where there may be more before it is asked for with the first time as end.
    more = {"next_end": points[0][0]} if len(points) >= POINTS else {}
    return {"machine": machine_id, "signal": name, "source": source, "points": points, **more}


async def _of_server(link: OpcUa, machine_id: str, name: str, since_us: int, until_us: int) -> list[list[Any]]:
    """Time, value and status of what the server has recorded; nothing of it is kept (decision 18). Raises Refusal."""
    if _turns.locked():
        raise Refusal(503, "too many questions to the server's history are under way", {"Retry-After": "1"})
    try:
        async with _turns, asyncio.timeout(PATIENCE_S):
            found = await link.past(machine_id, name, since_us * 1000, until_us * 1000, POINTS)
    except KeyError as error:
        raise Refusal(404, f"the server shows no {name} of {machine_id}") from error
    except MethodFailed as error:
        if error.name in _NO_HISTORY:
            raise Refusal(404, f"the server keeps no history of {name}", status_name=error.name) from error
        status = 403 if error.name == "BadUserAccessDenied" else 502
        raise Refusal(status, f"the server's history: {error}", status_name=error.name) from error
    except TimeoutError as error:
        raise Refusal(504, f"the server's history: no answer within {PATIENCE_S:g} s") from error
    except OSError as error:
        raise Refusal(503, str(error) or "the OPC UA server is away") from error
    return [[iso(one.source_time_ns), one.value, one.status] for one in found]


def buckets(reader: Reader, machine: str, name: str, start_us: int, end_us: int, length_s: int) -> dict[str, Any]:
    """From the longest rollup that divides the length, else from the points; ``next_end`` where there may be more before.

    Raises Refusal where one bucket alone is of more than one question brings.
    """
    merged: dict[int, tuple[int, float, float, float]] = {}

    def add(at_us: int, count: int, low: float, high: float, total: float) -> None:
        key = bucket_start_us(at_us, length_s * 1_000_000)
        known = merged.get(key)
        merged[key] = (
            (count, low, high, total)
            if known is None
            else (known[0] + count, min(known[1], low), max(known[2], high), known[3] + total)
        )

    fitting = [res for res in RESOLUTIONS.values() if length_s % res == 0]
    if fitting and name in ROLLED:
        rows = reader.buckets(machine, [name], max(fitting), start_us, end_us)
        is_cut = len(rows) >= BUCKETS
        for at_us, count, low, high, average in rows:
            add(at_us, count, low, high, average * count)
    else:
        points = reader.points(machine, name, start_us, end_us)
        is_cut = len(points) >= POINTS
        for at_us, value in points:
            if isinstance(value, int | float):
                add(at_us, 1, value, value, value)
    made = sorted(merged.items())
    if is_cut and len(made) == 1:
        raise Refusal(422, "interval: more than one question brings; ask for a shorter one, or for a multiple of 1min")
    if is_cut:
        made = made[1:]  # the oldest may have begun before what was read
    told: dict[str, Any] = {
        "buckets": [
            {"start": iso(at_us * 1000), "count": count, "min": low, "max": high, "avg": total / count}
            for at_us, (count, low, high, total) in made[-BUCKETS:]
        ]
    }
    if told["buckets"] and (is_cut or len(made) > BUCKETS):
        told["next_end"] = told["buckets"][0]["start"]
    return told


def _us(text: str, what: str) -> int:
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = datetime.fromisoformat(without_leap_second(text.replace(" ", "+") if "T" in text else text))
    except ValueError as error:
        raise Refusal(422, f"{what}: not an RFC 3339 time") from error
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        return int(moment.timestamp() * 1_000_000)
    except (OverflowError, ValueError) as error:
        raise Refusal(422, f"{what}: out of range") from error


def _length(text: str) -> int:
    match = re.fullmatch(r"(\d{1,6})([a-z]+)", text)
    if match is None or match[2] not in _UNITS or int(match[1]) == 0:
        raise Refusal(422, "interval: a number and s, min, h or d, such as 10s or 5min")
    return int(match[1]) * _UNITS[match[2]]
