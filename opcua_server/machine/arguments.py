"""Arguments of a command, checked against the table of ``nodesets.methods``."""

from __future__ import annotations

from collections.abc import Sequence

from cnctwin.reading import Value
from nodesets.methods import BY_NAME
from opcua_server.sources.source import CommandRefused


def checked(method: str, arguments: Sequence[Value]) -> list[Value]:
    """Arguments in the types of the method's table; CommandRefused for a wrong number, type or range."""
    inputs = BY_NAME[method].inputs
    if len(arguments) != len(inputs):
        raise CommandRefused("argument", f"{method} takes {len(inputs)} arguments, not {len(arguments)}")
    values: list[Value] = []
    for spec, value in zip(inputs, arguments, strict=True):
        if spec.type == "String":
            fits = isinstance(value, str)
        elif spec.type == "Boolean":
            fits = isinstance(value, bool)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits:
            raise CommandRefused("argument", f"{spec.name} must be {spec.type}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            low = spec.low if spec.low is not None else value
            high = spec.high if spec.high is not None else value
            if not low <= value <= high:  # also refuses NaN
                raise CommandRefused("argument", f"{spec.name} must be {low:g} to {high:g}")
            value = int(value) if spec.type == "UInt32" else float(value)
        values.append(value)
    return values
