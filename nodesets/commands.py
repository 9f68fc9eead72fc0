"""`cnctwin nodesets build | check | show`: what is generated from the catalogue, and whether it is up to date."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from nodesets import loader, official
from nodesets.catalogue import SIGNALS
from nodesets.generator import generate
from nodesets.model_file import read_model
from nodesets.nodeset_xml import NodesetError, open_nodeset
from nodesets.signals_page import signals_page
from nodesets.validate import problems

app: Final = typer.Typer(help="The NodeSet of our namespace and the signal catalogue.", no_args_is_help=True)
LONGEST: Final = 400
"""Characters of a row of ``show`` that nobody has to look at on a terminal."""
SIGNALS_PAGE: Final = Path(__file__).parents[1] / "docs" / "signals.md"


def generated() -> dict[Path, bytes]:
    """Every file that is written from the catalogue; the page only where there is a docs folder (not in an installed package)."""
    files = {loader.OWN_NODESET: generate()}
    if SIGNALS_PAGE.parent.is_dir():
        files[SIGNALS_PAGE] = signals_page().encode("utf-8")
    return files


@app.command()
def build() -> None:
    """Write the NodeSet2 file of our namespace and docs/signals.md from the catalogue."""
    for path, content in generated().items():
        changed = not path.exists() or path.read_bytes() != content
        if changed:
            path.write_bytes(content)
        typer.echo(f"{'wrote' if changed else 'up to date'}: {path.name}")


async def _load_all(files: list[Path]) -> loader.Loaded:
    from asyncua import Server

    more = [read_model(path, loader.standard_namespaces()) for path in files]
    server = Server()
    await server.init()
    return loader.load(server, more=more)


@app.command()
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="further NodeSet2 files, to load beside ours")] = None,
) -> None:
    """Fail if a generated file is stale, breaks a rule, or does not load beside the official NodeSets without a lost reference."""
    found = [
        f"{path.name} is stale: run `cnctwin nodesets build`"
        for path, content in generated().items()
        if not path.exists() or path.read_bytes() != content
    ]
    try:
        found += problems(open_nodeset(loader.OWN_NODESET.name, loader.OWN_NODESET.read_bytes()))
        loaded = asyncio.run(_load_all(files or []))
        found += [f"{source} -> {target} ({kind}): no such node" for source, kind, target in loaded.unresolved]
    except (NodesetError, official.OfficialNodesetMissing, OSError) as error:
        found.append(str(error))
    for line in found:
        typer.echo(line, err=True)
    if found:
        raise typer.Exit(1)
    typer.echo(f"{len(loaded.namespaces)} namespaces, {loaded.nodes} nodes, 0 unresolved references, {len(SIGNALS)} signals")


@app.command()
def show(
    group: Annotated[str, typer.Argument(help="only signals whose name begins with this, such as Spindle")] = "",
) -> None:
    """Print the signals as a table."""
    if not any(signal.name.startswith(group) for signal in SIGNALS):
        groups = ", ".join(dict.fromkeys(signal.name.partition("/")[0] for signal in SIGNALS))
        typer.echo(f"cnctwin nodesets show: no signal's name begins with {group}; there are {groups}", err=True)
        raise typer.Exit(2)
    table = Table(
        Column("Signal", no_wrap=True), "Type", "Unit", "Range", "Access", Column("What it is", overflow="fold"),
        title="Signals of a machine", box=SIMPLE, show_edge=False, padding=0,
    )  # fmt: skip
    for signal in SIGNALS:
        if not signal.name.startswith(group):
            continue
        unit = signal.unit.symbol if signal.unit is not None else ""
        limits = f"{signal.low:g} … {signal.high:g}" if signal.low is not None and signal.high is not None else ""
        table.add_row(signal.name, signal.type.replace("[", "\\["), unit, limits, signal.access, signal.doc)
    # In a file or another program's hands a row is a line; on a terminal a name is whole, and what it is may take more of them.
    console = Console() if sys.stdout.isatty() else Console(width=LONGEST)
    console.print(table)
