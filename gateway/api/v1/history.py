"""/api/v1: what a signal was. Points as they were measured, or buckets of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from cnctwin.reading import iso, without_leap_second
from gateway.api.given import KEY_OR_LOGIN, TheMachine, TheStore
from gateway.api.replies import NEW_API, Json, Refusal
from gateway.store.reader import BUCKETS, POINTS, Reader
from gateway.store.rollups import bucket_start_us
from gateway.store.schema import RESOLUTIONS, ROLLED
from nodesets import catalogue

router = APIRouter(prefix=NEW_API, tags=["machines"], dependencies=list(KEY_OR_LOGIN))
DEFAULT_US: Final = 10 * 60 * 1_000_000
_UNITS: Final = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}


@router.get("/machines/{machine_id:named}/history/{name:signal}", summary="Past values of a signal")
async def history(
    machine: TheMachine,
    name: str,
    store: TheStore,
    start: Annotated[
        str | None, Query(max_length=40, description="RFC 3339, included; default: ten minutes before the end")
    ] = None,
    end: Annotated[str | None, Query(max_length=40, description="RFC 3339, excluded; default: now")] = None,
    interval: Annotated[
        str | None, Query(max_length=10, description="length of a bucket, such as 10s, 1min, 5min or 1hour")
    ] = None,
) -> Response:
    row = catalogue.BY_NAME.get(name)
    if row is None:
        raise Refusal(404, f"there is no signal {name}")
    until = _us(end, "end") if end is not None else store.clock() + 1
    since = _us(start, "start") if start is not None else until - DEFAULT_US
    if since >= until:
        raise Refusal(422, "start must be before end")
    machine_id = machine.machine_id
    if interval is None:
        points: list[tuple[int, Any]] = await store.ask(lambda reader: reader.points(machine_id, name, since, until), list)
        told: dict[str, Any] = {"points": [[iso(ts_us * 1000), value] for ts_us, value in points]}
        if len(points) >= POINTS:
            told["next_end"] = told["points"][0][0]  # there is more before: ask again with this end
        return Json({"machine": machine_id, "signal": name, **told})
    if not row.is_numeric or row.type == "Boolean":
        raise Refusal(422, f"{name} is no number: leave interval out")
    length_s = _length(interval)
    found: dict[str, Any] = await store.ask(lambda reader: buckets(reader, machine_id, name, since, until, length_s), dict)
    return Json({"machine": machine_id, "signal": name, "interval_s": length_s, "buckets": [], **found})


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
