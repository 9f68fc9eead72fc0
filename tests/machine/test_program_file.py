"""NC programs as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from opcua_server.machine import program_file
from opcua_server.machine.program_file import NoProgramError, dialect_of, read_main_program, read_program

TEXT = "%\nO1 (Größe)\nG1 X10 F100\nM30\n%\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_as_written(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "part.nc"
    file.write_bytes(TEXT.encode(encoding))
    program = read_program(file)
    assert (program.text, program.note) == (TEXT, "")


def test_an_office_code_is_read_with_a_note_that_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "part.nc"
    file.write_bytes(TEXT.encode("latin-1"))
    program = read_program(file)
    assert program.text == TEXT
    assert program.note == "line 2 is not UTF-8; read as Latin-1"


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x01\0\0\0\0\x03", bytes(range(256)) * 9, b"\xff\xfe\x00", b"G1 X\0\x001\0Y2\n"])
def test_a_binary_file_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "part.nc"
    file.write_bytes(data)
    with pytest.raises(NoProgramError, match=r"binary|UTF-16"):
        read_program(file)


def test_blank_tape_before_and_behind_is_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "tape.nc"
    file.write_bytes(b"\0" * 40 + TEXT.encode() + b"\0" * 40)
    assert TEXT in read_program(file).text


def test_what_is_no_file_or_too_large_is_refused_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "part.nc"
    with pytest.raises(NoProgramError, match="No such file"):
        read_program(file)
    with pytest.raises(NoProgramError, match="folder"):
        read_program(tmp_path)
    file.write_text(TEXT)
    monkeypatch.setattr(program_file, "LARGEST_BYTES", 10)
    with pytest.raises(NoProgramError, match="at most"):
        read_program(file)


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        (TEXT, "fanuc"),
        ("O100 (o200 sub)\n#100=5\nIF[#100GT3]GOTO5\nN5M30\n", "fanuc"),
        ("O1 M98 P2\n", "fanuc"),
        ("o100 sub\nG1 X1\no100 endsub\n", "linuxcnc"),
        ("N10 O<face> CALL [3]\n", "linuxcnc"),
        ("#<depth> = 3\n", "linuxcnc"),
        ("G5.1 Q1 X640 (G64 P1)\n", "fanuc"),
        ("g64p0.01\n", "linuxcnc"),
        ("N3 G38.2 Z-10\n", "linuxcnc"),
        ("o1 WHILE [#1 LT 3]\n", "linuxcnc"),
    ],
)
def test_the_dialect_shows_in_statements_that_only_one_control_reads(text: str, dialect: str) -> None:
    assert dialect_of(text) == dialect


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# A mill\n\nIt mills. See [docs](docs).\n", r"none of its lines is a block: # A mill \("),
        ('{"G1": 1}\n', "none of its lines is a block"),
        ("\n\n", "it is empty"),
        ("%\n(only words)\n%\n", "it is empty"),
    ],
)
def test_a_text_without_a_block_is_no_program_to_run(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "README.md"
    file.write_text(text)
    with pytest.raises(NoProgramError, match=reason):
        read_main_program(file)


@pytest.mark.parametrize("text", [TEXT, "G1 X\nG99999\nM30", "o<part> sub\n#<depth> = 3\no<part> endsub\nM2"])
def test_a_program_with_mistakes_is_one_nevertheless(tmp_path: Path, text: str) -> None:
    file = tmp_path / "part.nc"
    file.write_text(text)
    assert read_main_program(file).text == text
