"""Programs for node: what they print last, as JSON."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path


def answer(modules: Path, folder: Path, program: list[str]) -> dict[str, object]:
    """The last line that a program for node prints; fails with what it said otherwise."""
    done = subprocess.run(
        ["node", *program],
        env={**os.environ, "NODE_PATH": str(modules), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-1000:]
    found: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
