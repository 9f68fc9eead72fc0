"""Our own NodeSet and the signals page: generated, up to date, and sound; and each rule catches what breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nodesets import loader
from nodesets.catalogue import SIGNALS
from nodesets.commands import SIGNALS_PAGE, app, generated
from nodesets.generator import generate
from nodesets.methods import METHODS
from nodesets.nodeset_xml import open_nodeset
from nodesets.validate import problems


def test_the_same_catalogue_gives_the_same_bytes() -> None:
    assert generate() == generate()


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_the_committed_file_is_up_to_date(path: Path) -> None:
    assert path.read_bytes() == generated()[path], f"{path.name} is stale: run `cnctwin nodesets build`"


def test_our_nodeset_breaks_no_rule() -> None:
    assert list(problems(open_nodeset("ours", generate()))) == []


def test_every_signal_without_an_official_node_is_declared() -> None:
    declared = {node.get("NodeId") for _, node in open_nodeset("ours", generate()).nodes()}
    for signal in SIGNALS:
        path = f"ns=1;s=SignalsType.{signal.name.replace('/', '.')}"
        assert (path in declared) is (not signal.nodes), signal.name
    assert {f"ns=1;s=CommandsType.{method.name}" for method in METHODS} <= declared


def test_the_page_names_every_signal_and_method() -> None:
    page = SIGNALS_PAGE.read_text("utf-8")
    assert [s.name for s in SIGNALS if f"| `{s.name}` |" not in page] == []
    assert [m.name for m in METHODS if f"| `{m.name}` |" not in page] == []


BREAKS = {
    "a node twice": (b'NodeId="ns=1;s=CommandsType.Hold"', b'NodeId="ns=1;s=CommandsType.Start"', "that of line"),
    "a foreign namespace": (b'NodeId="ns=1;s=CommandsType.Hold"', b'NodeId="ns=2;s=CommandsType.Hold"', "own namespace"),
    "a lost target": (b">ns=1;s=CommandsType<", b">ns=1;s=CommandType<", "which the file does not have"),
    "no type": (b'<Reference ReferenceType="HasTypeDefinition">i=61</Reference>', b"", "no HasTypeDefinition"),
    "no supertype": (b'<Reference ReferenceType="HasSubtype" IsForward="false">ns=2;i=13</Reference>', b"", "no supertype"),
    "a strange attribute": (b'<UAMethod NodeId', b'<UAMethod Colour="red" NodeId', "attribute Colour"),
    "a strange element": (b"<DisplayName", b"<Nickname/><DisplayName", "child element"),
    "wrong order": (b"</References>", b'</References><DisplayName>again</DisplayName>', "order of the schema"),
    "no version": (b' Version="0.1.0"', b"", "no Version"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_variant_is_caught(name: str) -> None:
    old, new, reason = BREAKS[name]
    content = generate()
    assert old in content
    assert any(reason in problem for problem in problems(open_nodeset("ours", content.replace(old, new, 1))))


def test_a_file_of_the_users_is_looked_at_as_the_server_would(tmp_path: Path) -> None:
    path = tmp_path / "mine.xml"
    path.write_text(
        '<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"><Models><Model ModelUri="urn:user:model">'
        '<RequiredModel ModelUri="urn:absent"/></Model></Models></UANodeSet>',
        "utf-8",
    )
    refused = CliRunner().invoke(app, ["check", str(path)])
    assert refused.exit_code == 1
    assert f"{path}:1: it requires the model urn:absent, which is not loaded" in refused.output


def test_check_passes_and_fails_on_a_stale_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runner = CliRunner()
    good = runner.invoke(app, ["check"])
    assert good.exit_code == 0, good.output
    assert "0 unresolved references" in good.output
    stale = tmp_path / "cnctwin.NodeSet2.xml"
    stale.write_bytes(loader.OWN_NODESET.read_bytes() + b"<!-- -->\n")
    monkeypatch.setattr(loader, "OWN_NODESET", stale)
    bad = runner.invoke(app, ["check"])
    assert bad.exit_code == 1
    assert "is stale" in bad.output


def test_build_writes_what_check_accepts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loader, "OWN_NODESET", tmp_path / "cnctwin.NodeSet2.xml")
    runner = CliRunner()
    assert "wrote: cnctwin.NodeSet2.xml" in runner.invoke(app, ["build"]).output
    assert "up to date: cnctwin.NodeSet2.xml" in runner.invoke(app, ["build"]).output
    assert (tmp_path / "cnctwin.NodeSet2.xml").read_bytes() == generate()


def test_show_prints_the_signals_of_a_group() -> None:
    output = CliRunner().invoke(app, ["show", "Coolant"]).output
    assert "Coolant/Flow" in output
    assert "Spindle/" not in output


def test_shown_to_another_program_a_signal_is_a_line_with_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = CliRunner().invoke(app, ["show"]).output.splitlines()
    for signal in SIGNALS:
        (line,) = (line for line in lines if line.split()[:1] == [signal.name])
        assert signal.doc in line
