"""MT:IsWarmUp: whether the machine runs a program that is there to warm it up, and makes no parts (OPC 40501-1, 8.3.9).

No control knows what a program is for. Whoever writes it says so in its name: WARMUP, O9000_SPINDLE-WARM-UP, Warm_Up.nc.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import Columns
from nodesets.catalogue import MACHINE, NUMERIC
from nodesets.states import MachineState
from opcua_server.space.publish import put, shown

_NAMED: Final = re.compile(r"warm[-_ ]?up", re.IGNORECASE)
_STATE: Final = [signal.name for signal in NUMERIC].index("Machine/State")
_STATUS: Final = [signal.name for signal in MACHINE].index("Machine/State")


def warms_up(state: MachineState, program: str) -> bool:
    return state is MachineState.RUNNING and _NAMED.search(program) is not None


class WarmUp:
    """``held``: the place of the value."""

    def __init__(self, held: AttributeValue) -> None:
        self._held = held
        self._shown: tuple[bool, int] | None = None

    def write(self, columns: Columns, moment: datetime, now: datetime) -> None:
        """One tick."""
        status = int(columns.statuses[_STATUS])
        program = str(columns.objects.get("Channel/ActMainProgramName") or "")
        found = (not status >> 31 and warms_up(MachineState(int(columns.numbers[_STATE])), program), status)
        if found != self._shown:
            self._shown = found
            put(self._held, shown(found[0], ua.VariantType.Boolean, status, moment, now))
