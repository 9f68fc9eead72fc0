"""Calls that come again with other values: the buttons of a control system call the same methods again and again.

first    decoded, checked and carried out (methods.py); where every argument is a number, the request's form is kept
again    the numbers are unpacked, and carried out with the same checks of role, state and argument: what is kept is who it is for
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from cnctwin.wire import Budget, decoder, encode
from cnctwin.wire.scalars import ua
from opcua_server.engine.forms import MAX_FORMS, NUMBERS, Form

_read_node_id: Final = decoder(ua.NodeId)
_new_variant: Final[Callable[..., Any]] = ua.Variant.__new__
_Variant: Final[Any] = ua.Variant
_PACKS: Final = {kind: struct.Struct(f"<B{code}").pack for kind, (code, _size) in NUMBERS.items()}
MAX_ALIKE: Final = 8
"""Forms of one length that are tried."""


class _Known(NamedTuple):
    """``call``: the CallMethodRequest, of which the arguments are not used. ``target``: whom it is for."""

    form: Form
    kinds: list[Any]
    call: Any
    target: Any


class Recalls:
    """The forms of Call requests of one method each."""

    def __init__(self) -> None:
        self._known: dict[int, list[_Known]] = {}
        self._count = 0

    def clear(self) -> None:
        self._known.clear()
        self._count = 0

    def learn(self, raw: bytes, call: Any, target: Any) -> None:
        """Keep the form of a request that was carried out, if all its arguments are numbers. ``raw``: CallParameters."""
        given = call.InputArguments or []
        if any(one.is_array or one.VariantType not in NUMBERS for one in given):
            return
        budget, holes = Budget(), []
        _, p = _read_node_id(raw, 4, budget)
        _, p = _read_node_id(raw, p, budget)
        p += 4
        for one in given:
            holes.append((p + 1, one.VariantType))
            p += 1 + NUMBERS[one.VariantType][1]
        alike = self._known.setdefault(len(raw), [])
        if self._count >= MAX_FORMS or len(alike) >= MAX_ALIKE:
            return
        alike.append(_Known(Form(raw, holes), [one.VariantType for one in given], call, target))
        self._count += 1

    def again(self, raw: bytes) -> tuple[Any, Any, list[Any]] | None:
        """Call, target and arguments of a request of a known form; None when there is more to read."""
        for known in self._known.get(len(raw), ()):
            numbers = known.form.numbers(raw)
            if numbers is not None:
                return known.call, known.target, [_variant(*one) for one in zip(numbers, known.kinds, strict=True)]
        return None


def encoded(result: Any) -> bytes:
    """A CallMethodResult; one whose outputs are numbers, and that has no diagnostics, in a few packs."""
    codes, outputs = result.InputArgumentResults, result.OutputArguments
    if result.InputArgumentDiagnosticInfos != [] or codes is None or outputs is None:
        return encode(result)
    parts = [_head(len(codes))(result.StatusCode.value, len(codes), *[code.value for code in codes], 0, len(outputs))]
    for one in outputs:
        pack = _PACKS.get(one.VariantType)
        if pack is None or one.is_array:
            return encode(result)
        parts.append(pack(one.VariantType, one.Value))
    return b"".join(parts)


@functools.cache
def _head(arguments: int) -> Callable[..., bytes]:
    """StatusCode and the counts around the outputs, with the results of as many arguments."""
    return struct.Struct(f"<Ii{arguments}Iii").pack


def _variant(number: Any, kind: Any) -> Any:
    """A scalar, made without the constructor's guesses."""
    made = _new_variant(_Variant)
    made.Value = number
    made.VariantType = kind
    made.Dimensions = None
    made.is_array = False
    return made
