"""Names in paths: what is in one may have a slash of its own, sent as ``%2F``.

    /machines/Mill%20A%2F1/status  --ASGI-->  /machines/Mill A/1/status  no longer tells which slash is which; so the guard has
                                   --here-->  /machines/Mill A<SLASH>1/status, and a route with {machine_id:named} "Mill A/1"

Foreign servers call their machines as they like (the browse name of the object).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from starlette.convertors import StringConvertor, register_url_convertor

SLASH: Final = "\ufffe"
"""A slash within a name: no character, and for use within a program (Unicode, 23.7)."""
_AS_THEY_ARE: Final = "/:@!$&'()*+,;=~"
"""Besides letters, digits and ``-._``, what stands in a path unescaped (RFC 3986, 3.3)."""


class _Named(StringConvertor):
    def convert(self, value: str) -> str:
        return value.replace(SLASH, "/")


class _Signal(_Named):
    regex = ".+"


register_url_convertor("named", _Named())
register_url_convertor("signal", _Signal())


def told_apart(scope: Mapping[str, Any]) -> str:
    """The path of a request with slashes of names as SLASH."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" not in raw.lower():
        path: str = scope["path"]
        return path
    return "/".join(unquote(part).replace("/", SLASH) for part in raw.decode("ascii", "replace").split("/"))


def reference(path: str) -> str:
    """A path as a URI reference, as it may stand in an answer."""
    return quote(path, safe=_AS_THEY_ARE).replace(quote(SLASH), "%2F")
