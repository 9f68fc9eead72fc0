"""A password on its way over a channel whose keys are on a curve: EccEncryptedSecret (OPC 10000-4, 7.40.2.5; OPC 10000-6, 6.8.2).

    CreateSession, ActivateSession   "which key for ECC_nistP256?" (ECDHPolicyUri) --> our ephemeral key, signed (ECDHKey)
    ActivateSession                  type, length | policy, certificate, time | sender's key, our key | encrypted | signature
                                                                                       nonce of the session, password, padding

Both ephemeral keys make the key that encrypts: HKDF, salt = info = size | "opcua-secret" | sender's key | our key. The client's
certificate has signed all of it. Ours is used once: the next ActivateSession has another. Where encryption authenticates, its tag
follows what is encrypted, and all before is signed by it too.
"""

from __future__ import annotations

import hmac
import struct
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from certs.kinds import PublicKey
from cnctwin.wire import Budget, DecodingError, encode
from cnctwin.wire.decode import guarded
from cnctwin.wire.scalars import read_bytes, read_node_id, read_string, ua
from opcua_server.engine.policies.common import BLOCK
from opcua_server.engine.policies.curve import CurvePolicy, Ephemeral

ECC: Final = ua.NodeId(17546)
_ASKED, _GIVEN = "ECDHPolicyUri", "ECDHKey"
MAX_SECRET: Final = 16_384


def wanted_policy(header: Any) -> str | None:
    """The policy for which a request's AdditionalHeader asks for a key; None where it does not."""
    if not isinstance(header, ua.AdditionalParametersType):
        return None
    for pair in header.Parameters or []:
        if pair.Key.Name == _ASKED and isinstance(pair.Value.Value, str):
            return pair.Value.Value
    return None


def key_header(policy: CurvePolicy | None, ephemeral: Ephemeral | None, own: Any) -> bytes:
    """The AdditionalHeader of a response: our key, signed with the key ``own``; without a policy, that it is none of ours."""
    value: Any
    if policy is None or ephemeral is None:
        value = ua.Variant(ua.StatusCode(ua.StatusCodes.BadSecurityPolicyRejected), ua.VariantType.StatusCode)
    else:
        key = ua.EphemeralKeyType(ephemeral.public, policy.sign(own, ephemeral.public))
        value = ua.Variant(key, ua.VariantType.ExtensionObject)
    pair = ua.KeyValuePair(ua.QualifiedName(_GIVEN, 0), value)
    return encode(ua.AdditionalParametersType([pair]), ua.ExtensionObject)


def open_secret(
    policy: CurvePolicy, secret: bytes, ephemeral: Ephemeral, sender: PublicKey, certificate: bytes, nonce: bytes
) -> bytes:
    """What a client encrypted for us. ``sender``: the key of its ``certificate``. Raises ValueError for whatever is wrong."""
    try:
        return _open(policy, secret, ephemeral, sender, certificate, nonce)
    except (DecodingError, InvalidSignature, InvalidTag, struct.error, IndexError) as error:
        raise ValueError("is no secret for this session") from error


def _open(policy: CurvePolicy, secret: bytes, ephemeral: Ephemeral, sender: PublicKey, certificate: bytes, nonce: bytes) -> bytes:
    budget = Budget(max_string=MAX_SECRET)
    signed = len(secret) - policy.nonce
    policy.verify(sender, secret[signed:], secret[: max(signed, 0)])
    uri, chain, size, p = read_head(secret, ECC)
    if uri != policy.uri or (chain and chain[: len(certificate)] != certificate):
        raise ValueError("another policy or another certificate")
    theirs, end = guarded(read_bytes, secret, p, budget)
    ours, end = guarded(read_bytes, secret, end, budget)
    if end != p + size or not hmac.compare_digest(ours or b"", ephemeral.public) or signed <= end:
        raise ValueError("not for the key of this session")
    plain = _decrypt(policy, ephemeral, theirs or b"", secret[end:signed], secret[:end])
    return read_payload(plain, nonce)


def read_head(secret: bytes, kind: Any) -> tuple[str | None, bytes, int, int]:
    """What every kind of secret begins with: policy, certificate, bytes of the key data, and where those begin.

    Raises ValueError, DecodingError, struct.error, IndexError.
    """
    budget = Budget(max_string=MAX_SECRET)
    type_id, p = guarded(read_node_id, secret, 0, budget)
    encoding, length = secret[p], struct.unpack_from("<I", secret, p + 1)[0]
    p += 5
    if type_id != kind or encoding != 1 or length != len(secret) - p:
        raise ValueError("another kind of secret")
    uri, p = guarded(read_string, secret, p, budget)
    certificate, p = guarded(read_bytes, secret, p, budget)
    # The signing time is not looked at: the nonce is of this session, and clocks differ.
    (size,) = struct.unpack_from("<H", secret, p + 8)
    return uri, certificate or b"", size, p + 10


def read_payload(plain: bytes, nonce: bytes) -> bytes:
    """What was kept secret, once it is decrypted. Raises ValueError, DecodingError."""
    budget = Budget(max_string=MAX_SECRET)
    sent_nonce, p = guarded(read_bytes, plain, 0, budget)
    value, p = guarded(read_bytes, plain, p, budget)
    if not nonce or not hmac.compare_digest(sent_nonce or b"", nonce):
        raise ValueError("the nonce of another session")
    return value or b""


def _decrypt(policy: CurvePolicy, ephemeral: Ephemeral, theirs: bytes, data: bytes, head: bytes) -> bytes:
    size = policy.encrypting_key + policy.vector
    made = policy.derive(ephemeral.shared(theirs), b"opcua-secret", theirs, ephemeral.public, size)
    key, vector = made[: policy.encrypting_key], made[policy.encrypting_key :]
    if policy.cipher is not None:
        return policy.cipher(key).decrypt(vector, data, head)
    if len(data) % BLOCK:
        raise ValueError("no whole blocks")
    cipher: Cipher[Any] = Cipher(algorithms.AES(key), modes.CBC(vector))
    return cipher.decryptor().update(data)
