"""/api/v1: commands. 202 where the machine took it or has not answered yet, a problem where it was refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from gateway.api.given import KEY_OR_LOGIN, Caller, TheCommands, TheGateway, TheMachine, require
from gateway.api.replies import NEW_API, Json, Refusal
from gateway.api.v1.machines import shown
from gateway.commands import BadArguments, Command, Commands
from gateway.core import Gateway
from nodesets import methods

router = APIRouter(prefix=NEW_API, tags=["commands"], dependencies=list(KEY_OR_LOGIN))

STATUS_OF: Final = {
    "BadInvalidState": 409,
    "BadUserAccessDenied": 403,
    "BadInvalidArgument": 422,
    "BadOutOfRange": 422,
    "BadNotFound": 404,
    "BadEventIdUnknown": 409,
    "BadConditionBranchAlreadyAcked": 409,
    "BadConditionBranchAlreadyConfirmed": 409,
    "BadConditionDisabled": 409,
    "BadMethodInvalid": 404,
    "BadNoCommunication": 503,
    "BadTimeout": 504,
}
"""HTTP status of a refusal by the server; what is not here is 502: the server's fault."""


class Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")

    arguments: dict[str, Any] = Field(default_factory=dict, description="by name, as the catalogue lists the command's inputs")


@router.post("/machines/{machine_id:named}/commands/{method}", summary="Give a command", status_code=202)
async def give(
    machine: TheMachine,
    method: str,
    caller: Caller,
    gateway: TheGateway,
    commands: TheCommands,
    body: Arguments | None = None,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    known = methods.BY_NAME.get(method)
    if known is None:
        raise Refusal(404, f"there is no command {method}")
    access = require(caller, known.role)
    if machine.methods and method not in machine.methods:
        raise Refusal(404, f"{machine.machine_id} has no command {method}")
    command = given(commands, machine.machine_id, method, body.arguments if body else {}, access.user or "", idempotency_key)
    await commands.settled(command)
    raise_if_refused(gateway, command)
    return Json(told(command), 202)


def given(
    commands: Commands, machine_id: str, method: str, arguments: Mapping[str, Any], user: str, key: str | None,
    start: Callable[[], Command] | None = None,
) -> Command:  # fmt: skip
    """The command, given now (by ``start`` where it is none of the catalogue) or before under the same idempotency key. Raises the
    Refusal that fits."""
    try:
        known = commands.repeated(user, key, machine_id, method, arguments)
        if known is not None:
            return known
        return start() if start is not None else commands.give(machine_id, method, arguments, user, key)
    except BadArguments as error:
        raise Refusal(422, str(error)) from error
    except OverflowError as error:
        raise Refusal(503, str(error), {"Retry-After": "1"}) from error


@router.get("/commands/{command_id}", summary="What became of a command")
async def what_became(command_id: str, caller: Caller, commands: TheCommands) -> Response:
    command = commands.get(command_id)
    if command is None:
        raise Refusal(404, "there is no such command")
    return Json(told(command))


def told(command: Command) -> dict[str, Any]:
    return {
        "id": command.id,
        "machine": command.machine_id,
        "method": command.method,
        "state": command.state,
        "reason": command.reason,
    }


def raise_if_refused(gateway: Gateway, command: Command) -> None:
    """Raises the Refusal that fits the server's status code; a conflict names the machine's present state."""
    if command.state != "failed":
        return
    status = STATUS_OF.get(command.status_name or "", 502)
    more: dict[str, Any] = {"id": command.id, "status_name": command.status_name}
    machine = gateway.twin.machines.get(command.machine_id)
    state = machine.readings.get("Machine/State") if machine is not None else None
    if status == 409 and state is not None:
        more["machine_state"] = shown(state)
    raise Refusal(status, command.reason or "failed", None, **more)
