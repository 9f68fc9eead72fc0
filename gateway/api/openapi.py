"""The OpenAPI document, complete: each answer with an example, each error with its form, each parameter with its meaning.

What FastAPI knows of a path is its parameters and its body; answers are built by hand for their speed, so it knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI

from gateway.api.examples import ANSWERS, BODIES, PARAMETERS
from gateway.api.replies import NEW_API, phrase

PROBLEM: Final = {
    "title": "Problem",
    "description": "Why a request was refused (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong, in words"},
        "instance": {"type": "string", "description": "path of the request"},
        "errors": {"type": "array", "description": "what does not fit", "items": {"$ref": "#/components/schemas/Misfit"}},
        "id": {"type": "string", "description": "of the command that was refused"},
        "status_name": {"type": ["string", "null"], "description": "the OPC UA server's status code"},
        "machine_state": {"type": "object", "description": "the machine's state, where that is what stands in the way"},
    },
}  # fmt: skip
MISFIT: Final = {
    "title": "Misfit",
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
        "msg": {"type": "string"},
    },
}
DETAIL: Final = {
    "title": "Detail",
    "description": "Why a request of the first surface was refused.",
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/Misfit"}}]}},
}
METADATA: Final = {"timestamp": "2026-11-26T06:00:21.805159Z", "request_id": "212fe447-0e5b-4fb7-95d5-53c3b05d7d1e"}

_WORDS: Final = {
    400: "the machine of the path is not the one of the body",
    401: "no key, or one that is not known; or not logged in",
    403: "the caller's role may not do this, or the request comes from a foreign page",
    404: "there is no such machine, signal, command or alarm",
    409: "not possible in the present state",
    413: "the body is too large",
    422: "what was sent does not fit",
    429: "too many requests; Retry-After says how many seconds to wait",
    502: "the OPC UA server failed at it",
    503: "the OPC UA server is away, or too much is under way",
    504: "the OPC UA server did not answer in time",
}
_OTHERS: Final = (
    "what is refused at any path: 400 a header said twice, 405, 408 a body that does not come, 500; 431 comes without a body"
)
_EXAMPLES: Final = {
    401: "Invalid API key", 404: "Machine not found", 429: "Rate limit exceeded", 403: "needs the role Engineer; anna has Operator",
    409: "the machine is running", 400: "Machine ID mismatch",
}  # fmt: skip
_BARE: Final = ("/health", "/ready")
"""Answered without an envelope."""
_TELL_QUALITY: Final = ("/machines/{machine_id}/status", "/machines/{machine_id}/telemetry")


def described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What ``app.openapi`` becomes: the document, made once."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete(plain())
        return app.openapi_schema

    return openapi


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """The same document with everything that FastAPI does not know."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Problem": PROBLEM, "Misfit": MISFIT, "Detail": DETAIL}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    return document


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    operation["operationId"] = f"{method}_{path.strip('/').replace('/', '_').replace('{', '').replace('}', '')}"
    if path == "/metrics":
        operation["security"] = [{"APIKeyHeader": []}, {"APIKeyCookie": []}]
    if method == "get" and {"APIKeyCookie": []} in operation.get("security", ()):
        operation["security"] = [*operation["security"], {}]  # on loopback whoever is there may read
    for parameter in operation.get("parameters", ()):
        text, example = PARAMETERS[parameter["name"].lower()]
        parameter.setdefault("description", text)
        parameter["example"] = example
    if "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"]["example"] = BODIES[method, path]
    good = next(code for code in operation["responses"] if code.startswith("2"))
    operation["responses"] = {
        good: _answer(path, method),
        **{str(code): _error(path, code) for code in _errors(path, method, operation)},
        "default": _error(path, None),
    }


def _answer(path: str, method: str) -> dict[str, Any]:
    if path == "/metrics":
        return {
            "description": "counters",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "messages_processed_total 1592.0"}},
        }
    example = ANSWERS[method, path]
    if path.startswith(NEW_API) or path in _BARE:
        schema: dict[str, Any] = {"type": "array" if isinstance(example, list) else "object"}
    else:
        inner = {"type": ["array"] if isinstance(example, list) else ["object", "null"]}
        schema = {"type": "object", "required": ["status", "data", "metadata"], "properties": {
            "status": {"const": "success"}, "data": inner, "metadata": {"type": "object", "required": ["timestamp", "request_id"]},
        }}  # fmt: skip
        quality = {"quality": "Good"} if method == "get" and path in _TELL_QUALITY else {}
        example = {"status": "success", "data": example, "metadata": {**METADATA, **quality}}
    return {"description": "as the example", "content": {"application/json": {"schema": schema, "example": example}}}


def _errors(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    if path in _BARE:
        return [503] if path == "/ready" else []
    codes = {429}
    if "security" in operation or path.startswith(NEW_API):
        codes.add(401)
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    if (
        "machine_id" in names
        and not path.endswith(("/telemetry", "/history"))
        and not path.startswith(("/predictions", "/anomalies"))
    ):
        codes.add(404)
    if "command_id" in names:
        codes.add(404)
    if "requestBody" in operation:
        codes |= {413, 422}
    if names & {"limit", "start", "end", "interval", "method", "condition"}:
        codes.add(422)
    if method == "post":
        codes.add(403)
    if path.endswith("/telemetry") and method == "post":
        codes |= {400, 409}
    if ("/commands" in path and method == "post") or path.endswith("{act}"):
        codes |= {409, 502, 503, 504}
    return sorted(codes)


def _error(path: str, code: int | None) -> dict[str, Any]:
    """``code``: None for whatever may be answered at any path, such as a method that it does not take."""
    new = path.startswith(NEW_API)
    ready = path == "/ready" and code is not None
    told = "Method Not Allowed" if code is None else _EXAMPLES.get(code, _WORDS[code])
    if new:
        status = code or 405
        example: dict[str, Any] = {
            "type": "about:blank",
            "title": phrase(status),
            "status": status,
            "detail": told,
            "instance": path,
        }
    elif ready:
        example = {"status": "not ready", "reasons": {"MQTT broker": "mqtt://127.0.0.1:1883: Connection refused"}}
    elif code == 422:
        example = {"detail": [{"type": "missing", "loc": ["body", "machine_id"], "msg": "Field required"}]}
    else:
        example = {"detail": told}
    schema = {"type": "object"} if ready else {"$ref": f"#/components/schemas/{'Problem' if new else 'Detail'}"}
    found: dict[str, Any] = {
        "description": _OTHERS if code is None else "not ready, and why" if ready else _WORDS[code],
        "content": {"application/problem+json" if new else "application/json": {"schema": schema, "example": example}},
    }
    if code == 429:
        found["headers"] = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
    return found
