"""Are the faults trivial? Every fault at a low severity against the same machines healthy, over all programs.

    python benchmarks/fault_separation.py [--severity 0.3] [--seconds 240] [--machines 2]

For each fault the best F1 that any single threshold on any single signal reaches on 100 ms rows (a detector that always cries
has 0.67 here, as half of the rows are faulty), and the F1 on 30 s windows of a forest that sees all signals together, trained on
all machines but one and judged on that one. Machines are met at any stage of their
warm-up, the same for both: temperatures, coolant and filters are anywhere.
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
SEEN = [index for index, signal in enumerate(NUMERIC) if not signal.name.startswith("Simulation/")]
WINDOW = 300
ACT = [index for index, signal in enumerate(NUMERIC) if signal.name.endswith("ActPos")]
MOTOR_POSITION = [index for index, signal in enumerate(NUMERIC) if signal.name.endswith("MotorPos")]
LAG = [index for index, signal in enumerate(NUMERIC) if signal.name.endswith("FollowingError")]
VELOCITY = [index for index, signal in enumerate(NUMERIC) if signal.name.endswith("ActVelocity")]


def run(machine: int, program: str, seconds: float, fault: str | None, severity: float) -> tuple[Rows, Rows]:
    """What a client saw every 100 ms (n, n_numeric), and which of it was stale (n,)."""
    source = SimulatedSource(f"CNC-{machine:03d}", 7, read_programs(SHIPPED), program)
    # Two shifts of warming up, without simulating them: any stage between cold and warm.
    stage = np.random.default_rng((machine, zlib.crc32(program.encode()))).uniform(size=3)
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
    """Means, spreads and relations of 30 s windows, (n_windows, n_features)."""
    cut = len(rows) // WINDOW * WINDOW
    seen = rows[:cut].reshape(-1, WINDOW, rows.shape[1])
    apart = (rows[:cut, MOTOR_POSITION] - rows[:cut, ACT]).reshape(-1, WINDOW, len(ACT))
    moving = np.abs(rows[:cut, VELOCITY]) > 100.0
    reach = np.where(moving, rows[:cut, VELOCITY], np.inf)
    ratio = (rows[:cut, LAG] / reach).reshape(-1, WINDOW, len(LAG))
    lag = ratio.std(1)
    late = stale[:cut].reshape(-1, WINDOW)
    parts = [seen[:, :, SEEN].mean(1), seen[:, :, SEEN].std(1), np.abs(np.diff(seen[:, :, SEEN], axis=1)).mean(1)]
    return np.hstack(
        [*parts, apart.std(1), np.abs(np.diff(apart, axis=1)).max(1), lag, late.max(1)[:, None], late.mean(1)[:, None]]
    )


def together(healthy: list[list[Rows]], faulty: list[list[Rows]]) -> float:
    """F1 of a forest over all machines, each judged by one that never saw it."""
    hits = false = missed = 0
    for left in range(len(healthy)):
        others = [k for k in range(len(healthy)) if k != left]
        good = np.vstack([part for k in others for part in healthy[k]])
        bad = np.vstack([part for k in others for part in faulty[k]])
        forest = ExtraTreesClassifier(200, random_state=0, min_samples_leaf=2)
        forest.fit(np.vstack([good, bad]), np.repeat([0, 1], [len(good), len(bad)]))
        said_good, said_bad = (forest.predict(np.vstack(parts[left])) for parts in (healthy, faulty))
        hits += int(said_bad.sum())
        missed += int((1 - said_bad).sum())
        false += int(said_good.sum())
    return 2.0 * hits / max(2 * hits + false + missed, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--severity", type=float, default=0.3)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--fault", action="append", choices=list(FAULTS))
    options = parser.parse_args()
    programs = sorted(read_programs(SHIPPED))
    machines = range(1, options.machines + 1)

    def record(fault: str | None) -> tuple[Rows, list[list[Rows]]]:
        runs = [[run(m, p, options.seconds, fault, options.severity) for p in programs] for m in machines]
        return np.vstack([rows for one in runs for rows, _ in one]), [[windows(*part) for part in one] for one in runs]

    healthy, healthy_windows = record(None)
    print(f"{'fault':24} {'one signal F1':>13}  {'signal':32} {'all signals F1':>14}")
    for fault in options.fault or FAULTS:
        faulty, faulty_windows = record(fault)
        f1, signal = best_f1(healthy, faulty)
        print(f"{fault:24} {f1:13.3f}  {signal:32} {together(healthy_windows, faulty_windows):14.3f}", flush=True)


if __name__ == "__main__":
    main()
