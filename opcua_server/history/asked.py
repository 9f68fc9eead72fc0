"""What clients ask of aggregates, whether of a history or of a monitored item: which one, of which values, worked out how."""

from __future__ import annotations

from typing import Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import ServiceFault
from opcua_server.history.aggregates import BY_NODE, Aggregate
from opcua_server.history.bounds import Configuration

_C = ua.StatusCodes
_NUMBERS: Final = frozenset(
    {"SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double"}
)  # fmt: skip
DEFAULTS: Final = Configuration()


def aggregate_of(wanted: Any, kind: str) -> Aggregate:
    """The aggregate of a NodeId, for values of a built-in type. Raises ServiceFault where there is none."""
    found = BY_NODE.get(wanted.Identifier) if wanted.NamespaceIndex == 0 else None
    if found is None:
        raise ServiceFault(_C.BadAggregateNotSupported, "There is no such aggregate")
    if not takes(found, kind):
        raise ServiceFault(_C.BadAggregateNotSupported, f"There is no {found.name} of values of type {kind}")
    return found


def takes(aggregate: Aggregate, kind: str) -> bool:
    """Whether an aggregate makes sense of values of a built-in type."""
    if aggregate.takes == "all":
        return True
    return kind in _NUMBERS or (aggregate.takes == "states" and kind == "Boolean")


def configuration_of(given: Any) -> Configuration:
    """An AggregateConfiguration (OPC 10000-13, 4.2.1.2); None is the server's own. Raises ServiceFault where it cannot be."""
    if given is None or given.UseServerCapabilitiesDefaults:
        return DEFAULTS
    good, bad = int(given.PercentDataGood), int(given.PercentDataBad)
    if good > 100 or bad > 100 or good < 100 - bad:
        raise ServiceFault(_C.BadAggregateConfigurationRejected)
    return Configuration(bool(given.TreatUncertainAsBad), bad, good, bool(given.UseSlopedExtrapolation))
