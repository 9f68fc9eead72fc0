"""`cnctwin up`: everything starts, stops and stands beside another one; what is in the way is said in a line."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cnctwin.secrets import Vault
from tests.harness import port_base, wait_for
from tests.system.conftest import Installation, Starter

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


def test_it_reaches_ready_with_a_program_running(running: Installation) -> None:
    wait_for(lambda: running.signals()["Machine/State"]["value"] == 3, "a program runs")
    status = running.get("/machines/CNC-001/status")["data"]
    assert status["mode"] == "AUTO"
    assert status["program"]


def test_the_panel_says_what_runs_where_and_how_to_log_in(running: Installation) -> None:
    text = running.output.read_text()
    for address in (
        f"http://localhost:{running.base}",
        f"mqtt://localhost:{running.base + 1}",
        f"opc.tcp://localhost:{running.base + 2}",
    ):
        assert address in text
    assert set(running.logins) == {"operator", "engineer", "admin", "API key"}
    assert "reader (MQTT)" in text


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_it_started(start: Starter, how: signal.Signals) -> None:
    installation = start()
    pids = [entry["pid"] for entry in installation.report()["programs"]]
    assert len(pids) == 4
    installation.process.send_signal(how)
    assert installation.process.wait(20) == 0
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    for port in range(installation.base, installation.base + 3):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_a_second_one_runs_beside_the_first_and_does_not_print_secrets_again(running: Installation, start: Starter) -> None:
    second = start("--machines", "2")
    assert {machine["id"] for machine in second.get("/api/v1/machines")} == {"CNC-001", "CNC-002"}
    assert running.is_ready()
    assert second.logins["API key"] != running.logins["API key"]


def run_up(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cnctwin", "up", "--data", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_taken_port_is_one_line_and_nothing_is_started(tmp_path: Path) -> None:
    base = port_base()
    with socket.create_server(("127.0.0.1", base + 2)):
        done = run_up(tmp_path, "--port-base", str(base))
    assert done.returncode == 3
    assert done.stderr.splitlines() == [f"cnctwin: port {base + 2} (OPC UA): is in use; give another with --opcua-port"]
    assert not (tmp_path / "secrets").exists()


def test_a_first_start_that_fails_shows_the_passwords_it_made(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A mill\n")
    done = run_up(tmp_path, "--port-base", str(port_base()), "--program", str(tmp_path / "README.md"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"cnctwin: program: {tmp_path / 'README.md'}: is no NC program")
    assert len(done.stderr.splitlines()) == 1
    assert Vault(tmp_path).authenticate("operator", done.stdout.partition("operator")[2].split()[0]) == "Operator"


def test_bad_options_are_all_named_at_once(tmp_path: Path) -> None:
    done = run_up(tmp_path, "--machines", "0", "--speed", "-1", "--port-base", "70000")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3


def test_a_data_folder_in_use_is_refused(running: Installation) -> None:
    done = run_up(running.data, "--port-base", str(port_base()))
    assert done.returncode == 3
    assert "in use by a running cnctwin" in done.stderr


def test_a_bad_program_puts_the_machine_into_alarm_and_everything_else_goes_on(start: Starter, tmp_path: Path) -> None:
    program = tmp_path / "O0007.nc"
    program.write_text("%\nO0007\nG21 G90 G54\nG0 X0 Y0\nG1 X10. F0\nG2 X20. Y0 R1.\nM30\n%\n")
    installation = start("--program", str(program))
    alarm = wait_for(lambda: installation.signals()["Machine/AlarmCode"]["value"], "an alarm")
    assert alarm == "PS0011"
    state = installation.signals()
    assert state["Machine/State"]["value"] == 6
    assert "line 5" in state["Machine/AlarmText"]["value"]
    before = state["Coolant/Temperature"]["source_time"], state["Simulation/Time"]["value"]
    wait_for(lambda: installation.signals()["Simulation/Time"]["value"] > before[1], "time goes on")
    assert installation.is_ready()
