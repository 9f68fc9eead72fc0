"""The detectors, by name. Adding one: a file with a class, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from analytics.detectors.chatter import ChatterDetector
from analytics.detectors.detector import Detector, Sample, Score
from analytics.detectors.drift import DriftDetector
from analytics.detectors.forest import ForestDetector
from analytics.detectors.limits import LimitDetector
from analytics.detectors.lubrication import LubricationDetector
from analytics.detectors.sensor import SensorDetector
from analytics.detectors.wear import WearDetector
from analytics.detectors.zscore import ZScoreDetector

DETECTORS: Final[Mapping[str, Callable[[int, int], Detector]]] = {
    "limits": LimitDetector,
    "zscore": ZScoreDetector,
    "forest": ForestDetector,
    "drift": DriftDetector,
    "wear": WearDetector,
    "chatter": ChatterDetector,
    "lubrication": LubricationDetector,
    "sensor": SensorDetector,
}
"""Each is made with (n_features, seed)."""

__all__ = ["DETECTORS", "Detector", "Sample", "Score"]
