"""The maintenance schedule of a machine, out of what its life models say: records for a planner, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from analytics.rul import Estimate
from cnctwin.predictors import MaintenanceRecord, maintenance_schedule


def schedule(now_ns: int, estimates: Iterable[Estimate]) -> list[MaintenanceRecord]:
    """Records {component, action, urgency, estimated_time, confidence}; what is not known is left out.

    Without a known rate of use a tool is planned as if it were in cut all the time: too early rather than too late.
    """
    known: dict[str, Any] = {}
    for estimate in estimates:
        known.update({name: value for name, value in estimate.plan.items() if value is not None})
    return maintenance_schedule(now_ns, **known)
