"""What a hostile client does to a server: python -m benchmarks.security.attacks NAME PORT SECONDS -> JSON.

``frames``: number of frames sent; ``answers``, where it waited for them: how often it was served, and refused, by the reason.

Each comes from an address of its own (127.0.0.2 ...), as a stranger would; those that need a session log in without a name. They
are as fast as this process can make them, so on a machine of two cores one of them is the attacker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import struct
import sys
import time
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1

from benchmarks.opcua.link import POLICY, Refused, server_certificate
from benchmarks.security import greed
from benchmarks.security.greed import Attack, Stranger, end_all, reads, session
from cnctwin.wire import encode
from cnctwin.wire.scalars import ua


async def connect(port: int, address: str = "127.0.0.2") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


async def slow_senders(port: int, until: float) -> int:
    """Connections that send a byte now and then."""

    async def one() -> int:
        sent = 0
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                _, writer = await connect(port)
                for byte in b"HELF\x40\x00\x00\x00" + bytes(40):
                    writer.write(bytes((byte,)))
                    await writer.drain()
                    sent += 1
                    await asyncio.sleep(0.1)
                    if time.monotonic() > until:
                        break
                writer.close()
            await asyncio.sleep(0.05)
        return sent

    return sum(await asyncio.gather(*(one() for _ in range(20))))


async def half_open(port: int, until: float) -> int:
    """Connections of many addresses that say nothing."""
    held: list[Any] = []
    count = 0
    for number in itertools.count():
        if time.monotonic() > until:
            break
        with contextlib.suppress(OSError):
            held.append(await connect(port, f"127.0.{1 + number % 50}.3"))
            count += 1
        if len(held) > 400:
            held.pop(0)[1].close()
        await asyncio.sleep(0.005)
    for _, writer in held:
        writer.close()
    return count


async def churn(port: int, until: float) -> int:
    """Connect, say hello, go."""
    count = 0
    hello = struct.pack("<3scIIIIIIi", b"HEL", b"F", 32, 0, 65_535, 65_535, 0, 0, -1)
    while time.monotonic() < until:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await connect(port)
            writer.write(hello)
            await reader.readexactly(8)
            writer.transport.abort()
            count += 1
    return count


async def garbage(port: int, until: float) -> int:
    """Random bytes, and frames that are nearly right."""
    source = random.Random(1)  # noqa: S311 - a seed, so that it is the same again
    count = 0
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            reader, writer = await connect(port)
            content = source.randbytes(source.choice([0, 16, 200, 8_000]))
            kind = source.choice([b"HEL", b"OPN", b"MSG", b"CLO", b"GET"])
            writer.write(kind + b"F" + struct.pack("<I", source.choice([len(content) + 8, 2**31])) + content)
            await asyncio.wait_for(reader.read(), 20)
            writer.close()
            count += 1
    return count


async def open_flood(port: int, until: float) -> int:
    """OPN after OPN that costs the server an RSA operation and is signed by nobody."""
    own = await server_certificate(port)
    digest = x509.load_der_x509_certificate(own).fingerprint(SHA1())  # noqa: S303 - an identifier
    uri = b"http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
    body = (
        struct.pack("<Ii", 0, len(uri)) + uri + struct.pack("<i", len(own)) + own + struct.pack("<i", 20) + digest + os.urandom(512)
    )
    frames = struct.pack("<3scIIIIIIi", b"HEL", b"F", 32, 0, 65_535, 65_535, 0, 0, -1)
    frames += struct.pack("<3scI", b"OPN", b"F", 8 + len(body)) + body
    count = 0

    async def one() -> None:
        nonlocal count
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                reader, writer = await connect(port)
                writer.write(frames)
                await asyncio.wait_for(reader.read(), 20)
                writer.close()
                count += 1

    await asyncio.gather(*(one() for _ in range(5)))
    return count


async def never_reads(port: int, until: float) -> int:
    """Ask for much, and read nothing of the answers."""

    async def one() -> int:
        count = 0
        while time.monotonic() < until:
            with contextlib.suppress(OSError, Refused):
                link = await session(port)
                link.transport.pause_reading()
                body = link.built(await reads(link, 1_000))
                while time.monotonic() < until and not link.transport.is_closing():
                    if link.transport.get_write_buffer_size() < 1 << 20:
                        link.send(body)
                        count += 1
                        await asyncio.sleep(0)
                    else:
                        await asyncio.sleep(0.01)
                link.transport.abort()
        return count

    return sum(await asyncio.gather(*(one() for _ in range(5))))


async def guessing(port: int, until: float) -> int:
    """Passwords for many users, as fast as they are answered."""
    key: Any = x509.load_der_x509_certificate(await server_certificate(port)).public_key()
    count = 0

    async def one(number: int) -> None:
        nonlocal count
        link, nonce = None, b""
        while time.monotonic() < until:
            with contextlib.suppress(Refused, OSError):
                if link is None or link.transport.is_closing():
                    link = await session(port)
                    create = ua.CreateSessionRequest()
                    create.Parameters.EndpointUrl, create.Parameters.SessionName = f"opc.tcp://127.0.0.1:{port}", "guess"
                    made = (await link.ask(create, ua.CreateSessionResponse)).Parameters
                    link.token, nonce = encode(made.AuthenticationToken), made.ServerNonce
                guess = f"guess{count}".encode()
                secret = POLICY.encrypt(key, struct.pack("<I", len(guess) + len(nonce)) + guess + nonce)
                activate = ua.ActivateSessionRequest()
                user = ua.UserNameIdentityToken("username", f"user{number}", secret, "http://www.w3.org/2001/04/xmlenc#rsa-oaep")
                activate.Parameters.UserIdentityToken = user
                count += 1
                await link.ask(activate, ua.ActivateSessionResponse)

    await asyncio.gather(*(one(number) for number in range(8)))
    return count


async def nothing(_port: int, until: float) -> int:
    await asyncio.sleep(max(0.0, until - time.monotonic()))
    return 0


ATTACKS: dict[str, Attack] = {
    "nobody": nothing,
    "slow senders": slow_senders,
    "half-open": half_open,
    "connections": churn,
    "garbage": garbage,
    "open flood": open_flood,
    "never reads": never_reads,
    "guessing": guessing,
    **greed.ATTACKS,
}


async def main(name: str, port: int, seconds: float) -> None:
    Stranger.lasts_s = seconds + 2.0
    frames = await ATTACKS[name](port, time.monotonic() + seconds)
    print(json.dumps({"frames": frames, "answers": Stranger.answers}))
    await end_all()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
