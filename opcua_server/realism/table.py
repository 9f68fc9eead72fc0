"""Tables in files: CSV, gzipped CSV and Parquet, written a few thousand rows at a time.

    TableFile(path, columns, about) --append(rows of every column)--> part file --close--> path

Parquet is written here, in the little of it that a table of numbers and texts needs (https://parquet.apache.org, format 2): each
``append`` is a row group, each column in it one page, plain values behind definition levels, gzipped.

    PAR1 | page page ... | page page ... | footer: schema, row groups, key-value texts | length of the footer | PAR1

A library for it would be larger than this product; that pyarrow reads what is written here is checked where it is installed.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

Kind = Literal["number", "count", "flag", "text"]
SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
DIGITS: Final = 9
"""Significant digits of a number in CSV: more than any sensor of the machine has."""


@dataclass(frozen=True, slots=True)
class Column:
    """``kind``: a number is a double, a count a whole number of 64 bits; None stands for what is missing in all of them."""

    name: str
    kind: Kind
    unit: str
    doc: str


class TableFile:
    """A table that is being written. ``about`` is asked at the end for texts that Parquet carries along.

    Until ``close`` it has another name, so that what is there under its own is whole; leaving a ``with`` by an exception removes
    it. Raises OSError, ValueError for another suffix.
    """

    def __init__(self, path: Path, columns: Sequence[Column], about: Callable[[], Mapping[str, str]]) -> None:
        if not path.name.endswith(SUFFIXES):
            raise ValueError(f"{path}: the name must end in {', '.join(SUFFIXES)}")
        self.path = path
        self.rows = 0
        self._part = path.with_name(f".{path.name}.part")
        if path.name.endswith(".parquet"):
            self._to: _Parquet | _Csv = _Parquet(self._part, columns, about)
        else:
            self._to = _Csv(self._part, columns, zipped=path.name.endswith(".gz"))

    def append(self, values: Sequence[Sequence[Any]]) -> None:
        """Values of every column, all of one length."""
        self._to.append(values)
        self.rows += len(values[0])

    def close(self) -> None:
        self._to.close()
        self._part.replace(self.path)

    def __enter__(self) -> TableFile:
        return self

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self._to.abandon()
            self._part.unlink(missing_ok=True)


class _Csv:
    """Fields as in RFC 4180 under a line of names, lines that end in \n; what is missing is an empty field, a flag 1 or 0."""

    def __init__(self, path: Path, columns: Sequence[Column], *, zipped: bool) -> None:
        raw = path.open("wb")
        # Without a time and a name of its own in the header the same rows are the same bytes.
        self._files: list[Any] = [raw, gzip.GzipFile("", "wb", 6, raw, mtime=0)] if zipped else [raw]
        self._text = io.TextIOWrapper(self._files[-1], "utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow([column.name for column in columns])
        self._kinds = [column.kind for column in columns]

    def append(self, values: Sequence[Sequence[Any]]) -> None:
        shown = [_SHOWN[kind](column) for kind, column in zip(self._kinds, values, strict=True)]
        self._writer.writerows(zip(*shown, strict=True))

    def close(self) -> None:
        self._text.close()
        self._files[0].close()

    def abandon(self) -> None:
        for file in (self._text, self._files[0]):
            with contextlib.suppress(OSError, ValueError):  # what is thrown away may as well not be written
                file.close()


_SHOWN: Final = {
    "number": lambda values: ["" if value is None else f"{value:.{DIGITS}g}" for value in values],
    "count": lambda values: ["" if value is None else int(value) for value in values],
    "flag": lambda values: ["" if value is None else int(bool(value)) for value in values],
    "text": lambda values: ["" if value is None else value for value in values],
}

# Physical types, encodings and codecs of the Parquet format (parquet.thrift).
_TYPES: Final[dict[Kind, int]] = {"flag": 0, "count": 2, "number": 5, "text": 6}
_PLAIN, _RLE, _GZIP, _UTF8, _OPTIONAL = 0, 3, 2, 0, 1
_MAGIC: Final = b"PAR1"


class _Parquet:
    def __init__(self, path: Path, columns: Sequence[Column], about: Callable[[], Mapping[str, str]]) -> None:
        self._columns, self._about = columns, about
        self._groups: list[tuple[int, int, list[bytes]]] = []
        self._file = path.open("wb")
        self._file.write(_MAGIC)

    def append(self, values: Sequence[Sequence[Any]]) -> None:
        chunks, total = [], 0
        for column, cells in zip(self._columns, values, strict=True):
            body = _levels(cells) + _plain(column.kind, [cell for cell in cells if cell is not None])
            packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
            packed = packer.compress(body) + packer.flush()
            data = _struct({1: len(cells), 2: _PLAIN, 3: _RLE, 4: _RLE})
            header = _struct({1: 0, 2: len(body), 3: len(packed), 5: data})
            at = self._file.tell()
            self._file.write(header + packed)
            whole, size = len(header) + len(body), len(header) + len(packed)
            total += whole
            about = {1: _TYPES[column.kind], 2: [_PLAIN, _RLE], 3: [column.name], 4: _GZIP}
            about |= {5: Long(len(cells)), 6: Long(whole), 7: Long(size), 9: Long(at)}
            chunks.append(_struct({2: Long(at), 3: _struct(about)}))
        self._groups.append((total, len(values[0]), chunks))

    def close(self) -> None:
        schema = [_struct({4: "table", 5: len(self._columns)})]
        for column in self._columns:
            text = {6: _UTF8} if column.kind == "text" else {}
            schema.append(_struct({1: _TYPES[column.kind], 3: _OPTIONAL, 4: column.name, **text}))
        groups = [_struct({1: chunks, 2: Long(total), 3: Long(rows)}) for total, rows, chunks in self._groups]
        texts = [_struct({1: key, 2: value}) for key, value in self._about().items()]
        rows = sum(group[1] for group in self._groups)
        footer = _struct({1: 2, 2: schema, 3: Long(rows), 4: groups, 5: texts, 6: "cnctwin"})
        self._file.write(footer + struct.pack("<I", len(footer)) + _MAGIC)
        self._file.close()

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


def _levels(cells: Sequence[Any]) -> bytes:
    """Which cells are there: 1 bit each, as one run of the RLE and bit-packing hybrid, behind its length."""
    there = np.array([cell is not None for cell in cells], dtype=np.uint8)
    if there.all():
        run = _varint(len(cells) << 1) + b"\x01"
    else:
        bits = np.packbits(there, bitorder="little").tobytes()
        run = _varint(len(bits) << 1 | 1) + bits
    return struct.pack("<I", len(run)) + run


def _plain(kind: Kind, values: Sequence[Any]) -> bytes:
    if kind == "number":
        return np.asarray(values, dtype="<f8").tobytes()
    if kind == "count":
        return np.asarray(values, dtype="<i8").tobytes()
    if kind == "flag":
        return np.packbits(np.asarray(values, dtype=np.uint8), bitorder="little").tobytes()
    raw = [str(value).encode() for value in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in raw)


class Long(int):
    """A whole number of 64 bits in Thrift's compact protocol, where a plain one has 32."""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _struct(fields: Mapping[int, Any]) -> bytes:
    """A struct in Thrift's compact protocol; bytes are structs that were written already."""
    out, last = bytearray(), 0
    for number in sorted(fields):
        code, raw = _field(fields[number])
        out.append((number - last) << 4 | code)
        out += raw
        last = number
    return bytes(out) + b"\x00"


def _field(value: Any) -> tuple[int, bytes]:
    if isinstance(value, int):
        return (6 if isinstance(value, Long) else 5), _varint(value << 1)  # zigzag; nothing here is negative
    if isinstance(value, str):
        raw = value.encode()
        return 8, _varint(len(raw)) + raw
    if isinstance(value, bytes):
        return 12, value
    items = [_field(item) for item in value]
    code = items[0][0] if items else 12
    head = bytes([len(items) << 4 | code]) if len(items) < 15 else bytes([0xF0 | code]) + _varint(len(items))
    return 9, head + b"".join(raw for _, raw in items)
