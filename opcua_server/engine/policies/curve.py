"""Policies of keys on curves (OPC 10000-6, 6.8; OPC 10000-7, 6.6): ephemeral keys instead of encryption with the certificate's.

                             curve             hash      keys of MSG: signing, encrypting
    ECC_nistP256             secp256r1         SHA-256   32, AES-128
    ECC_nistP384             secp384r1         SHA-384   48, AES-256
    ECC_brainpoolP256r1      brainpoolP256r1   SHA-256   32, AES-128
    ECC_brainpoolP384r1      brainpoolP384r1   SHA-384   48, AES-256
    ECC_nistP256_AesGcm      secp256r1         SHA-256   AES-128-GCM           bound
    ECC_nistP256_ChaChaPoly  secp256r1         SHA-256   ChaCha20-Poly1305     bound

    nonce of an OPN    an ephemeral public key, x and y, big-endian
    shared secret      x of the product of one's private and the other's public key; of a bound policy, exclusive or that of the
                       channel's last OPN
    keys of a side     HKDF (RFC 5869), salt = info = size (16 bits) | "opcua-server" or "opcua-client" | its nonce | the other's

An OPN is signed, with ECDSA as r and s, and not encrypted: there is nothing secret in it. Who records everything and gets the
certificate's key later still reads nothing. The first answer of a bound policy also signs the signature of its request: somebody
between the two who changes what is agreed on is found out (OPC 10000-6, 6.7.5).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from certs.kinds import CURVES, Kind, PrivateKey, PublicKey
from opcua_server.engine.policies.authenticated import VECTOR, AuthenticatedKeys
from opcua_server.engine.policies.authenticated import Cipher as AuthenticatedCipher
from opcua_server.engine.policies.common import BLOCK, URI, Agreed, Keys, Policy, Protection


class Ephemeral:
    """A key pair for one exchange. ``public``: x and y."""

    __slots__ = ("_key", "public")

    def __init__(self, curve: ec.EllipticCurve) -> None:
        self._key = ec.generate_private_key(curve)
        numbers = self._key.public_key().public_numbers()
        size = coordinate(curve)
        self.public = numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")

    def shared(self, other: bytes) -> bytes:
        """The secret shared with the owner of a public key. Raises ValueError for one that is no point of the curve."""
        peer = ec.EllipticCurvePublicKey.from_encoded_point(self._key.curve, b"\x04" + other)
        return self._key.exchange(ec.ECDH(), peer)


@dataclass(frozen=True)
class CurvePolicy(Policy):
    """One row of the table above. Sizes in bytes; signatures of the certificate have ``nonce`` bytes. ``cipher``: where it is one
    that authenticates."""

    name: str
    level: int
    kind: Kind
    encrypting_key: int
    signature_uri: str
    cipher: AuthenticatedCipher | None = None

    counts_from_zero = True
    # Where nothing is encrypted there is no padding. open62541 has its size all the same, and reads the last byte of a body as one
    # where it is left out; others do not look behind the body.
    trailer = b"\x00"

    @property
    def curve(self) -> ec.EllipticCurve:
        assert self.kind.curve is not None  # noqa: S101 - the table below
        return self.kind.curve

    @property
    def bound(self) -> bool:  # type: ignore[override]
        return self.cipher is not None

    @property
    def vector(self) -> int:
        return BLOCK if self.cipher is None else VECTOR

    @property
    def nonce(self) -> int:  # type: ignore[override]
        return 2 * coordinate(self.curve)

    def sign(self, key: PrivateKey, data: bytes) -> bytes:
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("no key on a curve")
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(self.kind.hash)))
        size = self.nonce // 2
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def verify(self, key: PublicKey, signature: bytes, data: bytes) -> None:
        size = self.nonce // 2
        if not isinstance(key, ec.EllipticCurvePublicKey) or not self.kind.fits(key) or len(signature) != 2 * size:
            raise InvalidSignature
        pair = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        key.verify(encode_dss_signature(*pair), data, ec.ECDSA(self.kind.hash))

    def open(self, own: PrivateKey, sender: PublicKey, frame: bytes, p: int) -> bytes:
        if len(frame) < p + self.nonce:
            raise ValueError("no signature")
        self.verify(sender, frame[-self.nonce :], frame[: -self.nonce])
        return frame[: -self.nonce]

    def seal(self, own: PrivateKey, receiver: PublicKey, head: bytes, plain: bytes, answered: bytes = b"") -> bytes:
        plain += self.trailer
        size = 8 + len(head) + len(plain) + self.nonce
        signed = b"OPNF" + size.to_bytes(4, "little") + head + plain
        return signed + self.sign(own, signed + answered)

    def agree(self, client_nonce: bytes, before: bytes = b"") -> Agreed:
        ephemeral = Ephemeral(self.curve)
        secret = ephemeral.shared(client_nonce)
        if self.bound and before:
            secret = bytes(one ^ other for one, other in zip(secret, before, strict=True))
        ours = self._keys(secret, b"opcua-server", ephemeral.public, client_nonce)
        return Agreed(ephemeral.public, self._keys(secret, b"opcua-client", client_nonce, ephemeral.public), ours, secret)

    def _keys(self, secret: bytes, label: bytes, own: bytes, other: bytes) -> Protection:
        signing = self.kind.hash.digest_size if self.cipher is None else 0
        vector = signing + self.encrypting_key
        made = self.derive(secret, label, own, other, vector + self.vector)
        if self.cipher is not None:
            return AuthenticatedKeys(self.cipher, made[:vector], made[vector:])
        return Keys(made[:signing], made[signing:vector], made[vector:], self.kind.hash)

    def derive(self, secret: bytes, label: bytes, own: bytes, other: bytes, size: int) -> bytes:
        salt = struct.pack("<H", size) + label + own + other
        return HKDF(self.kind.hash, size, salt, salt).derive(secret)


def coordinate(curve: ec.EllipticCurve) -> int:
    return (curve.key_size + 7) // 8


_ECDSA_256: Final = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
_ECDSA_384: Final = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
# Below those of RSA: clients that take the highest level without a look at the policy have no certificate for a curve.
CURVE_POLICIES: Final = (
    CurvePolicy("ECC_nistP256", -9, CURVES["nistP256"], 16, _ECDSA_256),
    CurvePolicy("ECC_nistP384", -7, CURVES["nistP384"], 32, _ECDSA_384),
    CurvePolicy("ECC_brainpoolP256r1", -8, CURVES["brainpoolP256r1"], 16, _ECDSA_256),
    CurvePolicy("ECC_brainpoolP384r1", -6, CURVES["brainpoolP384r1"], 32, _ECDSA_384),
    CurvePolicy("ECC_nistP256_AesGcm", -5, CURVES["nistP256"], 16, URI + "ECC_nistP256_AesGcm", AESGCM),
    CurvePolicy("ECC_nistP256_ChaChaPoly", -4, CURVES["nistP256"], 32, URI + "ECC_nistP256_ChaChaPoly", ChaCha20Poly1305),
)
