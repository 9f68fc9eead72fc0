"""A NodeSet2 file, opened: its models, its namespaces, and its nodes as XML elements with their line numbers.

What is wrong with a file is said once, with file, line and reason (`NodesetError`). External entities and DTDs are refused.

Format: OPC 10000-6, Annex F.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lxml import etree

NODESET: Final = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"
BASE_URI: Final = "http://opcfoundation.org/UA/"
LARGEST: Final = 64 << 20
"""Bytes of a file, unpacked."""
NODE_CLASSES: Final = {
    "UAObject": 1,
    "UAVariable": 2,
    "UAMethod": 4,
    "UAObjectType": 8,
    "UAVariableType": 16,
    "UAReferenceType": 32,
    "UADataType": 64,
    "UAView": 128,
}
"""Element name -> NodeClass (OPC 10000-3, 8.29)."""


class NodesetError(Exception):
    """A NodeSet2 file that cannot be used: which file, which line (0 when the whole file is meant) and why."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Model:
    """One row of ``<Models>``; ``published`` is the PublicationDate as written."""

    uri: str
    version: str
    published: str
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodesetFile:
    """``uris[i]`` is the namespace that the file calls ``ns=i``; ``aliases`` maps a name to a NodeId as text."""

    name: str
    models: tuple[Model, ...]
    uris: tuple[str, ...]
    aliases: dict[str, str]
    root: Any = field(repr=False)

    def nodes(self) -> Iterator[tuple[str, Any]]:
        """(element name, element) of every node, in file order."""
        for element in self.root:
            tag = element.tag
            if isinstance(tag, str) and tag.startswith(NODESET):
                kind = tag[len(NODESET) :]
                if kind in NODE_CLASSES:
                    yield kind, element

    def error(self, element: Any, reason: str) -> NodesetError:
        return NodesetError(self.name, int(element.sourceline or 0), reason)


def local_name(element: Any) -> str:
    """The element's name without its namespace; empty for a comment."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def text(element: Any) -> str:
    return (element.text or "").strip()


def open_nodeset(name: str, content: bytes) -> NodesetFile:
    """Parse ``content`` (plain or gzip); ``name`` is what errors call the file. Raises NodesetError."""
    if content[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(content)) as packed:
                content = packed.read(LARGEST + 1)  # a megabyte may unpack to a thousand
        except (OSError, EOFError, zlib.error) as error:
            raise NodesetError(name, 0, f"not a gzip file: {error}") from error
    if len(content) > LARGEST:
        raise NodesetError(name, 0, f"it has more than {LARGEST >> 20} MB")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise NodesetError(name, error.lineno or 0, f"not well-formed XML: {error.msg}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise NodesetError(name, 1, "a document type declaration is not allowed")
    if root.tag != NODESET + "UANodeSet":
        raise NodesetError(name, root.sourceline, f"the root element is {root.tag}, not {NODESET}UANodeSet")
    uris = (BASE_URI, *(text(uri) for uri in root.iterfind(f"{NODESET}NamespaceUris/{NODESET}Uri")))
    models = []
    for model in root.iterfind(f"{NODESET}Models/{NODESET}Model"):
        uri = model.get("ModelUri")
        if not uri:
            raise NodesetError(name, model.sourceline, "a Model without ModelUri")
        required = tuple(r.get("ModelUri", "") for r in model.iterfind(NODESET + "RequiredModel"))
        models.append(Model(uri, model.get("Version", ""), model.get("PublicationDate", ""), required))
    if not models:
        raise NodesetError(name, root.sourceline, "no <Models>: the file does not say which namespace it defines")
    aliases = {a.get("Alias", ""): text(a) for a in root.iterfind(f"{NODESET}Aliases/{NODESET}Alias")}
    return NodesetFile(name, tuple(models), uris, aliases, root)


def read_nodeset(path: Path) -> NodesetFile:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NodesetError(str(path), 0, error.strerror or str(error)) from error
    return open_nodeset(str(path), content)
