"""What a request carries and what is answered, by an example of each path: for the OpenAPI document and the page of all paths.

Answers of the first surface are shown without their envelope; ``gateway.api.openapi`` puts them in. A test asks a running gateway
and compares fields.
"""

from __future__ import annotations

from typing import Any, Final

_AT: Final = "2026-11-26T06:00:21.626716Z"
_ID: Final = "e60d69d8-b2a2-4174-a9b0-9c23299a1545"
_MACHINE: Final = {
    "id": "CNC-001", "name": "cnctwin VMC 762 simulated", "location": "N 51.257315 E 6.740885", "model": "VMC 762 simulated",
}  # fmt: skip
_STATUS: Final = {"mode": "AUTO", "program": "O1001", "block": "N0030", "cycle_time_s": 19}
_SECTIONS: Final[dict[str, Any]] = {
    "spindle": {"rpm": 4414.3, "load_percent": 17.2, "temperature_c": 25.0, "vibration_mm_s": 0.35},
    "axes": {
        "x": {"position_mm": -371.165, "velocity_mm_min": 707.8},
        "y": {"position_mm": -220.018, "velocity_mm_min": 12.0},
        "z": {"position_mm": -298.02, "velocity_mm_min": -0.6},
    },
    "tool": {"id": "T04", "type": "end_mill", "diameter_mm": 16.0, "wear_percent": 3.1, "runtime_minutes": 1.02},
    "coolant": {"flow_rate_lpm": 23.7, "temperature_c": 24.8, "pressure_bar": 4.7},
    "power": {"total_kw": 3.3, "spindle_kw": 0.35, "servo_kw": 0.06},
    "status": _STATUS,
}
_TELEMETRY: Final = {"timestamp": _AT, "machine_id": "CNC-001", "data": _SECTIONS}
_ALERT: Final = {
    "severity": "high", "message": "Coolant flow is low", "source": "shift book", "metric": "coolant.flow_rate_lpm", "value": 1.4,
}  # fmt: skip
_SENT: Final = {"status": "sent", "detail": "sent to slack"}
_BUCKET: Final = {
    "machine_id": "CNC-001", "metric": "spindle.temperature_c", "window": "1min", "bucket_start": "2026-11-26T06:00:00.000000Z",
    "count": 600, "min_value": 24.6, "max_value": 25.1, "avg_value": 24.8,
}  # fmt: skip
_WEAR: Final = {"machine_id": "CNC-001", "wear_percent": 40, "runtime_minutes": 30, "cutting_speed_m_min": 200}
_RUL: Final = {"machine_id": "CNC-001", "minutes_remaining": 54.0, "confidence": 0.77}
_PREDICTION: Final = {
    "machine_id": "CNC-001",
    "created_at": _AT,
    "result_type": "tool_rul",
    "payload": {**_RUL, "minutes_low": 21.0, "minutes_high": 88.0},
}
_ANOMALY: Final = {
    "timestamp": _AT, "machine_id": "CNC-001", "metric": "spindle.temperature_c", "value": 75.0, "severity": "low",
    "detector": "rule", "reason": "spindle temperature 75.0 is above 70",
}  # fmt: skip
_READING: Final = {
    "value": 4397.5, "status": 0, "quality": "Good", "source_time": _AT, "server_time": _AT, "unit": "r/min",
}  # fmt: skip
_COMMAND: Final = {"id": _ID, "machine": "CNC-001", "method": "SetFeedOverride", "state": "done", "reason": None}
_CONDITION: Final = {
    "id": "3f1c0d5e", "event": "8f3a2b", "time": _AT, "name": "EX1030", "severity": 800, "code": "EX1030",
    "text": "Low air pressure",
    "active": True, "acknowledged": False, "confirmed": None, "comment": "", "user": "", "put_aside": False,
    "aside_because": "", "is_earlier": False,
}  # fmt: skip

ANSWERS: Final[dict[tuple[str, str], Any]] = {
    ("get", "/health"): {"status": "ok"},
    ("get", "/ready"): {"status": "ready"},
    ("get", "/machines"): [_MACHINE],
    ("get", "/machines/{machine_id}"): _MACHINE,
    ("get", "/machines/{machine_id}/status"): _STATUS,
    ("get", "/machines/{machine_id}/telemetry"): _TELEMETRY,
    ("post", "/machines/{machine_id}/telemetry"): _TELEMETRY,
    ("get", "/machines/{machine_id}/history"): [_TELEMETRY],
    ("post", "/machines/{machine_id}/commands"): {
        "machine_id": "CNC-001", "command": "set_speed", "params": {"percent": 110}, "id": _ID, "state": "done",
    },
    ("get", "/predictions/{machine_id}"): [_PREDICTION],
    ("get", "/anomalies/{machine_id}"): [_ANOMALY],
    ("get", "/anomalies"): [_ANOMALY],
    ("post", "/machines/{machine_id}/alerts"): _SENT,
    ("post", "/machines/{machine_id}/aggregate"): {"buckets": [_BUCKET]},
    ("post", "/detect"): {"anomalies": [_ANOMALY], "model_not_ready": True, "processed": 1},
    ("post", "/predict/tool-rul"): _RUL,
    ("post", "/predict/spindle-health"): {"machine_id": "CNC-001", "health_score": 92.6, "days_to_maintenance": 320.2},
    ("post", "/predict/maintenance-schedule"): {
        "machine_id": "CNC-001",
        "generated_at": _AT,
        "predictions": [
            {"component": "tool", "action": "replace", "urgency": "high", "estimated_time": _AT, "confidence": 0.77}
        ],
    },
    ("post", "/alerts"): _SENT,
    ("post", "/aggregate"): {"buckets": [_BUCKET]},
    ("post", "/api/v1/login"): {"user": "operator", "role": "Operator"},
    ("post", "/api/v1/logout"): {"user": None, "role": None},
    ("get", "/api/v1/session"): {"user": "operator", "role": "Operator"},
    ("get", "/api/v1/machines"): [
        {
            "id": "CNC-001", "manufacturer": "cnctwin", "model": "VMC 762 simulated", "serial_number": "CNCTWIN-000001",
            "location": "N 51.257315 E 6.740885", "state": "RUNNING", "quality": "Good", "commands": ["Hold", "Start"],
            "remarks": ["the server's clock is 7200 s ahead of ours: its times are shown as they are"],
        }
    ],
    ("get", "/api/v1/catalogue"): {
        "signals": [
            {
                "name": "Spindle/ActSpeed", "type": "Double", "unit": "r/min", "low": 0.0, "high": 12000.0, "access": "r",
                "historized": True, "doc": "Speed of the spindle",
            }
        ],
        "methods": [
            {
                "name": "SetFeedOverride", "doc": "Set the feed override.", "role": "Operator",
                "inputs": [{"name": "Percent", "type": "Double", "unit": "%", "low": 0.0, "high": 150.0, "doc": "Feed override"}],
            }
        ],
    },
    ("get", "/api/v1/machines/{machine_id}/signals"): {"machine": "CNC-001", "signals": {"Spindle/ActSpeed": _READING}},
    ("get", "/api/v1/machines/{machine_id}/signals/{name}"): _READING,
    ("get", "/api/v1/machines/{machine_id}/alarms"): [
        {"time": _AT, "severity": 100, "code": "", "text": "Tool 4 (End mill D16 z4) in spindle", "active": False}
    ],
    ("get", "/api/v1/machines/{machine_id}/history/{name}"): {
        "machine": "CNC-001", "signal": "Spindle/ActSpeed", "source": "gateway",
        "points": [[_AT, 4397.5], ["2026-11-26T06:00:21.726716Z", 4398.1]],
    },
    ("post", "/api/v1/machines/{machine_id}/commands/{method}"): _COMMAND,
    ("get", "/api/v1/commands/{command_id}"): _COMMAND,
    ("get", "/api/v1/machines/{machine_id}/conditions"): [_CONDITION],
    ("post", "/api/v1/machines/{machine_id}/conditions/{condition}/{act}"): {
        "id": _ID, "machine": "CNC-001", "method": "acknowledge", "state": "done", "reason": None,
    },
}  # fmt: skip
"""By method and path; /metrics is text."""

BODIES: Final[dict[tuple[str, str], Any]] = {
    ("post", "/machines/{machine_id}/telemetry"): _TELEMETRY,
    ("post", "/machines/{machine_id}/commands"): {"command": "set_speed", "params": {"percent": 110}},
    ("post", "/machines/{machine_id}/alerts"): _ALERT,
    ("post", "/machines/{machine_id}/aggregate"): {"metric": "spindle.temperature_c", "windows": ["1min", "5min"]},
    ("post", "/detect"): {"telemetry": [{"timestamp": _AT, "machine_id": "CNC-001", **_SECTIONS}]},
    ("post", "/predict/tool-rul"): _WEAR,
    ("post", "/predict/spindle-health"): {
        "machine_id": "CNC-001", "vibration_mm_s": 1.2, "temperature_c": 41.0, "trend_slope": 0.01,
    },
    ("post", "/predict/maintenance-schedule"): _WEAR,
    ("post", "/alerts"): {**_ALERT, "machine_id": "CNC-001", "timestamp": _AT},
    ("post", "/aggregate"): {
        "points": [{"machine_id": "CNC-001", "metric": "spindle.temperature_c", "timestamp": _AT, "value": 24.8}],
        "windows": ["1min"],
    },
    ("post", "/api/v1/login"): {"user": "operator", "password": "as shown on the first start"},
    ("post", "/api/v1/machines/{machine_id}/commands/{method}"): {"arguments": {"Percent": 90}},
    ("post", "/api/v1/machines/{machine_id}/conditions/{condition}/{act}"): {"event": "8f3a2b", "comment": "filter was changed"},
}  # fmt: skip

PARAMETERS: Final[dict[str, tuple[str, Any]]] = {
    "machine_id": ("id of the machine, as /machines lists it", "CNC-001"),
    "name": ("name of the signal, as the catalogue lists it", "Spindle/ActSpeed"),
    "method": ("name of the command, as the catalogue lists it", "SetFeedOverride"),
    "command_id": ("id that the command was answered with", _ID),
    "condition": ("id of the condition", "3f1c0d5e"),
    "act": ("acknowledge, confirm or comment", "acknowledge"),
    "limit": ("how many at most, the newest", 50),
    "start": ("", "2026-11-26T05:50:00Z"),
    "end": ("", "2026-11-26T06:00:00Z"),
    "interval": ("", "1min"),
    "source": ("", "gateway"),
    "idempotency-key": ("a key of the caller's own: the same command under it is given once", "order-4711-start"),
}
"""What a parameter is, and an example of it."""
