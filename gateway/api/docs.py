"""A page of all paths, told from the OpenAPI document: HTML without scripts, in the colours of the machine's page."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    return HTMLResponse(page(request.app.openapi()))


def page(schema: dict[str, Any]) -> str:
    """HTML of an OpenAPI 3.1 document: paths by tag, parameters, the fields of bodies, and an example of each."""
    groups: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_operation(schema, method, path, operation))
    body = "".join(f'<h2 id="{_anchor(tag)}">{escape(tag)}</h2>{"".join(rows)}' for tag, rows in groups.items())
    links = "".join(f'<a href="#{_anchor(tag)}">{escape(tag)}</a>' for tag in groups)
    info = schema["info"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="dark light">'
        '<link rel="icon" href="icon.svg" type="image/svg+xml"><link rel="stylesheet" href="theme.css">'
        '<link rel="stylesheet" href="docs.css"></head><body>'
        f"<header><h1>{escape(info['title'])} {escape(info['version'])}</h1><nav>{links}</nav></header><main>"
        f"<p>{_words(info.get('description', ''))}</p>"
        "<p>WebSockets: <code>/api/v1/stream</code>, <code>/ws/machines/{machine_id}/telemetry</code>. "
        'For machines: <a href="/openapi.json">openapi.json</a>. The page of the machine: <a href="/">/</a></p>'
        f"{body}</main></body></html>"
    )


def _anchor(tag: str) -> str:
    return tag.replace(" ", "-")


def _words(text: str) -> str:
    """Text with `code` in it as HTML."""
    parts = [escape(part) for part in text.split("`")]
    return "".join(f"<code>{part}</code>" if k % 2 else part for k, part in enumerate(parts))


def _operation(schema: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        f"<li><code>{escape(given['name'])}</code> ({escape(given['in'])}): {escape(given.get('description') or '')}</li>"
        for given in operation.get("parameters", ())
    ]
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    fields = _resolved(schema, sent.get("schema", {}))
    required = set(fields.get("required", ()))
    rows += [
        f"<li><code>{escape(name)}</code> (body{'' if name in required else ', optional'}): {escape(_type(field))}</li>"
        for name, field in fields.get("properties", {}).items()
    ]
    good: dict[str, Any] = next((answer for code, answer in operation["responses"].items() if code.startswith("2")), {})
    answer: dict[str, Any] = next(iter(good.get("content", {}).values()), {})
    refused = {code: told["description"] for code, told in operation["responses"].items() if code[0] in "45"}
    errors = ", ".join(f"{code} {description}" for code, description in refused.items())
    head = f"<h3><code>{escape(method.upper())} {escape(path)}</code></h3><p>{escape(operation.get('summary', ''))}</p>"
    return (
        f"<section>{head}"
        + (f"<ul>{''.join(rows)}</ul>" if rows else "")
        + _example("is sent", sent)
        + _example("is answered", answer)
        + (f"<p class='errors'>{escape(errors)}</p>" if errors else "")
        + "</section>"
    )


def _example(title: str, content: dict[str, Any]) -> str:
    if "example" not in content:
        return ""
    example = content["example"]
    text = example if isinstance(example, str) else json.dumps(example, indent=1, ensure_ascii=False)
    return f"<details><summary>What {title}</summary><pre>{escape(text)}</pre></details>"


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
