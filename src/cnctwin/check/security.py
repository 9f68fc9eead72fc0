"""Discovery, certificates and sessions (OPC 10000-4, 5.5 to 5.7; OPC 10000-7, 6.6)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from asyncua import Client
from asyncua.crypto import uacrypto
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from cnctwin.check.caller import Caller, ua
from cnctwin.check.check import Failed, NotOffered, check, expect, status_is
from cnctwin.link.bounds import bounded

PREFIX = "http://opcfoundation.org/UA/SecurityPolicy#"
BROKEN = frozenset({"Basic128Rsa15", "Basic256"})
LEAST_BITS = 2048
TIMEOUT_S = 10.0


def _policies(server: Caller) -> set[str]:
    return {one.SecurityPolicyUri.removeprefix(PREFIX) for one in server.endpoints}


@check("Security", "an endpoint is signed and encrypted, with no policy that is broken", "10000-7 6.6")
async def endpoints(server: Caller) -> str:
    offered = _policies(server)
    encrypted = [one for one in server.endpoints if one.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt]
    expect(encrypted, "no endpoint with SignAndEncrypt")
    expect(not offered & BROKEN, f"offers {', '.join(sorted(offered & BROKEN))}")
    return ", ".join(sorted(offered))


@check("Security", "endpoints say how users log in", "10000-4 7.14")
async def tokens(server: Caller) -> str:
    bare = [one.SecurityPolicyUri for one in server.endpoints if not one.UserIdentityTokens]
    expect(not bare, f"without UserIdentityTokens: {bare}")
    kinds = {token.TokenType.name for one in server.endpoints for token in one.UserIdentityTokens}
    clear = [
        one.SecurityPolicyUri
        for one in server.endpoints
        for token in one.UserIdentityTokens
        if token.TokenType == ua.UserTokenType.UserName
        and one.SecurityMode == ua.MessageSecurityMode.None_
        and token.SecurityPolicyUri in (None, "", PREFIX + "None")
    ]
    expect(not clear, "passwords would travel in clear over policy None")
    return ", ".join(sorted(kinds))


def _certificate(server: Caller) -> x509.Certificate:
    found = next((one.ServerCertificate for one in server.endpoints if one.ServerCertificate), None)
    if not found:
        raise NotOffered("no endpoint has a certificate")
    der = bytes(found)
    size = int.from_bytes(der[2:4], "big") + 4 if der[1] == 0x82 else len(der)
    return uacrypto.x509_from_der(der[:size])


@check("Security", "the server's certificate is in time, strong, and carries its ApplicationUri", "10000-6 6.2.2")
async def certificate(server: Caller) -> str:
    own = _certificate(server)
    now = datetime.now(UTC)
    expect(own.not_valid_before_utc <= now <= own.not_valid_after_utc, f"valid until {own.not_valid_after_utc:%Y-%m-%d}")
    key = own.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        expect(key.key_size >= LEAST_BITS, f"an RSA key of {key.key_size} bits")
    expect(own.signature_hash_algorithm is None or own.signature_hash_algorithm.name not in ("md5", "sha1"), "signed with SHA-1")
    try:
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    told = {one.Server.ApplicationUri for one in server.endpoints}
    expect(told == set(uris[:1]), f"certificate of {uris[:1]}, ApplicationUri {sorted(told)}")
    return f"until {own.not_valid_after_utc:%Y-%m-%d}"


@check("Security", "FindServers gives the server and its addresses", "10000-4 5.5.2")
async def find_servers(server: Caller) -> str:
    found = await bounded(server.url, TIMEOUT_S).connect_and_find_servers()
    told = {one.Server.ApplicationUri for one in server.endpoints}
    own = [one for one in found if one.ApplicationUri in told]
    expect(own, "FindServers does not give the server itself")
    expect(own[0].DiscoveryUrls, "no discovery address")
    return ", ".join(own[0].DiscoveryUrls)


@check("Security", "a session without activation may do nothing", "10000-4 5.7.2")
async def not_activated(server: Caller) -> str:
    async with server.channel() as client:
        await client.create_session()
        return await _refused_read(client, "BadSessionNotActivated", "BadSessionIdInvalid")


@check("Security", "an authentication token that was never given opens nothing", "10000-4 5.7.2")
async def wrong_token(server: Caller) -> str:
    async with server.channel() as client:
        protocol: Any = client.uaclient.protocol
        protocol.authentication_token = ua.NodeId(b"never given", 0)
        return await _refused_read(client, "BadSessionIdInvalid", "BadSecurityChecksFailed", "BadIdentityTokenInvalid")


async def _refused_read(client: Client, *statuses: str) -> str:
    try:
        await client.uaclient.read(ua.ReadParameters(NodesToRead=[ua.ReadValueId(ua.NodeId(2258), 13)]))
    except ua.UaStatusCodeError as error:
        return status_is(ua.StatusCode(error.code), *statuses)
    raise Failed("a Read was answered")
