"""Security policies (OPC 10000-7, 6.6; OPC 10000-6, 6.7 and 6.8) on the primitives of ``cryptography``. Pure."""

from __future__ import annotations

from typing import Final

from opcua_server.engine.policies.common import BLOCK, NONE, Keys, Policy, Protection
from opcua_server.engine.policies.curve import CURVE_POLICIES, CurvePolicy, Ephemeral
from opcua_server.engine.policies.rsa import RSA_POLICIES, SIGNATURE, RsaPolicy, p_sha256

POLICIES: Final[dict[str, Policy]] = {policy.uri: policy for policy in (*RSA_POLICIES, *CURVE_POLICIES)}
"""By URI; none of them is None."""

__all__ = [
    "BLOCK",
    "NONE",
    "POLICIES",
    "RSA_POLICIES",
    "SIGNATURE",
    "CurvePolicy",
    "Ephemeral",
    "Keys",
    "Policy",
    "Protection",
    "RsaPolicy",
    "p_sha256",
]
