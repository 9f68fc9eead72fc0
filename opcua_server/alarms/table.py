"""The limit alarms of a machine: which signal, which limits, how long, how bad, and what an operator reads.

Limits lie outside of what a healthy machine shows in any of the programs it cuts, so that each alarm is worth looking at; delays
outlast what a tool change or a starting pump does. An installation may set limits of its own (``limits_file``).

The alarms of the control itself need no row: each code has a condition from the moment it is first raised (``machine``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nodesets.catalogue import BY_NAME, Signal
from opcua_server.alarms.limits import Limits


@dataclass(frozen=True, slots=True)
class LimitAlarm:
    """``signal``: by its name in the catalogue. ``what`` and ``advice``: what the operator reads. ``only_while``: a signal that has
    to be true for the value to mean anything; while it is not, what was seen last holds. ``latches``: levels that may be over
    before anybody looks, and want somebody to look all the same: the alarm stays until it is reset. ``matter``: condition class, of
    fields.CLASSES."""

    name: str
    signal: str
    what: str
    advice: str
    limits: Limits
    only_while: str = ""
    latches: frozenset[str] = frozenset()
    matter: str = "Process"

    @property
    def row(self) -> Signal:
        return BY_NAME[self.signal]

    @property
    def source(self) -> str:
        """The group of signals it is an alarm of: Spindle, Coolant ..."""
        return self.row.group

    def message(self, level: str | None, value: float) -> str:
        """One line, with the value, what it should be, and what to do."""
        unit = self.row.unit
        symbol = f" {unit.symbol}" if unit is not None and unit.symbol else ""
        if level is None:
            return f"{self.what} is normal again: {value:.4g}{symbol}"
        word = {"HighHigh": "much too high", "High": "too high", "Low": "too low", "LowLow": "much too low"}[level]
        return f"{self.what} is {word}: {value:.4g}{symbol}, limit {self.limits.at[level]:g}{symbol}. {self.advice}"


TABLE: Final[tuple[LimitAlarm, ...]] = (
    LimitAlarm(
        "SpindleTemperature", "Spindle/Temperature", "Spindle bearing temperature", "Let the spindle cool; check its lubrication.",
        Limits({"High": 50.0, "HighHigh": 65.0}, {"High": 500, "HighHigh": 800}, deadband=2.0, on_delay_s=5.0, off_delay_s=10.0),
    ),
    LimitAlarm(
        "SpindleVibration", "Spindle/VibrationVelocity", "Spindle vibration", "Check tool, clamping and bearing.",
        Limits({"High": 2.8, "HighHigh": 7.1}, {"High": 500, "HighHigh": 800}, deadband=0.3, on_delay_s=3.0, off_delay_s=10.0),
        latches=frozenset({"HighHigh"}),  # a crash, or a tool that came loose, is over in seconds
    ),
    LimitAlarm(
        "SpindleBearing", "Spindle/VibrationBearing", "Line of the spindle bearing's outer race",
        "Plan to change the bearing; cut with less until then.",
        Limits({"High": 1.0, "HighHigh": 4.0}, {"High": 450, "HighHigh": 700}, deadband=0.2, on_delay_s=5.0, off_delay_s=600.0),
        matter="Maintenance",
    ),
    LimitAlarm(
        "SpindleUnbalance", "Spindle/VibrationUnbalance", "Unbalance at the spindle", "Clean taper and holder; balance the tool.",
        Limits({"High": 1.0, "HighHigh": 2.5}, {"High": 400, "HighHigh": 600}, deadband=0.1, on_delay_s=5.0, off_delay_s=10.0),
    ),
    LimitAlarm(
        "ThermalGrowth", "Structure/ThermalGrowthZ", "Growth of spindle and column in Z",
        "Check the spindle's cooling; measure the tool and the work once more.",
        Limits({"High": 50.0, "HighHigh": 80.0}, {"High": 400, "HighHigh": 600}, deadband=5.0, on_delay_s=30.0, off_delay_s=60.0),
    ),
    LimitAlarm(
        "CoolantFlow", "Coolant/Flow", "Coolant flow", "Check filter, pump and nozzles.",
        Limits({"Low": 17.0, "LowLow": 10.0}, {"Low": 450, "LowLow": 700}, deadband=1.5, on_delay_s=5.0, off_delay_s=5.0),
        only_while="Coolant/IsOn",
    ),
    LimitAlarm(
        "CoolantLevel", "Coolant/Level", "Coolant level", "Refill the tank; look for a leak.",
        Limits({"Low": 40.0, "LowLow": 15.0}, {"Low": 400, "LowLow": 700}, deadband=2.0, on_delay_s=10.0, off_delay_s=10.0),
    ),
    LimitAlarm(
        "CoolantTemperature", "Coolant/Temperature", "Coolant temperature", "Check the coolant's cooling and level.",
        Limits({"High": 40.0, "HighHigh": 50.0}, {"High": 400, "HighHigh": 600}, deadband=1.0, on_delay_s=10.0, off_delay_s=10.0),
    ),
    LimitAlarm(
        "LubricationFall", "Lubrication/FallTime", "Time in which the way oil is given away",
        "Clean the distributor and its metering valves; look at the guides of X.",
        Limits({"High": 60.0, "HighHigh": 80.0}, {"High": 400, "HighHigh": 600}, deadband=2.0, on_delay_s=1.0, off_delay_s=1.0),
        matter="Maintenance",
    ),
    LimitAlarm(
        "ToolLife", "Tool/WearPercent", "Wear of the tool in the spindle", "Prepare a new edge.",
        Limits({"High": 90.0, "HighHigh": 100.0}, {"High": 400, "HighHigh": 600}, deadband=1.0, on_delay_s=1.0, off_delay_s=1.0),
        matter="Maintenance",
    ),
    LimitAlarm(
        "AnomalyScore", "Analytics/AnomalyScore", "Anomaly score", "See Analytics/Explanation for the signals behind it.",
        Limits({"High": 1.0, "HighHigh": 2.0}, {"High": 500, "HighHigh": 700}, deadband=0.1, on_delay_s=5.0, off_delay_s=10.0),
        matter="Statistical",
    ),
)  # fmt: skip
