"""How fast simulated machines run: ``python benchmarks/machine_speed.py [MACHINES]``.

Figures in machine time per CPU second of one core, over the shipped programs in turn after a first part of each:
one machine that nobody looks at, one whose telemetry is taken at 10 Hz, and a fleet in step at 10 Hz, with what its parts cost.
CPU seconds are longer where others keep the processor's caches and threads busy: compare only figures of the same minute.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path

from opcua_server.machine.fleet import groups
from opcua_server.machine.machine import BLOCK_S, Machine
from opcua_server.machine.signals import View, numbers, objects
from opcua_server.sources.simulated import read_programs

PROGRAMS = read_programs(Path(__file__).resolve().parent.parent / "opcua_server" / "programs")
WARM_UP_S, ALONE_S, FLEET_WARM_UP_S, FLEET_S = 3000.0, 6000.0, 400.0, 10.0


def machine(number: int) -> Machine:
    made = Machine(number, 1, PROGRAMS)
    made.controller.start_program()
    return made


def show(what: str, machines: int, seconds: float, cpu_s: float) -> None:
    per_block_us = cpu_s / (machines * seconds / BLOCK_S) * 1e6
    print(f"{what}: {machines * seconds / cpu_s:,.0f} x real time, {per_block_us:.0f} us for 100 ms of a machine")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 96
    alone = machine(1)
    alone.run(round(WARM_UP_S / BLOCK_S))
    begin = time.process_time()
    alone.run(round(ALONE_S / BLOCK_S))
    show("one machine, nobody looks", 1, ALONE_S, time.process_time() - begin)

    begin = time.process_time()
    for _ in range(round(ALONE_S / 10.0 / BLOCK_S)):
        alone.step()
        view = View(alone)
        numbers(view)
        objects(view)
    show("one machine, all signals at 10 Hz", 1, ALONE_S / 10.0, time.process_time() - begin)

    fleet = [machine(number) for number in range(1, count + 1)]
    for each in fleet:
        each.run(round(FLEET_WARM_UP_S / BLOCK_S))
    together = groups(fleet)
    begin = time.process_time()
    for _ in range(round(FLEET_S / BLOCK_S)):
        for group in together:
            group.step()
    show(f"{count} machines in step", count, FLEET_S, time.process_time() - begin)

    spent = [0.0, 0.0, 0.0]
    for _ in range(round(FLEET_S / BLOCK_S)):
        for group in together:
            times = [time.process_time()]
            begun = [each.begin() for each in group.machines]
            times.append(time.process_time())
            group.finish(begun)
            times.append(time.process_time())
            group.numbers()
            times.append(time.process_time())
            spent = [one + after - before for one, (before, after) in zip(spent, pairwise(times), strict=True)]
    show(f"{count} machines in step, all numbers at 10 Hz", count, FLEET_S, sum(spent))
    for what, cpu_s in zip(
        ("motion, cut, spindle, surroundings", "axes and sensors", "numbers of all signals"), spent, strict=True
    ):
        print(f"    {what}: {cpu_s / (count * FLEET_S / BLOCK_S) * 1e6:.0f} us")


if __name__ == "__main__":
    main()
