"""Does what a fault does begin when its label says so, grow as its severity says, and end with it? Every fault, in recorded tables.

python benchmarks/labels_in_time.py --machines 3                # about four minutes of CPU
python benchmarks/labels_in_time.py --fault encoder --shift 30  # labels that are moved by half a minute are found

The table of `cnctwin machine dataset` is recorded for each fault with it and without. What is random in a machine is keyed by seed,
machine and time, so that both are equal to the last bit until something acts: what differs is what the fault does.

    shown      first row that differs in any signal, in s after the label's begin; never before it
    effect     what the fault does to one signal, mean over the rows whose severity is in the lowest, middle and highest third of
               what it grows to; the last is more than the first
    last       last row with a fifth of the effect of the highest third, in s after the label's end
    quiet      longest time without the effect in the highest third: a cut, a tool change or a dropped line is waited for

A machine that was stopped by its fault does another thing than the same machine without it, from then on: it is judged until then.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from opcua_server.machine.faults import FAULTS
from opcua_server.realism.dataset import COLUMNS, HEALTHY, Dataset, Episode, plan_of

Rows = npt.NDArray[np.float64]
Table = dict[str, list[Any]]
Effect = Callable[[Table, Table], Rows]
"""Of a table and of the same one without the fault: 0 where there is none, one number a row."""
SIGNALS = tuple(column.name for column in COLUMNS[5:])
"""What a client sees: signals, and whether they are current."""
PROMPT_S = 5.0
AWAITED_S = 120.0
"""A cut, a tool change, a spike or a dropped line comes within two minutes, or by the time that the fault is half grown."""
MINUTE = 60
AFTER_S = 300.0
SHOWN_FROM = 0.2


def column(table: Table, name: str) -> Rows:
    return np.array([np.nan if value is None else float(value) for value in table[name]])


def more(name: str, sign: float = 1.0) -> Effect:
    return lambda with_it, without: np.maximum(sign * (column(with_it, name) - column(without, name)), 0.0)


def other(name: str) -> Effect:
    return lambda with_it, without: np.abs(column(with_it, name) - column(without, name))


def _rises(with_it: Table, without: Table) -> Rows:
    """K a minute: what a source of heat does at once; the heat itself stays."""
    apart = column(with_it, "Structure/Temperature") - column(without, "Structure/Temperature")
    return np.maximum(np.diff(apart, prepend=apart[0]), 0.0) * MINUTE


def _lowest(with_it: Table, without: Table) -> Rows:
    """Below all that the machine shows without it: who waits for air is late for the rest of the program."""
    return np.maximum(np.nanmin(column(without, "Air/Pressure")) - column(with_it, "Air/Pressure"), 0.0)


def _parts(axis: str) -> Effect:
    def apart(table: Table) -> Rows:
        return column(table, f"Axes/{axis}/MotorPos") - column(table, f"Axes/{axis}/ActPos")

    return lambda with_it, without: np.abs(apart(with_it) - apart(without))


EFFECTS: dict[str, tuple[str, Effect]] = {
    "accelerated_tool_wear": ("more wear of the edge, %", more("Tool/WearPercent")),
    "spindle_bearing": ("line of the outer race, m/s2", more("Spindle/VibrationBearing")),
    "coolant": ("less flow, l/min", more("Coolant/Flow", -1.0)),
    "thermal_drift": ("structure warms, K/min", _rises),
    "axis_backlash": ("motor of X from its scale, mm", _parts("X")),
    "tool_breakage": ("power of the spindle, W", other("Spindle/ActPower")),
    "chatter": ("acceleration, m/s2", more("Spindle/VibrationAcceleration")),
    "imbalance": ("line of rotation, mm/s", other("Spindle/VibrationUnbalance")),
    "lube_starvation": ("load of X, %", other("Axes/X/ActLoad")),
    "encoder": ("motor of Y from its scale, mm", _parts("Y")),
    "air_pressure": ("below all usual pressure, bar", _lowest),
    "chip_jam": ("current of the conveyor, A", more("ChipConveyor/Current")),
    "sensor_stuck": ("flow that is shown, l/min", other("Coolant/Flow")),
    "sensor_drift": ("bearing seems warmer, K", more("Spindle/Temperature")),
    "sensor_spike": ("structure that is shown, K", other("Structure/Temperature")),
    "network_gaps": ("late, h", more("Machine/PowerOnDuration", -1.0)),
}
PROMPT = frozenset(
    {"spindle_bearing", "coolant", "thermal_drift", "axis_backlash", "imbalance", "lube_starvation", "chip_jam", "sensor_drift"}
)
"""Seen as soon as they are there; the others wait for a cut, a tool change, or a chance that grows with severity."""
ENDS_S = {"accelerated_tool_wear": 60.0}
"""By how much an effect may outlast its label; others by PROMPT_S. The edge in the spindle is renewed when the tool has been laid
aside."""


@dataclass(frozen=True, slots=True)
class Course:
    """What one fault did on one machine. Times in s; ``grown``: share of its severity that it had when it was shown;
    ``thirds``: see above; ``last_s`` is None where the table ends first."""

    fault: str
    shown_s: float
    grown: float
    thirds: tuple[float, float, float]
    quiet_s: float
    last_s: float | None

    @property
    def problems(self) -> list[str]:
        """Where the label says another thing than the signals."""
        found = []
        if not self.shown_s > 0.0:
            found.append(f"shows {-self.shown_s:.0f} s before its label")
        if self.shown_s > (PROMPT_S if self.fault in PROMPT else AWAITED_S) and (self.fault in PROMPT or self.grown > 0.5):
            found.append(f"shows {self.shown_s:.0f} s after its label's begin only")
        if not self.thirds[0] < self.thirds[2]:
            found.append("does not grow with its severity")
        least_s, most_s = -self.quiet_s - PROMPT_S, ENDS_S.get(self.fault, PROMPT_S)
        if self.last_s is not None and not least_s <= self.last_s <= most_s:
            found.append(f"is last seen {self.last_s:+.0f} s from its label's end")
        return found


def _together(with_it: Table, without: Table) -> npt.NDArray[np.bool_]:
    """Rows up to the minute in which the two machines come to do different things for most of the time."""
    apart = np.zeros(len(with_it["time_s"]))
    for name in ("Channel/ActMainProgramName", "Channel/ActProgramLine", "Machine/State"):
        apart = np.maximum(apart, [one != two for one, two in zip(with_it[name], without[name], strict=True)])
    most = np.convolve(apart, np.ones(MINUTE), "full")[MINUTE - 1 :] > MINUTE / 2.0  # of the minute that begins with the row
    return ~np.logical_or.accumulate(most)


def record(faults: list[str], seconds: float, machines: int, seed: int, healthy_s: float, fault_s: float) -> tuple[Dataset, Table]:
    made = Dataset(plan_of(seconds, faults, None, machines=machines, seed=seed, healthy_s=healthy_s, fault_s=fault_s))
    table: Table = {one.name: [] for one in COLUMNS}
    for chunk in made.chunks():
        for name, values in zip(table, chunk, strict=True):
            table[name] += values
    return made, table


def course(episode: Episode, with_it: Table, without: Table, shift_s: float, after_s: float) -> Course:
    """Of the first fault of a machine; the tables are that machine's alone. ``shift_s``: by which the labels are moved later;
    ``after_s``: how long is looked at after the end."""
    time_s = column(with_it, "time_s")
    shift = round(shift_s / (time_s[1] - time_s[0]))
    labels, severity = np.roll(np.array(with_it["fault"]), shift), np.roll(column(with_it, "severity"), shift)
    begun_s = float(time_s[labels == episode.fault][0]) - (time_s[1] - time_s[0])
    ended_s = None if episode.ended_s is None else episode.ended_s + shift_s
    until = time_s <= (np.inf if ended_s is None else ended_s + after_s)
    if episode.fault != "network_gaps":  # which shows another moment, of the same course
        until &= _together(with_it, without)
        if ended_s is not None and ended_s + after_s > time_s[until][-1]:
            ended_s = None
    differs = np.zeros(len(time_s), dtype=bool)
    for name in SIGNALS:
        differs |= np.array([one != two for one, two in zip(with_it[name], without[name], strict=True)])
    effect = np.nan_to_num(EFFECTS[episode.fault][1](with_it, without))
    acts = (labels == episode.fault) & until
    share = np.where(acts, severity / severity[acts].max(), -1.0)
    first = int(differs.argmax()) if differs.any() else -1
    shown_s = float(time_s[first]) - begun_s if differs.any() else np.inf
    thirds = tuple(
        float(effect[(share > low) & (share <= high)].mean()) for low, high in ((0.0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1.0))
    )
    seen = (effect > SHOWN_FROM * thirds[2]) & until
    high_s = time_s[seen & (share > 2 / 3)]
    quiet_s = float(np.diff(high_s).max(initial=0.0))
    last_s = None if ended_s is None or not seen.any() else float(time_s[seen][-1]) - ended_s
    return Course(episode.fault, shown_s, float(share[first]), (thirds[0], thirds[1], thirds[2]), quiet_s, last_s)


def courses(fault: str, made: Dataset, with_it: Table, without: Table, *, shift_s: float, after_s: float) -> list[Course]:
    """One for each machine, of its first episode with the fault."""
    first = {episode.machine: episode for episode in reversed(made.episodes) if episode.fault == fault}
    found = []
    for name, episode in sorted(first.items()):
        places = [at for at, machine in enumerate(without["machine"]) if machine == name]
        own, same = ({key: [values[at] for at in places] for key, values in table.items()} for table in (with_it, without))
        found.append(course(episode, own, same, shift_s, after_s))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--healthy", type=float, default=10.0, help="mean minutes before the fault")
    parser.add_argument("--lasts", type=float, default=30.0, help="mean minutes that it lasts")
    parser.add_argument("--shift", type=float, default=0.0, help="s by which the labels are moved later, to see that it is found")
    parser.add_argument("--fault", action="append", choices=list(FAULTS))
    options = parser.parse_args()
    lengths_s = options.healthy * 60.0, options.lasts * 60.0
    recorded = 1.4 * sum(lengths_s) + AFTER_S, options.machines, options.seed, *lengths_s
    _, without = record([HEALTHY], *recorded)
    print(f"{'fault':22} {'shown, s':>9} {'effect of the thirds':>29}  {'last, s':>8} {'quiet':>6}  of what")
    wrong = 0
    for fault in options.fault or FAULTS:
        for one in courses(fault, *record([fault], *recorded), without, shift_s=options.shift, after_s=AFTER_S):
            last = "" if one.last_s is None else f"{one.last_s:+.0f}"
            effects = " ".join(f"{effect:9.4f}" for effect in one.thirds)
            told = "; ".join(one.problems) or EFFECTS[fault][0]
            wrong += bool(one.problems)
            print(f"{fault:22} {one.shown_s:9.0f} {effects}  {last:>8} {one.quiet_s:6.0f}  {told}", flush=True)
    print(f"{wrong} courses that their labels do not tell")


if __name__ == "__main__":
    main()
