"""What routes are given: the gateway, the caller, and the machine a path names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, APIKeyHeader
from starlette.requests import HTTPConnection

from cnctwin.secrets import Role
from gateway.api.access import COOKIE, Access, Doorkeeper
from gateway.api.replies import Refusal
from gateway.commands import Commands
from gateway.core import Gateway
from gateway.twin import MachineTwin

# The guard has let the caller in already; these two only tell the OpenAPI document how.
KEY_OR_LOGIN = (
    Depends(APIKeyHeader(name="x-api-key", auto_error=False)),
    Depends(APIKeyCookie(name=COOKIE, auto_error=False)),
)
KEY = (Depends(APIKeyHeader(name="x-api-key", auto_error=False)),)


def _gateway(connection: HTTPConnection) -> Gateway:
    found: Gateway = connection.app.state.gateway
    return found


def _doorkeeper(connection: HTTPConnection) -> Doorkeeper:
    found: Doorkeeper = connection.app.state.doorkeeper
    return found


def _commands(connection: HTTPConnection) -> Commands:
    found: Commands = connection.app.state.commands
    return found


def _access(connection: HTTPConnection) -> Access | None:
    found: Access | None = connection.state.access
    return found


def _machine(machine_id: str, request: Request) -> MachineTwin:
    machine = _gateway(request).twin.machines.get(machine_id)
    if machine is None:
        raise Refusal(404, "Machine not found")
    return machine


TheGateway = Annotated[Gateway, Depends(_gateway)]
TheDoorkeeper = Annotated[Doorkeeper, Depends(_doorkeeper)]
TheCommands = Annotated[Commands, Depends(_commands)]
Caller = Annotated[Access | None, Depends(_access)]
TheMachine = Annotated[MachineTwin, Depends(_machine)]


def require(caller: Access | None, role: Role) -> Access:
    """The caller where it has the role. Raises Refusal 401 or 403."""
    if caller is None or (caller.user is None and not caller.may(role)):
        raise Refusal(401, "log in, or send an API key")
    if not caller.may(role):
        raise Refusal(403, f"needs the role {role}; {caller.user} has {caller.role}")
    return caller
