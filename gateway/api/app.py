"""The HTTP side as one ASGI application: the first REST surface, /api/v1, health, metrics and the web page."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

import gateway.web
from cnctwin import __version__
from gateway.api import docs, health
from gateway.api.access import Doorkeeper
from gateway.api.guard import Guard
from gateway.api.openapi import described
from gateway.api.parts import Parts
from gateway.api.replies import Refusal, refusal
from gateway.api.seed import machines as seed_machines
from gateway.api.seed import services
from gateway.api.v1 import commands, conditions, history, login, machines, stream

log = logging.getLogger("gateway.api")
STATIC: Final = Path(gateway.web.__file__).parent / "static"
DESCRIPTION: Final = """\
Two surfaces over one twin: the REST and WebSocket paths that existing clients use (`/machines`, `/predictions`, `/alerts` ...),
and `/api/v1`, which shows every signal of the machines with quality and source time, takes every command of the OPC UA server
and streams changes. Send an API key as `x-api-key`, or log in at `/api/v1/login`; on loopback `/api/v1` is read without. Times are
RFC 3339 UTC, from 1970 to 2261.
"""


class Page(StaticFiles):
    """The page's files. Browsers keep them and ask each time whether they changed (ETag), so a new version shows at once."""

    def file_response(self, *args: Any, **more: Any) -> Response:
        response = super().file_response(*args, **more)
        response.headers["cache-control"] = "no-cache"
        return response


def create(parts: Parts, doorkeeper: Doorkeeper) -> Guard:
    """The whole application behind its guard."""
    app = bare("cnctwin gateway", DESCRIPTION)
    share(app, parts, doorkeeper)
    for part in (health, docs, seed_machines, services, login, machines, history, commands, conditions, stream):
        app.include_router(part.router)
    app.include_router(seed_machines.socket_router)
    app.openapi = described(app)  # type: ignore[method-assign]  # FastAPI's own way to say more than it knows
    if STATIC.is_dir():
        app.mount("/", Page(directory=STATIC, html=True), name="page")
    return Guard(app, doorkeeper=doorkeeper, metrics=parts.gateway.metrics, per_minute=parts.gateway.settings.rate_limit_per_min)


def share(app: FastAPI, parts: Parts, doorkeeper: Doorkeeper) -> None:
    """Hand the parts to the application's routes (``gateway.api.given``)."""
    app.state.doorkeeper = doorkeeper
    app.state.parts = parts


def bare(title: str, description: str) -> FastAPI:
    """An application without routes whose errors have the right form. The interactive docs of FastAPI load scripts from elsewhere
    and are off; ``gateway.api.docs`` has a page of ours."""
    app = FastAPI(title=title, version=__version__, description=description, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(Exception, _bug)
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    path, allowed = request.url.path, _methods(request)
    if error.status_code in (404, 405) and allowed and request.method not in allowed:
        # What no route takes the page's files are asked for: they know nothing of it, and allow GET.
        return refusal(path, 405, "Method Not Allowed", {"Allow": ", ".join(sorted(allowed))})
    return refusal(path, error.status_code, error.detail, dict(error.headers or {}))


def _methods(request: Request) -> set[str]:
    """What the routes of a path take; none where there is no such route."""
    found: set[str] = set()
    for path, taken in request.app.openapi()["paths"].items():
        # A signal's name is the one part with slashes in it.
        parts = (".+" if part == "{name}" else "[^/]+" if part.startswith("{") else re.escape(part) for part in path.split("/"))
        if re.fullmatch("/".join(parts), request.url.path):
            found.update(method.upper() for method in taken)
    return found | {"HEAD"} if "GET" in found else found


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101
    return refusal(request.url.path, error.status, error.detail, error.headers, error.more)


async def _unfit(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    # The input is left out: a wrong password or key in a body must not come back in an error or a log.
    problems = [{"type": item["type"], "loc": list(item["loc"]), "msg": item["msg"]} for item in error.errors()]
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if any(item["loc"] == ["body"] for item in problems) and not re.fullmatch(r"application/(.+\+)?json", kind):
        # A body of another kind is not read as JSON, and what is said of it then leads nowhere.
        problems = [{"type": "content_type", "loc": ["header", "content-type"], "msg": "Must be application/json"}]
    return refusal(request.url.path, 422, problems)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refusal(request.url.path, 500, "Internal error; the gateway's log says more")
