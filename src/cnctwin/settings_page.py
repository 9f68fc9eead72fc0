"""docs/settings.md, written from the settings themselves: `cnctwin settings`."""

from __future__ import annotations

from typing import Any, get_args

from cnctwin.settings import Settings, variables

_INTRO = """\
# Settings

Written by `cnctwin settings`; a test compares. Every setting can be given in `cnctwin.toml` in the data folder by its name, in the
environment as shown, and most as an option of `cnctwin up` (`--port-base`, see `cnctwin up --help`). Options beat the environment,
the environment beats the file.

| Setting | Environment | Default | Meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page as Markdown."""
    return _INTRO + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: Any) -> str:
    environment = ", ".join(f"`{variable}`" for variable in variables(name))
    default = (
        ""
        if field.default in (None, ())
        else f"`{field.default}`".lower()
        if isinstance(field.default, bool)
        else f"`{field.default}`"
    )
    meaning = field.description or _MEANINGS[name]
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    if choices:
        meaning += f" ({', '.join(choices)})"
    return f"| `{name}` | {environment} | {default} | {meaning} |\n"


_MEANINGS = {
    "opcua_port": "port of the OPC UA server",
    "http_port": "port of REST, WebSocket and web page",
    "mqtt_port": "port of the MQTT broker",
    "mqtt_use_tls": "talk to the broker over TLS",
    "mqtt_cert_path": "client certificate for the broker",
    "mqtt_key_path": "key of that certificate",
    "mqtt_ca_path": "authority that signed the broker's certificate",
    "mqtt_username": "login at a broker of your own",
    "mqtt_password": "password at a broker of your own",
    "embedded_broker": "which broker to start where none is configured",
    "rate_limit_per_min": "REST requests a key may make in a minute",
    "critical_spindle_temp_c": "spindle temperature, °C, of ingested telemetry that raises a critical alert",
    "slack_webhook_url": "where alerts are sent",
    "log_level": "how much the programs log",
}
