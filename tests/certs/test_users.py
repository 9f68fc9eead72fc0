"""Users by certificate: whose it is, what makes it worthless, and what the command says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from certs.commands import app
from certs.pki import CertificateProblem, thumbprint
from certs.users import Role, UserCertificates
from certs.verdict import Refused
from cnctwin import secrets
from tests.certs import authority as a

PERSON: dict[str, Any] = {"uri": None, "purposes": None}


def known(folder: Path, *given: Any) -> UserCertificates:
    """The stores with alice's certificate, and what else is ``given`` as an issuer or its list."""
    users = UserCertificates(folder / "users")
    for number, item in enumerate(given[1:]):
        end = "crl" if hasattr(item, "next_update_utc") else "der"
        (folder / "users" / "issuers" / f"{number}.{end}").write_bytes(a.der(item))
    path = folder / "alice.der"
    path.write_bytes(a.der(given[0]))
    users.give("alice", Role.Engineer, str(path))
    return users


def test_a_certificate_is_the_users_an_operator_says_it_is(tmp_path: Path) -> None:
    alice = a.certificate("alice", **PERSON)
    assert known(tmp_path, alice).owner(a.der(alice), now=a.NOW) == ("alice", Role.Engineer)
    assert {role.value for role in Role} <= {*get_args(secrets.Role)}


def test_one_that_is_nobodys_is_refused_kept_and_can_be_given_to_somebody(tmp_path: Path) -> None:
    users = UserCertificates(tmp_path)
    bob = a.certificate("bob", **PERSON)
    assert not users.has_any()
    with pytest.raises(Refused) as refused:
        users.owner(a.der(bob), now=a.NOW, peer="10.0.0.7")
    assert refused.value.status == "BadCertificateUntrusted"
    users.give("bob", Role.Viewer, thumbprint(bob)[:8])
    assert users.has_any()
    assert users.owner(a.der(bob), now=a.NOW) == ("bob", Role.Viewer)
    users.take(thumbprint(bob))
    assert not users.has_any()
    with pytest.raises(Refused):
        users.owner(a.der(bob), now=a.NOW)


def test_an_authority_says_who_somebody_is_and_not_what_he_may_do(tmp_path: Path) -> None:
    authority, alice = a.certificate("ca", ca=True), a.certificate("alice", issuer="ca", **PERSON)
    other = a.certificate("bob", issuer="ca", **PERSON)
    users = known(tmp_path, alice, a.revocation_list("ca"))
    (tmp_path / "users" / "trusted" / "ca.der").write_bytes(a.der(authority))
    assert users.owner(a.der(alice), now=a.NOW) == ("alice", Role.Engineer)
    with pytest.raises(Refused, match="nobody"):
        users.owner(a.der(other), now=a.NOW)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"ends": a.NOW - timedelta(days=1)}, "BadCertificateTimeInvalid"),
        ({"bits": 1024}, "BadCertificatePolicyCheckFailed"),
        ({"signs": False}, "BadCertificateUseNotAllowed"),
    ],
    ids=["ended", "short key", "may not sign"],
)
def test_what_is_wrong_with_a_users_certificate_refuses_it_though_it_is_known(
    tmp_path: Path, changed: dict[str, Any], status: str
) -> None:
    alice = a.certificate("alice", **{**PERSON, **changed})
    with pytest.raises(Refused) as refused:
        known(tmp_path, alice).owner(a.der(alice), now=a.NOW)
    assert refused.value.status == status


def test_a_revoked_user_and_one_without_a_revocation_list_are_refused(tmp_path: Path) -> None:
    authority, alice = a.certificate("ca", ca=True), a.certificate("alice", issuer="ca", **PERSON)
    (tmp_path / "listed").mkdir()
    listed = known(tmp_path / "listed", alice, authority, a.revocation_list("ca", alice))
    for users, status in (
        (listed, "BadCertificateRevoked"),
        (known(tmp_path, alice, authority), "BadCertificateRevocationUnknown"),
    ):
        with pytest.raises(Refused) as refused:
            users.owner(a.der(alice), now=a.NOW)
        assert refused.value.status == status


def test_the_command_gives_and_takes_and_lists(tmp_path: Path) -> None:
    alice = a.certificate("alice", **PERSON)
    path = tmp_path / "alice.der"
    path.write_bytes(a.der(alice))
    data = ["--data", str(tmp_path)]
    given = CliRunner().invoke(app, ["user", "alice", str(path), "--role", "Operator", *data])
    assert given.exit_code == 0, given.output
    assert "alice is Operator" in given.output
    assert "alice Operator, trusted" in CliRunner().invoke(app, ["list", *data]).output
    assert CliRunner().invoke(app, ["no-user", thumbprint(alice), *data]).exit_code == 0
    assert "rejected by an operator" in CliRunner().invoke(app, ["list", *data]).output
    assert CliRunner().invoke(app, ["user", "alice", str(path), "--role", "Analytics", *data]).exit_code == 2
    with pytest.raises(CertificateProblem, match="no name"):
        UserCertificates(tmp_path).give("../x", Role.Viewer, str(path))
