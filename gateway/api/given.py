"""What routes are given: the gateway, the caller, and the machine a path names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, APIKeyHeader
from starlette.requests import HTTPConnection

from cnctwin.secrets import Role
from gateway.alerts import Alerts
from gateway.api.access import COOKIE, Access, Doorkeeper
from gateway.api.parts import Parts
from gateway.api.replies import Refusal
from gateway.commands import Commands
from gateway.core import Gateway
from gateway.detector import Detector
from gateway.records import Records
from gateway.store import Store
from gateway.twin import MachineTwin

# The guard has let the caller in already; these two only tell the OpenAPI document how.
KEY_OR_LOGIN = (
    Depends(APIKeyHeader(name="x-api-key", auto_error=False)),
    Depends(APIKeyCookie(name=COOKIE, auto_error=False)),
)
KEY = (Depends(APIKeyHeader(name="x-api-key", auto_error=False)),)


def _parts(connection: HTTPConnection) -> Parts:
    found: Parts = connection.app.state.parts
    return found


def _gateway(connection: HTTPConnection) -> Gateway:
    return _parts(connection).gateway


def _store(connection: HTTPConnection) -> Store:
    return _parts(connection).store


def _commands(connection: HTTPConnection) -> Commands:
    return _parts(connection).commands


def _records(connection: HTTPConnection) -> Records:
    return _parts(connection).records


def _alerts(connection: HTTPConnection) -> Alerts:
    return _parts(connection).alerts


def _detector(connection: HTTPConnection) -> Detector:
    return _parts(connection).detector


def _doorkeeper(connection: HTTPConnection) -> Doorkeeper:
    found: Doorkeeper = connection.app.state.doorkeeper
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
TheStore = Annotated[Store, Depends(_store)]
TheRecords = Annotated[Records, Depends(_records)]
TheAlerts = Annotated[Alerts, Depends(_alerts)]
TheCommands = Annotated[Commands, Depends(_commands)]
TheDetector = Annotated[Detector, Depends(_detector)]
Caller = Annotated[Access | None, Depends(_access)]
TheMachine = Annotated[MachineTwin, Depends(_machine)]


def require(caller: Access | None, role: Role) -> Access:
    """The caller where it has the role. Raises Refusal 401 or 403."""
    if caller is None or (caller.user is None and not caller.may(role)):
        raise Refusal(401, "log in, or send an API key")
    if not caller.may(role):
        raise Refusal(403, f"needs the role {role}; {caller.user} has {caller.role}")
    return caller
