"""What of a frame is judged: features whose healthy value is steady while the machine does the same thing.

    as is       loads, powers, flow, pressure: additive noise
    log         vibration: noise and damage multiply it, so equal factors must weigh the same
    lag         following error / velocity, ms: the servo's own time constant (1 / Kv); only while the axis moves
    lost_motion |motor encoder - scale| about its slow mean, mm: backlash flips it at each reversal, screw growth does not
    rate        temperature, K/min over a minute: warm-up and ambience move the level, a heat source that is new bends the rate

Simulation/* (the ground truth) and Analytics/* (our own results) are never read. A signal that a server lacks leaves its
feature invalid, and everything after it works with the others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from analytics.frames import Frame, Mask, Row
from nodesets.catalogue import AXES, BY_NAME

Kind = Literal["as_is", "log", "lag", "lost_motion", "rate"]

RATE_WINDOW_NS: Final = 60_000_000_000
LEAST_RATE_MIN: Final = 0.9
"""Of half a minute, as after a restart, a rate spreads twice as wide as what it is compared with."""
SLOW_ROWS: Final = 120.0
LOST_MOTION_MM: Final = 0.002
"""A screw that has warmed by three kelvin makes 10 um of 300 mm of travel, and where the axis stood in the last minute decides
which part of it the slow mean has taken off."""
MOVING_MM_MIN: Final = 300.0
_NS_PER_MIN: Final = 60e9


@dataclass(frozen=True, slots=True)
class Feature:
    """``floor``: the least spread that is believed, in the feature's own unit; sensors and models are no better.

    ``side``: 1 where only more than usual is harm, -1 where only less is, 0 for both.
    """

    signal: str
    kind: Kind
    floor: float
    side: Literal[-1, 0, 1] = 0


def _as_is(signal: str, share: float = 0.005, side: Literal[-1, 0, 1] = 0) -> Feature:
    row = BY_NAME[signal]
    if row.low is None or row.high is None:
        raise ValueError(f"{signal} has no range")
    return Feature(signal, "as_is", share * (row.high - row.low), side)


FEATURES: Final[tuple[Feature, ...]] = (
    _as_is("Spindle/ActLoad", 0.01),
    _as_is("Spindle/ActPower"),
    *(
        Feature(f"Spindle/Vibration{name}", "log", 0.15, 1)
        for name in ("Velocity", "Acceleration", "Bearing", "Tooth", "Unbalance")
    ),
    Feature("Spindle/VibrationKurtosis", "log", 0.1, 1),
    *(_as_is(f"Axes/{axis}/ActLoad", 0.02, 1) for axis in AXES),
    *(Feature(f"Axes/{axis}/FollowingError", "lag", 0.5, 1) for axis in AXES),
    *(Feature(f"Axes/{axis}/MotorPos", "lost_motion", LOST_MOTION_MM, 1) for axis in AXES),
    # A filter fills with chips for hours and is then flushed: a fifth of the flow comes and goes on a healthy machine.
    _as_is("Coolant/Flow", 0.04, -1),
    _as_is("Coolant/Pressure", 0.015, -1),
    _as_is("Air/Pressure", 0.005, -1),
    _as_is("Power/Total"),
    _as_is("Power/Servo", 0.01),
    _as_is("Power/Auxiliary", 0.01),
    *(
        # The motor follows its load within minutes: a heavier program warms it by a kelvin a minute, and nothing is wrong.
        Feature(signal, "rate", 1.0 if signal == "Spindle/MotorTemperature" else 0.2, 1)
        for signal in (
            "Spindle/Temperature",
            "Spindle/MotorTemperature",
            "Coolant/Temperature",
            "Structure/Temperature",
            *(f"Axes/{axis}/Temperature" for axis in AXES),
        )
    ),
    Feature("Coolant/Level", "rate", 0.2, -1),
)
NAMES: Final = tuple(feature.signal for feature in FEATURES)
SIDES: Final[Row] = np.array([float(feature.side) for feature in FEATURES])
OF_AN_EDGE: Final = tuple(i for i, f in enumerate(FEATURES) if f.signal in ("Spindle/VibrationUnbalance", "Spindle/VibrationTooth"))
"""Features that a tool and its edge decide: another one is balanced otherwise and runs out otherwise, which is no fault."""
FLOORS: Final[Row] = np.array([feature.floor for feature in FEATURES])

CONTEXT: Final = (
    "Machine/State",
    "Machine/PowerOnDuration",
    "Tool/Number",
    "Tool/InCut",
    "Tool/WearPercent",
    "Tool/CuttingTime",
    "Tool/CuttingSpeed",
    "Spindle/ActSpeed",
    "Spindle/CmdSpeed",
    "Coolant/IsOn",
    "Environment/Temperature",
    "Lubrication/Pressure",
    "Structure/ThermalGrowthZ",
)
TEXTS: Final = ("Channel/ActMainProgramName", "Channel/ActProgramName")
SIGNALS: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(
        (
            *CONTEXT,
            *NAMES,
            *(f"Axes/{axis}/{tag}" for axis in AXES for tag in ("ActPos", "ActVelocity")),
        )
    )
)
"""Numeric signals a frame holds, in the order of its columns."""
INDEX: Final = {name: index for index, name in enumerate(SIGNALS)}


def number(frame: Frame, signal: str) -> float | None:
    """A signal of a frame, None where it is not valid."""
    index = INDEX[signal]
    return float(frame.values[index]) if frame.valid[index] else None


class Extractor:
    """Features of one machine's frames; keeps a minute of temperatures and the slow means."""

    def __init__(self) -> None:
        self._by_kind = {
            kind: [i for i, f in enumerate(FEATURES) if f.kind == kind] for kind in ("as_is", "log", "lag", "lost_motion", "rate")
        }
        self._columns = np.array([INDEX[feature.signal] for feature in FEATURES])
        axes = [FEATURES[i].signal.split("/")[1] for i in self._by_kind["lag"]]
        self._velocities = np.array([INDEX[f"Axes/{axis}/ActVelocity"] for axis in axes])
        self._scales = np.array([INDEX[f"Axes/{axis}/ActPos"] for axis in axes])
        self._slow: Row = np.zeros(len(axes))
        self._seen: Row = np.zeros(len(axes))
        self._past: deque[tuple[int, Row]] = deque()

    def features(self, frame: Frame) -> tuple[Row, Mask]:
        """values and valid, both (n_features,)."""
        if frame.fresh:
            self._past.clear()
            self._slow.fill(0.0)
            self._seen.fill(0.0)
        values, valid = frame.values[self._columns], frame.valid[self._columns]
        some = self._by_kind["log"]
        values[some] = np.log(np.maximum(values[some], 1e-3))
        some = self._by_kind["lag"]
        velocity = frame.values[self._velocities]
        moving = np.abs(velocity) > MOVING_MM_MIN
        values[some] = np.divide(values[some], velocity, out=np.full(len(some), np.nan), where=moving) * 60_000.0
        valid[some] &= moving
        some = self._by_kind["lost_motion"]
        apart = values[some] - frame.values[self._scales]
        known = ~np.isnan(apart)
        self._seen[known] += 1.0
        self._slow[known] += (apart[known] - self._slow[known]) / np.minimum(self._seen[known], SLOW_ROWS)
        values[some] = np.abs(apart - self._slow)
        valid[some] &= known & (self._seen >= SLOW_ROWS / 2.0)
        some = self._by_kind["rate"]
        level = values[some].copy()
        self._past.append((frame.time_ns, level))
        while frame.time_ns - self._past[0][0] > RATE_WINDOW_NS:
            self._past.popleft()
        then_ns, before = self._past[0]
        minutes = (frame.time_ns - then_ns) / _NS_PER_MIN
        if minutes > LEAST_RATE_MIN:
            values[some] = (level - before) / minutes
        else:
            valid[some] = False
        valid &= np.isfinite(values)
        values[~valid] = np.nan
        return values, valid
