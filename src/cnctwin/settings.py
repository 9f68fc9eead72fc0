"""Settings: embedded defaults, then `cnctwin.toml`, then the environment, then the command line; the last one wins.

    defaults < cnctwin.toml in the data folder < environment (CNCTWIN_*, and the names existing deployments use) < options

Every problem is reported at once, before a socket opens (ConfigurationError). Derived addresses are properties, so that no
program works one out for itself.
"""

from __future__ import annotations

import difflib
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from cnctwin.errors import ConfigurationError
from cnctwin.secrets import Role
from cnctwin.settings_sources import MAX_PORT_BASE, config_file, read_toml, sources

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(BaseSettings):
    """Everything the three programs and the command can be told. Times in seconds, ports 1-65535."""

    model_config = SettingsConfigDict(env_prefix="CNCTWIN_", extra="ignore", populate_by_name=True, frozen=True)

    # Where
    data: Path = Field(Path(".data"), description="folder of all state, keys and stores")
    host: str = Field("127.0.0.1", description="address to listen on; anything but loopback is strict")
    port_base: int | None = Field(
        None, ge=1, le=MAX_PORT_BASE, description="HTTP on this port, MQTT on the next, OPC UA on the one after"
    )
    opcua_port: int = Field(4840, ge=1, le=65535)
    http_port: int = Field(8000, ge=1, le=65535)

    http_cert_path: Path | None = Field(
        None, description="certificate (PEM, with its chain) to serve REST, WebSocket and web page over TLS with; none: plain HTTP"
    )
    http_key_path: Path | None = Field(None, description="key of that certificate")

    # The machines
    machines: int = Field(1, ge=1, le=1000, description="number of simulated machines")
    speed: float = Field(1.0, gt=0, le=1000, allow_inf_nan=False, description="simulated seconds per second")
    program: Path | None = Field(None, description="NC program to run instead of the three that are included")
    replay: Path | None = Field(None, description="recording of `cnctwin machine record` to serve instead of simulated machines")
    model: Path | None = Field(None, description="NodeSet2 file of your own to load beside the machine's models")
    seed: int = Field(1, ge=0, le=2**63 - 1, description="seed of everything random in the simulation")
    period: float | None = Field(
        None,
        ge=0.02,
        le=60,
        description="seconds between two publications of a machine's signals; chosen by the number of machines when not set",
    )
    ground_truth: bool = Field(True, description="show the simulation's faults as signals")

    # Security
    insecure: bool = Field(False, description="offer OPC UA policy None and anonymous commands; loopback only")
    require_trust: bool = Field(
        False, description="trusted certificates and named users only, on loopback too (any other address always is)"
    )

    curves: Annotated[tuple[Literal["nistP256", "nistP384", "brainpoolP256r1", "brainpoolP384r1"], ...], NoDecode] = Field(
        ("nistP256", "nistP384"),
        description="curves whose ECC policies the OPC UA server offers beside those of RSA, separated by commas, of nistP256, "
        "nistP384, brainpoolP256r1 and brainpoolP384r1; empty: none",
    )

    # Users of the OPC UA server whom an authority vouches for
    token_issuer: str | None = Field(
        None, description="authority (`iss`) whose tokens (JWT) OPC UA users may log in with, as its address; none: no such tokens"
    )
    token_keys: Path | None = Field(
        None, description="file with that authority's public key: PEM, or a set of them (JWKS); read anew when it changes"
    )
    token_roles: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="which value of a token's claim gives which role, such as mill-operators=Operator,mill-leads=Engineer; the "
        "first that a token has counts",
    )
    token_roles_claim: str = Field(
        "roles", min_length=1, description="claim with those values; a dot goes into an object, such as realm_access.roles"
    )
    token_audience: str | None = Field(
        None, description="who a token must be for (`aud`); none: the ApplicationUri of the OPC UA server"
    )
    token_clock_skew: float = Field(
        60.0,
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="seconds that clocks may differ where the dates of a token are looked at",
    )

    # OPC UA server, beyond its port
    reverse_connect: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="opc.tcp addresses of clients that wait for the server to connect (reverse connect), separated by commas"
    )
    discovery_server: str | None = Field(None, description="opc.tcp address of a discovery server (LDS) to register with")
    session_memory_mb: int = Field(
        64,
        ge=52,
        le=100_000,
        description="megabytes that items, queues, filters and messages of all OPC UA sessions may take together, with 1.5 more "
        "for each machine beyond the first; half a megabyte of it is kept for each of a hundred sessions",
    )

    # OPC UA server that analytics and gateway watch
    opcua_url: str | None = Field(None, description="OPC UA server to watch instead of the simulated one")
    opcua_map: Path | None = Field(
        None, description="file that says which nodes of that server show which signals, where its model is its maker's own"
    )
    opcua_user: str | None = Field(None, description="user at that server; none: anonymous")
    opcua_password: str | None = Field(None, description="password of that user")

    # Historical access of the OPC UA server
    history_days: float = Field(
        30.0, ge=0, le=36_500, allow_inf_nan=False, description="days that the OPC UA server keeps history; 0: it keeps none"
    )
    history_url: str | None = Field(
        None,
        description="PostgreSQL database that keeps history, such as postgresql://user:password@host/name; none: a file in the "
        "data folder; needs the extra `postgres`",
    )
    history_size_mb: int = Field(1024, ge=16, le=1_000_000, description="megabytes that history may take; the oldest goes first")

    # MQTT
    mqtt_broker: str | None = Field(
        None,
        validation_alias=AliasChoices("mqtt_broker", "cnctwin_mqtt_broker"),
        description="broker to publish to; none: one is started",
    )
    mqtt_port: int = Field(1883, ge=1, le=65535, validation_alias=AliasChoices("mqtt_port", "cnctwin_mqtt_port"))
    mqtt_use_tls: bool = Field(False, validation_alias=AliasChoices("mqtt_use_tls", "cnctwin_mqtt_use_tls"))
    mqtt_cert_path: Path | None = Field(None, validation_alias=AliasChoices("mqtt_cert_path", "cnctwin_mqtt_cert_path"))
    mqtt_key_path: Path | None = Field(None, validation_alias=AliasChoices("mqtt_key_path", "cnctwin_mqtt_key_path"))
    mqtt_ca_path: Path | None = Field(None, validation_alias=AliasChoices("mqtt_ca_path", "cnctwin_mqtt_ca_path"))
    broker_cert_path: Path | None = Field(
        None,
        description="certificate (PEM, with its chain) that the broker which is started shows: it speaks TLS alone then, and the "
        "gateway takes no other; none: plain MQTT",
    )
    broker_key_path: Path | None = Field(None, description="key of that certificate")
    mqtt_username: str | None = None
    mqtt_password: str | None = None
    embedded_broker: Literal["auto", "mosquitto", "nats", "none"] = "auto"
    site: str = Field("enterprise/site/area/line", description="path of the plant before the machine in the unified namespace")

    sparkplug_group: str | None = Field(
        None, description="group to publish the machines in as devices by Sparkplug B 3.0; none: it is off"
    )
    sparkplug_node: str = Field("cnctwin", description="name of the gateway as an edge node of Sparkplug B")

    # REST, alerts
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias=AliasChoices("api_keys", "cnctwin_api_keys"),
        description="API keys of existing clients, separated by commas",
    )
    rate_limit_per_min: int = Field(100, ge=1, validation_alias=AliasChoices("rate_limit_per_min", "cnctwin_rate_limit_per_min"))
    critical_spindle_temp_c: float = Field(
        90.0,
        allow_inf_nan=False,
        validation_alias=AliasChoices("critical_spindle_temp_c", "cnctwin_critical_spindle_temp_c"),
    )
    slack_webhook_url: str | None = Field(None, validation_alias=AliasChoices("slack_webhook_url", "cnctwin_slack_webhook_url"))
    alert_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="further channels of alerts, as Apprise addresses (mailto:, ntfy:, msteams: ...) separated by commas; "
        "needs the extra `alerts`",
    )
    compat_ports: str | None = Field(
        None, description="first-last: ports that answer as the five services of old did, such as 8001-8004"
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("api_keys", "alert_urls", "reverse_connect", "curves", "token_roles", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        return tuple(key.strip() for key in value.split(",") if key.strip()) if isinstance(value, str) else value

    @field_validator(
        "mqtt_broker",
        "slack_webhook_url",
        "opcua_url",
        "opcua_user",
        "opcua_password",
        "history_url",
        "discovery_server",
        "token_issuer",
        "token_keys",
        "token_audience",
        "mqtt_cert_path",
        "mqtt_key_path",
        "mqtt_ca_path",
        "broker_cert_path",
        "broker_key_path",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("mqtt_broker")
    @classmethod
    def _is_host(cls, value: str | None) -> str | None:
        if value is not None and set(value) & set("@/"):
            raise ValueError(
                "must be a name or an address alone, such as broker.example; user and password are settings of their own"
            )
        return value

    @field_validator("site")
    @classmethod
    def _site_is_topic(cls, value: str) -> str:
        bad = [part for part in value.split("/") if not part or set(part) & set("+# ")]
        if bad:
            raise ValueError("must be topic levels separated by /, none empty and none with + # or a space")
        return value

    @field_validator("sparkplug_group", "sparkplug_node")
    @classmethod
    def _is_topic_level(cls, value: str | None) -> str | None:
        if value is not None and (not value.isprintable() or not value or set(value) & set("/+# $")):
            raise ValueError("must be one topic level: not empty, and without / + # $ or a space")
        return value

    @field_validator("opcua_url", "discovery_server")
    @classmethod
    def _is_opc_tcp(cls, value: str | None) -> str | None:
        if value is not None:
            check_opc_tcp(value)
        return value

    @field_validator("reverse_connect")
    @classmethod
    def _are_opc_tcp(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            check_opc_tcp(url)
        return value

    @field_validator("history_url")
    @classmethod
    def _is_postgresql(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in ("postgresql", "postgres"):
            raise ValueError("must look like postgresql://user:password@host/name")
        return value

    @field_validator("token_roles")
    @classmethod
    def _are_roles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = get_args(Role)
        for row in value:
            claimed, _, role = row.rpartition("=")
            if not claimed or role not in known:
                raise ValueError(f"must be rows of value=Role, with a role of {', '.join(known)}")
        return value

    @field_validator("compat_ports")
    @classmethod
    def _is_port_range(cls, value: str | None) -> str | None:
        if value is not None:
            first, _, last = value.partition("-")
            if not (first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) <= 65535 and int(last) - int(first) <= 3):
                raise ValueError("must be first-last with at most four ports, such as 8001-8004")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        if self.insecure and not self.is_loopback:
            raise ValueError(f"insecure: only on a loopback address, not on {self.host}; leave it out, or leave host at 127.0.0.1")
        if self.opcua_map is not None and self.opcua_url is None:
            raise ValueError("opcua_map: is of a server that is watched instead of the simulated one; give opcua_url too")
        for what in ("mqtt", "http"):
            if (getattr(self, f"{what}_cert_path") is None) != (getattr(self, f"{what}_key_path") is None):
                raise ValueError(f"{what}_cert_path and {what}_key_path: give both or none")
        if (self.broker_key_path is None) != (self.broker_cert_path is None) and (self.starts_broker or self.broker_key_path):
            raise ValueError("broker_cert_path and broker_key_path: give both or none")
        given = [bool(one) for one in (self.token_issuer, self.token_keys, self.token_roles)]
        if any(given) and not all(given):
            raise ValueError("token_issuer, token_keys and token_roles: give all or none")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return sources(settings_cls, init_settings)

    # Derived

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    @property
    def is_strict(self) -> bool:
        """Whether only trusted certificates and named users get in."""
        return self.require_trust or not self.is_loopback

    @property
    def endpoint(self) -> str:
        """Address the OPC UA server listens on."""
        return f"opc.tcp://{in_url(self.host)}:{self.opcua_port}"

    @property
    def announced_url(self) -> str:
        """Address of the OPC UA server as others are told it: by the machine's name where it listens on all addresses."""
        return f"opc.tcp://{self._name_of_host}:{self.opcua_port}"

    @property
    def shown_host(self) -> str:
        """Host as people are told it, to type into a browser."""
        return "localhost" if self.is_loopback else self._name_of_host

    @property
    def _name_of_host(self) -> str:
        return in_url(socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host)  # noqa: S104 - compared, not bound

    @property
    def watched_url(self) -> str:
        """Address of the OPC UA server that analytics and gateway watch."""
        if self.opcua_url is not None:
            return self.opcua_url
        return f"opc.tcp://{in_url(self.own_host)}:{self.opcua_port}"

    @property
    def own_host(self) -> str:
        """Where this machine reaches what listens on ``host``."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound

    @property
    def http_scheme(self) -> str:
        return "http" if self.http_cert_path is None else "https"

    @property
    def starts_broker(self) -> bool:
        """Whether `up` starts a broker of its own."""
        return self.mqtt_broker is None and self.embedded_broker != "none"

    @property
    def has_broker(self) -> bool:
        """Whether there is any to publish to: one that is named, or one of its own that somebody starts."""
        return self.mqtt_broker is not None or self.embedded_broker != "none"

    @property
    def mqtt_scheme(self) -> str:
        return "mqtts" if self.mqtt_use_tls or self.broker_cert_path is not None else "mqtt"

    @property
    def broker_host(self) -> str:
        return self.mqtt_broker or self.own_host

    @property
    def publication_period(self) -> float:
        """Seconds between publications: 0.1 for a few machines, longer for a fleet, so that one core carries it."""
        return self.period if self.period is not None else max(0.1, round(0.02 * self.machines, 2))

    @property
    def machine_ids(self) -> tuple[str, ...]:
        return tuple(f"CNC-{number:03d}" for number in range(1, self.machines + 1))


def check_opc_tcp(url: str) -> None:
    """Raises ValueError when this is no address of an OPC UA server."""
    try:
        parts = urlsplit(url)
        known = parts.scheme == "opc.tcp" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError("must look like opc.tcp://host:4840")
    if parts.username is not None:
        raise ValueError("holds a user, who would be shown wherever the address is; give opcua_user and opcua_password")


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def load(options: Mapping[str, Any] | None = None) -> Settings:
    """Settings from all places; ``options`` (None values left out) win. Raises ConfigurationError with every problem."""
    given = {name: value for name, value in (options or {}).items() if value is not None}
    path = config_file(given)
    in_file = read_toml(path)
    unfit = [f"{path}: {name}: {_no_setting(name)}" for name in sorted(set(in_file) - set(Settings.model_fields))]
    if "data" in in_file:
        unfit.append(f"{path}: data: the folder of this file is not chosen in it; give --data or CNCTWIN_DATA")
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise ConfigurationError(unfit + [_problem(item, given, path, in_file) for item in error.errors()]) from error
    if unfit:
        raise ConfigurationError(unfit)
    return settings


def variables(name: str) -> tuple[str, ...]:
    """The environment variables of a setting, the first one first in effect."""
    alias = Settings.model_fields[name].validation_alias
    names = [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [f"cnctwin_{name}"]
    return tuple(variable.upper() for variable in names)


def misspelt(environment: Iterable[str]) -> list[str]:
    """What is said of variables that are no setting and look like one; others may have names of ours for purposes of their own."""
    known = {variable for name in Settings.model_fields for variable in variables(name)}
    ours = [variable for variable in sorted(environment) if variable.startswith("CNCTWIN_") and variable not in known]
    near = {variable: difflib.get_close_matches(variable, known, 1, cutoff=0.88) for variable in ours}
    return [f"{variable} in the environment is no setting (meant {found[0]}?)" for variable, found in near.items() if found]


def _no_setting(name: str) -> str:
    near = difflib.get_close_matches(name.lower().removeprefix("cnctwin_"), Settings.model_fields, 1)
    meant = f" (meant {near[0]}?)" if near else ""
    return f"no such setting{meant}; the settings are listed in docs/settings.md"


def _problem(item: Mapping[str, Any], given: Mapping[str, Any], path: Path, in_file: Mapping[str, Any]) -> str:
    """What is wrong with a setting, and where it was given."""
    where = ".".join(str(part) for part in item["loc"])
    what = str(item["msg"]).removeprefix("Value error, ")
    shown = item.get("input")
    secret = any(word in where for word in ("key", "password", "webhook", "history_url", "alert_urls")) or "@" in str(shown)
    got = "" if not where or secret or isinstance(shown, dict) else f" (given: {shown!r})"
    name = str(item["loc"][0]) if item["loc"] else ""
    if name in Settings.model_fields and name not in given:
        variable = next((known for known in variables(name) if known in os.environ), None)
        if variable is not None:
            got += f", in the environment as {variable}"
        elif name in in_file:
            got += f", in {path}"
    return f"{where}: {what}{got}" if where else what
