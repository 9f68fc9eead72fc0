"""ServerConfiguration of OPC 10000-12 through real sockets, with asyncua's client as the one who pushes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import (
    BadCertificateInvalid,
    BadCertificateUriInvalid,
    BadInvalidArgument,
    BadNothingToDo,
    BadNotReadable,
    BadNotWritable,
    BadSecurityChecksFailed,
    BadSecurityModeInsufficient,
    BadUserAccessDenied,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.application import key_pem, load_certificate, load_key, load_own, signing_request, uris
from certs.kinds import CURVES
from certs.pki import ensure_application, thumbprint
from certs.users import UserCertificates
from certs.verdict import Refused
from cnctwin.wire import decode, encode
from opcua_server.engine.configuration.own import GROUP, KIND, OwnCertificate
from opcua_server.engine.configuration.trust_file import MAX_HANDLES
from opcua_server.engine.contract import ServiceFault, Session
from tests.certs import authority as a
from tests.opcua_server.bench import Bench, running

CONFIGURATION, TRUST_LIST = ua.NodeId(12637), ua.NodeId(12642)
NOW = datetime.now(UTC)
V = ua.VariantType


def run(coroutine: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine(), 100))  # type: ignore[arg-type]


async def own(client: Client, method: int, *given: ua.Variant) -> Any:
    return await client.get_node(CONFIGURATION).call_method(ua.NodeId(method), *given)


async def file(client: Client, method: int, *given: ua.Variant) -> Any:
    return await client.get_node(TRUST_LIST).call_method(ua.NodeId(method), *given)


def handle(number: int) -> ua.Variant:
    return ua.Variant(number, V.UInt32)


def signed(request: bytes, **changed: Any) -> bytes:
    """What an authority makes of a request; ``changed``: uri or ends that are not what they should be."""
    asked = x509.load_der_x509_csr(request)
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if "uri" in changed:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(changed["uri"])])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plant ca")]))
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(changed.get("ends", NOW + timedelta(days=90)))
        .add_extension(names, critical=False)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return a.der(builder.sign(a.key("plant ca"), hashes.SHA256()))


def plant_ca() -> x509.Certificate:
    return a.certificate("plant ca", ca=True, starts=NOW - timedelta(days=1), ends=NOW + timedelta(days=900))


def update(certificate: bytes, *issuers: bytes) -> list[ua.Variant]:
    return [
        ua.Variant(GROUP, V.NodeId), ua.Variant(KIND, V.NodeId), ua.Variant(certificate, V.ByteString),
        ua.Variant(list(issuers), V.ByteString, is_array=True), ua.Variant("", V.String), ua.Variant(b"", V.ByteString),
    ]  # fmt: skip


def asked(new_key: bool, nonce: bytes = bytes(32), subject: str = "") -> list[ua.Variant]:
    return [
        ua.Variant(GROUP, V.NodeId), ua.Variant(KIND, V.NodeId), ua.Variant(subject, V.String),
        ua.Variant(new_key, V.Boolean), ua.Variant(nonce, V.ByteString),
    ]  # fmt: skip


async def read_list(client: Client, masks: int = 15) -> Any:
    number = await file(client, 12663, ua.Variant(masks, V.UInt32))
    content = b""
    while part := await file(client, 12652, handle(number), ua.Variant(1000, V.Int32)):
        content += part
    await file(client, 12650, handle(number))
    return decode(ua.TrustListDataType, content)


def test_only_administrators_and_only_encrypted(served: Bench) -> None:
    async def session() -> None:
        for user in ("engineer", None):
            async with served.client(user) as client:
                with pytest.raises(BadUserAccessDenied):
                    await own(client, 12737, *asked(False))
                with pytest.raises(BadUserAccessDenied):
                    await file(client, 12647, ua.Variant(1, V.Byte))
                executable = await client.get_node(ua.NodeId(12737)).read_attribute(ua.AttributeIds.UserExecutable)
                assert executable.Value.Value is False
        async with served.client("admin", mode=ua.MessageSecurityMode.Sign) as client:
            with pytest.raises(BadSecurityModeInsufficient):
                await own(client, 12777)
        async with served.client("admin") as client:
            assert isinstance(await own(client, 12777), list)

    run(session)


def test_a_certificate_that_an_authority_signed_is_used_by_new_channels_without_a_restart(tmp_path: Path) -> None:
    async def session(bench: Bench) -> None:
        folder = bench.settings.data / "pki" / "server"
        before = load_certificate(folder / "own" / "cert.der")
        authority = a.der(plant_ca())
        async with bench.client("admin") as admin, bench.client() as viewer:
            request = await own(admin, 12737, *asked(True, subject="CN=mill 7,O=plant"))
            certificate = signed(request)
            assert x509.load_der_x509_csr(request).public_key() != before.public_key()
            for wrong, problem in (
                (update(certificate), ua.uaerrors.BadCertificateChainIncomplete),
                (update(signed(request, uri="urn:other"), authority), BadCertificateUriInvalid),
                (update(signed(request, ends=NOW - timedelta(minutes=1)), authority), ua.uaerrors.BadCertificateTimeInvalid),
                (update(a.der(a.certificate("x", uri=uris(before)[0], starts=NOW - timedelta(1), ends=NOW + timedelta(9),
                                            purposes=None))), BadSecurityChecksFailed),
                (update(b"0\x03abc"), BadCertificateInvalid),
            ):  # fmt: skip
                with pytest.raises(problem):
                    await own(admin, 13737, *wrong)
            with pytest.raises(BadNothingToDo):
                await own(admin, 12740)
            assert await own(admin, 13737, *update(certificate, authority)) is True
            endpoint = (await Client(bench.settings.endpoint).connect_and_get_server_endpoints())[0]
            assert endpoint.ServerCertificate == a.der(before), "not before ApplyChanges"
            await own(admin, 12740)
            endpoint = (await Client(bench.settings.endpoint).connect_and_get_server_endpoints())[0]
            assert endpoint.ServerCertificate == certificate
            assert load_certificate(folder / "own" / "cert.der") == x509.load_der_x509_certificate(certificate)
            assert load_key(folder / "own" / "key.pem").public_key() == x509.load_der_x509_certificate(certificate).public_key()
            assert any(load_certificate(path) == before for path in (folder / "own" / "previous").glob("*.der"))
            for client in (admin, viewer):  # who was there stays
                assert await client.nodes.server_state.read_value() == ua.ServerState.Running
            async with bench.client("operator") as operator:  # logs in with a password encrypted for the new key
                assert await operator.nodes.server_state.read_value() == ua.ServerState.Running

    with running(tmp_path) as bench:
        asyncio.run(asyncio.wait_for(session(bench), 100))
        uri = uris(load_certificate(bench.settings.data / "pki" / "server" / "own" / "cert.der"))[0]
        ensure_application(bench.settings.data / "pki" / "server", "cnctwin server", uri, ["127.0.0.1"])  # a restart keeps it


def test_the_trust_list_of_users_is_another_one(served: Bench) -> None:
    """An administrator pushes an authority and its revocation list for users; no application gets in by it, and no user without a
    role."""
    authority, crl = plant_ca(), a.revocation_list("plant ca", ends=NOW + timedelta(days=9))
    users = ua.NodeId(14123)

    async def on(client: Client, node: ua.NodeId, method: int, *given: ua.Variant) -> Any:
        return await client.get_node(node).call_method(ua.NodeId(method), *given)

    async def session() -> None:
        async with served.client("engineer") as client:
            with pytest.raises(BadUserAccessDenied):
                await on(client, users, 14129, ua.Variant(1, V.Byte))
        async with served.client("admin") as client:
            assert await client.get_node(ua.NodeId(14155)).read_value() == [ua.NodeId(ua.ObjectIds.UserCertificateType)]
            with pytest.raises(ua.UaStatusCodeError):  # a method of the other list
                await on(client, users, 12647, ua.Variant(1, V.Byte))
            before = await read_list(client)
            number = await on(client, users, 14129, ua.Variant(6, V.Byte))
            new = ua.TrustListDataType()
            new.SpecifiedLists = ua.UInt32(3)
            new.TrustedCertificates, new.TrustedCrls = [a.der(authority)], [a.der(crl)]
            await on(client, users, 14137, handle(number), ua.Variant(encode(new), V.ByteString))
            assert await on(client, users, 14148, handle(number)) is False
            folder = served.settings.data / "pki" / "server" / "users"
            assert [load_certificate(path) for path in (folder / "trusted").glob("*.der")] == [authority]
            assert len(list((folder / "trusted").glob("*.crl"))) == 1
            assert await client.get_node(ua.NodeId(14124)).read_value() > len(a.der(authority))
            assert await read_list(client) == before, "that of applications is as it was"
            signed_user = a.certificate("alice", issuer="plant ca", starts=NOW - timedelta(days=1), ends=NOW + timedelta(days=9))
            with pytest.raises(Refused, match="nobody's"):
                UserCertificates(folder).owner(a.der(signed_user))
            await on(client, users, 14153, ua.Variant(thumbprint(authority), V.String), ua.Variant(True, V.Boolean))
            assert not list((folder / "trusted").glob("*.der"))

    run(session)


def test_a_certificate_for_a_curve_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    curve = ua.Variant(ua.NodeId(CURVES["nistP256"].type_id), V.NodeId)

    async def offered(bench: Bench) -> dict[str, bytes]:
        endpoints = await Client(bench.settings.endpoint).connect_and_get_server_endpoints()
        return {one.SecurityPolicyUri.rpartition("#")[2]: bytes(one.ServerCertificate) for one in endpoints}

    async def its_key_comes_with_it(bench: Bench, admin: Client, before: x509.Certificate) -> None:
        new = CURVES["nistP256"].new_key()
        certificate, authority = signed(signing_request(before, new)), a.der(plant_ca())

        async def push(key_format: str, content: bytes) -> None:
            group, _, der, issuers, *_rest = update(certificate, authority)
            await own(admin, 13737, group, curve, der, issuers, ua.Variant(key_format, V.String), ua.Variant(content, V.ByteString))

        def pfx(key: Any, password: bytes = b"") -> bytes:
            sealed = BestAvailableEncryption(password) if password else NoEncryption()
            return serialize_key_and_certificates(b"mill", key, None, None, sealed)

        assert await admin.get_node(ua.NodeId(12639)).read_value() == ["PEM", "PFX"]
        for wrong, content, problem in (
            ("DER", key_pem(new), ua.uaerrors.BadNotSupported),
            ("PEM", pfx(new), BadInvalidArgument),
            ("PFX", key_pem(new), BadInvalidArgument),
            ("PFX", pfx(new, b"secret"), BadInvalidArgument),
            ("PFX", pfx(CURVES["nistP256"].new_key()), BadSecurityChecksFailed),
        ):
            with pytest.raises(problem):
                await push(wrong, content)
        for key_format in ("PEM", "PFX"):
            new = CURVES["nistP256"].new_key()
            certificate = signed(signing_request(before, new))
            await push(key_format, key_pem(new) if key_format == "PEM" else pfx(new))
            await own(admin, 12740)
            installed, key = load_own(bench.settings.data / "pki" / "server", CURVES["nistP256"])
            assert a.der(installed) == certificate
            assert key.public_key() == new.public_key()

    async def session(bench: Bench) -> None:
        async with bench.client("admin") as admin:
            kinds = await admin.get_node(ua.NodeId(14161)).read_value()
            assert [kind.Identifier for kind in kinds] == [12560, 23538, 23539]
            before = await offered(bench)
            group, _, *rest = asked(True)
            certificate = signed(await own(admin, 12737, group, curve, *rest))
            group, _, *rest = update(certificate, a.der(plant_ca()))
            with pytest.raises(BadSecurityChecksFailed):  # the key is on another curve
                await own(admin, 13737, group, ua.Variant(ua.NodeId(CURVES["nistP384"].type_id), V.NodeId), *rest)
            with pytest.raises(BadInvalidArgument):  # a curve for which there is nothing
                await own(admin, 13737, group, ua.Variant(ua.NodeId(CURVES["brainpoolP256r1"].type_id), V.NodeId), *rest)
            assert await own(admin, 13737, group, curve, *rest) is True
            await own(admin, 12740)
            new = ("ECC_nistP256", "ECC_nistP256_AesGcm", "ECC_nistP256_ChaChaPoly")
            assert await offered(bench) == {**before, **dict.fromkeys(new, certificate)}
            installed, key = load_own(bench.settings.data / "pki" / "server", CURVES["nistP256"])
            assert installed.public_key() == key.public_key()
            assert a.der(installed) == certificate
            await its_key_comes_with_it(bench, admin, installed)

    with running(tmp_path) as bench:
        asyncio.run(asyncio.wait_for(session(bench), 100))


def test_the_trust_list_is_read_and_replaced_as_a_file(served: Bench) -> None:
    stranger, authority = a.certificate("pushed", ends=NOW + timedelta(days=9)), plant_ca()
    crl = a.revocation_list("plant ca", ends=NOW + timedelta(days=9))

    async def session() -> None:
        async with served.client("admin") as admin:
            lists = await read_list(admin)
            assert int(lists.SpecifiedLists) == 15
            own_client = a.der(load_certificate(served.folder / "client" / "own" / "cert.der"))
            assert own_client in lists.TrustedCertificates
            lists.TrustedCertificates.append(a.der(stranger))
            lists.IssuerCertificates, lists.IssuerCrls = [a.der(authority)], [a.der(crl)]
            number = await file(admin, 12647, ua.Variant(6, V.Byte))
            content = encode(lists)
            for start in range(0, len(content), 700):
                await file(admin, 12655, handle(number), ua.Variant(content[start : start + 700], V.ByteString))
            assert await file(admin, 12666, handle(number)) is False
            again = await read_list(admin)
            assert {*again.TrustedCertificates} == {*lists.TrustedCertificates}
            assert (again.IssuerCertificates, again.IssuerCrls) == ([a.der(authority)], [a.der(crl)])
            assert (await read_list(admin, 8)).TrustedCertificates in ([], None)
            size = await admin.get_node(ua.NodeId(12643)).read_value()
            assert size == len(encode(again))
            # One at a time, by thumbprint; what was trusted is rejected then, as if an operator had done it.
            await file(admin, 12670, ua.Variant(thumbprint(stranger), V.String), ua.Variant(True, V.Boolean))
            await file(admin, 12670, ua.Variant(thumbprint(authority), V.String), ua.Variant(False, V.Boolean))
            assert a.der(stranger) in await own(admin, 12777)
            await file(admin, 12668, ua.Variant(a.der(stranger), V.ByteString), ua.Variant(True, V.Boolean))
            last = await read_list(admin)
            assert a.der(stranger) in last.TrustedCertificates
            assert not last.IssuerCertificates
            assert not last.IssuerCrls

    run(session)


def test_what_is_no_trust_list_changes_nothing(served: Bench) -> None:
    async def session() -> None:
        async with served.client("admin") as admin:
            before = await read_list(admin)
            broken = ua.TrustListDataType()
            broken.SpecifiedLists, broken.TrustedCertificates = ua.UInt32(15), [before.TrustedCertificates[0], b"0\x03abc"]
            for content, problem in ((encode(broken), BadCertificateInvalid), (b"\xff" * 40, ua.uaerrors.BadDecodingError)):
                number = await file(admin, 12647, ua.Variant(6, V.Byte))
                await file(admin, 12655, handle(number), ua.Variant(content, V.ByteString))
                with pytest.raises(problem):
                    await file(admin, 12666, handle(number))
            with pytest.raises(BadCertificateInvalid):
                await file(admin, 12668, ua.Variant(b"junk", V.ByteString), ua.Variant(True, V.Boolean))
            with pytest.raises(BadInvalidArgument):
                await file(admin, 12670, ua.Variant("", V.String), ua.Variant(True, V.Boolean))
            assert await read_list(admin) == before

    run(session)


def test_handles_are_few_belong_to_their_session_and_end_with_it(served: Bench) -> None:
    async def session() -> None:
        async with served.client("admin") as admin, served.client("admin", name="second") as other:
            writing = await file(admin, 12647, ua.Variant(6, V.Byte))
            for mode, problem in ((1, BadNotReadable), (6, BadNotWritable), (2, BadInvalidArgument)):
                with pytest.raises(problem):
                    await file(other, 12647, ua.Variant(mode, V.Byte))
            with pytest.raises(BadInvalidArgument):
                await file(other, 12650, handle(writing))
            for _ in range(2):
                await file(admin, 12655, handle(writing), ua.Variant(bytes(500_000), V.ByteString))
            with pytest.raises(ua.uaerrors.BadEncodingLimitsExceeded):
                await file(admin, 12655, handle(writing), ua.Variant(bytes(500_000), V.ByteString))
        async with served.client("admin") as admin:  # the first one's session is over, and its handle with it
            opened = [await file(admin, 12647, ua.Variant(1, V.Byte)) for _ in range(MAX_HANDLES)]
            with pytest.raises(ua.uaerrors.BadTooManyOperations):
                await file(admin, 12647, ua.Variant(1, V.Byte))
            assert await admin.get_node(ua.NodeId(12646)).read_value() == len(opened)

    run(session)


async def _reads(client: Client) -> None:
    while True:
        await client.nodes.server_state.read_value()
        await asyncio.sleep(0.05)


def test_who_is_trusted_no_longer_loses_the_connection(served: Bench) -> None:
    async def session() -> None:
        async with served.client("admin") as admin, served.client(name="dismissed") as dismissed:
            name = thumbprint(load_certificate(served.folder / "dismissed" / "own" / "cert.der"))
            await file(admin, 12670, ua.Variant(name, V.String), ua.Variant(True, V.Boolean))
            with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):  # ends when the connection does
                await asyncio.gather(*(_reads(dismissed) for _ in range(2)))
            assert await admin.nodes.server_state.read_value() == ua.ServerState.Running

    run(session)


def test_what_a_session_that_ended_had_prepared_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended while its certificate was looked at: nobody else could prepare one until the server was started again."""
    sessions = [Session(number, "", "", "admin", "Admin", 1e4) for number in (1, 2)]

    def check(_self: Any, session: Any, *_given: Any) -> Any:
        if session is sessions[0]:
            session.is_closed = True
        return [None], None

    monkeypatch.setattr(OwnCertificate, "_check", check)
    core: Any = SimpleNamespace(own=SimpleNamespace(of=lambda kind: SimpleNamespace(key=None)))
    own = OwnCertificate(core, Path())
    requests: list[Any] = [SimpleNamespace(session=one, peer="x") for one in sessions]

    async def both() -> None:
        with pytest.raises(ServiceFault) as over:
            await own.update(requests[0], None, update(b"certificate"))
        assert over.value.status == ua.StatusCodes.BadSessionClosed
        await own.update(requests[1], None, update(b"certificate"))

    asyncio.run(both())
