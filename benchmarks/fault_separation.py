"""Are the faults trivial? Every fault at a low severity against the same machines healthy, over all programs.

    python benchmarks/fault_separation.py [--severity 0.3] [--seconds 240] [--machines 4]

For each fault two figures.

One signal: the best F1 that any single threshold on any single signal reaches on 100 ms rows (a detector that always cries has 0.67
here, as half of the rows are faulty).

All signals: F1 of a verdict over each run. 30 s windows are seen beside those of the same machine's own healthy run of that
program at another hour, with what is left of each temperature when the others explain it. A forest that learnt on other machines
says how bad each window looks; a run is called faulty when its worst ones look worse than in the runs of those machines.

Machines are met at any stage of their warm-up, the same for healthy and faulty: temperatures, coolant and filters are anywhere.
"""

from __future__ import annotations

import argparse
import zlib

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier

from nodesets.catalogue import NUMERIC
from opcua_server.machine.faults import FAULTS
from opcua_server.machine.thermal import BEARING, COLUMN, COOLANT, HOUSING, MOTOR
from opcua_server.sources.simulated import SHIPPED, SimulatedSource, read_programs

Rows = npt.NDArray[np.float64]
Runs = list[list[Rows]]
"""[machine][program] of windows."""
TEMPERATURES = (
    "Spindle/Temperature", "Spindle/MotorTemperature", "Structure/Temperature", "Structure/ThermalGrowthZ", "Coolant/Temperature",
    "Axes/X/Temperature", "Axes/Z/Temperature",
)  # fmt: skip
OTHER_HOUR_BLOCKS = 50_000
SEEN = [index for index, signal in enumerate(NUMERIC) if not signal.name.startswith("Simulation/")]
_PLACE = {NUMERIC[index].name: place for place, index in enumerate(SEEN)}
SLOW = [_PLACE[name] for name in TEMPERATURES]
KNOWN = [*SLOW, _PLACE["Environment/Temperature"]]
WINDOW = 300
ACT = [index for index, signal in enumerate(NUMERIC) if signal.name.endswith("ActPos")]
MOTOR_POSITION = [index for index, signal in enumerate(NUMERIC) if signal.name.endswith("MotorPos")]
LAG = [index for index, signal in enumerate(NUMERIC) if signal.name.endswith("FollowingError")]
VELOCITY = [index for index, signal in enumerate(NUMERIC) if signal.name.endswith("ActVelocity")]


def run(
    machine: int, program: str, seconds: float, fault: str | None, severity: float, *, other_hour: bool = False
) -> tuple[Rows, Rows]:
    """What a client saw every 100 ms (n, n_numeric), and how stale it was (n,). ``other_hour``: other noise, other warm-up."""
    source = SimulatedSource(f"CNC-{machine:03d}", 7, read_programs(SHIPPED), program)
    if other_hour:
        source.machine.block = OTHER_HOUR_BLOCKS
        source.machine.controller.now_s = source.machine.time_s
    # Two shifts of warming up, without simulating them: any stage between cold and warm.
    stage = np.random.default_rng((machine, zlib.crc32(program.encode()), int(other_hour))).uniform(size=3)
    nodes, (warm, filled, level) = source.machine.thermal.nodes, stage.tolist()
    for node, rise in {MOTOR: 14.0, BEARING: 10.0, HOUSING: 7.0, COLUMN: 2.5, COOLANT: 4.0}.items():
        nodes[node] += rise * warm
    source.machine.coolant.filter_load, source.machine.coolant.level_percent = filled, 65.0 + 28.0 * level
    if fault is not None:
        source.call("InjectFault", [fault, severity, 0.0])
    rows: list[Rows] = []
    stale: list[float] = []
    for step in range(1, round(seconds * 10) + 1):
        source.advance(0.1, step * 100_000_000)
        columns = source.columns()
        rows.append(columns.numbers)
        stale.append(step * 0.1 - columns.source_time_ns * 1e-9)
    return np.array(rows), np.array(stale)


def best_f1(healthy: Rows, faulty: Rows) -> tuple[float, str]:
    """Over all signals, thresholds and directions; and the signal."""
    found = (0.0, "")
    for column in SEEN:
        values = np.concatenate([healthy[:, column], faulty[:, column]])
        truth = np.concatenate([np.zeros(len(healthy)), np.ones(len(faulty))])
        for sign in (1.0, -1.0):
            order = np.argsort(-sign * values, kind="stable")
            hits = np.cumsum(truth[order])
            cut = np.append(np.diff(values[order]) != 0.0, True)  # a threshold cannot part equal values
            f1 = (2.0 * hits / (np.arange(1, len(values) + 1) + len(faulty)))[cut].max()
            found = max(found, (float(f1), NUMERIC[column].name))
    return found


def windows(rows: Rows, stale: Rows) -> Rows:
    """Means, spreads, steps and relations of 30 s windows, (n_windows, n_features); the means come first."""
    cut = len(rows) // WINDOW * WINDOW
    seen = rows[:cut].reshape(-1, WINDOW, rows.shape[1])[:, :, SEEN]
    apart = (rows[:cut, MOTOR_POSITION] - rows[:cut, ACT]).reshape(-1, WINDOW, len(ACT))
    moving = np.abs(rows[:cut, VELOCITY]) > 100.0
    reach = np.where(moving, rows[:cut, VELOCITY], np.inf)
    lag = (rows[:cut, LAG] / reach).reshape(-1, WINDOW, len(LAG)).std(1)
    late = stale[:cut].reshape(-1, WINDOW)
    steps = np.abs(np.diff(seen, axis=1))
    parts = [seen.mean(1), seen.std(1), steps.mean(1), steps.max(1), (steps == 0.0).mean(1)]
    parts += [apart.std(1), np.abs(np.diff(apart, axis=1)).max(1), lag, late.max(1)[:, None], late.mean(1)[:, None]]
    return np.hstack(parts)


class Explained:
    """What is left of each temperature when the others explain it, linearly and as healthy windows have it."""

    def __init__(self, healthy: Rows) -> None:
        self._mean, self._scale = healthy[:, KNOWN].mean(0), healthy[:, KNOWN].std(0) + 1e-9
        scaled = self._scaled(healthy)
        self._weights = []
        for slow in range(len(SLOW)):
            others = np.delete(scaled, slow, axis=1)
            ridge = others.T @ others + len(scaled) * 1e-3 * np.eye(others.shape[1])
            self._weights.append(np.linalg.solve(ridge, others.T @ scaled[:, slow]))

    def _scaled(self, features: Rows) -> Rows:
        return np.asarray((features[:, KNOWN] - self._mean) / self._scale)

    def beside(self, features: Rows) -> Rows:
        """The features and what is left."""
        scaled = self._scaled(features)
        left = [scaled[:, slow] - np.delete(scaled, slow, axis=1) @ weights for slow, weights in enumerate(self._weights)]
        return np.hstack([features, np.array(left).T])


def suspicion(healthy: Runs, faulty: Runs, learnt: list[int], judge: int) -> tuple[Rows, Rows]:
    """Of the healthy and of the faulty runs of one machine, by a forest that saw the ``learnt`` ones: mean of the two windows of a
    run that look worst."""
    good = np.vstack([part for k in learnt for part in healthy[k]])
    bad = np.vstack([part for k in learnt for part in faulty[k]])
    explained = Explained(good)
    forest = ExtraTreesClassifier(200, random_state=0, min_samples_leaf=2)
    forest.fit(explained.beside(np.vstack([good, bad])), np.repeat([0, 1], [len(good), len(bad)]))

    def worst(runs: list[Rows]) -> Rows:
        return np.array([np.sort(forest.predict_proba(explained.beside(part))[:, 1])[-2:].mean() for part in runs])

    return worst(healthy[judge]), worst(faulty[judge])


def together(healthy: Runs, faulty: Runs) -> float:
    """F1 over all runs. The limit of suspicion comes from the other machines too, each of them judged by the rest."""
    hits = false = missed = 0
    for left in range(len(healthy)):
        others = [k for k in range(len(healthy)) if k != left]
        tried = [suspicion(healthy, faulty, [k for k in others if k != inner], inner) for inner in others]
        limit = _limit(np.concatenate([good for good, _ in tried]), np.concatenate([bad for _, bad in tried]))
        good, bad = suspicion(healthy, faulty, others, left)
        hits += int((bad > limit).sum())
        missed += int((bad <= limit).sum())
        false += int((good > limit).sum())
    return 2.0 * hits / max(2 * hits + false + missed, 1)


def _limit(good: Rows, bad: Rows) -> float:
    """Suspicion that parts these runs best; in the middle of all that do."""
    tries = np.unique(np.concatenate([good, bad]))
    middles = (tries[1:] + tries[:-1]) / 2.0 if len(tries) > 1 else tries
    right = np.array([int((good <= limit).sum() + (bad > limit).sum()) for limit in middles])
    best = middles[right == right.max()]
    return float(best[len(best) // 2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--severity", type=float, default=0.3)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--machines", type=int, default=4)
    parser.add_argument("--fault", action="append", choices=list(FAULTS))
    options = parser.parse_args()
    programs = sorted(read_programs(SHIPPED))
    machines = range(1, options.machines + 1)

    def seen(fault: str | None, *, other_hour: bool = False) -> tuple[Rows, Runs]:
        runs = [[run(m, p, options.seconds, fault, options.severity, other_hour=other_hour) for p in programs] for m in machines]
        return np.vstack([rows for one in runs for rows, _ in one]), [[windows(*part) for part in one] for one in runs]

    _, own = seen(None, other_hour=True)

    def record(fault: str | None) -> tuple[Rows, Runs]:
        """All rows, and the windows beside the machine's own."""
        rows, found = seen(fault)
        pairs = [zip(parts, mine, strict=True) for parts, mine in zip(found, own, strict=True)]
        return rows, [[np.hstack([part - mine, part]) for part, mine in one] for one in pairs]

    healthy, healthy_windows = record(None)
    print(f"{'fault':24} {'one signal F1':>13}  {'signal':32} {'all signals F1':>14}")
    for fault in options.fault or FAULTS:
        faulty, faulty_windows = record(fault)
        f1, signal = best_f1(healthy, faulty)
        print(f"{fault:24} {f1:13.3f}  {signal:32} {together(healthy_windows, faulty_windows):14.3f}", flush=True)


if __name__ == "__main__":
    main()
