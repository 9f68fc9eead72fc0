"""What every convention does with its connection to the broker: whose it is, keep it, be woken while it lasts, say goodbye.

keep():  connection.run ----------------------------------- its last words --> ended
         tick() four times a second                         ^
                                                cancelled --'
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from gateway.mqtt.connection import BrokerAddress, Connection
from gateway.mqtt.message import Message

TICK_S: Final = 0.25
GOODBYE_S: Final = 0.5


async def keep(
    name: str, connection: Connection, tick: Callable[[], None], farewell: Callable[[], Iterable[Message]] = tuple
) -> None:
    """Keep the connection until cancelled, then publish ``farewell`` and what the connection itself says last.

    ``tick`` is called whether the connection is up or not. What it raises, and what the connection raises, ends both and is raised.
    """
    ticking = asyncio.create_task(_tick(tick), name=f"{name}-tick")
    living = asyncio.create_task(connection.run(), name=f"{name}-connection")
    try:
        # Waited for, not gathered: the connection must outlive this task's cancellation by its last words.
        done, _ = await asyncio.wait((ticking, living), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        ticking.cancel()
        with contextlib.suppress(Exception):
            await connection.say_goodbye(farewell(), GOODBYE_S)
        living.cancel()
        await asyncio.gather(ticking, living, return_exceptions=True)


async def _tick(tick: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        tick()


def address_of(settings: Settings) -> BrokerAddress:
    """The broker the settings name, with the credentials they give, or the login of the embedded one."""
    user, password = settings.mqtt_username, settings.mqtt_password
    if user is None and settings.mqtt_broker is None:
        login = Vault(settings.data).login("broker")
        user, password = (login.user, login.password) if login is not None else (None, None)
    return BrokerAddress(
        settings.broker_host,
        settings.mqtt_port,
        user,
        password,
        settings.mqtt_use_tls,
        settings.mqtt_ca_path,
        settings.mqtt_cert_path,
        settings.mqtt_key_path,
        settings.broker_cert_path,
        settings.mqtt_broker is None,
    )
