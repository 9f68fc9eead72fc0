"""Bodies that almost fit: whatever is changed in them, the answer is one of the promised ones and no failure of the gateway."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from gate import Gate
from test_first_surface import document, telemetry
from test_predictions import HEALTH, RUL

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 1.5, 1e308, -1e308, 2**53, 2**64, 10**30, -62135596800, 1e18),
    *("", "x", "\x00", "é" * 10, "9" * 400, "NaN", [], {}, [[]], {"a": 1}),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-02-04T10:00:00+23:59", "1969-12-31T23:59:59Z"),
)
ALERT = {"severity": "high", "message": "m", "metric": "x", "value": 1.5, "source": "s"}
POINT = {"machine_id": "P1", "metric": "m", "timestamp": "2026-02-04T10:00:00", "value": 1}
BODIES = {
    "/machines/E1/telemetry": telemetry("E1"),
    "/machines/CNC-001/commands": {"command": "set_speed", "params": {"rpm": 100}},
    "/machines/CNC-001/alerts": ALERT,
    "/machines/CNC-001/aggregate": {"metric": "spindle.temperature_c", "windows": ["1min"], "window_minutes": 5},
    "/detect": {"telemetry": [document()]},
    "/predict/tool-rul": RUL,
    "/predict/spindle-health": HEALTH,
    "/predict/maintenance-schedule": RUL,
    "/alerts": {"machine_id": "P1", "timestamp": "2026-02-04T10:00:00Z", **ALERT},
    "/aggregate": {"points": [POINT], "windows": ["1min"]},
    "/api/v1/machines/CNC-001/commands/ChangeTool": {"arguments": {"Number": 3}},
}


def mutated(value: Any, rng: random.Random) -> Any:
    """A body with one place changed: another value, a field too many or one too few."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key, changed = rng.choice(list(value)), dict(value)
        match rng.randrange(10):
            case 0:
                del changed[key]
            case 1:
                changed[rng.choice(("more", "", "__proto__"))] = rng.choice(ODD)
            case _:
                changed[key] = mutated(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.7:
        return [mutated(value[0], rng), *value[1:]]
    return rng.choice(ODD)


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_almost_fits_is_taken_or_refused_and_breaks_nothing(gate: Gate, path: str) -> None:
    rng = random.Random(path)  # noqa: S311 - no secret
    for _ in range(80):
        body = mutated(BODIES[path], rng)
        response = gate.http.post(path, json=body)
        assert response.status_code in (200, 202, 400, 409, 422), (json.dumps(body), response.text)
        if response.status_code >= 400 and not path.startswith("/api"):
            assert set(response.json()) == {"detail"}
    assert gate.http.get("/machines").status_code == 200
