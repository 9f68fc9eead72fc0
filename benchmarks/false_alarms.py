"""How often the analytics alarm on machines that are healthy: machines and watchers in one process, as fast as they go (about
half a minute of CPU for an hour of a machine with its watchers).

python benchmarks/false_alarms.py --machines 101-112 --hours 3

Each machine is watched three times, by whom nothing is known of another:

    steady     from the machine's start to the end
    late       the same with another seed, from a moment in the first hour on: it begins in the middle of whatever is done then
    restarted  as a program that is ended and started again three times an hour, at odd moments: away for 10 to 40 s, it comes back
               with what the one before saved, or with what that had saved up to a minute earlier where it was killed

Machines take the three programs in turn, or one of them (`--programs`: in turn over the machines), each with a seed as its number.
Each false alarm is a line: machine, watcher, when it began and ended in minutes of the machine, and what was said. What is said of
edges worn beyond 80 % is true and not counted.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass, field

from faults_found import BLOCKS_A_MINUTE, Raised, batch, note

from analytics.watcher import Watcher
from opcua_server.machine.machine import Machine
from opcua_server.sources.simulated import SHIPPED, read_programs

KINDS = ("steady", "late", "restarted")
SAVE_MIN = 1.0


@dataclass
class Watch:
    """One watcher and its life: when it begins, when it is ended and comes back, in minutes of the machine."""

    kind: str
    seed: int
    begins_min: float = 0.0
    ends: list[tuple[float, float, bool]] = field(default_factory=list)
    """(ended, back again, killed)"""
    watcher: Watcher | None = None
    raised: list[Raised] = field(default_factory=list)
    saved: dict[str, object] = field(default_factory=dict)
    saved_min: float = 0.0
    watched_min: float = 0.0

    def take(self, now_min: float, made: object) -> None:
        if now_min < self.begins_min:
            return
        if self.ends and now_min >= self.ends[0][0]:
            if self.watcher is not None and not self.ends[0][2]:
                self.saved = self.watcher.state()
            self.watcher = None
            if now_min < self.ends[0][1]:
                return
            self.ends.pop(0)
        if self.watcher is None:
            self.watcher = Watcher("M", self.seed)
            if self.saved and (failed := self.watcher.restore(self.saved)):
                raise ValueError(f"not restored: {failed}")
        for pending in self.watcher.add(made):
            pending.done(pending.run())
        self.watched_min += 5 / BLOCKS_A_MINUTE
        if self.kind == "restarted" and now_min - self.saved_min >= SAVE_MIN:
            self.saved, self.saved_min = self.watcher.state(), now_min
        note(self.raised, now_min, self.watcher)


def watches(machine: int, hours: float) -> list[Watch]:
    odd = random.Random(machine)  # noqa: S311 - no secret
    ends = []
    for third in range(int(hours * 3)):
        ended = third * 20.0 + odd.uniform(2.0, 18.0)
        ends.append((ended, ended + odd.uniform(10.0, 40.0) / 60.0, odd.random() < 0.5))
    return [
        Watch("steady", machine),
        Watch("late", machine + 1000, begins_min=odd.uniform(1.0, 60.0)),
        Watch("restarted", machine + 2000, ends=ends),
    ]


def run(number: int, program: str | None, hours: float, kinds: list[str]) -> list[Watch]:
    machine = Machine(number, number, read_programs(SHIPPED), program)
    machine.controller.start_program()
    watched = [watch for watch in watches(number, hours) if watch.kind in kinds]
    for _ in range(int(hours * 60.0 * BLOCKS_A_MINUTE)):
        machine.step()
        if machine.block % 5:
            continue
        made, now = batch(machine), machine.block / BLOCKS_A_MINUTE
        for watch in watched:
            watch.take(now, made)
    return watched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", default="101-103", help="first-last: numbers and seeds")
    parser.add_argument("--programs", default="", help="contour.nc,flange.nc ...: one for each machine in turn; none: all in turn")
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    arguments = parser.parse_args()
    first, _, last = arguments.machines.partition("-")
    programs: list[str | None] = [name or None for name in arguments.programs.split(",")]
    hours, false, worn = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0), 0
    for number in range(int(first), int(last or first) + 1):
        began, program = time.process_time(), programs[number % len(programs)]
        for watch in run(number, program, arguments.hours, arguments.kinds.split(",")):
            hours[watch.kind] += watch.watched_min / 60.0
            for one in watch.raised:
                worn += one.is_worn
                if not one.is_worn:
                    false[watch.kind] += 1
                    end = "end" if one.ended_min is None else f"{one.ended_min:.1f}"
                    print(f"{number:4} {watch.kind:<9} {one.begun_min:6.1f} - {end:>5} min  {one.said}", flush=True)
        print(f"{number:4} {program or 'in turn'}: {time.process_time() - began:.0f} s of CPU", flush=True)
    for kind in arguments.kinds.split(","):
        print(f"{kind:<9} {false[kind]} false alarms in {hours[kind]:.1f} h")
    print(f"all       {sum(false.values())} in {sum(hours.values())} h; true ones of worn edges: {worn}")


if __name__ == "__main__":
    main()
