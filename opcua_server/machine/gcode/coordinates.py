"""Codes that shift the chain of coordinates or go to a reference point: G10, G28, G30, G43, G52, G54, G68, G92."""

from __future__ import annotations

import math

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.motion import target
from opcua_server.machine.gcode.rotation import about
from opcua_server.machine.gcode.state import NORMALS, PLANES, State
from opcua_server.machine.gcode.tables import ZERO
from opcua_server.machine.moves import Move, Point

AXES = "XYZ"
ALL_AXES = "XYZABCUVW"


def select_system(state: State, code: int, words: dict[str, float]) -> None:
    """G54 to G59, G54.1 P1-P48, and LinuxCNC's G59.1 to G59.3."""
    here = state.programmed_now()
    if code == 541 or (code == 540 and "P" in words and state.dialect.macro_b):
        number = round(words.get("P", 1.0))
        if not 1 <= number <= 48:
            raise BlockFault("PS0030", "P of G54.1")
        state.system = 100 + number
    elif code > 590:
        state.system = code - 590 + 6
    else:
        state.system = code // 10 - 53
    state.groups["work"] = code
    state.refresh()
    state.stand_at(here)


def length_compensation(state: State, code: int, words: dict[str, float]) -> None:
    """G43, G44 H and G49. The machine stands still; the work coordinates change."""
    here = state.programmed_now()
    if code == 490:
        state.tool_offset = ZERO
    elif code == 431:
        offset = tuple(words.get(axis, 0.0) * state.unit for axis in AXES)
        kept = state.tool_offset
        state.tool_offset = (
            offset[0] if "X" in words else kept[0],
            offset[1] if "Y" in words else kept[1],
            offset[2] if "Z" in words else kept[2],
        )
    else:
        if "H" in words:
            number = round(words["H"])
        else:
            number = state.h if state.h and state.dialect.macro_b else state.tool
        if not 0 <= number <= state.tools.largest_offset:
            raise BlockFault("PS0030", f"H{number}")
        state.h = number
        x, y, z = state.tools.length(number)
        if code == 432:
            kept = state.tool_offset
            state.tool_offset = (kept[0] + x, kept[1] + y, kept[2] + z)
        else:
            sign = -1.0 if code == 440 else 1.0
            state.tool_offset = (sign * x, sign * y, sign * z)
    state.groups["length"] = code
    state.offset_unit = state.unit
    state.refresh()
    state.stand_at(here)


def new_length(state: State, words: dict[str, float]) -> None:
    """An H word of its own while G43 or G44 is active (FANUC)."""
    length_compensation(state, state.groups["length"], words)


def preset(state: State, code: int, words: dict[str, float]) -> None:
    """G52, G92 and G92.1 to G92.3."""
    here = state.programmed_now()
    unit = state.unit
    if code == 520:
        if not any(axis in words for axis in ALL_AXES):
            raise BlockFault("PS0009" if state.dialect.macro_b else "PS0005", "G52 without an axis")
        moved = list(state.g52 if state.dialect.macro_b else state.g92)
        for i, axis in enumerate(AXES):
            if axis in words:
                moved[i] = words[axis] * unit
        if state.dialect.macro_b:
            state.g52 = (moved[0], moved[1], moved[2])
        else:  # LinuxCNC has one offset for both.
            state.g92 = state.g92_kept = (moved[0], moved[1], moved[2])
    elif code == 920:
        if not any(axis in words for axis in ALL_AXES):
            raise BlockFault("PS0005", "G92 without an axis")
        work = state.work_now()
        moved = list(state.g92)
        for i, axis in enumerate(AXES):
            if axis in words:
                moved[i] += work[i] - words[axis] * unit
        state.g92 = state.g92_kept = (moved[0], moved[1], moved[2])
    elif code == 923:
        state.g92 = state.g92_kept
    else:
        state.g92 = ZERO
        if code == 921:
            state.g92_kept = ZERO
    state.refresh()
    state.stand_at(here)


def set_data(state: State, words: dict[str, float]) -> None:
    """G10: work zeros and tool offsets."""
    if "L" not in words:
        raise BlockFault("PS0031" if state.dialect.macro_b else "PS0010", "G10 without L")
    kind = round(words["L"])
    if kind == 2 or (kind == 20 and not state.dialect.g10_fanuc):
        _set_work(state, words, from_position=kind == 20)
    elif kind == 20:
        number = round(words.get("P", 0.0))
        if not 1 <= number <= 48:
            raise BlockFault("PS0031", "P of G10 L20")
        _write_zero(state, 100 + number, words)
    elif kind in (1, 10, 11) and (not state.dialect.g10_fanuc or any(axis in words for axis in AXES)):
        # With axis words it is RS274's form in either dialect.
        _set_tool(state, words, kind)
    elif state.dialect.g10_fanuc and kind in (1, 10, 11, 12, 13):
        number = round(words.get("P", 0.0))
        if not 1 <= number <= state.tools.largest_offset:
            raise BlockFault("PS0031", "P of G10")
        if "R" not in words:
            raise BlockFault("PS0031", "G10 without R")
        tool = state.tools.row(number)
        name = {1: "length_wear", 10: "length", 11: "length_wear", 12: "radius", 13: "radius_wear"}[kind]
        setattr(tool, name, words["R"] * state.unit + (0.0 if state.absolute else getattr(tool, name)))
    else:
        raise BlockFault("PS0010" if not state.dialect.macro_b else "PS0031", f"G10 L{kind}")


def _set_work(state: State, words: dict[str, float], *, from_position: bool) -> None:
    number = round(words.get("P", 0.0))
    if "P" in words and abs(words["P"] - number) > 1e-6:
        raise BlockFault("PS0007", "P of G10")
    if not 0 <= number <= (6 if state.dialect.g10_fanuc else 9):
        raise BlockFault("PS0031", "P of G10")
    if number == 0 and state.dialect.g10_fanuc and "R" not in words:
        _write_zero(state, 0, words)
        return
    system = number or state.system
    if "R" in words:
        here = state.programmed_now()
        state.offsets.rotations_deg[system] = words["R"]
        state.refresh()
        state.stand_at(here)
    if not from_position:
        _write_zero(state, system, words)
        return
    # L20: the value is what the position shall read in that system.
    machine = state.programmed_now()
    angle = math.radians(state.offsets.rotations_deg.get(system, 0.0))
    cosine, sine = math.cos(angle), math.sin(angle)
    old = state.offsets.systems.get(system, ZERO)
    shift, tool = state.g92, state.tool_offset
    external = state.offsets.external
    x, y, z = (machine[i] - old[i] - tool[i] - external[i] for i in range(3))
    reading = (x * cosine + y * sine, -x * sine + y * cosine, z)
    wanted = [words[axis] * state.unit + shift[i] + state.g52[i] if axis in words else reading[i] for i, axis in enumerate(AXES)]
    delta = [reading[i] - wanted[i] for i in range(3)]
    state.set_work_zero(
        system,
        (
            old[0] + delta[0] * cosine - delta[1] * sine,
            old[1] + delta[0] * sine + delta[1] * cosine,
            old[2] + delta[2],
        ),
    )


def _write_zero(state: State, system: int, words: dict[str, float]) -> None:
    old = state.offsets.external if system == 0 else state.offsets.systems.get(system, ZERO)
    add = state.dialect.g10_fanuc and not state.absolute
    zero = [words[axis] * state.unit + (old[i] if add else 0.0) if axis in words else old[i] for i, axis in enumerate(AXES)]
    state.set_work_zero(system, (zero[0], zero[1], zero[2]))


def _set_tool(state: State, words: dict[str, float], kind: int) -> None:
    """LinuxCNC's G10 L1, L10, L11: a row of the tool table, given or from where the tool stands."""
    if "P" not in words:
        raise BlockFault("PS0009", "G10 without P")
    number = round(words["P"])
    if number < 0 or number > state.tools.largest_offset:
        raise BlockFault("PS0031", "P of G10")
    tool = state.tools.row(number)
    x, y, z = state.tools.length(number)
    offset = [x, y, z]
    machine = state.programmed_now()
    zero = state.offsets.zero(state.system) if kind == 10 else state.offsets.zero(9)
    shift = state.g92 if kind == 10 else ZERO
    for i, axis in enumerate(AXES):
        if axis in words:
            value = words[axis] * state.unit
            offset[i] = value if kind == 1 else machine[i] - zero[i] - shift[i] - value
    tool.offset = (offset[0], offset[1], offset[2])
    tool.length = tool.length_wear = 0.0
    if "R" in words:
        tool.radius, tool.radius_wear = words["R"] * state.unit, 0.0


def reference(state: State, out: list[Move], code: int, words: dict[str, float]) -> None:
    """G28 and G30: over the intermediate point to the reference point; G28.1 and G30.1 (LinuxCNC) store it."""
    number = 1 if code < 290 else 2
    if code in (281, 301):
        if state.dialect.macro_b and code == 301 and "P" in words:
            raise BlockFault("PS0010")
        state.offsets.references[number] = state.machine_now()
        return
    if code == 300 and "P" in words and state.dialect.macro_b:
        number = round(words["P"])
        if not 2 <= number <= 4:
            raise BlockFault("PS0046", "P of G30")
    named = [axis in words for axis in AXES]
    if not any(axis in words for axis in ALL_AXES):
        named = [True, True, True]
    middle = target(state, words)
    state.middle = middle
    state.emit(out, "rapid", state.to_work(middle))
    state.x, state.y, state.z = middle
    # Axes are those of the work coordinates: under a rotated work system the others stay where the program sees them.
    here = state.actual_work_now()
    home = state.from_machine(state.offsets.references.get(number, ZERO))
    aim = [home[i] if named[i] else here[i] for i in range(3)]
    end = (aim[0], aim[1], aim[2])
    state.emit(out, "rapid", end)
    state.stand_at(state.to_machine(end))


def from_reference(state: State, out: list[Move], words: dict[str, float]) -> None:
    """G29: from the reference point over the intermediate point of the last G28 or G30 to the point given."""
    if state.middle is None:
        raise BlockFault("PS0305", "G29 before G28")
    here = (state.x, state.y, state.z)
    middle = tuple(way if axis in words else stay for axis, way, stay in zip(AXES, state.middle, here, strict=True))
    for end in (middle, None):
        # Incremental values count from the intermediate point.
        x, y, z = end if end is not None else target(state, words)
        state.emit(out, "rapid", state.to_work((x, y, z)))
        state.x, state.y, state.z = x, y, z


def machine_target(state: State, words: dict[str, float]) -> Point:
    """End point of a G53 block, in program coordinates."""
    aim = list(state.machine_now())
    # LinuxCNC 2.9 takes a length offset chosen in the other unit for one in this unit, in G53 only.
    taken = state.unit / state.offset_unit if not state.dialect.macro_b else 1.0
    slip = [tool * (1.0 - taken) for tool in state.tool_offset]
    for i, axis in enumerate(AXES):
        if axis in words:
            aim[i] = words[axis] * state.unit * (0.5 if state.diameter_mode and i == 0 else 1.0) + slip[i]
    return state.from_work(state.from_machine((aim[0], aim[1], aim[2])))


def rotate(state: State, words: dict[str, float]) -> None:
    """G68: turn what follows by R degrees about the centre given in the plane; with I, J, K about a line in space.

    A second G68 with I, J, K stands within the first; each other one begins anew.
    """
    in_space = any(letter in words for letter in "IJK")
    first, second, third = PLANES[state.plane]
    here = state.programmed_now()
    outer = state.g68 if in_space else None
    angle = words.get("R", 0.0)
    if not in_space and state.dialect.rotation_r_incremental and not state.absolute and state.g68 is not None:
        angle += state.g68.angle_deg
    if not in_space:
        state.g68 = None
        state.stand_at(here)
    position = (state.x, state.y, state.z)
    centre = list(position)
    for axis in (0, 1, 2) if in_space else (first, second):
        if AXES[axis] in words:
            centre[axis] = words[AXES[axis]] * state.unit + (0.0 if state.absolute else position[axis])
    if in_space:
        along = [words.get(letter, 0.0) for letter in "IJK"]
        length = math.hypot(*along)
        if length == 0.0:
            raise BlockFault("PS0022", "I, J, K of G68")
        axis_of_turn = (along[0] / length, along[1] / length, along[2] / length)
    else:
        axis_of_turn = NORMALS[state.plane]
        centre[third] = 0.0
    middle: Point = (centre[0], centre[1], centre[2])
    if state.scaling is not None:
        middle = state.scaling(middle)
    state.g68 = about(middle, axis_of_turn, angle, outer)
    state.groups["rotation"] = 680
    state.changed()
    state.stand_at(here)


def unrotate(state: State) -> None:
    """G69."""
    here = state.programmed_now()
    state.g68 = None
    state.groups["rotation"] = 690
    state.changed()
    state.stand_at(here)
