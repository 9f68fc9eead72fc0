"""docs/signals.md, written from the catalogue and the methods."""

from __future__ import annotations

from nodesets.catalogue import SIGNALS, Signal
from nodesets.generator import describe
from nodesets.methods import METHODS

_HEAD = """# Signals and commands

<!-- Written by `cnctwin nodesets build` from nodesets/catalogue.py and nodesets/methods.py. Do not edit. -->

A name is the same everywhere: `Spindle/ActSpeed` is the browse path below `<machine>/Signals`, the tail of an MQTT topic and the
path of a REST resource. *Where* is the node in the official models, from the machine object; signals without one live in
`Signals` only. Access: r is read only, rw may be written by an operator, result is written by the analytics alone.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _row(signal: Signal) -> str:
    unit = signal.unit.symbol or "1" if signal.unit is not None else ""
    limits = f"{signal.low:g} … {signal.high:g}" if signal.low is not None and signal.high is not None else ""
    where = "<br>".join(f"`{path}`" for path in signal.nodes)
    history = "yes" if signal.historized else ""
    cells = [f"`{signal.name}`", signal.type, unit, limits, signal.access, history, _cell(signal.doc), where]
    return "| " + " | ".join(cells) + " |"


def signals_page() -> str:
    lines = [_HEAD]
    groups = list(dict.fromkeys(signal.name.split("/")[0] for signal in SIGNALS))
    for group in groups:
        lines += [f"## {group}", "", "| Name | Type | Unit | Range | Access | History | What it is | Where |"]
        lines.append("|---|---|---|---|---|---|---|---|")
        lines += [_row(signal) for signal in SIGNALS if signal.name.split("/")[0] == group]
        lines.append("")
    lines += ["## Commands", "", "Methods of `<machine>/Commands`.", ""]
    lines += ["| Method | Arguments | Role | What it does |", "|---|---|---|---|"]
    for method in METHODS:
        arguments = "<br>".join(f"`{a.name}` {a.type}: {_cell(describe(a))}" for a in method.inputs)
        lines.append(f"| `{method.name}` | {arguments} | {method.role} | {_cell(method.doc)} |")
    return "\n".join(lines) + "\n"
