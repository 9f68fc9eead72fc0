"""What each role may do. One table; nothing else in the server decides about rights.

                   read, also history   command Operator   command Engineer   write results
    Viewer                x
    Operator              x                    x                               handles alarms, as all do who command
    Engineer              x                    x                  x
    Gateway               x                    x                  x            carries out what its own users were allowed to
    Admin                 x                    x                  x            and manages trust; sees roles, audit, connections
    Analytics             x                                                          x

Engineers and administrators may also change what was recorded; what was there before stays to be read.

Nobody adds or deletes nodes, and no value but the analytics' results is written, and by engineers what a name plate leaves to the
user (AssetId, ComponentName, Location): a machine is moved by its commands.
"""

from __future__ import annotations

from typing import Final

from cnctwin.secrets import Role
from nodesets.methods import Method

ANONYMOUS: Final[Role] = "Viewer"
ANONYMOUS_INSECURE: Final[Role] = "Engineer"
"""With --insecure, which binds to loopback, whoever is there commands."""

_CALLS: Final[dict[Role, frozenset[str]]] = {
    "Viewer": frozenset(),
    "Analytics": frozenset(),
    "Operator": frozenset({"Operator"}),
    "Engineer": frozenset({"Operator", "Engineer"}),
    "Gateway": frozenset({"Operator", "Engineer"}),
    "Admin": frozenset({"Operator", "Engineer"}),
}


def may_call(role: Role | None, method: Method) -> bool:
    """Whether a role may carry out a command; None is nobody."""
    return role is not None and method.role in _CALLS[role]


def may_operate(role: Role | None) -> bool:
    """Whether a role may do what an operator does: handle alarms and read NC programs, beside commands and job orders."""
    return role is not None and "Operator" in _CALLS[role]


def may_change_programs(role: Role | None) -> bool:
    """Whether a role may write, create, move and delete NC programs."""
    return role is not None and "Engineer" in _CALLS[role]


def may_read_history(role: Role | None) -> bool:
    """Whether a role may read what was: whoever may see a value may see what it was before."""
    return role is not None


def may_change_history(role: Role | None) -> bool:
    """Whether a role may insert, replace and delete what was recorded: who answers for the machine, no program on their behalf."""
    return role in ("Engineer", "Admin")


def may_write(role: Role | None, is_result: bool) -> bool:
    """Whether a role may write a value: results are the analytics', what a name plate leaves to the user is the engineers'."""
    return may_write_results(role) if is_result else role is not None and "Engineer" in _CALLS[role]


def may_write_results(role: Role | None) -> bool:
    """Whether a role may write the nodes of the analytics' results."""
    return role == "Analytics"


def may_configure(role: Role | None) -> bool:
    """Whether a role may see and change the server's security: certificates, trust, roles, audit events."""
    return role == "Admin"
