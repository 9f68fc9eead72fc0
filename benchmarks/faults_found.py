"""How soon the analytics find a fault of the simulated machine, and how often they alarm without one: machine and watcher in one
process, as fast as they go (half a minute to a minute of CPU for an hour of the machine).

python benchmarks/faults_found.py --machine 11 --seed 11 --healthy 60 --fault thermal_drift --after 60
python benchmarks/faults_found.py --machine 12 --seed 12 --program contour.nc --healthy 180
python benchmarks/faults_found.py --machine 801 --seed 801 --fault all

Each anomaly is a line: when it began and ended, in minutes of the machine, and what was said. "worn" is the limit on measured wear,
which is a true word about the tool and no false alarm. Of several faults each begins in a copy of the process, after the same
healthy hour.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass

from analytics.features import SIGNALS, TEXTS
from analytics.watcher import Watcher
from cnctwin.reading import Batch, Reading
from nodesets.catalogue import BY_NAME, NUMERIC
from opcua_server.machine.faults import FAULTS
from opcua_server.machine.machine import Machine
from opcua_server.machine.signals import View, numbers, objects
from opcua_server.sources.simulated import SHIPPED, read_programs

START_NS = 1_760_000_000_000_000_000
BLOCKS_A_MINUTE = 600
PLACE = {signal.name: index for index, signal in enumerate(NUMERIC)}


@dataclass
class Raised:
    begun_min: float
    said: str
    ended_min: float | None = None

    @property
    def is_worn(self) -> bool:
        return "Tool/WearPercent" in self.said and "above 80" in self.said


def batch(machine: Machine) -> Batch:
    view = View(machine)
    row, texts = numbers(view), objects(view)
    now_ns = START_NS + machine.block * 100_000_000
    shown = [(name, row[PLACE[name]]) for name in SIGNALS] + [(name, texts[name]) for name in TEXTS]
    return Batch("M", now_ns, tuple(Reading(name, _value(name, value), 0, now_ns, now_ns) for name, value in shown))


def _value(name: str, value: object) -> object:
    return value if BY_NAME[name].type in ("Double", "String") else int(value)  # type: ignore[call-overload]


def run(machine: Machine, watcher: Watcher, minutes: float, raised: list[Raised]) -> None:
    """Let both go on, and add to ``raised``."""
    for _ in range(int(minutes * BLOCKS_A_MINUTE)):
        machine.step()
        if machine.block % 5:
            continue
        for pending in watcher.add(batch(machine)):
            pending.done(pending.run())
        note(raised, machine.block / BLOCKS_A_MINUTE, watcher)


def note(raised: list[Raised], now_min: float, watcher: Watcher) -> None:
    """Add what the watcher says now to ``raised``, or end what it said. What another detector finds while the alarm of a worn edge
    is on is one of its own, although the analytics only change their explanation then."""
    fused = watcher.fused
    last = raised[-1] if raised and raised[-1].ended_min is None else None
    if fused is None or not fused.anomalous:
        if last is not None:
            last.ended_min = now_min
        return
    others = any(name != "limits" and score is not None and score.value > 1.0 for name, score in watcher._scores.items())
    if last is not None and last.is_worn and others:
        said = "; ".join(part for part in fused.explanation.split("; ") if not Raised(now_min, part).is_worn)
        if said:
            last.ended_min = now_min
            raised.append(Raised(now_min, said))
    elif last is None:
        raised.append(Raised(now_min, fused.explanation))


def show(raised: list[Raised]) -> None:
    for one in raised:
        end = "end" if one.ended_min is None else f"{one.ended_min:.1f}"
        print(f"{one.begun_min:7.1f} - {end:>6} min  {'worn' if one.is_worn else '    '}  {one.said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", help="one of the shipped programs; else the machine takes them in turn")
    parser.add_argument("--healthy", type=float, default=60.0, help="minutes before the fault, or of the whole run")
    parser.add_argument("--fault", choices=[*FAULTS, "all"])
    parser.add_argument("--severity", type=float, default=0.6)
    parser.add_argument("--onset", type=float, default=30.0, help="minutes until the severity is reached")
    parser.add_argument("--after", type=float, default=60.0, help="minutes after the fault was injected")
    arguments = parser.parse_args()
    faults = [arguments.fault] if arguments.fault else []
    if arguments.fault == "all":  # the line is no part of this program: its gaps would not be seen
        faults = [name for name in FAULTS if name != "network_gaps"]
    machine = Machine(arguments.machine, arguments.seed, read_programs(SHIPPED), arguments.program)
    machine.controller.start_program()
    watcher, raised = Watcher("M", arguments.seed), list[Raised]()
    run(machine, watcher, arguments.healthy, raised)
    show(raised)
    print(f"false alarms: {sum(not one.is_worn for one in raised)} in {arguments.healthy / 60.0:.1f} h", flush=True)
    for fault in faults:
        if (child := os.fork()) == 0:
            machine.controller.call("InjectFault", [fault, arguments.severity, arguments.onset * 60.0])
            since = raised[-1:]
            run(machine, watcher, arguments.after, since)
            show(since)
            found = [one for one in since if not one.is_worn and one.begun_min >= arguments.healthy]
            told = f"found after {found[0].begun_min - arguments.healthy:.1f} min" if found else "not found"
            print(f"{fault}: {told}", flush=True)
            return
        _, status = os.waitpid(child, 0)
        if status != 0:
            sys.exit(f"{fault}: the copy of the process failed")


if __name__ == "__main__":
    main()
