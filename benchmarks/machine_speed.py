"""How fast simulated machines run: ``python benchmarks/machine_speed.py [MACHINES]``.

Figures in machine time per CPU second of one core, over the shipped programs in turn after a first part of each:
one machine that nobody looks at, one whose telemetry is taken at 10 Hz, and a fleet in step at 10 Hz, and how many machines of such
a fleet one core carries.
CPU seconds are longer where others keep the processor's caches and threads busy: compare only figures of the same minute.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from opcua_server.machine.fleet import groups
from opcua_server.machine.machine import BLOCK_S, THERMAL_BLOCKS, Machine
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
    for blocks, how in ((1, "block by block"), (THERMAL_BLOCKS, "a second at a time")):
        together = groups(fleet, blocks)
        begin = time.process_time()
        for _ in range(round(FLEET_S / BLOCK_S / blocks)):
            for group in together:
                group.run(blocks)
        cpu_s = time.process_time() - begin
        show(f"{count} machines in step, all numbers at 10 Hz, {how}", count, FLEET_S, cpu_s)
        print(f"    one core carries {count * FLEET_S / cpu_s:,.0f} such machines in real time")


if __name__ == "__main__":
    main()
