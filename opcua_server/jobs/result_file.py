"""A result as a file: JSON text, in UTF-8, with the names of OPC 40001-101 and what each number is measured in. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from cnctwin.reading import utc
from opcua_server.jobs.results import RunResult

FORMAT: Final = "JSON"
"""FileFormat of the ResultMetaData."""
_UNITS: Final = {"Energy": "kW·h", "CycleTime": "s", "Roughness": "µm"}
_STATES: Final = {True: "Completed", False: "Aborted"}


def content_of(result: RunResult) -> dict[str, float]:
    """What was measured, by name, as far as it is known."""
    numbers = {"Energy": result.energy_kwh}
    if result.completed:
        numbers["CycleTime"] = result.cycle_s
    if result.roughness_um:
        numbers["Roughness"] = result.roughness_um
    return numbers


def written(result: RunResult, result_id: str, part_id: str) -> bytes:
    """The file of a result."""
    meta: dict[str, Any] = {
        "ResultId": result_id,
        "PartId": part_id,
        "ExternalRecipeId": result.program,
        "ResultState": _STATES[result.completed],
        "ResultEvaluation": "NotDecidable" if result.completed else "NotOK",
        "ResultEvaluationDetails": result.reason,
        "IsSimulated": True,
        "CreationTime": _when(result.ended_ns),
        "ProcessingTimes": {"StartTime": _when(result.started_ns), "EndTime": _when(result.ended_ns)},
    }
    if result.job:
        meta["JobId"] = result.job
    rows = [{"Name": name, "Value": number, "EngineeringUnits": _UNITS[name]} for name, number in content_of(result).items()]
    return json.dumps({"ResultMetaData": meta, "ResultContent": rows}, ensure_ascii=False, indent=2).encode() + b"\n"


def _when(moment_ns: int) -> str:
    return utc(moment_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")
