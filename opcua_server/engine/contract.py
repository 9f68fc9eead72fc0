"""What the parts of the server front say to each other.

    socket -> connection (frames, quotas) -> channel (keys, sequence) -> header -> services table -> handler -> bytes -> socket

A request costs a bounded slice of the loop. A handler gets the request's parameters, decoded by the bounded codec, or as raw bytes
where it knows a faster way, and answers with the response's parameters, with bytes that are encoded already, or later
(``Answer``). A problem is ``ServiceFault`` with an OPC UA status code; anything else that is raised is a bug, logged, and
answered BadInternalError.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from cnctwin.secrets import Role

Bytes = bytes | bytearray | memoryview


class ServiceFault(Exception):
    """A service as a whole is refused; ``status`` is the ServiceResult (OPC 10000-4, 7.38). ``text`` is why: clients that ask for
    diagnostics see it."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text or f"0x{status:08X}")
        self.status = status
        self.text = text


@dataclass(slots=True)
class Header:
    """Of a RequestHeader, what a server needs. ``token`` is the encoded AuthenticationToken; ``timeout_hint`` in ms. One is made
    for each request, which is why it is not frozen: that would take four times as long."""

    token: bytes
    handle: int
    timeout_hint: int
    return_diagnostics: int
    audit_entry_id: str | None = None
    more: Any = None
    """AdditionalHeader, where there is one."""


@dataclass(frozen=True, slots=True)
class Handover:
    """``role``: what the session had before, where that was another person's. ``moved``: to another connection."""

    role: Role | None
    moved: bool


@dataclass(eq=False, slots=True)
class Session:
    """An activated session. Services keep what belongs to it in ``state`` under a key of their own; ``closing`` is called once.

    ``number`` names the session in diagnostics; ``timeout_ms`` is the revised session timeout.
    """

    number: int
    name: str
    client_uri: str
    user: str | None
    role: Role | None
    timeout_ms: float
    certificate: bytes | None = None
    """Leaf certificate (DER) of the channel it was created on; with ``user`` it is who owns what the session makes."""
    locale_ids: tuple[str, ...] = ()
    max_response_size: int = 0
    is_closed: bool = False
    state: dict[str, Any] = field(default_factory=dict)
    closing: list[Callable[[Session, bool], None]] = field(default_factory=list)
    """Called with the session and DeleteSubscriptions."""
    handing_over: list[Callable[[Session, Handover], None]] = field(default_factory=list)
    """Called when it goes to another connection, or another person has taken it over."""


class Answer(Protocol):
    """Where one request's response goes. May be kept and used later (Publish); a connection that is gone swallows it."""

    @property
    def is_open(self) -> bool: ...

    @property
    def is_ready(self) -> bool:
        """Whether it is open to a peer that reads what is sent."""

    @property
    def connection(self) -> Any:
        """What carries it, for those who ``expect`` more of its kind there."""

    def send(self, response_type: int, body: Bytes, *, status: int = 0) -> None:
        """``body`` is what follows the ResponseHeader. Called once."""

    def publish(self, subscription: int, sequence: int, ticks: int, elements: int, data: Bytes, results: bytes) -> None:
        """Answer with a PublishResponse of one message, all that waits for acknowledgement, behind which no other waits. ``ticks``:
        its PublishTime in 100 ns since 1601; ``elements`` and ``data``: its NotificationData; ``results``: of acknowledgements."""

    def explained(self) -> Answer:
        """What to keep instead, where something of a Publish request was refused and the client wants to know why."""

    def expect(self, regular: Any) -> None:
        """Show the connection's further requests to ``regular`` first: ``take_frame(connection, frame)`` while it is a frame, and
        ``take(connection, request_id, body)`` when it was opened. Both return False for those that they are not for."""

    def fault(self, status: int, text: str = "") -> None:
        """Answer with a ServiceFault. ``text``: why, where there is more to say than the status does."""

    reasons: Any
    """reasons.NotAsked: takes down why operations were refused; NOT_ASKED where the client does not want to know."""

    @property
    def backlog(self) -> int:
        """Bytes that wait in the connection's send buffer: a peer that does not read must be served less, not more."""


@dataclass(slots=True)
class Request:
    """One request on its way through a service."""

    header: Header
    session: Session | None
    answer: Answer
    security: Literal["None", "Sign", "SignAndEncrypt"]
    peer: str
    """Address of the client, for audit and lock-out."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a handler returns when there is something long to decode first: ``work`` is done beside the loop, and nothing else of
    the connection meanwhile; ``then`` takes its result and returns what a handler does."""

    work: Callable[[], Any]
    then: Callable[[Any], Any]


LARGE: Final = 1_024
"""Bytes from which on a value is not kept once more for each who asks, and is counted: 10,000 smaller ones are some megabytes."""
Handler = Callable[[Request, Any], Any | Awaitable[Any]]
"""(request, parameters) -> response parameters (an asyncua dataclass), encoded ``bytes``, ``Beside``, or None when the answer comes
later."""
LONG: Final = 16_384
"""Bytes of a request from which on decoding it could hold up others: some milliseconds, with values that are nested."""


@dataclass(frozen=True, slots=True)
class Service:
    """A row of the services table. Type ids are those of the binary encodings in namespace 0.

    ``parameters``: the asyncua dataclass of the request's parameters; None hands over the raw bytes behind the RequestHeader.
    """

    name: str
    request_type: int
    response_type: int
    handler: Handler
    parameters: type | None = None
    needs_session: bool = True
    needs_security: bool = True
    """Refused over policy None, unless the server is insecure; discovery and opening are the exceptions."""


class Slot(Protocol):
    """One attribute of one node, shared by all who read or monitor it. Values in it are replaced, never changed."""

    @property
    def node_id(self) -> Any: ...

    @property
    def attribute(self) -> int: ...

    @property
    def value(self) -> Any:
        """The current ua.DataValue; the same object until it changes."""

    def encoded(self) -> bytes:
        """``value`` with all it has, status and both timestamps, in OPC UA binary. Encoded once per change, for everybody."""

    def watch(self, changed: Callable[[Slot], None]) -> None:
        """Call ``changed(slot)`` right after each new value, whoever sets it; it must be short and must not raise. What is
        set in one go (a tick) is told one by one, without a suspension in between."""

    def unwatch(self, changed: Callable[[Slot], None]) -> None: ...


class Values(Protocol):
    """The address space as slots."""

    def slot(self, node_id: Any, attribute: int = 13) -> Slot:
        """The slot of a readable attribute. Raises ServiceFault: BadNodeIdUnknown, BadAttributeIdInvalid, BadNotReadable."""


class Core(Protocol):
    """What a room that brings services gets, once, before the engine starts."""

    @property
    def values(self) -> Values: ...

    attributes: Any
    """attributes.Attributes: what a session sees of an attribute."""
    aspace: Any
    """asyncua's AddressSpace."""
    columns: Any
    """Columns: live variables as numpy columns."""
    server: Any
    """asyncua's Server, for its nodes and its internal events; its listener is not open."""
    limits: Limits
    rights: Any
    """security.rights.Rights: what roles may see, change and call."""
    audit: Any
    """security.audit.Audit: where security is reported."""
    own: Any
    """channel.Own: our certificate and key; ``use(own)`` replaces it for channels that are opened from then on."""
    trust: Any
    """certs.trust.Trust: whose certificates get in."""
    user_trust: Any
    """certs.trust.Trust of users' certificates; None where nobody logs in with one."""
    use: Callable[[Any], None]
    judge_again: Callable[[], Awaitable[None]]
    """Closes the channels of clients whose certificates no longer get in."""
    sessions: dict[bytes, Session]
    """By encoded authentication token; activated or not."""
    sessions_by_id: dict[Any, Session]
    """The same by the UUID of their SessionId."""
    tally: Any
    """Tally: what is counted for diagnostics."""
    clock: Callable[[], float]
    """Seconds; never goes back."""
    shares: Any
    """Shares: what sessions hold of the memory."""
    subscriptions: Any
    """The Hub of the room of subscriptions; None without."""
    methods: dict[Any, MethodHandler]
    """Method NodeId -> who carries it out instead of the node's own callback (ConditionRefresh, GetMonitoredItems ...)."""
    starting: list[Callable[[], None]]
    """Called in the loop, when the port is open."""
    stopping: list[Callable[[], None]]
    """Called in the loop, before the connections close."""


MethodHandler = Callable[[Request, Any, list[Any]], Any | Awaitable[Any]]
"""(request, object's NodeId, input Variants) -> ua.CallMethodResult. It may have ``check_object(object_id)``, which raises
ServiceFault for objects that it is not for, instead of the check that the object has the method; ``has_object(object_id)``, which
says whether an object is one of its own, that is no node; and ``audit(request, object_id,
method_id, input Variants, status, reason)``, which reports a call instead of the general audit event."""

Room = Callable[[Core], "list[Service]"]
"""What ``Engine(rooms=[...])`` takes: subscriptions.services(core) -> its rows of the table. A row of the engine's own with the
same request type is replaced. Things to start or end go into ``core.starting`` / ``core.stopping``."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger, and what a session, may ask for; each is a setting with the default shown."""

    connections: int = 100
    """With an activated session."""
    waiting_connections: int = 20
    """Places beyond them, for those without one."""
    pending_per_address: int = 10
    """Connections of one address that have no activated session."""
    sessions: int = 100
    """That are activated."""
    waiting_sessions: int = 20
    """Places beyond them, for those that are not."""
    subscriptions_per_session: int = 50
    items_per_session: int = 10_000
    held_bytes_per_session: int = 512 << 10
    """Of what its items, filters and queues take, about: a thousand items and their messages. A session has them in any case."""
    held_bytes: int = 64 << 20
    """Of all sessions together: those shares, and a pool for who wants more."""
    large_bytes_per_session: int = 4 << 20
    """Of the values of more than LARGE bytes that its items watch."""
    nodes_per_browse: int = 1_000
    nodes_per_read: int = 10_000
    nodes_per_write: int = 10_000
    methods_per_call: int = 1_000
    message_bytes: int = 4 << 20
    response_bytes: int = 4 << 20
    """Of large values in the answer to a Read: few nodes have one, and a request may name it ten thousand times."""
    message_bytes_before_session: int = 64 << 10
    chunks: int = 512
    array_elements: int = 65_536
    string_bytes: int = 1 << 20
    send_buffer_bytes: int = 8 << 20
    handshake_s: float = 10.0
    token_lifetime_ms: int = 3_600_000
    continuation_points: int = 100
    history_nodes: int = 100
    history_points: int = 100
    """Continuation points of HistoryRead that a session may have."""
    publish_requests_per_session: int = 100
    retransmission_messages: int = 100
