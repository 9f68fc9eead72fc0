"""Serve the gateway with a link that plays moving machines: to work on the page without a server behind it.

python tests/gateway/play.py [port] [machines] [MQTT port]      default 8000, one, 1883; users and key are printed
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

from fake_link import FakeLink

from cnctwin.program import Status
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from gateway.program import run


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory(prefix="cnctwin-play-") as folder:
        data = Path(folder)
        first = Vault(data).ensure()
        if first is not None:
            for login in first.logins:
                print(f"{login.user:10} {login.password}")
            print(f"x-api-key  {first.api_key}")
        print(f"http://127.0.0.1:{port}/", flush=True)
        settings = Settings(data=data, http_port=port, machines=count, mqtt_port=int(sys.argv[3]) if len(sys.argv) > 3 else 1883)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run(settings, Status("gateway"), FakeLink(settings.machine_ids)))


if __name__ == "__main__":
    main()
