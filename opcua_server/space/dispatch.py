"""One method node for all objects of a type: who is called is told by the object (OPC 10000-4, 5.12.2: the type's method id)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asyncua import ua
from asyncua.server.address_space import NodeData

JobCall = Callable[[str, Sequence[Any]], Awaitable[Any]]
"""(method, input Variants) -> CallMethodResult."""


class Dispatch:
    """What asyncua calls for a method node."""

    def __init__(self) -> None:
        self.owners: dict[ua.NodeId, tuple[str, JobCall]] = {}

    async def __call__(self, owner: ua.NodeId, *given: Any) -> Any:
        known = self.owners.get(owner)
        if known is None:
            return ua.CallMethodResult(ua.StatusCode(ua.StatusCodes.BadMethodInvalid))
        name, call = known
        return await call(name, given)


def dispatch(method: NodeData, owner: ua.NodeId, name: str, call: JobCall) -> None:
    """Let ``call`` carry out a method for one object."""
    if not isinstance(method.call, Dispatch):
        method.call = Dispatch()
    method.call.owners[owner] = (name, call)
