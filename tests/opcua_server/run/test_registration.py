"""Registration with a discovery server, which is asyncua's own server here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import Client, Server, ua
from cryptography.hazmat.primitives.serialization import Encoding

from certs.application import load_certificate
from certs.pki import Trust, ensure_application
from opcua_server.run import registration
from tests.harness import free_ports, wait_for
from tests.opcua_server.bench import running


@contextlib.contextmanager
def discovery_server(folder: Path, port: int, policies: list[Any], made: list[Server] | None = None) -> Iterator[str]:
    """A server that others register with, in a thread of its own, which goes into ``made``; its address."""
    url = f"opc.tcp://127.0.0.1:{port}"
    ready, over = threading.Event(), threading.Event()
    server = Server()
    if made is not None:
        made.append(server)

    async def main() -> None:
        await server.init()
        server.set_endpoint(url)
        await server.set_application_uri("urn:test:lds")
        certificate, key = ensure_application(folder / "lds", "lds", "urn:test:lds", ["127.0.0.1"])
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))
        server.set_security_policy(policies)
        async with server:
            ready.set()
            await asyncio.to_thread(over.wait)

    worker = threading.Thread(target=asyncio.run, args=(main(),))
    worker.start()
    try:
        assert ready.wait(60)
        yield url
    finally:
        over.set()
        worker.join(30)


def known(url: str) -> dict[str, list[str]]:
    """ApplicationUri -> discovery addresses of the servers that a discovery server knows."""
    found = asyncio.run(Client(url, timeout=20).connect_and_find_servers())
    return {one.ApplicationUri: one.DiscoveryUrls for one in found}


def test_a_discovery_server_knows_the_server(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    both = [ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
    made: list[Server] = []
    with discovery_server(tmp_path, port, both, made) as url, running(tmp_path, discovery_server=url) as bench:
        wait_for(lambda: len(known(url)) == 2, "the server is registered")
        (own,) = known(url).keys() - {"urn:test:lds"}
        assert known(url)[own] == [bench.settings.endpoint]
        (announced,) = made[0].iserver._known_servers[own].Capabilities
        assert (announced.MdnsServerName, announced.ServerCapabilities) == ("cnctwin server", ["DA", "HD", "AC", "HE", "DI"])


def test_one_that_is_not_there_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "FIRST_WAIT_S", 0.01)
    nobody: Any = None  # nobody is there whose certificate could be judged
    server = SimpleNamespace(application_uri="urn:test:own", product_uri="urn:test", name="own")
    registering = registration.Registration(f"opc.tcp://127.0.0.1:{free_ports(1)[0]}", server, "opc.tcp://x", nobody)
    tries: list[bool] = []
    tell = registering.tell

    async def counted(*, online: bool) -> None:
        tries.append(online)
        await tell(online=online)

    monkeypatch.setattr(registering, "tell", counted)

    async def main() -> None:
        task = asyncio.create_task(registering.run())
        async with asyncio.timeout(60):
            while len(tries) < 3:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert caplog.text.count("not registered with") == 1
    assert tries == [True] * len(tries), "who is not known has nobody to tell that it goes"


def test_nothing_is_sent_unsigned(tmp_path: Path) -> None:
    nobody: Any = None
    registering = registration.Registration("opc.tcp://x", nobody, "opc.tcp://y", Trust(tmp_path, first_use=False))
    unsigned = ua.EndpointDescription(SecurityMode=ua.MessageSecurityMode.None_, ServerCertificate=b"x")
    with pytest.raises(registration.RegistrationRefused, match="no signed endpoint"):
        asyncio.run(registering._policy([unsigned]))
    certificate, _ = ensure_application(tmp_path / "lds", "lds", "urn:test:lds", ["127.0.0.1"])
    der = load_certificate(certificate).public_bytes(Encoding.DER)
    uri = registration._POLICIES[0].URI
    stranger = ua.EndpointDescription(SecurityMode=ua.MessageSecurityMode.Sign, SecurityPolicyUri=uri, ServerCertificate=der)
    with pytest.raises(registration.RegistrationRefused, match="certs trust"):
        asyncio.run(registering._policy([stranger]))
