"""Limits that an installation sets itself: ``<data>/alarms.toml``, read at the start.

    [SpindleTemperature]
    High = 60.0            # in the signal's unit; false takes a limit away
    HighHigh = 75.0
    deadband = 2.0
    on_delay = 10.0        # seconds
    off_delay = 30.0

    [SpindleTemperature.severity]
    HighHigh = 900

What is not named keeps its value from the table. All that is wrong is said at once, with file and place; then nothing starts.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cnctwin.errors import ConfigurationError
from opcua_server.alarms.limits import LEVELS, Limits, problems
from opcua_server.alarms.table import TABLE, LimitAlarm

NAME: Final = "alarms.toml"
MAX_BYTES: Final = 64 << 10
_NUMBERS: Final = ("deadband", "on_delay", "off_delay")


def read(data: Path) -> tuple[LimitAlarm, ...]:
    """The table, with the limits of an installation where it has any. Raises ConfigurationError."""
    path = data / NAME
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return TABLE
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(raw) > MAX_BYTES:
        raise ConfigurationError([f"{path}: has more than {MAX_BYTES} bytes"])
    try:
        content = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: is no UTF-8 text: byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path}: is no TOML: {error}"]) from error
    wrong: list[str] = []
    known = {alarm.name: alarm for alarm in TABLE}
    for name, given in content.items():
        if name not in known:
            wrong.append(f"[{name}]: there is no such alarm; there are {', '.join(known)}")
        elif not isinstance(given, dict):
            wrong.append(f"{name}: must be a section [{name}] with limits")
        else:
            known[name], found = _changed(known[name], given)
            wrong += [f"[{name}] {one}" for one in found]
    if wrong:
        raise ConfigurationError([f"{path}: {one}" for one in wrong])
    return tuple(known.values())


def _changed(alarm: LimitAlarm, given: dict[str, Any]) -> tuple[LimitAlarm, list[str]]:
    wrong: list[str] = []
    at, severity = dict(alarm.limits.at), dict(alarm.limits.severity)
    numbers = {"deadband": alarm.limits.deadband, "on_delay": alarm.limits.on_delay_s, "off_delay": alarm.limits.off_delay_s}
    for key, value in given.items():
        if key in LEVELS and value is False:
            at.pop(key, None)
        elif key in LEVELS or key in _NUMBERS:
            if isinstance(value, bool) or not isinstance(value, int | float):
                wrong.append(f"{key}: must be a number, not {value!r}"[:200])
            elif key in LEVELS:
                at[key] = float(value)
            else:
                numbers[key] = float(value)
        elif key == "severity" and isinstance(value, dict):
            wrong += _severities(severity, value)
        else:
            wrong.append(f"{key}: is not known; there are {', '.join([*LEVELS, *_NUMBERS, 'severity'])}")
    usual = next(iter(alarm.limits.severity.values()))
    chosen = {level: severity.get(level, usual) for level in at}
    limits = Limits(at, chosen, numbers["deadband"], numbers["on_delay"], numbers["off_delay"])
    return replace(alarm, limits=limits), wrong or problems(limits, alarm.row.low, alarm.row.high)


def _severities(severity: dict[str, int], given: dict[str, Any]) -> list[str]:
    wrong = []
    for level, value in given.items():
        if level not in LEVELS:
            wrong.append(f"severity.{level}: is not known; there are {', '.join(LEVELS)}")
        elif isinstance(value, bool) or not isinstance(value, int):
            wrong.append(f"severity.{level}: must be a whole number, not {value!r}"[:200])
        else:
            severity[level] = value
    return wrong
