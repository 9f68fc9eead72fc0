"""A real browser on a real gateway whose machines the test plays."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

from fake_link import FakeLink
from gate import Gate, opened
from playwright.sync_api import Browser, expect, sync_playwright
from watched import Watched

PATIENCE_MS = 60_000
"""A machine that tests elsewhere at the same time takes seconds for what takes milliseconds; only a failure waits that long."""
expect.set_options(timeout=PATIENCE_MS)
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: install the Debian package chromium to test the page")
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """One gateway with the machine CNC-001, whose signals have all been shown once."""
    with opened(tmp_path, FakeLink(period_s=None)) as running:
        running.play(running.link.moment("CNC-001"))
        yield running


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    yield Watched(context.new_page())
    context.close()
