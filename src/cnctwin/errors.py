"""The errors a person sees. Each says what is wrong, where, and what to do; each has an exit code of its own.

CnctwinError                  anything the command reports in one line instead of a traceback
|-- ConfigurationError   2    the settings, files or certificates given: lists all problems at once
|-- StartError           3    this machine cannot run it now: port taken, no disk space, wrong Python
`-- ProgramError         4    a program ended by itself and cannot be restarted
"""

from __future__ import annotations

from collections.abc import Iterable


class CnctwinError(Exception):
    exit_code = 1


class ConfigurationError(CnctwinError):
    """``problems`` holds one line for each thing that is wrong, all of them, so that one run finds them all."""

    exit_code = 2

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class StartError(CnctwinError):
    exit_code = 3


class ProgramError(CnctwinError):
    exit_code = 4
