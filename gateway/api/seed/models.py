"""Bodies of the first REST surface. Fields that are not listed are refused; numbers are finite."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from cnctwin.reading import without_leap_second


def _no_boolean(value: Any) -> Any:
    """Where a number or a time belongs: true is no 1. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError("must not be true or false")
    return value


Number = Annotated[float, BeforeValidator(_no_boolean)]
Finite = Annotated[Number, Field(allow_inf_nan=False)]
NotNegative = Annotated[Number, Field(ge=0, allow_inf_nan=False)]
MachineId = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
Window = Literal["1min", "5min", "1hour"]


FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(2262, 1, 1, tzinfo=UTC)
"""Source times are nanoseconds since 1970 in 64 bits."""


def _aware(moment: datetime) -> datetime:
    """A time without zone is UTC, so that naive and aware times sort together. Raises ValueError outside of 1970 to 2261."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if not FIRST_MOMENT <= aware < LAST_MOMENT:
        raise ValueError("must lie between 1970 and 2261")
    return aware.astimezone(UTC)


def _without_leap_second(value: Any) -> Any:
    return without_leap_second(value) if isinstance(value, str) else value


Moment = Annotated[
    datetime,
    BeforeValidator(_without_leap_second),
    BeforeValidator(_no_boolean),
    AfterValidator(_aware),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
            "description": "RFC 3339, without a zone UTC; or a number: seconds since 1970, milliseconds beyond 2e10",
        }
    ),
]


def _fits(value: Any) -> Any:
    """What is told back as it came: whole numbers fit in 64 bits. Raises ValueError."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _fits(item)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("whole numbers must fit in 64 bits")
    return value


Anything = Annotated[dict[str, Any], AfterValidator(_fits)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TelemetryBody(Body):
    """Telemetry of one moment. ``data`` holds sections (spindle, axes, tool, coolant, power, status); further ones are kept too."""

    timestamp: Moment
    machine_id: MachineId
    data: Anything

    @model_validator(mode="after")
    def _sections_are_objects(self) -> TelemetryBody:
        for section in ("spindle", "axes", "tool", "coolant", "power", "status"):
            value = self.data.get(section)
            if value is not None and not isinstance(value, dict):
                raise ValueError(f"data.{section} must be an object")
        for section, fields in _NUMBERS.items():
            for field in fields:
                value = (self.data.get(section) or {}).get(field)
                if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                    raise ValueError(f"data.{section}.{field} must be a number")
        return self


_NUMBERS = {
    "spindle": ("rpm", "load_percent", "temperature_c", "vibration_mm_s"),
    "tool": ("diameter_mm", "wear_percent", "runtime_minutes"),
    "coolant": ("flow_rate_lpm", "temperature_c", "pressure_bar"),
    "power": ("total_kw", "spindle_kw", "servo_kw"),
}


class CommandBody(Body):
    """``params`` of set_speed: rpm (the spindle by MDI) or percent (spindle override); of tool_change: tool or number."""

    command: Literal["start", "stop", "pause", "set_speed", "tool_change"]
    params: Anything = Field(default_factory=dict)


class AlertBody(Body):
    severity: Literal["low", "medium", "high", "critical", "warning"]
    message: Annotated[str, Field(max_length=4000)]
    source: Annotated[str, Field(max_length=200)] = "digital-twin-api"
    metric: Annotated[str, Field(max_length=200)] | None = None
    value: Finite | None = None


class ServiceAlertBody(AlertBody):
    """An alert as the alerting service of old took it."""

    machine_id: MachineId
    timestamp: Moment | None = None


def _one_minute() -> list[Window]:
    return ["1min"]


class AggregateBody(Body):
    """``window_minutes`` (1, 5 or 60) overrides ``windows``; an empty list of windows means all three."""

    metric: Annotated[str, Field(min_length=1, max_length=200)] = "spindle.temperature_c"
    windows: Annotated[list[Window], Field(max_length=100)] = Field(default_factory=_one_minute)
    window_minutes: Literal[1, 5, 60] | None = None

    def chosen(self) -> tuple[str, ...]:
        if self.window_minutes is not None:
            return ({1: "1min", 5: "5min", 60: "1hour"}[self.window_minutes],)
        return tuple(dict.fromkeys(self.windows)) or ("1min", "5min", "1hour")


class Point(Body):
    machine_id: MachineId
    metric: Annotated[str, Field(min_length=1, max_length=200)]
    timestamp: Moment
    value: Finite


class PointsBody(Body):
    """Points to aggregate, as the aggregation service of old took them; an empty list of windows means all three."""

    points: Annotated[list[Point], Field(max_length=10_000)] = Field(default_factory=list)
    windows: Annotated[list[Window], Field(max_length=100)] = Field(default_factory=list)


class ToolRulBody(Body):
    machine_id: MachineId
    wear_percent: Annotated[Number, Field(ge=0, le=100, allow_inf_nan=False)]
    runtime_minutes: NotNegative
    cutting_speed_m_min: NotNegative


class SpindleHealthBody(Body):
    machine_id: MachineId
    vibration_mm_s: NotNegative
    temperature_c: NotNegative
    trend_slope: Finite = 0.0


class Spindle(Body):
    rpm: Annotated[Number, Field(ge=0, le=24000)] = 0.0
    load_percent: Annotated[Number, Field(ge=0, le=100)] = 0.0
    temperature_c: Annotated[Number, Field(ge=0, le=120)] = 20.0
    vibration_mm_s: Annotated[Number, Field(ge=0, le=20)] = 0.0


class Axis(Body):
    position_mm: Finite = 0.0
    velocity_mm_min: Finite = 0.0


class Axes(Body):
    x: Axis
    y: Axis
    z: Axis


class Tool(Body):
    """``type`` and ``diameter_mm`` are null while the spindle holds no tool."""

    id: Annotated[str, Field(max_length=100)] | None = None
    type: Literal["end_mill", "drill", "tap", "boring_bar"] | None = None
    diameter_mm: NotNegative | None = None
    wear_percent: Annotated[Number, Field(ge=0, le=100)] | None = 0.0
    runtime_minutes: NotNegative | None = 0.0


class Coolant(Body):
    flow_rate_lpm: NotNegative | None = None
    temperature_c: Finite | None = None
    pressure_bar: NotNegative | None = None


class Power(Body):
    total_kw: NotNegative = 0.0
    spindle_kw: NotNegative = 0.0
    servo_kw: NotNegative = 0.0


class Doing(Body):
    mode: Literal["AUTO", "MDI", "JOG", "REF"]
    program: Annotated[str, Field(max_length=500)]
    block: Annotated[str, Field(max_length=500)]
    cycle_time_s: NotNegative = 0


class TelemetryDocument(Body):
    """A telemetry document as it comes over MQTT: the sections beside timestamp and machine_id."""

    timestamp: Moment
    machine_id: MachineId
    spindle: Spindle
    axes: Axes
    tool: Tool
    coolant: Coolant
    power: Power
    status: Doing


class DetectBody(Body):
    telemetry: Annotated[list[TelemetryDocument], Field(max_length=1000)]
