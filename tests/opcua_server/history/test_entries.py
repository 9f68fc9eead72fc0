"""Annotations and events that people put beside the history: what a log of changes comes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opcua_server.history.edits import DELETE, INSERT, Edit
from opcua_server.history.entries import FIRST_ID, change, entries

changes = st.lists(st.tuples(st.sampled_from([INSERT, DELETE]), st.sampled_from("abcd"), st.integers(1, 9)), max_size=30)


@given(changes)
def test_a_log_comes_to_what_a_dictionary_would(rows: list[tuple[int, str, int]]) -> None:
    model: dict[str, tuple[int, int]] = {}
    log = []
    for number, (kind, key, time) in enumerate(rows):
        wanted = change(kind, key, time, None if kind == DELETE else number)
        log.append(Edit(number, 1, wanted.kind, wanted.low, wanted.high, 100 + number, "me", wanted.value))
        if kind == DELETE:
            model.pop(key, None)
        else:
            model[key] = (time, number)
    made = entries(log)
    assert {key: (one.time, one.body) for key, one in made.put.items()} == model
    assert made.touched == {key for _, key, _ in rows}
    shown = made.between(3, 6)
    assert [(one.time, one.id) for one in shown] == sorted((time, FIRST_ID + n) for time, n in model.values() if 3 <= time <= 6)
