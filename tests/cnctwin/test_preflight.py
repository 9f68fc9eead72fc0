from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cnctwin import preflight
from cnctwin.errors import StartError
from cnctwin.settings import load
from tests.harness import port_base


def test_every_taken_port_is_named_with_its_use_and_a_way_out(tmp_path: Path) -> None:
    base = port_base()
    with socket.create_server(("127.0.0.1", base)), socket.create_server(("127.0.0.1", base + 2)):
        with pytest.raises(StartError) as error:
            preflight.check(load({"port_base": base, "data": tmp_path}))
    lines = str(error.value).splitlines()
    assert sorted(lines) == sorted(
        f"port {port} ({use}): is in use; give another with {option}"
        for port, use, option in ((base, "HTTP", "--http-port"), (base + 2, "OPC UA", "--opcua-port"))
    )


def test_a_folder_in_use_is_what_is_said_where_the_same_is_started_twice(tmp_path: Path) -> None:
    """Its ports are taken too, and other ones would not help."""
    base = port_base()
    with preflight.claim(tmp_path), socket.create_server(("127.0.0.1", base)), pytest.raises(StartError) as error:
        preflight.check(load({"port_base": base, "data": tmp_path}))
    (line,) = str(error.value).splitlines()
    assert f"in use by a running cnctwin (process {os.getpid()})" in line
    assert "--data" in line
    assert "--port-base" in line


def test_a_host_of_another_machine_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartError) as error:
        preflight.check(load({"port_base": port_base(), "data": tmp_path, "host": "203.0.113.77"}))
    (line,) = str(error.value).splitlines()
    assert line.startswith("203.0.113.77: is no address of this machine")
    assert line.endswith("give one with --host")


def test_the_port_of_a_server_that_is_watched_elsewhere_may_be_taken(tmp_path: Path) -> None:
    base = port_base()
    with socket.create_server(("127.0.0.1", base + 2)):
        preflight.check(load({"port_base": base, "data": tmp_path, "opcua_url": f"opc.tcp://127.0.0.1:{base + 2}"}))


def test_free_ports_and_a_new_folder_are_good(tmp_path: Path) -> None:
    preflight.check(load({"port_base": port_base(), "data": tmp_path / "a" / "b"}))


def test_a_full_disk_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnctwin.preflight.NEEDED_BYTES", 1 << 62)
    with pytest.raises(StartError, match="make room"):
        preflight.check(load({"port_base": port_base(), "data": tmp_path}))


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot be written"):
        preflight.check(load({"port_base": port_base(), "data": tmp_path / "file"}))


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="part.nc"):
        preflight.check(load({"port_base": port_base(), "data": tmp_path, "program": tmp_path / "part.nc"}))


def test_a_map_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"mill\.toml: there is no such file; name a map of the server with --opcua-map"):
        preflight.check(
            load(
                {
                    "port_base": port_base(),
                    "data": tmp_path,
                    "opcua_url": "opc.tcp://mill:4840",
                    "opcua_map": tmp_path / "mill.toml",
                }
            )
        )


def test_a_data_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with preflight.claim(tmp_path), pytest.raises(StartError, match="in use"):
        preflight.claim(tmp_path)
    preflight.claim(tmp_path).close()


def test_two_uses_of_one_port_are_refused(tmp_path: Path) -> None:
    base = port_base()
    with pytest.raises(StartError, match="given to HTTP and OPC UA; give one of them another with --"):
        preflight.check(load({"http_port": base, "opcua_port": base, "mqtt_port": base + 1, "data": tmp_path}))


def test_what_a_program_makes_is_not_for_others_whatever_the_shell_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        preflight.keep_others_out()
        (tmp_path / "trusted").mkdir()
        (tmp_path / "store.sqlite").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "trusted").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "store.sqlite").stat().st_mode & 0o777 == 0o640


def _open_to_all(data: Path) -> list[Path]:
    """A data folder in which everybody may do everything."""
    made = [data / "secrets", data / "pki" / "server" / "trusted", data / "store"]
    for folder in made:
        folder.mkdir(parents=True)
    files = [data / "secrets" / "users.json", data / "pki" / "server" / "trusted" / "client.der"]
    for file in files:
        file.write_text("kept")
    for path in [data, *data.rglob("*")]:
        path.chmod(0o777)
    return files


def test_a_data_folder_that_was_open_to_others_is_so_no_longer(tmp_path: Path) -> None:
    """Who may write below pki says who is trusted, and who may replace secrets/users.json what the passwords are."""
    files = _open_to_all(tmp_path)
    outside = tmp_path.with_name("outside")
    outside.mkdir()
    outside.chmod(0o777)
    (tmp_path / "elsewhere").symlink_to(outside)
    preflight.folder(tmp_path)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        if not path.is_symlink():
            assert not path.stat().st_mode & 0o002, path
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert files[0].stat().st_mode & 0o077 == 0
    assert [file.read_text() for file in files] == ["kept", "kept"]
    assert outside.stat().st_mode & 0o777 == 0o777, "what a link leads to is not ours"


def test_a_data_folder_of_somebody_else_that_everybody_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open_to_all(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(StartError, match="everybody may write there"):
        preflight.folder(tmp_path)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o775)
    preflight.folder(tmp_path)


def test_a_program_may_open_more_files_than_a_shell_gives_it() -> None:
    told = "import resource; from cnctwin import program; program._open_files(); print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    _now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    done = subprocess.run(
        [sys.executable, "-c", told], check=True, capture_output=True, text=True, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, most)),
    )  # fmt: skip
    now, still = map(int, done.stdout.split())
    assert still == most
    assert now == (min(most, 65_536) if most != resource.RLIM_INFINITY else 65_536)
