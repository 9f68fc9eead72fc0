"""Detection on documents that are sent in, in batches: what the first anomaly service did."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Final

from cnctwin import predictors
from gateway.twin.forest import Forests, row_of
from gateway.twin.results import severity

REMEMBERED: Final = 200
"""Machines whose last documents the z-score remembers between two requests."""
DETECTOR: Final = {"rules": "rule", "zscore": "zscore", "forest": "isolation_forest"}


@dataclass(frozen=True, slots=True)
class Detected:
    """``has_model``: False where no forest stood behind some of the documents: their machine has not shown enough yet."""

    anomalies: list[dict[str, Any]]
    has_model: bool


class Detection:
    """Batch detection: fixed limits, the robust z-score against the 30 documents before, over requests, and the machine's forest.

    Not for two threads at a time.
    """

    def __init__(self, forests: Forests) -> None:
        self._forests = forests
        self._past: OrderedDict[str, deque[dict[str, Any]]] = OrderedDict()

    def detect(self, documents: list[dict[str, Any]]) -> Detected:
        """The anomalies in the order of the documents."""
        scored = self._scored(documents)
        found: list[dict[str, Any]] = []
        has_model = True
        for document, by_z in zip(documents, scored, strict=True):
            anomalies = [*predictors.limit_rules(document), *by_z]
            forest = self._forests.of(str(document["machine_id"]))
            if forest is None or forest.model is None:
                has_model = False
            elif (isolated := forest.model.anomaly(row_of(document))) is not None:
                anomalies.append(isolated)
            found += [_told(document, anomaly) for anomaly in anomalies]
        return Detected(found, has_model)

    def _scored(self, documents: list[dict[str, Any]]) -> list[list[predictors.Anomaly]]:
        """What the z-score says of each document, each machine's after those it sent before."""
        by_machine: dict[str, list[int]] = {}
        for index, document in enumerate(documents):
            by_machine.setdefault(str(document["machine_id"]), []).append(index)
        scored: list[list[predictors.Anomaly]] = [[] for _ in documents]
        for machine_id, places in by_machine.items():
            past = self._past.setdefault(machine_id, deque(maxlen=predictors.Z_WINDOW))
            self._past.move_to_end(machine_id)
            new = [documents[place] for place in places]
            for place, anomalies in zip(places, predictors.rolling_z([*past, *new])[len(past) :], strict=True):
                scored[place] = anomalies
            past.extend(new)
            if len(self._past) > REMEMBERED:
                self._past.popitem(last=False)
        return scored


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
