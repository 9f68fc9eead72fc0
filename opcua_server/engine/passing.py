"""Nodes that come and go with what they are about. They are nowhere until somebody looks: what comes and goes costs nothing.

    find(NodeId) --address space: none--> passing.node(NodeId) --> made for this request, or none
    browse(i=3706)  = the references that it has, and passing.more(i=3706, who asks)

All of their attributes are worked out when they are read, so nobody keeps what is over: who still asks hears BadNodeIdUnknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from opcua_server.engine.contract import Session


class Passing(Protocol):
    """``places``: nodes of the address space that have references to such nodes."""

    @property
    def places(self) -> frozenset[Any]: ...

    def node(self, node_id: Any) -> Any:
        """asyncua's NodeData, made anew; None where there is no such node (any more)."""

    def more(self, node_id: Any, session: Session | None) -> Sequence[Any]:
        """ReferenceDescriptions that one of ``places`` has for a session."""

    def hides(self, node_id: Any, session: Session | None) -> bool:
        """Whether such a node is not for a session to see."""


class Nothing:
    """There are none."""

    places: frozenset[Any] = frozenset()

    def node(self, _node_id: Any) -> Any:
        return None

    def more(self, _node_id: Any, _session: Session | None) -> Sequence[Any]:
        return ()

    def hides(self, _node_id: Any, _session: Session | None) -> bool:
        return False


NOTHING: Final = Nothing()
