"""The machines' paths of the first REST surface, and its WebSocket. What each answers is kept field by field."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header, Query
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from cnctwin.reading import iso
from gateway.alerts import Alert
from gateway.api.given import KEY, Caller, TheAlerts, TheCommands, TheGateway, TheRecords, TheStore, require
from gateway.api.replies import OPTIONS, Refusal, now_iso, success
from gateway.api.seed.models import AggregateBody, AlertBody, CommandBody, TelemetryBody
from gateway.api.v1.commands import given, raise_if_refused
from gateway.commands import BadArguments
from gateway.core import Gateway
from nodesets import methods

router = APIRouter(tags=["first surface"], dependencies=list(KEY))
socket_router = APIRouter()
MACHINES: Final = 1000
"""Machines that may be registered by sending telemetry."""


@router.get("/machines", summary="All machines")
async def list_machines(gateway: TheGateway) -> Response:
    known = [*gateway.twin.machines, *sorted(gateway.recent.registered - set(gateway.twin.machines))]
    return success([_machine(gateway, machine_id) for machine_id in known])


@router.get("/machines/{machine_id:named}", summary="One machine; 404 when it is unknown")
async def one_machine(machine_id: str, gateway: TheGateway) -> Response:
    _known(gateway, machine_id)
    return success(_machine(gateway, machine_id))


@router.get("/machines/{machine_id:named}/status", summary="Mode, program, block, cycle time")
async def status(machine_id: str, gateway: TheGateway) -> Response:
    _known(gateway, machine_id)
    machine = gateway.twin.machines.get(machine_id)
    document = machine.document() if machine is not None else None
    data = document.data if document is not None else (gateway.recent.latest(machine_id) or {}).get("data", {})
    shown = data.get("status") or {}
    fields = {name: shown.get(name) for name in ("mode", "program", "block", "cycle_time_s")}
    return success(fields, document.quality if document is not None else None)


@router.get("/machines/{machine_id:named}/telemetry", summary="The latest telemetry document, or null")
async def telemetry(machine_id: str, gateway: TheGateway) -> Response:
    latest, quality = _latest(gateway, machine_id)
    return success(latest, quality)


@router.post("/machines/{machine_id:named}/telemetry", summary="Send in telemetry of a machine")
async def ingest(machine_id: str, body: TelemetryBody, caller: Caller, gateway: TheGateway) -> Response:
    require(caller, "Operator")
    if body.machine_id != machine_id:
        raise Refusal(400, "Machine ID mismatch")
    if not gateway.knows(machine_id) and len(gateway.recent.registered) >= MACHINES:
        raise Refusal(409, f"no more than {MACHINES} machines can be registered")
    document = {"timestamp": _text(body), "machine_id": machine_id, "data": body.data}
    gateway.ingest(machine_id, document)
    return success(document)


@router.get("/machines/{machine_id:named}/history", summary="The last 200 telemetry documents, oldest first")
async def history(machine_id: str, gateway: TheGateway) -> Response:
    return success(gateway.recent.history(machine_id))


@router.post("/machines/{machine_id:named}/commands", summary="Give a command; it becomes a method call on the OPC UA server")
async def command(
    machine_id: str,
    body: CommandBody,
    caller: Caller,
    gateway: TheGateway,
    commands: TheCommands,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    _known(gateway, machine_id)
    if machine_id not in gateway.twin.machines:
        raise Refusal(409, "the machine only sends telemetry: it takes no commands")
    try:
        method, arguments = method_of(body.command, body.params)
    except BadArguments as error:
        raise Refusal(422, str(error)) from error
    access = require(caller, methods.BY_NAME[method].role)
    called = given(commands, machine_id, method, arguments, access.user or "", idempotency_key)
    await commands.settled(called)
    raise_if_refused(gateway, called)
    told = {"machine_id": machine_id, "command": body.command, "params": body.params, "id": called.id, "state": called.state}
    return success(told)


@router.get("/predictions/{machine_id:named}", summary="Remaining life, health and schedule: the last 100 records, oldest first")
async def predictions(machine_id: str, records: TheRecords) -> Response:
    return success(records.of("prediction", machine_id))


@router.get("/anomalies/{machine_id:named}", summary="The last 100 anomalies of a machine, oldest first")
async def anomalies(machine_id: str, records: TheRecords) -> Response:
    return success(records.of("anomaly", machine_id))


@router.get("/anomalies", summary="The last anomalies of all machines, newest first")
async def all_anomalies(records: TheRecords, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    return success(records.all("anomaly", limit))


@router.post("/machines/{machine_id:named}/alerts", summary="Raise an alert")
async def alert(machine_id: str, body: AlertBody, caller: Caller, alerts: TheAlerts) -> Response:
    require(caller, "Operator")
    outcome = await alerts.send(alert_of(body, machine_id, now_iso()))
    return success({"status": outcome.status, "detail": outcome.detail})


@router.post(
    "/machines/{machine_id:named}/aggregate", summary="Minimum, maximum and average of a metric by minute, five minutes or hour"
)
async def aggregate(machine_id: str, body: AggregateBody, store: TheStore) -> Response:
    buckets = await store.ask(lambda reader: reader.aggregate(machine_id, body.metric, body.chosen()), list)
    return success({"buckets": buckets})


@socket_router.websocket("/ws/machines/{machine_id:named}/telemetry")
async def telemetry_stream(socket: WebSocket, machine_id: str, gateway: TheGateway) -> None:
    """The latest telemetry document at once, then the live stream; ``?once=1`` closes after the first, as the old service did."""
    await socket.accept()
    gateway.clients += 1
    outbox = gateway.feed.join(machine_id)
    listening = asyncio.create_task(_until_gone(socket), name="telemetry-client")
    try:
        latest, _ = _latest(gateway, machine_id)
        if latest is not None:
            await socket.send_text(orjson.dumps(latest, option=OPTIONS).decode())
        if socket.query_params.get("once") in ("1", "true"):
            await socket.close(1000)
            return
        while not listening.done():
            sending = asyncio.ensure_future(outbox.get())
            await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                sending.cancel()
                break
            await socket.send_text(sending.result().decode())
    except (WebSocketDisconnect, RuntimeError, OSError):
        pass  # the client went away
    finally:
        gateway.clients -= 1
        gateway.feed.leave(machine_id, outbox)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass  # what the client says is of no interest here


def method_of(command: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The OPC UA method behind a command of old. Parameters that are not listed were always ignored and still are.

    start -> Start, stop -> Stop, pause -> Hold, set_speed {rpm | speed | speed_rpm} -> SetSpindleSpeed (r/min, by MDI),
    set_speed {percent | override_percent} -> SetSpindleOverride (%)
    tool_change {tool | number | tool_id: 5, "5" or "T05"} -> ChangeTool
    """
    if command in ("start", "stop", "pause"):
        return {"start": "Start", "stop": "Stop", "pause": "Hold"}[command], {}
    if command == "tool_change":
        given = next((params[name] for name in ("tool", "number", "tool_id", "tool_number") if name in params), None)
        if isinstance(given, str):
            digits = given.strip().lstrip("Tt")
            given = int(digits) if digits.isdigit() and len(digits) < 6 else given
        if given is None:
            raise BadArguments("params.tool: the number of the tool is missing")
        return "ChangeTool", {"Number": given}
    for name in ("rpm", "speed", "speed_rpm", "spindle_rpm"):
        if name in params:
            return "SetSpindleSpeed", {"Speed": params[name]}
    for name in ("percent", "override_percent"):
        if name in params:
            return "SetSpindleOverride", {"Percent": params[name]}
    raise BadArguments("params.rpm (r/min) or params.percent (spindle override) is missing")


def alert_of(body: AlertBody, machine_id: str, timestamp: str) -> Alert:
    severity = "medium" if body.severity == "warning" else body.severity
    return Alert(machine_id, severity, body.message, body.source, timestamp, body.metric, body.value)


def _latest(gateway: Gateway, machine_id: str) -> tuple[dict[str, Any] | None, str | None]:
    """The latest document, and its quality. A machine whose link is lost shows its last document as Uncertain."""
    latest = gateway.recent.latest(machine_id)
    machine = gateway.twin.machines.get(machine_id)
    live = machine.document() if machine is not None else None
    if live is not None and (latest is None or latest["timestamp"] == live.timestamp or not live.is_current):
        return live.envelope(), live.quality
    return latest, None if latest is None else "Good"


def _machine(gateway: Gateway, machine_id: str) -> dict[str, Any]:
    machine = gateway.twin.machines.get(machine_id)
    if machine is None:
        return {"id": machine_id, "name": machine_id, "location": "external", "model": None}
    name = f"{machine.manufacturer} {machine.model}".strip() or machine_id
    return {"id": machine_id, "name": name, "location": machine.location, "model": machine.model or None}


def _known(gateway: Gateway, machine_id: str) -> None:
    if not gateway.knows(machine_id):
        raise Refusal(404, "Machine not found")


def _text(body: TelemetryBody) -> str:
    return iso(int(body.timestamp.timestamp() * 1_000_000) * 1000)
