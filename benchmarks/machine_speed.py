"""How fast simulated machines run: ``python benchmarks/machine_speed.py [MACHINES]``.

Figures in machine time per CPU second of one core, over the shipped programs in turn:
one machine that nobody looks at, and one whose telemetry is taken at 10 Hz, after a first part of each program; a fleet in step at
10 Hz, each machine of which is elsewhere in its first parts; and how many machines of such a fleet one core carries.
To bring 1,000 machines there takes minutes of CPU time: progress is shown on standard error.
CPU seconds are longer where others keep the processor's caches and threads busy: compare only figures of the same minute.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path

import psutil

from cnctwin.program import COLLECTOR
from opcua_server.machine.fleet import Group, groups
from opcua_server.machine.machine import BLOCK_S, THERMAL_BLOCKS, Machine
from opcua_server.machine.signals import View, numbers, objects
from opcua_server.sources.simulated import read_programs

PROGRAMS = read_programs(Path(__file__).resolve().parent.parent / "opcua_server" / "programs")
WARM_UP_S, ALONE_S, FLEET_S = 3000.0, 6000.0, 10.0
FLEET_WARM_UP_S, SPREAD_S, APART_S = 60, 240, 61
"""A fleet does not stand in one place of its programs: machine k has done 60 s and (61 k) mod 240 s more."""
SHOWN_EVERY_S = 10.0


def machine(number: int) -> Machine:
    made = Machine(number, 1, PROGRAMS)
    made.controller.start_program()
    return made


def show(what: str, machines: int, seconds: float, cpu_s: float) -> None:
    per_block_us = cpu_s / (machines * seconds / BLOCK_S) * 1e6
    print(f"{what}: {machines * seconds / cpu_s:,.0f} x real time, {per_block_us:.0f} us for 100 ms of a machine", flush=True)


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

    lone = Group([alone])
    begin = time.process_time()
    for _ in range(round(ALONE_S / 10.0 / BLOCK_S / THERMAL_BLOCKS)):
        lone.run(THERMAL_BLOCKS)
    show("one machine, all numbers at 10 Hz, a second at a time", 1, ALONE_S / 10.0, time.process_time() - begin)

    fleet = made(count)
    gc.collect()
    gc.freeze()  # as the server does with what lives as long as it
    gc.set_threshold(*COLLECTOR)
    for blocks, how in ((1, "block by block"), (THERMAL_BLOCKS, "a second at a time")):
        together = groups(fleet, blocks)
        begin = time.process_time()
        for _ in range(round(FLEET_S / BLOCK_S / blocks)):
            for group in together:
                group.run(blocks)
        cpu_s = time.process_time() - begin
        show(f"{count:,} machines in step, all numbers at 10 Hz, {how}", count, FLEET_S, cpu_s)
        print(f"    one core carries {count * FLEET_S / cpu_s:,.0f} such machines in real time")
    memory_mb = psutil.Process().memory_info().rss / 1e6
    print(f"    {memory_mb:,.0f} MB of memory, load of the computer {os.getloadavg()[0]:.1f}")


def made(count: int) -> list[Machine]:
    """A fleet, each machine somewhere in its first parts."""
    fleet, told_s, begun_s = [], time.monotonic(), time.process_time()
    for number in range(1, count + 1):
        one = machine(number)
        one.run(round((FLEET_WARM_UP_S + number * APART_S % SPREAD_S) / BLOCK_S))
        fleet.append(one)
        if time.monotonic() - told_s > SHOWN_EVERY_S or number == count:
            told_s = time.monotonic()
            spent_s = time.process_time() - begun_s
            print(f"  {number:,} of {count:,} machines are set up, {spent_s:.0f} s of CPU time", file=sys.stderr, flush=True)
    return fleet


if __name__ == "__main__":
    main()
