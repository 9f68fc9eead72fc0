"""The telemetry of the machine has the statistics of a real mill's, as the command prints them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from opcua_server.machine.burst import RATE_HZ
from opcua_server.realism.commands import app
from opcua_server.realism.figures import Figure, figures


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
    assert [figure for figure in some if not figure.low <= figure.value <= figure.high] == []


def test_burst_command_writes_the_signal_and_says_what_a_monitor_finds(tmp_path: Path) -> None:
    output = tmp_path / "burst.csv"
    options = ["burst", "--seconds", "0.5", "--at", "25", "--fault", "spindle_bearing=0.8", "--output", str(output)]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    assert "bearing_line_m_s2" in result.output
    lines = output.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "time_s,acceleration_m_s2"
    assert len(lines) == 1 + RATE_HZ // 2


def test_burst_command_says_what_it_does_not_know() -> None:
    for wrong in (["--fault", "gremlins=1"], ["--fault", "coolant=much"], ["--program", "none.nc"]):
        result = CliRunner().invoke(app, ["burst", *wrong])
        assert result.exit_code == 2, result.output
        assert "there is no such program or fault" in result.output
