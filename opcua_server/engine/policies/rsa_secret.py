"""A token or a long password on its way over a channel with RSA keys: RsaEncryptedSecret (OPC 10000-4, 7.40.2.4).

    type, length | policy, thumbprint of our certificate, time | for us: keys | encrypted: nonce, secret | HMAC of all before

The older form, which fills one RSA block after the other, is in ``security.users``.
"""

from __future__ import annotations

import hmac
import struct
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from certs.kinds import PrivateKey
from cnctwin.wire import Budget, DecodingError
from cnctwin.wire.decode import guarded
from cnctwin.wire.scalars import read_bytes, ua
from opcua_server.engine.policies.common import BLOCK
from opcua_server.engine.policies.rsa import SIGNATURE, RsaPolicy
from opcua_server.engine.policies.secret import read_head, read_payload

_TYPE: Final = ua.NodeId(17545)
_BEGIN: Final = b"\x01\x00" + struct.pack("<H", 17545) + b"\x01"
MAX_KEY_BLOCKS: Final = 2


def is_one(secret: bytes) -> bool:
    return secret.startswith(_BEGIN)


def open_secret(policy: RsaPolicy, secret: bytes, own: PrivateKey, thumbprint: bytes, nonce: bytes) -> bytes:
    """What a client encrypted for us. ``thumbprint``: of our certificate. Raises ValueError for whatever is wrong."""
    try:
        return _open(policy, secret, own, thumbprint, nonce)
    except (DecodingError, struct.error, IndexError, TypeError) as error:
        raise ValueError("is no secret for this session") from error


def _open(policy: RsaPolicy, secret: bytes, own: PrivateKey, thumbprint: bytes, nonce: bytes) -> bytes:
    uri, receiver, size, p = read_head(secret, _TYPE)
    if uri != policy.uri or not hmac.compare_digest(receiver, thumbprint):
        raise ValueError("another policy, or not for our certificate")
    signed = len(secret) - SIGNATURE
    if p + size > signed or size > MAX_KEY_BLOCKS * own.key_size // 8:
        raise ValueError("no keys")
    keys = policy.decrypt(own, secret[p : p + size])
    budget = Budget(max_string=64)
    signing, q = guarded(read_bytes, keys, 0, budget)
    encrypting, q = guarded(read_bytes, keys, q, budget)
    vector, q = guarded(read_bytes, keys, q, budget)
    sizes = [len(one or b"") for one in (signing, encrypting, vector)]
    if sizes != [policy.signing_key, policy.encrypting_key, BLOCK]:
        raise ValueError("keys of other sizes")
    if not hmac.compare_digest(hmac.digest(signing or b"", secret[:signed], "sha256"), secret[signed:]):
        raise ValueError("wrong signature")
    data = secret[p + size : signed]
    if len(data) % BLOCK:
        raise ValueError("no whole blocks")
    cipher: Cipher[Any] = Cipher(algorithms.AES(encrypting or b""), modes.CBC(vector or b""))
    return read_payload(cipher.decryptor().update(data), nonce)
