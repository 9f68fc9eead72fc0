"""Macro variables: numbers, names, the frames of subprograms, and the system variables that read and write the machine.

FANUC:     #0 vacant | #1-#33 local | #100-#199, #500-#999 common | #1000.. system
LinuxCNC:  #1-#30 local in subroutines | #31-#4999 | #5001-#5602 parameters; #<name> local, #<_name> global
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from opcua_server.machine.gcode import modal
from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.expressions import Value

if TYPE_CHECKING:
    from opcua_server.machine.gcode.state import State

LOCALS_FANUC = 33
LOCALS_LINUXCNC = 30
AXES = "xyz"
MOST_NAMES = 10_000


class Frame:
    """Local variables of one level of subprogram."""

    __slots__ = ("names", "numbers")

    def __init__(self, numbers: dict[int, Value] | None = None) -> None:
        self.numbers: dict[int, Value] = numbers or {}
        self.names: dict[str, Value] = {}


class VariableStore:
    """All variables of a running program. The state gives the system variables."""

    def __init__(self, state: State, start: dict[int, float] | None = None) -> None:
        self.state = state
        self.macro_b = state.dialect.macro_b
        self.frame = Frame()
        self.common: dict[int, Value] = dict(start or {})
        self.global_names: dict[str, Value] = {}
        self.stop = False
        """#3006 was written: the program stops with a message."""
        self.locals = LOCALS_FANUC if self.macro_b else LOCALS_LINUXCNC

    def get(self, number: float | None) -> Value:
        if number is None:
            raise BlockFault("PS0115")
        index = round(number)
        if abs(number - index) > 1e-6 or index < 0:
            raise BlockFault("PS0115", f"#{number:g}")
        if 1 <= index <= self.locals:
            return self.frame.numbers.get(index, None if self.macro_b else 0.0)
        if index == 0:
            if self.macro_b:
                return None
            raise BlockFault("PS0115", "#0")
        return self._get_fanuc(index) if self.macro_b else self._get_linuxcnc(index)

    def set(self, number: float | None, value: Value) -> None:
        if number is None:
            raise BlockFault("PS0115")
        index = round(number)
        if abs(number - index) > 1e-6 or index < 0:
            raise BlockFault("PS0115", f"#{number:g}")
        if 1 <= index <= self.locals:
            self.frame.numbers[index] = value
        elif index == 0:
            raise BlockFault("PS0116", "#0")
        elif self.macro_b:
            self._set_fanuc(index, value)
        else:
            if index == 5400 or 5420 <= index <= 5428 or index > 5602:
                raise BlockFault("PS0116" if index <= 5602 else "PS0115", f"#{index}")
            if index == 5070:
                self.state.skip_hit = bool(value)
            else:
                self.common[index] = value

    # FANUC

    def _get_fanuc(self, index: int) -> Value:
        if 100 <= index <= 199 or 500 <= index <= 999:
            return self.common.get(index)
        if index in self.common:
            return self.common[index]
        value = self._system(index)
        if value is None:
            raise BlockFault("PS0115", f"#{index}")
        return value

    def _set_fanuc(self, index: int, value: Value) -> None:
        if 100 <= index <= 199 or 500 <= index <= 999:
            self.common[index] = value
        elif index in (3001, 3002, 3003, 3004, 3901, 3902) or 1100 <= index <= 1135:
            self.common[index] = value or 0.0
        elif index == 3006:
            self.stop = True
        elif index == 3000:
            number = round(value or 0.0)
            if not 0 <= number <= 999:
                raise BlockFault("PS0115", "#3000")
            raise MacroAlarm(3000 + number)
        elif not self._write_system(index, value or 0.0):
            known = self._system(index) is not None
            raise BlockFault("PS0116" if known else "PS0115", f"#{index}")

    def _system(self, index: int) -> Value:
        """System variable of FANUC's list; None when there is none of that number."""
        state = self.state
        unit = state.unit
        if 1000 <= index <= 1035 or 1100 <= index <= 1135:
            return 0.0
        if 2001 <= index <= 2200 or 10001 <= index <= 10999:
            return self._tool(index - (2000 if index < 10000 else 10000), "length_wear") / unit
        if 2201 <= index <= 2400 or 11001 <= index <= 11999:
            return self._tool(index - (2200 if index < 10000 else 11000), "length") / unit
        if 12001 <= index <= 12999:
            return self._tool(index - 12000, "radius_wear") / unit
        if 13001 <= index <= 13999:
            return self._tool(index - 13000, "radius") / unit
        if index == 3006:
            raise BlockFault("PS0115", "#3006 can only be written")
        if 3001 <= index <= 3012 or index in (3901, 3902):
            return 0.0
        if 4001 <= index <= 4130:
            return modal.variable(state, index - 4000)
        if 5001 <= index <= 5003 or 5041 <= index <= 5043:
            return state.work_now()[index % 20 - 1] / unit
        if 5021 <= index <= 5023:
            return state.machine_now()[index - 5021] / unit
        if 5061 <= index <= 5063:
            return state.skip[index - 5061] / unit
        if 5081 <= index <= 5083:
            return state.tool_offset[index - 5081] / unit
        if 5201 <= index <= 5203:
            return state.offsets.external[index - 5201] / unit
        if 5221 <= index <= 5323 and 1 <= (index - 5200) % 20 <= 3:
            return state.offsets.systems.get((index - 5201) // 20, (0.0,) * 3)[(index - 5201) % 20] / unit
        if 7001 <= index <= 7943 and 1 <= (index - 7000) % 20 <= 3:
            return state.offsets.systems.get(101 + (index - 7001) // 20, (0.0,) * 3)[(index - 7001) % 20] / unit
        if 5004 <= index <= 5100 or 5204 <= index <= 5340:
            return 0.0
        return None

    def _tool(self, number: int, name: str) -> float:
        tool = self.state.tools.tools.get(number)
        return 0.0 if tool is None else float(getattr(tool, name))

    def _write_system(self, index: int, value: float) -> bool:
        state = self.state
        mm = value * state.unit
        for low, high, base, name in (
            (2001, 2200, 2000, "length_wear"),
            (10001, 10999, 10000, "length_wear"),
            (2201, 2400, 2200, "length"),
            (11001, 11999, 11000, "length"),
            (12001, 12999, 12000, "radius_wear"),
            (13001, 13999, 13000, "radius"),
        ):
            if low <= index <= high:
                setattr(state.tools.row(index - base), name, mm)
                return True
        system = -1
        if 5201 <= index <= 5323 and 1 <= (index - 5200) % 20 <= 3:
            system, axis = (index - 5201) // 20, (index - 5201) % 20
        elif 7001 <= index <= 7943 and 1 <= (index - 7000) % 20 <= 3:
            system, axis = 101 + (index - 7001) // 20, (index - 7001) % 20
        if system < 0:
            return False
        before = state.offsets.external if system == 0 else state.offsets.systems.get(system, (0.0, 0.0, 0.0))
        zero = (*before[:axis], mm, *before[axis + 1 :])
        state.set_work_zero(system, (zero[0], zero[1], zero[2]))
        return True

    # LinuxCNC

    def exists_number(self, number: float | None) -> bool:
        """Whether there is a variable of that number."""
        return number is not None and 1 <= round(number) <= 5602

    def _get_linuxcnc(self, index: int) -> Value:
        state = self.state
        unit = state.unit
        if index > 5602:
            raise BlockFault("PS0115", f"#{index}")
        if index < 5061 or index in self.common:
            return self.common.get(index, 0.0)
        if 5061 <= index <= 5063:
            return state.skip[index - 5061] / unit
        if index == 5070:
            return 1.0 if state.skip_hit else 0.0
        if 5161 <= index <= 5163 or 5181 <= index <= 5183:
            point = state.offsets.references.get(1 if index < 5180 else 2, (0.0, 0.0, 0.0))
            return point[(index - 1) % 20] / unit
        if 5211 <= index <= 5213:
            return state.g92[index - 5211] / unit
        if index == 5210:
            return 1.0 if any(state.g92) else 0.0
        if index == 5220:
            return float(state.system)
        if 5221 <= index <= 5390:
            system, axis = (index - 5201) // 20, (index - 5201) % 20
            if axis < 3:
                return state.offsets.systems.get(system, (0.0, 0.0, 0.0))[axis] / unit
            return state.offsets.rotations_deg.get(system, 0.0) if axis == 9 else 0.0
        if index == 5400:
            return float(state.tool)
        if 5401 <= index <= 5403:
            return state.tools.length(state.tool)[index - 5401] / unit
        if index == 5410:
            return 2.0 * state.tools.radius(state.tool) / unit
        if 5420 <= index <= 5422:
            return state.work_now()[index - 5420] / unit
        return 0.0

    def get_named(self, name: str) -> Value:
        key = name.lower()
        table = self.global_names if key.startswith("_") else self.frame.names
        if key in table:
            return table[key]
        value = self._predefined(key)
        if value is None:
            raise BlockFault("PS0115", f"#<{key}> is not defined")
        return value

    def set_named(self, name: str, value: Value) -> None:
        key = name.lower()
        table = self.global_names if key.startswith("_") else self.frame.names
        if len(table) >= MOST_NAMES:
            raise BlockFault("PS0115", "too many named variables")
        table[key] = value

    def exists(self, name: str) -> bool:
        key = name.lower()
        table = self.global_names if key.startswith("_") else self.frame.names
        return key in table or self._predefined(key) is not None

    def _predefined(self, key: str) -> Value:
        """LinuxCNC's read-only names; None when there is no such name."""
        state = self.state
        if key in ("_x", "_y", "_z"):
            return state.work_now()[AXES.index(key[1])] / state.unit
        if key in ("_abs_x", "_abs_y", "_abs_z"):
            return state.machine_now()[AXES.index(key[-1])] / state.unit
        if key in ("_a", "_b", "_c", "_u", "_v", "_w"):
            return 0.0
        flags = {
            "_metric": state.unit == 1.0,
            "_imperial": state.unit != 1.0,
            "_absolute": state.absolute,
            "_incremental": not state.absolute,
            "_inverse_time": state.feed_mode == 930,
            "_units_per_minute": state.feed_mode == 940,
            "_units_per_rev": state.feed_mode == 950,
            "_spindle_on": state.direction != 0,
            "_spindle_cw": state.direction == 1,
            "_mist": state.mist,
            "_flood": state.flood,
            "_task": False,
            "_call_level": False,
            "_remap_level": False,
            "_speed_override": True,
            "_feed_override": True,
            "_adaptive_feed": False,
            "_feed_hold": True,
            "_lathe_diameter_mode": state.diameter_mode,
            "_lathe_radius_mode": not state.diameter_mode,
        }
        if key in flags:
            return float(flags[key])
        values = {
            "_vmajor": 2.9,
            "_vminor": 0.0,
            "_line": float(state.line),
            "_motion_mode": float(state.motion if state.motion >= 0 else 800),
            "_plane": float(state.plane),
            "_ccomp": 400.0 if state.compensation is None else 410.0,
            "_coord_system": 530.0 + 10.0 * state.system,
            "_feed": state.feed / state.unit,
            "_rpm": state.speed,
            "_tool": float(state.tool),
            "_current_tool": float(state.tool),
            "_current_pocket": float(state.tool),
            "_selected_tool": float(state.next_tool),
            "_selected_pocket": float(state.next_tool),
            "_tool_offset": float(any(state.tool_offset)),
            "_value": self.common.get(-1, 0.0),
            "_value_returned": self.common.get(-2, 0.0),
        }
        value = values.get(key)
        return value if value is None or math.isfinite(value) else 0.0


class MacroAlarm(BlockFault):
    """#3000 = n: the program's own alarm; its text is the comment of the block."""

    def __init__(self, number: int) -> None:
        super().__init__(f"MC{number}", "MACRO ALARM")
