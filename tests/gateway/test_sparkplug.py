"""The gateway as an edge node of Sparkplug B, as a host application sees it: births, data, deaths, rebirths, no message lost."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from broker import Broker, Listener, running
from fake_link import FakeLink
from gate import opened, until
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.reading import BAD_NOT_CONNECTED, GOOD, UNCERTAIN_NO_COMMUNICATION, Batch, Reading
from cnctwin.settings import Settings
from gateway.mqtt.sparkplug.node import REBIRTH, REBIRTH_S, EdgeNode
from gateway.mqtt.sparkplug.payload import DataType, Metric, MetricValue, commands, encode
from gateway.topics import TopicNames
from gateway.twin import Twin

TOPIC = "spBv1.0/plant/{}/gate"
NDEATH, NBIRTH = TOPIC.format("NDEATH"), TOPIC.format("NBIRTH")
NOW = 1_795_000_000_000

# A reader of its own, by the numbers of sparkplug_b.proto and not by the writer's code.


def fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(raw):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            size = varint() if tag & 7 == 2 else {1: 8, 5: 4}[tag & 7]
            yield tag >> 3, raw[at : at + size]
            at += size
    assert at == len(raw)


def shown(value: dict[int, Any]) -> Any:
    """A property: a text, a double or a whole number by its type."""
    if value[1] == 12:
        return value[8].decode()
    return struct.unpack("<d", value[6])[0] if value[1] == 10 else value[3]


@dataclass
class Read:
    """A payload as a host reads it; ``properties`` are those of its metrics."""

    time_ms: int = 0
    seq: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    properties: dict[str, dict[str, Any]] = field(default_factory=dict)


def read(payload: bytes) -> Read:
    found = Read()
    for number, value in fields(payload):
        if number == 1:
            found.time_ms = value
        elif number == 3:
            found.seq = value
        else:
            assert number == 2
            parts = dict(fields(value))
            name, kind = parts[1].decode(), parts[4]
            found.types[name] = kind
            if parts.get(7):
                found.values[name] = None
            elif kind == 10:
                (found.values[name],) = struct.unpack("<d", parts[13])
            elif kind == 3:
                found.values[name] = parts[10] - (1 << 32 if parts[10] >> 31 else 0)
            elif kind in (4, 13):
                found.values[name] = parts[11] - (1 << 64 if parts[11] >> 63 else 0)
            else:
                found.values[name] = bool(parts[14]) if kind == 11 else parts[15].decode()
            told = list(fields(parts.get(9, b"")))
            keys = [key.decode() for number, key in told if number == 1]
            texts = [dict(fields(one)) for number, one in told if number == 2]
            found.properties[name] = {key: shown(one) for key, one in zip(keys, texts, strict=True)}
    return found


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just(DataType.INT32), st.integers(-(2**31), 2**31 - 1)),
            st.tuples(st.just(DataType.INT64), st.integers(-(2**63), 2**63 - 1)),
            st.tuples(st.just(DataType.DOUBLE), st.floats(allow_nan=False)),
            st.tuples(st.just(DataType.BOOLEAN), st.booleans()),
            st.tuples(st.just(DataType.STRING), st.text()),
            st.tuples(st.sampled_from(DataType), st.none()),
        )
    ),
    st.integers(0, 255),
)
def test_what_is_written_is_read_again(told: list[tuple[DataType, MetricValue]], seq: int) -> None:
    metrics = [Metric(f"m/{k}", kind, value, NOW + k, {"engUnit": "°C", "Quality": 192}) for k, (kind, value) in enumerate(told)]
    found = read(encode(NOW, metrics, seq))
    assert (found.time_ms, found.seq) == (NOW, seq)
    assert found.values == {metric.name: metric.value for metric in metrics}
    assert found.types == {metric.name: metric.type for metric in metrics}
    assert all(one == {"engUnit": "°C", "Quality": 192} for one in found.properties.values())


@given(st.binary(max_size=60))
def test_a_command_that_is_none_is_refused_and_nothing_else(raw: bytes) -> None:
    with contextlib.suppress(ValueError):  # UnicodeDecodeError is one
        commands(raw)


def edge() -> tuple[EdgeNode, Twin]:
    twin = Twin(first_seq=1)
    return EdgeNode(Settings(sparkplug_group="plant", sparkplug_node="gate"), twin, TopicNames(None), 300), twin


def batch(**values: tuple[Any, int]) -> Batch:
    told = tuple(
        Reading(name.replace("__", "/"), value, status, NOW * 1_000_000, NOW * 1_000_000)
        for name, (value, status) in values.items()
    )
    return Batch("CNC-001", max(reading.source_time_ns for reading in told), told)


def test_a_birth_names_everything_and_the_data_after_it_only_what_changed() -> None:
    node, twin = edge()
    update = twin.apply(batch(Spindle__ActSpeed=(1000.0, GOOD), Machine__State=(3, GOOD), Channel__ProgramNames=(["a"], GOOD)))
    will = read(node.will(NOW).payload)
    assert will.seq is None
    assert will.values == {"bdSeq": 300 % 256}
    born, device = node.birth(NOW, 0.0)
    assert (born.topic, device.topic) == (NBIRTH, TOPIC.format("DBIRTH") + "/CNC-001")
    assert (born.retain, born.qos, device.retain, device.qos) == (False, 0, False, 0)
    assert read(born.payload).values == {"bdSeq": 300 % 256, REBIRTH: False}
    told = read(device.payload)
    assert (read(born.payload).seq, told.seq) == (0, 1)
    assert told.values["Spindle/ActSpeed"] == 1000.0
    assert told.properties["Spindle/ActSpeed"] == {"engUnit": "r/min", "engLow": 0.0, "engHigh": 12000.0, "Quality": 192}
    assert told.types["Machine/State"] == DataType.INT32
    assert "Channel/ProgramNames" not in told.values
    assert not list(node.update(update, NOW, 0.0))
    assert not list(node.tick(NOW, 0.5)), "not more than once a second"
    for speed in (1100.0, 1200.0):
        update = twin.apply(batch(Spindle__ActSpeed=(speed, GOOD)))
        list(node.update(update, NOW, 0.9))
    (data,) = node.tick(NOW, 2.0)
    assert data.topic == TOPIC.format("DDATA") + "/CNC-001"
    assert read(data.payload).values["Spindle/ActSpeed"] == 1200.0
    assert read(data.payload).seq == 2


def test_a_signal_that_the_birth_did_not_name_makes_a_new_birth() -> None:
    node, twin = edge()
    twin.apply(batch(Spindle__ActSpeed=(1.0, GOOD)))
    list(node.birth(NOW, 0.0))
    (again,) = node.update(twin.apply(batch(Spindle__ActLoad=(5.0, GOOD))), NOW, 1.0)
    assert "/DBIRTH/" in again.topic
    assert {"Spindle/ActSpeed", "Spindle/ActLoad"} <= set(read(again.payload).values)


def test_a_bad_value_is_null_and_its_quality_is_told_when_it_changes() -> None:
    node, twin = edge()
    twin.apply(batch(Spindle__ActSpeed=(1.0, GOOD), Spindle__ActLoad=(1.0, GOOD)))
    list(node.birth(NOW, 0.0))
    list(node.update(twin.apply(batch(Spindle__ActLoad=(None, BAD_NOT_CONNECTED))), NOW, 1.0))
    (data,) = node.tick(NOW, 2.0)
    assert read(data.payload).values == {"Spindle/ActLoad": None}
    assert read(data.payload).properties["Spindle/ActLoad"] == {"Quality": 0}
    list(node.update(twin.apply(batch(Spindle__ActLoad=(2.0, GOOD), Spindle__ActSpeed=(2.0, GOOD))), NOW, 2.5))
    (data,) = node.tick(NOW, 4.0)
    assert read(data.payload).properties == {"Spindle/ActLoad": {"Quality": 192}, "Spindle/ActSpeed": {}}


def test_a_machine_that_is_lost_dies_and_is_born_again() -> None:
    node, twin = edge()
    twin.apply(batch(Spindle__ActSpeed=(1.0, GOOD)))
    list(node.birth(NOW, 0.0))
    lost = twin.degrade("CNC-001", UNCERTAIN_NO_COMMUNICATION)
    assert lost is not None
    (death,) = node.update(lost, NOW, 1.0)
    assert death.topic == TOPIC.format("DDEATH") + "/CNC-001"
    assert read(death.payload).seq == 2
    assert not list(node.tick(NOW, 9.0))
    (birth,) = node.update(twin.apply(batch(Spindle__ActSpeed=(2.0, GOOD))), NOW, 9.0)
    assert "/DBIRTH/" in birth.topic
    assert read(birth.payload).seq == 3


def test_seq_goes_round_and_bd_seq_names_each_life() -> None:
    node, twin = edge()
    twin.apply(batch(Spindle__ActSpeed=(0.0, GOOD)))
    lives = []
    for _life in range(3):
        will, (born, _device) = node.will(NOW), list(node.birth(NOW, 0.0))
        assert read(will.payload).values["bdSeq"] == read(born.payload).values["bdSeq"]
        assert read(node.death(NOW).payload).values == read(will.payload).values
        lives.append(read(born.payload).values["bdSeq"])
        for count in range(300):
            list(node.update(twin.apply(batch(Spindle__ActSpeed=(float(count + 1), GOOD))), NOW, count * 2.0))
            (data,) = node.tick(NOW, count * 2.0 + 1.5)
            assert read(data.payload).seq == (count + 2) % 256
    assert lives == [44, 45, 46]


def test_a_rebirth_is_given_with_the_same_bd_seq_but_not_without_end() -> None:
    node, twin = edge()
    twin.apply(batch(Spindle__ActSpeed=(0.0, GOOD)))
    node.will(NOW)
    first = read(next(iter(node.birth(NOW, 0.0))).payload)
    asked = encode(NOW, [Metric(REBIRTH, DataType.BOOLEAN, True, NOW)], None)
    assert not list(node.heard(asked, NOW, REBIRTH_S / 2))
    assert not list(node.heard(encode(NOW, [Metric(REBIRTH, DataType.BOOLEAN, False, NOW)], None), NOW, REBIRTH_S))
    assert not list(node.heard(b"\xff\xff", NOW, REBIRTH_S))
    again, device = node.heard(asked, NOW, REBIRTH_S)
    assert read(again.payload).seq == 0
    assert read(again.payload).values["bdSeq"] == first.values["bdSeq"]
    assert "/DBIRTH/" in device.topic


@pytest.fixture
def broker() -> Iterator[Broker]:
    with running("mosquitto") as started:
        yield started


@pytest.fixture
def host(broker: Broker) -> Iterator[Listener]:
    with Listener(broker.port, paho.MQTTv311) as listener:
        yield listener


def test_a_host_follows_one_life_and_the_next(
    tmp_path: Path, broker: Broker, host: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.mqtt.sparkplug.node.REBIRTH_S", 0.0)
    link = FakeLink()
    device = TOPIC.format("{}") + "/CNC-001"
    settings = {"mqtt_broker": "127.0.0.1", "mqtt_port": broker.port, "sparkplug_group": "plant", "sparkplug_node": "gate"}
    with opened(tmp_path, link, **settings) as gate:
        until(lambda: len(host.of(device.format("DDATA"))) > 1)
        follow(host)
        values = read(host.of(device.format("DBIRTH"))[-1].payload).values
        assert values["Properties/model"]
        assert len(values) > 100
        ask_for_rebirth(broker)
        until(lambda: len(host.of(NBIRTH)) == 2)
        gate.do(link.lose)
        until(lambda: host.of(device.format("DDEATH")))
        births = len(host.of(device.format("DBIRTH")))
        gate.do(link.return_)
        until(lambda: len(host.of(device.format("DBIRTH"))) > births)
        follow(host)
        first = read(host.of(NBIRTH)[0].payload).values["bdSeq"]
    until(lambda: host.of(NDEATH))
    assert read(host.of(NDEATH)[0].payload).values["bdSeq"] == first
    assert not host.of(NDEATH)[0].retain
    with opened(tmp_path, FakeLink(), **settings):
        until(lambda: len(host.of(NBIRTH)) > 2)
    later = read(host.of(NBIRTH)[-1].payload).values["bdSeq"]
    assert first < later < first + 20, "counted on over a restart, by one for each try to connect"


def test_a_device_whose_birth_the_broker_does_not_take_is_silent_and_the_others_are_told_without_a_gap(tmp_path: Path) -> None:
    link = FakeLink(("BIG", "SMALL"), period_s=None)
    with running("mosquitto", "max_packet_size 4000\n") as broker, Listener(broker.port, paho.MQTTv311) as host:
        settings = {"mqtt_broker": "127.0.0.1", "mqtt_port": broker.port, "sparkplug_group": "plant", "sparkplug_node": "gate"}
        with opened(tmp_path, link, **settings) as gate:
            until(lambda: host.of(NBIRTH))
            gate.play(link.moment("BIG"), "BIG")
            born, told = (TOPIC.format(kind) + "/SMALL" for kind in ("DBIRTH", "DDATA"))
            for count in range(1, 4):
                gate.play({"Spindle/ActSpeed": float(count)}, "SMALL")
                gate.play({"Spindle/ActSpeed": float(count)}, "BIG")
                until(lambda count=count: len(host.of(born) + host.of(told)) >= count)
            ours = [message.topic for message in host.messages("spBv1.0/plant/")]
            assert not [topic for topic in ours if topic.endswith("/BIG")]
            assert ours[0] == NBIRTH
            follow(host)
            assert gate.dropped("large", "sparkplug") == 1


def ask_for_rebirth(broker: Broker) -> None:
    asking = paho.Client(paho.CallbackAPIVersion.VERSION2)
    asking.connect("127.0.0.1", broker.port)
    asking.loop_start()
    asking.publish(TOPIC.format("NCMD"), encode(NOW, [Metric(REBIRTH, DataType.BOOLEAN, True, NOW)], None), 1).wait_for_publish(20)
    asking.disconnect()
    asking.loop_stop()


def follow(host: Listener) -> None:
    """Every message since the first birth carries the next number, and data comes of devices that were born."""
    expected: int | None = None
    for message in host.messages("spBv1.0/plant/"):
        kind = message.topic.split("/")[2]
        if kind == "NDEATH":
            expected = None
            continue
        seq = read(message.payload).seq
        if kind == "NBIRTH":
            assert seq == 0
        elif kind != "NCMD":
            assert seq == expected
        if kind != "NCMD":
            assert seq is not None
            expected = (seq + 1) % 256
