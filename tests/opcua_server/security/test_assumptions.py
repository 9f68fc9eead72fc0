"""What `opcua_server/security` takes for granted about asyncua 2.1.0: one test each, so that an upgrade says what it breaks."""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.crypto.security_policies import SecurityPolicyFactory, SecurityPolicyNone
from asyncua.server.address_space import ViewService
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.uaprocessor import UaProcessor


def source(thing: Any) -> str:
    return inspect.getsource(thing)


def test_version_is_the_one_that_was_read() -> None:
    assert version("asyncua") == "2.1.0"


def test_processor_makes_its_connection_when_it_is_made_and_nothing_uses_it_before() -> None:
    assert "self._connection = SecureConnection(SecurityPolicyNone(), self._limits)" in source(UaProcessor.__init__)


def test_protocol_makes_its_processor_when_connected_and_reads_it_from_the_attribute() -> None:
    assert "self.processor = UaProcessor(self.iserver, self.transport, self.limits)" in source(OPCUAProtocol.connection_made)
    assert "await self.processor.process(header, buf)" in source(OPCUAProtocol._process_one_msg)


def test_protocol_ends_its_loop_when_a_message_is_answered_false() -> None:
    body = source(OPCUAProtocol._process_received_message_loop)
    assert "if not await self._process_one_msg(header, buf):\n                    break" in body


def test_listener_makes_protocols_in_one_place() -> None:
    assert "create_server(self._make_protocol" in source(BinaryServer.start)


def test_signature_of_open_is_verified_before_the_message_is_returned() -> None:
    """The trust list is asked only for certificates whose key the peer has."""
    assert not SecurityPolicyNone().peer_certificate
    body = source(SecureConnection.receive_from_header_and_body)
    assert (
        body.index("self.select_policy(")
        < body.index("MessageChunk.from_header_and_body")
        < body.index("return self._receive(chunk)")
    )


def test_policy_is_not_selected_again_on_an_open_channel() -> None:
    assert source(SecureConnection.receive_from_header_and_body).count("if not self.is_open():") == 1
    assert "if not self._connection.is_open():" in source(UaProcessor.open_secure_channel)


def test_policies_are_made_by_the_factorys_create() -> None:
    assert "self.security_policy = policy.create(peer_certificate)" in source(SecureConnection.select_policy)
    assert list(inspect.signature(SecurityPolicyFactory.create).parameters) == ["self", "peer_certificate"]


def test_requests_reach_sessions_through_these_methods() -> None:
    body = source(UaProcessor._process_message)
    for call in (
        "self.session.read(params)", "self.session.write(params)", "self.session.browse(params)",
        "self.session.translate_browsepaths_to_nodeids(params.BrowsePaths)", "self.session.call(params.MethodsToCall)",
        "self.session.add_nodes(", "self.session.delete_nodes(", "self.session.add_references(", "self.session.delete_references(",
        "self.session.create_subscription(", "self.session.modify_subscription(params)", "self.session.delete_subscriptions(",
        "self.session.transfer_subscriptions(params, self.forward_publish_response)", "self.session.create_monitored_items(params)",
        "self.session.modify_monitored_items(params)", "self.session.delete_monitored_items(params)",
        "self.session.set_monitoring_mode(params)", "self.session.set_publishing_mode(params)", "self.session.republish(params)",
        "self.session.publish(params.SubscriptionAcknowledgements)", "self.session.history_read(params)",
    ):  # fmt: skip
        assert call in body, call


def test_sessions_from_outside_are_made_by_the_inner_server() -> None:
    assert "self.iserver.create_session(self.name, external=True)" in source(UaProcessor._process_message)
    assert "self._external_sessions[session.auth_token] = session" in source(InternalServer.register_external_session)


def test_activation_without_user_manager_leaves_the_user_to_us() -> None:
    body = source(InternalSession.activate_session)
    assert "if self.iserver.user_manager is not None:" in body
    assert "self.nonce = create_nonce(32)" in body


def test_plain_tokens_are_still_sequential_and_ours_are_needed() -> None:
    async def made() -> list[Any]:
        inner = InternalServer()
        return [inner.create_session("x", external=True).auth_token.Identifier for _ in range(2)]

    first, second = asyncio.run(made())
    assert second == first + 1


def test_transfer_leaves_publish_requests_at_the_old_connection() -> None:
    """When this fails, Session.transfer_subscriptions no longer has to move them."""
    from asyncua.server.subscription_service import SubscriptionService

    assert "pub_request_callback" not in source(SubscriptionService.transfer_subscriptions)


def test_browse_asks_one_method_about_reference_types() -> None:
    assert "self._suitable_reftype(" in source(ViewService._is_suitable_ref)
    assert "self._suitable_reftype(" in source(ViewService._find_elements_in_node)


@pytest.mark.parametrize("name", ["max_recv_buffer", "max_send_buffer", "max_chunk_count", "max_message_size"])
def test_transport_limits_are_kept_by_name(name: str) -> None:
    assert hasattr(TransportLimits(), name)


def test_server_binds_what_its_socket_info_says() -> None:
    server = Server()
    server.set_endpoint("opc.tcp://127.0.0.1:4841")
    assert server._get_bind_socket_info() == ("127.0.0.1", 4841)


def test_unencrypted_sessions_would_be_let_in_by_asyncua_itself() -> None:
    """Policy None cannot be taken out of asyncua: a connection begins with it. The processor refuses everything but discovery."""
    connection = SecureConnection(SecurityPolicyNone(), TransportLimits())
    connection.set_policy_factories([])
    connection.select_policy(SecurityPolicyNone.URI, None, ua.MessageSecurityMode.None_)
    assert connection.security_policy.URI == SecurityPolicyNone.URI
