"""/api/v1: alarms that want somebody, and what is done with them, as commands to the OPC UA server."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from cnctwin.link import Handling
from gateway.api.given import KEY_OR_LOGIN, Caller, TheCommands, TheGateway, TheMachine, require
from gateway.api.replies import NEW_API, Json, Refusal
from gateway.api.v1.commands import STATUS_OF, given, raise_if_refused, told
from gateway.commands import Command
from gateway.core import Gateway
from gateway.feed import condition_record

router = APIRouter(prefix=NEW_API, tags=["conditions"], dependencies=list(KEY_OR_LOGIN))

ACTS: Final[dict[str, Handling]] = {"acknowledge": "Acknowledge", "confirm": "Confirm", "comment": "AddComment"}
REASONS: Final = {
    "BadEventIdUnknown": "the alarm is no longer what you saw: look at it again",
    "BadConditionBranchAlreadyAcked": "somebody has acknowledged it already",
    "BadConditionBranchAlreadyConfirmed": "there is nothing to confirm",
    "BadConditionDisabled": "the alarm is disabled",
}
"""What a refusal of the server means to whoever handles an alarm; all of them are conflicts with its present state."""
EVENT_ID: Final = r"^(?:[0-9a-f]{2}){1,64}$"


class Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    event: str | None = Field(None, pattern=EVENT_ID, description="of the state that was seen; without it the newest is meant")
    comment: str = Field("", max_length=900, description="shown to everybody, behind the name of the caller")


@router.get(
    "/machines/{machine_id:named}/conditions",
    summary="Alarms that are active, or not acknowledged and confirmed, worst first, what was put aside last",
)
async def conditions(gateway: TheGateway, machine: TheMachine) -> Response:
    known = gateway.conditions.get(machine.machine_id, {}).values()
    worst_first = sorted(known, key=lambda one: (one.put_aside, one.acknowledged, -one.severity, -one.source_time_ns))
    return Json([condition_record(one) for one in worst_first])


@router.post(
    "/machines/{machine_id:named}/conditions/{condition:named}/{act}", summary="Acknowledge, confirm or comment", status_code=202
)
async def handle(
    machine: TheMachine,
    condition: str,
    act: Literal["acknowledge", "confirm", "comment"],
    caller: Caller,
    gateway: TheGateway,
    commands: TheCommands,
    body: Said | None = None,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    access = require(caller, "Operator")
    said = body or Said(event=None, comment="")
    comment = said.comment.strip()
    if act == "comment" and not comment:
        raise Refusal(422, "comment: is missing")
    arguments: dict[str, Any] = {"condition": condition, "event": said.event, "comment": comment}
    if gateway.link.state != "connected":
        raise Refusal(503, "the OPC UA server is away")
    user = access.user or ""

    def start() -> Command:
        found = gateway.conditions.get(machine.machine_id, {}).get(condition)
        if found is None:
            raise Refusal(404, "there is no such alarm, or nobody has to look at it any more")
        return commands.handle(ACTS[act], found, arguments, user, idempotency_key)

    command = given(commands, machine.machine_id, ACTS[act], arguments, user, idempotency_key, start)
    await commands.settled(command)
    _raise_if_refused(gateway, command)
    return Json(told(command), 202)


def _raise_if_refused(gateway: Gateway, command: Command) -> None:
    name = command.status_name or ""
    if command.state == "failed" and name in REASONS:
        raise Refusal(STATUS_OF[name], REASONS[name], None, id=command.id, status_name=name)
    raise_if_refused(gateway, command)
