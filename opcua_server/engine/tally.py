"""What is counted since the server started, for its diagnostics (OPC 10000-5, 12.9). Pure."""

from __future__ import annotations

from typing import Final

from cnctwin.wire.scalars import ua

_C = ua.StatusCodes
_OPENING: Final = frozenset({461, 467})
"""CreateSession, ActivateSession."""
SECURITY: Final = frozenset(
    int(code)
    for code in (
        _C.BadUserAccessDenied, _C.BadIdentityTokenRejected, _C.BadIdentityTokenInvalid, _C.BadUserSignatureInvalid,
        _C.BadApplicationSignatureInvalid, _C.BadSecurityPolicyRejected, _C.BadSecurityChecksFailed, _C.BadNonceInvalid,
        _C.BadCertificateInvalid, _C.BadCertificateUriInvalid, _C.BadIdentityChangeNotSupported, _C.BadSecureChannelIdInvalid,
        _C.BadSessionIdInvalid, _C.BadSessionNotActivated,
    )
)  # fmt: skip
"""Refused for what the client is or has not shown, rather than for what it asks."""


class Tally:
    """Numbers of sessions and of refused requests; whole services that are refused, not operations within one."""

    def __init__(self) -> None:
        self.sessions = 0
        self.timed_out_sessions = 0
        self.aborted_sessions = 0
        self.rejected_sessions = 0
        self.security_rejected_sessions = 0
        self.rejected_requests = 0
        self.security_rejected_requests = 0

    def refused(self, request_type: int, status: int) -> None:
        """A request was answered with a ServiceFault."""
        if request_type in _OPENING:
            self.rejected_sessions += 1
            self.security_rejected_sessions += status in SECURITY
        else:
            self.rejected_requests += 1
            self.security_rejected_requests += status in SECURITY
