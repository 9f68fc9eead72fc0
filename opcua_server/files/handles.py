"""Open files (OPC 10000-20, 4.2). Pure: content goes in at opening and comes out at closing.

    open for reading   a snapshot; nobody else's writing changes it
    open for writing   one at a time, and nobody reads meanwhile; what was written counts when it is closed, whole or not at all

A handle belongs to the session that opened it, and goes with it. Where all are taken, the oldest for reading of the session that
has most gives way to who has fewer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua

from cnctwin.places import gives_way

_C = ua.StatusCodes
READ, WRITE, ERASE, APPEND = 1, 2, 4, 8
"""Bits of the mode."""
MODES: Final = frozenset({READ, WRITE, READ | WRITE, WRITE | ERASE, READ | WRITE | ERASE, WRITE | APPEND, READ | WRITE | APPEND})
MAX_BYTES: Final = 1 << 20
"""Of a file that is written: as much as LoadProgramText takes."""
PER_SESSION: Final = 16
IN_ALL: Final = 128
BYTES_IN_ALL: Final = 64 << 20
"""Of all content that is held for open files."""
_TOO_MUCH: Final = f"Open files hold up to {BYTES_IN_ALL} bytes together"


class FileRefused(Exception):
    """A file operation is refused; ``status`` is an OPC UA StatusCode, ``text`` says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(slots=True)
class _Open:
    file: Hashable
    session: Any
    mode: int
    content: bytearray
    position: int = 0


@dataclass(frozen=True, slots=True)
class Closed:
    """``content`` is what the file is to have now; None when it was only read."""

    file: Any
    content: bytes | None


class Handles:
    """All open files of a server. A file is named by anything that can be a key."""

    def __init__(self) -> None:
        self.displaced: Callable[[Any], None] = lambda file: None
        """Called with a file of which a handle gave way."""
        self._open: dict[int, _Open] = {}
        self._numbers = itertools.count(1)

    def check(self, file: Hashable, session: Any, mode: int) -> None:
        """Whether a file may be opened; before its content is fetched. Raises FileRefused."""
        if mode not in MODES:
            raise FileRefused(_C.BadInvalidArgument, f"Mode {mode} makes no sense")
        others = [one for one in self._open.values() if one.file == file]
        if mode & WRITE and others:
            raise FileRefused(_C.BadNotWritable, "The file is open")
        if any(one.mode & WRITE for one in others):
            raise FileRefused(_C.BadNotReadable, "The file is being written")
        if sum(one.session is session for one in self._open.values()) >= PER_SESSION or not self._has_room(
            session, lambda: len(self._open) < IN_ALL
        ):
            raise FileRefused(_C.BadTooManyOperations, f"{PER_SESSION} files may be open in a session, {IN_ALL} in all")

    def open(self, file: Hashable, session: Any, mode: int, content: bytes) -> int:
        """A handle. Raises FileRefused."""
        self.check(file, session, mode)
        held = bytearray() if mode & ERASE else bytearray(content)
        if not self._has_room(session, lambda: self._held + len(held) <= BYTES_IN_ALL):
            raise FileRefused(_C.BadTooManyOperations, _TOO_MUCH)
        number = next(self._numbers)
        self._open[number] = _Open(file, session, mode, held, len(held) if mode & APPEND else 0)
        return number

    def read(self, file: Hashable, session: Any, handle: int, length: int) -> bytes:
        """Up to ``length`` bytes from the position on; fewer at the end."""
        opened = self._of(file, session, handle)
        if not opened.mode & READ:
            raise FileRefused(_C.BadInvalidState, "It is not open for reading")
        if length < 0:
            raise FileRefused(_C.BadInvalidArgument, "Length is negative")
        data = bytes(opened.content[opened.position : opened.position + length])
        opened.position += len(data)
        return data

    def write(self, file: Hashable, session: Any, handle: int, data: bytes) -> None:
        opened = self._of(file, session, handle)
        if not opened.mode & WRITE:
            raise FileRefused(_C.BadInvalidState, "It is not open for writing")
        end = opened.position + len(data)
        if end > MAX_BYTES:
            raise FileRefused(_C.BadEncodingLimitsExceeded, f"A file has up to {MAX_BYTES} bytes")
        grown = max(end - len(opened.content), 0)
        if not self._has_room(session, lambda: self._held + grown <= BYTES_IN_ALL):
            raise FileRefused(_C.BadTooManyOperations, _TOO_MUCH)
        opened.content[opened.position : end] = data
        opened.position = end

    def position(self, file: Hashable, session: Any, handle: int) -> int:
        return self._of(file, session, handle).position

    def move(self, file: Hashable, session: Any, handle: int, position: int) -> None:
        """Beyond the end is the end."""
        opened = self._of(file, session, handle)
        opened.position = min(position, len(opened.content))

    def writes(self, file: Hashable, session: Any, handle: int) -> bool:
        return bool(self._of(file, session, handle).mode & WRITE)

    def close(self, file: Hashable, session: Any, handle: int) -> Closed:
        opened = self._of(file, session, handle)
        del self._open[handle]
        return Closed(opened.file, bytes(opened.content) if opened.mode & WRITE else None)

    def forget(self, session: Any) -> list[Any]:
        """A session is over: what it wrote and did not close is lost. The files that it had open."""
        gone = [handle for handle, one in self._open.items() if one.session is session]
        return [self._open.pop(handle).file for handle in gone]

    def count(self, file: Hashable) -> int:
        return sum(one.file == file for one in self._open.values())

    def drop(self, handle: int) -> None:
        """Close one for reading that may have given way."""
        self._open.pop(handle, None)

    @property
    def _held(self) -> int:
        return sum(len(one.content) for one in self._open.values())

    def _has_room(self, session: Any, fits: Callable[[], bool]) -> bool:
        while not fits():
            read = {number: one for number, one in self._open.items() if not one.mode & WRITE}
            whose = gives_way((session,), [(one.session,) for one in read.values()])
            if whose is None:
                return False
            gone = self._open.pop(next(number for number, one in read.items() if one.session == whose[0]))
            self.displaced(gone.file)
        return True

    def _of(self, file: Hashable, session: Any, handle: int) -> _Open:
        opened = self._open.get(handle)
        if opened is None or opened.session is not session or opened.file != file:
            raise FileRefused(_C.BadInvalidArgument, f"{handle} is no handle of this session and file")
        return opened
