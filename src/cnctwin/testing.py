"""`cnctwin test`: install what the tests need, then run them.

The Python packages are pinned with hashes; a browser and a broker come from the system where they are there, or from Debian's
packages where this user may install them. What cannot be had is said here, and the tests that need it skip with that reason.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cnctwin.errors import StartError

SYSTEM: Final = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "mosquitto": ("mosquitto", "/usr/sbin/mosquitto")}
"""Debian package -> the programs of which one must be there."""
IN_PARALLEL: Final = ("--dist", "loadfile", "-n")
MOST_WORKERS: Final = 2
"""Each holds servers of its own, and a browser now and then."""


def run(arguments: Sequence[str]) -> int:
    """Run the tests of the clone this command belongs to; ``arguments`` go to pytest. Returns pytest's exit code.

    Without arguments all of them run, on two cores where there are two: a file's tests stay together, with the servers they share.
    """
    clone = find_clone()
    _install_packages(clone)
    _install_programs()
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    environment.pop("CNCTWIN_DATA", None)  # a test makes its own folder and never touches the user's
    wanted = list(arguments) or [*IN_PARALLEL, str(min(os.cpu_count() or 1, MOST_WORKERS))]
    return subprocess.run([sys.executable, "-m", "pytest", *wanted], cwd=clone, env=environment, check=False).returncode


def find_clone() -> Path:
    """The folder of the sources. Raises StartError where there is none: the installed package does not carry the tests."""
    for place in (os.environ.get("CNCTWIN_CLONE"), Path.cwd(), *Path.cwd().parents):
        if place and (Path(place) / "tests").is_dir() and (Path(place) / "requirements" / "test.txt").is_file():
            return Path(place)
    raise StartError(f"no tests in {Path.cwd()} or above: run `cnctwin test` in a clone of the project")


def _install_packages(clone: Path) -> None:
    requirements = clone / "requirements" / "test.txt"
    stamp = Path(sys.prefix) / ".tested-with"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print("Installing the packages that the tests need ...", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes"]
    done = subprocess.run([*command, "--only-binary", ":all:", "-r", str(requirements)], check=False)
    if done.returncode:
        raise StartError(f"installing {requirements.name} failed (pip's message is above); mend it and call again")
    stamp.write_text(wanted)


def _install_programs() -> None:
    missing = [package for package, names in SYSTEM.items() if not any(shutil.which(name) for name in names)]
    if not missing:
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        print(f"Installing {', '.join(missing)} ...", flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "-q", "update"], ["apt-get", "-q", "install", "-y", "--no-install-recommends", *missing]):
            done = subprocess.run(command, env=quiet, check=False, capture_output=True, text=True)
            if done.returncode:
                last = (done.stderr or done.stdout).strip().splitlines()[-1:]
                print(f"{' '.join(command[:3])}: {' '.join(last)}")
    for package, names in SYSTEM.items():
        if not any(shutil.which(name) for name in names):
            print(f"No {package} here: the tests that need it are skipped. To run them: install {package}.", flush=True)
