"""Brokers that end the connection at a message and do not say why: which message it was is found, and it is given up."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from broker import Listener, running
from fake_link import FakeLink
from gate import Gate, opened, until

from cnctwin.link import LinkAlarm
from gateway.mqtt import connection, events
from gateway.mqtt.careful import SHORT, Careful
from gateway.mqtt.connection import BrokerAddress, StatusWords
from gateway.mqtt.message import Message

ALARMS = "enterprise/site/area/line/CNC-001/alarms"


def raise_alarm(gate: Gate, code: str, text: str) -> None:
    gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", 1_000_000_000, 900, code, text, True)))


def codes(listener: Listener) -> list[str]:
    return [json.loads(message.payload)["code"] for message in listener.of(ALARMS)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BACKOFF_S", (0.05,) * 6)
    monkeypatch.setattr(connection, "STEADY_S", 2.0)


@pytest.mark.parametrize(
    ("kind", "more", "version"),
    [("nats", "max_payload: 3000\n", paho.MQTTv311), ("mosquitto", "message_size_limit 3000\n", paho.MQTTv5)],
)
def test_what_a_broker_hangs_up_on_without_a_word_is_found_told_and_given_up(
    tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture, kind: str, more: str, version: int
) -> None:
    with (
        running(kind, more) as broker,
        Listener(broker.port, version) as listener,
        opened(tmp_path, FakeLink(), mqtt_broker="127.0.0.1", mqtt_port=broker.port) as gate,
    ):
        until(lambda: gate.bare.get("/ready").status_code == 200)
        raise_alarm(gate, "EX1", "x" * 5000)
        raise_alarm(gate, "EX2", "door")
        until(lambda: listener.of(ALARMS), 30)
        alarm = json.loads(listener.of(ALARMS)[0].payload)
        assert (alarm["code"], alarm["seq"]) == ("EX2", 2)
        until(lambda: gate.dropped("large", "events") > 0)
        assert gate.bare.get("/ready").status_code == 200
        # What is smaller goes on, and what is as large again ends the connection no more.
        raise_alarm(gate, "EX3", "y" * 5000)
        raise_alarm(gate, "EX4", "z" * 1000)
        until(lambda: codes(listener)[-1] == "EX4")
        assert set(codes(listener)) == {"EX2", "EX4"}
    told = [record.getMessage() for record in caplog.records if record.name == "gateway.mqtt"]
    assert len([one for one in told if "ended the connection" in one and ALARMS in one]) == 1, told


def test_an_event_that_the_broker_refuses_is_told_kept_and_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "REFUSED_S", 0.2)
    acl = tmp_path / "acl"
    acl.write_text(f"topic read #\ntopic write enterprise/site/area/line/gateway/#\ntopic deny {ALARMS}\ntopic readwrite #\n")
    with (
        running("mosquitto", f"acl_file {acl}\n") as broker,
        Listener(broker.port, paho.MQTTv5) as listener,
        opened(tmp_path, FakeLink(), mqtt_broker="127.0.0.1", mqtt_port=broker.port) as gate,
    ):
        until(lambda: gate.bare.get("/ready").status_code == 200)
        raise_alarm(gate, "EX1", "door")
        until(lambda: any("refused" in record.getMessage() for record in caplog.records))
        told = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
        assert "Not authorized" in told[0]
        assert ALARMS in told[0]
        until(lambda: "cnctwin_mqtt_events_kept 1.0" in gate.http.get("/metrics").text)
        acl.write_text("topic readwrite #\n")
        assert broker.process is not None
        broker.process.send_signal(signal.SIGHUP)  # it reads its files again
        until(lambda: listener.of(ALARMS))
        assert json.loads(listener.of(ALARMS)[0].payload)["code"] == "EX1"
        until(lambda: "cnctwin_mqtt_events_kept 0.0" in gate.http.get("/metrics").text)
    assert len([record for record in caplog.records if "refused" in record.getMessage()]) == 1


def message(size: int, topic: str = "t") -> Message:
    return Message(topic, b"x" * size)


def careful_at(*sizes: int) -> Careful:
    """After as many short lives as it takes, with messages of these sizes taken in the present one."""
    careful = Careful()
    for _ in range(SHORT):
        assert careful.lost(lasted=False) == ""
    assert careful.is_on
    for size in sizes:
        careful.took(message(size))
    return careful


def lose_at(careful: Careful, at: Message) -> str:
    careful.alone = at
    return careful.lost(lasted=False)


def test_a_size_is_blamed_when_it_ended_two_lives_and_nothing_so_large_was_taken() -> None:
    careful = careful_at(100)
    assert lose_at(careful, message(1000)) == ""
    assert "1017 bytes to t" in lose_at(careful, message(1000))
    assert careful.limit == (117 + 1017) // 2
    assert careful.refuses(message(1000)) == "large"
    assert not careful.refuses(message(500))
    # What is as large as the guess and does not pass brings it down further.
    lose_at(careful, message(540))
    lose_at(careful, message(540))
    assert careful.limit == (117 + 557) // 2


def test_a_topic_is_blamed_where_larger_ones_of_others_were_taken() -> None:
    careful = careful_at(1000)
    lose_at(careful, message(10, "u"))
    assert "a message to u" in lose_at(careful, message(10, "u"))
    assert careful.refuses(message(1, "u")) == "refused"
    assert not careful.refuses(message(2000))


def test_a_bad_line_blames_nobody() -> None:
    careful = careful_at(1000)
    for _ in range(10):
        assert lose_at(careful, message(900)) == ""  # has been taken before
        assert lose_at(careful, message(2000, "u")) == ""
        assert lose_at(careful, message(2000, "v")) == ""
    assert not careful.refuses(message(5000))
    nothing = careful_at()
    assert [lose_at(nothing, message(10)) for _ in range(4)] == [""] * 4
    assert not nothing.refuses(message(10))
    assert not careful.refuses(message(1, "u"))


def test_what_was_found_is_forgotten_when_a_connection_that_lasted_ends() -> None:
    careful = careful_at(100)
    lose_at(careful, message(1000))
    lose_at(careful, message(1000))
    careful.lasted()
    assert not careful.is_on
    assert careful.refuses(message(1000)) == "large"
    assert careful.lost(lasted=True) == ""
    assert not careful.refuses(message(1000))


def test_who_says_that_it_speaks_no_mqtt_5_is_asked_in_3_1_1_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often before: what is looked for in a broker's lives would take twice as long."""
    pauses: list[float] = []

    async def run() -> None:
        sleep = asyncio.sleep
        server = await asyncio.start_server(old, "127.0.0.1", 0)
        address = BrokerAddress("127.0.0.1", server.sockets[0].getsockname()[1])
        made = connection.Connection(address, StatusWords("status"), lambda: None, lambda _: None, lambda _: None)

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            await sleep(0)
            if len(pauses) == 8:
                raise EOFError

        monkeypatch.setattr(connection.asyncio, "sleep", pause)
        with pytest.raises(EOFError):
            await made.run()
        monkeypatch.setattr(connection.asyncio, "sleep", sleep)
        server.close()

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connect = await reader.read(4096)
        if b"MQTT\x05" in connect:
            writer.write(b"\x20\x03\x00\x84\x00")
        else:
            writer.write(b"\x20\x02\x00\x00")
            await reader.read(4096)
        writer.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert max(pauses[0::2]) < 0.3
    assert pauses[7] > pauses[1]
