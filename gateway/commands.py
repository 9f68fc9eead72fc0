"""Commands to machines, as methods of the OPC UA server: who gave which, and what became of it.

    accept() --> pending --the server says done--> done
                    '-----refused, or away-------> failed (reason, and the OPC UA status by name)

The gateway's own login may do all of them, so the caller's role is checked here, against the same table the server uses.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import uuid
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from cnctwin.link import Handling, LinkCondition, MethodFailed
from cnctwin.reading import Value
from gateway.core import Gateway
from nodesets import methods

KEPT: Final = 1000
PATIENCE_S: Final = 2.0
"""How long an answer waits for the server's word before it says "pending"."""
CALL_S: Final = 30.0
AT_ONCE: Final = 64
PER_CALLER: Final = 16
"""Under way at once: while a server does not answer, one caller's commands do not keep another's from it."""
LONG: Final = 1000
"""Characters of a text that is remembered as it is."""


@dataclass(slots=True)
class Command:
    machine_id: str
    method: str
    arguments: dict[str, Any]
    user: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    given: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: Literal["pending", "done", "failed"] = "pending"
    reason: str | None = None
    status_name: str | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class BadArguments(Exception):
    """The arguments do not fit the method."""


class Commands:
    """The commands of this run; each of ``audit`` is told of each when it is given and when it is settled."""

    def __init__(self, gateway: Gateway, audit: Sequence[Callable[[Command], None]]) -> None:
        self._gateway = gateway
        self._audit = audit
        self._known: OrderedDict[str, Command] = OrderedDict()
        self._by_key: OrderedDict[tuple[str, str], Command] = OrderedDict()
        self._under_way: Counter[str] = Counter()
        """By caller."""

    def get(self, command_id: str) -> Command | None:
        return self._known.get(command_id)

    def repeated(self, user: str, key: str | None, machine_id: str, method: str, arguments: Mapping[str, Any]) -> Command | None:
        """The command this caller has given under the same idempotency key. Raises BadArguments where that was another one."""
        known = self._by_key.get((user, key)) if key else None
        if known is not None and (known.machine_id, known.method, known.arguments) != (machine_id, method, kept(arguments)):
            raise BadArguments("this idempotency key was used for another command")
        return known

    def give(self, machine_id: str, method: str, arguments: Mapping[str, Any], user: str, key: str | None = None) -> Command:
        """Start a command. Raises BadArguments, KeyError for an unknown method, OverflowError when too many are under way."""
        values = ordered(method, arguments)
        command = Command(machine_id, method, kept(arguments), user)
        return self._start(command, lambda: self._gateway.call(machine_id, method, values), key)

    def handle(
        self, act: Handling, condition: LinkCondition, arguments: Mapping[str, Any], user: str, key: str | None = None
    ) -> Command:
        """Start to acknowledge, confirm or comment. ``arguments``: event (in hex, or None for the newest) and comment.

        The server sees the gateway's login only, so who it was stands before what is said. Raises OverflowError as ``give`` does.
        """
        event, said = arguments["event"], arguments["comment"]
        event_id = condition.event_id if event is None else bytes.fromhex(event)
        comment = ": ".join(part for part in (user, said) if part)
        command = Command(condition.machine_id, act, dict(arguments), user)
        return self._start(command, lambda: self._gateway.link.handle(act, condition, event_id, comment), key)

    def _start(self, command: Command, work: Callable[[], Awaitable[None]], key: str | None) -> Command:
        if self._under_way.total() >= AT_ONCE or self._under_way[command.user] >= PER_CALLER:
            raise OverflowError("too many commands are under way")
        _remember(self._known, command.id, command)
        if key:
            _remember(self._by_key, (command.user, key), command)
        self._tell(command)
        self._under_way[command.user] += 1
        self._gateway.spawn(self._carry_out(command, work), f"command-{command.method}")
        return command

    async def settled(self, command: Command) -> None:
        """Wait for the end of a command, PATIENCE_S at most."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await command.settled.wait()
        except TimeoutError:
            pass

    async def _carry_out(self, command: Command, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(CALL_S):
                await work()
        except MethodFailed as error:
            command.state, command.reason, command.status_name = "failed", str(error) or error.name, error.name
        except TimeoutError:
            command.state, command.reason, command.status_name = "failed", f"no answer within {CALL_S:g} s", "BadTimeout"
        except (ConnectionError, OSError) as error:
            command.state, command.reason = "failed", str(error) or "the OPC UA server is away"
            command.status_name = "BadNoCommunication"
        except KeyError:
            command.state, command.reason, command.status_name = "failed", "the machine has no such command", "BadMethodInvalid"
        except asyncio.CancelledError:
            command.state, command.reason = "failed", "the gateway stopped before the server answered"
            raise
        else:
            command.state = "done"
        finally:
            self._under_way[command.user] -= 1
            command.settled.set()
            self._tell(command)

    def _tell(self, command: Command) -> None:
        for told in self._audit:
            told(command)


def kept(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as they are remembered: of a long text, a whole program, its length and SHA-256. A thousand commands are kept."""
    return {
        name: f"{len(value)} characters, SHA-256 {hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"
        if isinstance(value, str) and len(value) > LONG
        else value
        for name, value in arguments.items()
    }


def ordered(method: str, arguments: Mapping[str, Any]) -> tuple[Value, ...]:
    """The arguments in the method's order, with its types. Raises BadArguments with everything that is wrong."""
    wanted = methods.BY_NAME[method].inputs
    problems = [f"{name}: no such argument" for name in sorted(set(arguments) - {argument.name for argument in wanted})]
    values: list[Value] = []
    for argument in wanted:
        if argument.name not in arguments:
            problems.append(f"{argument.name}: is missing")
            continue
        try:
            values.append(_fitted(argument, arguments[argument.name]))
        except BadArguments as error:
            problems.append(f"{argument.name}: {error}")
    if problems:
        raise BadArguments("; ".join(problems))
    return tuple(values)


def _fitted(argument: methods.Argument, value: Any) -> Value:
    if argument.type == "Boolean":
        if not isinstance(value, bool):
            raise BadArguments("must be true or false")
        return value
    if argument.type == "String":
        if not isinstance(value, str):
            raise BadArguments("must be text")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadArguments("must be a finite number")
    if (argument.low is not None and value < argument.low) or (argument.high is not None and value > argument.high):
        raise BadArguments(f"must be {argument.low:g} to {argument.high:g}")
    if argument.type == "Double":
        return float(value)
    if value != int(value):
        raise BadArguments("must be a whole number")
    return int(value)


def _remember(known: OrderedDict[Any, Command], key: Any, command: Command) -> None:
    """Keep a command; where there are too many the oldest goes, of the caller who has most: nobody else's are given twice."""
    known[key] = command
    if len(known) > KEPT:
        held = Counter(one.user for one in known.values())
        del known[max(known, key=lambda one: held[known[one].user])]
