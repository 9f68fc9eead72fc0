"""What the four inner services of old offered: detection, prediction, alerting, aggregation.

The logic is here once. On the gateway's port each answer comes in the envelope and a key is needed; on the ports of old
(``gateway.api.compat``) it comes bare and without a key, as those services gave it.
"""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cnctwin import predictors
from cnctwin.reading import iso
from gateway.api.given import KEY, Caller, TheAlerts, TheDetector, TheGateway, TheRecords, require
from gateway.api.replies import now_iso, success
from gateway.api.seed.machines import alert_of
from gateway.api.seed.models import DetectBody, PointsBody, ServiceAlertBody, SpindleHealthBody, ToolRulBody
from gateway.detector import Detector
from gateway.records import Records
from gateway.store.rollups import bucket_start_us
from gateway.store.schema import RESOLUTIONS
from gateway.twin.results import told_schedule

router = APIRouter(tags=["services of old"], dependencies=list(KEY))


async def detect(body: DetectBody, gateway: Any, records: Records, detector: Detector) -> dict[str, Any]:
    """``model_not_ready`` until there is an Isolation Forest of every machine in the batch."""
    began = time.perf_counter()
    documents = [document.model_dump(mode="json") for document in body.telemetry]
    found = await detector.detect(documents)
    for anomaly in found.anomalies:
        records.add("anomaly", str(anomaly["machine_id"]), anomaly)
    gateway.metrics.messages_processed.inc(len(documents))
    gateway.metrics.detection_latency.observe(time.perf_counter() - began)
    return {"anomalies": found.anomalies, "model_not_ready": not found.has_model, "processed": len(documents)}


def tool_rul(body: ToolRulBody, records: Records) -> dict[str, Any]:
    minutes, confidence = predictors.tool_rul(body.wear_percent, body.runtime_minutes, body.cutting_speed_m_min)
    told = {"machine_id": body.machine_id, "minutes_remaining": minutes, "confidence": confidence}
    return _recorded(records, "tool_rul", told)


def spindle_health(body: SpindleHealthBody, records: Records) -> dict[str, Any]:
    health, days = predictors.spindle_health(body.vibration_mm_s, body.temperature_c, body.trend_slope)
    told = {"machine_id": body.machine_id, "health_score": health, "days_to_maintenance": days}
    return _recorded(records, "spindle_health", told)


def maintenance_schedule(body: ToolRulBody, gateway: Any, records: Records) -> dict[str, Any]:
    """The tool by what was asked; the spindle by what the analytics know of this machine, left out where they know nothing."""
    minutes, confidence = predictors.tool_rul(body.wear_percent, body.runtime_minutes, body.cutting_speed_m_min)
    machine = gateway.twin.machines.get(body.machine_id)
    known = {name: r.value for name, r in machine.readings.items() if r.is_good} if machine is not None else {}
    schedule = predictors.maintenance_schedule(
        time.time_ns(),
        tool_minutes=minutes,
        tool_confidence=confidence,
        health=known.get("Analytics/SpindleHealth"),
        spindle_days=known.get("Analytics/SpindleDaysLeft"),
    )
    return _recorded(records, "maintenance_schedule", told_schedule(body.machine_id, now_iso(), schedule))


def aggregate(body: PointsBody) -> dict[str, Any]:
    """Buckets of the points that were sent, in the order of machine, metric, window and time."""
    open_: dict[tuple[str, str, str, int], list[float]] = {}
    for window in dict.fromkeys(body.windows or RESOLUTIONS):
        for point in body.points:
            ts_us = int(point.timestamp.timestamp() * 1_000_000)
            key = (point.machine_id, point.metric, window, bucket_start_us(ts_us, RESOLUTIONS[window] * 1_000_000))
            open_.setdefault(key, []).append(point.value)
    return {
        "buckets": [
            {
                "machine_id": machine_id,
                "metric": metric,
                "window": window,
                "bucket_start": iso(start * 1000),
                "count": len(values),
                "min_value": min(values),
                "max_value": max(values),
                "avg_value": sum(value / len(values) for value in values),
            }
            for (machine_id, metric, window, start), values in sorted(open_.items())
        ]
    }


def _recorded(records: Records, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    machine_id = str(payload["machine_id"])
    body = {"machine_id": machine_id, "created_at": now_iso(), "result_type": kind, "payload": payload}
    records.add("prediction", machine_id, body)
    return payload


@router.post("/detect", summary="Detect anomalies in a batch of telemetry documents")
async def post_detect(body: DetectBody, gateway: TheGateway, records: TheRecords, detector: TheDetector) -> Response:
    return success(await detect(body, gateway, records, detector))


@router.post("/predict/tool-rul", summary="Minutes in cut that remain to a tool")
async def post_tool_rul(body: ToolRulBody, records: TheRecords) -> Response:
    return success(tool_rul(body, records))


@router.post("/predict/spindle-health", summary="Health of a spindle, and days until service")
async def post_spindle_health(body: SpindleHealthBody, records: TheRecords) -> Response:
    return success(spindle_health(body, records))


@router.post("/predict/maintenance-schedule", summary="What is due, the most urgent first")
async def post_schedule(body: ToolRulBody, gateway: TheGateway, records: TheRecords) -> Response:
    return success(maintenance_schedule(body, gateway, records))


@router.post("/alerts", summary="Raise an alert")
async def post_alert(body: ServiceAlertBody, caller: Caller, alerts: TheAlerts) -> Response:
    require(caller, "Operator")
    return success(await raise_alert(body, alerts))


@router.post("/aggregate", summary="Aggregate the points that are sent")
async def post_aggregate(body: PointsBody) -> Response:
    return success(aggregate(body))


async def raise_alert(body: ServiceAlertBody, alerts: Any) -> dict[str, Any]:
    moment = iso(int(body.timestamp.timestamp() * 1_000_000) * 1000) if body.timestamp is not None else now_iso()
    outcome = await alerts.send(alert_of(body, body.machine_id, moment))
    return {"status": outcome.status, "detail": outcome.detail}
