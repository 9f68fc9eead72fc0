"""Binds a client to machines by browse path and type: which catalogue signals a server has, and their NodeIds.

No NodeId of an instance is assumed, so a foreign server binds as ours does, with as many signals as it has:

    MA:Machines -> children of type MT:MachineToolType or a subtype -> for each signal, first hit wins:
        1  its official paths, in the catalogue's order; {type}Name is the instance of that type
        2  X:Signals/<name>, where our own variables live

All machines and signals advance together, one batch of TranslateBrowsePathsToNodeIds and one of Browse per round, so the number
of round trips does not grow with the number of signals; batches respect the server's OperationLimits.

A placeholder prefers the instance with our name ("X"). Where no instance of the list has one of our names, axes, channels
and spindles are taken in the server's order, and lamps by the SignalColor that they show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import Client, ua

from nodesets.catalogue import SIGNALS, STACKLIGHT
from nodesets.explorer import Explorer, plain
from nodesets.methods import METHODS
from nodesets.paths import Path, QName, Step, parse, qname

_OBJECTS: Final = ua.NodeId(85, 0)
_MACHINES: Final = parse("MA:Machines")
_MACHINE_TOOL: Final = qname("MT:MachineToolType")
_LAMP: Final = qname("IA:StackElementLightType")
_STACK: Final = parse("MT:Monitoring/MT:Stacklight")
_CNC_INTERFACE_STEP: Final = Step("CncInterface", "CNC")
_CNC_INTERFACE: Final = Step("CncInterface", type=qname("CNC:CncInterfaceType"))
_IDENTIFICATION: Final = ("DI:Identification/", "MA:MachineryBuildingBlocks/DI:Identification/")
_PLATE: Final = {
    "manufacturer": "DI:Manufacturer",
    "model": "DI:Model",
    "serial_number": "DI:SerialNumber",
    "location": "MA:Location",
}


Told = Callable[[Any], Any]
"""The signal's value of the server's; None for what is none."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One machine as a client sees it. ``nodes``: signal name to NodeId; ``methods``: command to (object, method); ``told``: how
    the values of signals are read that are not taken as they are; ``absent``: nodes that somebody named and the server does not
    have."""

    machine_id: str
    node_id: ua.NodeId
    manufacturer: str = ""
    model: str = ""
    serial_number: str = ""
    location: str = ""
    nodes: dict[str, ua.NodeId] = field(default_factory=dict)
    methods: dict[str, tuple[ua.NodeId, ua.NodeId]] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    absent: dict[str, ua.NodeId] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Catalogue signals that this server does not have."""
        return [signal.name for signal in SIGNALS if signal.name not in self.nodes]


def _own_path(name: str) -> str:
    return "X:Signals/" + "/".join(f"X:{step}" for step in name.split("/"))


@dataclass(slots=True)
class _Search:
    """One path on its way: ``node_id`` is where it stands, ``rest`` what is left."""

    key: tuple[int, str, int]
    node_id: ua.NodeId | None
    rest: Path


def _literal(path: Path) -> Path:
    """The steps before the next placeholder."""
    for index, step in enumerate(path):
        if step.type is not None:
            return path[:index]
    return path


def choose(step: Step, siblings: Sequence[str], candidates: Sequence[tuple[str, ua.NodeId]]) -> ua.NodeId | None:
    """Which instance a placeholder means. ``siblings``: all our names for placeholders of this type, in the catalogue's order;
    ``candidates``: (browse name, NodeId) of the instances that the server has, in its order."""
    for name, node_id in candidates:
        if name == step.name:
            return node_id
    if step.type == _LAMP or any(name in siblings for name, _ in candidates):
        return None
    position = siblings.index(step.name)
    return candidates[position][1] if position < len(candidates) else None


def _siblings(paths: Iterable[Path]) -> dict[QName, list[str]]:
    found: dict[QName, list[str]] = {}
    for path in paths:
        for step in path:
            if step.type is not None:
                names = found.setdefault(step.type, [])
                if step.name not in names:
                    names.append(step.name)
    return found


async def _walk(explorer: Explorer, searches: list[_Search]) -> dict[tuple[int, str, int], ua.NodeId]:
    """Advance all searches together until each has arrived or failed."""
    siblings = _siblings(search.rest for search in searches)
    children: dict[ua.NodeId, list[ua.ReferenceDescription]] = {}
    while True:
        moving = [s for s in searches if s.node_id is not None and s.rest]
        if not moving:
            break
        literal = {(s.node_id, _literal(s.rest)) for s in moving if _literal(s.rest)}
        ordered = sorted(literal, key=lambda pair: (pair[0].to_string(), [str(step) for step in pair[1]]))
        targets = dict(zip(ordered, await explorer.translate(ordered), strict=True))
        for search in moving:
            head = _literal(search.rest)
            if head and search.node_id is not None:
                search.node_id = targets[search.node_id, head]
                search.rest = search.rest[len(head) :]
        waiting = [s for s in moving if s.node_id is not None and s.rest]
        parents = list(dict.fromkeys(s.node_id for s in waiting if s.node_id is not None and s.node_id not in children))
        if parents:
            children.update(zip(parents, await explorer.browse(parents), strict=True))
            await explorer.learn_types(plain(r.TypeDefinition) for parent in parents for r in children[parent])
        for search in waiting:
            step = search.rest[0]
            if step.type is None or search.node_id is None:
                continue
            candidates = [
                (r.BrowseName.Name, plain(r.NodeId))
                for r in children[search.node_id]
                if explorer.is_a(plain(r.TypeDefinition), step.type)
            ]
            search.node_id = choose(step, siblings[step.type], candidates)
            search.rest = search.rest[1:]
    return {s.key: s.node_id for s in searches if s.node_id is not None}


def _signal_path(path: str) -> Path:
    """OPC 40502 does not say what the interface object of a machine is called: it is found by its type."""
    return tuple(_CNC_INTERFACE if step == _CNC_INTERFACE_STEP else step for step in parse(path))


def _wanted(explorer: Explorer) -> list[tuple[str, int, Path]]:
    """(what, rank, path) of everything looked for in one machine; a lower rank wins."""
    rows: list[tuple[str, int, Path]] = []
    for signal in SIGNALS:
        paths = [*signal.nodes, _own_path(signal.name)]
        rows += [(f"signal {signal.name}", rank, _signal_path(path)) for rank, path in enumerate(paths)]
    for name, tail in _PLATE.items():
        rows += [(f"plate {name}", rank, parse(head + tail)) for rank, head in enumerate(_IDENTIFICATION)]
    rows.append(("commands", 0, parse("X:Commands")))
    rows += [(f"method {method.name}", 0, parse(f"X:Commands/X:{method.name}")) for method in METHODS]
    return [row for row in rows if explorer.speaks(row[2])]


async def _machines(explorer: Explorer) -> list[tuple[str, ua.NodeId]]:
    """(browse name, NodeId) of all machine tools."""
    (folder,) = await explorer.translate([(_OBJECTS, _MACHINES)])
    if folder is None:
        return []
    (references,) = await explorer.browse([folder])
    await explorer.learn_types(plain(r.TypeDefinition) for r in references)
    names: set[str] = set()
    found = []
    for reference in references:
        if explorer.is_a(plain(reference.TypeDefinition), _MACHINE_TOOL):
            name = reference.BrowseName.Name
            while name in names:
                name += "'"  # one browse name in two namespaces
            names.add(name)
            found.append((name, plain(reference.NodeId)))
    return found


async def _lamps_by_colour(explorer: Explorer, machines: Sequence[ua.NodeId], best: Sequence[dict[str, ua.NodeId]]) -> None:
    """Add the lamps of machines whose stack light has none of our names."""
    names = {colour: f"signal Machine/Stacklight{light}" for light, colour in STACKLIGHT}
    dark = [i for i, found in enumerate(best) if not any(name in found for name in names.values())]
    if not dark or not explorer.speaks(_STACK) or not explorer.knows("IA"):
        return
    stacks = await explorer.translate([(machines[i], _STACK) for i in dark])
    known = [(i, stack) for i, stack in zip(dark, stacks, strict=True) if stack is not None]
    children = await explorer.browse([stack for _, stack in known])
    await explorer.learn_types(plain(r.TypeDefinition) for references in children for r in references)
    lamps = [
        (i, plain(r.NodeId))
        for (i, _), references in zip(known, children, strict=True)
        for r in references
        if explorer.is_a(plain(r.TypeDefinition), _LAMP)
    ]
    colours = await explorer.translate([(lamp, parse("IA:SignalColor")) for _, lamp in lamps])
    switches = await explorer.translate([(lamp, parse("IA:SignalOn")) for _, lamp in lamps])
    whole = [(i, c, on) for (i, _), c, on in zip(lamps, colours, switches, strict=True) if c is not None and on is not None]
    shown = await explorer.read([colour for _, colour, _ in whole])
    for (i, _, switch), colour in zip(whole, shown, strict=True):
        if colour in names:
            best[i].setdefault(names[colour], switch)


async def bind(client: Client) -> dict[str, Bound]:
    """All machine tools of a server by machine id (the browse name of the machine object).

    ``client``: connected. Empty when the server has none, or does not know the models. Raises ua.UaError when a service fails.
    """
    explorer = Explorer(client)
    await explorer.begin()
    if not (explorer.knows("MA") and explorer.knows("MT")):
        return {}
    machines = await _machines(explorer)
    wanted = _wanted(explorer)
    searches = [
        _Search((number, what, rank), node_id, path) for number, (_, node_id) in enumerate(machines) for what, rank, path in wanted
    ]
    arrived = await _walk(explorer, searches)
    best: list[dict[str, ua.NodeId]] = [{} for _ in machines]
    for number, what, rank in sorted(arrived, key=lambda key: key[2]):
        best[number].setdefault(what, arrived[number, what, rank])
    await _lamps_by_colour(explorer, [node_id for _, node_id in machines], best)
    plates = [
        (number, name, found[f"plate {name}"]) for number, found in enumerate(best) for name in _PLATE if f"plate {name}" in found
    ]
    values = await explorer.read([node_id for _, _, node_id in plates])
    said: list[dict[str, str]] = [{} for _ in machines]
    for (number, name, _), value in zip(plates, values, strict=True):
        said[number][name] = str((value.Text if isinstance(value, ua.LocalizedText) else value) or "")
    bound = {}
    for number, (name, node_id) in enumerate(machines):
        found = best[number]
        commands = found.get("commands")
        bound[name] = Bound(
            machine_id=name,
            node_id=node_id,
            nodes={s.name: found[f"signal {s.name}"] for s in SIGNALS if f"signal {s.name}" in found},
            methods={
                m.name: (commands, found[f"method {m.name}"])
                for m in METHODS
                if commands is not None and f"method {m.name}" in found
            },
            **said[number],
        )
    return bound
