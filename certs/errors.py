"""The one error of this room: a certificate, key or store that cannot be used, in one line that says what to do."""

from __future__ import annotations


class CertificateProblem(Exception):
    """Text is one line for a person: which file, what is wrong with it, what to do. Nothing was changed or lost."""
