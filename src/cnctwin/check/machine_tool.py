"""Whether the machines of a server are what OPC 40501-1 says, by the rules that the umati dashboard takes machines in by.

    MA:Machines --> children of MT:MachineToolType or a subtype --> a child of MT:MachineToolIdentificationType
      --> every mandatory member by TranslateBrowsePath, at every depth but below an optional one that is absent;
          instances of placeholders by reference type and type --> every variable so found can be monitored

A machine that lacks one mandatory member is not taken in at all. The types are read from the server itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import Client

from cnctwin.check.caller import Caller, monitored, ua
from cnctwin.check.check import NotOffered, check, expect
from nodesets.explorer import Explorer, plain
from nodesets.namespaces import URI
from nodesets.paths import parse, qname

_HIERARCHICAL: Final = ua.NodeId(33)
_HAS_MODELLING_RULE: Final = ua.NodeId(37)
_HAS_SUBTYPE: Final = ua.NodeId(45)
_HAS_INTERFACE: Final = ua.NodeId(17603)
_MANDATORY, _OPTIONAL = ua.NodeId(78), ua.NodeId(80)
_PLACEHOLDERS: Final = (ua.NodeId(11508), ua.NodeId(11510))
_MACHINES: Final = parse("MA:Machines")
_OBJECTS: Final = ua.NodeId(85)
_MACHINE_TOOL_TYPE: Final = 13
_DEEPEST: Final = 12
"""Levels below a machine: the official types have eight."""
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class _Member:
    """What a type or declaration prescribes. ``rule``: NodeId of its modelling rule."""

    name: Any
    node_id: Any
    rule: Any
    reference: Any
    type_id: Any


@dataclass(slots=True)
class MachineTool:
    """One machine. ``problems``: why it is not taken in; ``variables``: all that belong to the model."""

    name: str
    node_id: Any
    problems: list[str] = field(default_factory=list)
    variables: list[Any] = field(default_factory=list)


class _Types:
    """The type side of the server, learnt a level at a time."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._members: dict[Any, list[_Member]] = {}
        self._sources: dict[Any, list[Any]] = {}
        self._above: dict[Any, list[Any]] = {}

    def members(self, prescribers: Iterable[Any]) -> list[_Member]:
        return [member for one in prescribers for member in self._members.get(one, ())]

    def prescribers(self, declaration: Any, type_id: Any) -> list[Any]:
        """All nodes whose members an instance has: its declaration, its type with supertypes, and their interfaces."""
        found = [one for one in (declaration,) if one is not None]
        return found + [one for one in self._sources.get(type_id, []) if one not in found]

    def is_a(self, type_id: Any, wanted: Any) -> bool:
        return wanted in self._above.get(type_id, ())

    async def learn(self, nodes: Iterable[Any], types: Iterable[Any]) -> None:
        """Members of declarations, and members, supertypes and interfaces of types."""
        unknown = [one for one in dict.fromkeys(types) if one not in self._sources and not one.is_null()]
        for one in unknown:
            self._sources[one] = [one]
        waiting = {one: [one] for one in unknown}
        while waiting:
            above = await self._explorer.browse([chain[-1] for chain in waiting.values()], _HAS_SUBTYPE, forward=False)
            going = {}
            for (one, chain), references in zip(waiting.items(), above, strict=True):
                if references:
                    chain.append(plain(references[0].NodeId))
                    going[one] = chain
                else:
                    self._above[one] = self._sources[one] = chain
            waiting = going
        chains = list(dict.fromkeys(source for one in unknown for source in self._sources[one]))
        interfaces = await self._explorer.browse(chains, _HAS_INTERFACE)
        found = {chain: [plain(r.NodeId) for r in references] for chain, references in zip(chains, interfaces, strict=True)}
        for one in unknown:
            self._sources[one] = [*self._sources[one], *(i for chain in self._sources[one] for i in found[chain])]
        await self._learn_members([*nodes, *(source for one in unknown for source in self._sources[one])])

    async def _learn_members(self, nodes: Sequence[Any]) -> None:
        unknown = [one for one in dict.fromkeys(nodes) if one not in self._members]
        children = await self._explorer.browse(unknown, _HIERARCHICAL)
        all_children = list(dict.fromkeys(plain(r.NodeId) for references in children for r in references))
        rules = await self._explorer.browse(all_children, _HAS_MODELLING_RULE)
        rule_of = {child: plain(found[0].NodeId) for child, found in zip(all_children, rules, strict=True) if found}
        for one, references in zip(unknown, children, strict=True):
            self._members[one] = [
                _Member(r.BrowseName, plain(r.NodeId), rule_of[plain(r.NodeId)], r.ReferenceTypeId, plain(r.TypeDefinition))
                for r in references
                if plain(r.NodeId) in rule_of
            ]


async def machine_tools(client: Client) -> list[MachineTool]:
    """All machine tools of a server with what is wrong with each; empty where the server does not know the model, or has none.

    ``client``: connected. Raises ua.UaError when a service fails.
    """
    explorer = Explorer(client)
    await explorer.begin()
    if not (explorer.knows("MA") and explorer.knows("MT")):
        return []
    uris = (await explorer.read([ua.NodeId(2255)]))[0]
    (folder,) = await explorer.translate([(_OBJECTS, _MACHINES)])
    if folder is None:
        return []
    (references,) = await explorer.browse([folder])
    await explorer.learn_types(plain(r.TypeDefinition) for r in references)
    wanted = qname("MT:MachineToolType")
    rows = [r for r in references if explorer.is_a(plain(r.TypeDefinition), wanted)]
    machines = [MachineTool(r.BrowseName.Name, plain(r.NodeId)) for r in rows]
    await _identified(explorer, machines)
    await _walk(client, explorer, machines, ua.NodeId(_MACHINE_TOOL_TYPE, uris.index(URI["MT"])))
    return machines


async def _identified(explorer: Explorer, machines: Sequence[MachineTool]) -> None:
    children = await explorer.browse([machine.node_id for machine in machines])
    await explorer.learn_types(plain(r.TypeDefinition) for references in children for r in references)
    for machine, references in zip(machines, children, strict=True):
        kind = qname("MT:MachineToolIdentificationType")
        if not any(explorer.is_a(plain(r.TypeDefinition), kind) for r in references):
            machine.problems.append("no child of MachineToolIdentificationType")


@dataclass(slots=True)
class _Place:
    """An instance on the way: where it is, and what prescribes its members."""

    machine: MachineTool
    node_id: Any
    path: str
    prescribers: list[Any]


async def _walk(client: Client, explorer: Explorer, machines: Sequence[MachineTool], type_id: Any) -> None:
    """All machines together, a level at a time."""
    types = _Types(explorer)
    await types.learn([], [type_id])
    level = [_Place(machine, machine.node_id, machine.name, types.prescribers(None, type_id)) for machine in machines]
    seen: set[Any] = {machine.node_id for machine in machines}
    for _ in range(_DEEPEST):
        if not level:
            return
        asked: list[tuple[_Place, _Member]] = []
        open_places: list[_Place] = []
        for place in level:
            members = types.members(place.prescribers)
            named = {(m.name.NamespaceIndex, m.name.Name): m for m in reversed(members) if m.rule in (_MANDATORY, _OPTIONAL)}
            required = {(m.name.NamespaceIndex, m.name.Name) for m in members if m.rule == _MANDATORY}
            for key, member in named.items():
                needed = _Member(member.name, member.node_id, _MANDATORY, member.reference, member.type_id)
                asked.append((place, needed if key in required else member))
            if any(member.rule in _PLACEHOLDERS for member in members):
                open_places.append(place)
        targets = await _translate(client, [(place.node_id, member) for place, member in asked])
        found: list[tuple[_Place, Any, str, Any, Any]] = []
        for (place, member), target in zip(asked, targets, strict=True):
            if target is not None:
                found.append((place, target, member.name.Name, member.node_id, member.type_id))
            elif member.rule == _MANDATORY:
                place.machine.problems.append(
                    f"{place.path} has no {member.name.NamespaceIndex}:{member.name.Name}, which is mandatory"
                )
        children = await explorer.browse([place.node_id for place in open_places])
        await types.learn([], (plain(r.TypeDefinition) for references in children for r in references))
        for place, references in zip(open_places, children, strict=True):
            wanted = [member for member in types.members(place.prescribers) if member.rule in _PLACEHOLDERS]
            for r in references:
                kind = plain(r.TypeDefinition)
                member = next((m for m in wanted if r.ReferenceTypeId == m.reference and types.is_a(kind, m.type_id)), None)
                if member is not None:
                    found.append((place, plain(r.NodeId), r.BrowseName.Name, member.node_id, kind))
        await types.learn([row[3] for row in found], [row[4] for row in found])
        classes = await explorer.read([row[1] for row in found], ua.AttributeIds.NodeClass)
        level = []
        for (place, target, name, declaration, kind), node_class in zip(found, classes, strict=True):
            if target in seen:
                continue
            seen.add(target)
            if node_class == ua.NodeClass.Variable:
                place.machine.variables.append(target)
            if node_class != ua.NodeClass.Method:
                level.append(_Place(place.machine, target, f"{place.path}/{name}", types.prescribers(declaration, kind)))


async def _translate(client: Client, wanted: Sequence[tuple[Any, _Member]]) -> list[Any]:
    """Targets of one qualified name each; None where there is none."""
    found: list[Any] = []
    for start in range(0, len(wanted), _BATCH):
        paths = []
        for node_id, member in wanted[start : start + _BATCH]:
            path = ua.BrowsePath()
            path.StartingNode = node_id
            element = ua.RelativePathElement()
            element.ReferenceTypeId, element.IsInverse, element.IncludeSubtypes = _HIERARCHICAL, False, True
            element.TargetName = member.name
            path.RelativePath.Elements = [element]
            paths.append(path)
        results = await client.uaclient.translate_browsepaths_to_nodeids(paths)
        found += [plain(r.Targets[0].TargetId) if r.StatusCode.is_good() and r.Targets else None for r in results]
    return found


@check("Machine tool", "machines have all that OPC 40501-1 makes mandatory", "40501-1 8.1")
async def complete(server: Caller) -> str:
    machines = await machine_tools(server.client)
    if not machines:
        raise NotOffered("no machine tool")
    problems = [problem for machine in machines for problem in machine.problems]
    expect(not problems, f"{len(problems)} problems: {'; '.join(problems[:3])}")
    return f"{len(machines)} machines, {sum(len(machine.variables) for machine in machines)} variables of the model"


@check("Machine tool", "every variable of the model can be monitored", "40501-1 8.1")
async def subscribed(server: Caller) -> str:
    machines = await machine_tools(server.client)
    if not machines:
        raise NotOffered("no machine tool")
    variables = [variable for machine in machines for variable in machine.variables]
    subscription = await server.subscribe(1000.0, PublishingEnabled=False)
    try:
        refused = 0
        for start in range(0, len(variables), _BATCH):
            batch = [monitored(node_id, start + at) for at, node_id in enumerate(variables[start : start + _BATCH])]
            refused += sum(not one.StatusCode.is_good() for one in await server.monitor(subscription, *batch))
    finally:
        await server.delete(subscription)
    expect(not refused, f"{refused} of {len(variables)} variables cannot be monitored")
    return f"{len(variables)} variables"
