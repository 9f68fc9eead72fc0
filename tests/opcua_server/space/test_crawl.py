"""What a foreign client finds when it walks the whole server: judged by asyncua's client, not by our own code."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any

import pytest
from asyncua import Client, ua

from cnctwin.reading import Columns
from nodesets.binding import bind
from nodesets.catalogue import AXES, SIGNALS, TRAVEL_MM
from nodesets.methods import METHODS
from nodesets.states import MachineState
from opcua_server.alarms.nodes import METHODS as CONDITION_METHODS
from opcua_server.space import blank_columns

A = ua.AttributeIds
TYPE_DEFINITION, SUBTYPE, INTERFACE, MODELLING_RULE = (ua.NodeId(i, 0) for i in (40, 45, 17603, 37))
STATISTIC = ua.NodeId(4002, 3)
"""HasStatisticComponent of OPC 10000-200, which is always the third namespace."""
HIERARCHY = {*(ua.NodeId(i, 0) for i in (35, 46, 47, 49, 17604, 24136)), STATISTIC}
MANDATORY = ua.NodeId(78, 0)
PLACEHOLDERS = {ua.NodeId(11508, 0), ua.NodeId(11510, 0)}
BATCH = 400


class Graph:
    """Everything that can be reached from Root by any reference."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.references: dict[ua.NodeId, list[ua.ReferenceDescription]] = {}
        self.machine = ua.NodeId()
        self.signals: dict[str, ua.NodeId] = {}
        self.results: set[ua.NodeId] = set()
        """What waits for its first value: what the analytics write."""
        self.plate: set[ua.NodeId] = set()
        """What of the name plate engineers write; the crawler is one."""
        self.nodes: list[ua.NodeId] = []
        self.attributes: dict[ua.AttributeIds, dict[ua.NodeId, ua.DataValue]] = {}

    async def crawl(self) -> None:
        frontier = [ua.NodeId(84, 0)]
        while frontier:
            following: dict[ua.NodeId, None] = {}
            for start in range(0, len(frontier), BATCH):
                batch = frontier[start : start + BATCH]
                for node_id, result in zip(batch, await self._browse(batch), strict=True):
                    assert result.StatusCode.is_good(), f"{node_id}: {result.StatusCode.name}"
                    self.references[node_id] = result.References
                    following |= dict.fromkeys(r.NodeId for r in result.References)
                    following |= dict.fromkeys(r.ReferenceTypeId for r in result.References)
            frontier = [node_id for node_id in following if node_id not in self.references]

    async def _browse(self, nodes: list[ua.NodeId]) -> list[ua.BrowseResult]:
        parameters = ua.BrowseParameters()
        for node_id in nodes:
            description = ua.BrowseDescription()
            description.NodeId = node_id
            description.BrowseDirection = ua.BrowseDirection.Both
            description.ReferenceTypeId = ua.NodeId()
            description.ResultMask = ua.BrowseResultMask.All
            parameters.NodesToBrowse.append(description)
        return await self.client.uaclient.browse(parameters)

    async def read(self, nodes: list[ua.NodeId], attribute: ua.AttributeIds) -> dict[ua.NodeId, ua.DataValue]:
        found: dict[ua.NodeId, ua.DataValue] = {}
        for start in range(0, len(nodes), BATCH):
            batch = nodes[start : start + BATCH]
            wanted = [ua.ReadValueId(node_id, attribute) for node_id in batch]
            values = await self.client.uaclient.read(ua.ReadParameters(0, ua.TimestampsToReturn.Both, wanted))
            found |= dict(zip(batch, values, strict=True))
        return found

    @property
    def variables(self) -> list[ua.NodeId]:
        """Those of the machine; methods that it shares with its types have arguments there."""
        own = [n for n in self.nodes if n.NamespaceIndex == self.machine.NamespaceIndex]
        return [n for n in own if self.attributes[A.NodeClass][n].Value.Value == ua.NodeClass.Variable]

    @property
    def methods(self) -> list[ua.NodeId]:
        return [n for n in self.nodes if self.attributes[A.NodeClass][n].Value.Value == ua.NodeClass.Method]

    def forward(self, node_id: ua.NodeId, kind: ua.NodeId) -> list[ua.NodeId]:
        return [r.NodeId for r in self.references[node_id] if r.IsForward and r.ReferenceTypeId == kind]

    def supertypes(self, type_id: ua.NodeId) -> list[ua.NodeId]:
        chain = [type_id]
        while above := [r.NodeId for r in self.references[chain[-1]] if r.ReferenceTypeId == SUBTYPE and not r.IsForward]:
            chain.append(above[0])
        return chain

    def children(self, node_id: ua.NodeId) -> dict[tuple[int, str], list[ua.ReferenceDescription]]:
        found: dict[tuple[int, str], list[ua.ReferenceDescription]] = defaultdict(list)
        for r in self.references[node_id]:
            if r.IsForward and r.ReferenceTypeId in HIERARCHY:
                found[r.BrowseName.NamespaceIndex, r.BrowseName.Name].append(r)
        return found

    def mandatory(self, type_id: ua.NodeId) -> list[tuple[tuple[int, str], ua.NodeId]]:
        """(browse name, declaration) of all mandatory members of a type, its supertypes and interfaces."""
        sources = self.supertypes(type_id)
        for source in list(sources):
            for interface in self.forward(source, INTERFACE):
                sources += self.supertypes(interface)
        return self.declared(sources)

    def declared(self, sources: list[ua.NodeId]) -> list[tuple[tuple[int, str], ua.NodeId]]:
        found = []
        for source in sources:
            for key, references in self.children(source).items():
                found += [(key, r.NodeId) for r in references if MANDATORY in self.forward(r.NodeId, MODELLING_RULE)]
        return found

    def missing_members(self, node_id: ua.NodeId, declared: list[tuple[tuple[int, str], ua.NodeId]]) -> list[str]:
        """Mandatory members that an instance lacks, at every depth of their declarations."""
        children = self.children(node_id)
        lacking = []
        for key, declaration in declared:
            if key not in children:
                lacking.append(f"{node_id.to_string()} has no {key}")
            else:
                lacking += self.missing_members(children[key][0].NodeId, self.declared([declaration]))
        return lacking

    def below(self, root: ua.NodeId) -> list[ua.NodeId]:
        found, queue = {root: None}, [root]
        while queue:
            for references in self.children(queue.pop()).values():
                for r in references:
                    if r.NodeId not in found:
                        found[r.NodeId] = None
                        queue.append(r.NodeId)
        return list(found)


@pytest.fixture(scope="module")
def graph(module_running: Any) -> Graph:
    """One crawl of a server with one machine, after one tick."""

    async def crawl() -> Graph:
        async with module_running() as run:
            space = run.spaces["CNC-001"]
            space.write(one_tick())
            graph = Graph(run.client)
            await graph.crawl()
            graph.machine, graph.signals = space.node_id, space.nodes
            graph.results = set(space.result_nodes.values())
            graph.plate = set(space.plate.nodes)
            graph.nodes = graph.below(space.node_id)
            everything = list(graph.references)
            for attribute in (A.BrowseName, A.DisplayName, A.Description):
                graph.attributes[attribute] = await graph.read(graph.nodes, attribute)
            graph.attributes[A.NodeClass] = await graph.read(everything, A.NodeClass)
            for attribute in (A.Value, A.DataType, A.ValueRank, A.AccessLevel, A.UserAccessLevel, A.Historizing):
                graph.attributes[attribute] = await graph.read(graph.variables, attribute)
            return graph

    return asyncio.run(crawl())


def one_tick() -> Columns:
    columns = blank_columns(time.time_ns())
    columns.numbers[0] = MachineState.IDLE
    return columns


def test_no_reference_leads_to_a_missing_node(graph: Graph) -> None:
    assert len(graph.references) > 9000
    assert [n for n, value in graph.attributes[A.NodeClass].items() if not value.StatusCode.is_good()] == []


def test_every_object_and_variable_of_the_machine_has_one_type(graph: Graph) -> None:
    untyped = [n for n in graph.nodes if n not in graph.methods and len(graph.forward(n, TYPE_DEFINITION)) != 1]
    assert untyped == []
    for node_id in graph.nodes:
        for r in graph.references[node_id]:
            if r.IsForward and r.NodeClass in (ua.NodeClass.Object, ua.NodeClass.Variable):
                assert not r.TypeDefinition.is_null(), r


def test_every_mandatory_member_is_there_at_every_depth(graph: Graph) -> None:
    lacking = []
    for node_id in graph.nodes:
        if node_id not in graph.methods:
            (type_id,) = graph.forward(node_id, TYPE_DEFINITION)
            lacking += graph.missing_members(node_id, graph.mandatory(type_id))
    assert lacking == []


def test_instances_of_placeholders_have_what_the_placeholder_makes_mandatory(graph: Graph) -> None:
    """MachineTool makes members mandatory at placeholders that the type leaves optional: SignalColor of a lamp, say."""
    checked, lacking = 0, []
    for node_id in graph.nodes:
        if node_id in graph.methods:
            continue
        (type_id,) = graph.forward(node_id, TYPE_DEFINITION)
        for source in graph.supertypes(type_id):
            for (_, name), declared in graph.children(source).items():
                rules = graph.forward(declared[0].NodeId, MODELLING_RULE)
                if not PLACEHOLDERS.intersection(rules) or name == "<CncSpindle>":  # defective: see the reference model
                    continue
                members = graph.declared([declared[0].NodeId])
                for references in graph.children(node_id).values():
                    child = references[0]
                    if child.NodeClass == ua.NodeClass.Method:
                        continue  # no instance of a type
                    if child.ReferenceTypeId == declared[0].ReferenceTypeId and declared[0].TypeDefinition in graph.supertypes(
                        child.TypeDefinition
                    ):
                        checked += 1
                        lacking += graph.missing_members(child.NodeId, members)
    assert lacking == []
    assert checked > 30


def test_a_missing_member_is_noticed(graph: Graph) -> None:
    """The checks above can fail: take a mandatory member away, at the top and two levels down."""
    (machine_type,) = graph.forward(graph.machine, TYPE_DEFINITION)
    monitoring = ua.NodeId("CNC-001.Monitoring", graph.machine.NamespaceIndex)
    for parent, name in ((graph.machine, "Production"), (monitoring, "MachineTool")):
        kept = graph.references[parent]
        graph.references[parent] = [r for r in kept if r.BrowseName.Name != name]
        try:
            (parent_type,) = graph.forward(parent, TYPE_DEFINITION)
            lacking = graph.missing_members(parent, graph.mandatory(parent_type))
            assert [line for line in lacking if name in line], name
        finally:
            graph.references[parent] = kept
    assert graph.missing_members(graph.machine, graph.mandatory(machine_type)) == []


def test_no_value_is_null_and_results_wait_for_their_first_value(graph: Graph) -> None:
    assert len(graph.variables) > 1000
    for node_id in graph.variables:
        value = graph.attributes[A.Value][node_id]
        said = f"{node_id.to_string()}: {value}"
        assert value.SourceTimestamp is not None, said
        assert value.ServerTimestamp is not None, said
        if node_id in graph.results:
            assert value.StatusCode.name == "UncertainInitialValue", said
            assert value.Value.Value is not None, said
            continue
        assert value.StatusCode.is_good(), said
        content = value.Value.Value
        assert content is not None, said
        # No job is carried out; the present state of a condition is no branch; what is within its limits is at none; health has no
        # variable that holds what is normal (OPC 10000-9, 5.8.22.2).
        nulls = (".JobNodeId", ".BranchId", ".LimitState.CurrentState.Id", ".InputNode", ".NormalState")
        if not str(node_id.Identifier).endswith(nulls):
            assert not (isinstance(content, ua.NodeId) and content.is_null()), said


def test_every_value_has_the_type_and_rank_that_its_node_promises(graph: Graph) -> None:
    for node_id in set(graph.variables) - graph.results:
        value = graph.attributes[A.Value][node_id].Value
        said = f"{node_id.to_string()}: {value}"
        assert bool(value.is_array) is (graph.attributes[A.ValueRank][node_id].Value.Value >= 0), said
        data_type = graph.attributes[A.DataType][node_id].Value.Value
        builtin = [t.Identifier for t in graph.supertypes(data_type) if t.NamespaceIndex == 0]
        if 29 in builtin:
            assert value.VariantType is ua.VariantType.Int32, said
        else:  # Number, Integer, UInteger are types that a type leaves open: an instance says which of them it has
            assert builtin[0] not in (24, 26, 27, 28), said
            assert value.VariantType.value == next(i for i in builtin if i <= 25), said


def test_everything_has_a_name_and_what_has_a_name_of_ours_says_what_it_is(graph: Graph) -> None:
    silent: list[str] = []
    for node_id in graph.nodes:
        shown = graph.attributes[A.DisplayName][node_id].Value.Value
        assert shown.Text, node_id
        name = graph.attributes[A.BrowseName][node_id].Value.Value
        if name.NamespaceIndex in (graph.machine.NamespaceIndex, graph.machine.NamespaceIndex - 1):
            said = graph.attributes[A.Description][node_id]
            if not said.StatusCode.is_good() or not said.Value.Value.Text or said.Value.Value.Locale != "en":
                silent.append(str(node_id.Identifier))
    assert silent == []


def test_positions_lie_within_their_range_wherever_the_work_is(graph: Graph) -> None:
    channel = ua.NodeId("CNC-001.CncInterface.CncChannelList.Channel1", graph.machine.NamespaceIndex)
    for (_, name), (position, *_) in graph.children(channel).items():
        if not name.startswith("PosTcp") or name[-1] not in AXES:
            continue
        low, high = TRAVEL_MM[name[-1]]
        for (_, member), (part, *_) in graph.children(position.NodeId).items():
            if member in ("ActPos", "CmdPos"):
                ranges = [references[0] for (_, one), references in graph.children(part.NodeId).items() if one == "EURange"]
                for one in ranges:
                    shown = graph.attributes[A.Value][one.NodeId].Value.Value
                    assert shown.Low <= low - high, f"{name}: the work's zero at the far end"
                    assert shown.High >= high - low, name


def test_every_measured_signal_has_the_catalogues_unit_and_range(graph: Graph) -> None:
    for signal in SIGNALS:
        if signal.unit is not None:
            children = graph.children(graph.signals[signal.name])
            unit, limits = (
                graph.attributes[A.Value][children[0, name][0].NodeId].Value.Value for name in ("EngineeringUnits", "EURange")
            )
            assert unit.UnitId == signal.unit.unit_id, signal.name
            assert unit.DisplayName.Text == signal.unit.symbol, signal.name
            assert (limits.Low, limits.High) == (signal.low, signal.high), signal.name


def test_every_analog_node_has_a_valid_unit_and_range(graph: Graph) -> None:
    for node_id in graph.nodes:
        for (_, name), references in graph.children(node_id).items():
            value = graph.attributes[A.Value].get(references[0].NodeId)
            if name == "EURange" and value is not None:
                assert value.Value.Value.Low < value.Value.Value.High, node_id
            elif name == "EngineeringUnits" and value is not None:
                assert value.Value.Value.UnitId != 0, node_id
                assert value.Value.Value.NamespaceUri, node_id


def test_only_results_and_the_users_plate_are_writable_and_access_levels_agree(graph: Graph) -> None:
    levels = {n: value.Value.Value for n, value in graph.attributes[A.AccessLevel].items()}
    assert {n for n, level in levels.items() if level & 2} == graph.results | graph.plate
    # Results are the Analytics role's alone; who crawls is an engineer, who may change what was recorded.
    users = {n: value.Value.Value for n, value in graph.attributes[A.UserAccessLevel].items()}
    assert users == {n: level if n in graph.plate else level & ~2 for n, level in levels.items()}
    history = {n: value.Value.Value for n, value in graph.attributes[A.Historizing].items()}
    assert [n for n in levels if levels[n] & 12 != 12 * history[n]] == []


def test_all_signals_can_be_browsed_below_the_signals_folder(graph: Graph) -> None:
    (signals,) = [r.NodeId for r in graph.references[graph.machine] if r.IsForward and r.BrowseName.Name == "Signals"]
    reachable = set(graph.below(signals))
    assert [name for name, node_id in graph.signals.items() if node_id not in reachable] == []


def test_no_two_children_of_a_node_have_one_name(graph: Graph) -> None:
    """Clients that make tags of browse names would have one of them, or two that nobody can tell apart."""
    same = [
        (node_id.to_string(), name)
        for node_id in graph.below(ua.NodeId(85))
        for (_, name), references in graph.children(node_id).items()
        if len({r.NodeId for r in references}) > 1
    ]
    assert same == []


def test_the_drives_of_the_channel_are_those_of_the_lists(graph: Graph) -> None:
    """The same nodes with a second parent, so that no client meets an axis twice."""
    namespace = graph.machine.NamespaceIndex
    channel = graph.children(ua.NodeId("CNC-001.CncInterface.CncChannelList.Channel1", namespace))
    for name, place in (("X", "CncAxisList.X"), ("Y", "CncAxisList.Y"), ("Z", "CncAxisList.Z"), ("S1", "CncSpindleList.S1")):
        assert [r.NodeId.Identifier for r in channel[namespace, name]] == [f"CNC-001.CncInterface.{place}"]


def test_methods_have_named_described_and_typed_arguments(graph: Graph) -> None:
    own = [node_id for node_id in graph.methods if node_id.NamespaceIndex == graph.machine.NamespaceIndex]
    assert len(own) == len(METHODS)
    found = set(graph.methods)  # asyncua names some ids of methods that its namespace 0 does not have
    shared = {name: found.intersection(ua.NodeId(number, 0) for number in ids) for name, ids in CONDITION_METHODS.items()}
    assert [name for name, ids in shared.items() if not ids] == []
    for node_id in own:
        for references in graph.children(node_id).values():
            for argument in graph.attributes[A.Value][references[0].NodeId].Value.Value:
                assert argument.Name
                assert argument.Description.Text
                assert not argument.DataType.is_null()


def test_binding_finds_every_signal_and_method_of_every_machine(running: Any) -> None:
    async def check() -> None:
        async with running(3) as run:
            bound = await bind(run.client)
            assert list(bound) == ["CNC-001", "CNC-002", "CNC-003"]
            for machine_id, machine in bound.items():
                space = run.spaces[machine_id]
                assert machine.missing == []
                assert machine.nodes == space.nodes
                assert machine.methods == space.methods
                assert len(machine.methods) == len(METHODS)
                assert machine.serial_number == space.identity.serial_number
                assert machine.manufacturer == "Example Machine Works"
                assert machine.location == "N 51.257315 E 6.740885"

    asyncio.run(check())
