"""Where settings come from, and what a port base makes of each place.

options --port base--> ports      the first that names a setting wins
environment --port base--> ports
cnctwin.toml --port base--> ports
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, PydanticBaseSettingsSource

from cnctwin.errors import ConfigurationError

CONFIG_NAME = "cnctwin.toml"
MAX_PORT_BASE = 65533


def config_file(options: Mapping[str, Any]) -> Path:
    """The file of the data folder that options, else the environment name."""
    return Path(options.get("data") or os.environ.get("CNCTWIN_DATA") or ".data") / CONFIG_NAME


def sources(settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource) -> tuple[PydanticBaseSettingsSource, ...]:
    """All of them, the one that wins first. Raises ConfigurationError when the file cannot be read."""
    options = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
    in_file = InitSettingsSource(settings_cls, read_toml(config_file(options)))
    given = (init_settings, EnvSettingsSource(settings_cls), in_file)
    is_foreign = any(source().get(name) for source in given for name in ("mqtt_broker", "cnctwin_mqtt_broker"))
    return tuple(_PortsOfBase(settings_cls, source, is_foreign) for source in given)


class _PortsOfBase(PydanticBaseSettingsSource):
    """A source whose port base gives the ports that the same source does not name itself: --http-port beats --port-base, which
    beats the ports of the environment. The port of a foreign broker is not ours to choose."""

    def __init__(self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource, has_foreign_broker: bool) -> None:
        super().__init__(settings_cls)
        self._source = source
        self._has_foreign_broker = has_foreign_broker

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        given = self._source()
        base = given.get("port_base")
        if isinstance(base, str) and base.isdigit():
            base = int(base)
        if not isinstance(base, int) or not 1 <= base <= MAX_PORT_BASE:
            return given
        mqtt = {} if self._has_foreign_broker or "cnctwin_mqtt_port" in given else {"mqtt_port": base + 1}
        return {"http_port": base, **mqtt, "opcua_port": base + 2, **given}


def read_toml(path: Path) -> dict[str, Any]:
    """What the file says; nothing where there is none. Raises ConfigurationError when it cannot be read."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # a folder that cannot be one is refused where it is made
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError([f"{path}: cannot be read: {error}"]) from error
