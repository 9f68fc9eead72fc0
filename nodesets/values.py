"""Values of a NodeSet2 file: the XML encoding of OPC 10000-6, 5.3, read into asyncua's Python types.

asyncua's own reader drops structured values of a minified file and cannot read nested ExtensionObjects, so this is ours.
"""

from __future__ import annotations

import base64
import typing
import uuid
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, Final

from asyncua import ua
from asyncua.ua.ua_binary import get_safe_type_hints
from asyncua.ua.uatypes import type_from_list, type_from_optional, type_is_list, type_is_optional

from nodesets.nodeset_xml import local_name, text

BOUNDS: Final = {
    "SByte": (-(2**7), 2**7 - 1), "Int16": (-(2**15), 2**15 - 1), "Int32": (-(2**31), 2**31 - 1), "Int64": (-(2**63), 2**63 - 1),
    "Byte": (0, 2**8 - 1), "UInt16": (0, 2**16 - 1), "UInt32": (0, 2**32 - 1), "UInt64": (0, 2**64 - 1),
}  # fmt: skip
INTEGERS: Final = frozenset(BOUNDS)
FLOATS: Final = frozenset({"Float", "Double"})


def parse_time(value: str) -> datetime:
    """An xs:dateTime as aware UTC; without a zone it is UTC (OPC 10000-6, 5.3.1.6)."""
    moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class ValueReader:
    """Reads values of one file. ``node_id`` turns the file's NodeId text into the server's; ``index`` its namespace numbers;
    ``class_of`` finds the Python class of a structure by the NodeId of its XML encoding."""

    def __init__(
        self,
        node_id: Callable[[str], ua.NodeId],
        index: Callable[[int], int],
        class_of: Callable[[ua.NodeId, str], type | None],
    ) -> None:
        self._node_id = node_id
        self._index = index
        self._class_of = class_of

    def variant(self, value: Any) -> ua.Variant:
        """The content of a ``<Value>`` element. Raises ValueError with the reason."""
        elements = [element for element in value if local_name(element)]
        if not elements:
            return ua.Variant()
        element = elements[0]
        name = local_name(element)
        if name.startswith("ListOf"):
            name = name[6:]
            items = [self._typed(name, item) for item in element if local_name(item)]
            return ua.Variant(items, self._variant_type(name), is_array=True)
        return ua.Variant(self._typed(name, element), self._variant_type(name))

    @staticmethod
    def _variant_type(name: str) -> ua.VariantType:
        try:
            return ua.VariantType[name]
        except KeyError:
            raise ValueError(f"{name} is not a built-in type") from None

    def _typed(self, name: str, element: Any) -> Any:
        content = text(element)
        if name in INTEGERS:
            return _whole(name, content or "0")
        if name in FLOATS:
            return float(content.replace("INF", "inf") or "0")
        match name:
            case "Boolean":
                return content in ("true", "1")
            case "String" | "CharArray" | "XmlElement":
                return element.text or ""
            case "DateTime":
                return parse_time(content)
            case "Guid":
                return uuid.UUID(self._field(element, "String") or content)
            case "ByteString":
                return base64.b64decode(content)
            case "NodeId":
                return self._node_id(self._field(element, "Identifier") or content or "i=0")
            case "ExpandedNodeId":
                node_id = self._node_id(self._field(element, "Identifier") or content or "i=0")
                return ua.ExpandedNodeId(node_id.Identifier, node_id.NamespaceIndex)
            case "StatusCode":
                return ua.StatusCode(int(self._field(element, "Code") or "0"))
            case "QualifiedName":
                index = int(self._field(element, "NamespaceIndex") or "0")
                return ua.QualifiedName(self._field(element, "Name"), self._index(index))
            case "LocalizedText":
                return ua.LocalizedText(self._field(element, "Text"), self._field(element, "Locale") or None)
            case "ExtensionObject":
                return self._structure_object(element)
            case "Variant":
                inner = next((e for e in element if local_name(e) == "Value"), None)
                return ua.Variant() if inner is None else self.variant(inner)
        raise ValueError(f"a value of type {name} cannot be read")

    @staticmethod
    def _field(element: Any, name: str) -> str:
        for child in element:
            if local_name(child) == name:
                return child.text or ""
        return ""

    def _structure_object(self, element: Any) -> Any:
        type_id = body = None
        for child in element:
            match local_name(child):
                case "TypeId":
                    type_id = self._node_id(self._field(child, "Identifier"))
                case "Body":
                    body = next((item for item in child if local_name(item)), None)
        if type_id is None or body is None:
            return None
        name = local_name(body)
        cls = self._class_of(type_id, name)
        if cls is None:
            raise ValueError(f"no data type is known for the structure {name} ({type_id.to_string()})")
        return self._structure(cls, body)

    def _structure(self, cls: type, element: Any) -> Any:
        children: dict[str, Any] = {}
        for child in element:
            children.setdefault(local_name(child), child)
        values = {}
        for name, hint in _fields(cls):
            child = children.get(name)
            if child is not None:
                values[name] = self._hinted(hint, child)
        return cls(**values)

    def _hinted(self, hint: Any, element: Any) -> Any:
        if type_is_optional(hint):
            hint = type_from_optional(hint)
        if type_is_list(hint):
            inner = type_from_list(hint)
            return [self._hinted(inner, item) for item in element if local_name(item)]
        if isinstance(hint, type) and issubclass(hint, Enum):
            return hint(int(text(element).rpartition("_")[2]))
        name = getattr(hint, "__name__", str(hint))
        if name == "NodeId":
            return self._typed("NodeId", element)
        if name in ua.VariantType.__members__ or name == "CharArray":
            return self._typed(name, element)
        builtin = {"int": "Int64", "float": "Double", "bool": "Boolean", "str": "String", "datetime": "DateTime"}
        if name in builtin:
            return self._typed(builtin[name], element)
        if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
            return self._structure(hint, element)
        raise ValueError(f"a field of type {name} cannot be read")


def _whole(name: str, content: str) -> int:
    """A number that has room in its type: no client could be sent another."""
    number = int(content)
    low, high = BOUNDS[name]
    if not low <= number <= high:
        raise ValueError(f"{number} is no {name}")
    return number


@cache
def _fields(cls: type) -> tuple[tuple[str, Any], ...]:
    """(field name, type) of a structure's class, without asyncua's encoding mask."""
    hints = typing.cast(dict[str, Any], get_safe_type_hints(cls, {"ua": ua}))
    return tuple((f.name, hints[f.name]) for f in fields(cls) if f.name != "Encoding")
