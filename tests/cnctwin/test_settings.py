from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cnctwin.errors import ConfigurationError
from cnctwin.settings import Settings, load, misspelt


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("CNCTWIN_", "MQTT_")) or name in ("API_KEYS", "RATE_LIMIT_PER_MIN"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def problems(**options: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as error:
        load(options)
    return error.value.problems


def test_defaults_are_loopback_and_the_well_known_ports() -> None:
    settings = load()
    assert (settings.host, settings.opcua_port, settings.http_port, settings.mqtt_port) == ("127.0.0.1", 4840, 8000, 1883)
    assert not settings.is_strict


def test_port_base_gives_http_mqtt_and_opcua_in_that_order() -> None:
    settings = load({"port_base": 9000})
    assert (settings.http_port, settings.mqtt_port, settings.opcua_port) == (9000, 9001, 9002)


@pytest.mark.parametrize(
    ("environment", "options", "ports"),
    [
        ({}, {"port_base": 9000, "http_port": 8080}, (8080, 9001, 9002)),
        ({"CNCTWIN_PORT_BASE": "9000"}, {"mqtt_port": 1999}, (9000, 1999, 9002)),
        ({"CNCTWIN_PORT_BASE": "9000", "MQTT_PORT": "1999"}, {}, (9000, 1999, 9002)),
        ({"CNCTWIN_MQTT_PORT": "1999", "CNCTWIN_HTTP_PORT": "8080"}, {"port_base": 9000}, (9000, 9001, 9002)),
        ({"MQTT_BROKER": "mq.example", "MQTT_PORT": "8883"}, {"port_base": 9000}, (9000, 8883, 9002)),
    ],
)
def test_a_port_beats_the_base_of_the_same_place_and_a_foreign_broker_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], options: dict[str, int], ports: tuple[int, int, int]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load(options)
    assert (settings.http_port, settings.mqtt_port, settings.opcua_port) == ports


def test_an_option_beats_the_environment_and_the_environment_beats_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cnctwin.toml").write_text("seed = 5\nspeed = 2.0\nmachines = 3\n")
    monkeypatch.setenv("CNCTWIN_SPEED", "4")
    monkeypatch.setenv("CNCTWIN_MACHINES", "7")
    settings = load({"data": tmp_path, "machines": 9})
    assert (settings.seed, settings.speed, settings.machines) == (5, 4.0, 9)


def test_names_that_existing_deployments_set_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MQTT_BROKER": "mq.example", "MQTT_PORT": "8883", "MQTT_USE_TLS": "true", "MQTT_CA_PATH": "/ca.pem",
        "API_KEYS": "one, two", "RATE_LIMIT_PER_MIN": "7", "CRITICAL_SPINDLE_TEMP_C": "85", "SLACK_WEBHOOK_URL": "https://s.example/x",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    settings = load()
    assert (settings.mqtt_broker, settings.mqtt_port, settings.mqtt_use_tls) == ("mq.example", 8883, True)
    assert settings.mqtt_ca_path == Path("/ca.pem")
    assert (settings.api_keys, settings.rate_limit_per_min) == (("one", "two"), 7)
    assert (settings.critical_spindle_temp_c, settings.slack_webhook_url) == (85.0, "https://s.example/x")


def test_every_problem_is_reported_at_once() -> None:
    found = problems(machines=0, speed=-1.0, seed=-5, opcua_url="http://x")
    assert [line.split(":")[0] for line in found] == ["machines", "speed", "seed", "opcua_url"]


def test_insecure_is_refused_on_any_address_but_loopback() -> None:
    assert "loopback" in problems(host="0.0.0.0", insecure=True)[0]
    assert load({"host": "::1", "insecure": True}).insecure


def test_people_are_told_a_host_that_a_browser_can_reach() -> None:
    assert load().shown_host == "localhost"
    assert load({"host": "0.0.0.0"}).shown_host == socket.gethostname()
    assert load({"host": "192.0.2.7"}).shown_host == "192.0.2.7"
    assert load({"host": "2001:db8::7"}).shown_host == "[2001:db8::7]"


def test_another_address_is_strict() -> None:
    assert load({"host": "0.0.0.0"}).is_strict


def test_an_unknown_setting_in_the_file_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "cnctwin.toml").write_text("sped = 2\n")
    assert "cnctwin.toml: sped: no such setting (meant speed?)" in problems(data=tmp_path)[0]


def test_a_variable_that_looks_like_a_setting_is_told_and_others_are_left_alone() -> None:
    (said,) = misspelt(["CNCTWIN_SPEEED", "CNCTWIN_SPEED", "CNCTWIN_SHARED_DATA", "CNCTWIN_CHECK_PASSWORD", "SPEEED", "MQTT_PORT"])
    assert said == "CNCTWIN_SPEEED in the environment is no setting (meant CNCTWIN_SPEED?)"


def test_the_file_cannot_choose_the_folder_it_is_in(tmp_path: Path) -> None:
    (tmp_path / "cnctwin.toml").write_text("data = '/elsewhere'\n")
    assert "cnctwin.toml: data: " in problems(data=tmp_path)[0]


def test_a_wrong_value_is_told_with_where_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cnctwin.toml").write_text("speed = -1.0\n")
    monkeypatch.setenv("CNCTWIN_MACHINES", "many")
    monkeypatch.setenv("MQTT_PORT", "0")
    found = {line.split(":")[0]: line for line in problems(data=tmp_path, seed=-5)}
    assert found["speed"].endswith(f"in {tmp_path / 'cnctwin.toml'}")
    assert found["machines"].endswith("in the environment as CNCTWIN_MACHINES")
    assert found["mqtt_port"].endswith("in the environment as MQTT_PORT")
    assert found["seed"].endswith("(given: -5)")


def test_a_broken_file_is_one_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "cnctwin.toml").write_text("speed = = 2\n")
    (found,) = problems(data=tmp_path)
    assert "cnctwin.toml" in found


def test_a_secret_is_never_repeated_in_a_problem() -> None:
    (found,) = problems(mqtt_password=["hunter2"])
    assert "hunter2" not in found
    (found,) = problems(history_url="mysql://user:hunter2@host/name")
    assert "postgresql://" in found
    assert "hunter2" not in found
    for name, value in (
        ("opcua_url", "opc.tcp://user:hunter2@host:4840"),
        ("opcua_url", "http://user:hunter2@host"),
        ("discovery_server", "opc.tcp://user:hunter2@host:4840"),
        ("mqtt_broker", "mqtt://user:hunter2@host"),
        ("alert_urls", {"slack": "hunter2"}),
        ("alert_urls", [["hunter2"]]),
    ):
        for found in problems(**{name: value}):
            assert "hunter2" not in found


def test_settings_survive_the_way_to_a_child_process() -> None:
    settings = load({"port_base": 9000, "api_keys": "a,b", "program": Path("x.nc"), "mqtt_broker": "mq"})
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize("site", ["", "a//b", "a/#", "a b/c"])
def test_a_site_that_is_no_topic_is_refused(site: str) -> None:
    assert problems(site=site)[0].startswith("site")


def test_an_ipv6_address_stands_in_brackets_in_a_url() -> None:
    assert load({"host": "::1"}).watched_url == "opc.tcp://[::1]:4840"
    assert load({"host": "::"}).watched_url == "opc.tcp://[::1]:4840"
    assert load({"host": "0.0.0.0"}).watched_url == "opc.tcp://127.0.0.1:4840"


def test_the_gateway_finds_the_broker_where_it_listens() -> None:
    found = {host: load({"host": host}).broker_host for host in ("127.0.0.1", "0.0.0.0", "::", "::1", "192.0.2.7")}
    assert found == {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "::1": "::1", "192.0.2.7": "192.0.2.7"}
    assert load({"host": "::1", "mqtt_broker": "mq.example"}).broker_host == "mq.example"
