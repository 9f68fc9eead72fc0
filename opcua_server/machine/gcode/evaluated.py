"""Expressions of a block, when it is run: words that are computed, and variables that it sets."""

from __future__ import annotations

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.blocks import LARGEST, LENGTHS, POINTLESS, Block
from opcua_server.machine.gcode.expressions import evaluate, rounded_to
from opcua_server.machine.gcode.state import State
from opcua_server.machine.gcode.variables import VariableStore


def computed(block: Block, state: State, variables: VariableStore) -> tuple[Block, dict[str, float]]:
    """The block with its expressions evaluated. A word whose value is vacant is as if it were not there."""
    words = dict(block.words)
    g, m, pointless = list(block.g), list(block.m), block.pointless
    for letter, code in block.computed:
        if letter in LENGTHS and state.dialect.macro_b:
            code = rounded_to(code, 0.0001 if 200 in block.g or (state.unit != 1.0 and 210 not in block.g) else 0.001)
        value = evaluate(code, variables)
        if value is None:
            continue
        if abs(value) > LARGEST:
            raise BlockFault("PS0110", letter)
        if letter == "G":
            if not 0.0 <= value < 1000.0:
                raise BlockFault("PS0010", f"G{value:g}")
            g.append(round(value * 10.0))
        elif letter == "M":
            if not 0.0 <= value < 10_000.0:
                raise BlockFault("PS0009", f"M{value:g}")
            m.append(round(value))
        else:
            words[letter] = value
            if letter in POINTLESS and value.is_integer():  # A variable carries no point: 500 is what P500 is.
                pointless += letter
    made = Block(words, tuple(g), tuple(m), assignments=block.assignments, order=block.order)
    made.pointless, made.messages = pointless, block.messages
    return made, words


def assign(block: Block, variables: VariableStore) -> None:
    """Set the variables that the block sets."""
    if variables.macro_b:
        for target, code in block.assignments:
            value = evaluate(code, variables)
            if isinstance(target, str):
                variables.set_named(target, value)
            else:
                variables.set(evaluate(target, variables), value)
        return
    # LinuxCNC: all values of a line are read before the first is written.
    pairs = [
        (target if isinstance(target, str) else evaluate(target, variables), evaluate(code, variables))
        for target, code in block.assignments
    ]
    for place, value in pairs:
        if isinstance(place, str):
            variables.set_named(place, value)
        else:
            variables.set(place, value)
