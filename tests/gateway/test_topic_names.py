"""Machines whose names become one topic level: each has topics of its own, over restarts too, and that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from broker import Listener, running
from fake_link import FakeLink
from gate import Gate, opened, until

from cnctwin.link import LinkAlarm
from gateway.mqtt.message import level
from gateway.topics import MOST, TopicNames

NAMES = ("A/1", "A_1", "A 1", "A+#", "A__", "CNC-001")
SITE = "enterprise/site/area/line"


def topics_of(gate: Gate, listener: Listener, names: tuple[str, ...]) -> dict[str, str]:
    """The topic level of each machine by all that is published of it; fails where two surfaces or two machines disagree."""
    until(lambda: listener.of("spBv1.0/plant/NBIRTH/gate") and status_of(listener).get("state") == "online")
    for number, name in enumerate(names):
        gate.play({**gate.link.moment(name), "Spindle/ActSpeed": 100.0 + number}, name)
        gate.do(lambda name=name: gate.link.raise_alarm(LinkAlarm(name, 1_000_000_000, 900, name, "door", True)))
    found: dict[str, str] = {}
    for name in names:
        (found[name],) = until(lambda name=name: alarmed(listener, name))
    assert len(set(found.values())) == len(names), found
    for number, name in enumerate(names):
        telemetry, speed = f"dt/cnc/{found[name]}/telemetry", f"{SITE}/{found[name]}/Spindle/ActSpeed"
        until(lambda topic=telemetry: listener.of(topic))
        assert {json.loads(one.payload)["machine_id"] for one in listener.of(telemetry)} == {name}
        until(lambda topic=speed, number=number: 100.0 + number in [json.loads(one.payload)["value"] for one in listener.of(topic)])
        until(lambda topic=f"spBv1.0/plant/DBIRTH/gate/{found[name]}": listener.of(topic))
    return found


def alarmed(listener: Listener, name: str) -> set[str]:
    """The topic levels under which this machine's alarms came."""
    alarms = [one for one in listener.messages(SITE) if one.topic.endswith("/alarms")]
    return {one.topic.split("/")[-2] for one in alarms if json.loads(one.payload)["machine"] == name}


def status_of(listener: Listener) -> dict[str, Any]:
    told = listener.of(f"{SITE}/gateway/status")
    return json.loads(told[-1].payload) if told else {}


@pytest.mark.parametrize("kind", ["mosquitto", "nats"])
def test_no_two_machines_share_a_topic_and_each_keeps_its_own(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    version = paho.MQTTv5 if kind == "mosquitto" else paho.MQTTv311
    with running(kind) as broker:
        more = {"mqtt_broker": "127.0.0.1", "mqtt_port": broker.port, "sparkplug_group": "plant", "sparkplug_node": "gate"}
        with Listener(broker.port, version) as listener, opened(tmp_path, FakeLink(NAMES, period_s=None), **more) as gate:
            first = topics_of(gate, listener, NAMES)
            assert (first["A/1"], first["A+#"], first["CNC-001"]) == ("A_1", "A__", "CNC-001")
            others = {name: f'its name in topics is "{first[name]}": "{level(name)}" is that of another machine' for name in first}
            expected = {"A_1", "A 1", "A__"}
            remarks = {one["id"]: one["remarks"] for one in gate.http.get("/api/v1/machines").json()}
            assert remarks == {name: [others[name]] if name in expected else [] for name in NAMES}
            told = [f"{name}: {others[name]}" for name in sorted(expected)]
            until(lambda: sorted(status_of(listener)["remarks"]) == told)
            until(lambda: all(text in gate.status.reason for text in told))
            assert [caplog.text.count(text) for text in told] == [1, 1, 1]
        turned = tuple(reversed(NAMES))
        with Listener(broker.port, version) as listener, opened(tmp_path, FakeLink(turned, period_s=None), **more) as gate:
            assert topics_of(gate, listener, turned) == first


def test_a_name_that_is_made_is_nobody_elses(tmp_path: Path) -> None:
    names = TopicNames(tmp_path / "topics.json")
    assert names.of("A_1") == "A_1"
    made = TopicNames(None)
    made.of("A_1")
    squatter = made.of("A/1")
    assert names.of(squatter) == squatter
    assert names.of("A/1") not in (squatter, "A_1")
    assert [one.machine_id for one in names.remarks] == ["A/1"]
    again = TopicNames(tmp_path / "topics.json")
    assert again.remarks == ()
    assert [again.of(name) for name in ("A/1", squatter, "A_1")] == [names.of(name) for name in ("A/1", squatter, "A_1")]


def test_names_that_cannot_be_kept_or_read_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "topics.json"
    for damage in ("{", "[]", '{"A": 1}', '{"A": "x/y"}', '{"A": "B", "C": "B"}', "\x00\xff"):
        caplog.clear()
        path.write_text(damage, "latin-1")
        names = TopicNames(path)
        assert names.of("B") == "B"
        assert caplog.text.count("set aside as topics-") == 1, damage
    (tmp_path / "file").write_text("")
    nowhere = TopicNames(tmp_path / "file" / "topics.json")
    caplog.clear()
    assert [nowhere.of(name) for name in ("A", "B", "A")] == ["A", "B", "A"]
    assert caplog.text.count("cannot be kept") == 1


def test_ever_new_names_take_no_memory_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.topics.MOST", 3)
    names = TopicNames(tmp_path / "topics.json")
    given = [names.of(f"M{number}") for number in range(10)]
    assert given[:3] == ["M0", "M1", "M2"]
    assert len(set(given)) == 10
    assert given[3:] == [names.of(f"M{number}") for number in range(3, 10)]
    assert len(json.loads((tmp_path / "topics.json").read_text())) == 3
    assert MOST > 3
