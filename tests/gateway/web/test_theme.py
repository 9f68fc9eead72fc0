"""The colours of the page, dark and light: what is written in them can be read (WCAG 2.2, 1.4.3: 4.5 to 1)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gateway.web

CSS = (Path(gateway.web.__file__).parent / "static" / "theme.css").read_text("utf-8")


def colours(which: int) -> dict[str, str]:
    """Colours by name, of the dark theme (0) or the light one (1)."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", blocks[which]))


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(known: dict[str, str], written_in: str, on: str) -> float:
    light, dark = sorted((luminance(known[written_in]), luminance(known[on])), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("written_in", ["text", "soft", "faint", "accent", "good", "warn", "bad", "cut"])
@pytest.mark.parametrize("on", ["card", "well"])
def test_what_is_written_can_be_read(which: int, written_in: str, on: str) -> None:
    assert contrast(colours(which), written_in, on) >= 4.5


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("on", ["bad", "accent"])
def test_what_stands_on_a_colour_can_be_read(which: int, on: str) -> None:
    """The banner of alarms, the emergency stop, what is chosen."""
    assert contrast(colours(which), f"on-{on}", on) >= 4.5
