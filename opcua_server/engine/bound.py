"""What is signed when a session is created and activated (OPC 10000-4, 6.1.8).

               policies of before             bound policies (SecureChannelEnhancements); H: hash of a certificate
    server     client's certificate, nonce    thumbprint | client's nonce | H(server) H(client) | server's nonce
    client     server's certificate, nonce    thumbprint | server's nonce | H(server) H(server) H(client) | client's nonce
    user       as the client                  thumbprint | server's nonce | H(server) H(server) H(client) H(client) | client's nonce

A certificate is there twice as that of the application and that of its channel, which are the same over opc.tcp. The thumbprint is
that of the channel: a signature that somebody got out of a client on another channel is worth nothing here.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import Hash

from opcua_server.engine.channel import Channel


def by_server(channel: Channel, client_certificate: bytes, client_nonce: bytes, server_nonce: bytes) -> bytes:
    """What the ServerSignature of CreateSession is over. ``client_certificate``: as the request has it."""
    if not channel.thumbprint:
        return client_certificate + client_nonce
    server, client = _hashes(channel)
    return channel.thumbprint + client_nonce + server + client + server_nonce


def by_client(channel: Channel, client_nonce: bytes, server_nonce: bytes) -> bytes:
    """What the ClientSignature of ActivateSession is over. ``client_nonce``: of CreateSession."""
    if not channel.thumbprint:
        return channel.own.certificate + server_nonce
    server, client = _hashes(channel)
    return channel.thumbprint + server_nonce + server + server + client + client_nonce


def by_user(channel: Channel, client_nonce: bytes, server_nonce: bytes) -> bytes:
    """What the UserTokenSignature of ActivateSession is over."""
    if not channel.thumbprint:
        return channel.own.certificate + server_nonce
    server, client = _hashes(channel)
    return channel.thumbprint + server_nonce + server + server + client + client + client_nonce


def _hashes(channel: Channel) -> tuple[bytes, bytes]:
    """Of our certificate and of the client's."""
    assert channel.policy is not None  # noqa: S101 - a thumbprint comes from a policy
    made = []
    for certificate in (channel.own.certificate, channel.certificate or b""):
        digest = Hash(channel.policy.kind.hash)
        digest.update(certificate)
        made.append(digest.finalize())
    return made[0], made[1]
