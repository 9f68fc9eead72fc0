"""The phases of the mains in the structures of OPC 34100: AcPeDataType (L1, L2, L3) and AcPpDataType (L1L2, L2L3, L3L1).

Voltage U, current I and active power P of each phase are signals; the rest follows from them, so that nothing can disagree:

    S = U I    Q = sqrt(S^2 - P^2)    power factor P / S, 1 where nothing flows    total = L1 + L2 + L3
    U12 = sqrt(U1^2 + U2^2 + U1 U2)   two phases, a third of a turn apart
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
from asyncua import ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import Columns
from nodesets.catalogue import MACHINE, NUMERIC, PHASES
from opcua_server.space.positions import worst
from opcua_server.space.publish import put, shown

_V: Final = ua.VariantType
_INDEX: Final = {signal.name: index for index, signal in enumerate(NUMERIC)}
NAMES: Final = tuple(f"Power/{what}{phase}" for what in ("Voltage", "Current", "Active") for phase in PHASES)
_AT: Final = np.array([_INDEX[name] for name in NAMES])
_STATUS_AT: Final = np.array([[signal.name for signal in MACHINE].index(name) for name in NAMES])
OF_PHASES: Final = ("AcCurrentPe", "AcVoltagePe", "AcActivePowerPe", "AcReactivePowerPe", "AcPowerFactorPe")
PHASE_TO_PHASE: Final = "AcVoltagePp"
TOTAL: Final = "AcActivePowerTotal"
Three = tuple[float, float, float]


def electrical(numbers: list[float]) -> dict[str, Three]:
    """V, A, W, var by the names of the interface. ``numbers``: as ``NAMES``, V, A and kW."""
    volts, amperes, kilowatts = numbers[:3], numbers[3:6], numbers[6:]
    active = [1000.0 * one for one in kilowatts]
    apparent = [u * i for u, i in zip(volts, amperes, strict=True)]
    reactive = [math.sqrt(max(s * s - p * p, 0.0)) for s, p in zip(apparent, active, strict=True)]
    factors = [min(p / s, 1.0) if s > 0.0 else 1.0 for s, p in zip(apparent, active, strict=True)]
    pairs = [math.sqrt(a * a + b * b + a * b) for a, b in zip(volts, (*volts[1:], volts[0]), strict=True)]
    return {
        "AcVoltagePe": _three(volts), "AcCurrentPe": _three(amperes), "AcActivePowerPe": _three(active),
        "AcReactivePowerPe": _three(reactive), "AcPowerFactorPe": _three(factors), PHASE_TO_PHASE: _three(pairs),
    }  # fmt: skip


def _three(values: list[float]) -> Three:
    first, second, third = values
    return first, second, third


class Phases:
    """``held``: place of each value, by the names above and ``TOTAL``. ``of_phases``, ``pairs``: classes of the structures."""

    def __init__(self, held: Mapping[str, AttributeValue], of_phases: type, pairs: type) -> None:
        self._held = held
        self._of_phases, self._pairs = of_phases, pairs
        self._last = b""

    def write(self, columns: Columns, moment: datetime, server_time: datetime) -> None:
        """The end of a tick."""
        values, statuses = columns.numbers[_AT], columns.statuses[_STATUS_AT]
        seen = values.tobytes() + statuses.tobytes()
        if seen == self._last:  # nine ticks of ten
            return
        self._last = seen
        numbers, status = values.tolist(), worst(*statuses.tolist())
        if any(number != number for number in numbers):
            numbers = [0.0] * len(numbers)  # what a Bad status stands beside
        found = electrical(numbers)
        for name, three in found.items():
            value: Any = self._pairs(*three) if name == PHASE_TO_PHASE else self._of_phases(*three)
            put(self._held[name], shown(value, _V.ExtensionObject, status, moment, server_time))
        put(self._held[TOTAL], shown(sum(found["AcActivePowerPe"]), _V.Float, status, moment, server_time))
