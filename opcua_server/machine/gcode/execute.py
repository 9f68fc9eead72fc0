"""One block's words to state and moves, in the order a control takes them.

F S T M6 | M3-M5 M7-M9 M19 | G4 | plane, units, G40-42, G43-49, G54.. | G90/91, G98/99 | G10 G28 G92 .. | motion | M0 M1 M2 M30
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from opcua_server.machine.gcode import coordinates, corners, cycles, extended, motion, refused, scaling
from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.blocks import Block
from opcua_server.machine.gcode.codes import GROUPS
from opcua_server.machine.gcode.compensation import Compensation
from opcua_server.machine.gcode.m_codes import check_m, dwell, early_m, select_tool
from opcua_server.machine.gcode.state import PLANES, State
from opcua_server.machine.moves import OPTIONAL, Move

AXIS_WORDS = frozenset("XYZABCUVW@^")
MAKES_ARC = frozenset("XYZIJKR")
UNUSED_WORDS = {"fanuc": frozenset("EUVW"), "linuxcnc": frozenset("UVW")}
"""Addresses no axis or function of this machine has; a macro call may use them."""
END_CODES = frozenset((2, 30))
FLOW_CODES = frozenset((98, 99))
NO_MOTION_WITH = frozenset((40, 100, 280, 281, 300, 301, 520, 920, 650, 270, 290))
"""Codes that use the block's axis words themselves."""
STOPS = frozenset((0, 1, 60))
TAKES_AXES = frozenset((100, 280, 300, 520, 920))
"""Those of them that LinuxCNC accepts beside no motion code."""


def group_codes(state: State, block: Block) -> tuple[dict[str, int], list[int]]:
    """The block's G codes by modal group, and those that act once. Raises PS0010."""
    table = GROUPS[state.dialect.name]
    groups: dict[str, int] = {}
    once: list[int] = []
    for code in block.g:
        group = table.get(code)
        if group is None:
            raise BlockFault("PS0010", f"G{code / 10:g}")
        if group == "once":
            once.append(code)
        else:
            if group in groups and groups[group] != code:
                # G80 beside another motion code is that code's shadow: both controls read "G0 G80" as G0.
                if code == 800:
                    continue
                if groups[group] != 800 and not state.dialect.macro_b:
                    raise BlockFault("PS5074", f"G{groups[group] / 10:g} and G{code / 10:g}")
            groups[group] = code
    return groups, once


def execute(state: State, block: Block, words: dict[str, float], *, optional_stop: bool) -> Iterator[Move] | list[Move]:
    """The moves of one block. Everything that can raise an alarm is done before the first move leaves."""
    out: list[Move] = []
    groups, once = group_codes(state, block)
    for code in block.m:
        check_m(state, code)
    unused = UNUSED_WORDS[state.dialect.name]
    if not unused.isdisjoint(words) and 40 not in once:
        raise BlockFault("PS0009", "".join(sorted(unused.intersection(words))))
    has_axes = not AXIS_WORDS.isdisjoint(words)
    if not state.dialect.macro_b:
        refused.check(state, block, words, groups, once, has_axes=has_axes)
    waiting = state.corner
    if waiting is not None:
        corners.check_next(state, words, groups, once, block.m)
    for message in block.messages:
        state.emit_still(out, "message", text=message)
    if "feed mode" in groups:
        state.feed_mode = groups["feed mode"]
        state.inverse_time = 0.0
        if not state.dialect.macro_b:  # LinuxCNC forgets the feed with each of them, even if the mode stays.
            state.feed, state.feed_required = 0.0, True
        state.changed()
    if "F" in words:
        _set_feed(state, words["F"])
    elif state.feed_mode == 930:
        state.inverse_time = 0.0
    if "S" in words:
        if words["S"] < 0.0:
            raise BlockFault("PS0006", "S")
        state.speed = words["S"]
        state.changed()
        state.emit_still(out, "spindle")
    if "T" in words:
        select_tool(state, words["T"])
    for code in block.m:
        early_m(state, out, code, words)
    if 40 in once:
        dwell(state, out, words, block.pointless)
        has_axes = not AXIS_WORDS.isdisjoint(words)
    if "plane" in groups and groups["plane"] != state.plane:
        if state.compensation is not None:
            raise BlockFault("PS0037")
        state.plane = groups["plane"]
        state.changed()
    if "units" in groups:
        state.unit = 25.4 if groups["units"] == 200 else 1.0
        state.changed()
    if "lathe" in groups:
        state.diameter_mode = groups["lathe"] == 70
        state.changed()
    if "arc distance" in groups:
        state.ijk_absolute = groups["arc distance"] == 901
    if "compensation" in groups:
        if state.dialect.macro_b and groups.get("motion", state.motion) in (20, 30) and not MAKES_ARC.isdisjoint(words):
            raise BlockFault("PS0034")
        _set_compensation(state, out, groups["compensation"], words)
    elif "D" in words and state.dialect.macro_b:
        state.offset_number = _offset_number(state, words["D"])
        if state.compensation is not None:
            state.compensation.radius = state.tools.radius(state.offset_number)
    if "length" in groups:
        coordinates.length_compensation(state, groups["length"], words)
        if groups["length"] == 431:
            words = {address: value for address, value in words.items() if address not in AXIS_WORDS}
            has_axes = False
    elif "H" in words and state.dialect.macro_b:
        if state.groups.get("length", 490) != 490:
            coordinates.new_length(state, words)
        elif not 0 <= words["H"] <= state.tools.largest_offset:
            raise BlockFault("PS0030", f"H{words['H']:g}")
        else:
            state.h = round(words["H"])
    if "work" in groups:
        coordinates.select_system(state, groups["work"], words)
    if "path" in groups:
        state.exact_stop = groups["path"] in (610, 611)
        state.groups["path"] = groups["path"]
        state.changed()
    if "surface speed" in groups:
        state.groups["surface speed"] = groups["surface speed"]
        state.changed()
    if "distance" in groups:
        state.absolute = groups["distance"] == 900
        state.changed()
    if "return" in groups:
        state.retract_initial = groups["return"] == 980
        state.changed()
    if "polar" in groups:
        state.polar = groups["polar"] == 160
        state.groups["polar"] = groups["polar"]
        state.changed()
    exact_once = 90 in once or 600 in once
    if exact_once:
        state.exact_once = True
        state.changed()
    result = _act(state, block, words, groups, once, out, has_axes=has_axes)
    if waiting is not None and state.corner is waiting and (block.g or words.keys() - {"N"}):
        raise BlockFault("PS0051")
    if exact_once:
        state.exact_once = False
        state.changed()
    for code in block.m:
        if code in STOPS:
            if state.compensation is not None and not state.dialect.macro_b:
                # The path before a stop ends beside its programmed end, whatever follows: LinuxCNC does not look beyond.
                state.compensation.flush(state, out)
            if code != 1 or optional_stop:
                state.emit_still(out, "stop", text=OPTIONAL if code == 1 else "")
        elif code in END_CODES:
            if state.compensation is not None:
                state.compensation.close(state, out)
            state.emit_still(out, "end")
    return result if result is not None else out


def _act(
    state: State,
    block: Block,
    words: dict[str, float],
    groups: dict[str, int],
    once: list[int],
    out: list[Move],
    *,
    has_axes: bool,
) -> Iterator[Move] | None:
    """Non-modal codes with axis words, rotation, and motion. A cycle comes back as a generator."""
    code = groups.get("motion", -1)
    users = [each for each in once if each in NO_MOTION_WITH and each != 40]
    if 920 in users and "S" in words and not has_axes and state.dialect.macro_b:
        users.remove(920)  # G92 S: the greatest spindle speed under G96, on which no move depends.
    both = code >= 0 and code != 800 and not state.dialect.macro_b and not TAKES_AXES.isdisjoint(users)
    if len(users) > 1 or both:
        raise BlockFault("PS0010", "two G codes that use the axis words")
    if "rotation" in groups:
        if state.compensation is not None:
            raise BlockFault("PS0037", "G68/G69 in cutter compensation")
        if groups["rotation"] == 690:
            coordinates.unrotate(state)
        else:
            coordinates.rotate(state, words)
            has_axes = False
    if "scaling" in groups or "mirror" in groups:
        has_axes = scaling.select(state, groups, words, block.pointless) and has_axes
    if users:
        _use_axes(state, out, users[0], words)
        if users[0] in (281, 301) and not state.dialect.macro_b:
            users = []  # They keep the place as it is, and leave the axis words to the motion that holds.
        else:
            has_axes = False
    for each in once:
        if each in (921, 922, 923):
            coordinates.preset(state, each, words)
    if code in (50, 51) and has_axes:
        # A spline leaves the motion mode as it was.
        return extended.spline(state, words, cubic=code == 50)
    if code == 53:
        state.motion = code
        return extended.finish_nurbs(state)
    if code >= 0:
        _set_motion(state, code)
        if code == 52 and not has_axes:
            extended.move(state, out, code, words)
    if 310 in once or any(311 <= each <= 313 for each in once):
        _skip_move(state, out, words)
        return None
    if 600 in once:
        # Positioning from one direction: rapid, with a stop; the way beyond (FANUC parameter 5440) is none as delivered.
        if has_axes:
            motion.straight(state, out, rapid=True, end=motion.target(state, words))
        return None
    if 530 in once:
        if state.motion not in (0, 10) and not state.dialect.macro_b:
            raise BlockFault("PS0010", "G53 with other than G0 or G1")
        if has_axes and (state.absolute or not state.dialect.macro_b):  # A FANUC passes over a G53 under G91.
            if state.compensation is not None:
                raise BlockFault("PS0037", "G53 in cutter compensation")
            end = coordinates.machine_target(state, words)
            motion.straight(state, out, rapid=state.motion != 10, end=end)
        return None
    if users:
        return None
    active = state.motion
    exit_place = state.exit_place
    if exit_place is not None and has_axes:
        _take_offset_back(state, words)
    if active in (20, 30):
        if exit_place is not None and has_axes and not state.dialect.macro_b:
            raise BlockFault("PS0034", "the first move after G40 is straight")
        if has_axes or "I" in words or "J" in words or "K" in words:
            motion.arc(state, out, words, clockwise=active == 20, corner=corners.wanted(state, words))
        elif code >= 0 and not state.dialect.macro_b:
            raise BlockFault("PS0022")
        return None
    if not has_axes:
        if code in (0, 10) and state.compensation is None:
            # A bare G0 or G1 is a move of no length; F is not needed for it.
            state.emit(out, "rapid" if code == 0 else "feed", state.work_now(), 0.0 if code == 0 else state.feed)
        if code >= 810 and not state.dialect.macro_b:
            raise BlockFault("PS0058", "cycle without an axis")
        if code in cycles.CYCLES:
            for address in cycles.KEPT:
                if address in words:
                    state.cycle[address] = words[address]
        return None
    if active in (0, 10):
        corner = corners.wanted(state, words)
        if corner is not None and active == 0:
            raise BlockFault("PS0009", ",R or ,C with G0")
        motion.straight(state, out, rapid=active == 0, end=motion.target(state, words), corner=corner)
    elif active in cycles.CYCLES and (active != 760 or state.dialect.macro_b):
        if active == 870 and not state.dialect.macro_b:
            raise BlockFault("PS0010", "G87")
        before = list(out)
        moves = cycles.cycle(state, words, block.pointless)
        out.clear()
        return _chain(before, moves, out)
    elif active < 0 or active == 800:
        raise BlockFault("PS0010", "axis words without a motion code")
    else:
        before = list(out)
        made: list[Move] = []
        following = extended.move(state, made, active, words)
        out.clear()
        return _chain(before, following if following is not None else iter(made), out)
    return None


def _take_offset_back(state: State, words: dict[str, float]) -> None:
    """The first move in the plane after G40 (FANUC) starts, in its program's eyes, from the programmed point."""
    first, second, _ = PLANES[state.plane]
    if state.exit_place is None or ("XYZ"[first] not in words and "XYZ"[second] not in words):
        return
    place = [state.x, state.y, state.z]
    place[first], place[second] = state.exit_place[first], state.exit_place[second]
    state.x, state.y, state.z = place
    state.exit_place = None
    state.changed()


def _chain(before: list[Move], moves: Iterator[Move], after: list[Move]) -> Iterator[Move]:
    yield from before
    yield from moves
    yield from after


def _set_motion(state: State, code: int) -> None:
    if code == 800:
        state.leave_cycle()
        state.rigid_tap = False
        state.motion = 0 if state.dialect.macro_b else -1
    else:
        state.thread_begins = state.thread_begins or state.motion != 330
        if code not in cycles.CYCLES:
            state.leave_cycle()
        elif code != state.motion:
            # A FANUC keeps what was said of the hole until G80, whatever cycle comes next.
            state.cycle = dict(state.cycle) if state.dialect.macro_b else {}
        state.motion = code
    state.changed()


def _use_axes(state: State, out: list[Move], code: int, words: dict[str, float]) -> None:
    if code == 100:
        if state.compensation is not None and state.dialect.macro_b:
            state.compensation.flush(state, out)
        coordinates.set_data(state, words)
    elif code in (280, 281, 300, 301, 270, 290):
        if state.motion in cycles.CYCLES and not state.dialect.reference_in_cycle:
            raise BlockFault("PS0044")
        if state.compensation is not None:
            if not state.dialect.macro_b:
                raise BlockFault("PS0037", "reference return in cutter compensation")
            state.compensation.flush(state, out)
        if code == 270:
            end = motion.target(state, words)
            state.emit(out, "rapid", state.to_work(end))
            state.x, state.y, state.z = end
        elif code == 290:
            coordinates.from_reference(state, out, words)
        else:
            coordinates.reference(state, out, code, words)
    elif code in (520, 920):
        if state.compensation is not None:
            state.compensation.flush(state, out)
        coordinates.preset(state, code, words)


def _skip_move(state: State, out: list[Move], words: dict[str, float]) -> None:
    """G31: straight at the feed until the skip signal; without one, to the end."""
    if state.compensation is not None:
        raise BlockFault("PS0035", "G31 in cutter compensation")
    end = motion.target(state, words)
    start = state.machine_now()
    work = state.to_work(end)
    feed = motion.cutting_feed(state, math.dist(state.work_now(), work))
    probe_to(state, out, start, work, feed)


def probe_to(
    state: State, out: list[Move], start: tuple[float, float, float], work: tuple[float, float, float], feed: float
) -> None:
    """A probing move; the position after it is where ``state.probe`` says the contact is, else the end."""
    state.emit(out, "probe", work, feed)
    machine = state.to_machine(work)
    hit = state.probe(start, machine) if state.probe is not None else None
    state.skip_hit = hit is not None
    if hit is not None:
        machine = hit
    state.stand_at(machine)
    state.skip = state.work_now()


def _set_feed(state: State, value: float) -> None:
    if value < 0.0:
        raise BlockFault("PS0006" if state.dialect.strict_addresses else "PS0011", "F")
    if state.feed_mode == 930:
        state.inverse_time = value
    else:
        # In the units before a G20 or G21 of the same block.
        state.feed = value * state.unit
    state.modal_cache = None


def _offset_number(state: State, value: float) -> int:
    number = round(value)
    if abs(number - value) > 1e-6:
        raise BlockFault("PS0007", "D")
    if not 0 <= number <= state.tools.largest_offset:
        raise BlockFault("PS0030", f"D{number}")
    return number


def _orientation(state: State, words: dict[str, float]) -> int:
    """L of G41.1 and G42.1: where the nose of a lathe's insert is measured, 0 or 9 at its centre."""
    if "L" not in words:
        return 0
    if state.plane != 180:
        raise BlockFault("PS0021", "L of G41.1 and G42.1 needs G18")
    if abs(words["L"] - round(words["L"])) > 1e-4:
        raise BlockFault("PS0009", f"L{words['L']:g}")
    return round(words["L"])


def _set_compensation(state: State, out: list[Move], code: int, words: dict[str, float]) -> None:
    state.groups["compensation"] = code
    if code == 400:
        if state.compensation is not None:
            state.compensation.finish(state, out)
            state.compensation = None
        state.changed()
        return
    side, orientation = 1 if code in (410, 411) else -1, 0
    if code in (411, 421):
        if "D" not in words:
            raise BlockFault("PS0030", "D")
        radius = words["D"] * state.unit / 2.0
        orientation = _orientation(state, words)
    else:
        if "D" in words:
            state.offset_number = _offset_number(state, words["D"])
        number = state.offset_number if state.dialect.macro_b else (round(words["D"]) if "D" in words else None)
        radius = state.tools.radius(state.tool if number is None else number)
    if state.compensation is not None:
        if not state.dialect.macro_b:
            raise BlockFault("PS0037", "cutter compensation is on already")
        state.compensation.side = -side if state.is_mirrored else side
        state.compensation.set_radius(radius)
        return
    if state.plane == 190 and not state.dialect.macro_b:
        raise BlockFault("PS0037")
    if state.g68 is not None and not state.g68.keeps(PLANES[state.plane][2]):
        raise BlockFault("PS0037", "cutter compensation in a tilted plane")
    if (radius < 0.0) != state.is_mirrored:
        side = -side
    radius = abs(radius)
    state.compensation = Compensation(state.plane, side, radius, orientation)
    state.changed()
