"""MQTT: sinks as pure code, and the whole bridge against real brokers, heard by a foreign client."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
from broker import Broker, Listener, free_port, running
from fake_link import FakeLink
from gate import opened, until
from hypothesis import given
from hypothesis import strategies as st
from tls_files import make_certificates

from cnctwin.link import LinkAlarm, Remark
from cnctwin.reading import UNCERTAIN_NO_COMMUNICATION, Batch, Reading
from cnctwin.settings import Settings
from gateway.mqtt.allowed import Allowed
from gateway.mqtt.connection import BrokerAddress, Connection, StatusWords
from gateway.mqtt.keeping import address_of
from gateway.mqtt.message import Message, level
from gateway.mqtt.problems import with_hint
from gateway.mqtt.sinks import SINKS
from gateway.mqtt.sinks.unified import EXPIRY_S, REFRESH_S, UnifiedNamespace
from gateway.topics import TopicNames
from gateway.twin import Twin
from nodesets import catalogue

SITE = "enterprise/site/area/line"
STATUS = f"{SITE}/gateway/status"
SPEED = f"{SITE}/CNC-001/Spindle/ActSpeed"
TELEMETRY = "dt/cnc/CNC-001/telemetry"


def reading(value: float, status: int = 0, time_ns: int = 1) -> Reading:
    return Reading("Spindle/ActSpeed", value, status, time_ns, time_ns)


def sink() -> tuple[Twin, UnifiedNamespace]:
    twin = Twin(0)
    return twin, UnifiedNamespace(Settings(), twin, TopicNames(None))


@given(st.text(max_size=50))
def test_a_name_becomes_one_topic_level(text: str) -> None:
    made = level(text)
    assert made
    assert not set(made) & set("/+# $\x00\x1f\x7f\x85\u2028\ufffe")
    assert made.encode()  # no half of a surrogate pair


def test_every_signal_is_one_topic() -> None:
    topics = {"/".join(level(part) for part in row.name.split("/")) for row in catalogue.SIGNALS}
    assert topics == {row.name for row in catalogue.SIGNALS}


def test_unchanged_quality_is_published_at_most_once_a_second_and_the_newest_value_comes() -> None:
    twin, unified = sink()
    sent = []
    for number in range(30):
        sent += unified.update(twin.apply(Batch("M", number + 1, (reading(float(number), time_ns=number + 1),))), number * 0.1)
        sent += unified.tick(number * 0.1)
    sent += unified.tick(4.0)
    values = [json.loads(message.payload)["value"] for message in sent]
    assert len(values) <= 5
    assert values[-1] == 29.0


def test_a_change_of_quality_is_published_at_once() -> None:
    twin, unified = sink()
    list(unified.update(twin.apply(Batch("M", 1, (reading(1.0),))), 0.0))
    update = twin.degrade("M", UNCERTAIN_NO_COMMUNICATION)
    assert update is not None
    (message,) = unified.update(update, 0.01)
    told = json.loads(message.payload)
    assert (told["value"], told["quality"], message.retain) == (1.0, "Uncertain", True)


def test_what_does_not_change_is_renewed_before_a_broker_forgets_it() -> None:
    twin, unified = sink()
    list(unified.update(twin.apply(Batch("M", 1, (reading(1.0),))), 0.0))
    assert list(unified.tick(REFRESH_S - 1)) == []
    (message,) = unified.tick(REFRESH_S)
    assert message.expiry_s == EXPIRY_S > 2 * REFRESH_S


def test_a_fleet_is_published_slower_than_one_machine() -> None:
    twin, unified = sink()
    for number in range(5000):
        list(unified.update(twin.apply(Batch(f"M{number}", 1, (reading(1.0),))), 0.0))
    assert unified.interval_s == pytest.approx(2.5)


@pytest.fixture(params=["mosquitto", "nats"])
def broker(request: pytest.FixtureRequest):
    with running(request.param) as started:
        yield started


def version(broker: Broker) -> int:
    return paho.MQTTv5 if broker.kind == "mosquitto" else paho.MQTTv311


def test_the_whole_bridge_with_a_real_broker(tmp_path: Path, broker: Broker) -> None:
    link = FakeLink()
    with Listener(broker.port, version(broker)) as listener:
        with opened(tmp_path, link, mqtt_broker="127.0.0.1", mqtt_port=broker.port) as gate:
            until(lambda: gate.bare.get("/ready").json() == {"status": "ready"})
            until(lambda: len(listener.of(TELEMETRY)) > 3)
            told = json.loads(listener.of(TELEMETRY)[-1].payload)
            assert set(told) == {"timestamp", "machine_id", "spindle", "axes", "tool", "coolant", "power", "status"}
            assert not listener.of(TELEMETRY)[-1].retain
            assert listener.of(TELEMETRY)[-1].qos == 0
            # The same moment, seen by REST: position and source time agree.
            by_time = {entry["timestamp"]: entry["data"] for entry in gate.http.get("/machines/CNC-001/history").json()["data"]}
            assert by_time[told["timestamp"]]["axes"] == told["axes"]
            until(lambda: listener.of(SPEED))
            shown = json.loads(listener.of(SPEED)[-1].payload)
            assert set(shown) == {"value", "timestamp", "quality", "unit"}
            assert (shown["quality"], shown["unit"]) == ("Good", "r/min")
            assert len([topic for topic in listener.heard if topic.startswith(f"{SITE}/CNC-001/")]) > 100
            assert json.loads(listener.of(STATUS)[-1].payload)["state"] == "online"
            link.remarks = (Remark("CNC-001", "the server has no node for Tool/Number"), Remark("CNC-009", "another's"))
            until(lambda: json.loads(listener.of(STATUS)[-1].payload)["remarks"] == [str(one) for one in link.remarks])
            assert gate.http.get("/api/v1/machines").json()[0]["remarks"] == ["the server has no node for Tool/Number"]
            assert gate.bare.get("/ready").json() == {"status": "ready"}
            until(lambda: (gate.status.state, gate.status.reason) == ("ready", "; ".join(map(str, link.remarks))))
            gate.do(lambda: link.raise_alarm(LinkAlarm("CNC-001", 1_000_000_000, 900, "EX1", "door", True)))
            until(lambda: listener.of(f"{SITE}/CNC-001/alarms"))
            alarm = json.loads(listener.of(f"{SITE}/CNC-001/alarms")[0].payload)
            assert (alarm["code"], alarm["active"], alarm["severity"]) == ("EX1", True, 900)
            assert (alarm["machine"], alarm["stream"], alarm["seq"]) == ("CNC-001", "alarms", 1)
            assert listener.of(f"{SITE}/CNC-001/alarms")[0].qos == 1

            gate.do(link.lose)
            until(lambda: json.loads(listener.of(SPEED)[-1].payload)["quality"] == "Uncertain")
            count = len(listener.of(TELEMETRY))
            gate.do(
                lambda: link.play(
                    "CNC-001", {"Machine/AlarmCode": Reading("Machine/AlarmCode", "x", UNCERTAIN_NO_COMMUNICATION, 1, 1)}
                )
            )
            assert len(listener.of(TELEMETRY)) == count
            gate.do(link.return_)
            until(lambda: json.loads(listener.of(SPEED)[-1].payload)["quality"] == "Good")
        until(lambda: json.loads(listener.of(STATUS)[-1].payload)["state"] == "offline")
    with Listener(broker.port, version(broker)) as late:
        until(lambda: late.of(SPEED) and late.of(STATUS))
        assert late.of(SPEED)[0].retain
        assert json.loads(late.of(SPEED)[0].payload)["quality"] == "Uncertain"


def test_a_broker_that_goes_away_degrades_and_comes_back_with_everything(tmp_path: Path, broker: Broker) -> None:
    with opened(tmp_path, FakeLink(), mqtt_broker="127.0.0.1", mqtt_port=broker.port) as gate:
        until(lambda: gate.bare.get("/ready").status_code == 200)
        broker.stop()
        until(lambda: gate.status.state == "degraded" and "MQTT broker" in gate.status.reason)
        until(lambda: gate.dropped("away", "telemetry") > 0)
        assert gate.http.get("/machines/CNC-001/telemetry").status_code == 200
        broker.start()
        with Listener(broker.port, version(broker)) as listener:
            until(lambda: gate.status.state == "ready", 30)
            until(lambda: len([topic for topic in listener.heard if topic.startswith(f"{SITE}/CNC-001/")]) > 100)


def test_a_broker_that_hung_up_once_is_spoken_to_in_mqtt_5_again(tmp_path: Path) -> None:
    """Such as one that was just starting: in MQTT 3.1.1 what a killed gateway leaves would never expire."""

    async def run() -> None:
        with running("mosquitto") as broker:
            connection = Connection(
                BrokerAddress("127.0.0.1", broker.port), StatusWords("status"), lambda: None, lambda _: None, lambda _: None
            )
            connection.protocol = paho.MQTTProtocolVersion.MQTTv311
            living = asyncio.create_task(connection.run())
            try:
                while not connection.up:
                    await asyncio.sleep(0.01)
                assert connection.protocol == paho.MQTTProtocolVersion.MQTTv311
                broker.stop()
                while connection.up:
                    await asyncio.sleep(0.01)
                broker.start()
                while not connection.up:
                    await asyncio.sleep(0.01)
                assert connection.protocol == paho.MQTTProtocolVersion.MQTTv5
            finally:
                living.cancel()
                await asyncio.gather(living, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_what_is_too_large_for_the_broker_is_dropped_and_holds_up_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    link = FakeLink()
    with (
        running("mosquitto", "max_packet_size 420\n") as broker,
        Listener(broker.port, paho.MQTTv5) as listener,
        opened(tmp_path, link, mqtt_broker="127.0.0.1", mqtt_port=broker.port) as gate,
    ):
        until(lambda: gate.bare.get("/ready").status_code == 200)
        gate.do(lambda: link.raise_alarm(LinkAlarm("CNC-001", 1_000_000_000, 900, "EX1", "x" * 600, True)))
        gate.do(lambda: link.raise_alarm(LinkAlarm("CNC-001", 1_000_000_000, 900, "EX2", "door", True)))
        until(lambda: listener.of(f"{SITE}/CNC-001/alarms"))
        alarm = json.loads(listener.of(f"{SITE}/CNC-001/alarms")[0].payload)
        assert (alarm["code"], alarm["seq"]) == ("EX2", 2)
        until(lambda: gate.dropped("large", "telemetry") > 0)
        until(lambda: listener.of(SPEED))
    told = [record.getMessage() for record in caplog.records if record.name == "gateway.mqtt"]
    assert len([one for one in told if "takes packets of 420 bytes" in one]) == 1
    assert not [one for one in told if "lost" in one]


def test_a_broker_that_hangs_up_on_us_each_time_is_told_once_and_tried_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []

    async def run() -> None:
        sleep = asyncio.sleep
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = Connection(
            BrokerAddress("127.0.0.1", port), StatusWords("status"), lambda: None, lambda _: None, lambda _: None
        )

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            await sleep(0)
            if len(pauses) == 8:
                raise EOFError

        monkeypatch.setattr("gateway.mqtt.connection.asyncio.sleep", pause)
        with pytest.raises(EOFError):
            await connection.run()
        monkeypatch.setattr("gateway.mqtt.connection.asyncio.sleep", sleep)
        server.close()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"\x20\x03\x00\x00\x00")  # welcome, in MQTT 5
        await reader.read(4096)
        writer.close()

    with caplog.at_level("INFO", "gateway.mqtt"):
        asyncio.run(asyncio.wait_for(run(), 60))
    assert pauses[-1] > 7.9
    lost = [record.getMessage() for record in caplog.records if "connection lost" in record.getMessage()]
    connected = [record.getMessage() for record in caplog.records if "connected to" in record.getMessage()]
    assert (len(lost), len(connected)) == (1, 1)


@pytest.mark.parametrize(
    ("problem", "tls", "what"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", True, "MQTT_CA_PATH"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", True, "MQTT_USE_TLS"),
        ("refused: Not authorized", False, "CNCTWIN_MQTT_USERNAME"),
        ("refused: Bad user name or password", True, "CNCTWIN_MQTT_USERNAME"),
        ("closed: Unspecified error", False, "MQTT_USE_TLS"),
        ("closed: Unspecified error", True, ""),
        ("Connection refused", False, ""),
    ],
)
def test_who_is_kept_out_is_told_what_to_do(problem: str, tls: bool, what: str) -> None:
    told = with_hint(problem, is_own=False, tls=tls)
    assert told.startswith(problem)
    assert what in told
    assert (told == problem) == (not what)
    assert with_hint(problem, is_own=True, tls=tls) == problem


@pytest.mark.parametrize(
    ("told", "message", "expected"),
    [
        ({}, Message("t", b"x" * 5_000_000, True, 2), Message("t", b"x" * 5_000_000, True, 2)),
        ({"MaximumPacketSize": 30}, Message("t", b"x" * 13), Message("t", b"x" * 13)),
        ({"MaximumPacketSize": 30}, Message("t", b"x" * 14), None),
        ({"MaximumPacketSize": 30}, Message("\u00fc", b"x" * 13), None),
        ({"MaximumQoS": 0, "RetainAvailable": 0}, Message("t", b"x", True, 1), Message("t", b"x", False, 0)),
        ({"MaximumQoS": 1, "RetainAvailable": 1}, Message("t", b"x", True, 1), Message("t", b"x", True, 1)),
    ],
)  # fmt: skip
def test_messages_are_as_the_broker_takes_them(told: dict[str, int], message: Message, expected: Message | None) -> None:
    assert Allowed.of(SimpleNamespace(**told)).fitted(message) == expected


def test_a_gateway_that_is_killed_is_told_by_its_last_will_and_its_values_expire(tmp_path: Path) -> None:
    with running("mosquitto") as broker:
        here = Path(__file__).parent
        play = [sys.executable, str(here / "play.py"), str(free_port()), "1", str(broker.port)]
        with subprocess.Popen(play, stdout=subprocess.DEVNULL) as process, Listener(broker.port, paho.MQTTv5) as listener:
            until(lambda: listener.of(STATUS) and listener.of(SPEED), 30)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            until(lambda: json.loads(listener.of(STATUS)[-1].payload)["state"] == "offline")
            assert listener.of(STATUS)[-1].qos == 1
        with Listener(broker.port, paho.MQTTv5) as late:
            until(lambda: late.of(SPEED))
            left_s = late.of(SPEED)[0].properties.MessageExpiryInterval
            assert 0 < left_s <= EXPIRY_S


def test_a_broker_behind_tls_with_client_certificates(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    files = f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\nrequire_certificate true\n"
    tls = {"mqtt_use_tls": True, "mqtt_ca_path": tmp_path / "ca.pem"}
    own = {"mqtt_cert_path": tmp_path / "cert.pem", "mqtt_key_path": tmp_path / "key.pem"}
    with running("mosquitto", files) as broker:
        given = {"mqtt_broker": "127.0.0.1", "mqtt_port": broker.port, **tls}
        with opened(tmp_path / "a", FakeLink(), **given, **own) as gate:
            until(lambda: gate.bare.get("/ready").status_code == 200)
        with opened(tmp_path / "b", FakeLink(), **given) as gate:
            until(lambda: "not connected yet" not in gate.bare.get("/ready").json()["reasons"]["MQTT broker"])
            assert gate.bare.get("/ready").status_code == 503


def test_the_broker_of_this_installation_shows_its_own_certificate_and_no_other_is_taken(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    files = f"certfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\n"
    with running("mosquitto", files) as broker:
        # Whose names it has and who signed it does not matter: no authority of ours is asked.
        given = {"mqtt_broker": "localhost", "mqtt_port": broker.port, "broker_cert_path": tmp_path / "cert.pem"}
        with opened(tmp_path / "a", FakeLink(), **given) as gate:
            until(lambda: gate.bare.get("/ready").status_code == 200)
        (tmp_path / "other").mkdir()
        make_certificates(tmp_path / "other")
        given["broker_cert_path"] = tmp_path / "other" / "cert.pem"
        with opened(tmp_path / "b", FakeLink(), **given) as gate:
            until(lambda: "certificate verify failed" in gate.bare.get("/ready").json()["reasons"]["MQTT broker"])
            assert "mqtts://localhost" in gate.bare.get("/ready").json()["reasons"]["MQTT broker"]


def test_without_a_broker_nothing_is_asked_for_and_nothing_kept_for_it(tmp_path: Path) -> None:
    link = FakeLink()
    with opened(tmp_path, link, embedded_broker="none") as gate:
        until(lambda: gate.bare.get("/ready").json() == {"status": "ready"})
        gate.do(lambda: link.raise_alarm(LinkAlarm("CNC-001", 1_000_000_000, 900, "EX1", "door", True)))
        until(lambda: gate.http.get("/api/v1/machines/CNC-001/alarms").json())
        assert not (tmp_path / "store" / "events.sqlite").exists()
        assert gate.status.state == "ready"
        dropped = [line for line in gate.http.get("/metrics").text.splitlines() if line.startswith("cnctwin_mqtt_dropped_total{")]
        assert {line.rpartition(" ")[2] for line in dropped} == {"0.0"}


def test_the_embedded_broker_is_entered_with_its_own_login(tmp_path: Path) -> None:
    from cnctwin.secrets import Vault

    Vault(tmp_path).ensure()
    embedded = address_of(Settings(data=tmp_path))
    assert embedded.user == "gateway"
    assert embedded.password
    foreign = address_of(Settings(data=tmp_path, mqtt_broker="broker.example"))
    assert foreign.user is None
    named = address_of(Settings(data=tmp_path, mqtt_broker="broker.example", mqtt_username="u", mqtt_password="p"))
    assert (named.user, named.password) == ("u", "p")


def test_every_sink_has_a_name_of_its_own() -> None:
    assert len({sink.name for sink in SINKS}) == len(SINKS)
