"""The connection to the broker: paho's client in its own thread, one life at a time.

    away --connect--> up --lost--> away (backoff) ...        birth on the way up, last will where it breaks

    event loop --publish()--> paho (bounded: WINDOW messages that are not written yet) --thread--> socket
    paho's thread --call_soon_threadsafe--> event loop       lost, connected, and acknowledged where somebody asked

MQTT 5 is tried first; a broker that refuses it is asked in MQTT 3.1.1 the next time, and in MQTT 5 again once that has come to an
end: it may have hung up for another reason. Every message that is not handed over is counted with its reason. A connection that is
lost soon after each time is tried ever more seldom, and told once; which message the broker hangs up at is looked for
(gateway.mqtt.careful).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cnctwin import tls
from cnctwin.errors import ConfigurationError
from cnctwin.reading import iso
from gateway.mqtt.allowed import Allowed
from gateway.mqtt.careful import Careful
from gateway.mqtt.message import Message
from gateway.mqtt.problems import with_hint

log = logging.getLogger("gateway.mqtt")
WINDOW: Final = 20_000
CONNECT_S: Final = 5.0
KEEP_ALIVE_S: Final = 15
BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
UNSUPPORTED_VERSION: Final = 132
LOST: Final = "connection lost: "
STEADY_S: Final = 10.0
"""A connection that lasted so long was no failed try."""
Settled = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    pinned: Path | None = None
    """The one certificate that the broker must show, where it is of this installation."""
    is_own: bool = False
    """Whether it is the broker that `up` starts."""

    def __str__(self) -> str:
        return f"mqtt{'s' if self.tls or self.pinned else ''}://{self.host}:{self.port}"


class Words(Protocol):
    """What a connection says of itself: the last will it leaves with the broker, its first words and its last."""

    def will(self) -> Message:
        """Of the connection that is about to be made; asked once for each."""

    def hello(self) -> Iterable[Message]: ...

    def goodbye(self) -> Iterable[Message]: ...


class StatusWords:
    """A retained topic that says online or offline, and while online what ``remarks`` there are."""

    def __init__(self, topic: str, remarks: Callable[[], list[str]] = list) -> None:
        self._topic = topic
        self._remarks = remarks

    def will(self) -> Message:
        return self._status("offline")

    def hello(self) -> Iterable[Message]:
        return (self._status("online"),)

    def goodbye(self) -> Iterable[Message]:
        return (self._status("offline"),)

    def _status(self, state: str) -> Message:
        told = {"state": state, "timestamp": iso(time.time_ns())}
        payload = orjson.dumps({**told, "remarks": self._remarks()} if state == "online" else told)
        return Message(self._topic, payload, retain=True, qos=1)


class Connection:
    """``came_up`` is called in the event loop after each connect; ``changed`` with the reason ("" when up).

    ``heard`` is told, in the event loop too, what comes on the topics of ``listens``.
    """

    def __init__(
        self,
        address: BrokerAddress,
        words: Words,
        came_up: Callable[[], None],
        changed: Callable[[str], None],
        dropped: Callable[[str], None],
        *,
        listens: Iterable[str] = (),
        heard: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self.address = address
        self.up = False
        self.protocol = MQTTProtocolVersion.MQTTv5
        self._words = words
        self._listens = tuple(listens)
        self._heard = heard
        self._came_up = came_up
        self._changed = changed
        self._dropped = dropped
        self._client: paho.Client | None = None
        self._written = 0
        self._handed = 0
        self._asked: dict[int, tuple[str, Settled]] = {}
        """Topic, and who wants to know of an acknowledgement, by the number paho gave the message."""
        self._asking = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._problems: set[str] = set()
        """What went wrong since a connection lasted."""
        self._allowed = Allowed()
        self._careful = Careful()
        self._queue: deque[tuple[Message, Settled | None]] = deque()
        """What waits for its turn in a careful life."""
        self._told_large = self._is_told = False
        self._told_refused: set[str] = set()

    @property
    def waiting(self) -> int:
        """Messages handed to paho that it has not written yet."""
        return max(0, self._handed - self._written) + len(self._queue)

    def publish(self, message: Message, settled: Settled | None = None) -> bool:
        """Hand a message over; False where it was dropped, and counted.

        ``settled`` is called in the event loop when the broker has acknowledged the message (True) or refused it; never where the
        connection is lost before. One that the broker says it does not take is given up: it would end each connection.
        """
        if not self.up:
            self._dropped("away")
            return False
        if reason := self._careful.refuses(message):  # told when it was found
            return self._give_up(reason, settled)
        fitted = self._allowed.fitted(message)
        if fitted is None:
            if not self._told_large:
                what = f"packets of {self._allowed.size} bytes: larger ones are dropped and counted, the first of {message.topic}"
                log.error("MQTT: %s: takes %s; raise its limit (max_packet_size of mosquitto)", self.address, what)
            self._told_large = True
            return self._give_up("large", settled)
        if self.waiting >= WINDOW:
            self._dropped("slow")
            return False
        if self._queue or (self._careful.is_on and self._allowed.qos):
            self._queue.append((fitted, settled))
            self._go_on()
            return True
        return self._hand_over(fitted, settled)

    def _go_on(self) -> None:
        """In a careful life: what is safe goes at once, everything else when what went alone before it is acknowledged."""
        while self._queue and self._careful.alone is None:
            message, settled = self._queue.popleft()
            if self._careful.is_on and not self._careful.is_safe(message):
                self._careful.alone = message
                self._hand_over(replace(message, qos=max(message.qos, 1)), partial(self._answered, message, settled))
            else:
                self._hand_over(message, settled)

    def _answered(self, message: Message, settled: Settled | None, delivered: bool) -> None:
        self._careful.took(message)
        if settled is not None:
            settled(delivered)
        self._go_on()

    def _hand_over(self, message: Message, settled: Settled | None) -> bool:
        client = self._client
        assert client is not None  # noqa: S101 - while it is up
        properties = None
        if self.protocol == MQTTProtocolVersion.MQTTv5 and message.expiry_s is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = message.expiry_s
        self._handed += 1
        # Counted before: the acknowledgement may come before ``publish`` returns, and is looked up in a later turn of the loop.
        self._asking += settled is not None
        done = client.publish(message.topic, message.payload, message.qos, message.retain, properties)
        if done.rc != paho.MQTT_ERR_SUCCESS:
            self._handed -= 1
            self._asking -= settled is not None
            self._dropped("away")
            return False
        if settled is not None:
            self._asked[done.mid] = message.topic, settled
        return True

    def _give_up(self, reason: str, settled: Settled | None) -> bool:
        """The broker does not take it. Who waits for an acknowledgement is told to wait no longer."""
        self._dropped(reason)
        if settled is not None and self._loop is not None:
            self._loop.call_soon(settled, True)
        return settled is not None

    def publish_all(self, messages: Iterable[Message]) -> int:
        return sum(self.publish(message) for message in messages)

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        self._loop = asyncio.get_running_loop()
        tries = 0
        while True:
            was_5 = self._is_5
            got_on = await self._live()
            fell_back = was_5 and not self._is_5  # which is no failed try: the next one is the other half of it
            if not was_5:
                self.protocol = MQTTProtocolVersion.MQTTv5
            tries = 0 if got_on else tries + (not fell_back)
            pause = BACKOFF_S[0 if fell_back else min(tries, len(BACKOFF_S) - 1)]
            # Spread out, so that a fleet of gateways does not come back in one moment.
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - no secret

    async def say_goodbye(self, messages: Iterable[Message], within_s: float) -> None:
        """Publish last words and the death message, wait until they are written, and disconnect."""
        client, loop = self._client, asyncio.get_running_loop()
        if not self.up or client is None:
            return
        self.publish_all(messages)
        self.publish_all(self._words.goodbye())
        until = loop.time() + within_s
        while self.waiting and loop.time() < until:  # noqa: ASYNC110 - paho's thread counts, it sets no event of ours
            await asyncio.sleep(0.01)
        self._end(client)

    async def _live(self) -> bool:
        """One connection from connect to loss. True where it lasted, or showed what ended it."""
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[str] = loop.create_future()
        lost: asyncio.Future[str] = loop.create_future()
        try:
            client = self._make_client(settled, lost)
        except (OSError, ssl.SSLError, ValueError, ConfigurationError) as error:
            self._fail(str(error))
            return False
        self._written = self._handed = self._asking = 0
        self._asked.clear()
        steady = None
        try:
            problem = await self._connect(client, settled)
            if problem:
                self._fail(problem)
                return False
            self._client, self.up = client, True
            if not any(problem.startswith(LOST) for problem in self._problems):
                self._prove()
            steady = loop.call_later(STEADY_S, self._last)
            self._changed("")
            for topic in self._listens:
                client.subscribe(topic, 1)
            self.publish_all(self._words.hello())
            self._came_up()
            reason = await lost
            self.up = False
            self._fail(f"{LOST}{reason}")
            lasted = loop.time() >= steady.when()
            blamed = self._careful.lost(lasted=lasted)
            if blamed:
                log.error("MQTT: %s: %s is dropped and counted from now on; raise the broker's limit", self.address, blamed)
            return lasted or bool(blamed)
        finally:
            if steady is not None:
                steady.cancel()
            self.up, self._client = False, None
            for _, waits in self._queue:
                if waits is None:  # others come again
                    self._dropped("away")
            self._queue.clear()
            self._end(client)

    def _fail(self, problem: str) -> None:
        """A try that came to nothing: each reason is logged once, however often it is tried."""
        speaks_tls = self.address.tls or self.address.pinned is not None
        problem = with_hint(problem, is_own=self.address.is_own, tls=speaks_tls)
        if problem not in self._problems:
            log.warning("MQTT: %s: %s", self.address, problem)
        self._problems.add(problem)
        self._is_told = False
        self._changed(f"{self.address}: {problem}")

    def _last(self) -> None:
        self._prove()
        self._careful.lasted()
        self._go_on()

    def _prove(self) -> None:
        """The connection is there, and no try that is ended at once: what ends it next is news."""
        if not self._is_told:
            log.info("MQTT: connected to %s, MQTT %s", self.address, "5" if self._is_5 else "3.1.1")
        self._problems.clear()
        self._is_told = True

    @property
    def _is_5(self) -> bool:
        return self.protocol == MQTTProtocolVersion.MQTTv5

    async def _connect(self, client: paho.Client, settled: asyncio.Future[str]) -> str:
        """Empty where the broker accepted, else why not."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.to_thread(self._open, client)
                client.loop_start()
                problem = await settled
        except TimeoutError:
            problem = f"no answer within {CONNECT_S:g} s"
        except (OSError, ssl.SSLError, ValueError) as error:
            return str(getattr(error, "strerror", None) or error)
        if problem and self._is_5 and ("version" in problem.lower() or "protocol" in problem.lower() or "closed" in problem):
            # An MQTT 3.1.1 broker answers in its own form or hangs up.
            self.protocol = MQTTProtocolVersion.MQTTv311
            return f"does not speak MQTT 5 ({problem}); trying 3.1.1"
        return problem

    def _open(self, client: paho.Client) -> None:
        client.connect(self.address.host, self.address.port, KEEP_ALIVE_S)

    def _make_client(self, settled: asyncio.Future[str], lost: asyncio.Future[str]) -> paho.Client:
        loop = asyncio.get_running_loop()
        address = self.address
        client_id = f"cnctwin-gateway-{os.getpid()}-{os.urandom(8).hex()}"
        clean = None if self._is_5 else True
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=clean, protocol=self.protocol, reconnect_on_failure=False
        )
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(1000)
        client.max_queued_messages_set(WINDOW)
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        if address.pinned is not None:
            client.tls_set_context(tls.pinned(address.pinned))
        elif address.tls:
            client.tls_set_context(tls.client(address.ca, address.certificate, address.key))
        will = self._words.will()
        client.will_set(will.topic, will.payload, will.qos, will.retain)

        def tell(future: asyncio.Future[str], text: str) -> None:
            def settle() -> None:
                if not future.done():
                    future.set_result(text)

            with contextlib.suppress(RuntimeError):  # the loop has ended before paho's thread did
                loop.call_soon_threadsafe(settle)

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
            self._allowed = Allowed.of(properties)
            tell(settled, f"refused: {reason}" if reason.is_failure else "")

        def on_disconnect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            tell(settled, f"closed: {reason}")
            tell(lost, str(reason))

        def on_publish(_client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
            self._written += 1
            if self._asking:
                problem = str(reason) if reason.is_failure else ""
                with contextlib.suppress(RuntimeError):  # the loop has ended before paho's thread did
                    loop.call_soon_threadsafe(self._settle, client, mid, problem)

        def on_message(_client: Any, _data: Any, message: Any) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._take, client, message.topic, bytes(message.payload))

        client.on_connect, client.on_disconnect, client.on_publish = on_connect, on_disconnect, on_publish
        if self._heard is not None:
            client.on_message = on_message
        return client

    def _take(self, client: paho.Client, topic: str, payload: bytes) -> None:
        if client is self._client and self._heard is not None:
            self._heard(topic, payload)

    def _settle(self, client: paho.Client, mid: int, problem: str) -> None:
        # Of another life's client the numbers mean nothing here.
        if client is self._client and (asked := self._asked.pop(mid, None)) is not None:
            self._asking -= 1
            topic, settled = asked
            if problem and topic not in self._told_refused:
                self._told_refused.add(topic)
                log.error("MQTT: %s: refused what goes to %s: %s; let this login write there", self.address, topic, problem)
            settled(not problem)

    def _end(self, client: paho.Client) -> None:
        client.on_publish = client.on_disconnect = client.on_connect = client.on_message = None
        client.disconnect()
        # Joining paho's thread may take a moment: never in the event loop.
        if self._loop is not None and not self._loop.is_closed():
            self._loop.run_in_executor(None, client.loop_stop)
