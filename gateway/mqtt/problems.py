"""What to do about a broker that does not let us in: what the socket or the broker says -> a word for the operator. Pure."""

from __future__ import annotations

from typing import Final

HINTS: Final = (
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        "give who signed the broker's certificate with MQTT_CA_PATH, and the broker by a name that is in the certificate",
    ),
    (("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF", "RECORD_LAYER"), "no TLS is spoken there: another MQTT_PORT, or no MQTT_USE_TLS"),
    (("Not authorized", "Bad user name or password"), "give CNCTWIN_MQTT_USERNAME and CNCTWIN_MQTT_PASSWORD"),
    (("closed: ",), "it hangs up at once: where it speaks TLS alone, set MQTT_USE_TLS"),
)  # fmt: skip
"""(what is in the problem, what to do), the first that fits."""


def with_hint(problem: str, *, is_own: bool, tls: bool) -> str:
    """``is_own``: the broker that `up` starts, of which nobody has to set anything. ``tls``: whether we speak it."""
    if "trying" in problem:
        return problem
    for words, what in HINTS:
        if not is_own and any(word in problem for word in words) and not (tls and what.endswith("set MQTT_USE_TLS")):
            return f"{problem}; {what}"
    return problem
