"""What the documents say is what the code does."""

from __future__ import annotations

from pathlib import Path

from cnctwin.settings_page import page


def test_the_page_of_settings_is_as_the_command_writes_it(clone: Path) -> None:
    assert (clone / "docs" / "settings.md").read_text("utf-8") == page()
