"""What holds between blocks, as the operator and macros see it: the active G code of each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opcua_server.machine.gcode.state import State

DEFAULT_GROUPS: Final = (
    ("compensation", 400),
    ("length", 490),
    ("modal macro", 670),
    ("surface speed", 970),
    ("work", 540),
    ("path", 640),
    ("rotation", 690),
    ("polar", 150),
    ("scaling", 500),
    ("mirror", 501),
)
"""Groups that are kept by name, and their codes at the start."""


def g_codes(state: State) -> list[int]:
    """The active code of each group, times 10."""
    codes = [
        max(state.motion, 0) if state.motion >= 0 else 800,
        state.plane,
        900 if state.absolute else 910,
        state.feed_mode,
        210 if state.unit == 1.0 else 200,
        980 if state.retract_initial else 990,
    ]
    codes.extend(state.groups.get(group, code) for group, code in DEFAULT_GROUPS)
    return codes


def variable(state: State, group: int) -> float:
    """#4001 and on: the G code of a FANUC group, or the last word of an address."""
    by_group = {
        1: max(state.motion, 0) / 10.0,
        2: state.plane / 10.0,
        3: 90.0 if state.absolute else 91.0,
        5: state.feed_mode / 10.0,
        6: 21.0 if state.unit == 1.0 else 20.0,
        7: state.groups.get("compensation", 400) / 10.0,
        8: state.groups.get("length", 490) / 10.0,
        9: state.motion / 10.0 if state.motion >= 730 else 80.0,
        10: 98.0 if state.retract_initial else 99.0,
        11: state.groups.get("scaling", 500) / 10.0,
        12: state.groups.get("modal macro", 670) / 10.0,
        13: state.groups.get("surface speed", 970) / 10.0,
        14: state.groups.get("work", 540) / 10.0,
        15: state.groups.get("path", 640) / 10.0,
        16: state.groups.get("rotation", 690) / 10.0,
        17: state.groups.get("polar", 150) / 10.0,
        22: state.groups.get("mirror", 501) / 10.0,
        107: float(state.offset_number or 0),
        109: state.feed / state.unit,
        111: float(state.h),
        114: float(state.label_of("N")) if group == 114 else 0.0,
        115: float(state.label_of("O")) if group == 115 else 0.0,
        119: state.speed,
        130: float(state.system - 100) if state.system > 100 else 0.0,
        120: float(state.next_tool),
    }
    return by_group.get(group, 0.0)
