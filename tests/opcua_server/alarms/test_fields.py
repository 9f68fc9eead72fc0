"""What a filter may ask of an alarm's events: each field its nodes have, by type and by name, through the socket."""

from __future__ import annotations

from typing import Any

from asyncua import ua

from tests.opcua_server.alarms.bench import Bench, Operator, operand, run
from tests.opcua_server.alarms.test_handling import clean, references, refreshed
from tests.opcua_server.engine.conformance.plant import told

LEVEL_ALARM = ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)
CHANGES_BY_ITSELF = {"ShelvingState/UnshelveTime", "ReceiveTime"}
HAS_PROPERTY, HAS_COMPONENT, MANDATORY = 46, 47, 78


async def variables(operator: Operator, node_id: ua.NodeId) -> dict[str, ua.NodeId]:
    """Path of browse names -> variable, of all that is below a node."""
    found: dict[str, ua.NodeId] = {}
    waiting = [("", node_id)]
    while waiting:
        path, parent = waiting.pop()
        for kind in (HAS_PROPERTY, HAS_COMPONENT):
            for child in await references(operator, parent, kind, True):
                below = f"{path}/{child.BrowseName.Name}".lstrip("/")
                if child.NodeClass == ua.NodeClass.Variable:
                    found[below] = child.NodeId
                if child.NodeClass != ua.NodeClass.Method:
                    waiting.append((below, child.NodeId))
    return found


async def mandatory(operator: Operator, type_id: ua.NodeId) -> dict[str, ua.NodeId]:
    """Fields that every event of a type and of its supertypes has -> the type that says so."""
    wanted: dict[str, ua.NodeId] = {}
    while type_id != ua.NodeId(ua.ObjectIds.BaseObjectType):
        for path, node_id in (await variables(operator, type_id)).items():
            rules = [one.NodeId for one in await references(operator, node_id, 37, True)]
            parent = path.rpartition("/")[0]
            if rules == [ua.NodeId(MANDATORY)] and (not parent or parent in wanted or parent == "LimitState"):
                wanted.setdefault(path, type_id)
        (up,) = await references(operator, type_id, 45, False)
        type_id = up.NodeId
    return wanted


async def heard_of(operator: Operator, fields: list[tuple[ua.NodeId, str]]) -> dict[str, Any]:
    """One refreshed event, with these fields."""
    operands = [
        ua.SimpleAttributeOperand(kind, [ua.QualifiedName(part) for part in path.split("/")], ua.AttributeIds.Value)
        for kind, path in fields
    ]
    subscription = await operator.subscribe(20)
    item = ua.ReadValueId(ua.NodeId(ua.ObjectIds.Server), ua.AttributeIds.EventNotifier)
    is_level_alarm = ua.ContentFilterElement(ua.FilterOperator.OfType, [ua.LiteralOperand(ua.Variant(LEVEL_ALARM))])
    wanted = ua.EventFilter(operands, ua.ContentFilter([is_level_alarm]))
    parameters = ua.MonitoringParameters(1, 0.0, wanted, 0, True)
    (made,) = await operator.monitor(subscription, ua.MonitoredItemCreateRequest(item, ua.MonitoringMode.Reporting, parameters))
    made.StatusCode.check()
    assert {code.name for code in made.FilterResult.SelectClauseResults} <= {"Good"}
    assert await operator.refresh(subscription.SubscriptionId) == "Good"
    heard: list[Any] = []
    while len(heard) < 3:
        heard += [values for _, values, _ in told(await operator.publish())]
    await operator("DeleteSubscriptions", SubscriptionIds=[subscription.SubscriptionId])
    return dict(zip([path for _, path in fields], heard[1], strict=True))


def test_every_node_of_an_alarm_is_a_field_of_its_events_with_the_same_value(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        bench.tick(Spindle_Temperature=55.0)
        nodes = await variables(operator, bench.condition("SpindleTemperature"))
        assert len(nodes) > 45
        # A condition has a field for each of its nodes, by whichever of its types a client asks.
        event = await heard_of(operator, [(LEVEL_ALARM, path) for path in nodes])
        shown = {path: await operator.client.get_node(node_id).read_value() for path, node_id in nodes.items()}
        assert {path: event[path] for path in nodes if path not in CHANGES_BY_ITSELF} == {
            path: value for path, value in shown.items() if path not in CHANGES_BY_ITSELF
        }
        wanted = await mandatory(operator, LEVEL_ALARM)
        assert {"EventId", "Retain", "AckedState/Id", "Quality/SourceTimestamp", "LimitState/CurrentState/Id"} <= set(wanted)
        event = await heard_of(operator, [(kind, path) for path, kind in wanted.items()])
        assert [path for path, value in event.items() if value is None] == []
        await clean(bench, operator)
        bench.tick(Spindle_Temperature=30.0)
        await clean(bench, operator)

    run(bench, act)


def test_a_filter_by_type_and_by_a_list_of_names_passes_what_it_says(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        literals = [ua.LiteralOperand(ua.Variant(name)) for name in ("CoolantLevel", "EX1030")]
        both = ua.ContentFilterElement(ua.FilterOperator.And, [ua.ElementOperand(1), ua.ElementOperand(2)])
        in_list = ua.ContentFilterElement(ua.FilterOperator.InList, [operand("ConditionName"), *literals])
        limit = ua.LiteralOperand(ua.Variant(ua.NodeId(ua.ObjectIds.LimitAlarmType)))
        of_type = ua.ContentFilterElement(ua.FilterOperator.OfType, [limit])
        bench.tick(Coolant_Level=30.0, Coolant_Temperature=45.0)
        bench.event("alarm", "EX1030", "AIR PRESSURE LOW")
        for where, names in (([in_list], {"CoolantLevel", "EX1030"}), ([both, in_list, of_type], {"CoolantLevel"})):
            item = await operator.listen(where=ua.ContentFilter(where))
            assert await operator.refresh(item=item) == "Good"
            assert {event["ConditionName"] for event in await refreshed(operator)} == names
            await operator("DeleteMonitoredItems", SubscriptionId=operator.subscription.SubscriptionId, MonitoredItemIds=[item])
        bench.tick(Coolant_Temperature=30.0)
        await clean(bench, operator)

    run(bench, act)


def test_a_refresh_is_asked_of_the_type_and_of_nothing_else(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        number = ua.Variant(operator.subscription.SubscriptionId, ua.VariantType.UInt32)
        for node_id, status in (
            (bench.space.node_id, "BadMethodInvalid"), (ua.NodeId("none", 7), "BadNodeIdUnknown"),
        ):  # fmt: skip
            assert await operator.method("ConditionRefresh", node_id, number) == status
        assert await operator.method("ConditionRefresh", ua.NodeId(ua.ObjectIds.ConditionType)) == "BadArgumentsMissing"

    run(bench, act)
