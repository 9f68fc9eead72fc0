"""Open files: modes, positions, bounds, and whose a handle is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.files import handles as module
from opcua_server.files.handles import APPEND, ERASE, MAX_BYTES, MODES, READ, WRITE, FileRefused, Handles

C = ua.StatusCodes
ME, YOU = object(), object()


@contextlib.contextmanager
def refused(status: int) -> Iterator[None]:
    with pytest.raises(FileRefused) as raised:
        yield
    assert raised.value.status == status
    assert raised.value.text, "it says why"


@pytest.mark.parametrize("mode", sorted(set(range(20)) - MODES))
def test_a_mode_that_makes_no_sense_is_refused(mode: int) -> None:
    with refused(C.BadInvalidArgument):
        Handles().open("f", ME, mode, b"")


def test_reading_and_writing_need_their_mode_and_the_own_session() -> None:
    handles = Handles()
    handle = handles.open("f", ME, READ, b"abc")
    assert handles.read("f", ME, handle, 2) == b"ab"
    for wrong in (("f", YOU, handle), ("g", ME, handle), ("f", ME, handle + 1)):
        with refused(C.BadInvalidArgument):
            handles.read(*wrong, 1)
    with refused(C.BadInvalidState):
        handles.write("f", ME, handle, b"x")
    with refused(C.BadInvalidArgument):
        handles.read("f", ME, handle, -1)
    assert handles.close("f", ME, handle).content is None
    writer = handles.open("f", ME, WRITE, b"abc")
    with refused(C.BadInvalidState):
        handles.read("f", ME, writer, 1)


def test_a_writer_is_alone_and_readers_keep_writers_out() -> None:
    handles = Handles()
    reader = handles.open("f", ME, READ, b"abc")
    handles.open("f", YOU, READ, b"abc")
    with refused(C.BadNotWritable):
        handles.open("f", YOU, WRITE, b"abc")
    assert handles.forget(YOU) == ["f"]
    handles.close("f", ME, reader)
    handles.open("f", ME, WRITE, b"abc")
    for mode, status in ((READ, C.BadNotReadable), (WRITE, C.BadNotWritable)):
        with refused(status):
            handles.open("f", YOU, mode, b"abc")
    assert handles.count("f") == 1


def test_handles_and_what_they_hold_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    handles = Handles()
    for number in range(module.PER_SESSION):
        handles.open(number, ME, READ, b"")
    with refused(C.BadTooManyOperations):
        handles.open("one more", ME, READ, b"")
    handle = handles.open("f", YOU, WRITE, b"")
    handles.write("f", YOU, handle, b"x" * MAX_BYTES)
    with refused(C.BadEncodingLimitsExceeded):
        handles.write("f", YOU, handle, b"y")
    monkeypatch.setattr(module, "BYTES_IN_ALL", MAX_BYTES + 10)
    with refused(C.BadTooManyOperations):
        handles.open("g", YOU, READ, b"x" * 11)
    writer = handles.open("g", YOU, WRITE | APPEND, b"x" * 9)
    with refused(C.BadTooManyOperations):
        handles.write("g", YOU, writer, b"yy")


def test_who_has_all_handles_gives_way_to_who_has_none() -> None:
    """Eight sessions that only read kept everybody else from every program."""
    handles, gone = Handles(), list[str]()
    handles.displaced = gone.append
    for number in range(module.IN_ALL):
        handles.open(f"f{number}", f"greedy {number // module.PER_SESSION}", READ, b"x")
    handle = handles.open("program", ME, WRITE | ERASE, b"")
    assert gone == ["f0"]
    handles.write("program", ME, handle, b"M30")
    assert handles.close("program", ME, handle).content == b"M30"
    with pytest.raises(FileRefused):
        handles.read("f0", "greedy 0", 1, 1)
    handles.drop(1)


def test_who_holds_all_bytes_gives_way_to_who_holds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_IN_ALL", 100)
    handles = Handles()
    for number in range(10):
        handles.open(f"f{number}", "greedy", READ, bytes(10))
    handles.open("program", ME, READ, bytes(20))
    assert [handles.count(f"f{number}") for number in range(10)] == [0, 0, *[1] * 8]


@given(
    st.binary(max_size=20),
    st.sampled_from([WRITE, WRITE | ERASE, WRITE | APPEND, READ | WRITE]),
    st.lists(st.one_of(st.integers(0, 30), st.binary(max_size=8)), max_size=8),
)
def test_a_written_file_is_what_a_real_file_would_be(before: bytes, mode: int, steps: list[int | bytes]) -> None:
    """Against the definition: positions beyond the end are the end."""
    handles = Handles()
    handle = handles.open("f", ME, mode, before)
    content = b"" if mode & ERASE else before
    position = len(content) if mode & APPEND else 0
    for step in steps:
        if isinstance(step, int):
            handles.move("f", ME, handle, step)
            position = min(step, len(content))
        else:
            handles.write("f", ME, handle, step)
            content = content[:position] + step + content[position + len(step) :]
            position += len(step)
        assert handles.position("f", ME, handle) == position
    assert handles.close("f", ME, handle).content == content
