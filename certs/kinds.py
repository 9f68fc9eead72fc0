"""Kinds of keys an application has, each with a certificate of its own (OPC 10000-12, 7.8.4: certificate types).

    RSA                              policies of Basic256Sha256 and its like        own/cert.der, own/key.pem
    nistP256, nistP384,              ECC_nistP256 ... (OPC 10000-6, 6.8)            own/cert-nistP256.der, own/key-nistP256.pem
    brainpoolP256r1, brainpoolP384r1

Certificates of a curve are signed with the hash of its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
KEY_BITS: Final = 2048
"""The least that the policies of today accept; 3072 costs three times as much at each connection and is asked for by none."""


@dataclass(frozen=True, slots=True)
class Kind:
    """``curve`` is None for RSA. ``type_id``: of its certificate type, in namespace 0. ``suffix``: of its files."""

    name: str
    type_id: int
    curve: ec.EllipticCurve | None
    hash: hashes.SHA256 | hashes.SHA384

    @property
    def suffix(self) -> str:
        return "" if self.curve is None else f"-{self.name}"

    def new_key(self) -> PrivateKey:
        if self.curve is None:
            return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        return ec.generate_private_key(self.curve)

    def fits(self, key: object) -> bool:
        """Whether a key, private or public, is of this kind. Says nothing about its size where it is RSA."""
        if self.curve is None:
            return isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey)
        return isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and key.curve.name == self.curve.name


RSA: Final = Kind("RSA", 12560, None, hashes.SHA256())
CURVES: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("nistP256", 23538, ec.SECP256R1(), hashes.SHA256()),
        Kind("nistP384", 23539, ec.SECP384R1(), hashes.SHA384()),
        Kind("brainpoolP256r1", 23540, ec.BrainpoolP256R1(), hashes.SHA256()),
        Kind("brainpoolP384r1", 23541, ec.BrainpoolP384R1(), hashes.SHA384()),
    )
}
KINDS: Final = (RSA, *CURVES.values())


def kind_of(key: object) -> Kind | None:
    """The kind of a key, private or public; None for one that no policy of ours uses."""
    return next((kind for kind in KINDS if kind.fits(key)), None)
