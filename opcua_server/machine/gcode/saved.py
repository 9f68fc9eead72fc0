"""LinuxCNC's M70 to M73: modal state kept for a level of subprogram and brought back.

    M70 keep | M71 forget | M72 bring back | M73 keep, and bring back when this level returns

The motion mode, work zeros and tool offsets are not part of it.
"""

from __future__ import annotations

from opcua_server.machine.gcode.state import State
from opcua_server.machine.gcode.tables import ZERO

KEEP, FORGET, BRING_BACK, KEEP_FOR_RETURN = 70, 71, 72, 73
CODES = frozenset((KEEP, FORGET, BRING_BACK, KEEP_FOR_RETURN))
_FIELDS = (
    "absolute",
    "diameter_mode",
    "direction",
    "exact_stop",
    "feed",
    "feed_mode",
    "flood",
    "ijk_absolute",
    "mist",
    "overrides",
    "plane",
    "retract_initial",
    "speed",
    "system",
    "unit",
)
_GROUPS = ("path", "surface speed", "work")


class Saved:
    """The modal state at one moment."""

    __slots__ = ("_fields", "_groups", "_shifted", "on_return")

    def __init__(self, state: State, *, on_return: bool) -> None:
        self._fields = {name: getattr(state, name) for name in _FIELDS}
        self._groups = {name: state.groups[name] for name in _GROUPS if name in state.groups}
        self._shifted = any(state.g92)
        """Whether G92's offset was in force; its values are not part of what is kept."""
        self.on_return = on_return
        """To be brought back when the level returns."""

    def bring_back(self, state: State) -> None:
        """The machine stands still; where that is in the program's eyes may change with the work offset."""
        here = state.programmed_now()
        for name, value in self._fields.items():
            setattr(state, name, value)
        for name in _GROUPS:
            state.groups.pop(name, None)
        state.groups.update(self._groups)
        state.g92 = state.g92_kept if self._shifted else ZERO
        state.refresh()
        state.stand_at(here)
