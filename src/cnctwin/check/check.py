"""What a check is, and how all of them run: one after another, each with its own outcome, none ends the others.

    @check("Read", "an unknown node is BadNodeIdUnknown", "10000-4 5.11.2")
    async def unknown_node(server): ...          returns what was seen
                                                 raises Failed: not as the clause says
                                                        NotOffered: there is nothing to check
A check changes nothing of a server but its own session, subscriptions and continuation points.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from asyncua import ua

from cnctwin.check.caller import Caller

CHECK_S: Final = 60.0
Outcome = Literal["pass", "fail", "not offered"]
Body = Callable[[Caller], Awaitable[str | None]]


class Failed(Exception):
    """The server does not do what the clause says; the text is what it did."""


class NotOffered(Exception):
    """What the check is about is optional, and not there."""


@dataclass(frozen=True, slots=True)
class Result:
    """``seen``: what the server did, in one line."""

    group: str
    name: str
    clause: str
    outcome: Outcome
    seen: str


@dataclass(frozen=True, slots=True)
class Check:
    group: str
    name: str
    clause: str
    body: Body

    async def run(self, server: Caller) -> Result:
        try:
            async with asyncio.timeout(CHECK_S):
                return self._result("pass", await self.body(server) or "")
        except Failed as failed:
            return self._result("fail", str(failed))
        except NotOffered as missing:
            return self._result("not offered", str(missing))
        except ua.UaStatusCodeError as error:
            return self._result("fail", f"refused with {ua.StatusCode(error.code).name}")
        except TimeoutError:
            return self._result("fail", "no answer in time")
        except (ua.UaError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
            return self._result("fail", f"an answer that cannot be read: {type(error).__name__}: {error}")

    def _result(self, outcome: Outcome, seen: str) -> Result:
        return Result(self.group, self.name, self.clause, outcome, " ".join(seen.split())[:300])


CHECKS: Final[list[Check]] = []


def check(group: str, name: str, clause: str) -> Callable[[Body], Body]:
    """Add a function to the checks, in the order in which they are written."""

    def add(body: Body) -> Body:
        CHECKS.append(Check(group, name, clause, body))
        return body

    return add


def expect(condition: object, seen: str) -> None:
    if not condition:
        raise Failed(seen)


async def refused(server: Caller, service: str, *statuses: str, **parameters: Any) -> str:
    """The status with which a service is refused; Failed when it is another one, or none."""
    try:
        await server(service, **parameters)
    except ua.UaStatusCodeError as error:
        name = str(ua.StatusCode(error.code).name)
        expect(name in statuses, f"{service} was refused with {name}, not with {' or '.join(statuses)}")
        return name
    raise Failed(f"{service} was answered; {' or '.join(statuses)} was expected")


def status_is(status: Any, *names: str) -> str:
    """The name of one result's status; Failed when it is another one."""
    name = str(status.name)
    expect(name in names, f"{name}, not {' or '.join(names)}")
    return name


def chosen(only: list[str]) -> Iterator[Check]:
    """Checks whose group or name contains one of these texts; all of them without any."""
    for one in CHECKS:
        if not only or any(text.lower() in f"{one.group} {one.name}".lower() for text in only):
            yield one
