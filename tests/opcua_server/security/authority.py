"""An authority that issues tokens, right ones and wrong ones."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

URL = "https://sso.example/realms/plant"
AUDIENCE = "urn:test:mill"
ROLES = {"mill-leads": "Engineer", "mill-operators": "Operator"}
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def pem(key: Any = RSA_KEY) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def jwk(key: Any, name: str | None = None, **more: Any) -> dict[str, Any]:
    """One row of a JWKS."""
    algorithm = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256"}
    kind = next((found for base, found in algorithm.items() if isinstance(key, base)), "EdDSA")
    made = json.loads(jwt.get_algorithm_by_name(kind).to_jwk(key.public_key()))
    return {**made, **({"kid": name} if name else {}), **more}


def key_set(path: Path, *rows: Any) -> Path:
    path.write_text(json.dumps({"keys": rows}))
    return path


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a right token, and what is not as it should be; None leaves one out."""
    now = int(time.time())
    made = {"iss": URL, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 3_600, "roles": ["mill-operators"], **changed}
    return {name: value for name, value in made.items() if value is not None}


def token(key: Any = RSA_KEY, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any) -> bytes:
    return jwt.encode(claims(**changed), key, algorithm, headers).encode()
