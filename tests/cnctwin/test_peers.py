"""Under what name addresses are counted."""

from __future__ import annotations

import pytest

from cnctwin.peers import counted_as


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::2%eth0", "fe80::2"),
        ("", ""),
        ("/run/socket", "/run/socket"),
    ],
)
def test_all_addresses_that_one_peer_has_are_counted_as_one(address: str, counted: str) -> None:
    assert counted_as(address) == counted
