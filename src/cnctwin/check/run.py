"""All checks against one server, and their report."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from asyncua import Client, ua
from rich.console import Console
from rich.table import Table

from certs.words import shown
from cnctwin.check import conditions, energy, history, machine_tool, security, services, space, subscriptions
from cnctwin.check.caller import Caller
from cnctwin.check.check import Result, chosen
from cnctwin.errors import ConfigurationError, StartError
from cnctwin.link import connect
from cnctwin.link.bounds import bounded
from cnctwin.settings import check_opc_tcp

APPLICATION: Final = "check"
PROBE_S: Final = 10.0
GROUPS: Final = (security, services, subscriptions, space, machine_tool, energy, conditions, history)
"""Where the checks are, in the order of the report; importing them puts them on the list."""
WIDTH_IN_A_FILE: Final = 160
"""Columns of the table where there is no terminal whose width counts."""
_MARKS: Final = {"pass": "pass", "fail": "FAIL", "not offered": "-"}


async def run(
    url: str, data: Path, only: list[str], told: Callable[[Result], None], *, user: str | None, password: str | None, insecure: bool
) -> list[Result]:
    """Every check, one after another; ``told`` hears of each result. Raises link.connect.Refused, OSError or TimeoutError."""
    endpoints = await bounded(url, PROBE_S).connect_and_get_server_endpoints()
    results = []
    async with connect.session(url, APPLICATION, data, connect.Login(user, password), insecure=insecure) as client:

        @contextlib.asynccontextmanager
        async def channel() -> AsyncIterator[Client]:
            other = bounded(url, PROBE_S)
            other.application_uri = client.application_uri
            await connect.secure(other, url, APPLICATION, data, insecure=insecure)
            await other.connect_socket()
            try:
                await other.send_hello()
                await other.open_secure_channel()
                yield other
            finally:
                other.disconnect_socket()

        server = Caller(client, url, endpoints, channel)
        order = [group.__name__ for group in GROUPS]
        for one in sorted(chosen(only), key=lambda one: order.index(one.body.__module__)):
            results.append(await one.run(server))
            told(results[-1])
    return results


def report(
    url: str, data: Path, only: list[str], json_file: Path | None, *, login: tuple[str | None, str | None], insecure: bool
) -> int:
    """Run the checks and print what they saw; the exit code. Raises StartError when the server is away, or does not let us in."""

    def told(result: Result) -> None:
        if result.outcome != "pass":
            print(f"{result.outcome}: {result.group}: {result.name}: {shown(result.seen)}", file=sys.stderr)

    try:
        check_opc_tcp(url)
    except ValueError as problem:
        raise ConfigurationError([f"{url}: {problem}"]) from problem
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # refusals are what is looked for
    user, password = login
    try:
        results = asyncio.run(run(url, data, only, told, user=user, password=password, insecure=insecure))
    except connect.Refused as refused:
        raise StartError(str(refused)) from refused
    except (OSError, TimeoutError, ua.UaError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error) or "no answer in time"
        raise StartError(f"{url}: cannot be reached: {why}") from error
    show(results, url)
    if json_file is not None:
        json_file.write_text(as_json(results, url), "utf-8")
    return 1 if any(result.outcome == "fail" for result in results) else 0


def counts(results: list[Result]) -> str:
    found = Counter(result.outcome for result in results)
    return f"{found['pass']} pass, {found['fail']} fail, {found['not offered']} not offered"


def show(results: list[Result], url: str) -> None:
    """The report as a table; failures once more at the end, in full."""
    table = Table(title=f"{url}: {counts(results)}")
    for heading in ("group", "check", "clause", "", "seen"):
        table.add_column(heading, overflow="fold")
    for one in results:
        style = {"fail": "bold red", "not offered": "dim"}.get(one.outcome)
        table.add_row(one.group, one.name, one.clause, _MARKS[one.outcome], shown(one.seen), style=style)
    console = Console(markup=False)  # brackets in what was seen are the server's own
    if not console.is_terminal:
        console.width = WIDTH_IN_A_FILE
    console.print(table)


def as_json(results: list[Result], url: str) -> str:
    return json.dumps({"url": url, "summary": counts(results), "results": [asdict(one) for one in results]}, indent=1)
