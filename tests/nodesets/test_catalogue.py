"""The table's own promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodesets.binding import choose
from nodesets.catalogue import MACHINE, NUMERIC, OBJECTS, RESULTS, SIGNALS, Signal
from nodesets.methods import METHODS
from nodesets.namespaces import URI
from nodesets.paths import QName, Step, parse, qname
from nodesets.states import SHOWN, MachineState

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_ <>.]{0,12}", fullmatch=True)
qnames = st.builds(QName, st.sampled_from(sorted(URI)), names)
steps = st.one_of(st.builds(lambda q: Step(q.name, q.prefix), qnames), st.builds(lambda name, q: Step(name, type=q), names, qnames))


@given(st.lists(steps, min_size=1, max_size=5))
def test_a_path_reads_back_as_it_was_written(path: list[Step]) -> None:
    assert parse("/".join(str(step) for step in path)) == tuple(path)


@pytest.mark.parametrize("path", ["", "Monitoring", "MT:", ":X", "{MT:A}", "{MT:AX", "MT:A//MT:B", "{A}X"])
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError):
        parse(path)


def test_a_name_needs_a_prefix() -> None:
    assert qname("MT:ToolType") == QName("MT", "ToolType")


def test_names_are_unique_and_groups_have_members() -> None:
    assert len({signal.name for signal in SIGNALS}) == len(SIGNALS)
    assert len({method.name for method in METHODS}) == len(METHODS)
    assert set(MACHINE) | set(RESULTS) == set(SIGNALS)
    assert [*NUMERIC, *OBJECTS] == sorted([*NUMERIC, *OBJECTS], key=lambda s: (not s.is_numeric, MACHINE.index(s)))


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_a_row_is_consistent(signal: Signal) -> None:
    assert signal.doc
    assert (signal.low is None) is (signal.high is None) is (signal.unit is None)
    if signal.low is not None and signal.high is not None:
        assert signal.low < signal.high
    for path in signal.nodes:
        for step in parse(path):
            assert (step.type.prefix if step.type else step.prefix) in URI


def test_every_machine_state_says_what_it_shows() -> None:
    assert set(SHOWN) == set(MachineState)


def test_a_placeholder_takes_the_instance_of_its_name_else_the_one_at_its_place() -> None:
    axis = QName("CNC", "CncAxisType")
    named = [("Y", "y"), ("X", "x")]
    other = [("A1", "first"), ("A2", "second")]
    assert choose(Step("X", type=axis), ["X", "Y", "Z"], named) == "x"
    assert choose(Step("Z", type=axis), ["X", "Y", "Z"], named) is None
    assert choose(Step("Y", type=axis), ["X", "Y", "Z"], other) == "second"
    assert choose(Step("Z", type=axis), ["X", "Y", "Z"], other) is None
