"""What LinuxCNC refuses to read in a block, beyond what no control can do: words that nothing uses, two M codes of a kind, and
changes in cutter compensation. A FANUC passes over a word that it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opcua_server.machine.gcode.alarms import BlockFault

if TYPE_CHECKING:
    from opcua_server.machine.gcode.blocks import Block
    from opcua_server.machine.gcode.state import State

_CYCLES: Final = frozenset((730, 740, *range(810, 900)))
_ARCS: Final = frozenset((20, 30))
_SPLINES: Final = frozenset((50, 51))
_PORTS: Final = frozenset(range(50, 54))
_USERS: Final = frozenset(range(100, 200))
_WORDS_OF_G: Final[dict[str, frozenset[int]]] = {
    "D": frozenset((410, 411, 420, 421, 960)),
    "E": frozenset((760, 330, 331)),
    "H": frozenset((430, 432, 760)),
    "I": _ARCS | _SPLINES | {760, 870, 331, 100},
    "J": _ARCS | _SPLINES | {760, 870, 100},
    "K": _ARCS | {330, 331, 760, 870},
    "L": _CYCLES - {740} | {760, 52, 100, 410, 411, 420, 421},
    "P": _ARCS | {100, 40, 640, 760, 820, 860, 880, 890, 50, 52, 740, 840},
    "Q": frozenset((830, 730, 50, 760, 100, 640)),
    "R": _CYCLES | _ARCS | {760, 411, 421, 100},
}
"""Codes that use a word, times 10: in the block, or the motion that holds and is used."""
_WORDS_OF_M: Final[dict[str, frozenset[int]]] = {
    "E": frozenset((66, 67, 68)),
    "L": frozenset((66, 98)),
    "P": _PORTS | _USERS | {62, 63, 64, 65, 66, 19, 98},
    "Q": _USERS | {66, 67, 68, 61, 19},
    "R": frozenset((19,)),
}
_NONE: Final[frozenset[int]] = frozenset()
SPENT: Final = frozenset(_WORDS_OF_G)
"""Addresses that must have a use."""
_KINDS: Final[tuple[frozenset[int], ...]] = (
    frozenset((0, 1, 2, 30, 60, 99)),
    frozenset((6, 61)),
    frozenset((3, 4, 5, 19, 70, 71, 72, 73)),
    frozenset((7, 8, 9)),
    _PORTS | {48, 49},
    frozenset(range(62, 69)),
    _USERS,
)
"""M codes of which a block has one at most."""
_NOT_COMPENSATED_M: Final = frozenset((*range(48, 54), *range(62, 69)))
_NOT_COMPENSATED_GROUPS: Final = frozenset(("path", "length", "work", "return"))


def check(state: State, block: Block, words: dict[str, float], groups: dict[str, int], once: list[int], *, has_axes: bool) -> None:
    """Raises PS0009, PS0010, PS0037 or PS5074."""
    if len(block.m) > 1:
        for kind in _KINDS:
            if len(kind.intersection(block.m)) > 1:
                raise BlockFault("PS5074", "two M codes of one kind")
    if not SPENT.isdisjoint(words):
        used = {*groups.values(), *once}
        if "motion" not in groups and (has_axes or (state.motion in _ARCS and not words.keys().isdisjoint("IJK"))):
            used.add(state.motion)
        for address in SPENT.intersection(words):
            if used.isdisjoint(_WORDS_OF_G[address]) and _WORDS_OF_M.get(address, _NONE).isdisjoint(block.m):
                raise BlockFault("PS0009", f"nothing here uses {address}")
    if 530 in once and groups.get("distance", 900 if state.absolute else 910) != 900:
        raise BlockFault("PS0010", "G53 under G91")
    if state.compensation is not None:
        _check_compensated(state, block, words, groups, once)


def _check_compensated(state: State, block: Block, words: dict[str, float], groups: dict[str, int], once: list[int]) -> None:
    for code in block.m:
        if code in _NOT_COMPENSATED_M:
            raise BlockFault("PS0037", f"M{code} in cutter compensation")
    if not _NOT_COMPENSATED_GROUPS.isdisjoint(groups) or any(code in (520, 920) for code in once):
        raise BlockFault("PS0037", "a change of offsets or of the path's mode in cutter compensation")
    if 100 in once and round(words.get("L", 0.0)) in (2, 20) and round(words.get("P", 0.0)) in (0, state.system):
        raise BlockFault("PS0037", "a change of the active work zero in cutter compensation")


def standing_spindle(state: State) -> None:
    """Raises PS0200 if a move that needs the spindle finds it standing."""
    if not state.dialect.macro_b and state.direction == 0:
        raise BlockFault("PS0200", "the spindle stands")
