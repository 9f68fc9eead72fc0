"""How answers and errors look.

first surface   {"status": "success", "data": ..., "metadata": {timestamp, request_id, quality?}}    errors {"detail": ...}
/api/v1         the plain value                                   errors RFC 9457 {type, title, status, detail, instance}
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.responses import Response

from gateway.api.paths import reference

OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
NEW_API: Final = "/api/v1"
_PHRASES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Of RFC 9110; Python has them from 3.13 on, and a title must not tell which one runs."""


def phrase(status: int) -> str:
    """What a status is called."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def now_iso() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Json(Response):
    """A JSON answer by orjson: NaN becomes null, times are RFC 3339 with Z."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content, option=OPTIONS)


def success(data: Any, quality: str | None = None) -> Json:
    """The envelope of the first REST surface. ``quality`` says how far telemetry can be trusted."""
    metadata = {"timestamp": now_iso(), "request_id": str(uuid.uuid4())}
    if quality is not None:
        metadata["quality"] = quality
    return Json({"status": "success", "data": data, "metadata": metadata})


class Refusal(Exception):
    """A request that is not carried out: HTTP status, what is wrong, further headers."""

    def __init__(self, status: int, detail: Any, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(str(detail))
        self.status = status
        self.detail = detail
        self.headers = headers
        self.more = more


def refusal(
    path: str, status: int, detail: Any, headers: dict[str, str] | None = None, more: dict[str, Any] | None = None
) -> Response:
    """The error answer in the form of the surface that ``path`` belongs to."""
    if not path.startswith(NEW_API):
        return Json({"detail": detail}, status, headers)
    problem = {
        "type": "about:blank",
        "title": phrase(status),
        "status": status,
        "detail": detail if isinstance(detail, str) else "the request does not fit the schema",
        "instance": reference(path),
        **(more or {}),
    }
    if not isinstance(detail, str):
        problem["errors"] = detail
    return Json(problem, status, headers, "application/problem+json")
