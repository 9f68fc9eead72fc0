"""The telemetry of the machine has the statistics of a real mill's, as the command prints them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from opcua_server.machine.burst import RATE_HZ
from opcua_server.realism.commands import app
from opcua_server.realism.figures import Figure, figures
from opcua_server.realism.plots import page
from opcua_server.sources.recording import load


@pytest.fixture(scope="module")
def found() -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(1)}


@pytest.mark.parametrize(
    "part",
    [
        "spindle speed", "spindle power", "following error", "how linear", "X current", "worn edges by mean", "worn edges by power",
    ],
)  # fmt: skip
def test_every_figure_lies_in_the_range_of_real_data(found: dict[str, Figure], part: str) -> None:
    some = [figure for name, figure in found.items() if part in name]
    assert some
    assert [figure for figure in some if not figure.inside] == []


def test_the_page_draws_every_plot_and_needs_nothing_from_elsewhere(found: dict[str, Figure]) -> None:
    html = page(list(found.values()), 1)
    document = ElementTree.fromstring(html.removeprefix("<!doctype html>").replace('<meta charset="utf-8">', ""))  # noqa: S314
    drawings = document.findall(".//figure/{http://www.w3.org/2000/svg}svg")
    assert len(drawings) == sum(figure.plot is not None for figure in found.values()) >= 4
    for drawing in drawings:
        places = [float(mark.attrib["cx"]) for mark in drawing.iter("{http://www.w3.org/2000/svg}circle")]
        assert all(0.0 <= place <= float(drawing.attrib["width"]) for place in places)
    assert all(figure.name in "".join(document.itertext()) for figure in found.values())
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")


def test_a_figure_outside_its_range_stands_out() -> None:
    inside, outside = Figure("one", 1.0, 0.5, 1.5), Figure("other <", 9.0, 0.5, 1.5)
    html = page([inside, outside], 1)
    assert html.count('class="outside"') == 1
    assert "other &lt;" in html


def test_burst_command_writes_the_signal_and_says_what_a_monitor_finds(tmp_path: Path) -> None:
    output = tmp_path / "burst.csv"
    options = ["burst", "--seconds", "0.5", "--at", "25", "--fault", "spindle_bearing=0.8", "--output", str(output)]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    assert "bearing_line_m_s2" in result.output
    lines = output.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "time_s,acceleration_m_s2"
    assert len(lines) == 1 + RATE_HZ // 2


def test_record_and_burst_run_a_program_of_ones_own(tmp_path: Path) -> None:
    part = tmp_path / "part.nc"
    part.write_text("O7\nG21 G17 G90 G94\nT4 M6\nM30\n", encoding="ascii")
    kept = CliRunner().invoke(app, ["record", str(tmp_path / "run.npz"), "--seconds", "1", "--program", str(part)])
    assert kept.output.startswith("wrote "), kept.output
    assert load(tmp_path / "run.npz").changes[0]["Channel/ActMainProgramName"] == "part.nc"
    still = CliRunner().invoke(app, ["burst", "--at", "1", "--program", str(part)])
    assert "the spindle stands" in still.output


def test_burst_command_says_what_it_does_not_know() -> None:
    for option, wrong, problem in (
        ("--fault", "gremlins=1", "gremlins: there is no such fault"),
        ("--fault", "coolant=much", "coolant=much: give the severity, 0 to 1"),
        ("--program", "none.nc", "none.nc: there is no such program"),
    ):
        result = CliRunner().invoke(app, ["burst", option, wrong])
        assert result.exit_code == 2, result.output
        assert problem in result.output
