"""A page of all paths, told from the OpenAPI document: plain HTML without scripts, so that it works offline."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    return HTMLResponse(page(request.app.openapi()))


def page(schema: dict[str, Any]) -> str:
    """HTML of an OpenAPI 3.1 document: paths by tag, parameters, and the fields of bodies."""
    groups: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_operation(schema, method, path, operation))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(rows)}" for tag, rows in groups.items())
    info = schema["info"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('description', ''))}</p>"
        "<p>WebSockets: <code>/api/v1/stream</code>, <code>/ws/machines/{machine_id}/telemetry</code>. "
        'For machines: <a href="/openapi.json">openapi.json</a></p>'
        f"{body}</body></html>"
    )


def _operation(schema: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        f"<li><code>{escape(p['name'])}</code> ({escape(p['in'])}): {escape(p.get('description', _type(p.get('schema', {}))))}</li>"
        for p in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    fields = _resolved(schema, body)
    required = set(fields.get("required", ()))
    rows += [
        f"<li><code>{escape(name)}</code> (body{'' if name in required else ', optional'}): {escape(_type(field))}</li>"
        for name, field in fields.get("properties", {}).items()
    ]
    head = f"<h3><code>{escape(method.upper())} {escape(path)}</code></h3><p>{escape(operation.get('summary', ''))}</p>"
    return head + (f"<ul>{''.join(rows)}</ul>" if rows else "")


def _resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    for choice in (part, *part.get("anyOf", ())):
        if "$ref" in choice:
            found: dict[str, Any] = schema["components"]["schemas"][choice["$ref"].rsplit("/", 1)[1]]
            return found
    return part


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "$ref" in field:
        return str(field["$ref"].rsplit("/", 1)[1])
    if "enum" in field:
        return ", ".join(str(value) for value in field["enum"])
    name = str(field.get("type", "any"))
    if name == "array":
        name = f"list of {_type(field.get('items', {}))}"
    low, high = field.get("minimum"), field.get("maximum")
    return f"{name} {low} to {high}" if low is not None and high is not None else name
