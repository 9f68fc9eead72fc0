"""Work on the machine: its kinds (MT:MaintenanceModeStateMachineType, OPC 40501-1, 8.3.11), who has to do it, and what it leaves.

    kind         who has to act             afterwards
    Service      the end user; the builder  the way oil is filled up, the coolant filter renewed
                 once the bearings are due
    Inspection   the end user               as before
    Repair       the builder                the spindle has new bearings
    Upgrade      the builder                as before
    Other        nobody can say             as before

Out of maintenance a machine that is switched on is its user's: what it does or waits for (a part, an order, a tool, somebody who
acknowledges an alarm) is not the builder's affair. Switched off, nobody has to act. Never both at once (8.3.13). Pure.
"""

from __future__ import annotations

from typing import Final

from nodesets.states import MachineState
from opcua_server.machine.coolant import CoolantUnit
from opcua_server.machine.upkeep import BEARING_HOURS, Upkeep

KINDS: Final = ("Service", "Inspection", "Repair", "Upgrade", "Other")
"""In the order of their state numbers."""
_BUILDER: Final = frozenset({"Repair", "Upgrade"})


def obligated(state: MachineState, kind: str, upkeep: Upkeep) -> tuple[bool, bool]:
    """Whether the end user, and whether the machine's builder, is responsible for what goes on."""
    if state is MachineState.OFF:
        return False, False
    if state is not MachineState.MAINTENANCE:
        return True, False
    builder = kind in _BUILDER or (kind == "Service" and upkeep.spindle_h >= BEARING_HOURS)
    return not builder and kind != "Other", builder


def serve(kind: str, upkeep: Upkeep, coolant: CoolantUnit) -> str:
    """Work of that kind is done; what came of it, for whoever reads messages, empty for nothing that counts."""
    if kind == "Service":
        upkeep.lube_percent = upkeep.filter_percent = coolant.filter_load = 0.0
        return "way oil filled up, coolant filter renewed"
    if kind == "Repair":
        upkeep.spindle_h = 0.0
        return "new bearings in the spindle"
    return ""
