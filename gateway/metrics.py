"""What the gateway counts, as Prometheus shows it. Names without a prefix are those the first services had."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.twin.detection import DETECTOR
from gateway.twin.results import DETECTORS

_OF_A_CONNECTION: Final = ("away", "slow", "large", "refused")
DROPS: Final = {"telemetry": _OF_A_CONNECTION, "unified": _OF_A_CONNECTION, "events": (*_OF_A_CONNECTION, "full", "disk")}
"""Why messages of each sink may be dropped."""


class Metrics:
    """One registry of its own, so that two gateways in one process (tests) do not share counters."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.messages_processed = Counter("messages_processed", "Batches and documents taken in", registry=registry)
        self.anomalies_detected = Counter("anomalies_detected", "Anomalies seen or found", ("detector",), registry=registry)
        self.detection_latency = Histogram(
            "detection_latency_seconds",
            "Time one batch detection took",
            buckets=(0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0),
            registry=registry,
        )
        self.alerts = Counter("alerts", "Alerts by what became of them", ("status",), registry=registry)
        self.link_up = Gauge("cnctwin_link_up", "1 while the OPC UA link is connected", registry=registry)
        self.remarks = Gauge("cnctwin_link_remarks", "What is the matter with the OPC UA server that is there", registry=registry)
        self.link_dropped = Gauge(
            "cnctwin_link_dropped_batches", "Batches the link dropped: this reader was slow", registry=registry
        )
        self.gaps = Gauge("cnctwin_link_gaps", "Gaps the link reported", registry=registry)
        self.data_age = Gauge(
            "cnctwin_data_age_seconds", "Age of the newest telemetry by source time", ("machine",), registry=registry
        )
        self.broker_up = Gauge("cnctwin_broker_up", "1 while the MQTT broker is connected", registry=registry)
        self.mqtt_published = Counter(
            "cnctwin_mqtt_published", "Messages handed to the broker's connection", ("sink",), registry=registry
        )
        self.mqtt_dropped = Counter("cnctwin_mqtt_dropped", "Messages dropped", ("sink", "reason"), registry=registry)
        self.mqtt_waiting = Gauge("cnctwin_mqtt_waiting", "Messages handed over and not yet written", registry=registry)
        self.mqtt_kept = Gauge("cnctwin_mqtt_events_kept", "Events on disk that the broker has not acknowledged", registry=registry)
        self.store_up = Gauge("cnctwin_store_up", "1 while the store takes what it is given", registry=registry)
        self.store_waiting = Gauge("cnctwin_store_waiting", "Records that wait for the store's writer", registry=registry)
        self.store_written = Gauge("cnctwin_store_written", "Records written", registry=registry)
        self.store_dropped = Gauge("cnctwin_store_dropped", "Records that could not be stored", registry=registry)
        self.store_bytes = Gauge("cnctwin_store_bytes", "Size of the store's database", registry=registry)
        self.clients = Gauge("cnctwin_websocket_clients", "WebSocket clients", registry=registry)
        self.skipped = Counter("cnctwin_websocket_skipped", "Messages a slow WebSocket client did not get", registry=registry)
        self.requests = Counter("cnctwin_http_requests", "Requests", ("status",), registry=registry)
        # Counted from zero on: of a series that begins with its first event neither a rate nor an alarm knows that one.
        for detector in sorted({*DETECTOR.values(), *(name for name, _ in DETECTORS)}):
            self.anomalies_detected.labels(detector)
        for status in ("sent", "queued", "skipped"):
            self.alerts.labels(status)
        for sink, reasons in DROPS.items():
            for reason in reasons:
                self.mqtt_dropped.labels(sink, reason)

    def text(self) -> bytes:
        """Exposition format of Prometheus, text/plain."""
        return generate_latest(self.registry)
