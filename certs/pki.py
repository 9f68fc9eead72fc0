"""The public face of the certificates: our applications' own, and whose certificates a server trusts.

<data>/pki/<application>/own/{cert.der,key.pem}          certs.application
<data>/pki/server/{trusted,rejected,issuers}             certs.trust, certs.verdict
"""

from __future__ import annotations

from certs.application import application_uri, ensure_application, renew_application, thumbprint
from certs.errors import CertificateProblem
from certs.trust import Entry, Trust
from certs.verdict import Verdict

__all__ = [
    "CertificateProblem",
    "Entry",
    "Trust",
    "Verdict",
    "application_uri",
    "ensure_application",
    "renew_application",
    "thumbprint",
]
