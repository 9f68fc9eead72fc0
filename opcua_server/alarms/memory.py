"""Conditions as JSON data, and back: what survives a restart. Pure.

Kept is what a person did or has still to do: disabled, shelved, suppressed, out of service, comments, and every state that is
active, unacknowledged or unconfirmed, with its EventIds, so that a client may acknowledge afterwards what it was told before.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Final, get_args

from opcua_server.alarms.branch import Branch
from opcua_server.alarms.condition import Condition, Shelving

VERSION: Final = 1
_LATER: Final = ("suppressed", "suppressed_ns", "out_of_service", "out_of_service_ns", "latched", "latched_ns")
"""What a file of an earlier version does not have; nothing was suppressed or latched then."""
_PLAIN: Final = ("enabled", "enabled_ns", "made_branches", "quality", "quality_ns", "shelving", "unshelve_ns", *_LATER)
_TYPES: Final[dict[str, tuple[type, ...]]] = {"int": (int,), "bool": (bool,), "str": (str,), "str | None": (str, type(None))}
_KINDS: Final = {one.name: _TYPES[str(one.type)] for one in fields(Branch) if one.name != "event_ids"}

_MOST: Final = {"severity": 1001, "last_severity": 1001, "number": 1 << 31}
_LATEST_NS: Final = 4 * 10**18
"""In the year 2096."""


def saved(condition: Condition) -> dict[str, Any]:
    """One condition."""
    return {
        **{name: getattr(condition, name) for name in _PLAIN},
        "present": _branch(condition.present),
        "branches": [_branch(branch) for branch in condition.branches.values()],
    }


def restored(name: str, content: Mapping[str, Any], new_id: Callable[[], bytes], now_ns: int) -> Condition:
    """The condition that ``saved`` gave. Raises ValueError, KeyError or TypeError for anything else."""
    condition = Condition.new(name, new_id, now_ns)
    for key in _PLAIN:
        value = content.get(key, getattr(condition, key)) if key in _LATER else content[key]
        wrong = isinstance(value, int) and not 0 <= value < _LATEST_NS
        if wrong or type(value) is not type(getattr(condition, key)):
            raise ValueError(f"{name}: {key} is {value!r}"[:200])
        setattr(condition, key, value)
    if condition.shelving not in get_args(Shelving):
        raise ValueError(f"{name}: shelving is {condition.shelving!r}"[:200])
    condition.unshelve_ns = min(condition.unshelve_ns, now_ns + round(condition.max_shelved_ms * 1e6))
    condition.present = _read(name, content["present"])
    branches = [_read(name, one) for one in content["branches"]]
    condition.branches = {branch.number: branch for branch in branches if branch.number > 0 and branch.wants_somebody}
    condition.present.number = 0
    return condition


def _branch(branch: Branch) -> dict[str, Any]:
    return {**asdict(branch), "event_ids": [base64.b64encode(one).decode("ascii") for one in branch.event_ids]}


def _read(name: str, content: Mapping[str, Any]) -> Branch:
    for key, kind in _KINDS.items():
        if type(content[key]) not in kind:
            raise ValueError(f"{name}: {key} is {content[key]!r}"[:200])
        if kind == (int,) and not 0 <= content[key] < _MOST.get(key, _LATEST_NS):
            raise ValueError(f"{name}: {key} is {content[key]}")
    ids = tuple(base64.b64decode(one, validate=True) for one in content["event_ids"])
    return Branch(**{key: content[key] for key in _KINDS}, event_ids=ids)
