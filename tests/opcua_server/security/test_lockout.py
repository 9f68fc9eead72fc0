"""How many wrong passwords are too many, without a clock and without a server."""

from __future__ import annotations

import asyncio
import os
import struct
import threading
from collections.abc import Callable
from functools import partial
from typing import cast

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from cnctwin.secrets import Role, Vault
from opcua_server.security.lockout import FIRST_LOCK_S, FORGET_S, FREE_FAILURES, MAX_KEYS, LockedOut, Lockout
from opcua_server.security.users import NotThem, Person, Users, open_password

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NONCE = bytes(range(32))
OAEP = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"
OAEP_SHA256 = "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256"


def sealed(password: str, nonce: bytes = NONCE, algorithm: str = OAEP) -> bytes:
    raw = password.encode()
    plain = struct.pack("<I", len(raw) + len(nonce)) + raw + nonce
    used = hashes.SHA256() if algorithm == OAEP_SHA256 else hashes.SHA1()  # noqa: S303 - what the standard asks for
    oaep = padding.OAEP(mgf=padding.MGF1(algorithm=used), algorithm=used, label=None)
    size = 256 - 2 * used.digest_size - 2
    return b"".join(KEY.public_key().encrypt(plain[i : i + size], oaep) for i in range(0, len(plain), size))


def given(password: str) -> Callable[[], str]:
    return partial(open_password, sealed(password), OAEP, KEY, NONCE)


def test_each_failure_waits_longer_until_the_sixth_try_is_locked_out() -> None:
    lockout = Lockout()
    assert [lockout.begin("operator", "a", 0.0) for _ in range(FREE_FAILURES)] == [0.0, 0.25, 0.5, 1.0, 2.0]
    with pytest.raises(LockedOut) as locked:
        lockout.begin("operator", "a", 1.0)
    assert locked.value.for_s == pytest.approx(FIRST_LOCK_S - 1.0)
    assert lockout.begin("operator", "another address", 1.0) == 0.0
    assert lockout.begin("engineer", "a", 1.0) == 0.0
    lockout.begin("operator", "a", FIRST_LOCK_S)
    with pytest.raises(LockedOut) as longer:
        lockout.begin("operator", "a", FIRST_LOCK_S)
    assert longer.value.for_s == pytest.approx(2 * FIRST_LOCK_S)


def test_right_password_starts_the_count_anew_and_time_forgets() -> None:
    lockout = Lockout()
    for _ in range(4):
        lockout.begin("operator", "a", 0.0)
    lockout.succeeded("operator", "a")
    assert lockout.begin("operator", "a", 0.0) == 0.0
    for _ in range(3):
        lockout.begin("operator", "a", 0.0)
    assert lockout.begin("operator", "a", FORGET_S + 1.0) == 0.0


def test_one_password_for_many_users_is_slowed_down() -> None:
    lockout = Lockout()
    delays = [lockout.begin(f"user{number}", "a", 0.0) for number in range(30)]
    assert delays[0] == 0.0
    assert min(delays[20:]) >= 2.0


def test_who_logged_in_before_does_not_pay_for_who_guesses_at_the_same_address() -> None:
    lockout = Lockout()
    lockout.begin("operator", "a", 0.0)
    lockout.succeeded("operator", "a")
    for number in range(30):
        lockout.begin(f"user{number}", "a", 1.0)
    assert lockout.begin("operator", "a", 2.0) == 0.0
    assert [lockout.begin("operator", "a", 3.0) for _ in range(3)] == [0.25, 0.5, 1.0], "guesses at that user wait as ever"
    assert lockout.begin("somebody new", "a", 4.0) == 2.0


def test_table_of_failures_is_bounded() -> None:
    lockout = Lockout()
    for number in range(MAX_KEYS + 100):
        lockout.begin("x", str(number), 0.0)
    assert len(lockout._counts) <= MAX_KEYS


@settings(max_examples=100, deadline=None)
@drawn(st.lists(st.floats(0.0, 50.0), max_size=60))
def test_no_more_guesses_than_agreed_whatever_the_pace(pauses: list[float]) -> None:
    lockout, now_s, verified = Lockout(), 0.0, []
    for pause_s in pauses:
        now_s += pause_s
        try:
            lockout.begin("operator", "a", now_s)
            verified.append(now_s)
        except LockedOut:
            continue
    for at_s in verified:
        assert sum(at_s <= other_s < at_s + FIRST_LOCK_S for other_s in verified) <= FREE_FAILURES + 1


@pytest.mark.parametrize("algorithm", [OAEP, OAEP_SHA256])
@pytest.mark.parametrize("password", ["", "secret", "пароль", "x" * 400])
def test_password_comes_out_as_it_went_in(password: str, algorithm: str) -> None:
    assert open_password(sealed(password, algorithm=algorithm), algorithm, KEY, NONCE) == password


@pytest.mark.parametrize(
    ("secret", "algorithm"),
    [
        (b"secret", ""),
        (b"secret", None),
        (sealed("secret"), "http://www.w3.org/2001/04/xmlenc#rsa-1_5"),
        (sealed("secret", os.urandom(32)), OAEP),
        (sealed("secret", b""), OAEP),
        (sealed("secret")[:-1], OAEP),
        (b"", OAEP),
        (sealed("x" * 600), OAEP),
    ],
    ids=["clear", "clear without algorithm", "RSA 1.5", "other nonce", "no nonce", "cut", "empty", "too long"],
)
def test_password_that_is_not_sealed_for_this_session_is_refused(secret: bytes, algorithm: str | None) -> None:
    with pytest.raises(NotThem) as refused:
        open_password(secret, algorithm, KEY, NONCE)
    assert refused.value.status == "BadIdentityTokenInvalid"


@settings(max_examples=50, deadline=None)
@drawn(st.binary(max_size=200))
def test_sealed_garbage_is_refused_and_nothing_else(plain: bytes) -> None:
    used = hashes.SHA1()  # noqa: S303 - what the standard asks for
    secret = KEY.public_key().encrypt(plain, padding.OAEP(mgf=padding.MGF1(algorithm=used), algorithm=used, label=None))
    with pytest.raises(NotThem):
        open_password(secret, OAEP, KEY, NONCE)


class _Vault:
    def __init__(self) -> None:
        self.tried = 0

    def stamp(self, _user: str) -> str | None:
        return None

    def authenticate(self, user: str, password: str) -> Role | None:
        self.tried += 1
        return "Operator" if (user, password) == ("operator", "right") else None


def test_many_right_logins_at_once_lock_nobody_out() -> None:
    async def logins() -> list[str]:
        users = Users(cast(Vault, _Vault()), None, lambda: 0.0)
        people = await asyncio.gather(*(users.with_password("operator", given("right"), "a") for _ in range(20)))
        return [person.role for person in people]

    assert asyncio.run(logins()) == ["Operator"] * 20


def test_one_address_that_guesses_leaves_a_place_for_others() -> None:
    """Twenty tries of one address wait in one line; somebody else's does not wait behind them."""
    verified: list[str] = []
    go_on = threading.Event()

    class Slow(_Vault):
        def authenticate(self, user: str, password: str) -> Role | None:
            verified.append(user)
            if user != "operator":
                go_on.wait(60)
            return super().authenticate(user, password)

    async def logins() -> Person:
        users = Users(cast(Vault, Slow()), None, lambda: 0.0)
        guesses = [asyncio.create_task(users.with_password(f"user{number}", given("x"), "a")) for number in range(20)]
        while not verified:
            await asyncio.sleep(0.01)
        person = await asyncio.wait_for(users.with_password("operator", given("right"), "b"), 60)
        assert verified == ["user0", "operator"]
        go_on.set()
        for guess in guesses:
            guess.cancel()
        await asyncio.gather(*guesses, return_exceptions=True)
        return person

    assert asyncio.run(logins()).role == "Operator"


def test_a_login_without_a_name_is_refused_as_any_other() -> None:
    async def login() -> None:
        users = Users(cast(Vault, _Vault()), None, lambda: 0.0)
        await asyncio.wait_for(users.with_password("", given("x"), "a"), 60)

    with pytest.raises(NotThem, match="wrong user"):
        asyncio.run(login())


def test_locked_out_passwords_are_not_even_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    own = threading.get_ident()

    async def no_sleep(delay_s: float) -> None:
        if threading.get_ident() != own:  # a server of other tests, in a thread of its own
            await sleep(delay_s)
            return
        waited.append(delay_s)
        await sleep(0)

    monkeypatch.setattr("opcua_server.security.users.asyncio.sleep", no_sleep)
    vault = _Vault()

    async def guesses() -> list[str]:
        users = Users(cast(Vault, vault), None, lambda: 0.0)
        statuses = []
        for _ in range(8):
            with pytest.raises(NotThem) as refused:
                await users.with_password("operator", given("wrong"), "a")
            statuses.append(refused.value.status)
        return statuses

    assert asyncio.run(guesses()) == ["BadUserAccessDenied"] * 8
    assert vault.tried == FREE_FAILURES
    assert waited == [0.25, 0.5, 1.0, 2.0]
