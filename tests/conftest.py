"""Fixtures of every room's tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.harness import CLONE

# A test never asserts a time: by itself hypothesis fails an example that takes 0.2 s, which on a busy machine any may.
settings.register_profile("cnctwin", settings.default, deadline=None)
settings.load_profile("cnctwin")


@pytest.fixture
def clone() -> Path:
    return CLONE


@pytest.fixture
def shared_data() -> Path:
    """The folder of measured data and programs beside the clone; skips where it is absent."""
    folder = Path(os.environ.get("CNCTWIN_SHARED_DATA", CLONE.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}: set CNCTWIN_SHARED_DATA to its folder")
    return folder
