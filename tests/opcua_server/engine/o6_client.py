"""o6's client (open62541) against a server; run in a process of its own, prints one JSON line for each connection.

Of the policies for curves o6 offers its client those with authenticated encryption (OFFERED), and has the others in its library:
one of them is put in the place of one that is offered (``offer``), so that open62541's own code judges them.

Free use of it ends ten minutes after the process has begun; this takes seconds. Standard input is JSON: endpoint, certificate, key,
server (certificate), uri, connections [[policy, mode, user, password]], object and method to call; listen: a port on which the
server connects to the client (0: the other way round).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import sys
import time
from collections.abc import Iterator
from typing import Any

import o6

MODES = {"None": 1, "Sign": 2, "SignAndEncrypt": 3}
WAIT_S = 20.0
OFFERED = ("ECC_nistP256_AesGcm", "ECC_nistP256_ChaChaPoly")
"""Policies for curves that its client has by itself."""


def offer(policy: str) -> None:
    """Let o6's client offer ``policy`` (ECC_nistP256 ...) instead of ECC_nistP256_AesGcm: a jump at the beginning of its maker."""
    library = ctypes.CDLL(sys.modules["o6._o6"].__file__)
    name = policy.partition("_")[2]
    place, wanted = (
        ctypes.cast(getattr(library, f"UA_SecurityPolicy_Ecc{one}"), ctypes.c_void_p).value or 0
        for one in ("NistP256AesGcm", name[0].upper() + name[1:])
    )
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    page = ctypes.c_void_p(place & ~(mmap.PAGESIZE - 1))
    for access in (7, 5):  # to write, and as it was
        if protect(page, 2 * mmap.PAGESIZE, access):
            raise OSError(ctypes.get_errno(), "mprotect")
        if access == 7:
            ctypes.memmove(place, b"\x48\xb8" + wanted.to_bytes(8, "little") + b"\xff\xe0", 12)  # mov rax, wanted; jmp rax


def connect(given: dict[str, Any], policy: str, mode: str, user: str, password: str) -> o6.Client:
    """``user`` "token": ``password`` is an issued token."""
    login = {"username": user, "password": password} if user and user != "token" else {}
    client = o6.Client(
        given["endpoint"], certificate=given["certificate"], privateKey=given["key"], trustList=[given["server"]],
        applicationUri=given["uri"], securityMode=MODES[mode],
        securityPolicy="http://opcfoundation.org/UA/SecurityPolicy#" + policy, **login,
    )  # fmt: skip
    if user == "token":
        client.config.userIdentityToken = o6.ns.ns0.datatypes.IssuedIdentityToken(tokenData=password.encode())
    return client


def look(client: o6.Client, given: dict[str, Any], values: int) -> dict[str, Any]:
    """Browse, read, subscribe until so many values of the clock are heard, call."""
    heard: list[Any] = []
    own = client.createSubscription() if given["listen"] else None  # one that connects itself has one
    item = client.monitor("i=2258", heard.append, samplingInterval=100.0, subscription=own)
    deadline = time.monotonic() + WAIT_S
    while len(set(map(str, heard))) < values and time.monotonic() < deadline:
        client.read("i=2258")  # serves its loop too
        time.sleep(0.02)
    try:
        client.read("ns=2;s=nothing")
        missing = "Good"
    except o6.StatusCodeError as error:
        missing = str(error)
    return {
        "browsed": len(client.browse("i=85")),
        "namespaces": [str(one) for one in client.read("i=2255")],
        "range": [str(one) for one in client.read("i=2255", range="0:1")],
        "many": len(client.read(["i=2258"] * 100)),
        "heard": len(set(map(str, heard))),
        "item": item is not None,
        "missing": missing,
        "called": str(client.call(given["object"], given["method"], [])[0]),
    }


@contextlib.contextmanager
def listening(client: o6.Client, port: int) -> Iterator[None]:
    """While the server has connected to the client."""
    client.startReverseConnect(port, ["127.0.0.1"])
    deadline = time.monotonic() + WAIT_S
    while not client.connected and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield
    finally:
        client.disconnect()


def main() -> None:
    given = json.load(sys.stdin)
    policy = given["connections"][0][0]
    if policy.startswith("ECC_") and policy not in OFFERED:
        offer(policy)
    for number, connection in enumerate(given["connections"]):
        client = connect(given, *connection)
        with listening(client, given["listen"]) if given["listen"] else client:
            print(json.dumps({"connection": connection[:3], **look(client, given, 1 if number else 3)}), flush=True)


main()
