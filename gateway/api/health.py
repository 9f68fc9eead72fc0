"""Whether the gateway lives, whether it can do its work, and its counters."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from gateway.api.given import TheGateway
from gateway.api.replies import Json

router = APIRouter(tags=["health"])


@router.get("/health", summary="Whether the process lives")
async def health() -> Response:
    return Json({"status": "ok"})


@router.get("/ready", summary="Whether OPC UA link, MQTT broker and store are there; 503 and the reasons until they are")
async def ready(gateway: TheGateway) -> Response:
    missing = {peer.name: peer.reason for peer in gateway.peers if not peer.up}
    return Json({"status": "not ready", "reasons": missing}, 503) if missing else Json({"status": "ready"})


@router.get("/metrics", summary="Counters in the Prometheus text format")
async def metrics(gateway: TheGateway) -> Response:
    return Response(gateway.metrics.text(), media_type=CONTENT_TYPE_LATEST)
