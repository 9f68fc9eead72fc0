"""The ports of the first five services: they answer as those did, without key and envelope, on loopback or wherever the gateway is.

first port   anomaly detection         /detect, /anomalies?limit=, /metrics
second       predictive maintenance    /predict/..., /predictions/{id} (a bare list)
third        alerting                  /alerts
fourth       aggregation               /aggregate
each         /health, /ready
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, FastAPI, Query
from starlette.responses import Response

from gateway.api import health
from gateway.api.access import Doorkeeper
from gateway.api.app import bare, share
from gateway.api.given import TheAlerts, TheDetector, TheGateway, TheRecords
from gateway.api.guard import Guard
from gateway.api.parts import Parts
from gateway.api.replies import Json
from gateway.api.seed import services
from gateway.api.seed.models import DetectBody, PointsBody, ServiceAlertBody, SpindleHealthBody, ToolRulBody

anomaly, maintenance, alerting, aggregation = (APIRouter() for _ in range(4))


@anomaly.post("/detect")
async def detect(body: DetectBody, gateway: TheGateway, records: TheRecords, detector: TheDetector) -> Response:
    return Json(await services.detect(body, gateway, records, detector))


@anomaly.get("/anomalies")
async def anomalies(records: TheRecords, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    return Json(records.all("anomaly", limit))


@maintenance.post("/predict/tool-rul")
async def tool_rul(body: ToolRulBody, records: TheRecords) -> Response:
    return Json(services.tool_rul(body, records))


@maintenance.post("/predict/spindle-health")
async def spindle_health(body: SpindleHealthBody, records: TheRecords) -> Response:
    return Json(services.spindle_health(body, records))


@maintenance.post("/predict/maintenance-schedule")
async def schedule(body: ToolRulBody, gateway: TheGateway, records: TheRecords) -> Response:
    return Json(services.maintenance_schedule(body, gateway, records))


@maintenance.get("/predictions/{machine_id:named}")
async def predictions(machine_id: str, records: TheRecords) -> Response:
    return Json(records.of("prediction", machine_id))


@alerting.post("/alerts")
async def alerts(body: ServiceAlertBody, alerts: TheAlerts) -> Response:
    return Json(await services.raise_alert(body, alerts))


@aggregation.post("/aggregate")
async def aggregate(body: PointsBody) -> Response:
    return Json(services.aggregate(body))


SERVICES: Final = (
    ("Anomaly detection", anomaly),
    ("Predictive maintenance", maintenance),
    ("Alerting", alerting),
    ("Aggregation", aggregation),
)


def create(parts: Parts, doorkeeper: Doorkeeper) -> list[Guard]:
    """The four applications, in the order of their ports."""
    return [_service(parts, doorkeeper, title, router) for title, router in SERVICES]


def _service(parts: Parts, doorkeeper: Doorkeeper, title: str, router: APIRouter) -> Guard:
    app: FastAPI = bare(title, "One of the services of the first release, for clients that still ask on its port.")
    share(app, parts, doorkeeper)
    app.include_router(health.router)
    app.include_router(router)
    settings = parts.gateway.settings
    return Guard(app, doorkeeper=doorkeeper, metrics=parts.gateway.metrics, per_minute=settings.rate_limit_per_min, keyless=True)
