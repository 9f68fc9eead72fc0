"""What official models put below Objects and this server does not offer is taken out: a browser finds nothing that does not answer.

Namespace 0 comes whole, with an object for every optional part of the standard: publishers and subscribers, a log, network
interfaces, methods that nobody carries out. A control system that meets them tries them.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

from asyncua import ua

from opcua_server.space.removal import below, children, take_away

_A = ua.AttributeIds
_OBJECTS: Final = ua.NodeId(85, 0)
_SERVER: Final = ua.NodeId(2253, 0)
NOT_OFFERED: Final = (
    ("Aliases",),
    ("DeviceTopology",),
    ("NetworkSet",),
    ("Locations",),
    ("test",),  # what OPC 40502's file left below Objects
    ("Server", "DefaultHAConfiguration"),
    ("Server", "DefaultHEConfiguration"),
    ("Server", "PublishSubscribe"),
    ("Server", "ServerLog"),
    ("Server", "Resources"),
    ("Server", "ServerConfiguration", "UserManagement"),
    ("Server", "ServerCapabilities", "MaxInactiveLockTime"),
    ("Server", "ServerCapabilities", "OperationLimits", "MaxNodesPerNodeManagement"),
    ("Server", "ServerCapabilities", "RoleSet", "SecurityKeyServerAdmin"),
    ("Server", "ServerCapabilities", "RoleSet", "SecurityKeyServerAccess"),
    ("Server", "ServerCapabilities", "RoleSet", "SecurityKeyServerPush"),
)
"""Browse paths from Objects."""


def take_out(aspace: Any, handled: Container[Any]) -> int:
    """Remove what is not offered; how many nodes went. ``handled``: methods of namespace 0 that somebody carries out.

    Where another model has put nodes of its own, all of it stays.
    """
    roots = [root for path in NOT_OFFERED if (root := _find(aspace, path)) is not None]
    roots = [root for root in roots if all(one.NamespaceIndex == root.NamespaceIndex for one in below(aspace, root))]
    return take_away(aspace, roots) + take_away(aspace, [one for one in _methods(aspace, _SERVER) if one not in handled])


def _find(aspace: Any, path: tuple[str, ...]) -> Any:
    """The node at the end of a path; None when it is not there."""
    at: Any = _OBJECTS
    for name in path:
        at = next((one.NodeId for one in children(aspace, at) if one.BrowseName.Name == name), None)
    return at


def _methods(aspace: Any, root: Any) -> list[Any]:
    """Methods of namespace 0 below a node."""
    found, seen, waiting = [], {root}, [root]
    while waiting:
        for one in children(aspace, waiting.pop()):
            if one.NodeId in seen or one.NodeId.NamespaceIndex:
                continue
            seen.add(one.NodeId)
            if int(aspace[one.NodeId].attributes[_A.NodeClass].value.Value.Value) == int(ua.NodeClass.Method):
                found.append(one.NodeId)
            else:
                waiting.append(one.NodeId)
    return found
