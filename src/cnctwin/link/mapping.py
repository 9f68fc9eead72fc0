"""A map: which nodes of a foreign server show which signals, where its maker has a model of his own.

    [namespaces]
    m = "http://acme.example/mill"

    [machines.MILL-7]
    model = "X100"

    [machines.MILL-7.signals]
    "Spindle/ActSpeed" = "m:s=Mill.Speed"
    "Axes/X/ActPos" = { node = "m:s=Mill.PosX", factor = 25.4 }
    "Machine/State" = { node = "m:i=17", values = { "0" = 1, "1" = 3 } }

Namespaces are named by their URI: indices may be others after a restart. A signal is ``value * factor + offset``, or what stands in
``values`` for the server's value, in the unit of docs/signals.md. Machines that the server shows by the official types are found as
ever; one of the same name gets the map's signals besides.
"""

from __future__ import annotations

import difflib
import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from asyncua import Client, ua

from cnctwin.errors import ConfigurationError
from cnctwin.link.connect import Refused
from cnctwin.link.contract import Bind
from cnctwin.link.fitting import fitted
from cnctwin.link.lookout import that_exist
from cnctwin.reading import Value
from nodesets.binding import Bound, Told, bind
from nodesets.catalogue import MACHINE

log = logging.getLogger(__name__)
PLATE: Final = ("manufacturer", "model", "serial_number", "location")
_SIGNALS: Final = {signal.name: signal for signal in MACHINE}
_OBJECTS: Final = ua.NodeId(ua.ObjectIds.ObjectsFolder)


@dataclass(frozen=True, slots=True)
class Place:
    """A node by the URI of its namespace; ``told``: how its value is read."""

    uri: str
    identifier: str
    told: Told


@dataclass(frozen=True, slots=True)
class Mapped:
    """One machine of a map: its name plate and its signals."""

    plate: dict[str, str]
    signals: dict[str, Place] = field(default_factory=dict)


def read(path: Path) -> dict[str, Mapped]:
    """The machines of a map. Raises ConfigurationError with everything that is wrong."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError([f"opcua_map: {path}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from error
    problems: list[str] = [
        f"{name}: is neither namespaces nor machines" for name in sorted(set(content) - {"namespaces", "machines"})
    ]
    prefixes, machines = content.get("namespaces", {}), content.get("machines", {})
    if not isinstance(prefixes, dict) or not all(isinstance(uri, str) for uri in prefixes.values()):
        problems, prefixes = [*problems, 'namespaces: must be prefixes and URIs, such as m = "http://acme.example/mill"'], {}
    if not isinstance(machines, dict) or not machines:
        problems, machines = [*problems, "machines: there is none; begin with [machines.NAME.signals]"], {}
    found = {name: _machine(name, given, prefixes, problems) for name, given in machines.items()}
    if problems:
        raise ConfigurationError([f"opcua_map: {path}: {problem}" for problem in problems])
    return found


def _machine(name: str, given: Any, prefixes: Mapping[str, str], problems: list[str]) -> Mapped:
    where = f"machines.{name}"
    if not isinstance(given, dict):
        problems.append(f"{where}: must be a table")
        return Mapped({})
    problems += [
        f"{where}.{key}: is neither signals nor one of {', '.join(PLATE)}" for key in given if key not in (*PLATE, "signals")
    ]
    made = Mapped({key: str(given[key]) for key in PLATE if key in given})
    signals = given.get("signals")
    if not isinstance(signals, dict) or not signals:
        problems.append(f"{where}.signals: there is none")
        return made
    for signal, at in signals.items():
        if signal not in _SIGNALS:
            near = difflib.get_close_matches(signal, _SIGNALS, 1)
            meant = f" (meant {near[0]}?)" if near else ""
            problems.append(f"{where}: {signal}: no such signal{meant}; they are listed in docs/signals.md")
            continue
        try:
            made.signals[signal] = _place(signal, at, prefixes)
        except ValueError as problem:
            problems.append(f"{where}: {signal}: {problem}")
    return made


def _place(signal: str, given: Any, prefixes: Mapping[str, str]) -> Place:
    """Raises ValueError."""
    at = {"node": given} if isinstance(given, str) else given
    if not isinstance(at, dict) or not isinstance(at.get("node"), str) or set(at) - {"node", "factor", "offset", "values"}:
        raise ValueError('must be a node, such as "m:s=Mill.Speed", or { node, factor, offset } or { node, values }')
    prefix, colon, identifier = at["node"].partition(":")
    if prefix.startswith(("i=", "s=", "g=", "b=")):
        uri, identifier = "http://opcfoundation.org/UA/", at["node"]
    elif not colon or prefix not in prefixes:
        known = ", ".join(prefixes) or "none"
        raise ValueError(f"{at['node']}: no namespace of that prefix; [namespaces] has {known}. Write prefix:s=... or prefix:i=...")
    else:
        uri = prefixes[prefix]
    try:
        ua.NodeId.from_string(identifier)
    except (ua.UaError, ValueError) as error:
        raise ValueError(f"{identifier}: is no identifier; write s=text, i=number, g=GUID or b=base64") from error
    return Place(uri, identifier, _told(_SIGNALS[signal].type, at))


def _told(kind: str, at: Mapping[str, Any]) -> Told:
    """Raises ValueError."""
    factor, offset, values = at.get("factor", 1.0), at.get("offset", 0.0), at.get("values")
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in (factor, offset)):
        raise ValueError("factor and offset must be numbers")
    if (factor, offset) != (1.0, 0.0) and kind != "Double":
        raise ValueError(f"factor and offset are for numbers with a fraction; this signal is a {kind}")
    if values is not None and (not isinstance(values, dict) or any(fitted(kind, value) is None for value in values.values())):
        raise ValueError(f"values must be a table of the server's values, as text, and of values of type {kind}")
    if values is not None:
        table = {key: fitted(kind, value) for key, value in values.items()}
        return lambda value: table.get(_key(value))

    def told(value: Value) -> Value | None:
        number = fitted(kind, value)
        return fitted(kind, number * factor + offset) if isinstance(number, float) else number  # type: ignore[no-any-return]

    return told


def _key(value: Value) -> str:
    """A value as a key of ``values``: 1 for true and for 1.0 too."""
    return f"{float(value):g}" if isinstance(value, bool | float) else str(value)


def binding(path: Path | None) -> Bind:
    """How machines are found with this map; without one, by the official types alone. Raises ConfigurationError."""
    if path is None:
        return bind
    machines = read(path)
    said: dict[str, list[str]] = {}

    async def bind_mapped(client: Client) -> Mapping[str, Bound]:
        found = dict(await bind(client))
        uris = await client.get_namespace_array()
        missing = sorted({place.uri for machine in machines.values() for place in machine.signals.values()} - set(uris))
        if missing:
            raise Refused(f"{path}: the server has no namespace {', '.join(missing)}; it has {', '.join(uris)}")
        for name, machine in machines.items():
            nodes = {signal: _node_id(place, uris) for signal, place in machine.signals.items()}
            there = await that_exist(client, nodes)
            lost = sorted(set(nodes) - there)
            if lost and lost != said.get(name):  # a search for what came finds the same again
                told = ", ".join(f"{signal} ({machine.signals[signal].identifier})" for signal in lost)
                log.warning("%s: %s: the server has no such node: %s", path, name, told)
            said[name] = lost
            known = found.get(name, Bound(name, _OBJECTS))
            found[name] = replace(
                known,
                nodes={**known.nodes, **{signal: nodes[signal] for signal in nodes if signal in there}},
                told={signal: place.told for signal, place in machine.signals.items()},
                absent={signal: nodes[signal] for signal in lost},
                **machine.plate,
            )
        return found

    return bind_mapped


def _node_id(place: Place, uris: list[str]) -> ua.NodeId:
    bare = ua.NodeId.from_string(place.identifier)
    return ua.NodeId(bare.Identifier, uris.index(place.uri), bare.NodeIdType)
