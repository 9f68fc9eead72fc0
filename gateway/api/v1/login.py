"""/api/v1: log in with name and password, and out again. A wrong password costs the caller time, not the gateway."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from cnctwin.errors import ConfigurationError
from cnctwin.peers import counted_as
from gateway.api.access import COOKIE, SESSION_S
from gateway.api.given import Caller, TheDoorkeeper
from gateway.api.replies import NEW_API, Json, Refusal

router = APIRouter(prefix=NEW_API, tags=["login"])
_audit = logging.getLogger("gateway.audit")
FREE_TRIES: Final = 5
FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 300.0
REMEMBERED: Final = 10_000
AT_ONCE: Final = 2
"""Passwords checked at the same time: each takes tens of milliseconds and 64 MB by design."""


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(min_length=1, max_length=200)]


class Failures:
    """Counts wrong passwords by user and by address; from the sixth on each one doubles the wait. Counted before it is checked, so
    that many at once gain nothing."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, *names: str) -> float:
        now = time.monotonic()
        return max((self._known[name][1] - now for name in names if name in self._known), default=0.0)

    def count(self, *names: str) -> None:
        for name in names:
            tries = self._known.pop(name, (0, 0.0))[0] + 1
            wait = 0.0 if tries < FREE_TRIES else min(FIRST_WAIT_S * 2.0 ** min(tries - FREE_TRIES, 20), LONGEST_WAIT_S)
            self._known[name] = (tries, time.monotonic() + wait)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def forget(self, *names: str) -> None:
        for name in names:
            self._known.pop(name, None)


@router.post("/login", summary="Log in; the session comes as an HttpOnly cookie")
async def login(request: Request, credentials: Credentials, doorkeeper: TheDoorkeeper) -> Response:
    failures, turns = _desk(request)
    address = _address(request)
    counted = counted_as(address)
    names = (f"user:{credentials.user}@{counted}", f"address:{counted}")
    if (wait := failures.wait_s(*names)) > 0:
        raise Refusal(429, "too many failed logins", {"Retry-After": str(math.ceil(wait))})
    failures.count(*names)
    async with turns:
        try:
            role = await asyncio.to_thread(doorkeeper.vault.authenticate, credentials.user, credentials.password)
        except (FileNotFoundError, ConfigurationError) as error:
            raise Refusal(503, "this installation has no users") from error
    if role is None:
        _audit.warning("login %r from %s: refused", credentials.user, address)
        raise Refusal(401, "wrong user or password")
    failures.forget(*names)
    _audit.info("login %r from %s: %s", credentials.user, address, role)
    response = Json({"user": credentials.user, "role": role})
    response.set_cookie(
        COOKIE,
        doorkeeper.open(credentials.user, role),
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout", summary="End the session")
async def logout(request: Request, doorkeeper: TheDoorkeeper) -> Response:
    doorkeeper.close(request.headers)
    response = Json({"user": None, "role": None})
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.get("/session", summary="Who is logged in")
async def session(caller: Caller) -> Response:
    if caller is None:
        raise Refusal(401, "not logged in")
    return Json({"user": caller.user, "role": caller.role})


def _desk(request: Request) -> tuple[Failures, asyncio.Semaphore]:
    state = request.app.state
    if not hasattr(state, "login_desk"):
        state.login_desk = (Failures(), asyncio.Semaphore(AT_ONCE))
    desk: tuple[Failures, asyncio.Semaphore] = state.login_desk
    return desk


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""
