"""Decoders compiled from asyncua's dataclasses: one Python function a structure, in which runs of fixed-size fields are one unpack.

    decoder(ua.ReadValueId)  ->  def read(b, p, budget):
                                     f0, p = read_NodeId(b, p, budget)
                                     f1, = S0(b, p); p += 4
                                     ...
                                     return ReadValueId(f0, f1, ...), p

A reader takes the bytes, a position and the Budget, and returns the value and the next position. Whatever the bytes are, it ends
with a value or a DecodingError, having spent time and memory in proportion to them (cnctwin.wire.budget).
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum, IntFlag
from typing import Any, get_args, get_origin

from asyncua import ua
from asyncua.ua.ua_binary import get_safe_type_hints
from asyncua.ua.uaerrors import UaError

from cnctwin.wire import scalars
from cnctwin.wire.budget import BAD_ENCODING_LIMITS_EXCEEDED, Budget, DecodingError
from cnctwin.wire.scalars import FIXED, Read, read_bytes, read_diagnostic_info, read_node_id, read_string

MAX_DIMENSIONS = 16


def decode(kind: type, data: bytes | memoryview, budget: Budget | None = None) -> Any:
    """The value of type ``kind`` that ``data`` encodes. Raises DecodingError, also when bytes are left over."""
    value, position = guarded(decoder(kind), data, 0, budget or Budget())
    if position != len(data):
        raise DecodingError(f"{len(data) - position} bytes left over after {kind.__name__}")
    return value


def guarded(read: Read, data: bytes | memoryview, position: int, budget: Budget) -> tuple[Any, int]:
    """Run a reader; whatever goes wrong with the bytes is a DecodingError."""
    try:
        return read(data, position, budget)
    except (struct.error, IndexError) as error:
        raise DecodingError("the message ends in the middle of a field") from error
    except (UnicodeDecodeError, OverflowError, ValueError, TypeError, UaError) as error:
        if isinstance(error, DecodingError):
            raise
        raise DecodingError(f"a field has no valid value: {type(error).__name__}") from error
    except RecursionError as error:
        raise DecodingError("nested too deeply", BAD_ENCODING_LIMITS_EXCEEDED) from error


@functools.cache
def decoder(kind: Any) -> Read:
    """The reader of a type: a dataclass, enum or built-in type of asyncua."""
    if kind in _HAND_WRITTEN:
        return _HAND_WRITTEN[kind]
    name = getattr(kind, "__name__", "")
    if name in FIXED:
        return scalars.fixed_reader(*FIXED[name])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum_reader(kind)
    if name in _BY_NAME:
        return _BY_NAME[name]
    if isinstance(kind, type) and issubclass(kind, ua.UaUnion):
        return _union_reader(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _compile(kind)
    raise TypeError(f"{kind} has no binary encoding")


@functools.cache
def least_size(kind: Any) -> int:
    """The fewest bytes a value of a type takes; at least 1, so that an array of nothing cannot be endless."""
    name = getattr(kind, "__name__", "")
    if name in FIXED:
        return FIXED[name][1]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return 4
    return {
        "String": 4,
        "CharArray": 4,
        "ByteString": 4,
        "XmlElement": 4,
        "NodeId": 2,
        "ExpandedNodeId": 2,
        "ExtensionObject": 3,
    }.get(name, 1)


def array_reader(kind: Any) -> Read:
    """Reader of an array: Int32 count, -1 for none, then the elements."""
    name = getattr(kind, "__name__", "")
    size = least_size(kind)
    if name in FIXED and name not in scalars.CONVERTED:
        code = FIXED[name][0]

        def read_numbers(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
            (count,) = scalars.INT32(b, p)
            p += 4
            if count <= 0:
                return (None if count == -1 else _empty(count)), p
            budget.take(count, size, len(b) - p)
            return list(struct.unpack_from(f"<{count}{code}", b, p)), p + count * size

        return read_numbers
    read: Read | None = read_extension_object if get_origin(kind) is type else None

    def read_array(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
        nonlocal read
        (count,) = scalars.INT32(b, p)
        p += 4
        if count <= 0:
            return (None if count == -1 else _empty(count)), p
        budget.take(count, size, len(b) - p)
        if read is None:  # on first use: types may refer to each other
            read = decoder(kind)
        items = []
        for _ in range(count):
            item, p = read(b, p, budget)
            items.append(item)
        return items, p

    return read_array


def _empty(count: int) -> list[Any]:
    if count < 0:
        raise DecodingError(f"an array of {count} elements")
    return []


def _read_xml_element(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
    text, p = read_string(b, p, budget)
    element: Any = ua.XmlElement
    return element(text), p


def _enum_reader(kind: type[Enum]) -> Read:
    if issubclass(kind, IntFlag):
        code, size = FIXED[kind.datatype() if hasattr(kind, "datatype") else "UInt32"]
        unpack = struct.Struct("<" + code).unpack_from
        return lambda b, p, _budget: (kind(unpack(b, p)[0]), p + size)
    known = {member.value: member for member in kind}

    def read_enum(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
        (number,) = scalars.INT32(b, p)
        return known.get(number, number), p + 4  # an unknown number is for the service to refuse, with its own status

    return read_enum


def _union_reader(kind: Any) -> Read:
    readers = [_field_reader(member) for member in kind._union_types]

    def read_union(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
        (switch,) = scalars.UINT32(b, p)
        p += 4
        value = kind()
        value.Encoding = switch
        value.Value = None
        if 0 < switch <= len(readers):
            value.Value, p = readers[switch - 1](b, p, budget)
        return value, p

    return read_union


def _field_reader(hint: Any) -> Read:
    if get_origin(hint) is list:
        (element,) = get_args(hint)
        return array_reader(element)
    if get_origin(hint) is type:  # "this type or one derived from it" travels as an ExtensionObject
        return read_extension_object
    return decoder(hint)


def _optional(hint: Any) -> tuple[Any, bool]:
    members = [member for member in get_args(hint) if member is not type(None)]
    if len(members) < len(get_args(hint)) and get_origin(hint) is not list:
        return (members[0] if len(members) == 1 else hint), True
    return hint, False


def _compile(kind: Any) -> Read:
    """Write and compile the reader of a dataclass."""
    hints = get_safe_type_hints(kind, {"ua": ua})
    names: dict[str, Any] = {"kind": kind}
    lines: list[str] = ["encoding = 0"]
    run: list[tuple[str, str]] = []
    arguments: list[tuple[str, str]] = []
    later: list[tuple[str, str]] = []
    bit = 0

    def flush() -> None:
        if run:
            packer = struct.Struct("<" + "".join(code for _target, code in run))
            label = f"S{len(names)}"
            names[label] = packer.unpack_from
            lines.append(f"{', '.join(target for target, _code in run)}, = {label}(b, p); p += {packer.size}")
            run.clear()

    for number, item in enumerate(fields(kind)):
        target = "encoding" if item.name == "Encoding" else f"f{number}"
        hint, is_optional = _optional(hints[item.name])
        if item.name != "Encoding":
            (arguments if item.init else later).append((item.name, target))
        type_name = getattr(hint, "__name__", "")
        if type_name in FIXED and type_name not in scalars.CONVERTED and not is_optional and get_origin(hint) is None:
            run.append((target, FIXED[type_name][0]))
            continue
        flush()
        label = f"r{number}"
        names[label] = _lazy(hint, kind)
        call = f"{target}, p = {label}(b, p, budget)"
        if is_optional:
            lines.append(f"{target} = None")
            lines.append(f"if encoding & {1 << bit}: {call}")
            bit += 1
        else:
            lines.append(call)
    flush()
    lines.append(f"value = kind({', '.join(f'{name}={target}' for name, target in arguments)})")
    lines += [f"value.{name} = {target}" for name, target in later]
    source = "def read(b, p, budget):\n" + "".join(f"    {line}\n" for line in lines) + "    return value, p\n"
    exec(compile(source, f"<decoder of {kind.__name__}>", "exec"), names)  # noqa: S102 - the text is made here, from our own types
    read: Read = names["read"]
    return read


def _lazy(hint: Any, owner: Any) -> Read:
    """A field's reader; where types refer to each other it is found on first use."""
    if hint is not owner:
        return _field_reader(hint)

    def read(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
        budget.enter()
        value, p = decoder(hint)(b, p, budget)
        budget.leave()
        return value, p

    return read


def read_variant(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
    """A Variant: encoding byte, then a scalar or an array with optional dimensions (OPC 10000-6, 5.2.2.16)."""
    mask = b[p]
    p += 1
    if mask in _PLAIN:  # a scalar number, as nearly all are: made without the constructor's guesses
        variant = _new_variant(_Variant)
        unpack, size, variant.VariantType = _PLAIN[mask]
        (variant.Value,) = unpack(b, p)
        variant.Dimensions = None
        variant.is_array = False
        return variant, p + size
    number = mask & 0x3F
    if number > 25:
        raise DecodingError(f"a Variant of type {number}")
    kind = _VARIANT_TYPES[number]
    if number == 0:
        if mask & 0xC0:
            raise DecodingError("an array of Null")
        return ua.Variant(None, kind), p
    budget.enter()
    if not mask & 0x80:
        if mask & 0x40:
            raise DecodingError("dimensions without an array")
        if number == 24:
            raise DecodingError("a Variant directly in a Variant")
        value, p = _VARIANT_READERS[number](b, p, budget)
        budget.leave()
        return ua.Variant(value, kind, is_array=False), p
    value, p = _VARIANT_ARRAY_READERS[number](b, p, budget)
    dimensions = None
    if mask & 0x40:
        dimensions, p = _read_dimensions(b, p, budget)
        value = _shaped(value, dimensions)
    budget.leave()
    return ua.Variant(value, kind, dimensions, is_array=True), p


def read_data_value(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
    """A DataValue (OPC 10000-6, 5.2.2.17). Picoseconds follow their own timestamp; asyncua has them both at the end."""
    mask = b[p]
    p += 1
    made = _new_data_value(_DataValue)
    made.Encoding = 0
    made.StatusCode = made.SourceTimestamp = made.ServerTimestamp = made.SourcePicoseconds = made.ServerPicoseconds = None
    if mask & 1:
        made.Value, p = read_variant(b, p, budget)
    else:
        made.Value = _Variant()
    if mask & 2:
        made.StatusCode, p = scalars.read_status_code(b, p, budget)
    if mask & 4:
        made.SourceTimestamp, p = scalars.read_date_time(b, p, budget)
    if mask & 16:
        made.SourcePicoseconds, p = _PICOSECONDS(b, p)[0], p + 2
    if mask & 8:
        made.ServerTimestamp, p = scalars.read_date_time(b, p, budget)
    if mask & 32:
        made.ServerPicoseconds, p = _PICOSECONDS(b, p)[0], p + 2
    return made, p


def _shaped(flat: list[Any] | None, dimensions: list[int] | None) -> Any:
    """The nested lists of a matrix. The product of the dimensions must be the number of elements."""
    if dimensions is None or flat is None:
        return flat
    if len(dimensions) > MAX_DIMENSIONS:  # before they are multiplied: the product of thousands takes seconds
        raise DecodingError(f"a matrix of {len(dimensions)} dimensions", BAD_ENCODING_LIMITS_EXCEEDED)
    product = 1
    for length in dimensions:
        if length < 0:
            raise DecodingError(f"a dimension of {length}")
        product *= length
    if product != len(flat):
        raise DecodingError(f"dimensions {dimensions} for {len(flat)} elements")
    for length in reversed(dimensions[1:]):
        flat = [flat[i : i + length] for i in range(0, len(flat), length)] if length else []
    return flat


def read_extension_object(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
    """A structure by its encoding's NodeId; one that is unknown, or in XML, stays an ExtensionObject with its bytes."""
    node_id, p = read_node_id(b, p, budget)
    encoding = b[p]
    p += 1
    if encoding > 2:
        raise DecodingError(f"an ExtensionObject of encoding {encoding}")
    kind = ua.extension_objects_by_typeid.get(node_id) if encoding == 1 else None
    if kind is None:
        body: bytes | None = None
        if encoding:
            body, p = read_bytes(b, p, budget)
        unknown: Any = ua.ExtensionObject
        return (unknown() if node_id.Identifier == 0 else unknown(node_id, body)), p
    (length,) = scalars.INT32(b, p)
    start = p + 4
    length = 0 if length == -1 else length
    if length < 0 or start + length > len(b):
        raise DecodingError(f"a structure of {length} bytes in {len(b) - start}")
    if length > budget.max_string:
        raise DecodingError(f"a structure of {length} bytes; at most {budget.max_string}", BAD_ENCODING_LIMITS_EXCEEDED)
    budget.enter()
    # Where it stands: a copy for each level of structures in structures would take a hundred times what was sent.
    value, end = decoder(kind)(b, start, budget)
    budget.leave()
    if end > start + length:
        raise DecodingError("a structure is longer than its ExtensionObject")
    return value, start + length


_BY_NAME: dict[str, Read] = {
    "String": read_string,
    "CharArray": read_string,
    "ByteString": read_bytes,
    "bytes": read_bytes,
    "str": read_string,
}
_HAND_WRITTEN: dict[Any, Read] = {
    ua.NodeId: read_node_id,
    ua.ExpandedNodeId: read_node_id,
    ua.Variant: read_variant,
    ua.DataValue: read_data_value,
    ua.ExtensionObject: read_extension_object,
    ua.DiagnosticInfo: read_diagnostic_info,
    ua.StatusCode: scalars.read_status_code,
    ua.DateTime: scalars.read_date_time,
    ua.XmlElement: _read_xml_element,
    ua.QualifiedName: scalars.read_qualified_name,
}
_read_dimensions: Callable[..., tuple[Any, int]] = array_reader(ua.Int32)
_VARIANT_KINDS: dict[int, Any] = {
    1: ua.Boolean, 2: ua.SByte, 3: ua.Byte, 4: ua.Int16, 5: ua.UInt16, 6: ua.Int32, 7: ua.UInt32, 8: ua.Int64, 9: ua.UInt64,
    10: ua.Float, 11: ua.Double, 12: ua.String, 13: ua.DateTime, 14: ua.Guid, 15: ua.ByteString, 16: ua.String, 17: ua.NodeId,
    18: ua.ExpandedNodeId, 19: ua.StatusCode, 20: ua.QualifiedName, 21: ua.LocalizedText, 22: ua.ExtensionObject,
    23: ua.DataValue, 24: ua.Variant, 25: ua.DiagnosticInfo,
}  # fmt: skip
_Variant: Any = ua.Variant
_DataValue: Any = ua.DataValue
_new_data_value: Callable[..., Any] = ua.DataValue.__new__
_PICOSECONDS = struct.Struct("<H").unpack_from
_new_variant: Callable[..., Any] = ua.Variant.__new__
_VARIANT_TYPES = tuple(ua.VariantType(number) for number in range(26))
_PLAIN: dict[int, tuple[Any, int, Any]] = {
    number: (struct.Struct("<" + FIXED[kind.__name__][0]).unpack_from, FIXED[kind.__name__][1], _VARIANT_TYPES[number])
    for number, kind in _VARIANT_KINDS.items()
    if number <= 11
}
"""Encoding byte of a scalar Boolean or number -> how it is unpacked, its size, its type."""
_VARIANT_READERS: dict[int, Read] = {number: decoder(kind) for number, kind in _VARIANT_KINDS.items()}
_VARIANT_ARRAY_READERS: dict[int, Read] = {number: array_reader(kind) for number, kind in _VARIANT_KINDS.items()}
