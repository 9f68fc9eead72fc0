"""Where node-opcua is: installed once for all tests that try it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = "node-opcua-client@2"


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where node-opcua is installed: NODE_OPCUA_MODULES, or a temporary folder."""
    given = os.environ.get("NODE_OPCUA_MODULES")
    if given:
        return Path(given)
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node-opcua is not tried: there is no node and npm here")
    folder = tmp_path_factory.mktemp("node")
    done = subprocess.run(
        [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"node-opcua is not tried: npm cannot install it: {done.stderr.strip()[-200:]}")
    return folder / "node_modules"
