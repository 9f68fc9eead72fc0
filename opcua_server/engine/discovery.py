"""GetEndpoints and FindServers (OPC 10000-4, 5.5): what a client may know before it has opened anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from certs.kinds import RSA
from cnctwin.wire.encode import Write, array_writer
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import Request, Service
from opcua_server.engine.policies import NONE, POLICIES, Policy

BINARY: Final = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
JWT: Final = "http://opcfoundation.org/UA/UserToken#JWT"
CAPABILITIES: Final = ("DA", "HD", "AC", "HE", "DI")
"""ServerCapabilityIdentifiers (OPC 10000-12, Annex D): live values, history of values, alarms, history of events, OPC 10000-100."""
_write_endpoints: Final = array_writer(ua.EndpointDescription)
_write_servers: Final = array_writer(ua.ApplicationDescription)


@dataclass(frozen=True, slots=True)
class Application:
    """What endpoints say about the server. ``anonymous``, ``certificates``: identity tokens that are taken beside names; so are
    issued ones, where ``issuer`` (IssuerEndpointUrl) is not empty."""

    uri: str
    product_uri: str
    name: str
    certificate: bytes
    insecure: bool
    anonymous: bool
    certificates: bool
    issuer: str = ""
    curves: Mapping[str, bytes] = field(default_factory=dict)
    """Our certificates for curves, by the name of their kind."""

    def certificate_for(self, policy: Policy) -> bytes | None:
        """Our certificate that a policy uses; None where there is none, and no endpoint."""
        return self.certificate if policy.kind is RSA else self.curves.get(policy.kind.name)


class Discovery:
    """``own_url``: the URL of a connection that says none itself."""

    def __init__(self, application: Callable[[], Application], own_url: Callable[[Request], str]) -> None:
        self._application = application
        self._own_url = own_url

    def services(self) -> list[Service]:
        return [
            Service("GetEndpoints", 428, 431, self.get_endpoints, ua.GetEndpointsParameters, False, False),
            Service("FindServers", 422, 425, self.find_servers, ua.FindServersParameters, False, False),
        ]

    def get_endpoints(self, request: Request, params: Any) -> Any:
        wanted = params.ProfileUris or []
        found = [] if wanted and BINARY not in wanted else self.endpoints(self._url(params.EndpointUrl, request))
        return _array(_write_endpoints, found)

    def find_servers(self, request: Request, params: Any) -> Any:
        own = self._application()
        named = not params.ServerUris or own.uri in params.ServerUris
        return _array(_write_servers, [self._describe(own, self._url(params.EndpointUrl, request))] if named else [])

    def endpoints(self, url: str) -> list[Any]:
        """EndpointDescriptions, the strongest first."""
        own = self._application()
        found = []
        for policy in sorted(POLICIES.values(), key=lambda policy: -policy.level):
            certificate = own.certificate_for(policy)
            for mode, level in ((3, 100), (2, 10)) if certificate is not None else ():
                found.append(self._endpoint(own, url, policy.uri, mode, level + policy.level))
                found[-1].ServerCertificate = certificate
        if own.insecure:
            found.append(self._endpoint(own, url, NONE, 1, 0))
        return found

    def _endpoint(self, own: Application, url: str, policy: str, mode: int, level: int) -> Any:
        encrypts = policy if policy != NONE else next(iter(POLICIES))
        tokens = []
        if own.anonymous:
            tokens.append(_token("anonymous", ua.UserTokenType.Anonymous, NONE))
        tokens.append(_token("username_" + encrypts.rpartition("#")[2], ua.UserTokenType.UserName, encrypts))
        if own.certificates:
            tokens.append(_token("certificate_" + encrypts.rpartition("#")[2], ua.UserTokenType.Certificate, encrypts))
        if own.issuer:
            tokens.append(_token("issued_" + encrypts.rpartition("#")[2], ua.UserTokenType.IssuedToken, encrypts))
            tokens[-1].IssuedTokenType, tokens[-1].IssuerEndpointUrl = JWT, own.issuer
        made = ua.EndpointDescription()
        made.EndpointUrl, made.Server, made.ServerCertificate = url, self._describe(own, url), own.certificate
        made.SecurityMode, made.SecurityPolicyUri = ua.MessageSecurityMode(mode), policy
        made.UserIdentityTokens, made.TransportProfileUri, made.SecurityLevel = tokens, BINARY, level
        return made

    def _describe(self, own: Application, url: str) -> Any:
        made = ua.ApplicationDescription()
        made.ApplicationUri, made.ProductUri = own.uri, own.product_uri
        made.ApplicationName = ua.LocalizedText(own.name, "en")
        made.ApplicationType = ua.ApplicationType.Server
        made.DiscoveryUrls = [url]
        return made

    def _url(self, asked: str | None, request: Request) -> str:
        """The URL by which the client reached us: another name of ours, or a port that is forwarded, is what works for it."""
        try:
            parts = urlsplit(asked or "")
            if parts.scheme == "opc.tcp" and parts.hostname and len(asked or "") <= 512:
                return f"opc.tcp://{parts.netloc.rpartition('@')[2]}{parts.path}"
        except ValueError:
            pass
        return self._own_url(request)


def _array(write: Write, items: list[Any]) -> bytes:
    parts: list[bytes] = []
    write(items, parts.append)
    return b"".join(parts)


def _token(policy_id: str, kind: Any, policy: str) -> Any:
    made = ua.UserTokenPolicy()
    made.PolicyId, made.TokenType, made.SecurityPolicyUri = policy_id, kind, policy
    return made
