"""Namespaces by the prefixes that the catalogue's paths use, and which NodeSets each needs."""

from __future__ import annotations

from typing import Final

_OPC: Final = "http://opcfoundation.org/UA/"

URI: Final[dict[str, str]] = {
    "0": _OPC,
    "DI": _OPC + "DI/",
    "IA": _OPC + "IA/",
    "MA": _OPC + "Machinery/",
    "MJ": _OPC + "Machinery/Jobs/",
    "JC": _OPC + "ISA95-JOBCONTROL_V2/",
    "MT": _OPC + "MachineTool/",
    "CNC": "http://opcfoundation.org/UA/CNC",
    "ECM": _OPC + "ECM/",
    "ME": _OPC + "Machinery/Energy/",
    "MR": _OPC + "Machinery/Result/",
    "X": "urn:cnctwin:UA:Mill",
}
"""X holds our own types; each machine's instances live in a namespace of their own, ``instance_uri(machine_id)``."""

_INSTANCES: Final = "urn:cnctwin:machine:"


def instance_uri(machine_id: str) -> str:
    return f"{_INSTANCES}{machine_id}"


def is_instance_uri(uri: str) -> bool:
    """Whether a namespace is that of one machine's nodes."""
    return uri.startswith(_INSTANCES)
