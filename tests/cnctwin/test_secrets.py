from __future__ import annotations

import stat
from pathlib import Path

import argon2
import pytest

from cnctwin import secrets
from cnctwin.errors import ConfigurationError
from cnctwin.secrets import _HASHER, Vault


def test_secrets_are_made_once_and_shown_once(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    first = vault.ensure()
    assert first is not None
    assert {login.user for login in first.logins} == {"operator", "engineer", "admin"}
    assert vault.ensure() is None


def test_only_the_right_password_gives_a_role(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    first = vault.ensure()
    assert first is not None
    roles = {login.user: vault.authenticate(login.user, login.password) for login in first.logins}
    assert roles == {"operator": "Operator", "engineer": "Engineer", "admin": "Admin"}
    assert vault.authenticate("operator", "wrong") is None
    assert vault.authenticate("nobody", first.logins[0].password) is None


def test_a_key_gives_its_role_and_another_gives_none(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    first = vault.ensure()
    assert first is not None
    assert vault.key_role(first.api_key) == "Engineer"
    assert vault.key_role(first.api_key + "x") is None
    assert vault.key_role("") is None


def test_no_file_can_be_read_by_others_and_none_holds_a_persons_password(tmp_path: Path) -> None:
    first = Vault(tmp_path).ensure()
    assert first is not None
    files = list((tmp_path / "secrets").iterdir())
    assert len(files) == 6
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for secret in (*(login.password for login in first.logins), first.api_key):
            assert secret not in path.read_text()


def test_programs_find_their_own_login(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    assert vault.login("analytics") is None
    vault.ensure()
    login = vault.login("analytics")
    assert login is not None
    assert vault.authenticate(login.user, login.password) == "Analytics"


def test_new_passwords_replace_the_people_s_and_leave_the_programs_their_own(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    first = vault.ensure()
    assert first is not None
    program = vault.login("gateway")
    stamps = {login.user: vault.stamp(login.user) for login in first.logins}
    new = vault.renew()
    for old, login in zip(first.logins, new.logins, strict=True):
        assert vault.authenticate(old.user, old.password) is None
        assert vault.authenticate(login.user, login.password) is not None
        assert vault.stamp(login.user) != stamps[login.user]
    assert (vault.key_role(first.api_key), vault.key_role(new.api_key)) == (None, "Engineer")
    assert vault.login("reader") == new.reader
    assert new.reader.password != first.reader.password
    assert program is not None
    assert vault.login("gateway") == program
    assert vault.authenticate(program.user, program.password) == "Gateway"


def test_a_folder_of_a_version_without_a_reader_gets_one(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.ensure()
    (vault.folder / "reader.json").unlink()
    vault.ensure()
    assert vault.login("reader") is not None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00"])
def test_a_damaged_file_is_one_clear_problem_and_stays_as_it_is(tmp_path: Path, content: str) -> None:
    vault = Vault(tmp_path)
    vault.ensure()
    path = tmp_path / "secrets" / "users.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="users.json"):
        vault.ensure()
    assert path.read_text() == content


def test_an_unknown_user_costs_the_same_work_as_a_known_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hash of the same parameters is verified either way: how long it takes says nothing about who there is."""
    vault = Vault(tmp_path)
    vault.ensure()
    verified: list[str] = []

    class Counting:
        def verify(self, known: str, password: str) -> bool:
            verified.append(known)
            return bool(_HASHER.verify(known, password))

        def hash(self, password: str) -> str:
            return _HASHER.hash(password)

    monkeypatch.setattr(secrets, "_HASHER", Counting())
    for user in ("operator", "nobody", ""):
        assert vault.authenticate(user, "wrong") is None
    assert len(verified) == 3
    assert len({repr(argon2.extract_parameters(known)) for known in verified}) == 1
    assert len(set(verified)) == 2, "the two that are unknown are compared with the same hash of nobody"
