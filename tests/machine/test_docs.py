"""docs/machine.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from opcua_server.machine.faults import FAULTS
from opcua_server.machine.parameters import MACHINES
from opcua_server.machine.process.blank import STOCK_COMMENT, read_blank
from opcua_server.machine.process.materials import MATERIALS
from opcua_server.machine.tools import CUTTERS, ToolType

from .running import DEMOS

PAGE = (Path(__file__).parents[2] / "docs" / "machine.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("t", CUTTERS.values(), ids=lambda t: f"T{t.number}")
def test_page_lists_the_tool(t: ToolType) -> None:

    assert f"| T{t.number} | {t.name} | {t.kind} | {t.diameter_mm:g} | {t.teeth} | {t.length_mm:g} |" in PAGE


def test_page_lists_every_fault_material_and_program() -> None:
    for fault in FAULTS.values():
        shows = ", ".join(f"`{one.signal}` {one.direction}" for one in fault.expected)
        assert f"| `{fault.name}` | {fault.title} | `{fault.root_cause}` | {shows} | " in PAGE
        for code in fault.alarms:
            assert f"| `{code}` |" in PAGE
    for material in MATERIALS.values():
        assert f"| {material.name} | {material.kc11:g} | {material.mc:g} |" in PAGE
    for program in DEMOS:
        assert f"| `{program}` |" in PAGE


def test_page_lists_every_machine_of_the_estimate() -> None:
    for machine in MACHINES.values():
        rapid = machine.limits[0].velocity_mm_s * 60.0 / 1000.0
        accelerations = ", ".join(f"{limit.acceleration_mm_s2 / 1000.0:g}" for limit in machine.limits)
        assert f"| `{machine.name}` | {rapid:.4g} | {accelerations} |" in PAGE


def test_stock_comment_on_the_page_is_one_the_machine_reads() -> None:
    shown = STOCK_COMMENT.search(PAGE)
    assert shown is not None
    assert read_blank(shown[0]) is not None


@pytest.mark.parametrize("name", sorted(DEMOS))
def test_every_demo_program_names_its_blank(name: str) -> None:
    assert read_blank(DEMOS[name]) is not None
