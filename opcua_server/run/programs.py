"""The folder of NC programs that all machines of an installation share: ``<data>/programs``.

LoadProgramText stores into it, LoadProgram takes from it, and an operator may put files there while the server runs. A name is a
plain file name: nothing leads out of the folder, and links are not followed.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Final

from cnctwin.errors import ConfigurationError
from cnctwin.files import write_atomically
from opcua_server.machine.program_file import NoProgramError, read_main_program
from opcua_server.sources.source import CommandRefused

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_CHARACTERS: Final = 1_048_576
"""Of a program that a client sends; the longest text that the server takes at all."""
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_STORED: Final = 1_000
_TEXT: Final = re.compile(r"[^\x00-\x08\x0e-\x1f]*")
"""No control characters but blanks, line ends and form feeds: what is no text is no program."""


class ProgramFolder:
    """Programs by file name."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "programs"
        self.folder.mkdir(parents=True, exist_ok=True)

    def entries(self) -> dict[str, tuple[int, int]]:
        """What the folder has: name -> (bytes, time of the last change in ns since the epoch), by name. None of it when it
        cannot be read."""
        found = {}
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if is_name(entry.name) and entry.is_file(follow_symlinks=False):
                    about = entry.stat(follow_symlinks=False)
                    found[entry.name] = (about.st_size, about.st_mtime_ns)
        return dict(sorted(found.items()))

    def has(self, name: str) -> bool:
        path = self.folder / name
        return is_name(name) and path.is_file() and not path.is_symlink()

    def read(self, name: str) -> str | None:
        """The text of a program; None when the folder has none of that name. Raises CommandRefused."""
        content = self.read_bytes(name)
        return None if content is None else _decode(content)

    def read_bytes(self, name: str) -> bytes | None:
        """A program as it was written; None when the folder has none of that name. Raises CommandRefused."""
        _check_name(name)
        try:
            handle = os.open(self.folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CommandRefused("not_found", f"Program {name} cannot be read: {error.strerror}") from None
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            os.close(handle)
            raise CommandRefused("not_found", f"{name} is no file")
        with os.fdopen(handle, "rb") as file:
            if about.st_size > MAX_FILE_BYTES:
                raise CommandRefused("argument", f"Program {name} has more than {MAX_FILE_BYTES} bytes")
            return file.read(MAX_FILE_BYTES + 1)

    def check(self, name: str, text: str) -> None:
        """Raise CommandRefused for a name or text that would not be stored."""
        if len(text) > MAX_CHARACTERS:
            raise CommandRefused("argument", f"A program may have {MAX_CHARACTERS} characters", 1)
        if not _TEXT.fullmatch(text):
            raise CommandRefused("argument", "A program is text: there are control characters in it", 1)
        self._check_room(name)

    def store(self, name: str, text: str) -> None:
        """Keep a program, whole or not at all. Raises CommandRefused."""
        self.check(name, text)
        self._put(name, text.encode("utf-8"))

    def write(self, name: str, content: bytes, *, is_new: bool = False) -> None:
        """Keep whatever somebody wrote under a name: whether it is a program is asked when it is to run. ``is_new``: only where
        none has that name. Raises CommandRefused."""
        self._check_room(name)
        if is_new and (self.folder / name).exists():
            raise CommandRefused("state", f"There is a program {name}")
        self._put(name, content)

    def create(self, name: str) -> None:
        """An empty file. Raises CommandRefused."""
        self.write(name, b"", is_new=True)

    def delete(self, name: str) -> None:
        """Raises CommandRefused."""
        _check_name(name)
        try:
            (self.folder / name).unlink()
        except FileNotFoundError:
            raise CommandRefused("not_found", f"There is no program {name}") from None
        except OSError as error:
            raise CommandRefused("state", f"Program {name} cannot be deleted: {error.strerror}") from None

    def rename(self, name: str, new: str) -> None:
        """Raises CommandRefused; an existing program is not replaced."""
        _check_name(name)
        _check_name(new)
        try:
            os.link(self.folder / name, self.folder / new, follow_symlinks=False)  # unlike a rename it replaces nothing
            (self.folder / name).unlink()
        except FileNotFoundError:
            raise CommandRefused("not_found", f"There is no program {name}") from None
        except OSError as error:
            raise CommandRefused("state", f"Program {name} cannot be renamed: {error.strerror}") from None

    def _check_room(self, name: str) -> None:
        _check_name(name)
        if not (self.folder / name).exists() and sum(1 for _ in self.folder.iterdir()) >= MAX_STORED:
            raise CommandRefused("argument", f"The folder has {MAX_STORED} programs; delete some")

    def _put(self, name: str, content: bytes) -> None:
        try:
            write_atomically(self.folder / name, content)
        except OSError as error:
            raise CommandRefused("state", f"Program {name} cannot be stored: {error.strerror}") from None


def read_program_file(path: Path) -> tuple[str, str]:
    """Name and text of the program the user started with. Raises ConfigurationError."""
    try:
        text = read_main_program(path).text
    except NoProgramError as error:
        raise ConfigurationError([f"program: {path}: {error}; name an NC program with --program"]) from error
    name = re.sub(r"[^A-Za-z0-9._-]", "_", path.name).lstrip("._-")[:64] or "program.nc"
    return name, text


def is_name(name: str) -> bool:
    """Whether a program may be called so: a plain name, which leads nowhere."""
    return bool(NAME.fullmatch(name)) and ".." not in name


def _check_name(name: str) -> None:
    if not is_name(name):
        raise CommandRefused(
            "argument", "A program's name has up to 64 letters, digits, - _ and . and begins with a letter or digit"
        )


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
