"""NC programs as files: what is one, and in which writing.

Controls take ASCII. What else comes along are names and remarks in comments, as UTF-8, UTF-16 with its mark, or the one-byte
code of the office where it was written; read as Latin-1 the words of the program are the same in all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.blocks import Parser
from opcua_server.machine.gcode.dialect import DIALECTS

LARGEST_BYTES: Final = 128 * 2**20
"""About three million blocks, far more than a control's memory; the text is held as lines."""

_LOOKED_AT: Final = 65_536
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\x1a\0")) + b"\x7f"
_MOST_CONTROLS: Final = 0.02
"""Of the bytes at the beginning: a damaged transfer has a few, other files many."""
_LINUXCNC_ONLY: Final = re.compile(
    r"^[ \t]*(?:/\d?[ \t]*)?(?:N\d+[ \t]*)?O[ \t]*(?:<[^>\n]*>|\d+)[ \t]*"
    r"(?:SUB|CALL|RETURN|ENDSUB|IF|ELSE|ELSEIF|ENDIF|WHILE|ENDWHILE|DO|REPEAT|BREAK|CONTINUE)\b|#[ \t]*<"
    # Splines, rigid tapping, probing, radius in D, work offsets 7 to 9, tolerance of blending.
    r"|G0*(?:5\.[23]|33\.1|38\.[2-5]|4[12]\.1|59\.[123])(?!\d)|G0*64[ \t]*P",
    re.IGNORECASE | re.MULTILINE,
)
_TRIED: Final = 10_000
"""Lines among which one must be a block: of 400 programs each had one, of 60 texts of other kinds none had any."""
_COMMENT: Final = re.compile(r"\([^()\n]*\)|;[^\n]*")


class NoProgramError(Exception):
    """The file cannot be read as an NC program; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class ProgramFile:
    text: str
    note: str = ""
    """What a user should know about how it was read; empty as a rule."""


def read_program(path: Path) -> ProgramFile:
    """The text of an NC program. Raises ``NoProgramError`` for what is none."""
    try:
        if not path.is_file():
            raise NoProgramError("is a folder" if path.is_dir() else "is no file" if path.exists() else "No such file or directory")
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise NoProgramError(f"is {size / 2**20:.0f} MB long; at most {LARGEST_BYTES // 2**20} MB are read")
        data = path.read_bytes()
    except OSError as error:
        raise NoProgramError(error.strerror or str(error)) from error
    return _decoded(data)


def read_main_program(path: Path) -> ProgramFile:
    """The text of a program that is to run by itself: at least one of its lines is a block. Raises ``NoProgramError``."""
    program = read_program(path)
    parser = Parser(DIALECTS[dialect_of(program.text)])
    first = ""
    for line in program.text.splitlines()[:_TRIED]:
        try:
            if line.strip() and not parser.parse(line).is_blank:
                return program
        except BlockFault as fault:
            first = first or f"{line.strip()[:40]} ({fault.text})"
    raise NoProgramError(f"is no NC program: none of its lines is a block: {first}" if first else "is no NC program: it is empty")


def _decoded(data: bytes) -> ProgramFile:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return ProgramFile(data.decode("utf-16"))
        except UnicodeDecodeError:
            raise NoProgramError("is marked as UTF-16 and is none") from None
    head = data[:_LOOKED_AT]
    controls = len(head) - len(head.translate(None, _CONTROLS))
    # NUL is blank tape and may lead in and out, but does not stand between letters.
    if controls > _MOST_CONTROLS * len(head) or b"\0" in head.strip(b"\0 \t\r\n"):
        raise NoProgramError("is a binary file and no NC program")
    try:
        return ProgramFile(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return ProgramFile(data.decode("latin-1"), f"line {line} is not UTF-8; read as Latin-1")


def dialect_of(text: str) -> str:
    """``linuxcnc`` if the text has what only LinuxCNC reads (``o100 sub``, ``#<depth>``, ``G38.2``), else ``fanuc``."""
    return "linuxcnc" if _LINUXCNC_ONLY.search(_COMMENT.sub(" ", text)) else "fanuc"
