"""The short way of Publish requests that come again has the effect of the general one: the same answers, counters and refusals."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.wire.scalars import ua
from opcua_server.engine import reply, services
from opcua_server.engine.channel import Token
from opcua_server.engine.connection import Connection
from opcua_server.engine.contract import Limits
from opcua_server.engine.sessions import OpenSession
from opcua_server.engine.shares import Shares
from opcua_server.engine.subscriptions import service
from opcua_server.engine.subscriptions.columns import Columns
from opcua_server.engine.subscriptions.item import Item
from opcua_server.engine.subscriptions.publishing import NEVER_S, Desk
from opcua_server.engine.subscriptions.regular import PUBLISH_REQUEST
from opcua_server.engine.subscriptions.service import Hub, rows
from opcua_server.engine.subscriptions.subscription import Subscription, Terms
from opcua_server.engine.tally import Tally

TOKEN = b"\x05\x00\x00\x20\x00\x00\x00" + bytes(range(32))
NODES = [ua.NodeId(f"v{i}", 2) for i in range(3)]


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Line:
    """One session with one subscription, over a channel without keys; the engine around it is a stand-in."""

    def __init__(self, *, short: bool, max_response_size: int = 0) -> None:
        columns = Columns()
        self.column = columns.add(ua.VariantType.Double, NODES)
        limits = Limits(publish_requests_per_session=3)
        core: Any = SimpleNamespace(
            columns=columns, limits=limits, starting=[], stopping=[], methods={}, aspace=None, audit=None, shares=Shares(1 << 20, 0)
        )  # fmt: skip
        self.hub = hub = Hub(core)
        self.tally = Tally()
        engine: Any = SimpleNamespace(
            limits=limits, own=SimpleNamespace(insecure=True), clock=time.monotonic, table=services.table(rows(hub)),
            tally=self.tally, taking_turns=0, complain=lambda *_: None, forget=lambda *_: None, park=lambda *_: None,
        )  # fmt: skip
        self.wire = Wire()
        self.connection = connection = Connection(engine)
        connection._transport, connection.is_open, connection.room = self.wire, True, 60_000
        channel = connection.channel
        channel.number, channel._heard = 7, 10
        self.tokens = {number: Token(number, 1e12, None, None) for number in (1, 2)}
        channel._tokens, channel._sending = dict(self.tokens), self.tokens[1]
        self.session = OpenSession(1, "s", "urn:c", None, None, 60_000.0, max_response_size=max_response_size)
        self.session.token, self.session.connection = TOKEN, connection
        self.session.person = SimpleNamespace()  # type: ignore[assignment]
        connection.sessions[TOKEN] = self.session
        self.desk = hub.desks[self.session] = Desk(limits.publish_requests_per_session, self.session)
        self.subscription = made = Subscription(4, Terms(100.0, 50, 5, 0, 0), True, hub.changes, hub.panels, 100)
        self.desk.add(made)
        hub.subscriptions[4] = made
        sampler = hub.sampler(0.0)
        for number in range(3):
            item = Item(made, number + 1, self.column.slot(number), 100 + number, 2, 2)
            item.sampler = sampler
            made.items[item.number] = item
            item.attach()
        made.changed_items()
        self.sequence = 10
        self.value = 0.0
        self.short = short

    def ask(self, acknowledged: list[int], *, token: int = 1, hint: int = 60_000, skip: int = 0, number: int = 4) -> None:
        self.sequence += 1 + skip
        body = struct.pack("<HH", 1, PUBLISH_REQUEST) + TOKEN + struct.pack("<qIIiI3x", 5, self.sequence, 0, -1, hint)
        body += struct.pack("<i", len(acknowledged)) + b"".join(struct.pack("<II", number, one) for one in acknowledged)
        frame = struct.pack("<4sIIIII", b"MSGF", 24 + len(body), 7, token, self.sequence, self.sequence + 1_000) + body
        if not self.short:
            self.connection.regular = None
        self.connection.data_received(frame)

    def tick(self, *, change: bool = True) -> None:
        if change:
            self.value += 1
            self.column.write([self.value] * 3, 0, 1, 1)
        with pytest.MonkeyPatch.context() as patch:
            if not self.short:
                patch.setattr(Subscription, "tell", lambda *_: False)
            self.hub._publish([self.subscription])

    def round(self) -> None:
        """What nearly always happens: a message, and a request that acknowledges it."""
        self.tick()
        self.ask([self.subscription.next_number - 1])

    @property
    def state(self) -> tuple[Any, ...]:
        one, session = self.subscription, self.session
        return (
            list(one.sent), one.next_number, one.cycles(), one.messages, one.notifications, one.cursor, dict(one.tally),
            [waiting[1:] if waiting[1] == NEVER_S else waiting[2:] for waiting in self.desk.requests],
            session.requests[PUBLISH_REQUEST] + session.regular, dict(session.refusals),
            self.connection.channel._heard, self.connection.is_open,
        )  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_time() -> Iterator[None]:
    """Answers carry the time; here it stands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reply, "time", SimpleNamespace(time_ns=lambda: 1_000))
        patch.setattr(service, "ticks_now", lambda: reply.EPOCH_TICKS + 10)
        yield


asked = st.tuples(
    st.just("ask"),
    st.fixed_dictionaries(
        {"back": st.sampled_from([0, 0, 0, 0, 1, 5]), "ticks": st.sampled_from([True, True, False])},
        optional={
            "token": st.sampled_from([1, 1, 2, 9]), "hint": st.sampled_from([0, 60_000]), "skip": st.sampled_from([0, 0, 0, 1, -1]),
            "number": st.sampled_from([4, 4, 5]), "count": st.sampled_from([0, 1, 1, 2]),
        },
    ),
)  # fmt: skip
ticks = st.tuples(st.just("tick"), st.fixed_dictionaries({"change": st.booleans()}))
others = st.sampled_from([("disable", {}), ("enable", {}), ("close", {}), ("modify", {})])
rounds = st.just(("round", {}))
steps = st.lists(st.one_of(rounds, rounds, asked, asked, ticks, others), max_size=30)


def carry_out(line: Line, doing: str, how: dict[str, Any]) -> None:
    if doing == "round":
        line.round()
    elif doing == "tick":
        line.tick(**how)
    elif doing == "ask":
        if how["ticks"]:
            line.tick()
        rest = {name: value for name, value in how.items() if name not in ("back", "count", "ticks")}
        last = line.subscription.next_number - 1 - how["back"]
        line.ask([max(last - i, 0) for i in range(how.get("count", 1))], **rest)
    elif doing == "close":
        line.session.is_closed = True
        line.connection.sessions.clear()
    elif doing == "modify":
        line.subscription.changed_items()
    else:
        line.subscription.enabled = doing == "enable"


@given(steps, st.sampled_from([0, 0, 150, 10_000]))
def test_both_ways_say_and_keep_the_same(steps: list[tuple[str, dict[str, Any]]], largest: int) -> None:
    short, general = Line(short=True, max_response_size=largest), Line(short=False, max_response_size=largest)
    for line in (short, general):
        line.ask([])
        line.round()
    for doing, how in steps:
        for line in (short, general):
            carry_out(line, doing, how)
        assert short.wire.written == general.wire.written
        assert short.state == general.state
        assert short.wire.closed == general.wire.closed


def test_it_is_the_way_of_a_client_that_acknowledges_each_message() -> None:
    line = Line(short=True)
    line.ask([])
    for _ in range(5):
        line.round()
    assert line.session.regular == 4  # the first that acknowledges one shows what they look like
    assert line.session.requests[PUBLISH_REQUEST] == 2
    assert len(line.wire.written) == 5


def test_one_session_has_no_way_over_the_connection_of_another() -> None:
    line = Line(short=True)
    line.ask([])
    for _ in range(2):
        line.round()
    line.session.connection = object()  # it went on elsewhere
    before = line.session.regular
    line.round()
    assert line.session.regular == before


@pytest.mark.parametrize("wrong", [{"skip": 1}, {"skip": -1}, {"token": 9}], ids=str)
def test_a_frame_that_breaks_a_rule_closes_the_connection_on_it_too(wrong: dict[str, int]) -> None:
    line = Line(short=True)
    line.ask([])
    line.round()
    line.round()
    line.tick()
    line.ask([line.subscription.next_number - 1], **wrong)
    assert line.wire.closed
    assert line.wire.written[-1].startswith(b"ERRF")
    assert list(line.subscription.sent) == [line.subscription.next_number - 1]
