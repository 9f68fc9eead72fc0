"""The unit of systemd in deploy/ fits the command that it starts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnctwin.errors import ConfigurationError, StartError
from cnctwin.supervisor import GRACE_S


def told(clone: Path) -> dict[str, str]:
    lines = (clone / "deploy" / "cnctwin.service").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_the_unit_starts_a_command_that_is_there_and_gives_up_where_only_a_person_can_help(clone: Path) -> None:
    unit = told(clone)
    program, *arguments = unit["ExecStart"].split()
    assert Path(program).name == "cnctwin"
    assert subprocess.run([sys.executable, "-m", "cnctwin", *arguments, "--help"], capture_output=True, check=False).returncode == 0
    assert unit["RestartPreventExitStatus"] == f"{ConfigurationError.exit_code} {StartError.exit_code}"
    assert float(unit["TimeoutStopSec"]) > GRACE_S + 1
    assert unit["Environment"].split("=") == ["CNCTWIN_DATA", f"/var/lib/{unit['StateDirectory']}"]


def test_systemd_takes_the_unit(clone: Path, tmp_path: Path) -> None:
    judge = shutil.which("systemd-analyze")
    if judge is None:
        pytest.skip("no systemd-analyze here: install systemd to let it judge the unit")
    # It wants the program to be there.
    unit = tmp_path / "cnctwin.service"
    text = (clone / "deploy" / "cnctwin.service").read_text("utf-8")
    unit.write_text(text.replace("/opt/cnctwin/bin/cnctwin", "/bin/true"))
    done = subprocess.run([judge, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
