"""Sources that a server steps together are so many sources, each as if it were alone."""

from __future__ import annotations

import pytest

from nodesets.states import MachineState
from opcua_server.sources.in_step import InStep, at_once
from opcua_server.sources.simulated import SimulatedSource

from .running import DEMOS, now

START_NS = 1_750_000_000_000_000_000


def sources(speed: float = 1.0) -> list[SimulatedSource]:
    """Three, the second with a worn nut, so that its axes are worked out by themselves, the third on a line that fails."""
    made = [SimulatedSource(f"CNC-{k:03d}", 4, DEMOS, speed=speed) for k in (1, 2, 3)]
    made[1].call("InjectFault", ["axis_backlash", 0.6, 1.0])
    made[2].call("InjectFault", ["network_gaps", 0.9, 1.0])
    return made


def shown(source: SimulatedSource) -> tuple[object, ...]:
    columns = source.columns()
    stamp = columns.source_time_ns
    return columns.numbers.tobytes(), columns.objects, columns.statuses.tobytes(), stamp, source.take_events(), source.tools()


@pytest.mark.parametrize(("dt_s", "ticks"), [(0.1, 90), (0.03, 90), (0.25, 45), (1.7, 12)])
def test_sources_in_step_show_what_each_shows_alone(dt_s: float, ticks: int) -> None:
    """For any publication period, with commands before a tick."""
    together, alone, in_step = sources(2.0), sources(2.0), InStep()
    now_ns = START_NS
    for tick in range(ticks):
        now_ns += round(dt_s * 1e9)
        if tick == ticks // 3:
            for some in (together, alone):
                some[0].call("SetFeedOverride", [60.0])
                some[2].call("Hold", [])
        in_step.ahead(together, dt_s)
        assert [source.due_blocks(dt_s) for source in together] == [0, 0, 0], "nothing is left to be done one by one"
        for one, other in zip(together, alone, strict=True):
            one.advance(dt_s, now_ns)
            other.advance(dt_s, now_ns)
            assert shown(one) == shown(other)
    for one, other in zip(together, alone, strict=True):
        assert one.checkpoint() == other.checkpoint()


def test_a_server_in_haste_has_fewer_machines_in_step_so_that_clients_wait_no_longer() -> None:
    assert [at_once(dt_s) for dt_s in (0.02, 0.1, 0.2, 1.6, 100.0)] == [32, 32, 16, 2, 1]


def test_commands_that_come_while_others_are_shown_are_seen_at_once_and_act_from_the_next_block_on() -> None:
    together, in_step = sources(), InStep()
    for tick in range(1, 8):
        in_step.ahead(together, 0.1)
        if tick == 7:
            together[0].call("SetFeedOverride", [50.0])
            together[0].call("Hold", [])
        for source in together:
            source.advance(0.1, START_NS + tick * 100_000_000)
    assert now(together[0], "Channel/FeedOverride") == 50.0
    assert now(together[0], "Machine/State") == MachineState.HELD
    assert [event.kind for event in together[0].take_events()][-1] == "state_changed"
    assert now(together[1], "Channel/FeedOverride") == 100.0


def test_a_machine_that_fails_among_others_fails_alone_and_its_successor_goes_in_step_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together, alone, in_step = sources(), sources(), InStep()
    good = together[0].checkpoint()

    def tick(number: int, those: list[SimulatedSource]) -> None:
        """Of all but the first of ``alone``, and of ``those``, which end with the same two."""
        now_ns = START_NS + number * 100_000_000
        in_step.ahead(those, 0.1)
        for one, other in zip(those[-2:], alone[1:], strict=True):
            one.advance(0.1, now_ns)
            other.advance(0.1, now_ns)
            assert shown(one) == shown(other)
        for one in those[:-2]:
            one.advance(0.1, now_ns)

    for number in range(5):
        tick(number, together)
    monkeypatch.setattr(together[0].machine.controller, "step", _broken)
    with pytest.raises(RuntimeError, match="broken on purpose"):
        tick(5, together)
    with pytest.raises(RuntimeError, match="broken on purpose"):
        together[0].checkpoint()
    tick(6, together[1:])
    successor = SimulatedSource("CNC-001", 4, DEMOS, state=good)
    for number in range(7, 10):
        tick(number, [successor, *together[1:]])
    assert now(successor, "Simulation/Time") == pytest.approx(0.3)


def _broken(*_: object) -> None:
    raise RuntimeError("broken on purpose")
