"""/api/v1: the machines, their signals, and the catalogue behind them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cnctwin.reading import Reading, iso
from gateway.api.given import KEY_OR_LOGIN, TheGateway, TheMachine
from gateway.api.replies import NEW_API, Json, Refusal
from gateway.feed import alarm_record
from nodesets import catalogue, methods, states

router = APIRouter(prefix=NEW_API, tags=["machines"], dependencies=list(KEY_OR_LOGIN))


@router.get("/machines", summary="All machines: name plate, state, how far their data can be trusted, commands")
async def list_machines(gateway: TheGateway) -> Response:
    return Json(
        [
            {
                "id": machine.machine_id,
                "manufacturer": machine.manufacturer,
                "model": machine.model,
                "serial_number": machine.serial_number,
                "location": machine.location,
                "state": _state(machine.readings.get("Machine/State")),
                "quality": machine.quality,
                "commands": sorted(machine.methods),
                "remarks": [one.text for one in gateway.remarks if one.machine_id in ("", machine.machine_id)],
            }
            for machine in gateway.twin.machines.values()
        ]
    )


@router.get("/catalogue", summary="Every signal and every command: type, unit, range, access, role")
async def show_catalogue() -> Response:
    return Json(CATALOGUE)


@router.get("/machines/{machine_id:named}/signals", summary="The present value of every signal, with status, quality and times")
async def signals(machine: TheMachine) -> Response:
    return Json({"machine": machine.machine_id, "signals": {name: shown(r) for name, r in machine.readings.items()}})


@router.get("/machines/{machine_id:named}/signals/{name:signal}", summary="The present value of one signal")
async def signal(machine: TheMachine, name: str) -> Response:
    reading = machine.readings.get(name)
    if reading is None:
        raise Refusal(404, f"{machine.machine_id} shows no signal {name}")
    return Json(shown(reading))


@router.get("/machines/{machine_id:named}/alarms", summary="Alarms and messages, newest first")
async def alarms(gateway: TheGateway, machine: TheMachine) -> Response:
    return Json([alarm_record(alarm) for alarm in reversed(gateway.alarms.get(machine.machine_id, ()))])


def shown(reading: Reading) -> dict[str, Any]:
    row = catalogue.BY_NAME.get(reading.signal)
    return {
        "value": reading.value,
        "status": reading.status,
        "quality": reading.quality,
        "source_time": iso(reading.source_time_ns),
        "server_time": iso(reading.server_time_ns),
        "unit": row.unit.symbol if row is not None and row.unit is not None else None,
    }


def _state(reading: Reading | None) -> str | None:
    try:
        return states.MachineState(reading.value).name if reading is not None else None  # type: ignore[arg-type]
    except ValueError:
        return None


CATALOGUE = {
    "signals": [
        {
            "name": row.name,
            "type": row.type,
            "unit": row.unit.symbol if row.unit is not None else None,
            "low": row.low,
            "high": row.high,
            "access": row.access,
            "historized": row.historized,
            "doc": row.doc,
        }
        for row in catalogue.SIGNALS
    ],
    "methods": [
        {
            "name": method.name,
            "doc": method.doc,
            "role": method.role,
            "inputs": [
                {
                    "name": argument.name,
                    "type": argument.type,
                    "unit": argument.unit.symbol if argument.unit is not None else None,
                    "low": argument.low,
                    "high": argument.high,
                    "doc": argument.doc,
                }
                for argument in method.inputs
            ],
        }
        for method in methods.METHODS
    ],
}
