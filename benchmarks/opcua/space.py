"""What is measured: the same small address space in every server. Numeric ids in one namespace of the server's own.

Bench  BASE - 1        Var<n>  BASE + n    Double, n at first, n + k after tick k: values are checked by the client
    Add  BASE - 2      Set<n>  BASE - 100 + n    Double, may be written, n < 60
"""

from __future__ import annotations

from typing import Any, Final

from asyncua.server.server import Server

from cnctwin.wire.scalars import ua

BASE: Final = 2_000_000
NAMESPACE: Final = 2
FOLDER, ADD, SET = BASE - 1, BASE - 2, BASE - 100
SETS: Final = 60
TOGETHER: Final = 1_000
PER_FOLDER: Final = 100
_GOOD: Final = ua.StatusCode()


def var(number: int, namespace: int = NAMESPACE) -> Any:
    return ua.NodeId(BASE + number, namespace)


def set_node(number: int, namespace: int = NAMESPACE) -> Any:
    return ua.NodeId(SET + number, namespace)


async def add(_parent: Any, one: Any, other: Any) -> Any:
    """The method ``Add``: the sum of two doubles."""
    result = ua.Variant(one.Value + other.Value, ua.VariantType.Double)
    return ua.CallMethodResult(_GOOD, [_GOOD, _GOOD], [], [result])


async def space(variables: int) -> Server:
    """An asyncua server, not started, with the address space above."""
    server = Server()
    await server.init()
    folder = await server.nodes.objects.add_object(ua.NodeId(FOLDER, NAMESPACE), ua.QualifiedName("Bench", NAMESPACE))
    parent = folder
    for number in range(variables):
        if number >= TOGETHER and number % PER_FOLDER == 0:
            label = ua.QualifiedName(f"From{number}", NAMESPACE)
            parent = await server.nodes.objects.add_object(ua.NodeId(f"From{number}", NAMESPACE), label)
        name = ua.QualifiedName(f"Var{number}", NAMESPACE)
        await parent.add_variable(var(number), name, float(number), ua.VariantType.Double)
    for number in range(SETS):
        node = await folder.add_variable(set_node(number), ua.QualifiedName(f"Set{number}", NAMESPACE), 0.0)
        await node.set_writable()
    number_type = ua.VariantType.Double
    await folder.add_method(ua.NodeId(ADD, NAMESPACE), ua.QualifiedName("Add", NAMESPACE), add, [number_type] * 2, [number_type])
    return server
