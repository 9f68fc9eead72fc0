"""What a block does beside moving: tool, spindle, coolant, dwell."""

from __future__ import annotations

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.state import State
from opcua_server.machine.moves import ORIENTED_DEG, Move


def select_tool(state: State, value: float) -> None:
    """T: the tool that the next M6 brings. Raises EX1001 beyond the magazine."""
    number = round(value)
    if number < 0 or (state.tools.largest is not None and number > state.tools.largest):
        raise BlockFault("EX1001", f"T{number}")
    state.next_tool = number


def dwell(state: State, out: list[Move], words: dict[str, float], pointless: str) -> None:
    """G4: P, or X or U in seconds (FANUC), which are then no axis words. Of a FANUC without any of them: an exact stop."""
    if "P" in words:
        seconds = words["P"] * (0.001 if state.dialect.dwell_p_ms and "P" in pointless else 1.0)
    elif "X" in words and state.dialect.macro_b:
        seconds = words.pop("X")
    elif "U" in words and state.dialect.macro_b:
        seconds = words.pop("U")
    elif state.dialect.macro_b:
        seconds = 0.0
    else:
        raise BlockFault("PS0005", "G4 without P")
    if seconds < 0.0:
        raise BlockFault("PS0006", "dwell")
    if state.compensation is not None and state.dialect.macro_b:
        state.compensation.flush(state, out)
    state.emit_still(out, "dwell", dwell_s=seconds)


def check_m(state: State, code: int) -> None:
    """Raises EX1002 for a code that no machine of the dialect has."""
    if code > 999 or (not state.dialect.macro_b and code > 199):
        raise BlockFault("EX1002", f"M{code}")


def stop_angle_deg(state: State, words: dict[str, float]) -> float:
    """M19: R in degrees, or P (not of LinuxCNC, where it says which way to turn); without both where the arm takes the tool.
    Raises PS0009 beyond a turn."""
    address = "P" if "P" in words and "R" not in words and state.dialect.macro_b else "R"
    angle_deg = words.get(address, ORIENTED_DEG)
    if not 0.0 <= angle_deg <= 360.0:
        raise BlockFault("PS0009", f"{address}{angle_deg:g} of M19")
    return angle_deg % 360.0


def _rise_to_the_arm(state: State, out: list[Move]) -> None:
    x, y, z = state.machine_now()
    top = state.tools.change_z_mm
    if top is not None and z != top:
        state.emit(out, "rapid", state.from_machine((x, y, top)))
        state.stand_at((x, y, top))


def early_m(state: State, out: list[Move], code: int, words: dict[str, float]) -> None:
    """M codes that act before the block's motion."""
    if code in (3, 4, 5, 13, 14, 19):
        state.direction = {3: 1, 13: 1, 4: -1, 14: -1}.get(code, 0)
        state.angle_deg = stop_angle_deg(state, words) if code == 19 else None
        if code in (13, 14):
            state.flood = True
    elif code in (7, 8, 9):
        state.mist = code == 7 or (state.mist and code != 9)
        state.flood = code == 8 or (state.flood and code != 9)
    elif code in (48, 49):
        if state.overrides is (code == 48):
            return
        state.overrides = code == 48
        if not state.direction:
            state.changed()
            return
    elif code == 6:
        if state.compensation is not None:
            raise BlockFault("PS0037", "tool change in cutter compensation")
        _rise_to_the_arm(state, out)
        state.tool = state.next_tool
        state.h = 0
        state.direction, state.angle_deg = 0, None
        state.changed()
        state.emit_still(out, "toolchange", tool=state.tool)
        return
    elif code == 61:
        state.tool = round(words.get("Q", 0.0))
        state.changed()
        return
    elif code == 29:
        if state.speed <= 0.0:
            raise BlockFault("PS0203", "M29 without S")
        # From here on the spindle is an axis that goes in step with the tap: it stands, and turns in the holes only.
        state.rigid_tap = True
        state.direction, state.angle_deg = 0, None
    else:
        return
    state.changed()
    state.emit_still(out, "coolant" if code in (7, 8, 9) else "spindle")
