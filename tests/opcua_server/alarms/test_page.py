"""The page of alarms says what the table says, and names each method and each status there is."""

from __future__ import annotations

import re
from pathlib import Path

from opcua_server.alarms import branch, condition
from opcua_server.alarms.limits import LEVELS
from opcua_server.alarms.nodes import METHODS
from opcua_server.alarms.table import TABLE, LimitAlarm


def row(alarm: LimitAlarm) -> str:
    limits = alarm.limits
    there = [level for level in LEVELS if level in limits.at]
    symbol = f" {alarm.row.unit.symbol}" if alarm.row.unit and alarm.row.unit.symbol not in ("", "1") else ""
    cells = (
        f"`{alarm.name}`",
        f"`{alarm.signal}`" + (f", while `{alarm.only_while}`" if alarm.only_while else ""),
        ", ".join(f"{level} {limits.at[level]:g}" for level in there) + symbol,
        ", ".join(str(limits.severity[level]) for level in there),
        f"{limits.deadband:g}",
        f"{limits.on_delay_s:g} s, {limits.off_delay_s:g} s",
    )
    return f"| {' | '.join(cells)} |"


def test_the_page_has_the_rows_of_the_table(clone: Path) -> None:
    page = (clone / "docs" / "alarms.md").read_text("utf-8").partition("## Limit alarms")[2].partition("\n## ")[0]
    assert [line for line in page.splitlines() if line.startswith("| `")] == [row(alarm) for alarm in TABLE]


def test_the_page_names_every_method_and_every_refusal(clone: Path) -> None:
    page = (clone / "docs" / "alarms.md").read_text("utf-8")
    methods = "\n".join(line for line in page.splitlines() if line.startswith("| "))
    assert [name for name in METHODS if name not in methods] == []
    code = "".join(Path(one.__file__).read_text("utf-8") for one in (branch, condition))
    refusals = set(re.findall(r'Refused\("(\w+)"', code))
    assert len(refusals) == 11
    assert [name for name in refusals if name not in methods] == []
