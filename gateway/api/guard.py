"""The outermost layer of the HTTP side: who may pass, how often, with how much.

    request -> said once (400) -> who is it (401) -> how often (429) -> own Origin (403) -> body: size, time, JSON (413, 408, 422)
            -> app

It stands before the routes so that a request that is refused costs nothing further, and a new route is guarded without a line.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cnctwin.peers import counted_as
from cnctwin.places import Path, gives_way
from gateway.api.access import Access, Doorkeeper, WrongKey, only_session, own_origin
from gateway.api.limits import Buckets
from gateway.api.paths import told_apart
from gateway.api.replies import NEW_API, refusal
from gateway.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT: Final = 64 * 1024
PROGRAM_LIMIT: Final = 384 * 1024
"""Of the one command that carries an NC program, and only from whoever may give it."""
PROGRAM: Final = re.compile(re.escape(NEW_API) + r"/machines/[^/]+/commands/LoadProgramText")
BODY_S: Final = 10.0
DEPTH_LIMIT: Final = 32
SOCKETS: Final = 2000
PER_ADDRESS: Final = 256
"""Connections, and WebSockets, of one address; this machine's own are bounded by the total alone."""
READER_PER_MIN: Final = 6000.0
WRONG_KEYS_PER_MIN: Final = 600.0
OPEN: Final = frozenset({"/health", "/ready", "/openapi.json", NEW_API + "/login", NEW_API + "/logout", NEW_API + "/session"})
SEED: Final = ("/machines", "/predictions", "/anomalies", "/detect", "/predict", "/alerts", "/aggregate", "/ws")
"""Paths of the first surface: a key is needed even on loopback."""

ONCE: Final = (b"host", b"origin", b"x-api-key", b"content-type")
"""Headers that a request has once or not at all."""

HEADERS: Final = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    }.items()
)


@dataclass(eq=False, slots=True)
class _Held:
    """An open WebSocket. ``task`` serves it; ``gives_way``: somebody else has its place."""

    access: Access
    counted: str
    task: asyncio.Task[Any] | None
    gives_way: bool = False


class Guard:
    """ASGI middleware; see above. ``keyless`` opens the first surface without a key (the inner services of old, on their ports)."""

    def __init__(self, app: App, *, doorkeeper: Doorkeeper, metrics: Metrics, per_minute: float, keyless: bool = False) -> None:
        self._app = app
        self._doorkeeper = doorkeeper
        self._metrics = metrics
        self._keyless = keyless
        self._keys = Buckets(per_minute)
        self._readers = Buckets(max(READER_PER_MIN, per_minute))
        self._sockets: dict[_Held, None] = {}
        """The oldest first."""
        self._wrong = Buckets(WRONG_KEYS_PER_MIN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        client = (scope.get("client") or ("", 0))[0]
        path = told_apart(scope)
        scope = {**scope, "path": path}
        counted = counted_as(client)
        answer = _said_twice(scope, path) or self._judge(scope, path, headers, client, counted)
        if "cookie" in headers:
            others = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
            ours = only_session(headers["cookie"])
            scope = {**scope, "headers": others if ours is None else [*others, (b"cookie", ours.encode("ascii"))]}
        if scope["type"] == "websocket":
            if answer is None:
                await self._hold(counted, scope, receive, send)
            elif "websocket.http.response" in scope.get("extensions", {}):
                await answer(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return
        sender = self._with_headers(send)
        if answer is None:
            answer, receive = await _read_body(scope, path, headers, receive)
        if answer is None:
            # HEAD is GET without the body (RFC 9110, 9.3.2), which the HTTP server leaves out; routes know GET alone.
            await self._app({**scope, "method": "GET"} if scope["method"] == "HEAD" else scope, receive, sender)
        else:
            await answer(scope, receive, sender)

    async def _hold(self, counted: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket, counted by caller and address as long as it lasts."""
        held = _Held(scope["state"]["access"], counted, asyncio.current_task())
        self._sockets[held] = None
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not held.gives_way or held.task is None or held.task.uncancel():
                raise
            await send({"type": "websocket.close", "code": 1013, "reason": "all WebSockets are taken, and others have fewer"})
        finally:
            self._sockets.pop(held, None)

    def _has_room(self, access: Access, counted: str, is_own: bool) -> bool:
        """Whether one more WebSocket may be opened. Where all are taken, or those of the address, who holds most gives way to who
        holds fewer, by caller and then by address; who has shown a key or is logged in to nobody who has not."""
        of_it = [one for one in self._sockets if one.counted == counted]
        if len(self._sockets) >= SOCKETS:
            held = list(self._sockets)
        elif len(of_it) >= PER_ADDRESS and not is_own:
            held = of_it
        else:
            return True
        if access.via == "loopback":
            held = [one for one in held if one.access.via == "loopback"]
        paths: list[Path] = [(one.access.bucket, one.counted) for one in held]
        whose = gives_way((access.bucket, counted), paths)
        if whose is None:
            return False
        oldest = held[paths.index(whose)]
        del self._sockets[oldest]
        if oldest.task is not None:
            oldest.gives_way = True
            oldest.task.cancel()
        return True

    def _judge(self, scope: Scope, path: str, headers: dict[str, str], client: str, counted: str) -> App | None:
        """The refusal, or None where the request may pass; then ``state.access`` holds who asks. ``counted``: as what the address
        of the client is counted."""
        seed = path.startswith(SEED) and not self._keyless
        try:
            # Where no key is needed none is looked at: clients of old sent theirs everywhere.
            access = self._doorkeeper.identify(headers, client) if not self._keyless else None
        except WrongKey:
            if wait := self._wrong.take(counted):
                return refusal(path, 429, "Rate limit exceeded", {"Retry-After": str(math.ceil(wait))})
            return refusal(path, 401, "Invalid API key")
        if self._keyless:
            access = Access(None, "Viewer", "loopback", f"reader:{counted}")
        elif access is None and not seed:
            access = self._doorkeeper.reader(headers, client)
        scope.setdefault("state", {})["access"] = access
        if access is None and (seed or path == "/metrics" or (path.startswith(NEW_API) and path not in OPEN)):
            return refusal(path, 401, "Invalid API key" if seed else "log in, or send an API key")
        if path not in ("/health", "/ready"):
            buckets = self._keys if access is not None and access.via == "key" else self._readers
            if wait := buckets.take(access.bucket if access is not None else f"open:{counted}"):
                return refusal(path, 429, "Rate limit exceeded", {"Retry-After": str(math.ceil(wait))})
        if scope["type"] == "websocket":
            if not own_origin(headers):
                return refusal(path, 403, "WebSockets are opened by the gateway's own page only")
            if access is None:
                return refusal(path, 401, "log in, or send an API key")
            if not self._has_room(access, counted, is_this_machine(client)):
                return refusal(path, 503, "too many WebSockets are open", {"Retry-After": "10"})
        elif (
            scope["method"] not in ("GET", "HEAD", "OPTIONS")
            and not own_origin(headers)
            and (access is None or access.via != "key")
        ):
            return refusal(path, 403, "this request comes from a page of another origin")
        return None

    def _with_headers(self, send: Send) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(f"{message['status'] // 100}xx").inc()
                headers = list(message.get("headers", ()))
                # Values age in a moment, and who is logged in is nobody else's business; the page's files say for themselves.
                if not any(name == b"cache-control" for name, _value in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*headers, *HEADERS]}
            await send(message)

        return sender


def _said_twice(scope: Scope, path: str) -> App | None:
    """The refusal of a request that says twice what it may say once: what stands before us could have judged the other one."""
    count = Counter(name for name, _value in scope["headers"])
    twice = next((name.decode() for name in ONCE if count[name] > 1), None)
    return None if twice is None else refusal(path, 400, f"more than one header {twice}", {"Connection": "close"})


def _limit(scope: Scope, path: str) -> int:
    access: Access | None = scope["state"]["access"]
    return PROGRAM_LIMIT if PROGRAM.fullmatch(path) and access is not None and access.may("Engineer") else BODY_LIMIT


async def _read_body(scope: Scope, path: str, headers: dict[str, str], receive: Receive) -> tuple[App | None, Receive]:
    """Read and check the whole body: a refusal, or a ``receive`` that hands it on."""
    if scope["method"] in ("GET", "HEAD", "OPTIONS") and "content-length" not in headers and "transfer-encoding" not in headers:
        return None, receive
    limit = _limit(scope, path)
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        return refusal(path, 413, f"Body is larger than {limit} bytes", {"Connection": "close"}), receive
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return refusal(path, 400, "Connection closed"), receive
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > limit:
                    return refusal(path, 413, f"Body is larger than {limit} bytes", {"Connection": "close"}), receive
    except TimeoutError:
        return refusal(path, 408, "Body did not arrive in time", {"Connection": "close"}), receive
    if body and (problem := _problem(bytes(body))):
        return refusal(path, 422, [{"type": "json_invalid", "loc": ["body"], "msg": problem}]), receive
    done = False

    async def replay() -> Message:
        nonlocal done
        if done:
            return await receive()
        done = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return None, replay


def _problem(body: bytes) -> str | None:
    """What is wrong with a JSON body: not JSON (NaN and Infinity are not), numbers beyond double, nested too deeply."""
    try:
        level: list[Any] = [orjson.loads(body)]
    except orjson.JSONDecodeError as error:
        return f"not valid JSON: {error}"
    for _ in range(DEPTH_LIMIT):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, float) and not math.isfinite(value):
                return "numbers must be finite"
            if isinstance(value, dict):
                deeper.extend(value.values())
            elif isinstance(value, list):
                deeper.extend(value)
        if not deeper:
            return None
        level = deeper
    return f"nested deeper than {DEPTH_LIMIT} levels"


def is_this_machine(address: str) -> bool:
    return address.startswith("127.") or address in ("::1", "localhost")
