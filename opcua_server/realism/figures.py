"""Statistics of the machine's own telemetry, with the ranges that real mill data have.

The ranges are those of the UMich CNC mill data set (S-shaped paths in wax, worn and unworn tools, telemetry at 10 Hz), so every
figure here is taken from signals as a client sees them, at 10 Hz too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from nodesets.catalogue import NUMERIC
from opcua_server.sources.simulated import SHIPPED, SimulatedSource, read_programs

Floats = npt.NDArray[np.float64]
AT: Final = {signal.name: index for index, signal in enumerate(NUMERIC)}
LAGS: Final = tuple(range(1, 11))
"""Of the autocorrelation, in rows of 0.1 s."""
IN_CUT_ROWS: Final = 20
"""Rows of a run at the least, to be worth a mean."""

HEAD: Final = "%\nO1\n(STOCK {material} X0 Y0 Z-30 TO X120 Y100 Z0)\nG21 G17 G90 G94\nG53 G0 Z0\nT{tool} M6\nG54\n"
S_PATH: Final = HEAD + (
    "G0 X15 Y20 S3200 M3\nG43 H{tool} Z5\nG1 Z-0.25 F300\n"
    "G3 X65 Y45 R30 F{feed}\nG2 X90 Y70 R20\nG1 X100 Y85\nG1 X60 Y50\nG3 X20 Y20 R40\nG0 Z50\nM5\nM30\n%\n"
)
"""Arcs one way and the other and back, a shallow slot in aluminium that takes the 30 W of the data set."""
SLOT: Final = HEAD + "G0 X-12 Y{y} S{speed} M3\nG43 H{tool} Z5\nG1 Z-{depth} F1500\nG1 X70 F{feed}\nG0 Z50\nM5\nM30\n%\n"


@dataclass(frozen=True, slots=True)
class Plot:
    """What a figure was taken from: (x, y) by name, drawn as points unless the name is among ``lines``."""

    title: str
    x_label: str
    y_label: str
    series: dict[str, tuple[Floats, Floats]]
    lines: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Figure:
    """A statistic, and the range that real data have."""

    name: str
    value: float
    low: float
    high: float
    plot: Plot | None = None

    @property
    def inside(self) -> bool:
        return self.low <= self.value <= self.high


def figures(seed: int) -> Iterator[Figure]:
    """All of them, one after another; some seconds of computing."""
    yield from _spindle(seed)
    yield from _servo(seed)
    yield from _current(seed)
    yield from _feed(seed)
    yield from _wear(seed)


def _machine(seed: int, text: str | None = None) -> SimulatedSource:
    return SimulatedSource("CNC-001", seed, {"run.nc": text} if text else read_programs(SHIPPED), repeat=text is not None)


def _rows(machine: SimulatedSource, seconds: float, *, one_part: bool = False) -> Floats:
    """What a client sees every 100 ms, (n, n_numeric); with ``one_part`` to its end at the longest."""
    rows: list[Floats] = []
    for step in range(1, round(seconds * 10) + 1):
        machine.advance(0.1, step * 100_000_000)
        rows.append(machine.columns().numbers)
        if one_part and rows[-1][AT["Machine/PartsProduced"]] > 0:
            break
    return np.array(rows)


def correlation(values: Floats, lag: int) -> float:
    """Autocorrelation at a lag in samples."""
    centred = values - values.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / centred.var())


def _spindle(seed: int) -> Iterator[Figure]:
    machine = _machine(seed)
    machine.call("SetSpindleSpeed", [3200.0])
    _rows(machine, 5.0)
    rows = _rows(machine, 90.0)
    speed, power = rows[:, AT["Spindle/ActSpeed"]], rows[:, AT["Spindle/ActPower"]]
    yield Figure("spindle speed, sd / mean", float(speed.std() / speed.mean()), 0.001, 0.003)
    yield Figure("spindle power without cut at 3200 r/min, W", float(power.mean()), 154.0, 196.0)
    seconds = np.arange(len(power)) / 10.0
    course = Plot("Spindle without cut at 3200 r/min", "s", "power, W", {"power": (seconds, power)}, frozenset({"power"}))
    yield Figure("spindle power, sd / mean", float(power.std() / power.mean()), 0.08, 0.18, course)
    yield Figure("spindle power, autocorrelation at 0.1 s", correlation(power, 1), -0.5, 0.0)


def _servo(seed: int) -> Iterator[Figure]:
    rows = _rows(_machine(seed, S_PATH.format(material="AlMgSi", tool=7, feed=600)), 60.0, one_part=True)
    for axis in "XY":
        velocity, error = rows[:, AT[f"Axes/{axis}/ActVelocity"]] / 60.0, rows[:, AT[f"Axes/{axis}/FollowingError"]]
        moving = (rows[:, AT["Tool/InCut"]] > 0) & (np.abs(velocity) > 0.2)
        slope, offset = np.polyfit(velocity[moving], error[moving], 1)
        left = error[moving] - slope * velocity[moving] - offset
        ends = np.array([velocity[moving].min(), velocity[moving].max()])
        series = {"measured": (velocity[moving], error[moving]), "fit": (ends, slope * ends + offset)}
        plot = Plot(f"Axis {axis} along S-shaped paths", "velocity, mm/s", "following error, mm", series, frozenset({"fit"}))
        yield Figure(f"following error / velocity of {axis}, ms", 1000.0 * float(slope), 7.5, 8.3, plot)
        explained = 1.0 - float((left**2).mean() / error[moving].var())
        yield Figure(f"and how linear, R2 ({axis})", explained, 0.99, 1.0)


def _current(seed: int) -> Iterator[Figure]:
    """The motor current follows its torque; the S path in the feeds of the data set."""
    found = []
    for feed in (360, 900, 1200):
        rows = _rows(_machine(seed, S_PATH.format(material="AlMgSi", tool=7, feed=feed)), 90.0, one_part=True)
        torque = rows[rows[:, AT["Tool/InCut"]] > 0, AT["Axes/X/ActTorque"]]
        found.append([correlation(torque, lag) for lag in LAGS])
    mean: Floats = np.mean(found, axis=0)
    real = {1: (0.77, 0.86), 2: (0.64, 0.83), 5: (0.34, 0.74)}
    limits = np.array([[lag / 10.0, limit] for lag, pair in real.items() for limit in pair])
    series = {"simulated": (np.array(LAGS) / 10.0, mean), "limits of real data": (limits[:, 0], limits[:, 1])}
    plot = Plot("X current along S-shaped paths", "lag, s", "autocorrelation", series, frozenset({"simulated"}))
    for lag, (low, high) in real.items():
        value = float(mean[LAGS.index(lag)])
        yield Figure(f"X current, autocorrelation at {lag / 10:g} s", value, low, high, plot if lag == 1 else None)


def _feed(seed: int) -> Iterator[Figure]:
    powers = []
    for feed in (270, 1200):
        rows = _rows(_machine(seed, S_PATH.format(material="AlMgSi", tool=7, feed=feed)), 120.0, one_part=True)
        powers.append(float(np.mean(rows[rows[:, AT["Tool/InCut"]] > 0, AT["Spindle/ActPower"]])))
    # 0.17 kW at 3-6 mm/s to 0.20 kW at 20 mm/s.
    yield Figure("spindle power at 20 mm/s over that at 4.5 mm/s", powers[1] / powers[0], 1.05, 1.35)


def area_under_curve(low: Floats, high: Floats) -> float:
    """Of the ROC: probability that one of ``high`` is larger than one of ``low``."""
    return float(np.mean(high[:, None] > low[None, :]) + 0.5 * np.mean(high[:, None] == low[None, :]))


def _wear(seed: int) -> Iterator[Figure]:
    """Slots of many depths and feeds with new and with worn edges."""
    plain: tuple[list[float], list[float]] = ([], [])
    normalised: tuple[list[float], list[float]] = ([], [])
    engaged: tuple[list[float], list[float]] = ([], [])
    random = np.random.default_rng(seed)
    for run in range(32):
        worn = run % 2
        depth, feed = round(float(random.uniform(1.0, 3.0)), 2), round(float(random.uniform(500.0, 1400.0)))
        machine = _machine(seed, SLOT.format(material="C45", tool=4, y=50, speed=4000, depth=depth, feed=feed))
        machine.machine.magazine[4].used = 0.8 if worn else 0.1
        rows = _rows(machine, 40.0, one_part=True)
        cut = (rows[:, AT["Tool/InCut"]] > 0) & (np.abs(rows[:, AT["Channel/ActFeedrate"]] - feed) < 5.0)
        if np.count_nonzero(cut) < IN_CUT_ROWS:
            continue
        air = (rows[:, AT["Tool/InCut"]] == 0) & (rows[:, AT["Spindle/ActStatus"]] == 1)
        power = float(np.median(rows[cut, AT["Spindle/ActPower"]]))
        plain[worn].append(power)
        # What Kienzle says of a new edge: depth, and feed per tooth to the power 1 - mc.
        expected = depth * feed ** (1.0 - 0.17)
        engaged[worn].append(expected)
        normalised[worn].append((power - float(np.median(rows[air, AT["Spindle/ActPower"]]))) / expected)
    yield Figure("worn edges by mean power alone, AUC", area_under_curve(*(np.array(one) for one in plain)), 0.5, 0.8)
    series = {name: (np.array(engaged[k]), np.array(plain[k])) for k, name in enumerate(("new edges", "worn edges"))}
    plot = Plot("Slots of many depths and feeds", "engagement, depth x feed^0.83", "spindle power in cut, W", series)
    parted = area_under_curve(*(np.array(one) for one in normalised))
    yield Figure("worn edges by power for their engagement, AUC", parted, 0.95, 1.0, plot)
