"""Encoders compiled from asyncua's dataclasses; their bytes equal those of asyncua's own encoder, at a fraction of the time.

encoder(ua.ReadValueId)  ->  def write(o, out):        out: the append of a list of bytes
                                 write_NodeId(o.NodeId, out)
                                 out(S0(o.AttributeId))
                                 ...
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum, IntFlag
from typing import Any, get_origin

from asyncua import ua
from asyncua.ua.ua_binary import get_safe_type_hints

from cnctwin.wire.decode import _VARIANT_KINDS, _optional
from cnctwin.wire.scalars import CONVERTED, EPOCH, FIXED

Out = Callable[[bytes], Any]
Write = Callable[[Any, Out], Any]

_INT32 = struct.Struct("<i").pack
_UINT32 = struct.Struct("<I").pack
_UINT16 = struct.Struct("<H").pack
_INT64 = struct.Struct("<q").pack
_NULL = b"\xff\xff\xff\xff"
_EMPTY = b"\x00\x00\x00\x00"
_BYTE = [bytes((number,)) for number in range(256)]


class EncodingFailed(ValueError):
    """A value does not fit the type it is declared to have."""


def encode(value: Any, kind: type | None = None) -> bytes:
    """The binary encoding of a value, as ``kind`` or as its own type. Raises EncodingFailed."""
    parts: list[bytes] = []
    try:
        declared: Any = kind or type(value)
        encoder(declared)(value, parts.append)
    except (struct.error, TypeError, AttributeError, OverflowError) as error:
        raise EncodingFailed(f"{value!r} cannot be encoded as {(kind or type(value)).__name__}: {error}") from error
    return b"".join(parts)


@functools.cache
def encoder(kind: Any) -> Write:
    """The writer of a type: a dataclass, enum or built-in type of asyncua."""
    if kind in _HAND_WRITTEN:
        return _HAND_WRITTEN[kind]
    name = getattr(kind, "__name__", "")
    if name in FIXED and name not in CONVERTED:
        pack = struct.Struct("<" + FIXED[name][0]).pack
        return lambda value, out: out(pack(value))
    if isinstance(kind, type) and issubclass(kind, Enum):
        if issubclass(kind, IntFlag) and hasattr(kind, "datatype"):
            code = FIXED[kind.datatype()][0]
            pack_flags = struct.Struct("<" + code).pack
            return lambda value, out: out(pack_flags(value))
        return lambda value, out: out(_INT32(int(value)))
    if name in _BY_NAME:
        return _BY_NAME[name]
    if isinstance(kind, type) and issubclass(kind, ua.UaUnion):
        return _union_writer(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        for base in kind.__mro__:
            if base in _HAND_WRITTEN:
                return _HAND_WRITTEN[base]
        return _compile(kind)
    raise TypeError(f"{kind} has no binary encoding")


def array_writer(kind: Any) -> Write:
    """Writer of an array: Int32 count, -1 for None, then the elements."""
    name = getattr(kind, "__name__", "")
    if name in FIXED and name not in CONVERTED:
        code = FIXED[name][0]

        def write_numbers(values: Any, out: Out) -> None:
            if values is None:
                out(_NULL)
            elif len(values):
                out(struct.pack(f"<i{len(values)}{code}", len(values), *values))
            else:
                out(_EMPTY)

        return write_numbers
    if kind is ua.StatusCode:
        return lambda values, out: write_codes(None if values is None else [value.value for value in values], out)
    write: Write | None = write_extension_object if get_origin(kind) is type else None

    def write_array(values: Any, out: Out) -> None:
        nonlocal write
        if values is None:
            out(_NULL)
            return
        if not len(values):
            out(_EMPTY)
            return
        if write is None:
            write = encoder(kind)
        out(_INT32(len(values)))
        for value in values:
            write(value, out)

    return write_array


def _field_writer(hint: Any) -> Write:
    if get_origin(hint) is list:
        return array_writer(hint.__args__[0])
    if get_origin(hint) is type:  # "this type or one derived from it" travels as an ExtensionObject
        return write_extension_object
    return encoder(hint)


def _union_writer(kind: Any) -> Write:
    writers = [_field_writer(member) for member in kind._union_types]

    def write_union(value: Any, out: Out) -> None:
        out(_UINT32(value.Encoding))
        if 0 < value.Encoding <= len(writers):
            writers[value.Encoding - 1](value.Value, out)

    return write_union


def _compile(kind: Any) -> Write:
    """Write and compile the writer of a dataclass."""
    hints = get_safe_type_hints(kind, {"ua": ua})
    names: dict[str, Any] = {}
    lines: list[str] = []
    run: list[tuple[str, str]] = []
    optional = [item.name for item in fields(kind) if _optional(hints[item.name])[1]]

    def flush() -> None:
        if run:
            label = f"S{len(names)}"
            names[label] = struct.Struct("<" + "".join(code for _value, code in run)).pack
            lines.append(f"out({label}({', '.join(value for value, _code in run)}))")
            run.clear()

    for number, item in enumerate(fields(kind)):
        hint, is_optional = _optional(hints[item.name])
        type_name = getattr(hint, "__name__", "")
        if item.name == "Encoding" and optional:
            terms = [f"(0 if o.{name} is None else {1 << bit})" for bit, name in enumerate(optional)]
            run.append((" | ".join(terms), FIXED[type_name][0]))
            continue
        if type_name in FIXED and type_name not in CONVERTED and not is_optional and get_origin(hint) is None:
            run.append((f"o.{item.name}", FIXED[type_name][0]))
            continue
        if hint is ua.StatusCode and not is_optional:
            run.append((f"o.{item.name}.value", FIXED[type_name][0]))
            continue
        flush()
        label = f"w{number}"
        names[label] = _lazy(hint, kind)
        call = f"{label}(o.{item.name}, out)"
        lines.append(f"if o.{item.name} is not None: {call}" if is_optional else call)
    flush()
    source = "def write(o, out):\n" + "".join(f"    {line}\n" for line in lines or ["pass"])
    exec(compile(source, f"<encoder of {kind.__name__}>", "exec"), names)  # noqa: S102 - the text is made here, from our own types
    write: Write = names["write"]
    return write


def _lazy(hint: Any, owner: Any) -> Write:
    if hint is not owner:
        return _field_writer(hint)
    return lambda value, out: encoder(hint)(value, out)


def write_bytes(value: bytes | None, out: Out) -> None:
    if value is None:
        out(_NULL)
    else:
        out(_INT32(len(value)))
        out(value)


def write_string(value: str | bytes | None, out: Out) -> None:
    if isinstance(value, str):
        value = value.encode("utf-8")
    write_bytes(value, out)


def to_ticks(time: datetime | None) -> int:
    """100 ns intervals since 1601 of a datetime (UTC; naive is taken as UTC), 0 for None and for times before."""
    if time is None:
        return 0
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    since = time - EPOCH
    return max(0, (since.days * 86_400 + since.seconds) * 10_000_000 + since.microseconds * 10)


def write_date_time(value: Any, out: Out) -> None:
    out(_INT64(to_ticks(value)))


def write_guid(value: Any, out: Out) -> None:
    out(value.bytes_le)


def write_status_code(value: Any, out: Out) -> None:
    out(_UINT32(value.value))


def write_node_id(value: Any, out: Out) -> None:
    """A NodeId or ExpandedNodeId in the form its NodeIdType names."""
    out(node_id_bytes(value))


def node_id_bytes(value: Any) -> bytes:
    """The encoding of a NodeId; the ids of an address space are asked for again and again, so it is kept.

    Kept by form and parts, not by the NodeId: two forms of one id are equal to asyncua and differ in their bytes.
    """
    if isinstance(value, ua.ExpandedNodeId):
        return _node_id_bytes(value.NodeIdType.value, value.NamespaceIndex, value.Identifier, value.NamespaceUri, value.ServerIndex)
    return _node_id_bytes(value.NodeIdType.value, value.NamespaceIndex, value.Identifier, None, None)


@functools.lru_cache(maxsize=16_384)
def _node_id_bytes(form: int, namespace: int, identifier: Any, uri: str | None, server: int | None) -> bytes:
    flags = (0x80 if uri else 0) | (0x40 if server else 0)
    if form == 0:
        parts = [struct.pack("<BB", flags, identifier)]
    elif form == 1:
        parts = [struct.pack("<BBH", form | flags, namespace, identifier)]
    elif form == 2:
        parts = [struct.pack("<BHI", form | flags, namespace, identifier)]
    else:
        parts = [struct.pack("<BH", form | flags, namespace)]
        _IDENTIFIER_WRITERS[form](identifier, parts.append)
    if uri:
        write_string(uri, parts.append)
    if server:
        parts.append(_UINT32(server))
    return b"".join(parts)


def write_variant(value: Any, out: Out) -> None:
    """A Variant; one whose value is a list is an array, with dimensions where it has them."""
    number = value.VariantType.value & 0x3F
    content = value.Value
    if not (value.is_array or isinstance(content, list | tuple)):
        out(_BYTE[number])
        _VARIANT_WRITERS[number](content, out)
    elif value.Dimensions is None:
        out(_BYTE[number | 0x80])
        _VARIANT_ARRAY_WRITERS[number](ua.flatten(content), out)
    else:
        out(_BYTE[number | 0xC0])
        _VARIANT_ARRAY_WRITERS[number](ua.flatten(content), out)
        _VARIANT_ARRAY_WRITERS[6](value.Dimensions, out)


def write_data_value(value: Any, out: Out) -> None:
    """A DataValue (OPC 10000-6, 5.2.2.17). Picoseconds follow their own timestamp; asyncua has them both at the end."""
    fields = (value.Value, value.StatusCode, value.SourceTimestamp, value.ServerTimestamp)
    picoseconds = (value.SourcePicoseconds, value.ServerPicoseconds)
    out(_BYTE[sum(1 << bit for bit, one in enumerate((*fields, *picoseconds)) if one is not None)])
    if value.Value is not None:
        write_variant(value.Value, out)
    if value.StatusCode is not None:
        out(_UINT32(value.StatusCode.value))
    for time, fraction in zip(fields[2:], picoseconds, strict=True):
        if time is not None:
            out(_INT64(to_ticks(time)))
        if fraction is not None:
            out(_UINT16(fraction))


def write_extension_object(value: Any, out: Out) -> None:
    """A structure in its ExtensionObject; None is the null one."""
    if value is None:
        out(b"\x00\x00\x00")
    elif isinstance(value, ua.ExtensionObject):
        write_node_id(value.TypeId, out)
        if value.Body is None:
            out(b"\x00")
        else:
            out(b"\x01")
            write_bytes(value.Body, out)
    else:
        kind: Any = type(value)
        type_id = ua.typeid_by_extension_objects.get(kind) or next(
            ua.typeid_by_extension_objects[base] for base in kind.__mro__[1:] if base in ua.typeid_by_extension_objects
        )
        write_node_id(type_id, out)
        parts: list[bytes] = []
        encoder(kind)(value, parts.append)
        body = b"".join(parts)
        out(b"\x01")
        out(_INT32(len(body)))
        out(body)


def write_diagnostic_info(value: Any, out: Out) -> None:
    names = ("SymbolicId", "NamespaceURI", "Locale", "LocalizedText")
    mask = sum(1 << bit for bit, name in enumerate(names) if getattr(value, name) is not None)
    mask |= (
        16 * (value.AdditionalInfo is not None)
        | 32 * (value.InnerStatusCode is not None)
        | 64 * (value.InnerDiagnosticInfo is not None)
    )
    out(_BYTE[mask])
    for name in names:
        number = getattr(value, name)
        if number is not None:
            out(_INT32(number))
    if value.AdditionalInfo is not None:
        write_string(value.AdditionalInfo, out)
    if value.InnerStatusCode is not None:
        write_status_code(value.InnerStatusCode, out)
    if value.InnerDiagnosticInfo is not None:
        write_diagnostic_info(value.InnerDiagnosticInfo, out)


write_codes = array_writer(ua.UInt32)
_IDENTIFIER_WRITERS: dict[int, Write] = {3: write_string, 4: write_guid, 5: write_bytes}
_BY_NAME: dict[str, Write] = {
    "String": write_string,
    "CharArray": write_string,
    "str": write_string,
    "ByteString": write_bytes,
    "bytes": write_bytes,
}
_HAND_WRITTEN: dict[Any, Write] = {
    ua.NodeId: write_node_id,
    ua.ExpandedNodeId: write_node_id,
    ua.Variant: write_variant,
    ua.DataValue: write_data_value,
    ua.ExtensionObject: write_extension_object,
    ua.DiagnosticInfo: write_diagnostic_info,
    ua.StatusCode: write_status_code,
    ua.XmlElement: lambda value, out: write_string(value.Value, out),
    ua.DateTime: write_date_time,
    ua.Guid: write_guid,
}
_VARIANT_WRITERS: dict[int, Write] = {0: lambda _value, _out: None}
_VARIANT_WRITERS.update((n, encoder(kind)) for n, kind in _VARIANT_KINDS.items())
_VARIANT_ARRAY_WRITERS: dict[int, Write] = {n: array_writer(kind) for n, kind in _VARIANT_KINDS.items()}
