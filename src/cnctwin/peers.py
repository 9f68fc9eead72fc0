"""Whose an address is: what is counted and limited for each address is counted for all that one peer can come from.

192.0.2.7          itself
::ffff:192.0.2.7   192.0.2.7, as a socket for both kinds of address shows it
2001:db8::1:2:3    2001:db8::/64: whoever has an IPv6 address at all has 2^64 of them (RFC 6177)
fe80::1%eth0       fe80::1, which no router carries; that of each neighbour is another one
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=1024)
def counted_as(address: str) -> str:
    """Under what name a peer's address is counted; what is none (a path, an empty text) is itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4 or found.is_loopback or found.is_link_local:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
