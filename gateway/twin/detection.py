"""Detection on documents that are sent in, in batches: what the first anomaly service did."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any, Final

from cnctwin import predictors
from gateway.twin.results import severity

REMEMBERED: Final = 200
"""Machines whose last documents the z-score remembers between two requests."""
DETECTOR: Final = {"rules": "rule", "zscore": "zscore"}


class Detection:
    """Batch detection: fixed limits and the robust z-score against the 30 documents before, over requests.

    The Isolation Forest runs in the analytics on live data; there is none for documents that are sent in, and the answer says so.
    """

    def __init__(self) -> None:
        self._past: OrderedDict[str, deque[dict[str, Any]]] = OrderedDict()

    def detect(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for document in documents:
            machine_id = str(document["machine_id"])
            past = self._past.setdefault(machine_id, deque(maxlen=predictors.Z_WINDOW))
            self._past.move_to_end(machine_id)
            anomalies = [*predictors.limit_rules(document), *predictors.rolling_z([*past, document])[-1]]
            found += [_told(document, anomaly) for anomaly in anomalies]
            past.append(document)
            if len(self._past) > REMEMBERED:
                self._past.popitem(last=False)
        return found


def _told(document: dict[str, Any], anomaly: predictors.Anomaly) -> dict[str, Any]:
    return {
        "timestamp": document["timestamp"],
        "machine_id": document["machine_id"],
        "metric": anomaly["metric"],
        "value": anomaly["value"],
        "severity": severity(anomaly["score"]),
        "detector": DETECTOR[anomaly["detector"]],
        "reason": anomaly["message"],
    }
