"""What machines remember of programs, paths and axes is what they would work out anew, and it does not grow without end."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import islice

import pytest

from opcua_server.machine import listing, work
from opcua_server.machine.listing import Listing
from opcua_server.machine.machine import Machine
from opcua_server.machine.motion import tracks
from opcua_server.machine.moves import Move, NcAlarm
from opcua_server.machine.signals import View, numbers

from .running import DEMOS, SHORT


def moves(count: int, alarm: NcAlarm | None = None) -> Iterator[Move]:
    for k in range(count):
        yield Move("dwell", k, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    if alarm is not None:
        raise alarm


def test_all_runs_of_a_program_have_the_same_moves() -> None:
    begun = []
    one = Listing(lambda: begun.append(1) or moves(5))  # type: ignore[func-returns-value]
    first, second = iter(one), iter(one)
    ahead = list(islice(first, 3))
    assert all(move is other for move, other in zip(second, ahead, strict=False))
    assert [move.line for move in iter(one)] == list(range(5))
    assert [move.line for move in first] == [3, 4]
    assert len(begun) == 1


def test_each_run_comes_to_the_alarm_of_its_program() -> None:
    one = Listing(lambda: moves(2, NcAlarm("PS0010", "IMPROPER G-CODE", 3, "O1", "G999")))
    for _ in range(2):
        run = iter(one)
        assert [move.line for move in islice(run, 2)] == [0, 1]
        with pytest.raises(NcAlarm, match=r"PS0010 IMPROPER G-CODE \(O1 line 3: G999\)"):
            next(run)


def test_a_run_that_begins_elsewhere_has_the_same_moves_from_where_it_makes_the_same() -> None:
    first = Listing(lambda: moves(5))
    whole = list(first)
    other = list(Listing(lambda: iter([whole[1], *moves(5)][:1] + list(moves(5))[1:]), first))
    assert [move is one for move, one in zip(other, whole, strict=True)] == [False, True, True, True, True]


def test_a_program_without_an_end_is_not_kept_without_end() -> None:
    one = Listing(lambda: moves(100), most=10)
    first, second = iter(one), iter(one)
    assert [move.line for move in islice(first, 20)] == list(range(20))
    assert [move.line for move in second] == list(range(100))
    assert [move.line for move in first] == list(range(20, 100))


def test_a_machine_that_remembers_shows_what_one_shows_that_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """With overrides, holds and single blocks on the way, and another one that left other things in memory before."""

    def shown(machine: Machine) -> list[bytes]:
        rows = []
        for block in range(700):
            control = machine.controller
            if block == 120:
                control.call("SetFeedOverride", [70.0])
            if block == 200:
                control.call("SetModifier", ["SingleBlock", True])
            if block > 200 and block % 9 == 0 and control.state.name == "HELD":
                control.call("Start", [])
            if block == 420:
                control.call("SetModifier", ["SingleBlock", False])
                control.call("SetFeedOverride", [100.0])
            if block == 500 and control.state.name == "RUNNING":
                control.call("Hold", [])
            if block == 520 and control.state.name == "HELD":
                control.call("Start", [])
            machine.step()
            rows.append(numbers(View(machine)).tobytes())
        return rows

    def made(number: int) -> Machine:
        machine = Machine(number, 3, {"contour.nc": DEMOS["contour.nc"]})
        machine.controller.start_program()
        return machine

    other = made(2)
    other.run(900)
    remembers = shown(made(1))
    monkeypatch.setattr(tracks, "_TRACKS", {})
    monkeypatch.setattr(work, "_runs", work._runs.__wrapped__)
    assert shown(made(1)) == remembers


def test_blocks_in_which_ways_meet_are_made_once_for_all_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks, "_TRACKS", {})
    machines = [Machine(number, 1, {"short.nc": SHORT}, "short.nc") for number in (1, 2)]
    remembered = machines[0].controller.motion.tracks
    made = []
    for machine in machines:
        machine.controller.start_program()
        before = len(remembered.joins)
        while not machine.controller.parts:
            machine.run(5)
        made.append(len(remembered.joins) - before)
    assert made[0] > 5
    assert made[1] <= made[0] // 4, "what is left is where the air or the spindle of the second takes another time"


def test_what_is_remembered_of_paths_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks, "_TRACKS", {})
    machine = Machine(1, 1, {"short.nc": SHORT}, "short.nc")
    remembered = machine.controller.motion.tracks
    remembered.most = 3000
    machine.controller.start_program()
    most = 0
    for _ in range(120):
        machine.run(5)
        most = max(most, remembered.samples)
        assert len(remembered.joins) <= 3000 // tracks.PER_JOIN
    assert machine.controller.parts >= 2
    assert 0 < most <= 3000 + 2048
    assert listing.MOST >= 1000


def test_one_more_machine_has_little_memory_of_its_own() -> None:
    """A second of its axes would be half a megabyte: they are worked out where those of all others are."""

    def made(number: int) -> Machine:
        machine = Machine(number, 1, {"short.nc": SHORT})
        machine.controller.start_program()
        machine.run(200)
        return machine

    kept = [made(1), made(2)]
    gc.collect()
    tracemalloc.start()
    try:
        kept += [made(number) for number in range(3, 7)]
        gc.collect()
        own_bytes = tracemalloc.get_traced_memory()[0] / 4
    finally:
        tracemalloc.stop()
    assert own_bytes < 200_000
