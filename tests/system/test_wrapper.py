"""The wrapper on a machine that is not as it should be: one clear line, a non-zero exit code, nothing half-installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = (
    "sh",
    "dirname",
    "pwd",
    "cat",
    "cksum",
    "mkdir",
    "rm",
    "awk",
    "grep",
    "printf",
    "tail",
    "sleep",
    "head",
    "kill",
    "tr",
    "chmod",
)


@pytest.fixture
def folder(tmp_path: Path, clone: Path) -> Path:
    """A clone that holds just what the wrapper reads, and a PATH with nothing but plain tools and a df that has room."""
    place, tools = tmp_path / "clone", tmp_path / "bin"
    (place / "requirements").mkdir(parents=True)
    tools.mkdir()
    for name in ("cnctwin", "pyproject.toml", "requirements/run.txt"):
        shutil.copy(clone / name, place / name)
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    script(tools / "df", 'echo "Filesystem 1024-blocks Used Available Capacity Mounted"; echo "x 9000000 1 8000000 1% /"')
    return place


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": str(place.parent / "bin"), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [place / "cnctwin", "up"], env={**base, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def left_behind(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()} - {"cnctwin", "pyproject.toml", "requirements"}


def test_no_python_is_said_with_a_way_out(folder: Path) -> None:
    done = run(folder)
    assert done.returncode == 3
    assert "needs Python 3.11, 3.12 or 3.13 and found no Python at all" in done.stderr
    assert left_behind(folder) == set()


def test_a_python_that_is_too_old_is_named(folder: Path) -> None:
    script(folder.parent / "bin" / "python3", 'if [ "$1" = --version ]; then echo "Python 3.9.2"; exit 0; fi; exit 1')
    done = run(folder)
    assert done.returncode == 3
    assert "found Python 3.9.2" in done.stderr
    assert left_behind(folder) == set()


def test_a_python_asked_for_that_does_not_fit_is_refused(folder: Path) -> None:
    script(folder.parent / "bin" / "other", "exit 1")
    done = run(folder, PYTHON="other")
    assert done.returncode == 3
    assert "PYTHON=other is not a Python 3.11, 3.12 or 3.13" in done.stderr


def test_a_full_disk_is_said_before_anything_is_installed(folder: Path) -> None:
    script(folder.parent / "bin" / "python3", 'if [ "$1" = --version ]; then echo "Python 3.12.1"; fi; exit 0')
    script(
        folder.parent / "bin" / "df", 'echo "Filesystem 1024-blocks Used Available Capacity Mounted"; echo "x 9000000 1 1000 99% /"'
    )
    done = run(folder)
    assert done.returncode == 3
    assert "has 1 MB free; make room" in done.stderr
    assert left_behind(folder) == set()


def test_an_installation_that_fails_is_said_and_starts_again_the_next_time(folder: Path) -> None:
    script(folder.parent / "bin" / "python3", 'if [ "$1" = --version ]; then echo "Python 3.12.1"; exit 0; fi; [ "$1" = -c ]')
    done = run(folder)
    assert done.returncode == 3
    assert "could not make" in done.stderr
    assert not (folder / ".venv.lock").exists()
    assert run(folder).returncode == 3


PIP = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError([Errno 111] Connection refused)'
ERROR: Could not find a version that satisfies the requirement aiosqlite==0.22.1 (from versions: none)
ERROR: No matching distribution found for aiosqlite==0.22.1
"""


def test_without_a_network_it_is_the_network_that_is_named(folder: Path) -> None:
    """pip's own last word is that there is no such package."""
    pip = folder.parent / "pip.txt"
    pip.write_text(PIP)
    made = folder.parent / "made"
    script(made, f'case "$*" in *pip*) cat {pip}; exit 1;; esac; exit 0')
    put = f'mkdir -p "$3/bin"; cat {made} > "$3/bin/python"; chmod +x "$3/bin/python"'
    script(folder.parent / "bin" / "python3", f'case "$1$2" in --version) echo "Python 3.12.1";; -mvenv) {put};; esac; exit 0')
    done = run(folder)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()[1:]
    assert "the package index cannot be reached" in line
    assert "PIP_INDEX_URL" in line
    assert ".venv.log" in line
    assert "aiosqlite" not in line
