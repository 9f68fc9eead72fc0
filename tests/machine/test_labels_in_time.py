"""The labels of the table: what a fault does begins with its label, grows with its severity, and ends with it."""

from __future__ import annotations

import pytest

from benchmarks.labels_in_time import EFFECTS, PROMPT_S, Table, courses, record
from opcua_server.machine.faults import FAULTS
from opcua_server.realism.dataset import HEALTHY

RECORDED = 465.0, 1, 118, 120.0, 240.0
"""A fault of severity 0.68 from 82 s to 361 s, growing for 126 s."""
AFTER_S = 100.0
CHANCE = frozenset({"air_pressure", "encoder", "sensor_spike"})
"""Seen at a tool change, a lost count, a spike: rarer than what they are moved by here."""


@pytest.fixture(scope="module")
def healthy() -> Table:
    return record([HEALTHY], *RECORDED)[1]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen_from_its_label_on_and_until_it_ends_and_labels_that_are_moved_are_found(
    fault: str, healthy: Table
) -> None:
    made, table = record([fault], *RECORDED)

    def moved(shift_s: float) -> list[str]:
        (one,) = courses(fault, made, table, healthy, shift_s=shift_s, after_s=AFTER_S)
        return one.problems

    (true,) = courses(fault, made, table, healthy, shift_s=0.0, after_s=AFTER_S)
    assert true.problems == []
    shift_s = true.quiet_s + 3.0 * PROMPT_S
    assert moved(shift_s) or fault in CHANCE
    assert moved(-shift_s) or fault in CHANCE


def test_every_fault_has_an_effect_that_is_looked_at() -> None:
    assert list(EFFECTS) == list(FAULTS)
