"""The telemetry document of the first REST and MQTT surface, derived from signals by a table.

Its fields, types and ranges are kept for existing clients: speeds in r/min, loads in %, temperatures in °C, positions in mm
(machine coordinates), feeds in mm/min, powers in kW, times in minutes and whole seconds. A field whose signal is Bad is null, and
so is one that was true once, beside others that are live; nothing is made up. Numbers are clipped to the ranges those clients
were promised and otherwise untouched, so that they equal what OPC UA shows at the same source time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cnctwin.reading import UNCERTAIN_LAST_USABLE, UNCERTAIN_NO_COMMUNICATION, Reading, Value, iso


@dataclass(frozen=True, slots=True)
class Document:
    """One telemetry document. ``data`` holds spindle, axes, tool, coolant, power, status; ``quality`` is the worst of them all.

    ``is_current`` is False when what is known of it was true once and nothing is live: a lost link. One sensor of a foreign machine
    may be Uncertain for ever, and says nothing against the others.
    """

    machine_id: str
    source_time_ns: int
    data: dict[str, Any]
    quality: str
    is_current: bool

    @property
    def timestamp(self) -> str:
        return iso(self.source_time_ns)

    def envelope(self) -> dict[str, Any]:
        """As REST and WebSocket show it: {timestamp, machine_id, data}."""
        return {"timestamp": self.timestamp, "machine_id": self.machine_id, "data": self.data}

    def flat(self) -> dict[str, Any]:
        """As MQTT shows it: the sections beside timestamp and machine_id."""
        return {"timestamp": self.timestamp, "machine_id": self.machine_id, **self.data}


def _number(low: float | None = None, high: float | None = None) -> Callable[[Value], Any]:
    def clip(value: Value) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if low is not None and value < low:
            return low
        return high if high is not None and value > high else float(value)

    return clip


def _text(value: Value) -> str:
    return str(value)


def _tool_id(value: Value) -> str:
    return f"T{value:02d}" if isinstance(value, int) else str(value)


def _tool_type(value: Value) -> str | None:
    return {"face_mill": "end_mill", "none": None}.get(str(value), str(value))


def _mode(value: Value) -> str:
    # MT:ChannelMode: automatic 0, MDA 1, jog manual 2, jog increment 3, teaching handle 4, remote 5, reference 6, other 7.
    return ("AUTO", "MDI", "JOG", "JOG", "JOG", "AUTO", "REF", "AUTO")[value if isinstance(value, int) and 0 <= value < 8 else 7]


def _block(value: Value) -> str:
    text = str(value)
    return f"N{int(text):04d}" if text.isdigit() else text


def _whole_seconds(value: Value) -> int | None:
    return max(0, int(value)) if isinstance(value, int | float) and math.isfinite(value) else None


FIELDS: Final[tuple[tuple[str, str, Callable[[Value], Any]], ...]] = (
    ("spindle.rpm", "Spindle/ActSpeed", _number(0.0, 24000.0)),
    ("spindle.load_percent", "Spindle/ActLoad", _number(0.0, 100.0)),
    ("spindle.temperature_c", "Spindle/Temperature", _number(0.0, 120.0)),
    ("spindle.vibration_mm_s", "Spindle/VibrationVelocity", _number(0.0, 20.0)),
    ("axes.x.position_mm", "Axes/X/ActPos", _number()),
    ("axes.x.velocity_mm_min", "Axes/X/ActVelocity", _number()),
    ("axes.y.position_mm", "Axes/Y/ActPos", _number()),
    ("axes.y.velocity_mm_min", "Axes/Y/ActVelocity", _number()),
    ("axes.z.position_mm", "Axes/Z/ActPos", _number()),
    ("axes.z.velocity_mm_min", "Axes/Z/ActVelocity", _number()),
    ("tool.id", "Tool/Number", _tool_id),
    ("tool.type", "Tool/Type", _tool_type),
    ("tool.diameter_mm", "Tool/Diameter", _number(0.0)),
    ("tool.wear_percent", "Tool/WearPercent", _number(0.0, 100.0)),
    ("tool.runtime_minutes", "Tool/CuttingTime", _number(0.0)),
    ("coolant.flow_rate_lpm", "Coolant/Flow", _number(0.0)),
    ("coolant.temperature_c", "Coolant/Temperature", _number(0.0)),
    ("coolant.pressure_bar", "Coolant/Pressure", _number(0.0)),
    # Axis drives feed power back when they brake; those clients were promised numbers from 0 up.
    ("power.total_kw", "Power/Total", _number(0.0)),
    ("power.spindle_kw", "Power/Spindle", _number(0.0)),
    ("power.servo_kw", "Power/Servo", _number(0.0)),
    ("status.mode", "Channel/ChannelMode", _mode),
    ("status.program", "Channel/ActProgramName", _text),
    ("status.block", "Channel/ActProgramLine", _block),
    ("status.cycle_time_s", "Machine/CycleTime", _whole_seconds),
)
"""Field of the document, the signal it shows, and how its value is told."""

TELEMETRY_SIGNALS: Final = frozenset(signal for _, signal, _ in FIELDS)
SIGNAL_OF_FIELD: Final[dict[str, str]] = {field: signal for field, signal, _ in FIELDS}
_TRUE_ONCE: Final = frozenset(status >> 16 for status in (UNCERTAIN_LAST_USABLE, UNCERTAIN_NO_COMMUNICATION))


def document(machine_id: str, source_time_ns: int, readings: Mapping[str, Reading]) -> Document:
    """The document of these readings at ``source_time_ns``."""
    data: dict[str, Any] = {}
    worst = 0
    live = False
    old: list[tuple[dict[str, Any], str]] = []
    for path, signal, tell in FIELDS:
        reading = readings.get(signal)
        *sections, leaf = path.split(".")
        place = data
        for section in sections:
            place = place.setdefault(section, {})
        if reading is None or reading.value is None:
            place[leaf] = None
            worst = max(worst, 2)
            continue
        place[leaf] = tell(reading.value)
        severity = min(reading.status >> 30, 2)
        worst = max(worst, severity)
        if reading.status >> 16 in _TRUE_ONCE:
            old.append((place, leaf))
        else:
            live = True
    if live:
        for place, leaf in old:
            place[leaf] = None
    return Document(machine_id, source_time_ns, data, ("Good", "Uncertain", "Bad")[worst], live or not old)


def document_of_values(machine_id: str, source_time_ns: int, values: Mapping[str, Value]) -> Document:
    """The document of stored values, all of them Good when they were stored."""
    readings = {name: Reading(name, value, 0, source_time_ns, source_time_ns) for name, value in values.items()}
    return document(machine_id, source_time_ns, readings)
